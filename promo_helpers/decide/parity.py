"""Parity inside a budgeted allocation: no two groups' shares contacted may differ by more than so much; and what that costs.

Each side of the constraint is linear in who is contacted. With a price on the budget the groups part: one is contacted in the order of its
rows' worth (best arm's gain less price x spend), up to any number, so that its worth is concave in its share. Shares must lie in one band
[level, level + allowed]; the best level is found by ternary search, the price of the budget by bisection. Prices alone take rows that are
alike all or none; so what the budget still holds is then given out row by row, as far as the band lets it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from promo_helpers import draws as keyed
from promo_helpers.draws import rounded
from promo_helpers.inference import percentiles

ROUNDS, LEVELS = 50, 60  # of the price's bisection and of the search for the level
ROUNDING = 1e-6  # of a row: a share of exactly the allowed difference is within it


@dataclass(frozen=True)
class Even:
    """arm: [row]. gain, spend: expected sums. bound: no allocation within budget and parity gains more. gap: largest difference of
    shares contacted between groups. price: gain of one more unit of the budget."""

    arm: np.ndarray
    gain: float
    spend: float
    bound: float
    gap: float
    price: float


def allocate_even(gain: np.ndarray, spend: np.ndarray, budget: float | None, group: np.ndarray, allowed: float) -> Even:
    """One arm a row: most expected gain such that shares contacted of any two groups differ by at most `allowed` (0 to 1).

    gain, spend: [row, arm], arm 0 is none and 0 in both; group: [row] labels, one row a customer; rows whose label is missing are in no
    group, and held to no share. Whole rows are counted, so that with `allowed` below one over the smallest group's size no more than
    rounding up is promised: the band is then one row wide in each group.
    A group may have to be contacted where no offer pays. What is missed against the optimum is at most bound - gain (a few rows' worth).
    Raises ValueError where every label is missing, and for a share outside 0..1 and a negative budget.
    """
    if pd.isna(np.asarray(group, object)).all():
        raise ValueError("group: all labels are missing; parity is between groups")
    if not 0 <= allowed <= 1:
        raise ValueError(f"allowed = {allowed!r}: the difference of shares allowed must be from 0 to 1")
    if budget is not None and not budget >= 0:
        raise ValueError(f"budget = {budget!r}: must be at least 0")
    code = pd.factorize(np.asarray(group, object), sort=True)[0]  # -1 where it is missing
    alone = code < 0
    members = [np.flatnonzero(code == k) for k in range(code.max() + 1)]
    rows, exact, gain = np.arange(len(gain)), gain, rounded(gain)  # equals are then equal at every price
    slack = float(np.abs(exact - gain).max(axis=1).sum())  # what no allocation of the rounded gains can be ahead by

    def at(price: float) -> tuple[np.ndarray, float]:
        worth = gain[:, 1:] - price * spend[:, 1:]
        best, most = 1 + worth.argmax(axis=1), worth.max(axis=1)
        kept, total = _banded(most, members, allowed)
        kept[alone] = most[alone] > 0
        return np.where(kept, best, 0), total + float(np.maximum(most[alone], 0).sum())

    arm, total = at(0.0)
    low, high, bound = 0.0, 0.0, total
    if budget is not None and spend[rows, arm].sum() > budget:
        high = 1.0
        while spend[rows, at(high)[0]].sum() > budget and high < 1e9:
            high *= 2
        for _ in range(ROUNDS):
            middle = (low + high) / 2
            tried, total = at(middle)
            bound = min(bound, total + middle * budget)
            low, high = (middle, high) if spend[rows, tried].sum() > budget else (low, middle)
        arm, total = at(high)
        bound = min(bound, total + high * budget)
        if spend[rows, arm].sum() > budget:
            arm = np.zeros(len(gain), int)
        arm = _filled(arm, at(low)[0], gain, spend, budget, high, code, allowed)
    earned, spent = float(exact[rows, arm].sum()), float(spend[rows, arm].sum())
    return Even(arm, earned, spent, bound + slack, gap(arm, group), high)


def _filled(
    arm: np.ndarray, more: np.ndarray, gain: np.ndarray, spend: np.ndarray, budget: float, price: float, code: np.ndarray, allowed: float,
) -> np.ndarray:  # fmt: skip
    """Take over, from the allocation `more` that the budget does not hold, one row after another, the best after `price` first, while the
    budget and the band hold; of all that this passes through, the allocation that gains most."""
    moved = np.flatnonzero((more > 0) & (more != arm))
    added = gain[moved, more[moved]] - gain[moved, arm[moved]]
    paid = spend[moved, more[moved]] - spend[moved, arm[moved]]
    size = np.bincount(code[code >= 0]).astype(float)
    share = np.bincount(code[code >= 0], arm[code >= 0] > 0, len(size)) / size
    left = float(budget - spend[np.arange(len(arm)), arm].sum())
    worth, of = added - price * paid, np.where(arm[moved] == 0, code[moved], -1)  # a deeper discount moves no share
    order = np.argsort(-rounded(worth), kind="stable")
    waiting = {g: list(order[of[order] == g][::-1]) for g in np.unique(of)}  # the best of each group last
    taken = list[int]()

    def fits(g: int) -> bool:
        """Whether one more of a group leaves every share within the band."""
        after = share[g] + 1 / size[g]
        return g < 0 or after <= min(after, np.delete(share, g).min(initial=np.inf)) + allowed + ROUNDING / size[g]

    while True:
        for queue in waiting.values():
            while queue and paid[queue[-1]] > left:
                queue.pop()
        may = [queue[-1] for g, queue in waiting.items() if queue and fits(g)]
        if not may:
            break
        # among equals the one of the smallest share, which keeps the others low
        best = max(may, key=lambda i: (worth[i], -share[of[i]] if of[i] >= 0 else 0.0))
        waiting[of[best]].pop()
        taken.append(best)
        left -= paid[best]
        if of[best] >= 0:
            share[of[best]] += 1 / size[of[best]]
    sums = np.append(0.0, np.cumsum(added[taken]))
    rows = moved[taken[: int(sums.argmax())]]
    out = arm.copy()
    out[rows] = more[rows]
    return out


def gap(arm: np.ndarray, group: np.ndarray) -> float:
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
    """One row an allowed difference: allowed, gap (as it comes out), contacted, spend, promised (sum of gain), bound, and true (sum of the
    true gain of the same arms) where `true` [row, arm] is given; the arms lie in .attrs["arms"]."""
    found = [allocate_even(gain, spend, budget, group, a) for a in allowed]
    rows = np.arange(len(gain))
    frame = pd.DataFrame(
        {
            "allowed": list(allowed), "gap": [f.gap for f in found], "contacted": [float((f.arm > 0).mean()) for f in found],
            "spend": [f.spend for f in found], "promised": [f.gain for f in found], "bound": [f.bound for f in found],
        }
    )  # fmt: skip
    if true is not None:
        frame["true"] = [float(true[rows, f.arm].sum()) for f in found]
    frame.attrs["arms"] = [f.arm for f in found]
    return frame


def cost(
    gain: np.ndarray, arm: np.ndarray, free: np.ndarray, customer: np.ndarray, seed: int, draws: int = 1000
) -> dict[str, float]:
    """Share of the profit of `free` that `arm` gives up: estimate, low, high (95 %, customers drawn anew, both allocations as they are).

    gain: [row, arm]; customer: [row], of whom each counts Poisson(1) times in a draw. Missing where `free` earns nothing.
    """
    rows = np.arange(len(gain))
    one, other = gain[rows, arm], gain[rows, free]
    if other.sum() <= 0:
        return {"estimate": np.nan, "low": np.nan, "high": np.nan}
    draw = keyed.bootstrap(seed, "cost of parity", customer, n=draws)
    low, high = percentiles(1 - (draw @ one) / (draw @ other))
    return {"estimate": float(1 - one.sum() / other.sum()), "low": float(low), "high": float(high)}


def _banded(worth: np.ndarray, members: list[np.ndarray], allowed: float) -> tuple[np.ndarray, float]:
    """[row] who is contacted so that shares lie in one band, and the worth of the relaxation that counts parts of rows."""
    orders = [m[np.argsort(-rounded(worth[m]), kind="stable")] for m in members]
    sums = [np.append(0.0, np.cumsum(worth[o])) for o in orders]
    wanted = [int((worth[o] > 0).sum()) for o in orders]
    size = [len(o) for o in orders]

    def share(level: float) -> list[float]:
        top = min(level + allowed, 1.0)
        return [min(max(w / n, level), top) for w, n in zip(wanted, size, strict=True)]

    def total(level: float) -> float:
        out = 0.0
        for s, n, c in zip(share(level), size, sums, strict=True):
            k = min(int(s * n), n - 1)
            out += c[k] + (s * n - k) * (c[k + 1] - c[k])
        return float(out)

    low, high = 0.0, 1.0
    for _ in range(LEVELS):
        a, b = low + (high - low) / 3, high - (high - low) / 3
        low, high = (low, b) if total(a) >= total(b) else (a, high)
    level = (low + high) / 2
    kept = np.zeros(len(worth), bool)
    for order, s, n, w in zip(orders, share(level), size, wanted, strict=True):
        least, most = np.ceil(level * n - ROUNDING), np.floor(min(level + allowed, 1.0) * n + ROUNDING)
        number = int(np.clip(w, least, most)) if least <= most else round(s * n)
        kept[order[:number]] = True
    return kept, total(level)
