"""What all methods of estimating an average effect share: covariates, folds by customer, chances, and an interval by customer."""

import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression

from promo_helpers import draws, inference
from promo_helpers.experiment import Experiment
from promo_helpers.trees import regressor

FOLDS = 5
LEAST = 20  # rows of each arm, below which no interval is worth its name
COVARIATES = (  # what an analyst would adjust for: habits of coming and spending, of this product and its category, and the shelf
    "recency", "trips_28", "trips_90", "spend_90", "product_28", "product_180", "product_all", "category_180", "promotion_ahead",
    "offers_30", "product_price", "age",
)  # fmt: skip
COUNTS = ("recency", "trips", "product_28", "product_180", "product_all", "category_180", "baskets")  # first letters of names
MONEY = ("spend", "product_price")


@dataclass(frozen=True)
class Design:
    """What all methods share: [row, covariate] standardised x with its names, 0/1 offered, customers and folds by number."""

    x: np.ndarray
    names: tuple[str, ...]
    offered: np.ndarray
    customer: np.ndarray
    fold: np.ndarray

    @classmethod
    def of(cls, experiment: Experiment, seed: int, names: Iterable[str] | None = None) -> "Design":
        """The design of an experiment of two arms; `names` of covariates, those of COVARIATES for a shop's contacts and else all
        features unless given.

        Folds are parts of the customers, drawn by `seed`. Raises ValueError unless there are two arms with LEAST rows each.
        """
        if len(experiment.arms) != 2:
            raise ValueError(f"{experiment.name}: an effect is of one arm against another, here are {len(experiment.arms)} arms")
        if experiment.counts.min() < LEAST:
            arm = experiment.arms[int(np.argmin(experiment.counts))]
            raise ValueError(f"{experiment.name}: arm '{arm}' has {experiment.counts.min():,} rows, at least {LEAST} are needed")
        frame = covariates(experiment.features, names)
        code = pd.factorize(experiment.customer)[0]
        fold = draws.folds(seed, "folds of effects", experiment.customer, number=FOLDS)
        return cls(frame.to_numpy(), tuple(frame), experiment.arm.astype(int), code, fold)

    def splits(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """Rows to fit on and rows held out, for each fold."""
        return [(np.flatnonzero(self.fold != k), np.flatnonzero(self.fold == k)) for k in range(FOLDS)]

    @cached_property
    def chance(self) -> np.ndarray:
        """[row] chance of the offer among the two arms, by a logistic regression on all rows.

        It is estimated in a trial too, where it is known: the estimate corrects for imbalance that happened (Hirano, Imbens and
        Ridder 2003), and trial and log are treated alike.
        """
        return chance_model().fit(self.x, self.offered).predict_proba(self.x)[:, 1]


def chance_model() -> LogisticRegression:
    """A logistic regression all but without a penalty, solved to the last digit."""
    return LogisticRegression(C=1e4, solver="newton-cholesky", tol=1e-10, max_iter=200)


def covariates(features: pd.DataFrame, names: Iterable[str] | None = None) -> pd.DataFrame:
    """The features as methods take them: standardised, with the typical value where unknown; what is constant or said already left out.

    Counts x become log(1 + x), money log(1 + x / median), since money has no unit of its own and the shape of the curve would hang
    on it. Recency is there as log and as days: nobody knows how a rule looked at it. Raises KeyError for a name that is not there.
    """
    shop = set(COVARIATES) - set(features) <= {"age"}  # a shop may not know the age; else the features are somebody's own choice
    chosen = list(names) if names is not None else [n for n in COVARIATES if n in features] if shop else list(features)
    unknown = sorted(set(chosen) - set(features))
    if unknown:
        raise KeyError(f"no feature '{unknown[0]}'; there are {', '.join(features)}")
    frame = features[chosen].astype(float)
    if "recency" in frame:
        frame["recency_days"] = frame["recency"]
    for name in chosen:
        if name.startswith((*COUNTS, *MONEY)):
            values = frame[name].clip(lower=0)
            typical = values[values > 0].median() if name.startswith(MONEY) and (values > 0).any() else 1.0
            frame[name] = np.log1p(values / typical)
    frame = frame.fillna(frame.median()).dropna(axis=1)
    spread = frame.std(ddof=0)
    kept = spread.index[spread > 1e-9 * (1 + frame.abs().max())]
    frame = (frame[kept] - frame[kept].mean()) / spread[kept]
    # what the columns before it say already is left out: in the first months all purchases are recent ones
    diagonal = np.abs(np.diag(np.linalg.qr(frame.to_numpy(), mode="r")))
    return frame.loc[:, diagonal > 1e-6 * np.sqrt(len(frame))]


def clustered_interval(score: np.ndarray, customer: np.ndarray, estimated: int = 1) -> tuple[float, float]:
    """Mean of the scores and its standard error where rows of one customer go together.

    The variance of `inference.cluster_error`, times (n - 1) / (n - k) for k = `estimated` coefficients: the usual correction for
    small samples.
    """
    n, mean = len(score), float(score.mean())
    code, people = pd.factorize(customer)
    return mean, inference.cluster_error(score - mean, code, len(people)) * float(np.sqrt((n - 1) / (n - estimated))) / n


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


def trees() -> Any:
    """Small boosted trees, on one thread and without chance: the same numbers on every run."""
    return regressor(0, n_estimators=80, learning_rate=0.06, num_leaves=8, min_child_samples=20, reg_lambda=5.0)


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


LEVEL = 0.95


@dataclass(frozen=True)
class EffectEstimate:
    """An average effect in units of the outcome a contact, with a 95 % interval.

    weight: [row] how much the effect of each row counts in what the method estimates (mean 1): all alike for most methods; the
    rows where chance decided most, for double machine learning. Hold an estimate beside the truth averaged with these weights.
    """

    method: str
    effect: float
    low: float
    high: float
    error: float
    n: int
    weight: np.ndarray

    @property
    def width(self) -> float:
        return self.high - self.low


def estimate(experiment: Experiment, outcome: str, method: str, seed: int, design: Design | None = None) -> EffectEstimate:
    """The average effect of the second arm against the first over the rows whose outcome is known, by one of METHODS.

    `design` may be handed over where several methods or outcomes share it (with the same missing outcomes).
    Raises KeyError for an unknown method or outcome; ValueError for other than two arms, too few rows, or a constant outcome.
    """
    if method not in METHODS:
        raise KeyError(f"no method '{method}'; there are {', '.join(METHODS)}")
    experiment = known_outcome(experiment, outcome)
    y = experiment.outcome(outcome)
    if len(y) and np.ptp(y) == 0:
        raise ValueError(f"{experiment.name}: the outcome '{outcome}' is {y[0]:g} in every row: there is nothing to compare")
    design = design or Design.of(experiment, seed)
    if len(design.offered) != len(y):
        raise ValueError(f"the design has {len(design.offered):,} rows, the outcome '{outcome}' is known in {len(y):,}")
    score, estimated, weight = METHODS[method](design, y)
    effect, error = clustered_interval(score, design.customer, estimated)
    ends = inference.interval(effect, error, LEVEL)
    weight = np.ones(len(y)) if weight is None else weight / weight.mean()
    return EffectEstimate(method, effect, ends["low"], ends["high"], error, len(y), weight)


def known_outcome(experiment: Experiment, outcome: str) -> Experiment:
    """The rows in which an outcome is known."""
    there = np.isfinite(experiment.outcome(outcome))
    return experiment if there.all() else experiment.only(there)


def table(
    experiment: Experiment,
    outcomes: Iterable[str],
    methods: Iterable[str],
    seed: int,
    effects: dict[str, np.ndarray] | None = None,
) -> pd.DataFrame:
    """Tidy: one row per outcome and method: outcome, method, effect, low, high, error, n.

    `effects` are the true effects of each row of the experiment, by outcome; then there is a column truth: their average over the
    rows, with the weights of what the method estimates.
    """
    rows = []
    for outcome in outcomes:
        there = np.isfinite(experiment.outcome(outcome))
        part = known_outcome(experiment, outcome)
        design = Design.of(part, seed)
        for method in methods:
            found = estimate(part, outcome, method, seed, design)
            row: dict[str, Any] = {"outcome": outcome, "method": method}
            row |= {name: getattr(found, name) for name in ("effect", "low", "high", "error", "n")}
            if effects is not None:
                row["truth"] = float(np.average(effects[outcome][there], weights=found.weight))
            rows.append(row)
    return pd.DataFrame(rows)
