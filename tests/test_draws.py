"""Draws keyed by entity: distributed as they should be, independent where they should be, and one's own whoever else is there."""

import datetime

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from promo_helpers import draws

N = 20_000
IDS = np.arange(N)
EXPECTED = {"int": [5828465416548315360, 10991977283386086159], "text": [14614498009953205089], "number": 678522677}
LEVEL = 0.001  # of a whole test, over all that it looks at


def unrelated(columns: np.ndarray) -> None:
    """No two of the columns are correlated beyond what chance gives the largest of so many correlations."""
    found = np.corrcoef(columns, rowvar=False)[np.triu_indices(columns.shape[1], 1)]
    bound = stats.norm.ppf(1 - LEVEL / 2 / len(found)) / np.sqrt(len(columns))
    assert np.abs(found).max() < bound


@pytest.mark.parametrize(
    "ids", [IDS, IDS.astype(str), IDS * 0.5, np.datetime64("2026-01-01", "s") + IDS], ids=["int", "text", "float", "date"]
)
def test_numbers_are_uniform_whatever_names_the_entities(ids):
    drawn = draws.uniform(1, "test", ids, n=3)
    assert ((drawn >= 0) & (drawn < 1)).all()
    for column in drawn.T:
        assert stats.kstest(column, "uniform").pvalue > LEVEL / 12
    assert len(np.unique(drawn)) == 3 * N


