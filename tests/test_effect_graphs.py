"""Causal graphs, refuters, mailings, contrasts and the tables of the kept studies: against known answers."""

import dataclasses

import networkx as nx
import numpy as np
import pandas as pd
import pytest
from scipy import stats

from promo_helpers.experiment import Experiment
from promo_helpers.experiment.contacts import arm_from_outcome, break_even_effects, experiments, one_offer
from promo_helpers.experiment.gates import gates
from promo_helpers.experiment.mailings import campaign_gates, difference_in_differences, mailing_experiment
from promo_helpers.models import refute
from promo_helpers.models.effects import Design
from promo_helpers.shop.shop import Shop, ShopWriter
from promo_helpers.studies import effect_markets
from tests.test_models_effects import confounded


def test_dowhy_identifies_the_trial_and_the_log_but_not_a_rule_that_saw_more():
    assert refute.identified("trial").startswith("identified without any adjustment")
    assert refute.identified("log") == "identified where recency, spend and trips are held fixed"
    assert refute.identified("hidden").startswith("not identified")
    with pytest.raises(ValueError, match="source = 'panel': must be one of trial, log, hidden"):
        refute.graph("panel")


def test_links_among_observed_variables_are_those_of_the_textbook():
    """The M: a <- u -> m <- v -> b. Observed a, m, b: both pairs with m have hidden causes, a and b are independent."""
    shape = nx.DiGraph([("u", "a"), ("u", "m"), ("v", "m"), ("v", "b")])
    assert refute.links(shape, ["u", "v"]).to_numpy().tolist() == [["a", "m", "<>"], ["b", "m", "<>"]]
    chain = nx.DiGraph([("a", "h"), ("h", "b"), ("b", "c")])
    assert refute.links(chain, ["h"]).to_numpy().tolist() == [["a", "b", "->"], ["b", "c", "->"]]


def drawn(rng: np.random.Generator, n: int = 4_000) -> pd.DataFrame:
    """Two causes of one effect, which has an effect of its own: x -> z <- y, z -> w: FCI can orient all of it."""
    x, y = rng.normal(size=(2, n))
    z = x + y + rng.normal(size=n)
    return pd.DataFrame({"w": z + rng.normal(size=n), "x": x, "y": y, "z": np.exp(z)})  # scales do not matter


def test_the_search_finds_a_graph_that_can_be_found():
    found = refute.search_links(drawn(np.random.default_rng(0))).set_index(["left", "right"])["mark"].to_dict()
    assert found == {("w", "z"): "<-", ("x", "z"): "->", ("y", "z"): "->"}


def test_a_found_graph_is_held_against_the_truth_over_samples():
    rng = np.random.default_rng(1)
    frame, customer = drawn(rng), np.repeat(np.arange(2_000), 2)
    truth = nx.DiGraph([("x", "z"), ("z", "y"), ("z", "w")])  # one arrow is the wrong way round
    table = refute.compare_links(frame, customer, truth, 4, 2_000, 1).set_index(["left", "right"])
    assert len(table) == 6
    assert table.loc[("x", "z"), ["truth", "linked", "right_way"]].tolist() == ["->", 1.0, 1.0]
    assert table.loc[("y", "z"), ["truth", "linked", "reversed"]].tolist() == ["<-", 1.0, 1.0]
    assert table.loc[("x", "y"), "truth"] == ""
    assert np.allclose(table[["right_way", "reversed", "open"]].sum(axis=1), table["linked"])
    tally = refute.link_counts(table.reset_index())
    assert tally == {"links": 3, "found": 3, "missed": 0, "invented": 0, "right": 2, "reversed": 1}


@pytest.fixture(scope="module")
def refuted() -> tuple[Design, np.ndarray, pd.DataFrame]:
    experiment, _ = confounded(0, people=400)
    design, y = Design.of(experiment, 1), experiment.outcome("units")
    return design, y, refute.refute(design, y, 2, simulations=12).set_index("refuter")


@pytest.mark.slow
def test_refuters_are_silent_about_a_sound_regression_and_the_two_misleading_ones_are_not(refuted):
    said = refuted[2]
    assert list(said.index) == list(refute.REFUTERS)
    assert not said.loc[["placebo", "random common cause", "subset"], "alarm"].any()
    assert said.loc[["placebo, weighting", "subset, whole seed"], "alarm"].all()
    assert abs(said.loc["placebo", "refuted"]) < 0.15 < abs(said.loc["placebo, weighting", "refuted"])


