"""Facts of a customer as sentences say them: so many units, so many times, so long ago; and the earlier discounts that were used."""

from typing import TypeVar

import numpy as np
import pandas as pd

from promo_helpers.features.contacts import REDEEMED

Counts = TypeVar("Counts", float, pd.Series)


def counted(number: float, thing: str) -> str:
    """A number of things: 1 unit, 2 units."""
    return f"{number:.0f} {thing}{'s' * (round(number) != 1)}"


def times(number: float) -> str:
    """How often: once, twice, 3 times."""
    return {1: "once", 2: "twice"}.get(round(number), f"{number:.0f} times")


def ago(days: float) -> str:
    """How long ago, in whole days."""
    whole = int(days)
    return "within the last day" if whole < 1 else "1 day ago" if whole == 1 else f"{whole} days ago"


def used_discounts(share: Counts, given: Counts) -> Counts:
    """How many of the `given` earlier discounts were used, from the shrunk share of `features.contacts`."""
    return np.rint(share * (given + 2) - 2 * REDEEMED)


def never_used(discounts: pd.Series) -> pd.Series:
    """[row] the shrunk share of so many earlier discounts, had none been used."""
    return 2 * REDEEMED / (discounts + 2)
