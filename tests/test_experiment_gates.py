"""The gates: sound experiments pass, each planted fault is caught by its own gate, and the numbers agree with plain formulas."""

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from promo_helpers.experiment import design
from promo_helpers.experiment.design import LEAST, estimate_probabilities, known_probabilities
from promo_helpers.experiment.gates import gates, roi
from tests.trials import disguised, log, trial


def rng(seed=0):
    return np.random.default_rng(seed)


def values(found):
    return found.table().set_index("gate")["value"]


def within(hits, n, share, level=0.001):
    """Whether so many hits of n are compatible with a share."""
    return stats.binomtest(int(hits), n, share).pvalue > level


def test_a_sound_trial_passes_and_says_so():
    found = gates(trial(rng()), "bought", worth=0.2, seed=1)
    assert found.holds
    assert found.failed == ()
    assert found.verdict.startswith("can tell: trial holds at all")
    table = found.table()
    assert list(table) == ["gate", "value", "bound", "holds", "sentence"]
    assert table["gate"].is_unique
    assert table["holds"].all()
    assert all(s[0] and s.endswith(".") for s in table["sentence"])
    assert list(found.arms["arm"]) == ["none", "five", "ten"]
    assert found.table().equals(gates(trial(rng()), "bought", worth=0.2, seed=1).table())


@pytest.mark.slow
@pytest.mark.parametrize("whole", [False, True], ids=["contacts drawn", "customers drawn"])
def test_false_alarms_are_as_often_as_they_should_be(whole):
    """Balance and shares of sound trials: p at most .05 in 5 % of them, whether contacts or whole customers were drawn."""
    n, alarms = 200, np.zeros(2)
    for i in range(n):
        sound = trial(rng([3, i]), 600, whole=whole)
        alarms += [design.chance_of_imbalance(sound, i, draws=400) <= 0.05, design.planned_shares(sound)[0] <= 0.05]
    assert within(alarms[0], n, 0.05), alarms / n
    assert within(alarms[1], n, 0.05), alarms / n


@pytest.mark.slow
def test_counting_rows_where_customers_were_drawn_would_cry_wolf():
    """The test above can fail: with customers mistaken for rows, half and more of sound trials look unsound."""
    alarms = 0
    for i in range(25):
        sound = trial(rng([3, i]), 600, repeats=10, whole=True)
        apart = replace(sound, customer=np.arange(600))
        alarms += design.chance_of_imbalance(apart, i, draws=1000) <= 0.05
    assert alarms > 13


@pytest.mark.slow
def test_whole_gates_on_sound_trials_with_no_and_with_a_huge_effect():
    """All gates together: at most a few of a thousand sound trials are refused, and a strong true effect is not taken for a fault."""
    failed = [gates(trial(rng([4, i]), 800, effect=effect), "bought", seed=i).failed for i in range(25) for effect in (0, 0.4)]
    assert sum(bool(f) for f in failed) <= 3, failed
    assert not any("arm is not the outcome" in f for f in failed)


def test_shares_against_the_plain_chi_squared():
    sound = trial(rng(1), repeats=1)
    p, table = design.planned_shares(sound)
    assert p == pytest.approx(stats.chisquare(sound.counts, len(sound) * np.array([0.5, 0.3, 0.2])).pvalue)
    assert table["share"].tolist() == (sound.counts / len(sound)).tolist()


def test_lost_contacts_are_caught():
    sound = trial(rng(2), 6000)
    lost = sound.only((sound.arm != 1) | (rng(5).random(6000) > 0.15))
    found = gates(lost, "bought", seed=0)
    assert "planned shares" in found.failed
    assert values(found)["planned shares"] < 0.001
    assert "five has" in found.table().set_index("gate")["sentence"]["planned shares"]
    assert "planned shares" in found.verdict


def test_shares_within_strata_see_what_the_total_hides():
    """In one stratum too many, in the other too few: the total is as planned."""
    a = np.repeat([0, 1, 0, 1], [300, 700, 700, 300])
    strata = np.repeat(["x", "y"], 1000)
    two = trial(rng(), 2000, shares=(0.5, 0.5), arm=a, probability=None, repeats=1)
    assert design.planned_shares(two)[0] == 1
    p, _ = design.planned_shares(replace(two, strata=strata))
    assert p == pytest.approx(stats.chi2.sf(4 * 200**2 / 500, 2))
    assert design.planned_shares(replace(two, strata=np.arange(2000)))[0] == 1  # too small to be counted one by one


