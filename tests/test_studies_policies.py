"""The kept studies of policies and forecasts, small: what a row says, and the tables that are made of rows."""

import numpy as np
import pandas as pd
import pytest

from promo_helpers.market.respond import after_rhythm
from promo_helpers.studies import forecast_coverage, policy_markets


@pytest.mark.slow
def test_one_small_market_has_a_row_a_policy():
    rows = policy_markets._market(policy_markets.PolicyCase("null", contacts=1_500, judged=200), None, 3).set_index("policy")
    assert {policy_markets.PERSONAL, policy_markets.BROADCAST, "nobody", "everybody, 25 %", "RFM", "omniscient oracle"} <= set(
        rows.index
    )
    assert (rows.loc["nobody", ["contacted", "promised", "estimated", "value", "spend"]] == 0).all()
    assert (rows["value"] <= 1e-9).all()  # where offers do nothing, nothing is earned
    assert rows.loc["everybody, 25 %", "value"] < rows.loc["everybody, 5 %", "value"] < 0
    assert rows.loc["everybody, 25 %", "contacted"] == 1
    by_rank = rows.loc[["random", "RFM", "purchase probability", "inverse probability", "uplift"], "contacted"]
    np.testing.assert_allclose(by_rank, rows.loc[policy_markets.PERSONAL, "contacted"], atol=0.005)
    assert rows.loc[policy_markets.BROADCAST, "ahead"] == 0


@pytest.mark.slow
def test_one_replication_has_every_figure_and_its_truth():
    rows = forecast_coverage._market(forecast_coverage.CoverageCase(draws=2, learners=1_200, pool=300, trial=150, sent=60), 5)
    assert len(rows) == 2 * 10
    fixed = rows.groupby("figure")["truth"].nunique()
    assert fixed["doubly robust"] == 1  # the value of one policy in one population
    assert fixed["realised revenue"] == 2  # each campaign is another
    known = rows[rows["low"].notna()]
    assert ((known["low"] <= known["estimate"]) & (known["estimate"] <= known["high"])).all()
    wide = rows.pivot(index="draw", columns="figure", values="high")
    assert (wide["realised revenue"] > wide["expected revenue"]).all()


def frame():
    rng, rows = np.random.default_rng(0), []
    for case, lead in (("a", 2.0), ("b", -1.0)):
        for seed in range(10):
            for policy, value in (
                ("nobody", 0.0),
                ("everybody, 5 %", 1.0),
                ("everybody, 10 %", -3.0),
                ("expected profit", 1.0 + lead),
            ):
                value += 0.1 * rng.normal() * (policy != "nobody")
                se = 0.0 if policy == "nobody" else 0.2
                rows.append(
                    (case, seed, policy, 0.5, value + 1, value, se, value, 2.0, 4.0 if case == "a" else np.nan, value - 1, 0.1)
                )
    names = [
        "case",
        "seed",
        "policy",
        "contacted",
        "promised",
        "estimated",
        "se",
        "value",
        "spend",
        "attainable",
        "ahead",
        "ahead_se",
    ]
    return pd.DataFrame(rows, columns=names)


def test_personal_is_held_against_the_best_constant_of_these_markets():
    kept = frame()
    table = policy_markets.personal_or_broadcast(kept).set_index("case")
    assert table["constant"].tolist() == ["everybody, 5 %"] * 2
    gap = kept[(kept["case"] == "a") & (kept["policy"] == "expected profit")]["value"].to_numpy()
    gap = gap - kept[(kept["case"] == "a") & (kept["policy"] == "everybody, 5 %")]["value"].to_numpy()
    half = 2.262157163 * gap.std(ddof=1) / np.sqrt(10)
    assert table.loc["a", "lead"] == pytest.approx(gap.mean())
    assert table.loc["a", "lead_high"] - table.loc["a", "lead"] == pytest.approx(half)
    assert table["wins"].tolist() == [10, 0]
    assert table["shown"].tolist() == [10, 0]
    none = kept.assign(value=1e-14)  # what only rounding tells apart is nothing
    assert policy_markets.personal_or_broadcast(none)["constant"].tolist() == ["nobody"] * 2
    assert policy_markets.lead_over(kept, "a", "everybody, 5 %")["lead"] == pytest.approx(gap.mean())


def test_the_ledger_holds_promise_estimate_truth_and_claims():
    table = policy_markets.policy_values(frame()).set_index(["case", "policy"])
    row = table.loc[("a", "expected profit")]
    assert row["promised"] == pytest.approx(row["value"] + 1)
    assert row["share"] == pytest.approx(row["value"] / 4)
    assert row["sure"] == 1
    assert np.isnan(table.loc[("b", "expected profit"), "share"])
    assert table.loc[("a", "nobody"), "sure"] == 0
    assert table.loc[("a", "everybody, 10 %"), "sure"] == 0


def test_coverage_is_counted():
    kept = pd.DataFrame(
        {"figure": ["x"] * 4 + ["y"], "truth": 1.0, "estimate": 1.0, "low": [0, 0, 2, 1, np.nan], "high": [2, 1, 3, 1, np.nan]}
    )
    table = policy_markets.coverage_of_figures(kept)
    assert table["figure"].tolist() == ["x"]
    assert table["cover"].iloc[0] == 0.75
    assert table["replications"].iloc[0] == 4


def test_a_rhythm_needs_one_contact_a_customer_and_a_day(tmp_path):
    from promo_helpers.market import simulate
    from promo_helpers.market.parameters import parameters

    shop, truth = simulate(parameters("smoke", customers=60), 1, tmp_path / "shop", tmp_path / "truth")
    contacts = (
        shop.frame("contacts", ["customer_id", "product_id", "time"])
        .sort_values("time")
        .drop_duplicates("customer_id", keep="last")
    )
    contacts = contacts[contacts["time"] > pd.Timestamp(truth.p.start) + pd.Timedelta(days=301)]
    assert len(contacts) > 20
    often, seldom = (after_rhythm(truth, contacts, days) for days in (7, 60))
    expected = sum(2.0 ** (-k * 7 / 30) for k in range(1, 300 // 7 + 1))
    np.testing.assert_allclose(often.chances["tired"], expected)
    there = seldom.chances["notices"] > 0  # who is lost notices nothing
    assert there.sum() > 20
    more = often.chances["tired"] - seldom.chances["tired"]
    ratio = often.chances["notices"][there] / seldom.chances["notices"][there]
    np.testing.assert_allclose(ratio, np.exp(-truth.p.fatigue * more[there]))  # nothing but tiredness has changed
    with pytest.raises(ValueError, match="one contact a customer"):
        after_rhythm(truth, pd.concat([contacts, contacts]), 7)
    with pytest.raises(ValueError, match="every = 0"):
        after_rhythm(truth, contacts, 0)
