"""Last digits that a processor leaves decide nothing: who is in the top, which arm or model is taken, who is within a budget."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from promo_helpers.decide import parity, policies
from promo_helpers.decide.allocate import Limits, Parity, allocate
from promo_helpers.draws import rounded
from promo_helpers.evaluate.cost_curves import best_one_variable_rule, policy_path
from promo_helpers.evaluate.uplift import select
from promo_helpers.evaluate.value import by_share


def nudged(values: np.ndarray, seed: int) -> np.ndarray:
    """The same numbers with other last digits, as another processor has them."""
    return values * (1 + np.random.default_rng(seed).integers(-8, 9, np.shape(values)) * 2.0**-52)


def test_rounding_keeps_nine_digits_and_the_order():
    values = np.random.default_rng(0).normal(size=50_000) * np.exp(np.random.default_rng(1).normal(0, 30, 50_000))
    found = rounded(values)
    assert np.abs(found / values - 1).max() <= 2.0**-31
    order = np.argsort(values)
    assert (np.diff(found[order]) >= 0).all()
    assert (rounded(found) == found).all()
    assert (rounded(-values) == -found).all()
    assert (rounded(nudged(values, 2)) == found).mean() > 0.9999  # but for numbers that lie on an edge
    assert len(np.unique(rounded(1 + np.arange(1000) * 1e-9))) > 500  # the ninth digit still counts


def test_rounding_leaves_what_is_no_number_and_what_it_is_given():
    given = np.array([np.inf, -np.inf, np.nan, 0.0, -0.0, 1e-320])
    found = rounded(given)
    np.testing.assert_array_equal(found[:5], [np.inf, -np.inf, np.nan, 0, 0])
    assert np.isnan(given[2])
    assert rounded(np.array(1 / 3)) == pytest.approx(1 / 3, rel=1e-9)
    assert (rounded(np.array([3, 5])) == [3, 5]).all()


def equals(rows: int, seed: int = 0) -> np.ndarray:
    """Sums that are equal in the books and not in a processor: few kinds of customers, their numbers with other last digits."""
    kinds = np.random.default_rng(seed).normal(10, 4, (5, 3))[np.random.default_rng(seed + 1).integers(0, 5, rows)]
    return kinds * np.array([0, 1, 1])


def test_the_same_customers_get_an_offer_under_a_budget():
    gain, spend = equals(400), np.tile([0.0, 2.0, 3.0], (400, 1))
    key = np.array([f"C{k}" for k in range(400)], object)
    plain = allocate(gain, spend, Limits(300.0), key=key).arm
    assert 0 < (plain > 0).sum() < 400
    for seed in range(5):
        np.testing.assert_array_equal(allocate(nudged(gain, seed), nudged(spend, 9 - seed), Limits(300.0), key=key).arm, plain)
        both = allocate(nudged(gain, seed), spend, Limits(300.0, contacts=90), key=key).arm
        np.testing.assert_array_equal(both, allocate(gain, spend, Limits(300.0, contacts=90), key=key).arm)


def test_the_same_customers_are_the_top_and_the_same_arm_is_theirs():
    score = equals(300)[:, 1]
    gain = np.column_stack([np.zeros(300), score, score])  # two arms of the same gain: the first
    found = type("Found", (), {})()
    for seed in range(5):
        np.testing.assert_array_equal(policies.top(nudged(score, seed), 0.3, 1), policies.top(score, 0.3, 1))
        found.gain = nudged(gain, seed)
        assert (policies.profit_policy(found) == np.where(score > 0, 1, 0)).all()
        np.testing.assert_array_equal(policies.best_constant(nudged(gain, seed), np.arange(300) % 3), 1)


def test_curves_and_paths_go_by_the_row_among_equals():
    effect, cost = equals(200), np.tile([0.0, 1.0, 2.5], (200, 1))
    path = policy_path(effect, cost)
    line = by_share({"a": (effect[:, 1], np.ones(200, int))}, effect, np.arange(200))
    for seed in range(5):
        again = policy_path(nudged(effect, seed), cost)
        np.testing.assert_array_equal(again.row, path.row)
        moved = by_share({"a": (nudged(effect[:, 1], seed), np.ones(200, int))}, effect, np.arange(200))
        pd.testing.assert_frame_equal(moved, line)


def test_of_equal_models_the_first_is_chosen_and_of_equal_rules_the_first_feature():
    rng = np.random.default_rng(3)
    scores = rng.normal(size=(500, 3)) + [0, 0.2, 0.3]
    predicted = np.column_stack([np.zeros(500), rng.normal(0.2, 0.5, (500, 2))])
    for by in ("loss", "value"):
        chosen = {
            select(
                {"a": nudged(predicted, s), "b": nudged(predicted, 9 - s)}, np.array([0, 0.2, 0.3]), scores, np.arange(500), by
            )[0]
            for s in range(8)
        }
        assert len(chosen) == 1
        assert "b" not in chosen
    x = rng.normal(size=500)
    features = pd.DataFrame({"one": x, "same": x})
    assert {best_one_variable_rule(features, nudged(scores, s))[0] for s in range(8)} == {"one"}


def test_the_same_rows_are_within_parity():
    gain, spend = equals(300), np.tile([0.0, 2.0, 3.0], (300, 1))
    gain[::2, 1:] += 3  # so that one group would come first
    group, key = np.arange(300) % 2, np.arange(300)
    for limits in (Limits(200.0), Limits(200.0, contacts=60)):
        even = replace(limits, parity=Parity(group, 0.05))
        plain = allocate(gain, spend, even, key=key).arm
        assert parity.share_gap(allocate(gain, spend, limits, key=key).arm, group) > 0.1
        assert parity.share_gap(plain, group) <= 0.05 + 1e-9
        for seed in range(5):
            np.testing.assert_array_equal(allocate(nudged(gain, seed), spend, even, key=key).arm, plain)
