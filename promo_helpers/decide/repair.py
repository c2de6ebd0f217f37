"""Whole arms from shadow prices: limits that are exceeded are repaired, groups are evened, and what is left is filled greedily."""

import numpy as np
from numba import njit

from promo_helpers.decide.shadow_prices import PART_OF_A_ROW, Problem, solve
from promo_helpers.draws import rounded


def whole(problem: Problem, order: np.ndarray, rounding: float) -> tuple[np.ndarray, np.ndarray]:
    """([row] arm, [cap] price): the arms of the linear programmes made whole, within all limits and bands; the gain is at least 0.

    rounding: of a limit, what it may be exceeded by. Prices are rounded to nine digits before they decide, so that another processor's
    last digits decide nothing.
    """
    arm, price = solve(problem, order)
    price = rounded(price)
    limit = problem.limit * (1 + rounding)
    arm = evened(problem, repaired(problem, arm, price, limit), price)
    if (problem.used(arm) > limit).any():  # a contact that was taken back had freed room
        arm = np.zeros_like(arm)
    arm = filled(problem, arm, price, problem.limit * (1 + rounding / 2))
    return arm if problem.gain[np.arange(len(arm)), arm].sum() >= 0 or problem.bands is None else np.zeros_like(arm), price


def repaired(problem: Problem, arm: np.ndarray, price: np.ndarray, limit: np.ndarray) -> np.ndarray:
    """`arm` with rows changed until no sum of use is above `limit`: those first that lose least, at the prices, per unit they free.

    Ends with arm 0 for everybody, which keeps every limit, if nothing else does.
    """
    arm = arm.copy()
    rows = np.arange(len(arm))
    for attempt in range(4 * len(limit) + 4):
        over = problem.used(arm) - limit
        broken = np.flatnonzero(over > 0)
        if not len(broken):
            return arm
        k = broken[attempt % len(broken)]
        for use, cap in zip(problem.use, problem.cap, strict=True):
            there = rows[(cap == k) & (arm > 0)]
            if not len(there):
                continue
            now = arm[there]
            freed = use[there, now][:, None] - use[there]
            if attempt >= 2 * len(limit) + 2:  # a change to another arm may break another limit; to none, seldom
                freed[:, 1:] = 0
            worth = problem.gain[there] - sum(
                (price[c[there]] * (c[there] != k))[:, None] * u[there] for u, c in zip(problem.use, problem.cap, strict=True)
            )
            here = np.arange(len(there))
            loss = np.divide(worth[here, now][:, None] - worth, freed, out=np.full(freed.shape, np.inf), where=freed > 0)
            to = loss.argmin(axis=1)
            least = loss[here, to]
            order = np.argsort(rounded(least), kind="stable")
            order = order[np.isfinite(least[order])]
            enough = int(np.searchsorted(np.cumsum(freed[order, to[order]]), over[k])) + 1
            arm[there[order[:enough]]] = to[order[:enough]]
    return np.zeros_like(arm)


def evened(problem: Problem, arm: np.ndarray, price: np.ndarray) -> np.ndarray:
    """`arm` with contacts taken back until all groups' shares lie in one band: those first that are worth least at the prices.

    The lowest share stays, so that no limit on contacts, spend or stocks that held before is broken.
    """
    if problem.bands is None:
        return arm
    arm, bands = arm.copy(), problem.bands
    there = problem.contacted(arm)
    surplus = there - bands.most(float((there / bands.size).min()))
    group, rows = problem.cap[-1] - bands.first, np.arange(len(arm))
    uses = zip(problem.use, problem.cap, strict=True)
    worth = problem.gain[rows, arm] - sum((price[c] * u[rows, arm] for u, c in uses), np.zeros(len(arm)))
    for g in np.flatnonzero(surplus > 0):
        inside = np.flatnonzero((group == g) & (arm > 0))
        arm[inside[np.argsort(_level(problem, worth[inside])[0], kind="stable")[: int(surplus[g])]]] = 0
    return arm


