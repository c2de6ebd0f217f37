"""A deeper discount never sells less: predicted units made to rise with the depth, row by row."""

import numpy as np
from numba import njit


def monotone(units: np.ndarray, weight: np.ndarray | None = None) -> np.ndarray:
    """[row, arm] units that rise with the arm from arm 1 on, nearest to `units` in (weighted) squares; arm 0, no contact, is left alone.

    units: [row, arm], the contacted arms in rising order of their discount. weight: [arm], how sure the prediction of each arm is (such
    as the number of training rows that had it); weight[0] is not used. Pool adjacent violators (Ayer et al. 1955; Barlow et al. 1972).
    Raises ValueError for an array that is not [row, arm] with an arm 0, numbers that are not finite, weights that are not above 0.
    """
    units = np.array(units, float)
    if units.ndim != 2 or units.shape[1] < 2:
        raise ValueError(f"units is {units.shape}: it must be [row, arm], no contact first and at least one arm after it")
    if not np.isfinite(units).all():
        raise ValueError(f"units: {int((~np.isfinite(units)).sum()):,} numbers are missing or not finite; leave out these rows")
    weight = np.ones(units.shape[1]) if weight is None else np.asarray(weight, float)
    if weight.shape != units.shape[1:] or not (np.isfinite(weight[1:]) & (weight[1:] > 0)).all():
        raise ValueError(f"weight is {weight.tolist()}: it must hold one number above 0 for each of {units.shape[1]} arms")
    _pool(units, weight)
    return units


@njit(cache=True)
def _pool(units: np.ndarray, weight: np.ndarray) -> None:
    """Pool adjacent violators in place, over columns 1 to the last."""
    arms = units.shape[1]
    mean, mass, size = np.empty(arms), np.empty(arms), np.empty(arms, np.int64)
    for i in range(len(units)):
        top = -1
        for a in range(1, arms):
            top += 1
            mean[top], mass[top], size[top] = units[i, a], weight[a], 1
            while top > 0 and mean[top - 1] > mean[top]:
                both = mass[top - 1] + mass[top]
                mean[top - 1] += (mean[top] - mean[top - 1]) * (mass[top] / both)
                mass[top - 1] = both
                size[top - 1] += size[top]
                top -= 1
        a = 1
        for p in range(top + 1):
            for _ in range(size[p]):
                units[i, a] = mean[p]
                a += 1
