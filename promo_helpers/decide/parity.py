"""What parity costs: profit given up so that no two groups' shares contacted differ by more than so much (see `decide.allocate`)."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from promo_helpers import draws as keyed
from promo_helpers.decide.allocate import Limits, Parity, allocate
from promo_helpers.inference import percentiles


def share_gap(arm: np.ndarray, group: np.ndarray) -> float:
    """Largest difference of the shares contacted between groups; rows whose label is missing are in none. 0 where there is one at most."""
    shares = pd.Series(np.asarray(arm) > 0).groupby(np.asarray(group, object)).mean()
    return float(shares.max() - shares.min()) if len(shares) else 0.0


def frontier(
    gain: np.ndarray,
    spend: np.ndarray,
    budget: float | None,
    group: np.ndarray,
    allowed: Sequence[float],
    true: np.ndarray | None = None,
) -> pd.DataFrame:
    """One row a tolerance in `allowed`: allowed, gap (as it comes out), contacted, spend, promised (sum of gain), bound, and true (sum of
    the true gain of the same arms) where `true` [row, arm] is given; the arms lie in .attrs["arms"]."""
    plans = [allocate(gain, spend, Limits(budget, parity=Parity(group, a))) for a in allowed]
    rows = np.arange(len(gain))
    frame = pd.DataFrame(
        {
            "allowed": list(allowed),
            "gap": [share_gap(p.arm, group) for p in plans],
            "contacted": [float((p.arm > 0).mean()) for p in plans],
            "spend": [p.spend for p in plans],
            "promised": [p.gain for p in plans],
            "bound": [p.bound for p in plans],
        }
    )
    if true is not None:
        frame["true"] = [float(true[rows, p.arm].sum()) for p in plans]
    frame.attrs["arms"] = [p.arm for p in plans]
    return frame


def cost(
    gain: np.ndarray, arm: np.ndarray, unconstrained: np.ndarray, customer: np.ndarray, seed: int, draws: int = 1000
) -> dict[str, float]:
    """Share of the profit of `free` that `arm` gives up: estimate, low, high (95 %, customers drawn anew, both allocations as they are).

    gain: [row, arm]; customer: [row], of whom each counts Poisson(1) times in a draw. Missing where `free` earns nothing.
    """
    rows = np.arange(len(gain))
    one, other = gain[rows, arm], gain[rows, unconstrained]
    if other.sum() <= 0:
        return {"estimate": np.nan, "low": np.nan, "high": np.nan}
    draw = keyed.bootstrap(seed, "cost of parity", customer, n=draws)
    low, high = percentiles(1 - (draw @ one) / (draw @ other))
    return {"estimate": float(1 - one.sum() / other.sum()), "low": float(low), "high": float(high)}