def filled(problem: Problem, arm: np.ndarray, price: np.ndarray, limit: np.ndarray) -> np.ndarray:
    """`arm` with rows changed to an arm of more gain while it fits: those first that are worth most at the prices.

    First each row's best arm, where it fits; then what does fit. With bands, a row may be contacted at a loss where this makes room for
    others; of all that is passed through, the allocation that gains most is kept.
    """
    arm = arm.copy()
    for best_only in (True, False):
        _filled_once(problem, arm, price, limit, best_only)
    return arm


def _filled_once(problem: Problem, arm: np.ndarray, price: np.ndarray, limit: np.ndarray, best_only: bool) -> None:
    bands, used = problem.bands, problem.used(arm)
    groups = 0 if bands is None else len(bands.size)
    queue = np.zeros(len(arm), np.int64)  # 0: changes that move no share of a group; then the groups
    if bands is not None:
        group = problem.cap[-1] - bands.first
        queue = np.where((arm == 0) & (group < groups), group + 1, 0)
    room = np.full(len(limit), np.inf) if best_only else limit
    rise = _rise(problem.gain, problem.use, problem.cap, price, arm, queue > 0, used, room)
    worth, scale = _level(problem, rise)
    order = np.lexsort((-worth, queue))
    order = order[np.isfinite(worth[order])]
    start = np.append(0, np.cumsum(np.bincount(queue[order], minlength=groups + 1)))
    block = np.repeat(np.arange(len(problem.first) - 1), np.diff(problem.first))
    contacts = np.bincount(block, arm > 0, minlength=len(problem.first) - 1).astype(np.int64)
    size = np.zeros(0) if bands is None else bands.size.astype(float)
    there = np.zeros(0) if bands is None else problem.contacted(arm)
    least = rise - 2e-9 * scale if best_only else np.full(len(rise), -np.inf)
    _fill(
        problem.gain, problem.use, problem.cap, price, arm, order, start, worth, least, used, limit, block, contacts, problem.most, size,
        there, 1.0 if bands is None else bands.tolerance,
    )  # fmt: skip


def _level(problem: Problem, worth: np.ndarray) -> tuple[np.ndarray, float]:
    """Net gains to nine digits of the largest gain, and that gain.

    At the margin they are differences near 0, of which the last digits say nothing.
    """
    scale = max(float(rounded(np.array(np.abs(problem.gain).max(initial=0)))), 1e-300)
    return np.round(worth / scale, 9), scale


def band_prices(problem: Problem, arm: np.ndarray, price: np.ndarray) -> np.ndarray:
    """[group] price of one more contact, such that at these prices each row's best is its arm: 0 where the band does not bind.

    Where it binds it is the net gain of the best row that is not contacted: who falls below it makes room for that one.
    """
    assert problem.bands is not None
    uses = list(zip(problem.use, problem.cap, strict=True))[:-1]
    worth = (problem.gain - sum((price[c][:, None] * u for u, c in uses), np.zeros(problem.gain.shape)))[:, 1:].max(axis=1)
    out = np.zeros(len(problem.bands.size))
    for g in range(len(out)):
        inside = problem.cap[-1] == problem.bands.first + g
        last = worth[inside & (arm > 0)].min(initial=np.inf)
        first = worth[inside & (arm == 0)].max(initial=-np.inf)
        if not first <= 0 <= last:
            out[g] = first if np.isfinite(first) else last
    return out


@njit(cache=True)
def _rise(
    gain: np.ndarray,
    use: np.ndarray,
    cap: np.ndarray,
    price: np.ndarray,
    arm: np.ndarray,
    loss: np.ndarray,
    used: np.ndarray,
    limit: np.ndarray,
) -> np.ndarray:
    """[row] most that a change to an arm of more gain (any arm, where `loss` [row]) that fits is worth at the prices; -inf: none."""
    out = np.full(len(gain), -np.inf)
    for i in range(len(gain)):
        for a in range(gain.shape[1]):
            if gain[i, a] > gain[i, arm[i]] or (loss[i] and a != arm[i]):
                fits, v = True, gain[i, a] - gain[i, arm[i]]
                for f in range(len(use)):
                    more = use[f, i, a] - use[f, i, arm[i]]
                    v -= price[cap[f, i]] * more
                    fits = fits and (more <= 0 or used[cap[f, i]] + more <= limit[cap[f, i]])
                if fits:
                    out[i] = max(out[i], v)
    return out


