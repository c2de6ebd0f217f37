"""Lifetime value: against published numbers, brute force and simulation; and what a shop without the data for it is told."""

import numpy as np
import pandas as pd
import pytest
from scipy import integrate, stats

from promo_helpers.evaluate import customer_value as judge
from promo_helpers.features.repeats import ValuedDays, cdnow, later_purchases, summaries
from promo_helpers.models.lifetime import (
    BgNbd,
    GammaGamma,
    Worth,
    fit_bgnbd,
    fit_gamma_gamma,
    fit_worth,
    independence,
    rate_tilt,
    weekly,
)
from promo_helpers.shop.loading import load_shop
from tests.shops import shop_frames, write_shop

TRUE = BgNbd(1.2, 9.0, 1.5, 12.0)
SPENDING = GammaGamma(4.0, 3.5, 20.0)


def lives(model, n, until, rng, known=None):
    """Purchases after the first as [(customer, time)], and each customer's time of loss, from the model's own story, step by step.

    With `known` (repeats, recency, age), rates and chances are drawn from what is known of such a customer who is alive at her age.
    """
    x, _, age = known or (0, 0, 0)
    rate = rng.gamma(model.r + x, 1 / (model.alpha + age), n)
    chance = rng.beta(model.a, model.b + x, n)
    bought, now, going = [], np.zeros(n), np.arange(n)
    while len(going):
        now[going] += rng.exponential(1 / rate[going])
        going = going[now[going] < until]
        bought.append(np.column_stack([going, now[going]]))
        going = going[rng.random(len(going)) >= chance[going]]
    return np.concatenate(bought)


def known_of(model, n, until, rng):
    """x, t_x, T of simulated customers whose first purchases spread over the first third of the time."""
    age = until - rng.uniform(0, until / 3, n)
    bought = lives(model, n, until, rng)
    bought = bought[bought[:, 1] < age[bought[:, 0].astype(int)]]
    who = bought[:, 0].astype(int)
    last = np.zeros(n)
    np.maximum.at(last, who, bought[:, 1])
    return np.bincount(who, minlength=n).astype(float), last, age


@pytest.fixture(scope="module")
def discs():
    return cdnow()


def test_cdnow_to_the_published_digits(discs):
    assert len(discs) == 2357
    model = fit_bgnbd(discs["repeats"], discs["recency"], discs["age"])
    assert {k: round(v, 4) for k, v in model.estimate.value.items()} == {"r": 0.2426, "alpha": 4.4136, "a": 0.7929, "b": 2.4259}
    assert round(model.estimate.log_likelihood, 2) == -9582.43
    assert round(float(model.expected(39, [2.0], [30.43], [38.86])[0]), 3) == 1.226  # Fader, Hardie and Lee's example
    spending = fit_gamma_gamma(discs["repeats"], discs["value"])
    assert (round(spending.p, 2), round(spending.q, 2), round(spending.gamma, 2)) == (6.25, 3.74, 15.45)
    assert spending.gamma == pytest.approx(15.44, abs=0.01)  # as printed in the note of 2013
    assert round(spending.mean, 1) == 35.2


def test_the_unit_of_time_does_not_matter(discs):
    weeks, days = (fit_bgnbd(discs["repeats"], discs["recency"] * k, discs["age"] * k) for k in (1, 7))
    assert days.alpha == pytest.approx(7 * weeks.alpha, rel=1e-3)
    known = discs.iloc[:50]
    given = known["repeats"], known["recency"], known["age"]
    again = known["repeats"], known["recency"] * 7, known["age"] * 7
    np.testing.assert_allclose(days.expected(70, *again), weeks.expected(10, *given), rtol=1e-3)
    np.testing.assert_allclose(days.alive(*again), weeks.alive(*given), rtol=1e-3)


def test_bgnbd_finds_the_parameters_that_made_the_data():
    rng = np.random.default_rng(1)
    model = fit_bgnbd(*known_of(TRUE, 20_000, 80.0, rng))
    estimate = model.estimate
    gap = estimate.theta - np.log([TRUE.r, TRUE.alpha, TRUE.a, TRUE.b])
    assert gap @ np.linalg.solve(estimate.covariance, gap) < stats.chi2.ppf(0.999, 4)
    assert np.sqrt(np.diag(estimate.covariance)).max() < 0.2  # and the errors are not just large
    share, low, high = model.dropout(0.999)
    assert low < TRUE.a / (TRUE.a + TRUE.b) < high
    assert low < share < high


