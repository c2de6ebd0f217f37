"""Confidence intervals of every kind that the package reports; scipy and statsmodels where they have them.

Half-samples are the fourth kind of error beside formulas, jackknife and bootstrap. Drawing m of C customers without replacement varies a
mean by sigma^2 (1 - m / C) / m, which at m = C / 2 is the variance of the mean of all C: the spread over halves needs no correction. grf
and maq take their errors so (Yadlowsky et al., JASA 2025, theorem 3).
"""

import warnings
from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd
from scipy import sparse, stats

from promo_helpers import draws as keyed
from promo_helpers.draws import rounded

ROUNDED = 0.950004209703559  # level of 1.96 standard errors, for tables that have always been made with the rounded quantile
CELLS = 4_000_000  # numbers of half-samples that are held at a time


def critical(level: Any = 0.95, freedom: Any = None) -> Any:
    """Two-sided quantile at a level: of the normal distribution, or of Student's with so many degrees of freedom."""
    tail = (1 + np.asarray(level, float)) / 2
    return stats.norm.ppf(tail) if freedom is None else stats.t.ppf(tail, freedom)


def interval(estimate: Any, se: Any, level: float = 0.95, freedom: Any = None) -> dict[str, Any]:
    """estimate, se, low, high: a normal interval, or Student's with `freedom`; numbers, arrays or Series."""
    half = critical(level, freedom) * se
    return {"estimate": estimate, "se": se, "low": estimate - half, "high": estimate + half}


def mean(values: Any, level: float = 0.95) -> dict[str, float]:
    """estimate, se, low, high of a mean, values as independent: normal interval. From a single value low and high are missing."""
    values = np.asarray(values, float)
    se = values.std(ddof=1) / np.sqrt(len(values)) if len(values) > 1 else np.nan
    return interval(values.mean(), se, level)


def student(values: Any, level: float = 0.95) -> dict[str, float]:
    """estimate, se, low, high of a mean, values as independent: Student's interval. From a single value low and high are missing."""
    values = np.asarray(values, float)
    n, mean = len(values), float(values.mean())
    if n < 2:
        return {"estimate": mean, "se": np.nan, "low": np.nan, "high": np.nan}
    with (
        warnings.catch_warnings()
    ):  # a policy that sends nothing earns exactly nothing in each market, and that is no loss of digits
        warnings.filterwarnings("ignore", "Precision loss", RuntimeWarning)
        ends = stats.ttest_1samp(values, 0.0).confidence_interval(level)
    return {"estimate": mean, "se": float(stats.sem(values)), "low": float(ends.low), "high": float(ends.high)}


def welch(difference: float, variances: Sequence[float], sizes: Sequence[int], level: float = 0.95) -> dict[str, float]:
    """estimate, se, low, high of a difference of two means from the variances (ddof 1) and sizes of the two groups (Welch 1947).

    As `scipy.stats.ttest_ind(equal_var=False)`, which takes no variance from elsewhere, and has no interval where neither group varies.
    """
    parts = np.asarray(variances, float) / np.asarray(sizes, float)
    total = float(parts.sum())
    freedom = total**2 / float((parts**2 / (np.asarray(sizes) - 1)).sum()) if total > 0 else np.inf
    return interval(difference, float(np.sqrt(total)), level, freedom)


def named(name: str, found: dict[str, Any]) -> dict[str, Any]:
    """The estimate of an interval as `name`, its ends as name_low and name_high: columns of a table."""
    return {name: found["estimate"], f"{name}_low": found["low"], f"{name}_high": found["high"]}


def share_of_known(holds: Any, known: Any) -> float:
    """Share of the known rows for which something holds; NaN where none is known. Both are [row] true or false."""
    holds, known = np.asarray(holds, bool), np.asarray(known, bool)
    return float(holds[known].mean()) if known.any() else float("nan")


def share(count: Any, number: Any, level: float = 0.95, method: Literal["wilson", "beta"] = "wilson") -> dict[str, Any]:
    """estimate, low, high of a share, `count` of `number` independent trials; numbers or arrays, `count` need not be whole.

    Methods: "wilson" (Wilson 1927), whose coverage is 95 % on average, and "beta" (Clopper and Pearson 1934), at least 95 % always.
    """
    from statsmodels.stats.proportion import proportion_confint  # a second of every start that needs no share

    low, high = proportion_confint(count, number, alpha=1 - level, method=method)
    return {"estimate": count / number, "low": low, "high": high}


def cluster_error(parts: np.ndarray, code: np.ndarray, clusters: int, lost: int = 1) -> float:
    """Standard error of a sum over rows whose parts have mean zero; rows of one cluster (0, 1, ... in `code`) go together.

    Liang and Zeger 1986; the factor clusters / (clusters - lost) is the usual correction for a mean, `lost` = 0 leaves it out. Written
    here since curves take it hundreds of times in a row: statsmodels has the same, see `least_squares`.
    """
    sums = np.bincount(code, parts, minlength=clusters)
    return float(np.sqrt((sums**2).sum() * clusters / (clusters - lost)))


