"""A share of the customers gets nothing, at random: the next campaign needs somebody to compare with.

Who that is hangs on the customer alone: a list that differs by one customer holds out the same others.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from promo_helpers import draws


@dataclass(frozen=True)
class Holdout:
    """arm: [row] what is really given. held: [row] whether the customer is held out. probability: [row, arm] chance of each arm."""

    arm: np.ndarray
    held: np.ndarray
    probability: np.ndarray


def held_out(customer: np.ndarray, share: float, seed: int, name: str = "") -> np.ndarray:
    """[row] whether the row's customer is in a random `share` of the customers; all rows of a customer are in, or none.

    Each customer is in with chance `share` exactly, whoever else is there: n customers give share x n of them on average, within about
    2 sqrt(n share (1 - share)) in 19 of 20 draws. Campaigns of another `name` (such as product and date) hold out others.
    Raises ValueError for a share that is not from 0 to below 1, and for customers that are missing.
    """
    if not 0 <= share < 1:
        raise ValueError(f"share = {share!r}: the share held out must be from 0 to below 1")
    customer = np.asarray(customer)
    if customer.ndim != 1 or pd.isna(customer).any():
        raise ValueError(f"customer is {customer.shape}: it must be one customer for each row, none missing")
    return draws.uniform(seed, f"holdout {name}", customer) < share


def with_holdout(arm: np.ndarray, customer: np.ndarray, share: float, seed: int, arms: int, name: str = "") -> Holdout:
    """What is given when a share of the customers that `arm` would contact gets none instead, and how likely each arm was.

    arm: [row] planned, 0 = none. customer: [row]. arms: number of arms, none included. A row that the plan contacts has its arm with
    chance 1 - share and none with `share`; a row that it does not contact has none for certain. So the next campaign can estimate what
    contact did to those who were to be contacted; about the others, and about arms other than the planned one, it learns nothing.
    What the holdout does not spend stays unspent: allocating `budget / (1 - share)` plans for the budget in expectation.
    Raises ValueError as `held_out` does, for arms outside 0 to arms - 1, and for a length that differs.
    """
    arm, customer = np.asarray(arm), np.asarray(customer)
    if arm.ndim != 1 or customer.shape != arm.shape:
        raise ValueError(f"arm is {arm.shape}, customer {customer.shape}: both must be [row]")
    if arm.dtype.kind not in "iu" or (arm < 0).any() or (arm >= arms).any():
        raise ValueError(f"arm must hold whole numbers from 0 to {arms - 1}")
    held = np.isin(customer, pd.unique(customer[arm > 0])) & held_out(customer, share, seed, name)
    probability = np.zeros((len(arm), arms))
    rows = np.arange(len(arm))
    probability[rows, arm] = 1 - share
    probability[:, 0] = np.where(arm > 0, share, 1.0)
    return Holdout(np.where(held, 0, arm), held, probability)
