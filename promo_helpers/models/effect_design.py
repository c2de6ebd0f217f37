"""What all methods of estimating an average effect share: covariates, folds by customer, chances, and an interval by customer."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression

from promo_helpers import draws
from promo_helpers.experiment import Experiment

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


def interval(score: np.ndarray, customer: np.ndarray, estimated: int = 1) -> tuple[float, float]:
    """Mean of the scores and its standard error where rows of one customer go together.

    Variance: G / (G - 1) x (n - 1) / (n - k) x sum over G customers of (their centred scores)^2 / n^2, with k = `estimated`
    coefficients (Liang and Zeger 1986, with the usual correction for small samples).
    """
    n, mean = len(score), float(score.mean())
    per = np.bincount(customer, score - mean)
    groups = len(np.unique(customer))
    return mean, float(np.sqrt(groups / (groups - 1) * (n - 1) / (n - estimated) * (per**2).sum()) / n)
