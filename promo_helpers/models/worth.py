"""What a customer is worth in the days ahead: purchases to expect, times what each is to bring."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from promo_helpers.features.lifetime import ValuedDays
from promo_helpers.models.lifetime import BgNbd, fit_bgnbd
from promo_helpers.models.spending import GammaGamma, fit_gamma_gamma

WEEK = 7  # days


@dataclass(frozen=True)
class Worth:
    """Both models together, in days and the shop's currency.

    left_out: repeat buyers whose mean value is not positive, which no gamma distribution has; their values are forecast all the same.
    """

    purchases: BgNbd
    spending: GammaGamma
    left_out: int = 0

    def forecast(self, known: pd.DataFrame, days: float) -> pd.DataFrame:
        """One row for each of `known` (`summaries`): alive (chance), purchases and value of the next `days`, each (value of one)."""
        past = known["repeats"].to_numpy(), known["recency"].to_numpy(), known["age"].to_numpy()
        purchases = self.purchases.expected(days, *past)
        each = self.spending.expected(past[0], known["value"].to_numpy(), tilt(self.purchases, known))
        alive = self.purchases.alive(*past)
        return pd.DataFrame({"alive": alive, "purchases": purchases, "each": each, "value": purchases * each})

    def parts(self) -> dict[str, np.ndarray]:
        """What `models.saved.save` keeps of the parameters; `from_parts` reads it back."""
        b, g = self.purchases, self.spending
        return {"purchases": np.array([b.r, b.alpha, b.a, b.b]), "spending": np.array([g.p, g.q, g.gamma, g.slope])}

    @classmethod
    def from_parts(cls, parts: dict[str, Any]) -> "Worth":
        """The models of a saved folder, without their errors."""
        return cls(BgNbd(*parts["purchases"].tolist()), GammaGamma(*parts["spending"].tolist()))


def tilt(purchases: BgNbd, known: pd.DataFrame) -> np.ndarray:
    """[customer] logarithm of her rate against the mean customer's (r / alpha), by which the value of a purchase may differ."""
    rate = purchases.rate(known["repeats"].to_numpy(), known["age"].to_numpy())
    return np.log(rate * purchases.alpha / purchases.r)


def fit_worth(known: pd.DataFrame, frequent: bool = False, purchases: BgNbd | None = None) -> Worth:
    """Both models by maximum likelihood, from rows of `features.lifetime.summaries`; `frequent` fits a slope of value on frequency too.

    `purchases` may be given, where it was fitted on the same rows already.
    Raises ValueError where there are too few customers or repeat buyers.
    """
    if purchases is None:
        purchases = fit_bgnbd(known["repeats"].to_numpy(), known["recency"].to_numpy(), known["age"].to_numpy())
    kept = known[~(known["value"] <= 0)]
    given = tilt(purchases, kept) if frequent else None
    spending = fit_gamma_gamma(kept["repeats"].to_numpy(), kept["value"].to_numpy(), given)
    return Worth(purchases, spending, len(known) - len(kept))


def weekly(days: ValuedDays, purchases: BgNbd, moment: int) -> pd.DataFrame:
    """Repeat purchases in each whole week of the data: week (1, 2, ...), actual, expected, by customers who came before day `moment`.

    Expected as of each customer's first purchase, so that nothing is told of what she did later.
    """
    begins = np.flatnonzero(np.append(True, np.diff(days.who) != 0))
    first = np.full(len(days.customers), days.length)
    first[days.who[begins]] = days.day[begins]
    weeks = days.length // WEEK
    rows = (first[days.who] < moment) & (days.day > first[days.who]) & (days.day < weeks * WEEK)
    actual = np.bincount(days.day[rows] // WEEK, minlength=weeks)
    day, many = np.unique(first[first < moment], return_counts=True)
    ahead = np.maximum(np.arange(weeks + 1)[:, None] * WEEK - 1 - day, 0)  # a week's last day is its seventh
    until = purchases.newcomer(ahead.ravel().astype(float)).reshape(ahead.shape) @ many
    return pd.DataFrame({"week": np.arange(1, weeks + 1), "actual": actual, "expected": np.diff(until)})
