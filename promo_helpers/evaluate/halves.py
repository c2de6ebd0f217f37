"""Half-samples of customers: how far an estimate moves when only half of them are there, which is its standard error.

Drawing m of C customers without replacement varies a mean by sigma^2 (1 - m / C) / m, which at m = C / 2 is the variance of the mean
of all C: the spread over halves needs no correction. grf and maq take their errors so (Yadlowsky et al., JASA 2025, theorem 3).
"""

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
from scipy import sparse, stats

from promo_helpers import draws as keyed
from promo_helpers.draws import rounded

CELLS = 4_000_000  # numbers held at a time


def customers(customer: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """[row] customers as 0, 1, ..., and who these are. Raises ValueError for fewer than four, of whom no half has a spread."""
    code, people = pd.factorize(np.asarray(customer))
    if len(people) < 4:
        raise ValueError(f"{len(people)} customers: half-samples need four at least")
    return code, np.asarray(people)


def over_halves(statistic: Callable[[np.ndarray], np.ndarray], people: np.ndarray, draws: int, seed: int) -> np.ndarray:
    """[draw, ...] a statistic of each of `draws` half-samples of these people, the same ones for every statistic of one seed.

    `statistic` takes who is in, [some, customer] of 0 and 1, and returns [some, ...]; it is called with as many half-samples at a time
    as fit into CELLS numbers. Raises ValueError for fewer than two draws.
    """
    if draws < 2:
        raise ValueError(f"draws = {draws}: a spread needs two half-samples at least")
    some = max(1, min(draws, CELLS // len(people)))
    who = keyed.words(seed, "half-samples", people)  # text is hashed once
    parts = []
    for first in range(0, draws, some):
        half = keyed.halves(seed, "draws of half-samples", who, n=min(some, draws - first), first=first)
        parts.append(statistic(half.astype(float)))
    return np.concatenate(parts)


class Ranking:
    """Rows in falling order of a score, scores equal in nine digits as one group: its rows count as their mean, in any order.

    With more groups than `most`, neighbours share one. For half-samples only: BLOCKS groups give the same spread, in a tenth of the time.
    """

    BLOCKS = 2000

    def __init__(self, priority: np.ndarray, code: np.ndarray, people: int, most: int | None = None) -> None:
        values, place = np.unique(-rounded(np.asarray(priority, float)), return_inverse=True)
        self.groups, self.group, self.code, self.people = len(values), place.ravel(), code, people
        if most is not None and self.groups > most:
            rows = np.cumsum(np.bincount(self.group))
            block = np.minimum((rows - 1) * most // rows[-1], most - 1)
            _, block = np.unique(block, return_inverse=True)
            self.group, self.groups = block[self.group], int(block[-1]) + 1

    def table(self, values: np.ndarray) -> sparse.csr_array:
        """[group, customer] sums of [row] values; `self.table(v) @ inside.T` gives the groups' sums over who is in."""
        return sparse.csr_array((np.asarray(values, float), (self.group, self.code)), shape=(self.groups, self.people))


def first_rows(at: np.ndarray, steps: np.ndarray, sums: Sequence[np.ndarray]) -> list[np.ndarray]:
    """[some, at] of each of `sums`: what has come together after `at` of `steps`; of a group that `at` cuts, the same part of all.

    at: [at], or [some, at]. steps, sums: [some, group], added up from the first group on.
    """
    at = np.broadcast_to(at, (len(steps), np.shape(at)[-1]))
    along = np.cumsum(steps, axis=1)
    out = [np.empty(at.shape) for _ in sums]
    for which, total in zip(out, (np.cumsum(s, axis=1) for s in sums), strict=True):
        for i in range(len(steps)):
            which[i] = np.interp(at[i], np.append(0, along[i]), np.append(0, total[i]))
    return out


def interval(estimate: np.ndarray, halves: np.ndarray, level: float = 0.95) -> dict[str, np.ndarray]:
    """Columns estimate, se, low, high: a normal interval from the spread over half-samples (axis 0)."""
    se = np.std(halves, axis=0, ddof=1)
    half = stats.norm.ppf((1 + level) / 2) * se
    return {"estimate": estimate, "se": se, "low": estimate - half, "high": estimate + half}


def mean_interval(values: np.ndarray, customer: np.ndarray, level: float = 0.95) -> dict[str, float]:
    """estimate, se, low, high of the mean of `values` over rows: what half-samples tend to, in closed form.

    The linearised variance by customer of a ratio (sum of values over number of rows), so customers may have any number of rows.
    """
    code, people = customers(customer)
    mean, n = float(values.mean()), len(people)
    sums = np.bincount(code, values - mean, minlength=n)
    se = float(np.sqrt((sums**2).sum() * n / (n - 1)) / len(values))
    half = float(stats.norm.ppf((1 + level) / 2)) * se
    return {"estimate": mean, "se": se, "low": mean - half, "high": mean + half}


def same_length(**arrays: np.ndarray) -> int:
    """The rows that these arrays share. Raises ValueError that names the two that differ, or one that has missing numbers."""
    first, length = next((name, len(a)) for name, a in arrays.items())
    if not length:
        raise ValueError(f"{first} has no rows")
    for name, array in arrays.items():
        if len(array) != length:
            raise ValueError(f"{name} has {len(array):,} rows, {first} {length:,}")
        if np.asarray(array).dtype.kind == "f" and not np.isfinite(array).all():
            raise ValueError(f"{name}: {int((~np.isfinite(array)).sum()):,} numbers are missing or not finite")
    return length