def test_the_e_value_is_that_of_vanderweele_and_ding(refuted):
    design, y, said = refuted
    x = np.column_stack([np.ones(len(y)), design.offered, design.x])
    beta = np.linalg.lstsq(x, y, rcond=None)[0]
    left = y - x @ beta
    error = np.sqrt(left @ left / (len(y) - x.shape[1]) * np.linalg.inv(x.T @ x)[1, 1])
    ratio = np.exp(0.91 * beta[1] / y.std() - 1.78 * error / y.std())
    assert said.loc["E-value", "estimate"] == pytest.approx(ratio + np.sqrt(ratio * (ratio - 1)), rel=1e-3)
    assert said.loc["placebo", "estimate"] == pytest.approx(beta[1], rel=1e-9)


@pytest.mark.slow
def test_refuting_twice_says_the_same_and_leaves_numpys_state_alone(refuted):
    design, y, said = refuted
    np.random.seed(5)  # noqa: NPY002
    again = refute.refute(design, y, 2, simulations=12).set_index("refuter")
    pd.testing.assert_frame_equal(said, again)
    after = np.random.random()  # noqa: NPY002
    np.random.seed(5)  # noqa: NPY002
    assert after == np.random.random()  # noqa: NPY002


DAYS = pd.Timestamp("2025-01-01")


def mailed_shop(folder, days: int = 120) -> Shop:
    """Sixty customers with a basket every ten days; campaign B mails the first thirty on day 60, A nobody but two on day 10."""
    people = [f"C{i:02d}" for i in range(60)]
    rows = [
        (p, f"{p}-{d}", DAYS + pd.Timedelta(days=d, hours=9), 1000 + 100 * k + (500 if k < 30 and d >= 60 else 0))
        for k, p in enumerate(people)
        for d in range(0, days, 10)
    ]
    lines = pd.DataFrame(rows, columns=["customer_id", "basket_id", "time", "paid_cents"])
    lines = lines.assign(
        transaction_id=np.arange(len(lines)).astype(str),
        product_id="P",
        store_id="S",
        units=1,
        list_cents=lines["paid_cents"],
        price=1.0,
    )
    contacts = pd.DataFrame(
        [
            (f"{c}-{p}", p, c, DAYS + pd.Timedelta(days=d), "unknown" if k < n else "none")
            for c, d, n in (("B", 60, 30), ("A", 10, 2))
            for k, p in enumerate(people)
        ],
        columns=["contact_id", "customer_id", "campaign_id", "time", "arm"],
    )
    with ShopWriter(folder, source="test", currency="LKR") as writer:
        writer.append("transactions", lines)
        writer.append("contacts", contacts.assign(redeemed=False))
    return Shop(folder)


def test_mailings_are_counted_by_hand(tmp_path):
    e = mailing_experiment(mailed_shop(tmp_path / "shop"))
    assert len(e) == 60  # campaign A has no eight weeks before it
    assert set(e.strata) == {"B"}
    assert e.arms == ("not mailed", "mailed")
    assert e.counts.tolist() == [30, 30]
    first = {name: float(e.features[name][0]) for name in e.features}
    # days 4 to 59 hold the baskets of days 10, 20, 30, 40, 50; days 32 to 59 those of 40 and 50; she was mailed on day 10
    assert first == {
        "spend_56": 50.0,
        "baskets_56": 5.0,
        "spend_28": 20.0,
        "baskets_28": 2.0,
        "recency": 10 - 9 / 24,
        "mailings": 1.0,
    }
    assert e.outcomes.loc[0].tolist() == [45.0, 3.0, 25.0]  # days 60, 70 and 80 at 15.00
    assert e.outcomes.loc[40].tolist() == [150.0, 3.0, 50.0]  # 50.00 a basket, as before
    assert e.features.loc[40, "mailings"] == 0


def test_directions_and_gates_go_by_campaign(tmp_path):
    e = mailing_experiment(mailed_shop(tmp_path / "shop"))
    assert difference_in_differences(e, least=20).to_numpy().tolist() == [["B", "down", True]]  # change 25 to 54 against 60 to 79
    assert difference_in_differences(e, least=50).empty
    table = campaign_gates(e, 0, least=20)
    assert table["campaign"].tolist() == ["B"]
    assert not table["holds"][0]  # the mailed are those who spend least: nobody could have been in both arms