@pytest.mark.slow
def test_sandwich_errors_are_those_of_a_bootstrap():
    rng = np.random.default_rng(2)
    given = np.column_stack(known_of(TRUE, 1500, 80.0, rng))
    model = fit_bgnbd(*given.T)
    drawn = np.array([fit_bgnbd(*given[rng.integers(0, 1500, 1500)].T).estimate.theta for _ in range(100)])
    spread, told = drawn[:, :2].std(axis=0, ddof=1), np.sqrt(np.diag(model.estimate.covariance))[:2]
    assert (np.abs(np.log(spread / told)) < 4 * np.sqrt(1 / 200)).all()  # a standard deviation of 100 draws is off by 7 %
    low, high = (np.log(e / (1 - e)) for e in model.dropout()[1:])
    odds = (drawn[:, 2] - drawn[:, 3]).std(ddof=1)
    assert abs(np.log(odds / ((high - low) / 2 / stats.norm.ppf(0.975)))) < 4 * np.sqrt(1 / 200)


@pytest.mark.parametrize(
    ("model", "known"),
    [
        (TRUE, (4.0, 20.0, 30.0)),
        (TRUE, (0.0, 0.0, 30.0)),
        (BgNbd(0.24, 4.4, 0.8, 2.4), (2.0, 30.4, 38.9)),
        (BgNbd(1.0, 12.0, 1.0, 6.0), (9.0, 40.0, 50.0)),
    ],
)
def test_expected_purchases_against_the_story_itself(model, known):
    """What follows, given that she is alive, by playing it out; the chance of that, by counting among customers like her."""
    rng = np.random.default_rng(3)
    n, ahead = 200_000, 40.0
    played = np.bincount(lives(model, n, ahead, rng, known)[:, 0].astype(int), minlength=n) * model.alive(*known)
    told = model.expected(ahead, *(np.array([k]) for k in known))[0]
    assert abs(played.mean() - told) < 4.5 * played.std() / np.sqrt(n)


def test_newcomers_and_the_chance_of_being_alive_against_the_story():
    rng = np.random.default_rng(4)
    n, until = 300_000, 30.0
    rate, chance = rng.gamma(TRUE.r, 1 / TRUE.alpha, n), rng.beta(TRUE.a, TRUE.b, n)
    x, last, now, alive = np.zeros(n), np.zeros(n), np.zeros(n), np.ones(n, bool)
    going = np.arange(n)
    while len(going):
        now[going] += rng.exponential(1 / rate[going])
        going = going[now[going] < until]
        x[going] += 1
        last[going] = now[going]
        lost = rng.random(len(going)) < chance[going]
        alive[going[lost]] = False
        going = going[~lost]
    assert abs(x.mean() - TRUE.newcomer(until)[0]) < 4.5 * x.std() / np.sqrt(n)
    told = TRUE.alive(x, last, np.full(n, until))
    for some in (x == 0, x == 1, (x > 1) & (last < 20), (x > 4) & (last > 28)):
        off = alive[some] - told[some]
        assert abs(off.mean()) < 4.5 * max(off.std(), 1e-9) / np.sqrt(some.sum()) + 1e-12, some.sum()
    assert 0.6 < told[x == 1].mean() < 0.99


@pytest.mark.parametrize("x", [0, 3, 60, 250])
@pytest.mark.parametrize("ab", [(0.8, 2.4), (0.2, 300.0), (1.0, 30.0), (50.0, 5000.0), (50_000.0, 1_200_000.0)])
def test_the_formula_holds_where_its_usual_form_overflows(ab, x):
    model = BgNbd(1.5, 10.0, *ab)
    known, days = model.alpha + 366.0, 365.0

    def part(log_p):
        p = np.exp(log_p)
        return stats.beta.pdf(p, model.a, model.b + x) * -np.expm1(-(model.r + x) * np.log1p(p * days / known))

    middle, wide = np.log(model.a / (model.a + model.b + x)), 12 / np.sqrt(model.a)
    ends = (middle - wide, min(middle + wide, 0.0)) if model.a > 30 else (-200.0, 0.0)
    brute = integrate.quad(part, *ends, points=None if model.a > 30 else [-20, -10, -6, -4, -2], limit=500)[0]
    given = np.array([days]), np.array([float(x)]), np.array([known])
    assert model._ahead(*given)[0] == pytest.approx(brute, rel=1e-6)
    assert model._summed(*given)[0] == pytest.approx(brute, rel=1e-6)


