"""Scores of the methods: [row] values whose mean is the estimated effect and whose spread, by customer, is its error.

Each function takes a `Design` and the outcome [row], and gives the scores, the number of coefficients estimated on the rows (for the
correction in small samples), and weights [row] of the rows in what it estimates, or None where all count alike.
"""

import warnings
from collections.abc import Callable

import numpy as np
from lightgbm import LGBMRegressor

from promo_helpers.models.effect_design import Design, chance_model

Scored = tuple[np.ndarray, int, np.ndarray | None]
STRATA = 20
FEW = 5  # rows of each arm that a stratum needs; else it joins its neighbour
MATCHES = 4


def difference_in_means(design: Design, y: np.ndarray) -> Scored:
    """Mean of the offered less mean of the others (Neyman). No adjustment: right in a trial, the warning in a log."""
    return _weighted(y, design.offered, np.full(len(y), design.offered.mean())), 2, None


def regression(design: Design, y: np.ndarray) -> Scored:
    """Least squares in each arm, both predicted for every row (Lin 2013). The score is the estimate's influence function."""
    part = {arm: _ols(design.x, y, design.offered == arm) for arm in (0, 1)}
    return part[1][0] - part[0][0] + part[1][1] - part[0][1], 2 * (design.x.shape[1] + 1), None


def weighting(design: Design, y: np.ndarray) -> Scored:
    """Means weighted by one over the chance of the arm, weights adding up to one (Hajek).

    Linearised, with the part that a logistic regression's estimated chances explain taken out (Lunceford and Davidian 2004).
    """
    score = _weighted(y, design.offered, design.chance)
    directions = np.column_stack([np.ones(len(y)), design.x]) * (design.offered - design.chance)[:, None]
    explained = directions @ np.linalg.lstsq(directions, score - score.mean(), rcond=None)[0]
    return score - explained + explained.mean(), design.x.shape[1] + 3, None


def matching(design: Design, y: np.ndarray, matches: int = MATCHES, corrected: bool = True) -> Scored:
    """Each row against its `matches` neighbours of the other arm by chance, with replacement (Abadie and Imbens 2006).

    Corrected for what the neighbours' covariates differ, by least squares in each arm (2011). Scores as in Otsu and Rai (2017): that
    the chances were estimated is left out, which makes the interval rather too wide (Abadie and Imbens 2016).
    """
    position = np.log(design.chance / (1 - design.chance))
    line = {arm: _predicted(design.x, y, design.offered == arm) if corrected else np.zeros(len(y)) for arm in (0, 1)}
    used = np.zeros(len(y))
    for arm in (0, 1):
        pool, asking = np.flatnonzero(design.offered == arm), np.flatnonzero(design.offered != arm)
        used += np.bincount(pool[_nearest(position[pool], position[asking], matches)].ravel(), minlength=len(y))
    own = np.where(design.offered == 1, line[1], line[0])
    sign = 2 * design.offered - 1
    return line[1] - line[0] + sign * (1 + used / min(matches, *np.bincount(design.offered))) * (y - own), 2, None


def stratification(design: Design, y: np.ndarray, strata: int = STRATA) -> Scored:
    """Differences in means within groups of like chance, weighted by the rows in them (Rosenbaum and Rubin 1984)."""
    group = grouped(design, strata)
    count = np.array([np.bincount(group, design.offered == arm) for arm in (0, 1)])
    mean = np.array([np.bincount(group, y * (design.offered == arm)) for arm in (0, 1)]) / count
    share = count[1] / count.sum(axis=0)
    return _robust(y, design.offered, share[group], mean[0][group], mean[1][group]), 2 * len(share), None


def grouped(design: Design, strata: int) -> np.ndarray:
    """[row] number of its group: quantiles of chance, joined with the next until each has FEW rows of both arms."""
    edges = np.quantile(design.chance, np.linspace(0, 1, strata + 1)[1:-1])
    group = np.searchsorted(edges, design.chance, side="right")
    number, joined, held = 0, np.zeros(strata, int), np.zeros(2)
    for k in range(strata):
        joined[k] = number
        held += np.bincount(design.offered[group == k], minlength=2)
        if held.min() >= FEW:
            number, held = number + 1, np.zeros(2)
    if number:  # what is left over at the end is too few by itself
        joined = np.minimum(joined, number - 1)
    return joined[group]


