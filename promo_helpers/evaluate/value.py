"""The value of a policy from a trial that it has not seen: what each decision would earn beyond sending nothing, with its interval.

A policy is one arm a row. Its value is estimated from customers that the models behind it have not learnt from, with the known chances of
the trial's arms: by weighting (Horvitz and Thompson 1952), weighting with the weights' own sum (Hajek 1971), or doubly robust scores
(Dudik et al. 2014), whose outcome model lowers the variance and, the chances being known, biases nothing.
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from scipy import stats

from promo_helpers.evaluate.halves import mean_interval
from promo_helpers.evaluate.scores import doubly_robust, means_of
from promo_helpers.experiment import Experiment
from promo_helpers.models.bridge import Costs

METHODS = ("weighted", "self-normalised", "doubly robust")


def shop_profit(experiment: Experiment, costs: Costs, tied: np.ndarray | float) -> np.ndarray:
    """[row] what the window of the product shows of the whole shop's profit: its margin less discount and message, less the share `tied` of
    the units' undiscounted margin that other sales pay for, less the mean loss by opting out of who was sent something.

    The outcome `whole` would be the thing itself, but its noise is over a thousand times an effect. The share and the loss are taken as
    known; trips that an offer brings about or prevents are in neither.
    """
    x = experiment.features
    units = (x["product_price"] * (x["margin"] - x["promotion_ahead"])).to_numpy(float) * experiment.outcome("units")
    leaving = (costs.of(x) - costs.message) * (experiment.arm > 0)
    return np.asarray(experiment.outcome("profit") - tied * units - leaving)


def scores_for(experiment: Experiment, outcomes: Mapping[str, np.ndarray], seed: int) -> dict[str, np.ndarray]:
    """[row, arm] doubly robust scores of each of some outcomes [row] of a trial, their means cross-fitted by customer."""
    if experiment.probability is None:
        raise ValueError(f"{experiment.name}: the chances of its arms are not known, so that it cannot value a policy")
    found = {}
    for name, y in outcomes.items():
        named = Experiment(**{**vars_of(experiment), "outcomes": pd.DataFrame({"y": y})})
        found[name] = doubly_robust(y, experiment.arm, means_of(named, "y", seed), experiment.probability)
    return found


def vars_of(experiment: Experiment) -> dict[str, object]:
    """The fields of an experiment by name."""
    return {f: getattr(experiment, f) for f in experiment.__dataclass_fields__}


def given(scores: np.ndarray, arm: np.ndarray) -> np.ndarray:
    """[row] score of the arm that a policy gives, less that of the control; the mean is the policy's value a decision."""
    return np.asarray(scores[np.arange(len(arm)), arm] - scores[:, 0])


def value(scores: np.ndarray, arm: np.ndarray, customer: np.ndarray, level: float = 0.95) -> dict[str, float]:
    """estimate, se, low, high of the value a decision of a policy [row] by doubly robust scores [row, arm]; errors by customer.

    Raises ValueError where the lengths differ or an arm is none of the scores'.
    """
    if len(arm) != len(scores) or len(customer) != len(scores):
        raise ValueError(f"scores have {len(scores):,} rows, the policy {len(arm):,}, the customers {len(customer):,}")
    if len(arm) and not (arm.min() >= 0 and arm.max() < scores.shape[1]):
        raise ValueError(f"arm must be a place in 0 .. {scores.shape[1] - 1}")
    return mean_interval(given(scores, arm), customer, level)


def difference(
    scores: np.ndarray, arm: np.ndarray, other: np.ndarray, customer: np.ndarray, level: float = 0.95
) -> dict[str, float]:
    """The value of a policy less that of another, on the same rows: paired, so that what both do alike cancels."""
    rows = np.arange(len(arm))
    return mean_interval(scores[rows, arm] - scores[rows, other], customer, level)


def weighted(
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
    se = mean_interval(parts[0][1] - parts[1][1], customer)["se"]
    half = float(stats.norm.ppf((1 + level) / 2)) * se
    return {"estimate": estimate, "se": se, "low": estimate - half, "high": estimate + half, "effective": min(effective)}