def spent(model, x, rng, scale=1.0):
    """Mean value of x purchases each, from the model's own story."""
    nu = rng.gamma(model.q, 1 / model.gamma, len(x))
    return scale * rng.gamma(model.p * np.maximum(x, 1)) / nu / np.maximum(x, 1)


@pytest.mark.slow
def test_gamma_gamma_finds_the_parameters_and_the_slope():
    rng = np.random.default_rng(5)
    x = rng.geometric(0.2, 20_000).astype(float)
    for slope in (0.0, 0.3):
        u = np.log(x / x.mean())
        z = spent(SPENDING, x, rng, np.exp(slope * u))
        found = fit_gamma_gamma(x, z, u)
        gap = found.estimate.theta - np.append(np.log([SPENDING.p, SPENDING.q, SPENDING.gamma]), slope)
        assert gap @ np.linalg.solve(found.estimate.covariance, gap) < stats.chi2.ppf(0.999, 4)
        check = independence(x, z)
        assert (check["low"] > 0) == (slope > 0)
        drawn = [np.corrcoef(x[rows], z[rows])[0, 1] for rows in rng.integers(0, len(x), (100, len(x)))]
        told = (check["high"] - check["low"]) / 2 / stats.norm.ppf(0.975)
        assert abs(np.log(np.std(drawn, ddof=1) / told)) < 4 * np.sqrt(1 / 200)
    assert fit_gamma_gamma(x, z).slope == 0
    assert judge.rank_correlation(x, spent(SPENDING, x, rng))[1] > 0  # which is why ranks are no check


def test_expected_value_is_the_mean_given_what_is_known():
    """Against quadrature over the hidden rate: E[p / nu | x, z], nu gamma (px + q, gamma + x z)."""
    for x, z in ((1.0, 5.0), (6.0, 12.0), (40.0, 3.0)):
        hidden = stats.gamma(SPENDING.p * x + SPENDING.q, scale=1 / (SPENDING.gamma + x * z))
        brute = hidden.expect(lambda nu: SPENDING.p / nu)
        assert SPENDING.expected(np.array([x]), np.array([z]))[0] == pytest.approx(brute, rel=1e-6)
    assert SPENDING.expected(np.zeros(1), np.array([np.nan]))[0] == pytest.approx(SPENDING.mean) == 32.0
    tilted = GammaGamma(4.0, 3.5, 20.0, 0.5)
    double = np.log(4.0) * np.ones(1)
    assert tilted.expected(np.ones(1), np.array([10.0]), double)[0] == pytest.approx(
        2 * SPENDING.expected(np.ones(1), np.array([5.0]))[0]
    )


def test_what_cannot_be_fitted_says_so():
    many = np.arange(1.0, 41.0)
    none = np.zeros(40)
    with pytest.raises(ValueError, match=r"too few customers: 5, and 30 are needed"):
        fit_bgnbd(many[:5], many[:5], many[:5])
    with pytest.raises(ValueError, match=r"no repeat buyers: none of 40 customers"):
        fit_bgnbd(none, none, many)
    with pytest.raises(ValueError, match=r"no repeat buyers: none of 40 customers"):
        fit_gamma_gamma(none, none)
    with pytest.raises(ValueError, match=r"1 customers have a recency above their age.*row 39"):
        fit_bgnbd(many, np.append(many[:-1], 99.0), many)
    with pytest.raises(ValueError, match=r"age: 1 values are missing or negative, the first nan in row 0"):
        fit_bgnbd(many, none, np.append(np.nan, many[1:]))
    with pytest.raises(ValueError, match=r"age has 39 rows, repeats 40"):
        fit_bgnbd(many, none, many[1:])
    with pytest.raises(ValueError, match=r"value: 2 of 40 repeat buyers have a mean value that is not positive, the first -1"):
        fit_gamma_gamma(many, np.append([-1.0, 0.0], many[2:]))
    with pytest.raises(ValueError, match=r"too few customers: 12"):
        fit_gamma_gamma(many[:12], many[:12])
    with pytest.raises(ValueError, match="too few repeat buyers: 3"):
        independence(np.array([0.0, 1, 2, 3]), np.ones(4))
    with pytest.raises(ValueError, match="there is no correlation"):
        independence(many, np.ones(40))
    with pytest.raises(ValueError, match="infinite, so newcomers have no expected value"):
        GammaGamma(2.0, 0.9, 1.0).expected(np.zeros(1), np.zeros(1))
    with pytest.raises(ValueError, match="given, not fitted"):
        TRUE.dropout()


