"""Profit against how many are contacted: a policy that ranks, cut at every share."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from scipy import stats

from promo_helpers.ties import rounded

SHARES = np.linspace(0.0, 1.0, 41)


def by_share(
    policies: Mapping[str, tuple[np.ndarray, np.ndarray]], scores: np.ndarray, customer: np.ndarray, shares: np.ndarray = SHARES,
    level: float = 0.95,
) -> pd.DataFrame:  # fmt: skip
    """Tidy: name, share, value, low, high: the value a decision when the first so many of a ranking get their arm, all others none.

    policies: name -> (priority [row], arm [row] that the row would get). scores: [row, arm] doubly robust, or the true gains, of which the
    interval says only what the drawn customers leave open. The cut is taken as given; errors by customer, linearised.
    """
    code = pd.factorize(customer)[0]
    people, n, z = code.max() + 1, len(code), float(stats.norm.ppf((1 + level) / 2))
    rows: list[tuple[str, float, float, float, float]] = []
    for name, (priority, arm) in policies.items():
        order = np.argsort(-rounded(np.nan_to_num(priority, nan=-np.inf)), kind="stable")
        gain = (scores[np.arange(n), arm] - scores[:, 0])[order]
        for share in shares:
            cut = round(share * n)
            mean = float(gain[:cut].sum() / n)
            left = np.append(gain[:cut], np.zeros(n - cut)) - mean
            sums = np.bincount(code[order], left, minlength=people)
            half = z * float(np.sqrt((sums**2).sum() * people / (people - 1)) / n)
            rows.append((name, float(share), mean, mean - half, mean + half))
    return pd.DataFrame(rows, columns=["name", "share", "value", "low", "high"])