def test_mailings_without_data_around_them_are_refused(tmp_path):
    shop = mailed_shop(tmp_path / "shop", days=80)
    with pytest.raises(ValueError, match="no mailing has 56 days of data before it and 28 from it on"):
        mailing_experiment(shop)
    found, missing = experiments(shop)
    assert (found, missing) == ({}, ["no experiment: no mailing has 56 days of data before it and 28 from it on"])


def offers(arms: tuple[str, ...] = ("none", "5", "15")) -> Experiment:
    rng = np.random.default_rng(0)
    n = 3_000
    arm = rng.choice(len(arms), n, p=[0.5, 0.3, 0.2])
    bought = rng.random(n) < 0.2 + 0.05 * arm
    discount = np.where(bought & (arm > 0), 15.0, 0.0)
    outcomes = {
        "units": bought.astype(float),
        "discount": discount,
        "spend": discount + 2 * (arm > 0),
        "profit": 30.0 * bought - discount,
    }
    return Experiment(
        name="offers", contact_id=np.arange(n), customer=np.arange(n), features=pd.DataFrame({"margin": 0.3, "x": rng.normal(size=n)}),
        arm=arm, arms=arms, depth=np.array([np.nan, 0.05, 0.15]), outcomes=pd.DataFrame(outcomes),
    )  # fmt: skip


def test_one_offer_against_none_is_that_asked_for_or_the_commonest():
    assert one_offer(offers(), "15").arms == ("none", "15")
    assert one_offer(offers(), "25").arms == ("none", "5")
    two = one_offer(offers(), "15")
    assert one_offer(two, "5") is two


def test_what_would_pay_is_worked_out_by_hand():
    two = one_offer(offers(), "15")
    pays = break_even_effects(two)
    base = two.outcome("units")[two.arm == 0].mean()
    assert pays["units"] == pytest.approx(base * 0.15 / (0.3 - 0.15))  # as many again
    assert pays["profit"] == pays["whole"] == pytest.approx(two.outcome("spend")[two.arm == 1].mean())
    poor = dataclasses.replace(two, features=two.features.assign(margin=0.1))
    assert "units" not in break_even_effects(poor)  # no number of units earns it back


def test_a_treatment_made_from_the_outcome_is_caught_at_the_gate():
    wrong = arm_from_outcome(offers())
    assert wrong.counts.sum() == 3_000
    assert (wrong.outcome("units")[wrong.arm == 1] == 1).all()
    assert "arm is not the outcome" in gates(wrong, "units").failed
    assert "arm is not the outcome" not in gates(one_offer(offers(), "15"), "units").failed


def test_shares_have_binomial_intervals():
    share, low, high = effect_markets.share_between(90, 100)
    assert (share, stats.binom.sf(89, 100, low), stats.binom.cdf(90, 100, high)) == (
        0.9,
        pytest.approx(0.025),
        pytest.approx(0.025),
    )
    assert effect_markets.share_between(0, 20)[1] == 0
    assert effect_markets.share_between(20, 20)[2] == 1
    assert effect_markets.written(0.123, 0.06, 0.221) == "12 (6 to 22)"


def test_tables_of_the_studies_are_means_and_shares_over_markets():
    kept = pd.DataFrame(
        {"source": "log", "outcome": "units", "method": "regression", "effect": [1.0, 2.0, 3.0, 9.0], "error": 1.0, "truth": 2.0}
    )
    row = effect_markets.coverage_table(kept).iloc[0]
    assert (row["covered"], row["bias"], row["markets"]) == (0.75, pytest.approx(0.875), 4)
    assert row["claimed"] == pytest.approx(1 / np.std([-1, 0, 1, 7], ddof=1))
    said = pd.DataFrame(
        {
            "case": "null",
            "seed": [1, 1, 2, 2],
            "refuter": ["a", "b"] * 2,
            "alarm": [True, False, False, False],
            "missed": [False, False, True, True],
        }
    )
    table = effect_markets.alarm_table(said).set_index("refuter")["alarms"]
    assert table.to_dict() == {"interval misses the truth": 0.5, "a": 0.5, "b": 0.0}
    bias = effect_markets.bias_table(kept.assign(slope=1), ["slope", "method"]).iloc[0]
    assert (bias["error"], bias["high"] - bias["error"]) == (
        pytest.approx(0.875),
        pytest.approx(stats.t.ppf(0.975, 3) * np.std([-1, 0, 1, 7], ddof=1) / 2 / 2),
    )
