"""Units that rise with the depth: against scikit-learn. The holdout: customers whole, shares and chances right, order without effect."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.isotonic import IsotonicRegression

from promo_helpers.decide.holdout import held_out, with_holdout
from promo_helpers.decide.monotone import monotone


@pytest.mark.slow
@given(st.integers(0, 100_000), st.integers(1, 8), st.booleans(), st.booleans())
@settings(max_examples=30, deadline=None)
def test_isotonic_as_scikit_learn_has_it(seed, arms, whole, weighted):
    rng = np.random.default_rng(seed)
    units = rng.gamma(1, 2, (20, arms + 1))
    units = np.round(units) if whole else units
    weight = rng.uniform(0.1, 5, arms + 1) if weighted else None
    found = monotone(units, weight)
    theirs = IsotonicRegression()
    for row, mine in zip(units, found, strict=True):
        want = theirs.fit(np.arange(arms), row[1:], None if weight is None else weight[1:]).predict(np.arange(arms))
        assert mine[1:] == pytest.approx(want, abs=1e-12)
    assert (found[:, 0] == units[:, 0]).all()
    assert (np.diff(found[:, 1:], axis=1) >= 0).all()
    assert monotone(found, weight) == pytest.approx(found, abs=0)


def test_units_are_refused_by_name():
    with pytest.raises(ValueError, match=r"units is \(3,\)"):
        monotone(np.ones(3))
    with pytest.raises(ValueError, match="units: 1 numbers are missing"):
        monotone(np.array([[1.0, np.nan]]))
    for weight in ([1.0, 0.0], [1.0, np.nan], [1.0]):
        with pytest.raises(ValueError, match="one number above 0 for each of 2 arms"):
            monotone(np.ones((2, 2)), np.array(weight))


def test_the_holdout_takes_whole_customers_each_with_its_share():
    customer = np.repeat(np.array(["b", "a", "d", "c", "e"]), 3)
    draws = np.array([held_out(customer, 0.3, s) for s in range(2000)])
    assert (draws.reshape(-1, 5, 3).all(axis=2) == draws.reshape(-1, 5, 3).any(axis=2)).all()
    assert draws[:, ::3].mean(axis=0) == pytest.approx(np.full(5, 0.3), abs=4 * np.sqrt(0.21 / 2000))
    order = np.random.default_rng(1).permutation(15)
    assert (held_out(customer[order], 0.3, 7) == held_out(customer, 0.3, 7)[order]).all()
    other = np.array([held_out(customer, 0.3, s, "another campaign") for s in range(2000)])[:, ::3]
    assert np.corrcoef(draws[:, ::3].ravel(), other.ravel())[0, 1] == pytest.approx(0, abs=0.05)
    assert not held_out(customer, 0, 1).any()


@pytest.mark.slow
def test_the_chances_are_those_with_which_arms_are_given():
    rng = np.random.default_rng(2)
    arm, customer = rng.integers(0, 3, 200) * rng.integers(0, 2, 200), rng.integers(0, 90, 200)
    given_ = np.zeros((200, 3))
    for seed in range(2000):
        out = with_holdout(arm, customer, 0.2, seed, 3)
        given_[np.arange(200), out.arm] += 1 / 2000
        assert not out.held[~np.isin(customer, customer[arm > 0])].any()  # nobody is held out who was not to be contacted
        assert (out.arm[out.held] == 0).all()
        assert (out.arm[~out.held] == arm[~out.held]).all()
    assert out.probability.sum(axis=1) == pytest.approx(1)
    assert given_ == pytest.approx(out.probability, abs=5 * np.sqrt(0.16 / 2000))
    assert (out.probability[arm == 0, 0] == 1).all()


def test_a_holdout_is_refused_by_name():
    for share in (-0.1, 1, np.nan):
        with pytest.raises(ValueError, match=rf"share = {share}"):
            held_out(np.arange(3), share, 1)
    with pytest.raises(ValueError, match="none missing"):
        held_out(np.array([1, np.nan]), 0.1, 1)
    with pytest.raises(ValueError, match=r"arm is \(2,\), customer \(3,\)"):
        with_holdout(np.zeros(2, int), np.arange(3), 0.1, 1, 2)
    for arm in ([0, 2], [0, -1], [0.0, 1.0]):
        with pytest.raises(ValueError, match="whole numbers from 0 to 1"):
            with_holdout(np.array(arm), np.arange(2), 0.1, 1, 2)
