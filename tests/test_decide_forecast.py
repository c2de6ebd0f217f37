"""Forecasts, fatigue and season: lines that cover, parameters that are found again, and what cannot be known said so."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from promo_helpers.decide import fatigue, forecast
from promo_helpers.decide.forecast import (
    Calibration,
    calibrated_forecast,
    fit_calibration,
    fit_calibrations,
    forecast_against_holdout,
)
from promo_helpers.decide.policies import profit_policy
from promo_helpers.evaluate.value import outcome_scores, shop_profit
from promo_helpers.models.demand import fit_demand_response, out_of_fold_forecast
from promo_helpers.shop import Shop, ShopWriter
from tests.test_models_response import COSTS, trial


def test_both_intervals_cover():
    rng, inside = np.random.default_rng(0), []
    for _ in range(400):
        promised, scale = rng.gamma(2, 1, 500), rng.gamma(2, 1, 500)
        came = 0.5 + 0.6 * promised + np.repeat(rng.normal(size=250), 2) + rng.normal(size=500) * np.sqrt(scale)
        line = fit_calibration(promised, came, np.repeat(np.arange(250), 2), came - 0.5 - 0.6 * promised, scale)
        ahead, size = rng.gamma(2, 1, 200), rng.gamma(2, 1, 200)
        truth = (0.5 + 0.6 * ahead).sum()
        realised = truth + (np.sqrt((scale + 1).sum() / scale.sum()) * rng.normal(size=200) * np.sqrt(size)).sum()
        found = calibrated_forecast(line, ahead, size)
        inside.append(
            (
                found["confidence_low"] <= truth <= found["confidence_high"],
                found["prediction_low"] <= realised <= found["prediction_high"],
            )
        )
    bounds = stats.binom.ppf([0.0005, 0.9995], 400, 0.95)
    for covered in np.sum(inside, axis=0):
        assert bounds[0] <= covered <= bounds[1]


def test_a_flat_promise_gets_its_level_and_a_holdout_its_noise():
    rng = np.random.default_rng(1)
    score = rng.normal(3, 1, 400)
    line = fit_calibration(np.full(400, 5.0), score, np.arange(400), score - 3, np.ones(400))
    assert line.slope == 1
    assert line.intercept == pytest.approx(score.mean() - 5)
    assert calibrated_forecast(line, np.full(10, 5.0), np.ones(10))["expected"] == pytest.approx(10 * score.mean())
    line = Calibration(0.0, 1.0, ((0.0, 0.0), (0.0, 0.0)), 4.0)
    found = forecast_against_holdout(line, np.ones(90), np.ones(90), np.ones(10))
    assert found["prediction_high"] - found["expected"] == pytest.approx(1.959963985 * np.sqrt(4 * (90 + 10 * 81)))
    assert np.isnan(forecast_against_holdout(line, np.ones(90), np.ones(90), np.ones(0))["prediction_high"])
    assert Calibration.of_facts(line.facts()) == line
    with pytest.raises(ValueError, match="9 decisions are too few"):
        fit_calibration(np.ones(9), np.ones(9), np.arange(9), np.ones(9), np.ones(9))


@pytest.mark.slow
def test_lines_of_a_sound_model_are_near_one():
    made, _ = trial(6000)
    response, part = fit_demand_response(made, COSTS, 1, 2)
    found = out_of_fold_forecast(response, made.features, part)
    tied = np.array(response.tied)[part]
    scores = outcome_scores(made, {"profit": shop_profit(made, COSTS, tied)}, 1)["profit"]
    lines = fit_calibrations(made, found, profit_policy(found), scores, tied, COSTS)
    revenue = lines["revenue"]
    assert abs(revenue.slope - 1) < 4 * np.sqrt(revenue.cov[1][1])
    sent = profit_policy(found) > 0
    size = np.ones(sent.sum())
    told = calibrated_forecast(revenue, found.revenue[sent, made.arm[sent]], size)
    assert told["confidence_low"] < made.outcome("revenue")[sent].sum() < told["confidence_high"]


def test_tiredness_is_the_sum_over_earlier_contacts():
    day = pd.Timestamp("2025-01-01")
    sent = pd.DataFrame({"customer_id": ["a", "a", "b"], "time": [day, day + pd.Timedelta(days=30), day]})
    at = pd.DataFrame(
        {"customer_id": ["b", "a", "a", "c"], "time": [day + pd.Timedelta(days=60), day + pd.Timedelta(days=60), day, day]}
    )
    np.testing.assert_allclose(fatigue.fatigue_level(sent, at, 30.0), [0.25, 0.75, 0.0, 0.0])
    np.testing.assert_allclose(fatigue.fatigue_level(sent, at, 0.1), 0, atol=1e-12)  # long forgotten, and nothing overflows
    with pytest.raises(ValueError, match="half_life = 0"):
        fatigue.fatigue_level(sent, at, 0)


def test_fatigue_is_found_again_and_groups_are_pooled():
    rng, n = np.random.default_rng(2), 40_000
    tired = {h: rng.gamma(1, 0.2, n) for h in (14.0, 30.0)}
    group, other = rng.integers(0, 3, n), {h: rng.gamma(1, 0.2, n) for h in (14.0, 30.0)}
    expected = rng.gamma(2, 0.2, n)
    used = rng.poisson(expected * np.exp(-0.7 * tired[30.0] - 0.4 * other[30.0]))
    found = fatigue.fit_fatigue(used, expected, tired, other, group, np.arange(n), 30.0)
    assert found.assumed["low"] < 0.7 < found.assumed["high"]
    assert found.assumed["possible"]
    assert not found.lives.set_index("half_life").loc[14.0, "possible"]
    assert found.groups["phi"].std() < found.groups["own"].std()
    assert found.groups["rows"].sum() == n
    same = {h: np.ones(n) for h in tired}
    with pytest.raises(ValueError, match="same tiredness"):
        fatigue.fit_fatigue(used, expected, same, other, group, np.arange(n), 30.0)
    with pytest.raises(ValueError, match="half_life = 7"):
        fatigue.fit_fatigue(used, expected, tired, other, group, np.arange(n), 7.0)


def test_pooling_is_that_of_dersimonian_and_laird():
    own, error = np.array([1.0, 2.0, 6.0]), np.array([0.5, 1.0, 0.5])
    pooled, errors, variance = fatigue.partial_pooling(own, error)
    w = 1 / error**2
    q = (w * (own - (w * own).sum() / w.sum()) ** 2).sum()
    assert variance == pytest.approx((q - 2) / (w.sum() - (w**2).sum() / w.sum()))
    assert (np.sort(pooled) == pooled).all()
    assert pooled[0] > own[0]
    assert pooled[2] < own[2]
    assert (errors < 1.0).all()
    alike, _, none = fatigue.partial_pooling(np.array([1.0, 1.1, 0.9]), error)
    assert none == 0
    assert np.ptp(alike) < 1e-12


def test_a_rhythm_is_the_geometric_sum_and_tired_customers_earn_less():
    by_hand = sum(2.0 ** (-k * 10 / 30) for k in range(1, 500))
    assert fatigue.steady(np.array([10.0]), 30.0)[0] == pytest.approx(by_hand)
    every = np.array([5.0, 20.0, 60.0])
    none, some = (fatigue.monthly_profit(every, 10.0, 1.5, 0.0, phi, 30.0) for phi in (0.0, 0.6))
    np.testing.assert_allclose(none, 8.5 * 30 / every)
    assert (some < none).all()
    assert some.argmax() > none.argmax()


def test_the_season_is_the_pace_of_a_year_ago():
    days = pd.date_range("2024-01-01", periods=800)
    units = pd.Series(100.0, index=days)
    units[(days >= "2024-12-01") & (days < "2025-01-01")] = 200.0
    learnt = pd.DatetimeIndex(["2025-06-01", "2025-07-01"])
    assert forecast.season_level(units, learnt, pd.Timestamp("2025-06-20"))[0] == pytest.approx(1)
    after, sentence = forecast.season_level(
        units, learnt, pd.Timestamp("2025-12-31")
    )  # a year ago: January, after a December of twice the trade
    assert after == pytest.approx(0.5, abs=0.02)
    assert "less than the weeks before" in sentence
    assert forecast.season_level(units, learnt, pd.Timestamp("2025-12-01"))[0] == pytest.approx(2, abs=0.15)
    none, sentence = forecast.season_level(units, learnt, pd.Timestamp("2024-12-31"))
    assert none == 1
    assert "no year to look back on" in sentence


def test_daily_units_have_every_day(tmp_path):
    time = pd.to_datetime(["2025-01-01 09:00", "2025-01-03 10:00", "2025-01-03 11:00", "2025-01-03 12:00"])
    with ShopWriter(tmp_path / "shop", source="test", currency="LKR") as writer:
        writer.append("transactions", pd.DataFrame({"transaction_id": range(4), "time": time, "units": [2, 3, 4, -1]}))
    assert forecast.daily_units(Shop(tmp_path / "shop")).tolist() == [2, 0, 7]


def test_a_level_moves_what_is_sold_and_not_what_a_contact_costs():
    made, _ = trial(1500)
    response, _ = fit_demand_response(made, COSTS, 1, 0)
    x = made.features.iloc[:40]
    found = response.expected(x)
    half = forecast.at_level(response, found, x, 0.5)
    np.testing.assert_allclose(half.revenue, 0.5 * found.revenue)
    sent = np.arange(5) > 0
    np.testing.assert_allclose(half.spend, 0.5 * found.discount + 1.5 * sent)
    cost = COSTS.of(x)[:, None] * sent
    np.testing.assert_allclose(half.gain + cost, 0.5 * (found.gain + cost))
    assert (half.buys < found.buys).all()
    same = forecast.at_level(response, found, x, 1.0)
    np.testing.assert_allclose(same.buys, found.buys)
