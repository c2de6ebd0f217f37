"""The rule "contact the likely buyers", and what Fairlearn's post-processing makes of it."""

import numpy as np
import pandas as pd
from fairlearn.postprocessing import ThresholdOptimizer
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.metrics import balanced_accuracy_score

from promo_helpers import draws

CONSTRAINTS = {"demographic parity": "demographic_parity", "equalised odds": "equalized_odds"}


class Given(ClassifierMixin, BaseEstimator):
    """A classifier whose one feature is a chance that another model foretold."""

    def fit(self, x: np.ndarray, y: np.ndarray) -> "Given":
        """Nothing is learnt."""
        self.classes_ = np.array([0, 1])
        return self

    def predict_proba(self, x: np.ndarray) -> np.ndarray:
        """[row, 2]"""
        p = np.asarray(x, float).reshape(len(x), -1)[:, 0]
        return np.column_stack([1 - p, p])


def fitted(
    chance: np.ndarray,
    label: np.ndarray,
    group: np.ndarray,
    fit: np.ndarray,
    known: np.ndarray,
    customer: np.ndarray,
    seed: int,
) -> dict[str, np.ndarray]:
    """`rules` of the rows whose group is known; the others are contacted by no rule."""
    found = rules(chance[known], label[known], group[known], fit[known], customer[known], seed)
    out = {}
    for name, contacted in found.items():
        out[name] = np.zeros(len(chance), bool)
        out[name][known] = contacted
    return out


def rules(
    chance: np.ndarray, label: np.ndarray, group: np.ndarray, fit: np.ndarray, customer: np.ndarray, seed: int
) -> dict[str, np.ndarray]:
    """name -> [row] who is contacted: by one threshold for all, and by thresholds that hold to demographic parity and to equalised odds.

    All maximise balanced accuracy on the rows of `fit` (Hardt, Price & Srebro 2016; Fairlearn's ThresholdOptimizer, whose
    thresholds may be drawn at random, here by customer and `seed`); the other rows are to judge them. Raises ValueError where a group
    of `fit` holds no buyer, or buyers only.
    """
    frame = pd.DataFrame({"y": label[fit].astype(int), "group": group[fit]}).groupby("group")["y"].agg(["min", "max"])
    if (one := frame[frame["min"] == frame["max"]]).size:
        raise ValueError(f"group {one.index[0]!r} has buyers only, or none: no rate of errors can be held equal")
    x = chance[:, None]
    steps = np.unique(np.quantile(chance[fit], np.linspace(0.01, 0.99, 99)))
    best = max(steps, key=lambda t: balanced_accuracy_score(label[fit], chance[fit] >= t))
    out = {"one threshold": chance >= best}
    for name, constraint in CONSTRAINTS.items():
        model = ThresholdOptimizer(
            estimator=Given().fit(x, label), constraints=constraint, objective="balanced_accuracy_score", prefit=True,
            predict_method="predict_proba",
        )  # fmt: skip
        model.fit(x[fit], label[fit].astype(int), sensitive_features=group[fit])
        # its own predict draws row after row
        likely = np.asarray(model._pmf_predict(x, sensitive_features=group))[:, 1]
        out[name] = draws.uniform(seed, f"threshold, {name}", customer) < likely
    return out
