"""The Experiment: the one table that models of response learn from. It holds no truth; notebooks score by `contact_id`."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from promo_helpers import draws


@dataclass(frozen=True)
class Experiment:
    """One row a contact, in the order of `contact_id`.

    contact_id: [row] unique. customer: [row] whom the contact was about; folds, half-samples and intervals go by it.
    features: [row, feature] numbers as of the contact, missing where unknown. arm: [row] place in `arms`; arms[0] is the control.
    depth: [arm] discount of each arm as a share of the price, 0 for a reminder, NaN for the control and for what is no discount.
    probability: [row] chance with which this row got the arm that it got, None where nobody knows it.
    outcomes: [row, outcome] what followed; money in the currency of the shop, missing where it cannot be known. Of the shop's
    contacts: bought, units, revenue and profit of the product in the window, and whole, the profit of the whole shop in the window
    and the six weeks after it, each less the cost of the contact where it is a profit.
    strata: [row] within which the arms were drawn (a trial), None where there is only one. planned: [arm] the planned shares.
    """

    name: str
    contact_id: np.ndarray
    customer: np.ndarray
    features: pd.DataFrame
    arm: np.ndarray
    arms: tuple[str, ...]
    depth: np.ndarray
    outcomes: pd.DataFrame
    probability: np.ndarray | None = None
    strata: np.ndarray | None = None
    planned: np.ndarray | None = None
    currency: str = ""

    def __post_init__(self) -> None:
        n = len(self.contact_id)
        columns = {"customer": self.customer, "arm": self.arm, "features": self.features, "outcomes": self.outcomes}
        columns |= {k: v for k, v in (("probability", self.probability), ("strata", self.strata)) if v is not None}
        for name, column in columns.items():
            if len(column) != n:
                raise ValueError(f"{self.name}: {name} has {len(column):,} rows, contact_id {n:,}")
        if pd.Index(self.contact_id).has_duplicates:
            double = pd.Index(self.contact_id)[pd.Index(self.contact_id).duplicated()][0]
            raise ValueError(f"{self.name}: contact_id {double!r} stands for more than one contact")
        if len(self.depth) != len(self.arms):
            raise ValueError(f"{self.name}: {len(self.arms)} arms, but {len(self.depth)} depths")
        if self.planned is not None and (len(self.planned) != len(self.arms) or not np.sum(self.planned) > 0):
            raise ValueError(f"{self.name}: planned must be a share for each of the {len(self.arms)} arms: {self.planned}")
        if n and not (self.arm.min() >= 0 and self.arm.max() < len(self.arms)):
            raise ValueError(f"{self.name}: arm must be a place in arms, 0 to {len(self.arms) - 1}")
        if self.probability is not None and n and not ((self.probability > 0) & (self.probability <= 1)).all():
            wrong = int((~((self.probability > 0) & (self.probability <= 1))).sum())
            raise ValueError(f"{self.name}: probability must lie above 0 and at most at 1 ({wrong:,} rows do not)")

    def __len__(self) -> int:
        return len(self.contact_id)

    @cached_property
    def counts(self) -> np.ndarray:
        """[arm] number of rows of each arm."""
        return np.bincount(self.arm, minlength=len(self.arms))

    def outcome(self, name: str) -> np.ndarray:
        """One outcome as an array of floats. Raises KeyError with the outcomes there are."""
        if name not in self.outcomes:
            raise KeyError(f"{self.name} has no outcome '{name}'; it has {', '.join(self.outcomes)}")
        return self.outcomes[name].to_numpy(float)

    def only(self, rows: np.ndarray) -> "Experiment":
        """These rows of it: a mask or places."""
        rows = np.flatnonzero(rows) if rows.dtype == bool else rows

        def cut(column: Any) -> Any:
            return None if column is None else column[rows]

        return replace(
            self,
            contact_id=self.contact_id[rows],
            customer=self.customer[rows],
            features=self.features.iloc[rows].reset_index(drop=True),
            arm=self.arm[rows],
            outcomes=self.outcomes.iloc[rows].reset_index(drop=True),
            probability=cut(self.probability),
            strata=cut(self.strata),
        )

    def folds(self, shares: Sequence[float], seed: int, purpose: str = "folds") -> list["Experiment"]:
        """Disjoint parts with about these shares of the customers; all contacts of a customer go to one part.

        A customer's part hangs on seed, purpose and customer alone, so that of few customers a part may get none. Folds within a part
        need another purpose. Raises ValueError for shares that are not positive or add up to more than 1.
        """
        if min(shares) <= 0 or sum(shares) > 1 + 1e-9:
            raise ValueError(f"shares = {list(shares)}: must be positive and add up to at most 1")
        edges = np.append(0, np.cumsum(shares))
        edges = np.where(np.isclose(edges, 1), 1, edges)  # three thirds may be a little less than one
        drawn = draws.uniform(seed, purpose, self.customer)
        return [self.only((drawn >= low) & (drawn < high)) for low, high in itertools.pairwise(edges)]

    def contrast(self, arm: str, against: str | None = None) -> "Experiment":
        """The rows of one arm and of the control (or of another arm) as an experiment of two arms.

        The probabilities become those of the arm among these two, where the planned shares are each row's chances; else they are
        unknown. Raises KeyError for an arm that it lacks.
        """
        wanted = (against or self.arms[0], arm)
        for name in wanted:
            if name not in self.arms:
                raise KeyError(f"{self.name} has no arm '{name}'; it has {', '.join(self.arms)}")
        numbers = [self.arms.index(name) for name in wanted]
        part = self.only(np.isin(self.arm, numbers))
        chance = None
        if self.probability is not None and self.planned is not None and np.allclose(self.probability, self.planned[self.arm]):
            share = self.planned[numbers] / self.planned[numbers].sum()
            chance = share[(part.arm == numbers[1]).astype(int)]
        return replace(
            part,
            arm=(part.arm == numbers[1]).astype(int),
            arms=wanted,
            depth=self.depth[numbers],
            probability=chance,
            planned=None if self.planned is None else self.planned[numbers] / self.planned[numbers].sum(),
        )


def even_shares(arm: np.ndarray, probability: np.ndarray, arms: int) -> np.ndarray | None:
    """[arm] planned shares, where the rows of each arm have one probability and these add up to 1 (within .001); else None."""
    own = [probability[arm == a] for a in range(arms)]
    if not all(len(p) and np.allclose(p, p[0], rtol=1e-6) for p in own):
        return None
    shares = np.array([p[0] for p in own])
    return shares / shares.sum() if abs(shares.sum() - 1) < 0.001 else None