def test_rows_of_an_arm_that_was_never_planned():
    assert design.planned_shares(trial(rng(), planned=np.array([0.6, 0.4, 0.0]), probability=None))[0] == 0


@pytest.mark.slow
@pytest.mark.parametrize("kept", [1.0, 0.95])
def test_treated_meaning_bought_with_a_promotion_is_caught(kept):
    for seed in range(5):
        found = gates(disguised(rng(seed), kept=kept), "profit", seed=0)
        assert "arm is not the outcome" in found.failed, values(found)
        assert "made from the outcome" in " ".join(found.table()["sentence"])


def test_an_arm_made_from_an_amount_is_caught():
    sound = trial(rng(), 4000, shares=(0.5, 0.5), repeats=1)
    amount = np.exp(rng(1).normal(size=4000))
    bad = replace(sound, arm=(amount > 1.2).astype(int), outcomes=pd.DataFrame({"spend": amount}), probability=None, planned=None)
    assert gates(bad, "spend", seed=0).failed == ("arm is not the amount",)
    lifted = replace(sound, outcomes=pd.DataFrame({"spend": amount * np.where(sound.arm, 2.0, 1.0)}))  # a true doubling
    assert gates(lifted, "spend", seed=0).holds


def test_a_control_made_of_those_who_bought_anyhow_is_caught():
    sound = trial(rng(), 3000, effect=0, base=0.3)
    arm = np.where(sound.outcome("bought") > 0, rng(1).integers(0, 2, 3000), 1)
    bad = replace(sound, arm=arm, arms=("none", "mailed"), depth=np.full(2, np.nan), probability=None, planned=None)
    assert "arm is not the outcome" in gates(bad, "bought", seed=0).failed


def test_an_outcome_that_only_an_offer_allows_is_caught():
    sound = trial(rng(), 3000)
    used = (sound.arm > 0) & (sound.outcome("bought") > 0)
    found = gates(replace(sound, outcomes=sound.outcomes.assign(used=used.astype(float))), "used", seed=0)
    assert found.failed == ("control can have the outcome",)


def test_a_control_without_a_sale_is_no_fault_where_sales_are_rare():
    sound = trial(rng(), 2000, shares=(0.1, 0.9), effect=0.01, base=0.0)
    assert sound.outcome("bought")[sound.arm == 0].sum() == 0 < sound.outcome("bought").sum()
    assert gates(sound, "bought", seed=0).holds


def test_the_cost_of_a_contact_is_not_a_disguise():
    """Profit less the cost tells the arm of all who did not buy; it is not the offer that was made from it."""
    sound = trial(rng(), 3000)
    profit = sound.outcome("units") * 3 - (sound.arm > 0) * 0.1
    assert set(profit[(sound.arm > 0) & (sound.outcome("units") == 0)]) == {-0.1}
    assert gates(replace(sound, outcomes=pd.DataFrame({"profit": profit})), "profit", seed=0).holds


def test_no_control_one_arm_and_a_constant_stop_at_once():
    sound = trial(rng())
    for rows, said in ((sound.arm > 0, "without a control group"), (sound.arm == 0, "nothing to compare")):
        found = gates(sound.only(rows), "bought")
        assert found.failed[0] == "control"
        assert said in found.table()["sentence"][0]
    dull = replace(sound, outcomes=sound.outcomes.assign(bought=1.0))
    assert gates(dull, "bought").failed == ("outcome varies",)


@pytest.mark.slow
def test_an_outcome_lost_in_one_arm_is_caught_in_a_trial_and_in_a_log():
    for kind in (trial(rng(), 3000), log(rng(), 3000)[0]):
        lost = kind.outcomes.copy()
        lost.loc[rng(1).random(3000) < 0.1, "profit"] = np.nan
        assert "outcome is known alike" not in gates(replace(kind, outcomes=lost), "profit", seed=0).failed
        lost.loc[(kind.arm == 2) & (rng(2).random(3000) < 0.3), "profit"] = np.nan
        assert "outcome is known alike" in gates(replace(kind, outcomes=lost), "profit", seed=0).failed


