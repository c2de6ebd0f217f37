"""Greedy multiple-choice knapsack: repeat the upgrade with most gain per unit of use until the limit.

Each row i takes one arm j, x_ij = 1, none among them:

    max sum_ij g_ij x_ij   s.t.   sum_ij s_ij x_ij <= B,   sum_j x_ij = 1.

Its dual has one price for the limit: min over p >= 0 of p B + sum_i max_j (g_ij - p s_ij). For any p, each row's best arm lies on the
upper left hull of its points (s_ij, g_ij), and the slopes of the hull are the prices at which the row changes its arm. So the walk makes
all rows' upgrades in falling order of slope; the slope of the first that does not fit is the dual price.
Sources: Sinha and Zoltners (1979), "The multiple-choice knapsack problem"; Zemel (1984), "An O(n) algorithm for the linear multiple choice
knapsack problem".
"""

from dataclasses import dataclass

import numpy as np
from numba import njit

from promo_helpers.draws import rounded

ROUNDING = 1e-12  # of a limit: 29 % of 100 contacts is 28.999999999999996 in binary, and means 29
MAX_RATIO = 1e300  # gain per unit of use where an upgrade is (nearly) free


@dataclass(frozen=True)
class Upgrades:
    """Upgrades along each row's hull, row after row, in the order in which a row makes them.

    row, arm: whose it is, and the arm that it leads to. slope: gain per unit of use, not rising within a row. use: added.
    start: [row] the arm of least use, where the row begins.
    """

    row: np.ndarray
    arm: np.ndarray
    slope: np.ndarray
    use: np.ndarray
    start: np.ndarray

    @property
    def before(self) -> np.ndarray:
        """[upgrade] the arm that it leaves."""
        first = np.append(True, self.row[1:] != self.row[:-1])[: len(self.row)]
        return np.where(first, self.start[self.row], np.roll(self.arm, 1))


def upgrades(gain: np.ndarray, use: np.ndarray, losses: bool = False) -> Upgrades:
    """Upgrades along the upper left hull of each row's arms, from the arm of least use.

    gain, use: [row, arm], C-contiguous, arm 0 with 0. losses: whether an arm of negative gain counts where it frees room (use below 0).
    """
    count = _count(gain, use, losses)
    return Upgrades(*_moves(gain, use, losses, np.append(0, np.cumsum(count))))


