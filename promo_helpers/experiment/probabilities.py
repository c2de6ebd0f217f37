"""With which probability did each row get each arm? Known in a trial, to be estimated in a log."""

from typing import Literal

import numpy as np
import pandas as pd
from scipy.special import softmax
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline, make_union
from sklearn.preprocessing import FunctionTransformer, RobustScaler, StandardScaler
from threadpoolctl import threadpool_limits

from promo_helpers import draws
from promo_helpers.experiment.experiment import Experiment, even_shares

LEAST = 1e-4  # an estimated chance below it is an extrapolation; it shows in the gates as a weight of 10,000
FAR = 5.0  # distances between the quartiles, from the median
SURE = 10.0  # log odds of an arm that is never, or always, seen against the control


def known_probabilities(experiment: Experiment) -> np.ndarray | None:
    """[row, arm] chances that the design gives, None where it does not tell those of the arms that a row did not get.

    They follow from the planned shares, or from probabilities that are the same for all rows of an arm and add up to 1.
    """
    shares, own = experiment.planned, experiment.probability
    if shares is None and own is not None:
        shares = even_shares(experiment.arm, own, len(experiment.arms))
    if shares is None or (own is not None and not np.allclose(own, shares[experiment.arm], rtol=0.01)):
        return None
    return np.broadcast_to(shares / shares.sum(), (len(experiment), len(experiment.arms)))


def estimate_probabilities(
    experiment: Experiment,
    folds: int = 5,
    seed: int = 0,
    learner: Literal["logistic", "lightgbm"] = "logistic",
) -> np.ndarray:
    """[row, arm] chance of each arm given the features, each row by models that have not seen its customer. Rows add up to 1.

    A multinomial logit, fitted as one regression of each arm against the control on the rows of these two (Begg & Gray 1984: nearly
    as good as all arms at once, and many times faster). "logistic" takes each feature as it is (up to five quartile distances from
    its median) and bent by arcsinh, since spending has long tails; what is missing becomes the median, with an indicator beside it.
    "lightgbm" is a small forest of boosted trees for each arm, for rules that are not smooth. Either can only tell what the features
    hold: a cause that nobody wrote down stays. Chances are at least 0.0001 before they are made to add up; an arm without rows
    has 0. `seed` and customer give the folds.
    Raises ValueError for fewer customers than folds, no feature, no row of the control or of any other arm.
    """
    people, there = len(pd.unique(experiment.customer)), np.flatnonzero(experiment.counts)
    if people < folds:
        raise ValueError(f"{experiment.name}: {people} customers are too few for {folds} folds")
    if experiment.features.shape[1] == 0:
        raise ValueError(f"{experiment.name}: without features no probability can be estimated")
    if len(there) < 2 or there[0] != 0:
        raise ValueError(f"{experiment.name}: a probability needs rows of the control and of another arm")
    x = experiment.features.to_numpy(float)
    scores = np.full((len(experiment), len(experiment.arms)), -np.inf)  # log odds against the control
    scores[:, 0] = 0
    fold = draws.folds(seed, "folds of probabilities", experiment.customer, number=folds)
    with threadpool_limits(1):  # more threads are slower here, and the last bits would hang on their number
        for train, test in ((np.flatnonzero(fold != k), np.flatnonzero(fold == k)) for k in range(folds)):
            bent = _bent() if learner == "logistic" else FunctionTransformer()
            given, asked = bent.fit_transform(x[train]), bent.transform(x[test])
            arm = experiment.arm[train]
            for number in there[1:]:
                both = (arm == 0) | (arm == number)
                scores[test, number] = _log_odds(learner, given[both], arm[both] == number, asked)
    chance = softmax(scores, axis=1)
    chance[:, there] = np.maximum(chance[:, there], LEAST)
    return np.asarray(chance / chance.sum(axis=1, keepdims=True))


def _log_odds(learner: str, given: np.ndarray, treated: np.ndarray, asked: np.ndarray) -> np.ndarray:
    if treated.all() or not treated.any():  # an arm that so few customers got that a fold has none of them
        return np.full(len(asked), SURE if treated.all() else -SURE)
    if learner == "logistic":
        return np.asarray(LogisticRegression(C=0.1, solver="newton-cholesky").fit(given, treated).decision_function(asked))
    from lightgbm import LGBMClassifier  # seconds to import, and seldom asked for

    model = LGBMClassifier(
        n_estimators=100, num_leaves=15, learning_rate=0.05, min_child_samples=50, reg_lambda=10.0,
        n_jobs=1, random_state=0, deterministic=True, force_row_wise=True, verbose=-1,
    )  # fmt: skip
    return np.asarray(model.fit(given, treated).predict(asked, raw_score=True))


def _bent() -> Pipeline:
    return make_pipeline(
        SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True),
        RobustScaler(),
        make_union(
            FunctionTransformer(
                np.clip, kw_args={"a_min": -FAR, "a_max": FAR}
            ),  # a straight line far out would promise certainty
            FunctionTransformer(np.arcsinh),
        ),
        StandardScaler(),
    )
