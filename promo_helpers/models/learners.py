"""Whom does an offer move? Learners of an effect for each customer and arm, behind one small interface.

`LEARNERS[name](experiment, outcome, costs, seed)` gives a Fitted: `effects(features)` are expected outcomes against the control. The
generic learners, by EconML and LightGBM, learn any outcome; of the shop's that is the profit of the product in the window, since the
whole shop's drowns in noise. The dose-response, whose form knows what a discount is, adds what it can measure of the rest of the shop.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from sklearn.dummy import DummyClassifier

from promo_helpers.experiment import Experiment
from promo_helpers.experiment.contacts import Costs
from promo_helpers.models.demand import estimate_displacement, expected_gain, fit_dose_response
from promo_helpers.trees import regressor

TREES: dict[str, Any] = {
    "n_estimators": 100,
    "num_leaves": 15,
    "learning_rate": 0.06,
    "min_child_samples": 150,
    "reg_lambda": 5.0,
    "colsample_bytree": 0.5,
}
LAST = TREES | {
    "n_estimators": 60,
    "num_leaves": 7,
    "learning_rate": 0.05,
    "min_child_samples": 400,
}  # a last stage of trees overfits
FOLDS = 2
FOREST: dict[str, Any] = {"n_estimators": 100, "min_samples_leaf": 50, "max_depth": 8, "max_samples": 0.4}


@dataclass(frozen=True)
class Fitted:
    """A learner after fitting. effects(features) -> [row, arm] expected profit of each arm less that of the control (column 0 is 0);
    interval(features) -> its 95 % bounds, two such arrays, where the method has them; spend(features) -> [row, arm] expected spend, or
    None."""

    effects: Callable[[pd.DataFrame], np.ndarray]
    interval: Callable[[pd.DataFrame], tuple[np.ndarray, np.ndarray]] | None = None
    spend: Callable[[pd.DataFrame], np.ndarray] | None = None


Learner = Callable[[Experiment, str, Costs | None, int], Fitted]


def _trees(seed: int, last: bool = False) -> Any:
    return regressor(seed, **(LAST if last else TREES))


def _table(x: pd.DataFrame) -> np.ndarray:
    """Features as EconML takes them: numbers, what is missing far below all that occurs."""
    return np.nan_to_num(x.to_numpy(float), nan=-999.0)


def _usable(experiment: Experiment, outcome: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Outcome, arm and features of the rows whose outcome is known. Raises ValueError for a trial without plan, or an empty arm."""
    if experiment.planned is None:
        raise ValueError(f"{experiment.name}: the chances of the arms are not known; learn from a trial")
    y = experiment.outcome(outcome)
    known = np.isfinite(y)
    counts = np.bincount(experiment.arm[known], minlength=len(experiment.arms))
    if (counts < 2 * FOLDS).any():
        arm = experiment.arms[int(np.argmin(counts))]
        raise ValueError(f"{experiment.name}: {counts.min()} contacts with the arm '{arm}' are too few for {FOLDS} folds")
    return y[known], experiment.arm[known], _table(experiment.features[known])


def _beyond_message(costs: Costs | None, features: pd.DataFrame) -> np.ndarray:
    """[row] what a contact costs beyond the message, which the outcome holds already."""
    return np.zeros(len(features)) if costs is None else costs.of(features) - costs.message


def _against_none(raw: Callable[[np.ndarray], np.ndarray], costs: Costs | None) -> Callable[[pd.DataFrame], np.ndarray]:
    def effects(features: pd.DataFrame) -> np.ndarray:
        found = raw(_table(features)) - _beyond_message(costs, features)[:, None]
        return np.column_stack([np.zeros(len(features)), found])

    return effects


def constant(experiment: Experiment, outcome: str, costs: Costs | None, seed: int) -> Fitted:
    """One effect for everybody: differences in means."""
    y, arm, _ = _usable(experiment, outcome)
    means = np.bincount(arm, y) / np.bincount(arm)
    return Fitted(_against_none(lambda x: np.tile(means[1:] - means[0], (len(x), 1)), costs))