@pytest.fixture
def corner(tmp_path):
    """The small shop, with and without margins."""
    frames = shop_frames()
    return lambda **changed: load_shop(write_shop(tmp_path / "s", {**frames, **changed}), folder=tmp_path / "checked")


@pytest.mark.slow
def test_summaries_against_plain_pandas(corner):
    shop = corner()
    days = ValuedDays.of(shop)
    lines = shop.frame("transactions").merge(shop.frame("products")[["product_id"]], on="product_id")
    lines = lines[lines["units"] > 0]
    lines["date"] = lines["time"].dt.normalize()
    spend = lines.groupby(["customer_id", "date"])["paid_cents"].sum() / 100
    pd.testing.assert_series_equal(
        pd.Series(days.spend, pd.MultiIndex.from_arrays([days.customers[days.who], days.start + pd.to_timedelta(days.day, "D")])),
        spend, check_names=False, check_index_type=False,
    )  # fmt: skip
    moment = days.length // 2 + 1
    table = summaries(days, moment).set_index("customer")
    cut = days.moment(moment)
    for who, row in table.iterrows():
        mine = spend.loc[days.customers[who]]
        mine = mine[mine.index < cut]
        assert (row["repeats"], row["recency"], row["age"]) == (
            len(mine) - 1, (mine.index[-1] - mine.index[0]).days, (cut - mine.index[0]).days)  # fmt: skip
        assert row["spend"] == pytest.approx(mine.sum())
        assert row["spend_90"] == pytest.approx(mine[mine.index >= cut - pd.Timedelta(days=90)].sum())
    before = spend.reset_index()
    assert len(table) == before.loc[before["date"] < cut, "customer_id"].nunique()
    each = summaries(days, np.where(np.arange(len(days.customers)) == table.index[0], moment, 0))
    pd.testing.assert_frame_equal(each, summaries(days, moment).iloc[:1])
    later = later_purchases(days, table.index.to_numpy(), moment, days.length)
    assert later["purchases"].sum() + table["repeats"].sum() + len(table) == np.isin(days.who, table.index).sum()


def test_a_day_counts_to_the_ninetieth_and_before_the_moment():
    ones = np.ones(5)
    days = ValuedDays(
        pd.Index(["A"]), pd.Timestamp("2024-01-01"), 400, np.zeros(5, int), np.array([9, 10, 99, 100, 300]), ones, 2 * ones
    )
    [row] = summaries(days, 100).to_dict("records")
    assert (row["repeats"], row["recency"], row["age"], row["value"]) == (2, 90, 91, 2)
    assert (row["spend_90"], row["spend"], row["value_365"]) == (2, 3, 6)
    assert summaries(days, 380)["spend_365"].item() == 3
    assert later_purchases(days, np.array([0]), 99, 300).to_dict("records") == [{"purchases": 2.0, "value": 4.0, "spend": 2.0}]


@pytest.mark.slow
def test_values_are_margins_only_where_every_product_has_one(corner):
    products = shop_frames()["products"]
    column = next((c for c in products if c.lower() == "margin"), "Margin")
    shop = corner(products=products.assign(**{column: 0.1}))
    with_margin = ValuedDays.of(shop)
    lines = shop.frame("transactions").query("units > 0")
    left = (lines["paid_cents"] - lines["list_cents"] * 0.9).groupby([lines["customer_id"], lines["time"].dt.normalize()]).sum()
    np.testing.assert_allclose(with_margin.margin, left / 100, atol=0.05)  # each line is rounded to a cent
    assert with_margin.kind == "margin"
    without = ValuedDays.of(corner(products=products.drop(columns=column, errors="ignore")))
    assert (without.kind, without.margin) == ("spend", None)
    assert (with_margin.margin < with_margin.spend).all()
    np.testing.assert_array_equal(with_margin.spend, without.spend)


