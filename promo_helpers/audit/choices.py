"""What is decided, in one number: rupees of the best offer, and of the chosen arm over the runner-up."""

import numpy as np
import pandas as pd

from promo_helpers.audit.distil import Rupees
from promo_helpers.audit.explanation import Function
from promo_helpers.models.purchase import PurchaseModel, chance


def best_offer(offers: Function) -> Rupees:
    """features -> [row] rupees of the best offer over none, from [row, offer]: above nothing where somebody is worth contacting."""
    return lambda x: np.asarray(offers(x).max(axis=1))


def margin(offers: Function) -> Rupees:
    """features -> [row] rupees of the chosen arm over the runner-up, below nothing where the chosen one is none."""

    def rule(x: pd.DataFrame) -> np.ndarray:
        two = np.sort(offers(x), axis=1)[:, -2:]
        return np.where(two[:, 1] > 0, two[:, 1] - np.maximum(two[:, 0], 0), two[:, 1])

    return rule


def chances(model: PurchaseModel, part: str = "ensemble") -> Function:
    """features -> [row] chance of buying, by the ensemble or by one of its parts; in double precision, or a row alone gets other digits."""
    if part == "ensemble":
        return lambda x: model.predict(x.to_numpy(float))["ensemble"]
    return lambda x: chance(model.models[part], x.to_numpy(float))


def true_types(gain: np.ndarray, buys: np.ndarray, units: np.ndarray, sure: float = 0.25) -> np.ndarray:
    """[row] the true type from true expectations [row, arm]: "persuadable" where some offer earns; of the others "sleeping dog" where a
    reminder alone sells less of the product than none, else by the chance of buying without, as `segments.labelled`."""
    kind = np.where(buys[:, 0] >= sure, "sure thing", "lost cause")
    kind = np.where(units[:, 1] < units[:, 0], "sleeping dog", kind)
    return np.where(gain[:, 1:].max(axis=1) > 0, "persuadable", kind)
