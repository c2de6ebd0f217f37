"""Ways of targeting, each as one arm a decision: the rules that a sceptic names, the scores that shops rank by, and predicted profit."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from promo_helpers import draws
from promo_helpers.evaluate.oracle import followed, one_variable
from promo_helpers.models.response import Forecast
from promo_helpers.ties import rounded

NOBODY = "nobody"


def everybody(rows: int, arms: tuple[str, ...]) -> dict[str, np.ndarray]:
    """One policy an arm but the control: everybody gets it."""
    names = {a: "everybody, reminder" if a == "0" else f"everybody, {a} %" for a in arms[1:]}
    return {name: np.full(rows, k) for k, name in enumerate(names.values(), 1)}


def top(score: np.ndarray, share: float, arm: int) -> np.ndarray:
    """The share of decisions with the highest score gets the arm, all others none. Missing scores are lowest, ties (in nine digits) go to
    the first rows.

    Raises ValueError for a share outside 0..1.
    """
    if not 0 <= share <= 1:
        raise ValueError(f"share = {share}: must lie in 0 .. 1")
    chosen = np.zeros(len(score), int)
    order = np.argsort(-rounded(np.nan_to_num(score, nan=-np.inf)), kind="stable")
    chosen[order[: round(share * len(score))]] = arm
    return chosen


def rfm(features: pd.DataFrame) -> np.ndarray:
    """[row] sum of the ranks of recency (lately is high), frequency (trips of 90 days) and money (spending of 90 days)."""
    ranked = features[["trips_90", "spend_90"]].rank().sum(axis=1) + (-features["recency"]).rank().fillna(0)
    return ranked.to_numpy(float)


def ranked(
    features: pd.DataFrame, found: Forecast, arm: int, taste: np.ndarray | None, contact_id: np.ndarray, seed: int
) -> dict[str, np.ndarray]:
    """[row] scores that shops rank customers by: drawn at random (by seed and contact), RFM, purchase probability and its inverse,
    collaborative filtering (`taste`, where given) and the uplift of the purchase probability by `arm`."""
    buys = found.buys[:, 0]
    scores = {"random": draws.uniform(seed, "random ranking", contact_id), "RFM": rfm(features), "purchase probability": buys}
    scores |= {"inverse probability": -buys}
    scores |= {} if taste is None else {"collaborative filtering": taste}
    return scores | {"uplift": found.buys[:, arm] - buys}


def one_rule(features: pd.DataFrame, scores: np.ndarray, part: np.ndarray) -> np.ndarray:
    """The best rule on one variable as a trial can find it: an arm for each tenth of the variable whose tenths' best arms add up to most.

    scores: [row, arm] doubly robust. Each part of the customers follows the rule that the others' scores chose.
    """
    arm = np.zeros(len(features), int)
    effect = scores - scores[:, :1]
    for k in np.unique(part):
        mine = part == k
        arm[mine] = followed(one_variable(features[~mine], effect[~mine]), features[mine])
    return arm


def best_constant(scores: np.ndarray, part: np.ndarray) -> np.ndarray:
    """The best arm for everybody, none included: each part gets what was best by the doubly robust scores of the others."""
    arm = np.zeros(len(scores), int)
    for k in np.unique(part):
        arm[part == k] = int(rounded((scores - scores[:, :1])[part != k].mean(axis=0)).argmax())
    return arm


def profit(found: Forecast) -> np.ndarray:
    """[row] the arm of largest expected profit; none where no offer is expected to pay."""
    return np.asarray(rounded(found.gain).argmax(axis=1))


def contacted(policies: Mapping[str, np.ndarray]) -> pd.Series:
    """Share of decisions that each policy contacts."""
    return pd.Series({name: float((arm > 0).mean()) for name, arm in policies.items()})