@njit(cache=True)
def _next(
    order: np.ndarray,
    head: np.ndarray,
    stop: np.ndarray,
    worth: np.ndarray,
    size: np.ndarray,
    there: np.ndarray,
    tolerance: float,
) -> int:
    """The queue whose first row is worth most, of those that may move: of a group, if all shares then lie in one band. -1: none."""
    low, second = 1.0, 1.0  # lowest share, and the lowest of the others
    for g in range(len(size)):
        share = there[g] / size[g]
        if share < low:
            low, second = share, low
        else:
            second = min(second, share)
    best, best_worth, best_share = -1, -np.inf, np.inf
    for q in range(len(head)):
        if head[q] == stop[q]:
            continue
        share = -1.0
        if q > 0:
            share = there[q - 1] / size[q - 1]
            after = (there[q - 1] + 1) / size[q - 1]
            least = min(after, second if share <= low else low)
            most = max(
                np.floor(size[q - 1] * min(least + tolerance, 1.0) + PART_OF_A_ROW), np.ceil(size[q - 1] * least - PART_OF_A_ROW)
            )
            if there[q - 1] + 1 > most:
                continue
        v = worth[order[head[q]]]
        if v > best_worth or (v == best_worth and share < best_share):  # among equals the group of the lowest share
            best, best_worth, best_share = q, v, share
    return best


@njit(cache=True)
def _fill(
    gain: np.ndarray,
    use: np.ndarray,
    cap: np.ndarray,
    price: np.ndarray,
    arm: np.ndarray,
    order: np.ndarray,
    start: np.ndarray,
    worth: np.ndarray,
    least: np.ndarray,
    used: np.ndarray,
    limit: np.ndarray,
    block: np.ndarray,
    contacts: np.ndarray,
    most: int,
    size: np.ndarray,
    there: np.ndarray,
    tolerance: float,
) -> None:
    families, _, arms = use.shape
    head, stop = start[:-1].copy(), start[1:]
    changed, before = np.empty(len(order), np.int64), np.empty(len(order), np.int64)
    changes = best_changes = 0
    gained = best_gained = 0.0
    while True:
        q = _next(order, head, stop, worth, size, there, tolerance)
        if q < 0:
            break
        i = order[head[q]]
        head[q] += 1
        now, best, best_worth = arm[i], arm[i], least[i]
        for a in range(arms):
            if (gain[i, a] <= gain[i, now] and (q == 0 or a == 0)) or (now == 0 and contacts[block[i]] >= most):
                continue
            if q == 0 and len(size) > 0 and (a > 0) != (now > 0) and cap[-1, i] < len(limit) - 1:
                continue  # it would move the share of a group
            fits, v = True, gain[i, a] - gain[i, now]
            for f in range(families):
                more = use[f, i, a] - use[f, i, now]
                v -= price[cap[f, i]] * more
                fits = fits and (more <= 0 or used[cap[f, i]] + more <= limit[cap[f, i]])
            if fits and v > best_worth:
                best, best_worth = a, v
        if best != now:
            for f in range(families):
                used[cap[f, i]] += use[f, i, best] - use[f, i, now]
            contacts[block[i]] += (best > 0) - (now > 0)
            if q > 0:
                there[q - 1] += 1
            arm[i] = best
            changed[changes], before[changes] = i, now
            changes += 1
            gained += gain[i, best] - gain[i, now]
            if gained > best_gained:
                best_gained, best_changes = gained, changes
    for c in range(changes - 1, best_changes - 1, -1):
        arm[changed[c]] = before[c]
