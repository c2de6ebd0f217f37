"""With which probability did each row get each arm? Known in a trial, to be estimated in a log."""

from typing import Any, Literal

import numpy as np
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, RobustScaler, StandardScaler

from promo_helpers.experiment.experiment import Experiment

LEAST = 1e-4  # an estimated chance below it is an extrapolation; it shows in the gates as a weight of 10,000


def known_probabilities(experiment: Experiment) -> np.ndarray | None:
    """[row, arm] chances that the design gives, None where it does not tell those of the arms that a row did not get.

    They follow from the planned shares, or from probabilities that are the same for all rows of an arm and add up to 1.
    """
    shares, own = experiment.planned, experiment.probability
    if shares is None and own is not None:
        arms = [own[experiment.arm == a] for a in range(len(experiment.arms))]
        if all(len(p) and np.allclose(p, p[0], rtol=1e-6) for p in arms) and abs(sum(p[0] for p in arms) - 1) < 0.001:
            shares = np.array([p[0] for p in arms])
    if shares is None or (own is not None and not np.allclose(own, shares[experiment.arm], rtol=0.01)):
        return None
    return np.broadcast_to(shares / shares.sum(), (len(experiment), len(experiment.arms)))


def estimate_probabilities(
    experiment: Experiment,
    folds: int = 5,
    rng: np.random.Generator | None = None,
    learner: Literal["logistic", "lightgbm"] = "logistic",
) -> np.ndarray:
    """[row, arm] chance of each arm given the features, each row by a model that has not seen its customer. Rows add up to 1.

    "logistic" is a multinomial logistic regression on the features: missing ones become the median with an indicator beside it,
    all are centred and scaled by median and quartiles, bent by arcsinh (long tails of spending weigh less), and standardised.
    "lightgbm" is a small forest of boosted trees, for rules that are not smooth. It can only balance what the features hold:
    a cause that the shop did not write down stays. Chances are at least 0.0001; an arm without rows has 0.
    Raises ValueError for fewer customers than folds, or no feature.
    """
    rng = rng or np.random.default_rng(0)
    people = len(np.unique(experiment.customer))
    if people < folds:
        raise ValueError(f"{experiment.name}: {people} customers are too few for {folds} folds")
    if experiment.features.shape[1] == 0:
        raise ValueError(f"{experiment.name}: without features no probability can be estimated")
    x = experiment.features.to_numpy(float)
    there = np.flatnonzero(experiment.counts)
    chance = np.zeros((len(experiment), len(experiment.arms)))
    split = GroupKFold(folds, shuffle=True, random_state=int(rng.integers(2**31)))
    for train, test in split.split(x, groups=experiment.customer):
        model = _model(learner).fit(x[train], experiment.arm[train])
        chance[np.ix_(test, model.classes_)] = model.predict_proba(x[test])
    chance[:, there] = np.maximum(chance[:, there], LEAST)
    return chance / chance.sum(axis=1, keepdims=True)


def _model(learner: str) -> Any:
    if learner == "lightgbm":
        from lightgbm import LGBMClassifier

        return LGBMClassifier(
            n_estimators=100, num_leaves=15, learning_rate=0.05, min_child_samples=50, reg_lambda=10.0,
            n_jobs=1, random_state=0, deterministic=True, force_row_wise=True, verbose=-1,
        )  # fmt: skip
    return make_pipeline(
        SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True),
        RobustScaler(),
        FunctionTransformer(np.arcsinh),
        StandardScaler(),
        LogisticRegression(C=1.0, max_iter=300),
    )