def test_balance_against_the_plain_formula_and_a_planted_shift():
    sound = trial(rng(), 3000)
    table = design.differences(sound)
    assert "constant" not in set(table["feature"])
    assert "age missing" in set(table["feature"])
    for row in table[table["feature"].isin(["spend", "age"])].itertuples():
        a, c = (sound.features.loc[sound.arm == n, row.feature].dropna() for n in (sound.arms.index(row.arm), 0))
        assert row.d == pytest.approx((a.mean() - c.mean()) / math.sqrt((a.var(ddof=0) + c.var(ddof=0)) / 2))
    moved = sound.features.assign(city=np.where((sound.arm == 2) & (rng(1).random(3000) < 0.35), 1.0, sound.features["city"]))
    found = gates(replace(sound, features=moved), "bought", seed=0)
    assert found.failed == ("balance",)
    assert "city differs most" in found.table().set_index("gate")["sentence"]["balance"]


def test_a_log_is_balanced_by_its_chances_and_judged_as_weighted():
    old, chances = log(rng(), 8000)
    found = gates(old, "bought", seed=0, probability=chances)
    assert found.holds, found.verdict
    assert values(found)["largest difference"] > 0.5
    assert values(found)["balance"] < 0.1
    blind = gates(replace(old, features=old.features[["log spend"]]), "bought", probability=np.full((8000, 3), 1 / 3), seed=0)
    assert blind.failed == ("balance",)


@pytest.mark.slow
def test_estimated_chances_are_near_the_true_ones_and_balance_too():
    old, chances = log(rng(), 8000)
    found = estimate_probabilities(old, seed=0)
    assert found.shape == chances.shape
    np.testing.assert_allclose(found.sum(axis=1), 1)
    assert np.abs(found - chances).mean() < 0.02
    assert np.corrcoef(found[:, 0], chances[:, 0])[0, 1] > 0.98
    assert gates(old, "bought", seed=0).holds
    trees = estimate_probabilities(old, seed=0, learner="lightgbm")
    assert np.corrcoef(trees[:, 0], chances[:, 0])[0, 1] > 0.9


def test_chances_are_estimated_without_the_customer_itself():
    """A feature that names the customer must not tell the arm: arms are drawn by customer, a coin each."""
    sound = trial(rng(), 1200, repeats=6, shares=(0.5, 0.5), whole=True)
    features = pd.DataFrame({f"c{k}": (sound.customer % 40 == k).astype(float) for k in range(40)})
    features["own"] = sound.customer.astype(float)
    found = estimate_probabilities(replace(sound, features=features), seed=0)
    own = found[np.arange(1200), sound.arm]
    assert own.mean() < 0.53


def test_chances_of_an_arm_without_rows_and_of_hopeless_input():
    sound = trial(rng())
    found = estimate_probabilities(sound.only(sound.arm != 1), seed=0)
    assert (found[:, 1] == 0).all()
    assert found[:, [0, 2]].min() >= LEAST / 2
    for bad, said in (
        (sound.only(np.arange(3)), "customers are too few for 5 folds"),
        (replace(sound, features=sound.features[[]]), "without features"),
        (sound.only(sound.arm == 1), "rows of the control"),
    ):
        with pytest.raises(ValueError, match=said):
            estimate_probabilities(bad)


def test_known_chances_come_from_the_plan_or_from_even_probabilities():
    sound = trial(rng())
    np.testing.assert_allclose(known_probabilities(sound)[0], [0.5, 0.3, 0.2])
    np.testing.assert_allclose(known_probabilities(replace(sound, planned=None))[7], [0.5, 0.3, 0.2])
    uneven = np.where(np.arange(len(sound)) % 2, 0.4, 0.2)
    assert known_probabilities(replace(sound, planned=None, probability=uneven)) is None
    assert known_probabilities(replace(sound, planned=None, probability=None)) is None


def test_overlap_against_plain_formulas():
    old, chances = log(rng(), 3000)
    weight = design.weights(old, chances)
    table = design.overlap(old, weight, chances).set_index("arm")
    for number, arm in enumerate(old.arms):
        w = 1 / chances[old.arm == number, number]
        row = table.loc[arm]
        assert row["rows"] == len(w)
        assert row["effective"] == pytest.approx(w.sum() ** 2 / (w**2).sum())
        assert row["largest_weight"] == w.max()
        assert row["heaviest"] == pytest.approx(w.max() / w.sum())
        if number:
            e = [chances[i, number] / (chances[i, number] + chances[i, 0]) for i in np.flatnonzero(np.isin(old.arm, (0, number)))]
            assert row["outside"] == pytest.approx(np.mean([x < 0.05 or x > 0.95 for x in e]))
            assert row["smallest"] == pytest.approx(min(min(x, 1 - x) for x in e))


