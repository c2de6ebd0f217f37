"""Random numbers that belong to somebody: the same seed, purpose and id give the same number, whoever else is there.

A generator that walks over rows hands everybody another number as soon as one row is added. Here a number is a hash of its key, so that
a list that differs by one customer meets the same world but for her. The hash is SplitMix64 (Steele, Lea and Flood, 2014): the n-th
number of an entity is the mixed sum of the entity's own start and n steps; text ids are hashed by pandas.
"""

import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from numba import njit, types
from numba.extending import overload
from scipy import special, stats

STEP = np.uint64(0x9E3779B97F4A7C15)
_A, _B = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_30, _27, _31, _11 = np.uint64(30), np.uint64(27), np.uint64(31), np.uint64(11)
UNIT = 2.0**-53
CELLS = 10_000_000  # numbers of a bootstrap that are held at a time
Source = np.random.Generator | np.ndarray  # what compiled code draws from: a walk through all, or the word of one entity


@njit(cache=True, nogil=True)
def mix(word: np.uint64) -> np.uint64:
    """SplitMix64's finaliser: neighbouring words become unrelated ones."""
    word = (word ^ (word >> _30)) * _A
    word = (word ^ (word >> _27)) * _B
    return word ^ (word >> _31)


@njit(cache=True, nogil=True)
def _uniforms(start: np.ndarray, n: int, after: np.uint64) -> np.ndarray:
    out = np.empty((len(start), n))
    for i in range(len(start)):
        word = start[i] + after * STEP
        for k in range(n):
            word += STEP
            out[i, k] = (mix(word) >> _11) * UNIT
    return out


