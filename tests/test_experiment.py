"""The Experiment: rows that belong together, parts by customer, contrasts, and what it refuses."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from promo_helpers.experiment.experiment import even_shares
from tests.trials import trial


@pytest.mark.slow
@given(
    st.lists(st.sampled_from("abcdefghijkl"), min_size=1, max_size=40),
    st.lists(st.floats(0.05, 0.3), min_size=1, max_size=3),
    st.integers(0, 9),
)
def test_folds_share_no_customer_and_lose_none_that_they_need_not(people, shares, seed):
    n = len(people)
    whole = trial(np.random.default_rng(seed), n, repeats=1, customer=np.array(people, dtype=object))
    parts = whole.folds(shares, seed)
    assert len(parts) == len(shares)
    sets = [set(p.customer) for p in parts]
    for i, one in enumerate(sets):
        assert all(not (one & other) for other in sets[:i])
    for part in parts:  # all contacts of a customer come along
        assert sorted(part.contact_id) == sorted(whole.contact_id[np.isin(whole.customer, list(set(part.customer)))])
    assert not sets[0] ^ set(whole.folds(shares[:1], seed)[0].customer)  # whatever becomes of the others


def test_folds_of_everything_cover_everything_and_differ_by_seed():
    whole = trial(np.random.default_rng(0), 900)
    parts = whole.folds([1 / 3] * 3, 0)
    assert sorted(np.concatenate([p.contact_id for p in parts])) == list(range(900))
    again, other = (whole.folds([0.5], s)[0] for s in (1, 2))
    assert set(again.customer) != set(other.customer)
    assert (again.contact_id == whole.folds([0.5], 1)[0].contact_id).all()


@pytest.mark.parametrize("shares", [[0.5, 0.6], [0.5, 0.0], [-0.1]])
def test_folds_refuse_impossible_shares(shares):
    with pytest.raises(ValueError, match="must be positive and add up to at most 1"):
        trial(np.random.default_rng(0), 50).folds(shares, 0)


def test_only_cuts_every_column_alike():
    whole = replace(trial(np.random.default_rng(0), 200), strata=np.arange(200) % 4)
    mask = whole.outcome("bought") > 0
    for rows in (mask, np.flatnonzero(mask)):
        part = whole.only(rows)
        assert len(part) == mask.sum()
        assert (part.outcome("bought") == 1).all()
        for name in ("contact_id", "customer", "arm", "probability", "strata"):
            np.testing.assert_array_equal(getattr(part, name), getattr(whole, name)[mask])
        pd.testing.assert_frame_equal(part.features, whole.features[mask].reset_index(drop=True))
    backwards = whole.only(np.arange(199, -1, -1))
    assert backwards.contact_id.tolist() == list(range(199, -1, -1))


def test_a_contrast_has_two_arms_and_the_chance_among_them():
    whole = trial(np.random.default_rng(0), 600, shares=(0.5, 0.3, 0.2))
    pair = whole.contrast("ten")
    assert pair.arms == ("none", "ten")
    assert len(pair) == (whole.arm != 1).sum()
    np.testing.assert_array_equal(pair.arm, (whole.arm[whole.arm != 1] == 2).astype(int))
    np.testing.assert_allclose(pair.probability, np.where(pair.arm == 1, 2 / 7, 5 / 7))
    np.testing.assert_allclose(pair.planned, [5 / 7, 2 / 7])
    assert pair.depth[1] == 0.1
    other = whole.contrast("ten", against="five")
    np.testing.assert_allclose(other.planned, [0.6, 0.4])
    assert (other.outcome("units")[other.arm == 0].sum()) == whole.outcome("units")[whole.arm == 1].sum()
    uneven = replace(whole, probability=np.where(np.arange(600) % 2, 0.6, 0.1))
    assert uneven.contrast("ten").probability is None  # the chance of the arm that a row did not get is not known
    with pytest.raises(KeyError, match="no arm 'thirty'; it has none, five, ten"):
        whole.contrast("thirty")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"contact_id": np.zeros(50, int)}, "contact_id .* stands for more than one contact"),
        ({"customer": np.arange(49)}, "customer has 49 rows, contact_id 50"),
        ({"arm": np.full(50, 3)}, "arm must be a place in arms, 0 to 2"),
        ({"probability": np.zeros(50)}, r"probability must lie above 0 .*50 rows do not"),
        ({"probability": np.full(50, np.nan)}, "probability must lie above 0"),
        ({"depth": np.zeros(2)}, "3 arms, but 2 depths"),
        ({"planned": np.array([0.5, 0.5])}, "planned must be a share for each of the 3 arms"),
        ({"strata": np.zeros(3)}, "strata has 3 rows"),
    ],
)
def test_what_does_not_fit_is_refused(change, said):
    with pytest.raises(ValueError, match=said):
        trial(np.random.default_rng(0), 50, **change)


def test_an_outcome_by_name():
    whole = trial(np.random.default_rng(0), 50)
    assert whole.outcome("units").dtype == float
    with pytest.raises(KeyError, match="trial has no outcome 'clicks'; it has bought, units, profit"):
        whole.outcome("clicks")
    assert whole.counts.sum() == len(whole) == 50


def test_even_shares():
    arm = np.array([0, 0, 1, 1])
    np.testing.assert_allclose(even_shares(arm, np.array([0.7, 0.7, 0.3, 0.3]), 2), [0.7, 0.3])
    assert even_shares(arm, np.array([0.7, 0.6, 0.3, 0.3]), 2) is None
    assert even_shares(arm, np.array([0.7, 0.7, 0.2, 0.2]), 2) is None
    assert even_shares(arm, np.array([0.7, 0.7, 0.3, 0.3]), 3) is None
