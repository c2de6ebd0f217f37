"""A response ready for use: who is left out of what, forecasts from units to money, intervals, and the saved model."""

import numpy as np
import pandas as pd
import pytest

from promo_helpers.experiment.contacts import Costs
from promo_helpers.models.demand import DemandForecast, DemandResponse, fit_demand_response, out_of_fold_forecast
from tests.test_models_dose import dose_trial

COSTS = Costs(1.5, 0.01, 0.05)


def trial(n=4000, seed=0):
    """A trial whose units follow the model's own form, with what profit needs, and sales elsewhere that pay for nothing."""
    rng = np.random.default_rng(seed)
    made, expected = dose_trial(rng, n)
    x = made.features.assign(
        product_price=rng.choice([100.0, 200.0], n),
        margin=0.3,
        promotion_ahead=0.0,
        spend_90=rng.gamma(2, 500, n),
        product=rng.integers(0, 2, n) * 5.0,
    )
    units, used = made.outcomes["units"], made.outcomes["redeemed"]
    off = np.nan_to_num(made.depth)[made.arm]
    price = x["product_price"]
    outcomes = made.outcomes.assign(
        bought=(units > 0).astype(float), revenue=price * (units - off * used), discount=price * off * used,
        profit=price * (0.3 * units - off * used) - 1.5 * (made.arm > 0), substitutes=rng.normal(0, 1, n), product_after=0.0,
    )  # fmt: skip
    return type(made)(
        **{**{f: getattr(made, f) for f in made.__dataclass_fields__}, "features": x, "outcomes": outcomes}
    ), expected


@pytest.fixture(scope="module")
def fitted():
    made, expected = trial()
    return (made, expected, *fit_demand_response(made, COSTS, 1, 3))


@pytest.mark.slow
def test_each_row_is_judged_by_a_model_that_left_its_customer_out(fitted):
    made, _, response, part = fitted
    for customer in pd.unique(made.customer)[:200]:
        assert len(set(part[made.customer == customer])) == 1
    assert set(part) == {1, 2, 3}
    found = out_of_fold_forecast(response, made.features, part)
    two = response.expected(made.features[part == 2], 2)
    np.testing.assert_array_equal(found.gain[part == 2], two.gain)
    assert not np.allclose(two.gain, response.expected(made.features[part == 2]).gain)
    without = fit_demand_response(made.only(part != 2), COSTS, 1, 0)[0]  # the very rows that the second part's model has seen
    np.testing.assert_allclose(without.expected(made.features[part == 2]).units, two.units)


def test_money_follows_from_units(fitted):
    made, _, response, _ = fitted
    x = made.features.iloc[:100].assign(promotion_ahead=0.1)
    found = response.expected(x)
    price, off = x["product_price"].to_numpy()[:, None], np.nan_to_num(made.depth)
    np.testing.assert_allclose(found.discount, price * np.maximum(off - 0.1, 0) * found.redeemed)
    np.testing.assert_allclose(found.spend, found.discount + 1.5 * (np.arange(5) > 0))
    sold = (found.units - found.redeemed) * 0.9 + found.redeemed * (1 - np.maximum(off, 0.1))
    np.testing.assert_allclose(found.revenue, price * sold)
    leaving = (COSTS.of(x) - 1.5)[:, None] * (np.arange(5) > 0)
    bump = price * (0.3 - 0.1) * (found.units - found.units[:, :1]) * (1 - response.tied[0])
    np.testing.assert_allclose(found.gain, bump - found.spend - leaving)
    assert (found.gain[:, 0] == 0).all()


def test_the_units_and_the_chance_of_buying_are_near_the_truth(fitted):
    made, expected, response, part = fitted
    found = out_of_fold_forecast(response, made.features, part)
    assert abs(found.units.mean() / expected.mean() - 1) < 0.05
    assert np.corrcoef(found.units[:, 4], expected[:, 4])[0, 1] > 0.8
    bought = made.outcome("bought")
    for a in (0, 4):
        mine = made.arm == a
        error = bought[mine].std() / np.sqrt(mine.sum())
        assert abs(found.buys[mine, a].mean() - bought[mine].mean()) < 4 * error
    assert (found.buys >= 0).all()
    assert (found.buys <= 1).all()
    assert (found.buys[:, 4] >= found.buys[:, 2] - 1e-12).all()


def test_an_interval_is_the_jackknife_over_parts(fitted):
    made, _, response, _ = fitted
    x = made.features.iloc[:50]
    estimate, low, high = response.between(lambda f: f.gain[:, 3], x)
    parts = np.array([response.expected(x, k).gain[:, 3] for k in (1, 2, 3)])
    error = np.sqrt(2 / 3 * ((parts - parts.mean(axis=0)) ** 2).sum(axis=0))
    np.testing.assert_allclose(high - estimate, 4.302652729 * error)
    np.testing.assert_allclose(estimate - low, high - estimate)


def test_a_product_that_no_trial_offered_is_taken_as_unknown(fitted):
    made, _, response, _ = fitted
    assert response.tried == (0, 5)
    x = made.features.iloc[:30]
    np.testing.assert_array_equal(
        response.expected(x.assign(product=7.0)).units, response.expected(x.assign(product=np.nan)).units
    )


def test_saved_and_loaded_it_says_the_same(fitted, out):
    made, _, response, _ = fitted
    response.save(
        "response", {"shop": {}, "trained_from": "2025-01-01", "trained_to": "2025-12-01", "seed": 1, "command": "make it"}
    )
    again, facts = DemandResponse.load("response")
    assert facts["command"] == "make it"
    for k in range(4):
        np.testing.assert_array_equal(again.expected(made.features[:20], k).gain, response.expected(made.features[:20], k).gain)
    assert not list((out / "data" / "models" / "response").glob("*.pkl"))


def test_what_is_missing_is_named(fitted, out):
    made, *_ = fitted
    with pytest.raises(ValueError, match="parts = 1: at least two"):
        fit_demand_response(made, COSTS, 1, 1)
    with pytest.raises(FileNotFoundError, match="12_budget makes it"):
        DemandResponse.load("response")


def test_a_forecast_gives_the_rows_and_arms_that_are_asked_for():
    values = np.arange(6.0).reshape(3, 2)
    found = DemandForecast(*(values + k for k in range(7)))
    np.testing.assert_array_equal(found.of(np.array([1, 0, 1]))["units"], [1, 2, 5])
    np.testing.assert_array_equal(found.only(np.array([2])).gain, [[9, 10]])
