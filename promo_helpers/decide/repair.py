"""Arms that keep every limit, from arms that nearly do: what breaks a limit is taken back, and what is left of the limits is used."""

import numpy as np
from numba import njit

from promo_helpers.decide.problem import Problem
from promo_helpers.ties import rounded


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


def filled(problem: Problem, arm: np.ndarray, price: np.ndarray, limit: np.ndarray) -> np.ndarray:
    """`arm` with rows changed to an arm of more gain while it fits: those first that are worth most at the prices."""
    arm = arm.copy()
    worth = _rise(problem.gain, problem.use, problem.cap, price, arm)
    order = np.argsort(-rounded(worth), kind="stable")
    block = np.repeat(np.arange(len(problem.first) - 1), np.diff(problem.first))
    contacts = np.bincount(block, arm > 0, minlength=len(problem.first) - 1).astype(np.int64)
    order = order[np.isfinite(worth[order])]
    _fill(problem.gain, problem.use, problem.cap, price, arm, order, problem.used(arm), limit, block, contacts, problem.most)
    return arm


@njit(cache=True)
def _rise(gain: np.ndarray, use: np.ndarray, cap: np.ndarray, price: np.ndarray, arm: np.ndarray) -> np.ndarray:
    """[row] most that a change to an arm of more gain is worth at the prices; -inf where there is none."""
    out = np.full(len(gain), -np.inf)
    for i in range(len(gain)):
        for a in range(gain.shape[1]):
            if gain[i, a] > gain[i, arm[i]]:
                v = gain[i, a] - gain[i, arm[i]]
                for f in range(len(use)):
                    v -= price[cap[f, i]] * (use[f, i, a] - use[f, i, arm[i]])
                out[i] = max(out[i], v)
    return out


@njit(cache=True)
def _fill(
    gain: np.ndarray,
    use: np.ndarray,
    cap: np.ndarray,
    price: np.ndarray,
    arm: np.ndarray,
    order: np.ndarray,
    used: np.ndarray,
    limit: np.ndarray,
    block: np.ndarray,
    contacts: np.ndarray,
    most: int,
) -> None:
    families, _, arms = use.shape
    for i in order:
        now, best, best_worth = arm[i], arm[i], -np.inf
        for a in range(arms):
            if gain[i, a] <= gain[i, now] or (now == 0 and contacts[block[i]] >= most):
                continue
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
            arm[i] = best