@pytest.mark.slow
def test_thin_overlap_is_caught_and_a_rare_arm_is_not():
    thin, chances = log(rng(), 4000, strength=4)
    assert {"effective sample size", "share outside .05 to .95"} <= set(gates(thin, "bought", seed=0, probability=chances).failed)
    rare = trial(rng(), 6000, shares=(0.97, 0.03))
    found = gates(rare, "bought", seed=0)
    assert values(found)["share outside .05 to .95"] == 1
    assert found.holds


def test_the_smallest_effect_is_that_of_the_textbook():
    sound = trial(rng(), repeats=1)
    y = sound.outcome("units")
    for row in design.detectable_effects(sound, "units", np.ones(len(y))).itertuples():
        a, c = y[sound.arm == sound.arms.index(row.arm)], y[sound.arm == 0]
        error = math.sqrt(a.var(ddof=1) / len(a) + c.var(ddof=1) / len(c))
        assert row.error == pytest.approx(error)
        assert row.detectable == pytest.approx((1.959964 + 0.841621) * error)


@pytest.mark.slow
def test_that_effect_is_seen_four_times_in_five_also_where_customers_come_back():
    """Customers drawn as a whole, ten contacts each, alike: rows taken as independent would promise too much."""
    seen, n = 0, 200
    errors, estimates = [], []
    for i in range(n):
        draw = rng([6, i])
        sound = trial(draw, 1000, shares=(0.5, 0.5), repeats=10, whole=True, effect=0)
        level = draw.normal(size=1000)[sound.customer] + draw.normal(size=1000)
        row = design.detectable_effects(replace(sound, outcomes=pd.DataFrame({"y": level})), "y", np.ones(1000)).iloc[0]
        y = level + sound.arm * row["detectable"]
        estimate = y[sound.arm == 1].mean() - y[sound.arm == 0].mean()
        seen += abs(estimate) > 1.96 * row["error"]
        errors.append(row["error"])
        estimates.append(estimate - row["detectable"])
    assert np.mean(errors) == pytest.approx(np.std(estimates), rel=0.15)
    assert within(seen, n, 0.8, 1e-4), seen / n


def test_too_few_for_what_would_pay():
    sound = trial(rng())
    found = gates(sound, "profit", worth=0.01, seed=0)
    assert found.failed == ("detectable effect",)
    assert "too few contacts in five and ten" in found.table()["sentence"].iloc[-1]
    assert math.isnan(gates(sound, "profit", seed=0).table()["bound"].iloc[-1])
    with pytest.raises(ValueError, match="worth = 0"):
        gates(sound, "profit", worth=0)


@pytest.mark.slow
def test_no_return_where_a_gate_fails():
    good, bad = (gates(trial(rng()), "profit", worth=w, seed=0) for w in (5, 0.001))
    assert roi(good, 30.0, 20.0)[0] == 1.5
    value, said = roi(bad, 30.0, 20.0)
    assert math.isnan(value)
    assert said.startswith("cannot tell")
    assert not any(ch.isdigit() for ch in said)
    assert math.isnan(roi(good, 30.0, 0.0)[0])
    assert math.isnan(roi(good, math.nan, 5.0)[0])


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (lambda p: p[:, :2], "has the shape"),
        (lambda p: p * [1, 1, 0], "above 0"),
        (lambda p: p * 0.9, "add up to 1"),
        (lambda p: np.where(np.arange(len(p))[:, None] == 3, np.nan, p), r"1 rows are not"),
    ],
)
def test_impossible_chances_are_refused(wrong, said):
    old, chances = log(rng(), 500)
    with pytest.raises(ValueError, match=said):
        gates(old, "bought", probability=wrong(chances))


def test_an_unknown_outcome():
    with pytest.raises(KeyError, match="no outcome 'clicks'"):
        gates(trial(rng()), "clicks")
