"""The multi-arm Qini: against the package maq, linear programming and a loop; baselines, overspend, coverage, and what is refused."""

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.optimize import linprog

from promo_helpers import paths
from promo_helpers.evaluate import cost_curves

REFERENCE = paths.ROOT / "tests" / "reference"


def frozen() -> list[np.ndarray]:
    frame = pd.read_csv(REFERENCE / "budget_data.csv")
    wide = [frame[[f"{name}{j}" for j in range(3)]].to_numpy() for name in ("effect", "cost", "score")]
    return [np.hstack([np.zeros((len(frame), 1)), part]) for part in wide]


def some(seed: int, rows: int = 25, arms: int = 4) -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(seed)
    wide = (rng.normal(0.3, 1, (rows, arms)), rng.uniform(0.1, 2, (rows, arms)), rng.normal(size=(rows, arms)))
    effect, cost, score = (np.hstack([np.zeros((rows, 1)), part]) for part in wide)
    return effect, cost, score + rng.normal(size=(rows, 1))  # scores are levels: the control's need not be 0


def test_the_curve_is_that_of_maq():
    effect, cost, scores = frozen()
    theirs = json.loads((REFERENCE / "budget_maq.json").read_text())
    spends = np.array(theirs["spend"])
    curves = cost_curves.multi_arm_qini({"a": (effect, cost)}, scores, np.arange(60), spends, 0, 2)
    mine = curves.curve[curves.curve["name"] == "a"]
    assert mine["gain"].to_numpy() == pytest.approx(theirs["gain"], abs=1e-12)
    assert len(cost_curves.policy_path(effect, cost).row) == len(spends)


@pytest.mark.slow
@given(st.integers(0, 10_000), st.floats(0, 1.2))
@settings(max_examples=30, deadline=None)
def test_the_policy_is_the_best_that_linear_programming_finds(seed, spend):
    effect, cost, _ = some(seed)
    rows, arms = effect.shape
    one = np.kron(np.eye(rows), np.ones(arms))
    best = linprog(-effect.ravel(), cost.reshape(1, -1), [spend * rows], one, np.ones(rows), bounds=(0, 1))
    # judged by its own prediction, the policy earns what it promised
    curves = cost_curves.multi_arm_qini({"a": (effect, cost)}, effect, np.arange(rows), np.array([spend]), 0, 2)
    assert curves.curve["gain"].iloc[0] * rows == pytest.approx(-best.fun, abs=1e-6)


@pytest.mark.slow
@given(st.integers(0, 10_000), st.floats(0.01, 1.2))
@settings(max_examples=30, deadline=None)
def test_the_arms_given_are_those_of_the_curve(seed, spend):
    effect, cost, scores = some(seed, rows=400)
    path = cost_curves.policy_path(effect, cost)
    arm = cost_curves.assigned(path, 400, spend)
    rows = np.arange(400)
    assert cost[rows, arm].mean() <= spend + 1e-9
    curves = cost_curves.multi_arm_qini({"a": (effect, cost)}, scores, rows, np.array([spend]), 0, 2, cost)
    row = curves.curve.iloc[0]
    slack = 4 * np.abs(scores).max() / 400  # at most one row lies between
    assert row["gain"] == pytest.approx((scores[rows, arm] - scores[:, 0]).mean(), abs=slack)
    assert row["spent"] <= spend + 1e-9  # the true cost is the predicted one here


def test_untargeted_is_the_hull_of_the_means_and_the_area_a_mean_of_the_gap():
    effect, cost, scores = some(1, rows=300)
    effect[:, 1:] += 0.4
    spends = np.linspace(0, 1.5, 31)
    curves = cost_curves.multi_arm_qini({"a": (effect, cost)}, scores, np.arange(300), spends, 0, 40)
    flat = curves.curve[curves.curve["name"] == "untargeted"]["gain"].to_numpy()
    means, costs, gains = effect.mean(0), cost.mean(0), (scores - scores[:, :1]).mean(0)
    for spend, found in zip(spends, flat, strict=True):
        best = linprog(-means, [costs], [spend], [np.ones(5)], [1], bounds=(0, 1))
        assert found == pytest.approx(best.x @ gains, abs=1e-9)
    gap = curves.against.set_index("spend")["estimate"].to_numpy()
    assert gap == pytest.approx(curves.curve[curves.curve["name"] == "a"]["gain"].to_numpy() - flat)
    assert curves.area["estimate"].item() == pytest.approx(np.mean((gap[1:] + gap[:-1]) / 2))


