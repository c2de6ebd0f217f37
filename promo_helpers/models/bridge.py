"""From units to the profit of the whole shop: what the window of one product does not show."""

from dataclasses import dataclass

import lightgbm as lgb
import numpy as np
import pandas as pd

from promo_helpers import draws
from promo_helpers.experiment import Experiment
from promo_helpers.models.dose import FOLDS, TIED, TIED_SPREAD

YEAR = 365 / 90  # quarters of a year, as the feature spend_90 counts them
MEAN = {
    "objective": "l2", "num_leaves": 15, "learning_rate": 0.1, "min_data_in_leaf": 200, "feature_fraction": 0.5, "verbose": -1,
    "num_threads": 1, "deterministic": True, "force_row_wise": True,
}  # fmt: skip
MEAN_ROUNDS = 60


@dataclass(frozen=True)
class Costs:
    """What a contact costs, as the marketer knows it: no table of a shop holds these.

    message: of one message, in the currency. opting_out: share of the contacted who opt out. reach: share of a year's margin that is
    lost with a customer who cannot be reached any more.
    """

    message: float = 1.5
    opting_out: float = 0.0012
    reach: float = 0.05

    def of(self, features: pd.DataFrame) -> np.ndarray:
        """[row] expected cost of one contact, the loss by opting out included, from her spending in the last 90 days."""
        margin = float(features["margin"].mean())
        return self.message + self.opting_out * self.reach * margin * YEAR * features["spend_90"].to_numpy(float)


@dataclass(frozen=True)
class Tied:
    """Share of the margin of additional units that other sales pay for (substitutes, and the product in the weeks after).

    measured: by the trial, with its standard error; share: after shrinkage towards what is published.
    """

    share: float
    measured: float
    error: float


def tied_share(experiment: Experiment, units: np.ndarray, seed: int) -> Tied:
    """What each rupee of additional margin costs elsewhere, from a trial.

    The margin of substitutes and of the product after the window, less its cross-fitted mean given the features, is regressed on the
    expected additional margin less its mean over the arms: the arms were drawn, so no confounder can tie the two (the residual-on-
    residual regression of Robinson 1988, with known chances). Rows weigh as one over their expected margin, to which the variance of a
    sum of purchases is proportional. `units` [row, arm] are expected units. Errors by customer.
    Raises ValueError without planned shares.
    """
    if experiment.planned is None:
        raise ValueError(f"{experiment.name}: the share needs a trial, whose chances are known")
    x, arm = experiment.features, experiment.arm
    price = (x["product_price"] * x["margin"]).to_numpy(float)
    y = experiment.outcome("substitutes") + experiment.outcome("product_after")
    more = price * (units[np.arange(len(arm)), arm] - units @ experiment.planned)
    known = np.isfinite(y)
    who = pd.factorize(experiment.customer)[0]
    fold = draws.folds(seed, "folds of the displaced share", experiment.customer, number=FOLDS)
    mean = np.zeros(len(y))
    for k in range(FOLDS):
        model = lgb.train(MEAN | {"seed": seed}, lgb.Dataset(x[known & (fold != k)], y[known & (fold != k)]), MEAN_ROUNDS)
        mean[fold == k] = model.predict(x[fold == k])
    z, left, who = more[known], (y - mean)[known], who[known]
    least = max(float(np.quantile(mean, 0.1)), float(np.abs(mean).mean()) / 20, 1e-9)  # weights stay positive, and bounded
    weighted = z / np.maximum(mean, least)[known]
    total = float(weighted @ z)
    measured = -float(weighted @ left) / total
    score = np.bincount(who, weighted * (left + measured * z))
    error = float(np.sqrt(score @ score)) / total
    weight = (1 / error**2, 1 / TIED_SPREAD**2)
    return Tied((measured * weight[0] + TIED * weight[1]) / sum(weight), measured, error)


def gain(
    features: pd.DataFrame, units: np.ndarray, redeemed: np.ndarray, depth: np.ndarray, cost: np.ndarray, tied: float
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """[row, arm] expected profit of the whole shop beyond that of the control, and expected spend: discount redeemed and message.

    Additional units earn their margin, less the share `tied` that other sales pay for; each unit under the offer costs the discount
    (beyond a price promotion that runs anyway); and every contact costs `cost` [row].
    """
    price, margin, shelf = (features[c].to_numpy(float)[:, None] for c in ("product_price", "margin", "promotion_ahead"))
    off = np.nan_to_num(depth)
    sent = np.arange(len(depth)) > 0
    more = price * (margin - shelf) * (units - units[:, :1])
    given = price * np.maximum(off - shelf, 0) * redeemed
    return more * (1 - tied) - given - cost[:, None] * sent, given + cost[:, None] * sent
