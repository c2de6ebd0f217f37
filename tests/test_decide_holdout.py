"""The holdout: customers whole, shares and chances right, order without effect."""

import numpy as np
import pytest

from promo_helpers.decide.holdout import held_out, with_holdout


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
