"""Persuadables, sure things, lost causes, sleeping dogs: what a trial says about shares that nobody can observe.

Each customer has a pair of outcomes, (without, with) the offer, of which one is seen. A trial gives the two margins p0 and p1, and the
shares of the four pairs lie within Frechet's bounds, e.g. max(0, p1 - p0) <= persuadable <= min(p1, 1 - p0) (Tian and Pearl 2000). Given
features the bounds hold at each value, and their means are sharper (Kallus, NeurIPS 2022; Li and Pearl 2019).
"""

import numpy as np
import pandas as pd

from promo_helpers.evaluate.halves import mean_interval, same_length

# share -> (its two candidates for the lower bound, for the upper bound), each as (constant, factor of p1, factor of p0)
BOUNDS = {
    "persuadable": (((0, 0, 0), (0, 1, -1)), ((0, 1, 0), (1, 0, -1))),
    "sure thing": (((0, 0, 0), (-1, 1, 1)), ((0, 1, 0), (0, 0, 1))),
    "lost cause": (((0, 0, 0), (1, -1, -1)), ((1, -1, 0), (1, 0, -1))),
    "sleeping dog": (((0, 0, 0), (0, -1, 1)), ((0, 0, 1), (1, -1, 0))),
}


def segment_bounds(
    scores: np.ndarray, customer: np.ndarray, chances: np.ndarray | None = None, level: float = 0.95
) -> pd.DataFrame:
    """Bounds of the four shares: segment, lower, upper, low, high, features (whether they are used).

    scores: [row, 2] doubly robust scores of buying (0 or 1) without and with the offer. chances: [row, 2] predicted by models fitted on
    other customers; they only choose which of the two candidates binds in a row, so that a poor prediction widens the bounds and never
    makes them wrong: the mean of a candidate chosen without its own outcomes is at most the mean of the greater (at least that of the
    lesser). low and high: normal bounds by customer, for the whole interval lower to upper at this level. Raises ValueError
    for arrays that do not fit and chances outside [0, 1].
    """
    scores = np.asarray(scores, float)
    if scores.ndim != 2 or scores.shape[1] != 2:
        raise ValueError(f"scores are {scores.shape}: they must be [row, 2], without and with the offer")
    same_length(scores=scores, customer=customer)
    if chances is None:
        choice = np.broadcast_to(scores.mean(axis=0), scores.shape)
    else:
        choice = np.asarray(chances, float)
        if choice.shape != scores.shape:
            raise ValueError(f"chances are {choice.shape}, scores {scores.shape}: they must be of one shape")
        same_length(chances=choice)
        if choice.min() < 0 or choice.max() > 1:
            raise ValueError("chances must lie between 0 and 1")

    def line(terms: tuple[int, int, int], p: np.ndarray) -> np.ndarray:
        return terms[0] + terms[1] * p[:, 1] + terms[2] * p[:, 0]

    rows = []
    for segment, (least, most) in BOUNDS.items():
        below = np.where(line(least[0], choice) >= line(least[1], choice), line(least[0], scores), line(least[1], scores))
        above = np.where(line(most[0], choice) <= line(most[1], choice), line(most[0], scores), line(most[1], scores))
        lower, upper = mean_interval(below, customer, level), mean_interval(above, customer, level)
        ends = [lower["estimate"], upper["estimate"], lower["low"], upper["high"]]
        rows.append([segment, *np.clip(ends, 0, 1), chances is not None])
    return pd.DataFrame(rows, columns=["segment", "lower", "upper", "low", "high", "features"])


def labelled(gain: np.ndarray, buys: np.ndarray, sure: float = 0.25) -> np.ndarray:
    """[row] "persuadable" where some arm is expected to earn more than nothing; of the others "sure thing" where the chance of buying
    without an offer is at least `sure`, else "lost cause".

    Expectations, not pairs of outcomes: gain [row, arm] against the control, buys [row]. Sleeping dogs, who would buy less, are told
    from the others by the truth alone: no model of sales sees trips that are not made.
    """
    kind = np.where(buys >= sure, "sure thing", "lost cause")
    return np.where(gain.max(axis=1) > 0, "persuadable", kind)
