"""Half-samples of customers: how far an estimate moves when only half of them are there, which is its standard error.

Drawing m of C customers without replacement varies a mean by sigma^2 (1 - m / C) / m, which at m = C / 2 is the variance of the mean
of all C: the spread over halves needs no correction. grf and maq take their errors so (Yadlowsky et al., JASA 2025, theorem 3).
"""

from collections.abc import Callable

import numpy as np
import pandas as pd
from scipy import stats

CELLS = 2_000_000  # numbers held at a time


def customers(customer: np.ndarray) -> tuple[np.ndarray, int]:
    """[row] customers as 0, 1, ..., and how many there are. Raises ValueError for fewer than four, of whom no half has a spread."""
    code, people = pd.factorize(np.asarray(customer))
    if len(people) < 4:
        raise ValueError(f"{len(people)} customers: half-samples need four at least")
    return code, len(people)


def over_halves(
    statistic: Callable[[np.ndarray], np.ndarray], customer: np.ndarray, draws: int, rng: np.random.Generator
) -> np.ndarray:
    """[draw, ...] a statistic of each of `draws` half-samples.

    `statistic` takes weights [some, row] of 0 and 1 (a customer's rows share theirs) and returns [some, ...]; it is called with as many
    half-samples at a time as fit into CELLS numbers. Raises ValueError for fewer than two draws.
    """
    if draws < 2:
        raise ValueError(f"draws = {draws}: a spread needs two half-samples at least")
    code, people = customers(customer)
    some = max(1, min(draws, CELLS // len(code)))
    parts = []
    for first in range(0, draws, some):
        count = min(some, draws - first)
        taken = rng.permuted(np.tile(np.arange(people) < people // 2, (count, 1)), axis=1)
        parts.append(statistic(taken[:, code].astype(float)))
    return np.concatenate(parts)


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
    mean = float(values.mean())
    sums = np.bincount(code, values - mean, minlength=people)
    se = float(np.sqrt((sums**2).sum() * people / (people - 1)) / len(values))
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