def test_other_distributions_have_their_own_shape():
    assert stats.kstest(draws.normal(1, "test", IDS), "norm").pvalue > LEVEL
    for mean in (0.3, 1.0, 40.0):
        count = draws.poisson(1, "test", IDS, mean=mean)
        assert abs(count.mean() - mean) < 4.5 * np.sqrt(mean / N)
        assert count.var() == pytest.approx(mean, rel=0.1)
    each = draws.poisson(1, "test", IDS, mean=np.linspace(0, 5, N))
    assert each[: N // 10].mean() == pytest.approx(0.25, abs=0.06)
    assert each[0] == 0
    chances = np.array([0.5, 0.2, 0.3])
    share = np.bincount(draws.choice(1, "test", IDS, chances=chances), minlength=3) / N
    assert np.abs(share - chances).max() < 4.5 * np.sqrt(0.25 / N)
    sure = draws.choice(1, "test", IDS[:300], chances=np.eye(3)[IDS[:300] % 3])
    assert (sure == IDS[:300] % 3).all()


def test_numbers_of_purposes_seeds_neighbours_and_turns_have_nothing_to_do_with_each_other():
    purposes = [draws.uniform(1, p, IDS) for p in ("folds", "folds ", "fold", "holdout", "parts", "half-samples")]
    seeds = [draws.uniform(s, "folds", IDS) for s in (0, 2, 3, 2**31, 2**62)]
    near = [draws.uniform(1, "folds", IDS + k) for k in (1, 2, 4096, -1)]  # the number of the next one
    text = [draws.uniform(1, "folds", [f"C{i:06d}" for i in IDS]), draws.uniform(1, "folds", [f"C{i + 1:06d}" for i in IDS])]
    pairs = [draws.uniform(1, "folds", IDS, IDS % 7), draws.uniform(1, "folds", IDS % 7, IDS)]
    unrelated(np.column_stack([*purposes, *seeds, *near, *text, *pairs, draws.uniform(1, "turns", IDS, n=8)]))


def test_a_further_customer_takes_no_part_of_the_sequence_of_another():
    drawn = draws.uniform(1, "test", IDS[:500], n=40)
    assert len(np.unique(drawn)) == drawn.size
    unrelated(drawn[:, :20].T[:, :20])  # customers, over their own turns


def test_everybody_keeps_her_number_in_another_order_and_among_others():
    names = np.array([f"C{i:06d}" for i in IDS[:2000]], object)
    product = IDS[:2000] % 5
    drawn = draws.uniform(3, "test", names, product, n=2)
    for rows in (np.random.default_rng(0).permutation(2000), np.arange(0, 2000, 3), np.array([17])):
        np.testing.assert_array_equal(draws.uniform(3, "test", names[rows], product[rows], n=2), drawn[rows])
    np.testing.assert_array_equal(draws.uniform(3, "test", names, product), drawn[:, 0])  # the first of several is the only one


def test_the_kind_of_column_does_not_matter_only_what_stands_in_it():
    number = draws.uniform(1, "test", IDS[:50])
    for column in (
        list(range(50)),
        pd.Series(IDS[:50]),
        pd.Index(IDS[:50]),
        IDS[:50].astype(np.int32),
        IDS[:50].astype(np.uint8),
    ):
        np.testing.assert_array_equal(draws.uniform(1, "test", column), number)
    name = draws.uniform(1, "test", IDS[:50].astype(str))
    for column in (IDS[:50].astype(str).astype(object), pd.Series(IDS[:50].astype(str)), pd.Categorical(IDS[:50].astype(str))):
        np.testing.assert_array_equal(draws.uniform(1, "test", column), name)
    days = pd.date_range("2026-01-01", periods=50)
    day = draws.uniform(1, "test", days)
    np.testing.assert_array_equal(draws.uniform(1, "test", days.to_numpy("datetime64[s]")), day)
    assert not (number == name).any()
    assert len(draws.uniform(1, "test", [datetime.date(2026, 1, d) for d in (1, 2)])) == 2


def test_the_numbers_do_not_change_from_one_release_to_the_next():
    assert draws.words(1, "test", [0, 1]).tolist() == EXPECTED["int"]
    assert draws.words(1, "test", ["C000001"]).tolist() == EXPECTED["text"]
    assert draws.number(1, "test") == EXPECTED["number"]


def test_parts_and_folds_are_about_even_and_no_fold_is_empty():
    part = draws.parts(1, "test", IDS, number=7)
    assert np.abs(np.bincount(part, minlength=7) - N / 7).max() < 5 * np.sqrt(N / 7)
    np.testing.assert_array_equal(draws.folds(1, "test", IDS, number=7), part)
    for seed in range(200):  # six customers seldom fill three folds by chance, and never five of them
        for number in (3, 5, 6):
            fold = draws.folds(seed, "test", np.repeat(IDS[:6], 2), number=number)
            assert set(fold) == set(range(number))
            assert (fold[::2] == fold[1::2]).all()
    with pytest.raises(ValueError, match="folds = 3: more than the 2 who are to be in them"):
        draws.folds(1, "test", ["a", "b", "a"], number=3)
    with pytest.raises(ValueError, match="more than the 0"):
        draws.folds(1, "test", [], number=2)


def test_half_are_in_and_draws_can_be_had_one_after_the_other():
    half = draws.halves(1, "test", IDS[:101], n=60)
    assert (half.sum(axis=1) == 50).all()
    np.testing.assert_array_equal(np.vstack([draws.halves(1, "test", IDS[:101], n=25, first=k) for k in (0, 25)]), half[:50])
    share = draws.halves(2, "test", IDS[:100], n=4000).mean(axis=0)
    assert np.abs(share - 0.5).max() < stats.norm.ppf(1 - LEVEL / 200) * 0.5 / np.sqrt(4000)
    less = draws.halves(1, "test", IDS[:100], n=60)
    assert ((less != half[:, :100]).sum(axis=1) <= 1).all()  # a further one changes one other at most


def test_weights_of_a_bootstrap_are_poisson_and_never_all_nothing():
    weight = draws.bootstrap(1, "test", IDS[:400], n=500)
    assert weight.mean() == pytest.approx(1, abs=4.5 / np.sqrt(weight.size))
    assert weight.var() == pytest.approx(1, rel=0.02)
    np.testing.assert_array_equal(draws.bootstrap(1, "test", IDS[:399], n=500), weight[:, :399])
    for few in (1, 2):
        assert draws.bootstrap(1, "test", IDS[:few], n=300).any(axis=1).all()
    values = np.random.default_rng(0).normal(size=400)
    means = draws.bootstrap(2, "test", IDS[:400], n=2000) @ values / draws.bootstrap(2, "test", IDS[:400], n=2000).sum(axis=1)
    assert means.std() == pytest.approx(values.std() / 20, rel=0.07)


def test_a_sample_loses_one_for_one_who_comes():
    some = draws.sample(1, "test", IDS[:300], size=40)
    assert len(some) == 40
    assert (np.diff(some) > 0).all()
    more = draws.sample(1, "test", IDS[:301], size=40)
    assert len(set(some) - set(more)) <= 1
    assert len(draws.sample(1, "test", IDS[:5], size=40)) == 5
    assert not len(draws.sample(1, "test", IDS[:5], size=0))


def test_seeds_of_libraries_and_noise_of_nobody_hang_on_seed_and_purpose():
    numbers = {draws.number(s, p) for s in range(20) for p in ("a", "b")}
    assert len(numbers) == 40
    assert all(0 <= n < 2**31 for n in numbers)
    one, two, other = (draws.generator(1, p).random(3) for p in ("a", "a", "b"))
    np.testing.assert_array_equal(one, two)
    assert not (one == other).any()


def test_what_is_no_key_is_refused():
    for seed in (-1, 1.5, True, None):
        with pytest.raises(ValueError, match="a whole number of at least 0 is needed"):
            draws.uniform(seed, "test", [1])
    with pytest.raises(ValueError, match="one or more columns of equal length are needed"):
        draws.uniform(1, "test")
    with pytest.raises(ValueError, match=r"lengths here: \[2, 3\]"):
        draws.uniform(1, "test", [1, 2], [1, 2, 3])
    with pytest.raises(ValueError, match="not an array of 2 dimensions"):
        draws.uniform(1, "test", np.ones((2, 2)))
    for chances in ([0.5, 0.6], [-0.1, 1.1], [np.nan, 1.0]):
        with pytest.raises(ValueError, match="add up to 1"):
            draws.choice(1, "test", [1, 2], chances=chances)