def mean_by_cluster(values: np.ndarray, cluster: np.ndarray, level: float = 0.95) -> dict[str, float]:
    """estimate, se, low, high of the mean of `values` over rows, clusters (such as customers) as independent: normal interval.

    The linearised variance of a ratio (sum of values over number of rows), so clusters may have any number of rows. It is what
    half-samples tend to. Raises ValueError for fewer than four clusters.
    """
    code, people = customers(cluster)
    mean = float(values.mean())
    return interval(mean, cluster_error(values - mean, code, len(people)) / len(values), level)


def least_squares(x: np.ndarray, y: np.ndarray, cluster: np.ndarray, lost: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Coefficients of least squares of y on the columns of x, and their covariance by cluster, times clusters / (clusters - lost)."""
    from statsmodels.regression.linear_model import OLS  # seconds of every start that needs no regression

    code, people = pd.factorize(np.asarray(cluster))
    with warnings.catch_warnings():  # the pseudo-inverse gives a column that says nothing new a coefficient of 0
        warnings.filterwarnings("ignore", "The design matrix is rank-deficient")
        fitted = OLS(y, x).fit(cov_type="cluster", cov_kwds={"groups": code, "use_correction": False})
    return np.asarray(fitted.params), np.asarray(fitted.cov_params()) * len(people) / max(len(people) - lost, 1)


def ratio_of_sums(above: np.ndarray, below: np.ndarray, level: float = 0.95) -> dict[str, float]:
    """estimate, se, low, high of sum(above) / sum(below) over independent rows: normal interval, linearised."""
    value = float(above.sum() / below.sum())
    return interval(value, float(np.sqrt(((above - value * below) ** 2).sum()) / below.sum()), level)


def jackknife_error(left_out: np.ndarray) -> np.ndarray:
    """Standard error from estimates [part, ...] that each leave one of the parts out (Efron and Tibshirani 1993, chapter 11)."""
    k = len(left_out)
    return np.sqrt((k - 1) / k * ((left_out - left_out.mean(axis=0)) ** 2).sum(axis=0))


def jackknife(estimate: Any, left_out: np.ndarray, level: float = 0.95) -> dict[str, Any]:
    """estimate, se, low, high from estimates [part, ...] that each leave one part out: Student's with parts - 1 degrees of freedom."""
    return interval(estimate, jackknife_error(left_out), level, max(len(left_out) - 1, 1))


def ratio_of_means(above: np.ndarray, below: np.ndarray, level: float = 0.95) -> dict[str, float]:
    """estimate, se, low, high of mean(above) / mean(below) over the same units, such as markets or dates, by the jackknife.

    The estimate is missing where the mean below is 0; low and high are missing with a single unit.
    """
    above, below = np.asarray(above, float), np.asarray(below, float)
    value = above.mean() / below.mean() if below.mean() else np.nan
    left_out = (above.sum() - above) / (below.sum() - below) if len(above) > 1 else np.full(1, np.nan)
    return jackknife(value, left_out, level)


def percentiles(drawn: Any, level: float = 0.95, known: float = 1.0) -> np.ndarray:
    """[low and high, ...] percentile interval of the bootstrap from statistics [draw, ...] (Efron and Tibshirani 1993, chapter 13).

    A statistic may be missing in some draws: its interval is then missing, but with `known` below 1 it is that of the other draws where
    these are more than the share `known`. Weights of the draws: `draws.bootstrap`.
    """
    drawn, ends = np.asarray(drawn, float), ((1 - level) / 2, (1 + level) / 2)
    if known >= 1:
        return np.quantile(drawn, ends, axis=0)
    there = np.isfinite(drawn).mean(axis=0) > known
    out = np.full((2, *drawn.shape[1:]), np.nan)
    if there.any():
        out[:, there] = np.nanquantile(drawn[:, there], ends, axis=0)
    return out


def simultaneous(value: np.ndarray, drawn: np.ndarray, level: float = 0.95) -> tuple[np.ndarray, np.ndarray]:
    """low, high [column] that hold for all columns at once, from [draw, column] of a bootstrap.

    The largest |z| over the columns gives one critical value for all; a column that is infinite in a draw counts as beyond.
    """
    finite = np.isfinite(drawn)
    spread = np.where(finite, drawn, 0).std(axis=0, where=finite)
    z = np.where(finite, np.abs(drawn - value) / np.maximum(spread, 1e-12), np.inf)
    half = np.quantile(z.max(axis=1, initial=0.0), level, method="higher") * spread
    return value - half, value + half


def customers(customer: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """[row] customers as 0, 1, ..., and who these are. Raises ValueError for fewer than four, of whom no half has a spread."""
    code, people = pd.factorize(np.asarray(customer))
    if len(people) < 4:
        raise ValueError(f"{len(people)} customers: half-samples need four at least")
    return code, np.asarray(people)


def over_half_samples(statistic: Callable[[np.ndarray], np.ndarray], people: np.ndarray, draws: int, seed: int) -> np.ndarray:
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


def from_half_samples(estimate: np.ndarray, halves: np.ndarray, level: float = 0.95) -> dict[str, np.ndarray]:
    """estimate, se, low, high: a normal interval from the spread over half-samples (axis 0)."""
    return interval(estimate, np.std(halves, axis=0, ddof=1), level)


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