def doubly_robust(design: Design, y: np.ndarray) -> Scored:
    """Augmented weighting, cross-fitted by customer (Robins, Rotnitzky and Zhao 1994; Chernozhukov et al. 2018).

    Outcomes by small boosted trees in each arm, chances by a logistic regression: right where either is.
    """
    chance, line = np.empty(len(y)), np.empty((2, len(y)))
    for fit, held in design.splits():
        chance[held] = chance_model().fit(design.x[fit], design.offered[fit]).predict_proba(design.x[held])[:, 1]
        for arm in (0, 1):
            rows = fit[design.offered[fit] == arm]
            line[arm, held] = trees().fit(design.x[rows], y[rows]).predict(design.x[held])
    return _robust(y, design.offered, chance, *line), 1, None


def double_machine_learning(design: Design, y: np.ndarray) -> Scored:
    """EconML's LinearDML with a constant effect: what is left of the outcome on what is left of the offer, cross-fitted.

    Where effects differ this estimates their mean with weights e (1 - e), the rows where chance decides most, not over all rows
    (Angrist 1998): those weights are given. The error is by customer, which EconML's own is not.
    """
    with warnings.catch_warnings():  # EconML 0.17 warns of its own calls of scikit-learn
        warnings.simplefilter("ignore", FutureWarning)
        from econml.dml import LinearDML

        model = LinearDML(
            model_y=trees(), model_t=chance_model(), discrete_treatment=True, cv=design.splits(), random_state=0
        )  # fmt: skip
        model.fit(y, design.offered, W=design.x, cache_values=True)
    left_y, left_t, _, _ = model.residuals_
    left_y, left_t = np.ravel(left_y), np.ravel(left_t)
    effect = float(np.ravel(model.intercept_)[0])
    # the final stage has no intercept: its score is that of least squares through the origin
    return effect + left_t * (left_y - effect * left_t) / np.mean(left_t**2), 1, left_t**2


def trees() -> LGBMRegressor:
    """Small boosted trees, on one thread and without chance: the same numbers on every run."""
    return LGBMRegressor(
        n_estimators=80, learning_rate=0.06, num_leaves=8, min_child_samples=20, reg_lambda=5.0, n_jobs=1, deterministic=True,
        force_row_wise=True, random_state=0, verbose=-1,
    )  # fmt: skip


METHODS: dict[str, Callable[[Design, np.ndarray], Scored]] = {
    "difference in means": difference_in_means,
    "regression": regression,
    "weighting": weighting,
    "matching": matching,
    "stratification": stratification,
    "doubly robust": doubly_robust,
    "double machine learning": double_machine_learning,
}


def _weighted(y: np.ndarray, offered: np.ndarray, chance: np.ndarray) -> np.ndarray:
    """Scores of the difference of two weighted means whose weights add up to one."""
    score = np.zeros(len(y))
    for sign, weight in ((1, offered / chance), (-1, (1 - offered) / (1 - chance))):
        mean = weight @ y / weight.sum()
        score += sign * (mean + weight * (y - mean) / weight.mean())
    return score


def _robust(y: np.ndarray, offered: np.ndarray, chance: np.ndarray, none: np.ndarray, offer: np.ndarray) -> np.ndarray:
    return offer - none + offered * (y - offer) / chance - (1 - offered) * (y - none) / (1 - chance)


def _predicted(x: np.ndarray, y: np.ndarray, rows: np.ndarray) -> np.ndarray:
    design = np.column_stack([np.ones(len(x)), x])
    return design @ np.linalg.lstsq(design[rows], y[rows], rcond=None)[0]


def _ols(x: np.ndarray, y: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Predictions for all rows of a least squares fit on some, and the influence of each row on their mean."""
    design = np.column_stack([np.ones(len(x)), x])
    predicted = _predicted(x, y, rows)
    direction = np.linalg.pinv(design[rows].T @ design[rows] / len(x)) @ design.mean(axis=0)
    return predicted, np.where(rows, y - predicted, 0) * (design @ direction)


def _nearest(pool: np.ndarray, asking: np.ndarray, matches: int) -> np.ndarray:
    """[asking, match] places in `pool` of the nearest values; of two as near, the one with the smaller value."""
    order = np.argsort(pool, kind="stable")
    line, matches = pool[order], min(matches, len(pool))
    place = np.searchsorted(line, asking)
    near = np.clip(place[:, None] + np.arange(-matches, matches), -1, len(line))
    outside = (near < 0) | (near >= len(line))
    distance = np.where(outside, np.inf, np.abs(line[near.clip(0, len(line) - 1)] - asking[:, None]))
    best = np.argsort(distance, axis=1, kind="stable")[:, :matches]
    return order[np.take_along_axis(near, best, axis=1)]
