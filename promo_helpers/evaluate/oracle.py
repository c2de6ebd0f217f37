"""The informed oracle: the best that any method could do with the features at hand, if it saw true effects instead of outcomes.

Its effects E[gain | x] and E[spend | x] are fitted, without noise, to the true gains of some populations, and its policy is valued by the
truth of another. It is relative to the list of features, and an approximation from below: better features, or more customers, may
exceed it. The populations are enlarged until doubling them gains less than half a percent.
"""

from dataclasses import dataclass

import lightgbm as lgb
import numpy as np
import pandas as pd

from promo_helpers.ties import rounded

TREES = {
    "objective": "l2", "num_leaves": 31, "learning_rate": 0.07, "min_data_in_leaf": 250, "feature_fraction": 0.5, "bagging_fraction": 0.5,
    "bagging_freq": 1, "max_bin": 63, "verbose": -1, "num_threads": 1, "seed": 0, "deterministic": True, "force_row_wise": True,
}  # fmt: skip
ROUNDS = 160
PRICES = np.append(0.0, np.geomspace(0.01, 30, 60))  # shadow prices of the frontier


@dataclass(frozen=True)
class Informed:
    """Fitted expectations given the features: one model an arm but the control, for gain and for spend."""

    gains: tuple[lgb.Booster, ...]
    spends: tuple[lgb.Booster, ...]
    columns: tuple[str, ...]

    def expected(self, features: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
        """[row, arm] expected gain and spend; column 0 is 0."""
        x = features[list(self.columns)]
        zero = np.zeros((len(x), 1))
        return (
            np.hstack([zero, np.column_stack([m.predict(x) for m in self.gains])]),
            np.hstack([zero, np.maximum(np.column_stack([m.predict(x) for m in self.spends]), 0)]),
        )


def fit_informed(features: pd.DataFrame, gain: np.ndarray, spend: np.ndarray, seed: int = 0) -> Informed:
    """Fit to true expectations [row, arm] of decisions described by `features`; column 0, the control, is 0 in both."""
    data = lgb.Dataset(features, free_raw_data=False, params={"max_bin": TREES["max_bin"], "verbose": -1}).construct()

    def fit(target: np.ndarray) -> tuple[lgb.Booster, ...]:
        models = []
        for a in range(1, target.shape[1]):
            data.set_label(np.ascontiguousarray(target[:, a], dtype=np.float32))
            models.append(lgb.train(TREES | {"seed": seed}, data, ROUNDS))
        return tuple(models)

    return Informed(fit(gain), fit(spend), tuple(features))


@dataclass(frozen=True)
class Frontier:
    """What the informed oracle earns at each true expected spend, a decision: both increasing."""

    spend: np.ndarray
    value: np.ndarray

    @property
    def best(self) -> float:
        """Its value without a budget."""
        return float(self.value[-1])

    def at(self, spend: float) -> float:
        """Its value at a spend; beyond its own best it spends no more."""
        return float(np.interp(spend, self.spend, self.value))


def frontier(expected: tuple[np.ndarray, np.ndarray], gain: np.ndarray, spend: np.ndarray) -> Frontier:
    """Value and spend, by the true `gain` and `spend` [row, arm], of the policies argmax(E[gain | x] - price x E[spend | x]).

    Between two policies lie their random mixtures, so the frontier is the concave hull of the points, from nobody on.
    """
    rows, points = np.arange(len(gain)), [(0.0, 0.0)]
    for price in PRICES:
        arm = np.argmax(expected[0] - price * expected[1], axis=1)
        points.append((float(spend[rows, arm].mean()), float(gain[rows, arm].mean())))
    hull: list[tuple[float, float]] = []
    top = max(v for _, v in points)
    for x, v in dict(sorted(points)).items():  # the best at each spend
        while len(hull) > 1 and (hull[-1][1] - hull[-2][1]) * (x - hull[-2][0]) <= (v - hull[-2][1]) * (
            hull[-1][0] - hull[-2][0]
        ):
            hull.pop()
        hull.append((x, v))
        if v >= top:
            break
    return Frontier(*(np.array(c) for c in zip(*hull, strict=True)))


def one_variable(features: pd.DataFrame, gain: np.ndarray, bins: int = 10) -> tuple[str, np.ndarray, np.ndarray]:
    """The best rule on one variable: its name, the edges of its tenths, and the arm of largest true gain in each."""
    best: tuple[float, str, np.ndarray, np.ndarray] = (-np.inf, "", np.empty(0), np.empty(0))
    for name in features:
        x = features[name].to_numpy(float)
        edges = np.unique(np.nanquantile(x, np.linspace(0, 1, bins + 1)[1:-1]))
        cell = np.searchsorted(edges, x, side="right")
        sums = np.column_stack([np.bincount(cell, gain[:, a], minlength=len(edges) + 1) for a in range(gain.shape[1])])
        total = float(rounded(sums.max(axis=1).sum()))  # of equals the first feature
        if total > best[0]:
            best = (total, name, edges, rounded(sums).argmax(axis=1))
    return best[1:]


def followed(rule: tuple[str, np.ndarray, np.ndarray], features: pd.DataFrame) -> np.ndarray:
    """[row] arm that a rule on one variable gives."""
    name, edges, arms = rule
    return arms[np.searchsorted(edges, features[name].to_numpy(float), side="right")]
