"""Waiting times: features blind to the future, censoring, scores against brute force, models on worlds whose truth is known."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lifelines import KaplanMeierFitter

from promo_helpers.evaluate import survival as judge
from promo_helpers.features import waiting
from promo_helpers.features.purchases import Purchases
from promo_helpers.models import timing

H = 28


def shop_days(rng, customers=300, length=400, rates=(0.03, 0.4), lost=0.0):
    """Poisson visits at a rate per customer; a share `lost` of them stops coming at a random day."""
    rate = np.exp(rng.uniform(*np.log(rates), customers))
    stop = np.where(rng.random(customers) < lost, rng.integers(60, length, customers), length)
    come = (rng.random((customers, length)) < -np.expm1(-rate)[:, None]) & (np.arange(length) < stop[:, None])
    who, day = np.nonzero(come)
    return waiting.ShoppingDays(pd.Timestamp("2025-01-06"), length, who, day, rng.integers(1, 50, len(who)) + 0.0), rate, stop


@pytest.fixture(scope="module")
def world():
    return shop_days(np.random.default_rng(0), 900, lost=0.3)


def test_features_against_plain_loops(world):
    days = world[0]
    table = waiting.known_at(days, 200).set_index("customer")
    for who in (0, 5, 17, 100):
        mine = days.day[(days.who == who) & (days.day < 200)]
        row = table.loc[who]
        gaps = np.diff(mine)
        assert row["recency"] == 200 - mine[-1]
        assert row["tenure"] == 200 - mine[0]
        assert row["shopping_days"] == len(mine)
        assert row["days_28"] == (mine >= 172).sum()
        assert row["days_84"] == (mine >= 116).sum()
        if len(gaps):
            assert row["gap_mean"] == pytest.approx(gaps.mean())
            assert row["gap_median"] == np.median(gaps)
            assert row["gap_last"] == gaps[-1]
        if len(gaps) > 1:
            assert row["gap_spread"] == pytest.approx(gaps.std(ddof=1))
        assert row["share_tue"] == pytest.approx(np.mean(mine % 7 == 1))  # day 0 is a Monday
        spend = days.spend[(days.who == who) & (days.day < 200)]
        assert row["spend_mean"] == pytest.approx(spend.mean())
        assert row["spend_84"] == pytest.approx(spend[mine >= 116].sum())


def test_features_are_blind_to_the_future(world):
    days = world[0]
    early = days.day < 200
    cut = waiting.ShoppingDays(days.start, days.length, days.who[early], days.day[early], days.spend[early])
    pd.testing.assert_frame_equal(waiting.known_at(days, 200), waiting.known_at(cut, 200))


def test_waits_against_plain_loops_and_who_waits_stays(world):
    days = world[0]
    customers = np.unique(days.who)
    for until in (None, 260):
        wait, seen = waiting.waits(days, customers, 240, until)
        for who, w, s in zip(customers, wait, seen, strict=True):
            later = days.day[(days.who == who) & (days.day >= 240) & (days.day < (until or days.length))]
            assert s == (len(later) > 0)
            assert w == (later[0] - 240 + 1 if len(later) else (until or days.length) - 240)
    rows = waiting.moments(days, [240], customers)
    assert len(rows) == len(waiting.known_at(days, 240))
    assert (~rows["seen"]).any()


def test_sizes_by_hand(world):
    rows = waiting.moments(world[0], [300, 360], np.arange(50))
    table = waiting.part_sizes(world[0], {"a": rows}, H).iloc[0]
    assert (table["dates"], table["customers"], table["number"]) == (2, rows["customer"].nunique(), len(rows))
    assert table["first"] == pd.Timestamp("2025-01-06") + pd.Timedelta(days=300)
    assert table["never"] == pytest.approx(1 - rows["seen"].mean())
    assert table["later"] == pytest.approx((timing.cut_waits(rows, H) > H).mean())


def test_a_moment_outside_the_data_is_refused(world):
    for moment in (0, -3, 401):
        with pytest.raises(ValueError, match=rf"moment = {moment}: must lie in 1 .. 400"):
            waiting.known_at(world[0], moment)


@settings(max_examples=60, deadline=None)
@given(st.integers(183, 900), st.integers(7, 28), st.integers(0, 14), st.integers(1, 8), st.integers(2, 8))
def test_windows_never_overlap_and_the_embargo_holds(length, horizon, embargo, tests, fits):
    plan = waiting.schedule(length, horizon, embargo, tests, fits)
    assert plan.fit[0] >= 84
    assert 2 <= len(plan.fit) <= fits
    assert 1 <= len(plan.test) <= tests
    assert plan.cut + embargo <= plan.test[0]
    assert plan.test[-1] + horizon <= length
    assert (np.diff(plan.fit + plan.test) >= horizon).all()
    if (horizon + 1) % 7:
        assert len({d % 7 for d in plan.test}) == min(len(plan.test), 7)


def test_three_weeks_are_too_few_and_the_message_says_how_many_are_needed():
    with pytest.raises(ValueError, match="21 days of data: at least 183 are needed"):
        waiting.schedule(21)
    assert len(waiting.schedule(183).fit) == 2


def test_shopping_days_join_the_baskets_of_a_day(corner):
    purchases = Purchases.of(corner)
    days = waiting.ShoppingDays.of(purchases)
    frame = pd.DataFrame({"who": purchases.who, "day": purchases.day, "cents": purchases.cents})
    plain = frame.groupby(["who", "day"])["cents"].sum().reset_index()
    np.testing.assert_array_equal(days.who, plain["who"])
    np.testing.assert_array_equal(days.day, plain["day"])
    np.testing.assert_allclose(days.spend, plain["cents"] / 100)
    assert days.weekday(0) == purchases.start.weekday()


def test_scores_against_brute_force():
    rng = np.random.default_rng(1)
    wait, seen = rng.integers(1, 60, 200), rng.random(200) < 0.8
    wait = np.where(seen, wait, wait + H)
    curve = np.sort(rng.random((200, H)), axis=1)
    forecast = waiting.of_curve(curve)
    true = np.where(seen & (wait <= H), wait, H + 1)
    found = judge.score(forecast, wait, seen, H)
    for i in range(20):
        chances = [*curve[i], 1.0]
        assert forecast.middle[i] == next(d for d, c in enumerate(chances, 1) if c >= 0.5)
        assert forecast.low[i] == next(d for d, c in enumerate(chances, 1) if c >= 0.1)
        assert forecast.high[i] == next(d for d, c in enumerate(chances, 1) if c >= 0.9)
    assert found["error"] == pytest.approx(np.abs(forecast.middle - true).mean())
    plain = [sum((curve[i, d - 1] - (true[i] <= d)) ** 2 for d in range(1, H + 1)) for i in range(200)]
    assert found["crps"] == pytest.approx(np.mean(plain))
    mean = [sum(1 - ([0.0, *curve[i]])[d] for d in range(H + 1)) for i in range(200)]
    np.testing.assert_allclose(forecast.mean, mean)
    came, pairs, right = seen & (wait <= H), 0, 0.0
    for i in range(200):
        for j in range(200):
            if came[i] and true[i] < true[j]:
                pairs += 1
                right += 0.5 if mean[i] == mean[j] else float(mean[i] < mean[j])
    assert found["concordance"] == pytest.approx(right / pairs, abs=2e-3)


def test_a_point_forecast_has_its_absolute_error_as_crps_and_no_interval():
    found = judge.score(waiting.of_points(np.array([2.0, 40.0]), H), np.array([5, 200]), np.array([True, False]), H)
    assert found["error"] == found["crps"] == 1.5
    assert "coverage" not in found


def test_who_was_not_followed_is_refused():
    with pytest.raises(ValueError, match="1 waits were not followed for 28 days"):
        judge.score(waiting.of_points(np.ones(2), H), np.array([3, 5]), np.array([True, False]), H)
    with pytest.raises(ValueError, match="1 forecasts are not finite"):
        waiting.of_points(np.array([1.0, np.nan]), H)
    with pytest.raises(ValueError, match="1 customers were not followed for 28 days"):
        timing.cut_waits(pd.DataFrame({"wait": [3, 5], "seen": [True, False]}), H)


def test_the_truth_has_the_least_crps_and_is_calibrated():
    rng = np.random.default_rng(2)
    rate = np.exp(rng.uniform(-4, -1, 4000))
    wait = rng.geometric(-np.expm1(-rate))
    rows = pd.DataFrame({"date": 0, "wait": wait, "seen": True, "recency": 1.0, "gap_median": 1.0})
    curve = -np.expm1(-rate[:, None] * np.arange(1, H + 1))
    forecasts = {
        name: waiting.of_curve(-np.expm1(np.log1p(-curve) * f)) for name, f in (("truth", 1), ("half", 0.5), ("twice", 2))
    }
    forecasts["all"] = waiting.of_curve(np.tile(curve.mean(axis=0), (4000, 1)))
    values = judge.wait_scores(forecasts, rows, H)
    crps = values[values["metric"] == "crps"].set_index("method")["value"]
    assert crps.idxmin() == "truth"
    share = judge.attained(values, "truth", "all").set_index("method")["value"]
    assert share["truth"] == 1
    assert share["all"] == 0
    assert share["half"] < 1
    table = judge.wait_calibration(forecasts, rows)
    gap = (table["happened"] - table["foretold"]).abs().groupby(table["method"]).mean()
    assert gap["truth"] < 0.02 < gap["twice"]


def test_overdue_means_by_hand():
    rows = pd.DataFrame(
        {"wait": [1, 3, 50, 7], "seen": [True] * 4, "recency": [2.0, 4, 30, 1], "gap_median": [4.0, 8, 10, np.nan]}
    )
    twice = pd.concat([rows, rows], ignore_index=True)
    table = judge.overdue({"one": waiting.of_points(np.tile([5.0, 7, 9, 9], 2), H)}, twice, H).set_index(["method", "since"])
    assert table.loc[("happened", "0 to 0.5"), "days"] == 2
    assert table.loc[("one", "0 to 0.5"), "days"] == 6
    assert table.loc[("happened", "2 to 3"), "days"] == H + 1
    assert set(table.index.get_level_values("since")) == {"0 to 0.5", "2 to 3"}


def test_first_visits_of_a_poisson_process_with_loss_on_the_way():
    """Against a simulation, day by day; one minus exp(-all visits) is too hopeful where many are lost."""
    rng = np.random.default_rng(4)
    shape, loss, rate, n = np.tile([1.0, 3.0, 0.5, 0.0, 1.0, 2.0, 1.0], 4), 0.05, 0.15, 200_000
    there = rng.geometric(loss, n)[:, None]  # days on which she is there
    visits = rng.poisson(rate * shape, (n, H)) * (np.arange(H) < there)
    came = visits > 0
    seen = (np.cumsum(came, axis=1) > 0).mean(axis=0)
    curve = waiting.of_visits(np.array([visits.sum(axis=1).mean()]), shape[None, :], loss).curve[0]
    np.testing.assert_allclose(curve, seen, atol=0.005)
    assert -np.expm1(-visits.sum(axis=1).mean()) > seen[-1] + 0.05
    plain = waiting.of_visits(np.array([2.0, 0.0]), np.ones((2, H))).curve
    np.testing.assert_allclose(plain[0], -np.expm1(-2.0 * np.arange(1, H + 1) / H))
    assert (plain[1] == 0).all()  # who is lost does not come
    with pytest.raises(ValueError, match="1 rows of `shape` have no day"):
        waiting.of_visits(np.ones(2), np.stack([np.ones(H), np.zeros(H)]))


def test_newcomers_against_plain_loops_and_the_waiting_are_counted():
    days = shop_days(np.random.default_rng(6), 400, rates=(0.005, 0.1), lost=0.5)[0]
    customers = np.arange(0, 400, 2)
    for first, until in ((0, 60), (60, 160)):
        wait, seen, _ = waiting.newcomers(days, customers, first, until)
        plain = []
        for who in customers:
            mine = days.day[(days.who == who) & (days.day < until)]
            if len(mine) and mine[0] >= first and (len(mine) > 1 or until - 1 > mine[0]):
                plain.append((mine[1] - mine[0], True) if len(mine) > 1 else (until - 1 - mine[0], False))
        assert list(zip(wait.tolist(), seen.tolist(), strict=True)) == plain
        assert 0 < seen.mean() < 1
        curve = timing.after_first(wait, seen, H)
        fitted = KaplanMeierFitter().fit(wait, seen).survival_function_at_times(np.arange(1, H + 1)).to_numpy()
        np.testing.assert_allclose(curve, 1 - fitted, atol=1e-9)
        assert curve[-1] < (wait[seen] <= H).mean()  # what leaving the waiting out would say
    with pytest.raises(ValueError, match="nobody has a first visit"):
        timing.after_first(*waiting.newcomers(days, customers[:0], 0, 100)[:2], H)


def test_an_error_of_those_who_came_back():
    found = judge.score(waiting.of_points(np.array([2.0, 40, 9]), H), np.array([5, 200, 8]), np.array([True, False, True]), H)
    assert found["error"] == pytest.approx(4 / 3)
    assert found["returned"] == 2


def test_off_points_by_hand_and_between_methods():
    rng = np.random.default_rng(5)
    n = 4000
    chance = rng.uniform(0.1, 0.9, n)
    seen = rng.random(n) < chance
    rows = pd.DataFrame({"customer": np.arange(n) // 2, "wait": np.where(seen, 3, 50), "seen": True})
    flat = {"right": chance, "over": np.minimum(chance + 0.1, 1), "all": np.full(n, 0.5)}
    forecasts = {m: waiting.of_curve(np.tile(c[:, None], (1, H))) for m, c in flat.items()}
    forecasts["point"] = waiting.of_points(np.full(n, 4.0), H)
    table = judge.calibration_error(forecasts, rows, "right", rows["customer"], 0, draws=200).set_index("method")
    assert list(table.index) == ["right", "over", "all"]
    plain = judge.wait_calibration(forecasts, rows)
    plain = (plain["happened"] - plain["foretold"]).abs().groupby(plain["method"]).mean()
    for name in table.index:
        assert table.loc[name, "off"] == pytest.approx(plain[name])
        assert table.loc[name, "low"] < table.loc[name, "high"]
    assert table.loc["over", "more_low"] > 0
    assert table.loc["over", "more"] == pytest.approx(table.loc["over", "off"] - table.loc["right", "off"])
    assert table.loc["right", "more_high"] == 0


def test_a_dip_that_is_composition_goes_away_among_customers_alike():
    """Memoryless visits: no step in truth, but the frequent cannot be in the first bin; a world of clocks has a real one."""
    days = shop_days(np.random.default_rng(5), 900)[0]
    rows = waiting.moments(days, list(range(150, 370, 29)))
    rows = rows[rows["gap_median"].notna()].reset_index(drop=True)
    table = judge.since_last(rows, H).set_index("since")
    assert list(table.index) == ["0.5 to 1", "1 to 1.5", "1.5 to 2"]
    true = np.where(rows["seen"] & (rows["wait"] <= H), rows["wait"], H + 1)
    since = (rows["recency"] / rows["gap_median"]).to_numpy()
    plain = true[(since > 0.5) & (since <= 1)].mean() - true[since <= 0.5].mean()
    assert table.loc["0.5 to 1", "raw"] == pytest.approx(plain)
    assert table.loc["0.5 to 1", "rows"] == ((since > 0.5) & (since <= 1)).sum()
    assert table.loc["0.5 to 1", "raw_high"] < 0  # the dip
    assert table.loc["0.5 to 1", "alike_low"] < 0 < table.loc["0.5 to 1", "alike_high"]
    gap = np.repeat([6.0, 10, 14], 200)
    waited = np.random.default_rng(0).integers(1, gap)
    clock = pd.DataFrame({"customer": np.arange(600), "gap_median": gap, "rate": 1 / gap, "recency": waited + 0.0})
    clock = clock.assign(wait=(gap - waited).astype(int), seen=True)
    assert judge.since_last(clock, H).set_index("since").loc["0.5 to 1", "alike_high"] < -3


def test_folds_respect_time_and_customers(world):
    rows = waiting.moments(world[0], [120, 149, 178, 207])
    pairs = timing.folds(rows, rows["customer"], 0)
    assert len(pairs) == 3
    for before, scored in pairs:
        assert rows["date"].iloc[before].max() < rows["date"].iloc[scored].min()
        assert not set(rows["customer"].iloc[before]) & set(rows["customer"].iloc[scored])
        assert len(before)
        assert len(scored)
    with pytest.raises(ValueError, match="1 date: a search"):
        timing.folds(rows[rows["date"] == 120], rows.loc[rows["date"] == 120, "customer"], 0)


@pytest.mark.slow
def test_models_learn_a_memoryless_world_and_see_who_is_lost(world):
    """Visits are Poisson and a third of the customers stop: personal gaps are hopeless, survival models come near the truth."""
    days, rate, stop = world
    learners = np.arange(450)
    fit = waiting.moments(days, [120, 149, 178, 207, 236], learners, 264)
    test = waiting.moments(days, [300, 329, 358], np.arange(450, 900))
    columns = timing.usable(fit)
    usual = float(fit["gap_median"].median())
    forest = timing.fit_wait_forest(fit, H, {"n_estimators": 60, "max_depth": 8}, columns, 1)
    chances = timing.fit_daily(fit, days.weekday(fit["date"].to_numpy()), H, columns, 1)
    who, date = test["customer"].to_numpy(), test["date"].to_numpy()
    left = np.clip(stop[who] - date, 0, H)[:, None]
    true = -np.expm1(-rate[who][:, None] * np.minimum(np.arange(1, H + 1), left))
    forecasts = {
        "all": timing.everybody(fit, len(test), H),
        "gap": timing.personal_gap_forecast(test, usual, H),
        "rate": timing.constant_rate(test, H),
        "forest": timing.forest_mean(forest, test, H, columns),
        "leaves": timing.forest_curve(forest, fit, test, H, columns),
        "quantiles": timing.boosted_quantiles(fit, test, H, columns, 1),
        "weibull": timing.survival_curve(timing.survival(fit, usual), test, usual, H),
        "daily": timing.daily_curve(chances, test, days.weekday(date), H, columns),
        "truth": waiting.of_curve(true),
    }
    crps = judge.wait_scores(forecasts, test, H).query("metric == 'crps'").groupby("method")["value"].mean()
    assert crps.idxmin() == "truth"
    assert crps[["leaves", "daily", "weibull"]].max() < crps[["all", "gap", "rate", "forest"]].min()
    share = (crps["all"] - crps) / (crps["all"] - crps["truth"])
    assert share["daily"] > 0.7
    scores = judge.wait_scores(forecasts, test, H).query("metric == 'coverage'").groupby("method")["value"].mean()
    assert (scores[["leaves", "daily", "quantiles"]] > 0.77).all()


def test_the_leaves_are_the_distribution_whose_mean_the_forest_tells(world):
    fit = waiting.moments(world[0], [120, 149, 178])
    columns = timing.usable(fit)
    # without resampling every leaf's value is the mean of the very rows that lie in it
    forest = timing.fit_wait_forest(fit, H, {"n_estimators": 5, "max_depth": 4}, columns, 1).set_params(bootstrap=False)
    forest.fit(fit[columns].to_numpy(float), timing.cut_waits(fit, H))
    curve = timing.forest_curve(forest, fit, fit, H, columns)
    np.testing.assert_allclose(curve.mean, forest.predict(fit[columns].to_numpy(float)))


def test_the_survival_model_is_told_of_the_waiting():
    """Halving the follow-up hides most returns; told so, the model still finds the mean wait, about 40 days."""
    rng = np.random.default_rng(3)
    n = 4000
    features = {c: np.exp(rng.standard_normal(n) * 0.1) * 10 for c in ("recency", "gap_mean", "tenure", "shopping_days")}
    wait = np.ceil(rng.exponential(40, n)).astype(int)
    rows = pd.DataFrame(
        {**features, "days_28": 1.0, "days_84": rng.integers(1, 4, n) + 0.0, "wait": np.minimum(wait, 20), "seen": wait <= 20}
    )
    model = timing.survival(rows, 10.0)
    came = timing.survival_curve(model, rows, 10.0, 60).curve.mean(axis=0)
    assert came[39] == pytest.approx(1 - np.exp(-1), abs=0.05)
    dropped = timing.survival(rows[rows["seen"]].reset_index(drop=True), 10.0)
    assert timing.survival_curve(dropped, rows, 10.0, 60).curve.mean(axis=0)[39] > 0.9  # what leaving them out would say


def test_daily_rows_of_one_customer_by_hand():
    rows = pd.DataFrame({"recency": [3.0], **dict.fromkeys(timing.SHARES, 0.1), "wait": [3], "seen": [True]}).assign(
        share_tue=0.4
    )
    table, source = timing.day_rows(rows, np.array([6]), np.array([3]), ["recency", *timing.SHARES])
    assert table["ahead"].tolist() == [1, 2, 3]
    assert table["weekday"].tolist() == [6, 0, 1]
    assert table["habit"].tolist() == [0.1, 0.1, 0.4]
    assert source.tolist() == [0, 0, 0]


def test_a_column_that_is_missing_everywhere_is_left_out(world):
    rows = waiting.moments(world[0], [120, 149]).assign(gap_median=np.nan)
    assert "gap_median" not in timing.usable(rows)
    with pytest.raises(ValueError, match="none of the 1 features has a value"):
        timing.usable(rows, ["gap_median"])


@pytest.mark.slow
def test_two_runs_give_the_same_numbers(world):
    fit = waiting.moments(world[0], [120, 149, 178])
    columns = timing.usable(fit)
    rows = fit.head(200)
    weekday = world[0].weekday(fit["date"].to_numpy())

    def once():
        forest = timing.fit_wait_forest(fit, H, {"n_estimators": 20, "max_depth": 6}, columns, 1)
        chances = timing.fit_daily(fit, weekday, H, columns, 1)
        return [
            timing.forest_curve(forest, fit, rows, H, columns).curve.tobytes(),
            timing.forest_mean(forest, rows, H, columns).middle.tobytes(),
            timing.boosted_quantiles(fit, rows, H, columns, 1).middle.tobytes(),
            timing.daily_curve(chances, rows, weekday[:200], H, columns).curve.tobytes(),
        ]

    assert once() == once()