def test_a_prediction_that_knows_nothing_of_customers_gains_nothing_over_untargeted():
    rng = np.random.default_rng(2)
    effect, cost = np.tile([0, 1.0, 1.5], (500, 1)), np.tile([0, 1.0, 2.0], (500, 1))
    scores = effect + rng.normal(size=effect.shape)
    curves = cost_curves.multi_arm_qini({"flat": (effect, cost)}, scores, np.arange(500), np.linspace(0.1, 2, 20), 0, 30)
    assert curves.against[["estimate", "se"]].abs().to_numpy().max() < 1e-9


def test_nobody_is_offered_what_is_predicted_to_harm():
    effect, cost, scores = some(3)
    curves = cost_curves.multi_arm_qini({"a": (-np.abs(effect), cost)}, scores, np.arange(25), np.array([0.5, 1]), 0, 5)
    assert (curves.curve[["gain", "se"]].to_numpy() == 0).all()
    assert (cost_curves.assigned(cost_curves.policy_path(-np.abs(effect), cost), 25, 9) == 0).all()


def test_overspend_is_seen():
    rng = np.random.default_rng(4)
    effect, cost, scores = some(4, rows=2000)
    dearer = 1.5 * cost + rng.normal(size=cost.shape)
    spends = np.array([0.2, 0.4])
    curves = cost_curves.multi_arm_qini({"a": (effect, cost)}, scores, np.arange(2000), spends, 0, 60, cost_scores=dearer)
    mine = curves.curve[curves.curve["name"] == "a"]
    assert (mine["spent_low"] > spends).all()
    assert ((mine["spent_low"] < 1.5 * spends) & (1.5 * spends < mine["spent_high"])).all()


@pytest.mark.slow
def test_intervals_hold_the_true_gain():
    """One arm of cost 1 and effect x, uniform on [-1, 1]: a budget of .2 treats the best fifth, and earns .2 x .8."""
    rng, held, n = np.random.default_rng(5), 0, 100
    for k in range(n):
        customer = np.repeat(np.arange(250), 2)
        x = rng.uniform(-1, 1, 500)
        effect, cost = np.column_stack([np.zeros(500), x]), np.tile([0.0, 1.0], (500, 1))
        scores = effect + rng.normal(size=(250, 2))[customer] + rng.normal(size=(500, 2))
        row = cost_curves.multi_arm_qini({"x": (effect, cost)}, scores, customer, np.array([0.2]), k, 80).curve.iloc[0]
        held += row["low"] <= 0.16 <= row["high"]
    low, high = stats.binom.ppf([0.0005, 0.9995], n, 0.95)
    assert low <= held <= high


def test_what_is_refused_is_named():
    effect, cost, scores = some(6)
    who = np.arange(25)
    with pytest.raises(ValueError, match=r"25 rows have one that is not"):
        cost_curves.policy_path(effect, cost * 0)
    with pytest.raises(ValueError, match="both must be"):
        cost_curves.policy_path(effect[:, :3], cost)
    with pytest.raises(ValueError, match="arm 0 must be 0"):
        cost_curves.policy_path(effect + 1, cost)
    with pytest.raises(ValueError, match="in rising order"):
        cost_curves.multi_arm_qini({"a": (effect, cost)}, scores, who, np.array([1.0, 0.5]), 0)
    with pytest.raises(ValueError, match="customer has 24 rows, scores 25"):
        cost_curves.multi_arm_qini({"a": (effect, cost)}, scores, who[:24], np.array([1.0]), 0)
    with pytest.raises(ValueError, match="give the policy another"):
        cost_curves.multi_arm_qini({"untargeted": (effect, cost)}, scores, who, np.array([1.0]), 0)
    with pytest.raises(ValueError, match=r"effect of 'a' is \(25, 4\), scores are \(25, 5\)"):
        cost_curves.multi_arm_qini({"a": (effect[:, :4], cost[:, :4])}, scores, who, np.array([1.0]), 0)
