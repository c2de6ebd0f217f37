"""Doubly robust scores: for each row and arm what the arm would have brought, right in the mean whatever the outcome model says.

G_j = m_j + 1[W = j] (Y - m_j) / e_j (Robins, Rotnitzky and Zhao 1994; several arms: Sverdrup et al., arXiv 2306.11979). In a trial e is
known, so the mean of G_j is right even if m is not; a good m only makes it more precise (Bokelmann and Lessmann, EJOR 2024). Discount
spent is an outcome like profit: its scores are made the same way.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from promo_helpers import draws
from promo_helpers.draws import rounded
from promo_helpers.experiment import Experiment
from promo_helpers.experiment.contacts import Costs
from promo_helpers.inference import cluster_error, interval, mean_by_cluster, same_length
from promo_helpers.trees import boosted

SETTINGS: dict[str, Any] = {  # small and strongly regularised: it need not be a good model, it must not fit noise
    "objective": "regression",
    "learning_rate": 0.08,
    "num_leaves": 8,
    "min_data_in_leaf": 100,
    "lambda_l2": 50.0,
    "feature_fraction": 0.7,
    "max_bin": 63,
}
ROUNDS = 80
CHUNK = 100_000  # rows predicted at a time


def customer_folds(customer: np.ndarray, folds: int, seed: int) -> np.ndarray:
    """[row] a fold 0 .. folds - 1, one for all rows of a customer. Raises ValueError for fewer than two folds, or customers than folds."""
    people = len(pd.unique(np.asarray(customer)))
    if not 2 <= folds <= people:
        raise ValueError(f"folds = {folds}: must lie between 2 and the number of customers, {people:,}")
    return draws.folds(seed, "folds of outcome means", customer, number=folds)


def outcome_means(
    features: pd.DataFrame | np.ndarray,
    arm: np.ndarray,
    y: np.ndarray,
    arms: int,
    customer: np.ndarray,
    folds: int,
    seed: int,
) -> np.ndarray:
    """[row, arm] expected outcome under each arm, each row predicted by a model that saw none of its customer's rows.

    One LightGBM for all arms, with the number of the arm as a feature: what arms share (the customer's usual purchases) is most of
    what there is to learn, and an arm of few rows borrows it. Features may be missing. Raises ValueError for lengths that differ,
    an outcome that is missing somewhere, and an arm that nobody got.
    """
    x = np.asarray(features, dtype=float)
    y, arm = np.asarray(y, float), np.asarray(arm)
    same_length(y=y, arm=arm, customer=customer, features=np.arange(len(x)))
    check_arms(arm, arms)
    fold = customer_folds(customer, folds, seed)
    means = np.empty((len(y), arms))
    for f in range(folds):
        fit, out = fold != f, np.flatnonzero(fold == f)
        level = float(y[fit].mean())
        if np.ptp(y[fit]) == 0:  # nothing to learn, and LightGBM would warn
            means[out] = level
            continue
        least = min(SETTINGS["min_data_in_leaf"], max(int(fit.sum()) // 50, 5))
        changes = SETTINGS | {"min_data_in_leaf": least}
        model = boosted(np.column_stack([arm[fit], x[fit]]), y[fit] - level, seed, ROUNDS, **changes)
        for first in range(0, len(out), CHUNK):
            rows = out[first : first + CHUNK]
            for j in range(arms):
                means[rows, j] = level + np.asarray(model.predict(np.column_stack([np.full(len(rows), j), x[rows]])))
    return means


def check_arms(arm: np.ndarray, arms: int) -> None:
    """Raises ValueError where there are fewer than two arms, one that nobody got, or a number that is no arm."""
    if arms < 2:
        raise ValueError(f"{arms} arm: an effect needs two, a control and an offer")
    if arm.min() < 0 or arm.max() >= arms or (arm != np.floor(arm)).any():
        raise ValueError(f"arm must hold whole numbers from 0 to {arms - 1}")
    counts = np.bincount(arm.astype(int), minlength=arms)
    if not counts.all():
        raise ValueError(f"nobody got arm {int(np.argmin(counts))}: nothing can be said about it")


def doubly_robust_scores(y: np.ndarray, arm: np.ndarray, means: np.ndarray, probability: np.ndarray | None) -> np.ndarray:
    """[row, arm] scores G_j = m_j + 1[W = j] (Y - m_j) / e_j; the effect of arm j against the control is G[:, j] - G[:, 0].

    y: [row] outcome. arm: [row] arm that the row got. means: [row, arm] of a cross-fitted model (`outcome_means`). probability: [row] the
    chance of the arm that it got, or [row, arm]. Raises ValueError where it is missing, not in (0, 1], or of another length.
    """
    y, arm, means = np.asarray(y, float), np.asarray(arm), np.asarray(means, float)
    if probability is None:
        raise ValueError("the probability of the arms is missing: doubly robust scores need it, known or estimated")
    if means.ndim != 2:
        raise ValueError(f"means must be [row, arm], not of {means.ndim} dimensions")
    n = same_length(y=y, arm=arm, means=means, probability=np.asarray(probability))
    check_arms(arm, means.shape[1])
    arm = arm.astype(int)
    rows = np.arange(n)
    own = np.asarray(probability, float)
    own = own[rows, arm] if own.ndim == 2 else own
    if not ((own > 0) & (own <= 1)).all():
        raise ValueError(
            f"probability must lie above 0 and at most at 1 ({int((~((own > 0) & (own <= 1))).sum()):,} rows do not)"
        )
    scores = means.copy()
    scores[rows, arm] += (y - means[rows, arm]) / own
    return scores


def means_of(experiment: Experiment, outcome: str, seed: int, folds: int = 5) -> np.ndarray:
    """[row, arm] `outcome_means` of an experiment."""
    e = experiment
    return outcome_means(e.features, e.arm, e.outcome(outcome), len(e.arms), e.customer, folds, seed)


def experiment_scores(experiment: Experiment, outcome: str, seed: int, folds: int = 5) -> np.ndarray:
    """[row, arm] doubly robust scores of an experiment whose chances are known: with their means, values of policies are estimated."""
    e = experiment
    return doubly_robust_scores(e.outcome(outcome), e.arm, means_of(e, outcome, seed, folds), e.probability)


METHODS = ("weighted", "self-normalised", "doubly robust")


def shop_profit(experiment: Experiment, costs: Costs, displacement: np.ndarray | float) -> np.ndarray:
    """[row] what the window of the product shows of the whole shop's profit: its margin less discount and message, less
    the share `displacement` of
    the units' undiscounted margin that other sales pay for, less the mean loss by opting out of who was sent something.

    The outcome `whole` would be the thing itself, but its noise is over a thousand times an effect. The share and the loss are taken as
    known; trips that an offer brings about or prevents are in neither.
    """
    x = experiment.features
    units = (x["product_price"] * (x["margin"] - x["promotion_ahead"])).to_numpy(float) * experiment.outcome("units")
    leaving = (costs.of(x) - costs.message) * (experiment.arm > 0)
    return np.asarray(experiment.outcome("profit") - displacement * units - leaving)


def outcome_scores(experiment: Experiment, outcomes: Mapping[str, np.ndarray], seed: int) -> dict[str, np.ndarray]:
    """[row, arm] doubly robust scores of each of some outcomes [row] of a trial, their means cross-fitted by customer."""
    if experiment.probability is None:
        raise ValueError(f"{experiment.name}: the chances of its arms are not known, so that it cannot value a policy")
    found = {}
    for name, y in outcomes.items():
        named = replace(experiment, outcomes=pd.DataFrame({"y": y}))
        found[name] = doubly_robust_scores(y, experiment.arm, means_of(named, "y", seed), experiment.probability)
    return found


def policy_scores(scores: np.ndarray, arm: np.ndarray) -> np.ndarray:
    """[row] score of the arm that a policy gives, less that of the control; the mean is the policy's value a decision."""
    return np.asarray(scores[np.arange(len(arm)), arm] - scores[:, 0])


def policy_value(scores: np.ndarray, arm: np.ndarray, customer: np.ndarray, level: float = 0.95) -> dict[str, float]:
    """estimate, se, low, high of the value a decision of a policy [row] by doubly robust scores [row, arm]; errors by customer.

    Raises ValueError where the lengths differ or an arm is none of the scores'.
    """
    if len(arm) != len(scores) or len(customer) != len(scores):
        raise ValueError(f"scores have {len(scores):,} rows, the policy {len(arm):,}, the customers {len(customer):,}")
    if len(arm) and not (arm.min() >= 0 and arm.max() < scores.shape[1]):
        raise ValueError(f"arm must be a place in 0 .. {scores.shape[1] - 1}")
    return mean_by_cluster(policy_scores(scores, arm), customer, level)


def policy_difference(
    scores: np.ndarray, arm: np.ndarray, other: np.ndarray, customer: np.ndarray, level: float = 0.95
) -> dict[str, float]:
    """The value of a policy less that of another, on the same rows: paired, so that what both do alike cancels."""
    rows = np.arange(len(arm))
    return mean_by_cluster(scores[rows, arm] - scores[rows, other], customer, level)


def weighted_value(
    y: np.ndarray, arm: np.ndarray, probability: np.ndarray, policy: np.ndarray, customer: np.ndarray, *, own_sum: bool = True,
    level: float = 0.95,
) -> dict[str, float]:  # fmt: skip
    """estimate, se, low, high and effective (sample size) of a policy's value by weighting the rows that got what it gives.

    y: [row] outcome; arm: what the row got, with that chance (`probability`); policy: what it should get. With `own_sum` both means are
    divided by the sum of their weights and the interval is that of the linearised ratio; without, by the number of rows.
    Raises ValueError where nobody got what the policy gives, or no control.
    """
    n = len(y)
    parts, effective = [], []
    for wanted, what in ((policy, "what the policy gives"), (np.zeros_like(policy), "the control")):
        w = (arm == wanted) / probability
        if not w.sum() > 0:
            raise ValueError(f"nobody got {what}: a value cannot be estimated by weighting")
        effective.append(w.sum() ** 2 / (w**2).sum())
        mean = float(w @ y) / (w.sum() if own_sum else n)
        parts.append((mean, w * (y - mean) * n / w.sum() if own_sum else w * y - mean))
    estimate = parts[0][0] - parts[1][0]
    se = mean_by_cluster(parts[0][1] - parts[1][1], customer)["se"]
    return interval(estimate, se, level) | {"effective": min(effective)}


SHARES = np.linspace(0.0, 1.0, 41)


def by_share(
    policies: Mapping[str, tuple[np.ndarray, np.ndarray]], scores: np.ndarray, customer: np.ndarray, shares: np.ndarray = SHARES,
    level: float = 0.95,
) -> pd.DataFrame:  # fmt: skip
    """Tidy: name, share, value, low, high: the value a decision when the first so many of a ranking get their arm, all others none.

    policies: name -> (priority [row], arm [row] that the row would get). scores: [row, arm] doubly robust, or the true gains, of which the
    interval says only what the drawn customers leave open. The cut is taken as given; errors by customer, linearised.
    """
    code = pd.factorize(customer)[0]
    people, n = code.max() + 1, len(code)
    rows: list[tuple[str, float, float, float, float]] = []
    for name, (priority, arm) in policies.items():
        order = np.argsort(-rounded(np.nan_to_num(priority, nan=-np.inf)), kind="stable")
        gain = (scores[np.arange(n), arm] - scores[:, 0])[order]
        for share in shares:
            cut = round(share * n)
            mean = float(gain[:cut].sum() / n)
            left = np.append(gain[:cut], np.zeros(n - cut)) - mean
            ends = interval(mean, cluster_error(left, code[order], people) / n, level)
            rows.append((name, float(share), mean, ends["low"], ends["high"]))
    return pd.DataFrame(rows, columns=["name", "share", "value", "low", "high"])