def _meta(build: Callable[[Experiment, int], Any]) -> Learner:
    """A learner of EconML that takes all arms at once."""

    def learn(experiment: Experiment, outcome: str, costs: Costs | None, seed: int) -> Fitted:
        y, arm, x = _usable(experiment, outcome)
        model = build(experiment, seed)
        model.fit(y, arm, X=x)
        return Fitted(_against_none(lambda z: model.const_marginal_effect(z).reshape(len(z), -1), costs))

    return learn


def _chances() -> DummyClassifier:
    """The share of each arm: in a trial that is its chance."""
    return DummyClassifier(strategy="prior")


def r_learner(experiment: Experiment, outcome: str, costs: Costs | None, seed: int) -> Fitted:
    """The R-learner (Nie & Wager 2021), one contrast after the other: EconML's takes one treatment at a time."""
    from econml.dml import NonParamDML

    y, arm, x = _usable(experiment, outcome)
    models = []
    for a in range(1, len(experiment.arms)):
        rows = (arm == 0) | (arm == a)
        model = NonParamDML(
            model_y=_trees(seed),
            model_t=_chances(),
            model_final=_trees(seed, last=True),
            discrete_treatment=True,
            cv=FOLDS,
            random_state=seed,
        )
        models.append(model.fit(y[rows], arm[rows] > 0, X=x[rows]))
    return Fitted(_against_none(lambda z: np.column_stack([m.effect(z) for m in models]), costs))


def causal_forest(experiment: Experiment, outcome: str, costs: Costs | None, seed: int) -> Fitted:
    """A causal forest (Athey, Tibshirani & Wager 2019) with its intervals, one contrast after the other."""
    from econml.dml import CausalForestDML

    y, arm, x = _usable(experiment, outcome)
    models = []
    for a in range(1, len(experiment.arms)):
        rows = (arm == 0) | (arm == a)
        model = CausalForestDML(
            model_y=_trees(seed), model_t=_chances(), discrete_treatment=True, cv=FOLDS, n_jobs=1, random_state=seed, **FOREST
        )
        models.append(model.fit(y[rows], (arm[rows] > 0).astype(int), X=x[rows]))

    def interval(features: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
        more, zero = _beyond_message(costs, features)[:, None], np.zeros((len(features), 1))
        bounds = [m.effect_interval(_table(features), alpha=0.05) for m in models]
        low, high = (np.hstack([zero, np.column_stack([b[k] for b in bounds]) - more]) for k in (0, 1))
        return low, high

    return Fitted(_against_none(lambda z: np.column_stack([m.effect(z) for m in models]), costs), interval)


def dose_response(experiment: Experiment, outcome: str, costs: Costs | None, seed: int) -> Fitted:
    """The dose-response (see `dose`) with the share of a bump that other sales pay for (see `bridge`)."""
    if costs is None or outcome != "profit":
        raise ValueError(f"{experiment.name}: the dose-response gives profit, and needs what a contact costs")
    dose = fit_dose_response([experiment], seed)
    tied = estimate_displacement(experiment, dose.expected(experiment.features)[0], seed).share

    def both(features: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
        units, redeemed = dose.expected(features)
        return expected_gain(features, units, redeemed, dose.depth, costs.of(features), tied)

    return Fitted(lambda features: both(features)[0], spend=lambda features: both(features)[1])


def _s_learner(experiment: Experiment, seed: int) -> Any:
    from econml.metalearners import SLearner

    return SLearner(overall_model=_trees(seed))


def _t_learner(experiment: Experiment, seed: int) -> Any:
    from econml.metalearners import TLearner

    return TLearner(models=_trees(seed))


def _x_learner(experiment: Experiment, seed: int) -> Any:
    from econml.metalearners import XLearner

    return XLearner(models=_trees(seed), propensity_model=_chances(), cate_models=_trees(seed, last=True))


def _dr_learner(experiment: Experiment, seed: int) -> Any:
    from econml.dr import DRLearner

    last = _trees(seed, last=True)
    return DRLearner(model_propensity=_chances(), model_regression=_trees(seed), model_final=last, cv=FOLDS, random_state=seed)


LEARNERS: dict[str, Learner] = {
    "constant": constant,
    "S-learner": _meta(_s_learner),
    "T-learner": _meta(_t_learner),
    "X-learner": _meta(_x_learner),
    "R-learner": r_learner,
    "DR-learner": _meta(_dr_learner),
    "causal forest": causal_forest,
    "dose-response": dose_response,
}