def greedy_allocation(
    gain: np.ndarray, use: np.ndarray, cap: np.ndarray, limit: np.ndarray, tie: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """([row] arm, [cap] shadow price) of the greedy walk: sums of `use` over the rows of each cap stay within its limit.

    gain, use: [row, arm], arm 0 with 0. cap: [row] which of the limits the row counts towards. limit: [cap], at least 0.
    tie: [row] numbers that say which of equally good upgrades is taken first. Where arms free room (use below 0), a second walk without
    those that also lose is made, and each limit takes the better of the two: no plan is worse than none.
    """
    arm, price = _walk(gain, use, cap, limit, tie, True)
    if (use < 0).any():  # arms that lose but make room: what they pay for may be too coarse to be worth it
        rows = np.arange(len(gain))
        other = _walk(gain, use, cap, limit, tie, False)[0]
        worth = [np.bincount(cap, gain[rows, a], minlength=len(limit)) for a in (arm, other)]
        better = worth[1] > worth[0]
        arm = np.where(better[cap], other, arm)
    return arm, price


def _walk(
    gain: np.ndarray, use: np.ndarray, cap: np.ndarray, limit: np.ndarray, tie: np.ndarray, losses: bool
) -> tuple[np.ndarray, np.ndarray]:
    found = upgrades(gain, use, losses)
    arm, key = found.start.copy(), -rounded(found.slope)
    order = np.argsort(key)
    falling = key[order]
    same = np.append(False, falling[1:] == falling[:-1])
    same[:-1] |= same[1:]
    if same.any():  # within a row, upgrades stand in the order in which they are made
        level = order[same]
        order[same] = level[np.lexsort((level, tie[found.row[level]], key[level]))]
    limit = limit * (1 + ROUNDING)
    return arm, _take(found.row, found.arm, found.slope, found.use, order, cap, limit, use, arm)


@njit(cache=True)
def _chain(gain: np.ndarray, use: np.ndarray, losses: bool, hull: np.ndarray) -> int:
    """Write the arms on one row's hull into `hull`, in rising use; return how many."""
    arms = len(gain)
    sorted_ = np.empty(arms, np.int64)
    n = 0
    for a in range(arms):
        if gain[a] < 0 and not (losses and use[a] < 0):
            continue
        p = n
        while p > 0 and (use[a] < use[sorted_[p - 1]] or (use[a] == use[sorted_[p - 1]] and gain[a] > gain[sorted_[p - 1]])):
            sorted_[p] = sorted_[p - 1]
            p -= 1
        sorted_[p] = a
        n += 1
    hull[0] = sorted_[0]
    top = 0
    for p in range(1, n):
        a = sorted_[p]
        if gain[a] <= gain[hull[top]]:
            continue
        while top > 0 and _slope(gain, use, hull[top - 1], hull[top]) < _slope(gain, use, hull[top], a):
            top -= 1
        top += 1
        hull[top] = a
    return top + 1


@njit(cache=True)
def _slope(gain: np.ndarray, use: np.ndarray, a: int, b: int) -> float:
    better, more = gain[b] - gain[a], use[b] - use[a]
    return MAX_RATIO if better >= MAX_RATIO * more else better / more


@njit(cache=True)
def _count(gain: np.ndarray, use: np.ndarray, losses: bool) -> np.ndarray:
    count = np.empty(len(gain), np.int64)
    hull = np.empty(gain.shape[1], np.int64)
    for i in range(len(gain)):
        count[i] = _chain(gain[i], use[i], losses, hull) - 1
    return count


@njit(cache=True)
def _moves(
    gain: np.ndarray, use: np.ndarray, losses: bool, first: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Row, arm, slope and added use of each move, row after row, and the [row] arm that uses least, where the walk begins."""
    n = first[-1]
    row, to, slope, more = np.empty(n, np.int32), np.empty(n, np.int16), np.empty(n), np.empty(n)
    start = np.empty(len(gain), np.int64)
    hull = np.empty(gain.shape[1], np.int64)
    for i in range(len(gain)):
        size = _chain(gain[i], use[i], losses, hull)
        start[i] = hull[0]
        for p in range(1, size):
            m = first[i] + p - 1
            row[m], to[m], more[m] = i, hull[p], use[i, hull[p]] - use[i, hull[p - 1]]
            slope[m] = _slope(gain[i], use[i], hull[p - 1], hull[p])
            if p > 1:
                slope[m] = min(slope[m], slope[m - 1])  # in rounded numbers, too, they must not rise
    return row, to, slope, more, start


@njit(cache=True)
def _take(
    row: np.ndarray,
    to: np.ndarray,
    slope: np.ndarray,
    more: np.ndarray,
    order: np.ndarray,
    cap: np.ndarray,
    limit: np.ndarray,
    use: np.ndarray,
    arm: np.ndarray,
) -> np.ndarray:
    """Make the moves that fit, in `arm`; return the slope of each cap's first that does not, 0 where all fit."""
    price, used, lost = np.zeros(len(limit)), np.zeros(len(limit)), np.zeros(len(limit))
    ended = np.zeros(len(arm), np.bool_)
    for i in range(len(arm)):
        _add(used, lost, cap[i], use[i, arm[i]])
    for m in order:
        i = row[m]
        k = cap[i]
        if ended[i]:
            continue
        if used[k] + (lost[k] + more[m]) <= limit[k]:
            _add(used, lost, k, more[m])
            arm[i] = to[m]
        else:
            ended[i] = True
            if price[k] == 0:
                price[k] = slope[m]
    return price


@njit(cache=True)
def _add(total: np.ndarray, lost: np.ndarray, k: int, value: float) -> None:
    """Neumaier's sum: what rounding takes from a million small numbers is kept beside the total."""
    after = total[k] + value
    lost[k] += (total[k] - after) + value if abs(total[k]) >= abs(value) else (value - after) + total[k]
    total[k] = after