def synthetic(n=400, length=200, seed=6):
    """Days of shopping from the model's own story, in whole days."""
    rng = np.random.default_rng(seed)
    model = BgNbd(1.5, 30.0, 1.0, 30.0)
    first = rng.integers(0, 40, n)
    rows = lives(model, n, float(length), rng)
    who = np.append(rows[:, 0].astype(int), np.arange(n))
    day = np.append(np.ceil(rows[:, 1]).astype(int), np.zeros(n, int)) + first[who]
    pairs = np.unique(np.column_stack([who, day])[day < length], axis=0)
    spend = rng.gamma(3.0, 4.0, len(pairs))
    names = pd.Index([f"C{i:04d}" for i in range(n)], dtype=object)
    return ValuedDays(names, pd.Timestamp("2024-01-01"), length, pairs[:, 0], pairs[:, 1], spend, None)


def test_worth_is_purchases_times_value_and_survives_saving():
    days = synthetic()
    known = summaries(days, 150)
    known.loc[known.index[known["repeats"] > 0][0], "value"] = -3.0
    for frequent in (False, True):
        worth = fit_worth(known, frequent)
        ahead = worth.forecast(known, 50)
        assert worth.left_out == 1
        assert (worth.spending.slope != 0) == frequent
        np.testing.assert_allclose(ahead["value"], ahead["purchases"] * ahead["each"])
        assert ahead["alive"].between(0, 1).all()
        again = Worth.from_parts({k: v.copy() for k, v in worth.parts().items()})
        pd.testing.assert_frame_equal(again.forecast(known, 50), ahead)
    assert (ahead["purchases"] <= 50 * worth.purchases.rate(known["repeats"], known["age"]) + 1e-9).all()
    assert rate_tilt(worth.purchases, known.assign(repeats=0.0, age=0.0)) == pytest.approx(np.zeros(len(known)))


def test_weeks_add_up_to_all_repeat_purchases():
    days = synthetic(length=196)
    model = fit_worth(summaries(days, 140)).purchases
    table = weekly(days, model, 140)
    assert len(table) == 28
    assert table["actual"].sum() == summaries(days, 196)["repeats"].sum()  # all came first before day 40
    first = pd.Series(days.day).groupby(days.who).min()
    assert table["expected"].sum() == pytest.approx(sum(model.newcomer(float(195 - f))[0] for f in first))
    assert table["expected"].sum() == pytest.approx(table["actual"].sum(), rel=0.15)


@pytest.mark.slow
@pytest.mark.parametrize(("amid", "life"), [(False, 1e9), (True, 1e9), (False, 1500.0)])
def test_where_the_weekly_forecast_goes_wrong(amid, life):
    """What the paper says of it: a table that begins amid lives hides the first weeks, and losses by the calendar lower the rest."""
    rng = np.random.default_rng(11)
    n, length = 4000, 546
    rate, end = rng.gamma(1.8, 1 / 15.0, n), np.minimum(rng.exponential(life, n), length)
    day = np.cumsum(rng.exponential(1 / rate[:, None], (n, 600)), axis=1)
    day = np.column_stack([np.full(n, np.nan) if amid else np.zeros(n), day])
    who, _ = np.nonzero(day < end[:, None])
    pairs = np.unique(np.column_stack([who, day[day < end[:, None]].astype(int)]), axis=0)
    days = ValuedDays(pd.Index(np.arange(n)), pd.Timestamp("2024-01-01"), length, *pairs.T, np.ones(len(pairs)), None)
    known = summaries(days, 364)
    table = weekly(days, fit_bgnbd(known["repeats"], known["recency"], known["age"]), 364)
    early, rest = (part["expected"].sum() / part["actual"].sum() - 1 for part in (table[:4], table[20:52]))
    assert early < -0.12 if amid else abs(early) < 0.04
    assert rest < -0.025 if life < 1e6 else abs(rest) < 0.02


def brute_gini(actual, score):
    order = np.argsort(-score, kind="stable")
    curve = np.append(0, np.cumsum(actual[order])) / actual.sum()
    return 2 * np.trapezoid(curve, np.linspace(0, 1, len(curve))) - 1


def test_gini_and_auc_against_their_definitions():
    rng = np.random.default_rng(7)
    actual, score = rng.gamma(1, 1, 200), rng.normal(size=200)
    one = np.ones(200)
    assert judge.gini(actual, score)(one) == pytest.approx(brute_gini(actual, score) / brute_gini(actual, actual))
    assert judge.gini(actual, actual)(one) == pytest.approx(1)
    assert judge.concentration(actual, np.zeros(200))(one) == pytest.approx(0)  # one group is the diagonal
    twice = rng.integers(0, 3, 200)
    rows = np.repeat(np.arange(200), twice)
    assert judge.gini(actual, score)(twice.astype(float)) == pytest.approx(
        judge.gini(actual[rows], score[rows])(np.ones(len(rows)))
    )
    yes, tied = actual > 1, np.round(score)
    pairs = np.sign(tied[yes][:, None] - tied[~yes][None])
    assert judge.weighted_auc(yes, tied)(one) == pytest.approx((pairs.mean() + 1) / 2)


