"""The decision as a function of one customer's features: rupees of every arm, and of the best one over the next."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from promo_helpers.audit.explanation import Function
from promo_helpers.models.response import Response


def rupees(response: Response, reference: pd.DataFrame, model: int = 0) -> Function:
    """features -> [row, offer]: profit of each offer less that of none.

    A contact's cost takes the mean margin of the rows it is asked with (`Costs.of`); a function to be explained may not, so here it is that
    of `reference`.
    """
    margin = float(reference["margin"].mean())

    def function(x: pd.DataFrame) -> np.ndarray:
        own, fixed = response.costs.of(x), response.costs.of(x.assign(margin=margin))
        return response.expected(x, model).gain[:, 1:] + (own - fixed)[:, None]

    return function


def rupees_and_lift(response: Response, reference: pd.DataFrame, model: int = 0) -> Function:
    """features -> [row, offer and offer]: the rupees of each offer, and after them the log of the units that it multiplies: what a Poisson
    model's own attributions explain."""
    money = rupees(response, reference, model)

    def function(x: pd.DataFrame) -> np.ndarray:
        units = response.expected(x, model).units
        return np.hstack([money(x), np.log(units[:, 1:]) - np.log(units[:, :1])])

    return function


def net(response: Response, reference: pd.DataFrame, price: float, model: int = 0) -> Function:
    """features -> [row, arm]: profit less `price` times spend, with none first: the arm of the largest is the decision under a budget
    whose shadow price is `price`."""
    money = rupees(response, reference, model)

    def function(x: pd.DataFrame) -> np.ndarray:
        spend = response.expected(x, model).spend
        return np.hstack([np.zeros((len(x), 1)), money(x) - price * spend[:, 1:]])

    return function


def first_two(gain: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """[row] the best arm and the runner-up of [row, arm]; of equal ones the first."""
    order = np.argsort(-gain, axis=1, kind="stable")
    return order[:, 0], order[:, 1]


def topics_of(columns: Sequence[str], topics: dict[str, tuple[str, ...]]) -> dict[str, list[str]]:
    """The topics that have a column here, with those that they have."""
    return {t: [c for c in members if c in columns] for t, members in topics.items() if any(c in columns for c in members)}