@njit(cache=True, nogil=True)
def _joined(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    out = np.empty(len(first), np.uint64)
    for i in range(len(first)):
        out[i] = mix(mix(first[i]) + STEP ^ second[i])
    return out


def following(source: Source) -> float:
    """The next number in [0, 1) of a source, in compiled code: a NumPy generator, or the word of one entity ([1], moved on)."""
    if isinstance(source, np.random.Generator):
        return source.random()
    return float(_next(source))


def begin(source: Source, start: np.ndarray, i: int) -> None:
    """Let a source go on with the numbers of entity i, in compiled code. A NumPy generator just walks on."""
    if not isinstance(source, np.random.Generator):
        source[0] = start[i]


@njit(cache=True, nogil=True)
def _next(word: np.ndarray) -> float:
    word[0] += STEP
    return (mix(word[0]) >> _11) * UNIT


@overload(following, inline="always")
def _following(source):  # type: ignore[no-untyped-def]  # numba compares signatures, annotations included
    if isinstance(source, types.Array):
        return lambda source: _next(source)
    return lambda source: source.random()


@overload(begin, inline="always")
def _begin(source, start, i):  # type: ignore[no-untyped-def]
    if isinstance(source, types.Array):

        def keyed(source, start, i):  # type: ignore[no-untyped-def]
            source[0] = start[i]

        return keyed
    return lambda source, start, i: None


def words(seed: int, purpose: str, *ids: Any) -> np.ndarray:
    """[row] 64-bit words, one for each entity: where its own numbers start.

    `ids` are one or more columns of equal length (numbers, text, dates) that name the entity together, such as customer and contact.
    Raises ValueError where `seed` is no whole number of at least 0, where no column is given, or where the columns differ in length.
    """
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
        raise ValueError(f"seed = {seed!r}: a whole number of at least 0 is needed")
    columns = [_hashed(column) for column in ids]
    if not columns or len({len(c) for c in columns}) > 1:
        raise ValueError(f"ids: one or more columns of equal length are needed; lengths here: {[len(c) for c in columns]}")
    start = np.random.SeedSequence([int(seed), zlib.crc32(purpose.encode())]).generate_state(1, np.uint64)
    found = np.full(len(columns[0]), start[0])
    for column in columns:
        found = _joined(found, column)
    return found


def uniform(seed: int, purpose: str, *ids: Any, n: int | None = None, after: int = 0) -> np.ndarray:
    """[row] numbers in [0, 1), or [row, n] where each entity draws n of them, those that follow its first `after` numbers."""
    drawn = _uniforms(words(seed, purpose, *ids), 1 if n is None else n, np.uint64(after))
    return drawn[:, 0] if n is None else drawn


def normal(seed: int, purpose: str, *ids: Any, n: int | None = None) -> np.ndarray:
    """[row] standard normal numbers, or [row, n]."""
    return special.ndtri(uniform(seed, purpose, *ids, n=n) + UNIT / 2)


def poisson(
    seed: int, purpose: str, *ids: Any, mean: float | np.ndarray = 1.0, n: int | None = None, after: int = 0
) -> np.ndarray:
    """[row] Poisson counts of a mean (or of [row] means), or [row, n]; `n` and `after` as in `uniform`."""
    drawn = uniform(seed, purpose, *ids, n=n, after=after)
    if np.ndim(mean) == 0:
        most = int(mean + 12 * np.sqrt(mean) + 30)  # beyond it lies less than a double can show
        return np.searchsorted(stats.poisson.cdf(np.arange(most), mean), drawn, side="right")
    means = np.asarray(mean, float) if n is None else np.asarray(mean, float)[:, None]
    return np.maximum(stats.poisson.ppf(drawn, means), 0).astype(np.int64)


def choice(seed: int, purpose: str, *ids: Any, chances: Any) -> np.ndarray:
    """[row] numbers 0 .. k - 1 drawn by `chances`, [k] for all or [row, k] for each. Raises ValueError where they do not add up to 1."""
    chances = np.atleast_2d(np.asarray(chances, float))
    if not (np.isfinite(chances).all() and (chances >= 0).all() and np.allclose(chances.sum(axis=1), 1)):
        raise ValueError("chances: each row needs numbers of at least 0 that add up to 1")
    drawn = uniform(seed, purpose, *ids)
    return np.minimum((drawn[:, None] >= np.cumsum(chances, axis=1)).sum(axis=1), chances.shape[1] - 1)


def geometric(seed: int, purpose: str, *ids: Any, chance: float) -> np.ndarray:
    """[row] number of trials up to the first success, 1 or more, each trial with the same chance above 0."""
    return 1 + np.floor(np.log1p(-uniform(seed, purpose, *ids)) / np.log1p(-chance)).astype(np.int64)


def parts(seed: int, purpose: str, *ids: Any, number: int) -> np.ndarray:
    """[row] parts 0 .. number - 1 of about equal size, such as folds: an entity keeps its part whoever else is there."""
    return (uniform(seed, purpose, *ids) * number).astype(np.int64)


def folds(seed: int, purpose: str, *ids: Any, number: int) -> np.ndarray:
    """[row] folds 0 .. number - 1 of about equal size, none empty: `parts`, wherever these leave none empty.

    Where chance leaves one empty, as it may with few entities, all are dealt out in the order of their numbers. Raises ValueError for
    fewer entities than folds.
    """
    drawn = uniform(seed, purpose, *ids)
    fold = (drawn * number).astype(np.int64)
    if np.bincount(fold, minlength=number).all():
        return fold
    people, place = np.unique(drawn, return_inverse=True)
    if len(people) < number:
        raise ValueError(f"folds = {number}: more than the {len(people)} who are to be in them")
    return place % number


def sample(seed: int, purpose: str, *ids: Any, size: int) -> np.ndarray:
    """Rows of `size` entities (all where there are fewer), in their order: those with the smallest numbers.

    So a further entity takes the place of one other at most. `ids` must name each row once.
    """
    drawn = uniform(seed, purpose, *ids)
    if size >= len(drawn):
        return np.arange(len(drawn))
    return np.sort(np.argsort(drawn, kind="stable")[: max(size, 0)])


def order(seed: int, purpose: str, *ids: Any, size: int | None = None) -> np.ndarray:
    """Rows in random order, or the first `size` of them: two rows follow each other the same way whoever else is there."""
    return np.argsort(uniform(seed, purpose, *ids), kind="stable")[:size]


def shuffled(values: np.ndarray, drawn: np.ndarray) -> np.ndarray:
    """[row, ...] a random permutation of the values of [row], by [row, ...] keyed numbers in [0, 1).

    The sorted values are dealt out in the order of the numbers, so that a further row moves few values by one place.
    """
    out = np.empty(drawn.shape, values.dtype)
    np.put_along_axis(out, np.argsort(drawn, axis=0, kind="stable"), np.sort(values).reshape(-1, *[1] * (drawn.ndim - 1)), axis=0)
    return out


def bootstrap(seed: int, purpose: str, *ids: Any, n: int, first: int = 0) -> np.ndarray:
    """[n, row] weights of the resamples `first`, `first` + 1, ...: each entity counts Poisson(1) times. None is empty.

    They stand in for drawing as many entities as there are with replacement: means and ratios have the same spread, totals do not,
    since the number of entities varies. A resample in which nobody counts, which only a handful of entities can meet, counts all once.
    """
    weight = np.ascontiguousarray(poisson(seed, purpose, *ids, n=n, after=first).T, float)
    weight[~weight.any(axis=1)] = 1.0
    return weight


def resamples(seed: int, purpose: str, *ids: Any, n: int) -> Iterator[np.ndarray]:
    """The rows of `bootstrap` one after the other, made in blocks that fit into memory."""
    some = max(CELLS // max(len(ids[0]), 1), 1)
    for first in range(0, n, some):
        yield from bootstrap(seed, purpose, *ids, n=min(some, n - first), first=first)


def halves(seed: int, purpose: str, *ids: Any, n: int, first: int = 0) -> np.ndarray:
    """[n, row] True for the half of the entities (rounded down) that is in, by draw: those with the smallest numbers.

    So a further entity changes whether one other is in at most. `ids` must name each row once. `first`: number of the first draw.
    """
    drawn = np.ascontiguousarray(uniform(seed, purpose, *ids, n=n, after=first).T)
    half = drawn.shape[1] // 2
    if not half:
        return np.zeros(drawn.shape, bool)
    return drawn <= np.partition(drawn, half - 1, axis=1)[:, [half - 1]]


def number(seed: int, purpose: str) -> int:
    """A whole number below 2^31 of a purpose, for libraries that take a seed: what they draw with it is theirs."""
    return int(words(seed, purpose, [0])[0] >> np.uint64(33))


def generator(seed: int, purpose: str) -> np.random.Generator:
    """A generator of a purpose, for noise that belongs to nobody, such as a simulated null distribution."""
    return np.random.default_rng(words(seed, purpose, [0]))


def _hashed(column: Any) -> np.ndarray:
    values = column.to_numpy() if isinstance(column, pd.Series | pd.Index) else np.asarray(column)
    if values.ndim != 1:
        raise ValueError(f"ids: a column is needed, not an array of {values.ndim} dimensions")
    if values.dtype.kind in "mM":
        values = values.astype("datetime64[ns]" if values.dtype.kind == "M" else "timedelta64[ns]").view(np.int64)
    if values.dtype.kind in "iub":
        return values.astype(np.int64).view(np.uint64)
    if values.dtype.kind == "f":
        return pd.util.hash_array(values)
    values = np.asarray(values, object)
    return pd.util.hash_array(values, categorize=_often(values))


def _often(values: np.ndarray) -> bool:
    """Whether each value stands there so often that hashing it once saves time, by how many of some thousand rows are alike."""
    some = values[:: max(len(values) // 4096, 1)]
    alike = len(some) - len(pd.unique(some))
    return 4 * len(some) ** 2 < alike * len(values)  # len(some) ** 2 / 2 / alike different values, each eight times at least


DROPPED = np.int64(22)  # binary digits of the 52 of a double: 30 are kept, which are nine decimal ones
HALF, KEPT = np.int64(1) << (DROPPED - 1), ~((np.int64(1) << DROPPED) - 1)


def rounded(numbers: np.ndarray) -> np.ndarray:
    """The numbers to nine significant digits (30 binary ones, relative change at most 2^-31), in the same order but for new ties.

    Break the ties by an id or by the place of the row (a stable sort, the first of the largest). Infinite and missing numbers stay.
    """
    values = np.array(numbers, float)  # a copy of its own
    bits = values.view(np.int64) if values.ndim else values.reshape(1).view(np.int64)
    bits += HALF
    bits &= KEPT
    return np.where(np.isnan(numbers), np.nan, values) if np.isnan(values).any() else values