@pytest.mark.slow
def test_compare_has_intervals_and_paired_gaps():
    rng = np.random.default_rng(8)
    actual = rng.gamma(1, 1, 500)
    scores = {"good": actual + rng.normal(size=500) / 3, "same": actual * 2, "noise": rng.normal(size=500)}
    table = judge.compare(judge.gini, actual, scores, "same", np.arange(500), 8, 200).set_index("method")
    assert table.loc["same", ["gap", "gap_low", "gap_high"]].abs().max() < 1e-12
    assert table.loc["noise", "low"] < 0 < table.loc["noise", "high"]
    assert table.loc["good", "low"] < table.loc["good", "estimate"] < table.loc["good", "high"] < 1
    with pytest.raises(ValueError, match="is 1 for all 500 customers: nothing to rank"):
        judge.compare(judge.gini, np.ones(500), scores, "same", np.arange(500), 8)
    with pytest.raises(ValueError, match="'bad' must have a finite number for each of 500"):
        judge.compare(judge.gini, actual, {"bad": np.full(500, np.nan)}, "bad", np.arange(500), 8)


def test_groups_tenths_bins_and_ratios():
    rng = np.random.default_rng(9)
    repeats = np.array([0.0, 0, 1, 2, 3, 4, 7, 8, 500])
    table = judge.by_repeats(repeats, repeats + 1, repeats)
    assert table["group"].tolist() == ["0", "1", "2\N{EN DASH}3", "4\N{EN DASH}7", "8\N{EN DASH}15", "128+"]
    assert table["customers"].tolist() == [2, 1, 2, 2, 1, 1]
    assert (table["forecast"] - table["actual"] == 1).all()
    actual = rng.gamma(1, 1, 1000)
    tenths = judge.deciles(actual, {"best": actual, "none": np.zeros(1000)}, np.arange(1000), 9).set_index(["method", "part"])
    assert tenths.loc["best", "share"].sum() == pytest.approx(1)
    assert tenths.loc[("best", 1), "share"] == pytest.approx(np.sort(actual)[-100:].sum() / actual.sum())
    assert tenths.loc["none", "low"].lt(0.1).sum() >= 8
    top = actual >= np.sort(actual)[-100]
    drawn = [actual[r][top[r]].sum() / actual[r].sum() for r in rng.integers(0, 1000, (200, 1000))]
    told = (tenths.loc[("best", 1), "high"] - tenths.loc[("best", 1), "low"]) / 2 / stats.norm.ppf(0.975)
    assert abs(np.log(np.std(drawn, ddof=1) / told)) < 4 * np.sqrt(1 / 400)
    value, low, high = judge.ratio(2 * actual, actual)
    assert value == low == high == 2
    chance = rng.random(4000)
    bins = judge.probability_calibration(chance, rng.random(4000) < chance, np.linspace(0, 1, 5))
    assert bins["customers"].sum() == 4000
    assert ((bins["low"] < bins["forecast"]) & (bins["forecast"] < bins["high"])).sum() >= 3


def test_targeting_against_counting():
    rng = np.random.default_rng(10)
    gain, score = rng.normal(1, 2, 400), rng.normal(size=400)
    shares = np.array([0, 0.25, 0.5, 1])
    table = judge.targeting_gain(gain, {"score": score, "gain": gain}, shares, np.arange(400), 10, 100).set_index(
        ["method", "share"]
    )
    first = gain[np.argsort(-score)]
    for share in shares:
        row = table.loc[("score", share)]
        assert row["gain"] == pytest.approx(first[: int(400 * share)].sum() / 400)
        assert row["more"] == pytest.approx(row["gain"] - share * gain.mean())
        assert row["low"] <= row["high"]
    assert table.loc[("gain", 0.5), "more_low"] > 0
    assert table.loc[("gain", 1), ["more", "more_low", "more_high"]].abs().max() < 1e-12
    with pytest.raises(ValueError, match="they must end at 1"):
        judge.targeting_gain(gain, {"score": score}, shares[:-1], np.arange(400), 10)
