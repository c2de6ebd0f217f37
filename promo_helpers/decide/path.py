"""One limit, or one for each of several separate groups: a walk along the moves of the rows to dearer arms, the best per unit first.

Each row's arms on the upper hull of (use, gain), in rising use, are moves of falling slope (Sinha & Zoltners 1979). The walk takes all
moves in falling order of slope; one that does not fit ends its row, and the walk goes on to those that do. So:
- Everything before the first move that is refused is the optimum of the linear relaxation but for a part of that move: what is lost is
  less than the gain of that one move.
- Slopes that agree to nine digits count as equal, so that no last digit of a processor decides; what that costs is as small.
- More budget never gains less. Take the first move m at which two budgets differ: the larger takes it, the smaller has room R < use(m)
  left. All that the smaller can still gain has at most m's slope, so it is at most slope(m) x R, less than the gain of m.
"""

import numpy as np
from numba import njit

from promo_helpers.ties import rounded

ROUNDING = 1e-12  # of a limit: 29 % of 100 contacts is 28.999999999999996 in binary, and means 29
STEEP = 1e300  # a move that costs next to nothing


def walk(gain: np.ndarray, use: np.ndarray, cap: np.ndarray, limit: np.ndarray, tie: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """([row] arm, [cap] shadow price) that gain most with sums of `use` over the rows of each cap within its limit.

    gain, use: [row, arm], arm 0 with 0. cap: [row] which of the limits the row counts towards. limit: [cap], at least 0.
    tie: [row] numbers that say which of equally good moves is taken first. Where arms free room (use below 0), a second walk without
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
    count = _count(gain, use, losses)
    row, to, slope, more, arm = _moves(gain, use, losses, np.append(0, np.cumsum(count)))
    key = -rounded(slope)
    order = np.argsort(key)
    falling = key[order]
    same = np.append(False, falling[1:] == falling[:-1])
    same[:-1] |= same[1:]
    if same.any():  # within a row, moves stand in the order in which they are made
        level = order[same]
        order[same] = level[np.lexsort((level, tie[row[level]], key[level]))]
    return arm, _take(row, to, slope, more, order, cap, limit * (1 + ROUNDING), use, arm)


@njit(cache=True)
def _chain(gain: np.ndarray, use: np.ndarray, losses: bool, kept: np.ndarray) -> int:
    """Write the arms on one row's hull into `kept`, in rising use; return how many."""
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
    kept[0] = sorted_[0]
    top = 0
    for p in range(1, n):
        a = sorted_[p]
        if gain[a] <= gain[kept[top]]:
            continue
        while top > 0 and _slope(gain, use, kept[top - 1], kept[top]) < _slope(gain, use, kept[top], a):
            top -= 1
        top += 1
        kept[top] = a
    return top + 1


@njit(cache=True)
def _slope(gain: np.ndarray, use: np.ndarray, a: int, b: int) -> float:
    better, more = gain[b] - gain[a], use[b] - use[a]
    return STEEP if better >= STEEP * more else better / more


@njit(cache=True)
def _count(gain: np.ndarray, use: np.ndarray, losses: bool) -> np.ndarray:
    count = np.empty(len(gain), np.int64)
    kept = np.empty(gain.shape[1], np.int64)
    for i in range(len(gain)):
        count[i] = _chain(gain[i], use[i], losses, kept) - 1
    return count


@njit(cache=True)
def _moves(
    gain: np.ndarray, use: np.ndarray, losses: bool, first: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Row, arm, slope and added use of each move, row after row, and the [row] arm that uses least, where the walk begins."""
    n = first[-1]
    row, to, slope, more = np.empty(n, np.int32), np.empty(n, np.int16), np.empty(n), np.empty(n)
    start = np.empty(len(gain), np.int64)
    kept = np.empty(gain.shape[1], np.int64)
    for i in range(len(gain)):
        size = _chain(gain[i], use[i], losses, kept)
        start[i] = kept[0]
        for p in range(1, size):
            m = first[i] + p - 1
            row[m], to[m], more[m] = i, kept[p], use[i, kept[p]] - use[i, kept[p - 1]]
            slope[m] = _slope(gain[i], use[i], kept[p - 1], kept[p])
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
