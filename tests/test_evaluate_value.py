"""The value of a policy from a trial: estimators against what they should be, their coverage, and the curve by share."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from promo_helpers.evaluate.value import (
    by_share,
    outcome_scores,
    policy_difference,
    policy_scores,
    policy_value,
    shop_profit,
    weighted_value,
)
from promo_helpers.experiment.contacts import Costs
from promo_helpers.inference import mean_by_cluster
from tests.test_models_response import trial

PLAN = np.array([0.5, 0.3, 0.2])


def drawn(rng, n=600):
    """Outcomes of a trial with three arms and customers of two rows each, whose noise they share: y, arm, chance, customer, x, means."""
    customer = np.repeat(np.arange(n // 2), 2)
    x = rng.normal(size=n)
    means = np.column_stack([x, x + 0.5, x + np.where(x > 0, 1.0, -0.5)])
    arm = rng.choice(3, n, p=PLAN)
    y = means[np.arange(n), arm] + rng.normal(size=n // 2)[customer] + rng.normal(size=n)
    return y, arm, PLAN[arm], customer, x, means


@pytest.mark.slow
def test_intervals_of_every_estimator_cover():
    rng, inside, worth = np.random.default_rng(0), [], 0.5 * 1.0
    for _ in range(400):
        y, arm, chance, customer, x, means = drawn(rng)
        policy = np.where(x > 0, 2, 0)  # worth 1 for the half whom it sends to
        scores = means.copy()
        scores[np.arange(len(y)), arm] += (y - scores[np.arange(len(y)), arm]) / chance
        found = [
            policy_value(scores, policy, customer),
            weighted_value(y, arm, chance, policy, customer),
            weighted_value(y, arm, chance, policy, customer, own_sum=False),
        ]
        found.append(policy_difference(scores, policy, np.ones(len(y), int), customer))
        inside.append([f["low"] <= w <= f["high"] for f, w in zip(found, [worth] * 3 + [0.0], strict=True)])
    for k, covered in enumerate(np.sum(inside, axis=0)):
        bounds = stats.binom.ppf([0.0005, 0.9995], 400, 0.95)
        assert bounds[0] <= covered <= bounds[1], f"estimator {k}: {covered} of 400"


def test_a_difference_is_paired():
    _y, _arm, _chance, customer, x, means = drawn(np.random.default_rng(1))
    scores = means + np.random.default_rng(2).normal(size=means.shape) * 10
    one, other = np.where(x > 0, 2, 0), np.where(x > 0.1, 2, 0)
    found = policy_difference(scores, one, other, customer)
    assert found["estimate"] == pytest.approx(
        policy_value(scores, one, customer)["estimate"] - policy_value(scores, other, customer)["estimate"]
    )
    assert found["se"] < 0.7 * policy_value(scores, one, customer)["se"]  # most rows get the same from both, and cancel
    assert policy_difference(scores, one, one, customer)["se"] == 0


def test_weighting_needs_somebody_who_got_it():
    y, arm, chance, customer, *_ = drawn(np.random.default_rng(3))
    with pytest.raises(ValueError, match="nobody got what the policy gives"):
        weighted_value(y, np.zeros_like(arm), chance, np.full_like(arm, 2), customer)
    with pytest.raises(ValueError, match=r"place in 0 \.\. 2"):
        policy_value(np.zeros((4, 3)), np.array([0, 1, 2, 3]), np.arange(4))
    with pytest.raises(ValueError, match="scores have 4 rows, the policy 3"):
        policy_value(np.zeros((4, 3)), np.array([0, 1, 2]), np.arange(4))


def test_the_profit_of_the_shop_that_the_window_shows_is_its_terms():
    made, _ = trial(500)
    costs, x = Costs(1.5, 0.01, 0.05), made.features.assign(promotion_ahead=0.1)
    made = replace(made, features=x)
    units = x["product_price"] * (0.3 - 0.1) * made.outcome("units")
    by_hand = made.outcome("profit") - 0.25 * units - np.where(made.arm > 0, 0.01 * 0.05 * 0.3 * 365 / 90 * x["spend_90"], 0)
    np.testing.assert_allclose(shop_profit(made, costs, 0.25), by_hand)
    scores = outcome_scores(made, {"a": made.outcome("profit"), "b": 2 * made.outcome("profit")}, 1)
    assert set(scores) == {"a", "b"}
    assert scores["a"].shape == (500, 5)
    with pytest.raises(ValueError, match="chances of its arms are not known"):
        outcome_scores(replace(made, probability=None), {"a": made.outcome("profit")}, 1)


def test_the_curve_by_share_adds_up_what_a_cut_gives():
    rng = np.random.default_rng(4)
    scores, customer = rng.normal(size=(40, 3)), np.repeat(np.arange(20), 2)
    priority, arm = rng.normal(size=40), rng.integers(1, 3, 40)
    curve = by_share({"a": (priority, arm)}, scores, customer, np.array([0.0, 0.25, 1.0]))
    first = np.argsort(-priority)[:10]
    gain = policy_scores(scores, arm)
    np.testing.assert_allclose(curve["value"], [0, gain[first].sum() / 40, gain.mean()])
    whole = mean_by_cluster(gain, customer)
    np.testing.assert_allclose(curve[["low", "high"]].iloc[2], [whole["low"], whole["high"]])
    assert pd.Series(curve["name"]).eq("a").all()
