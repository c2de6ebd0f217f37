"""The allocation as an optimiser sees it: customers, their rows, what each arm uses of each limit; and what is best under given prices."""

from dataclasses import dataclass

import numpy as np
from numba import njit
from scipy import sparse
from scipy.optimize import linprog, minimize

from promo_helpers.draws import rounded


@dataclass(frozen=True)
class Problem:
    """gain: [row, arm]. use: [family, row, arm], cap: [family, row] which limit the row counts towards. limit: [cap].

    first: [block + 1] where the rows of each customer begin, which stand together; at most `most` of them are contacted.
    """

    gain: np.ndarray
    use: np.ndarray
    cap: np.ndarray
    limit: np.ndarray
    first: np.ndarray
    most: int

    def at(self, price: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
        """([row] best arm, [block] how much worse the next best choice is, dual bound) under [cap] prices."""
        arm, doubt, value = _best(self.gain, self.use, self.cap, price, self.first, self.most)
        finite = np.isfinite(self.limit)
        return arm, doubt, value + float(price[finite] @ self.limit[finite])

    def used(self, arm: np.ndarray) -> np.ndarray:
        """[cap] sums of the use of `arm`."""
        rows = np.arange(len(arm))
        return sum(
            (np.bincount(c, u[rows, arm], minlength=len(self.limit)) for u, c in zip(self.use, self.cap, strict=True)),
            np.zeros(len(self.limit)),
        )

    def of(self, blocks: np.ndarray, limit: np.ndarray) -> "Problem":
        """The same for some of the customers, with other limits."""
        rows, first = self.rows(blocks)
        return Problem(self.gain[rows], self.use[:, rows], self.cap[:, rows], limit, first, self.most)

    def rows(self, blocks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The rows of these blocks, and where each block begins among them."""
        size = np.diff(self.first)[blocks]
        first = np.append(0, np.cumsum(size))
        return np.repeat(self.first[blocks] - first[:-1], size) + np.arange(first[-1]), first


@njit(cache=True)
def _best(
    gain: np.ndarray, use: np.ndarray, cap: np.ndarray, price: np.ndarray, first: np.ndarray, most: int
) -> tuple[np.ndarray, np.ndarray, float]:
    """Best arms of each block under prices, at most `most` contacts in it; the loss of its next best choice; the sum of its worth."""
    rows, arms = gain.shape
    arm, doubt = np.zeros(rows, np.int64), np.full(len(first) - 1, np.inf)
    worth, next_ = np.empty(rows), np.empty(rows)
    ranked = np.empty(np.max(np.diff(first)), np.int64)
    total = lost = 0.0
    for b in range(len(first) - 1):
        start, stop = first[b], first[b + 1]
        for i in range(start, stop):
            worth[i] = next_[i] = -np.inf
            for a in range(1, arms):
                v = gain[i, a]
                for f in range(len(use)):
                    v -= price[cap[f, i]] * use[f, i, a]
                if v > worth[i]:
                    next_[i] = worth[i]
                    worth[i], arm[i] = v, a
                elif v > next_[i]:
                    next_[i] = v
        taken = outside = 0.0  # worth of the last row that is in, and of the first that is not
        if stop - start > most:
            for i in range(start, stop):
                p = i - start
                while p > 0 and worth[i] > worth[ranked[p - 1]]:
                    ranked[p] = ranked[p - 1]
                    p -= 1
                ranked[p] = i
            taken, outside = max(worth[ranked[most - 1]], 0.0) if most else np.inf, max(worth[ranked[most]], 0.0)
            for p in range(most, stop - start):
                arm[ranked[p]] = 0
        for i in range(start, stop):
            if arm[i] > 0 and worth[i] > 0:
                doubt[b] = min(doubt[b], worth[i] - outside, worth[i] - next_[i])
                after = total + worth[i]
                lost += (total - after) + worth[i] if total >= worth[i] else (worth[i] - after) + total
                total = after
            else:
                arm[i] = 0
                doubt[b] = min(doubt[b], taken - worth[i])
    return arm, doubt, total + lost


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


CORE = 3000  # rows of a linear programme: a third of a second
STEPS = 60  # evaluations of the dual bound for one sample
ROUNDS = 8  # linear programmes for one sample
WHOLE = 1 - 1e-6  # a share of an arm above it is the arm: HiGHS is right to 1e-7


def solve(problem: Problem, order: np.ndarray, core: int = CORE) -> tuple[np.ndarray, np.ndarray]:
    """([row] arm, [cap] price): the prices of the lowest dual bound found, and the arms of the linear programme that gave them.

    Arms may break a limit by what prices are not exact; a row that the linear programme splits has arm 0. With at most `core` rows
    the prices are exact, and no more customers are split than limits bind. order: [block] a random order, from which samples are taken.
    """
    size = np.diff(problem.first)
    many = int(np.searchsorted(np.cumsum(size[order]), core)) + 1
    core = max(core, 20 * len(problem.limit))
    hard = np.full(len(problem.limit), np.inf)
    if many >= len(order):
        return _linear(problem, hard)
    price = _linear(_sample(problem, order[:many]), hard)[1]
    while 10 * many < len(order):
        many *= 10
        part = _sample(problem, order[:many])
        _, price = _refine(part, _descended(part, price), core)
    return _refine(problem, _descended(problem, price), core)


def _sample(problem: Problem, blocks: np.ndarray) -> Problem:
    """Some of the customers, and of each limit the share of the rows counting towards it that are theirs."""
    blocks = np.sort(blocks)
    rows, _ = problem.rows(blocks)
    there, every = np.zeros(len(problem.limit)), np.zeros(len(problem.limit))
    for cap in problem.cap:
        there += np.bincount(cap[rows], minlength=len(there))
        every += np.bincount(cap, minlength=len(there))
    return problem.of(blocks, problem.limit * np.maximum(there, 1e-9) / np.maximum(every, 1))


def _descended(problem: Problem, price: np.ndarray) -> np.ndarray:
    """Prices of a lower dual bound: with many rows it is almost smooth, its slope is limit - used, and quasi-Newton steps go down it."""
    scale = np.where(np.isfinite(problem.limit) & (problem.limit > 0), problem.limit, 1)
    finite = np.isfinite(problem.limit)
    worth = max(problem.at(price)[2], 1e-300)

    def bound(x: np.ndarray) -> tuple[float, np.ndarray]:
        arm, _, value = problem.at(x * worth / scale)
        return value / worth, np.where(finite, (problem.limit - problem.used(arm)) / scale, 0)

    start = np.where(finite, price, 0) * scale / worth
    found = minimize(
        bound, start, jac=True, method="L-BFGS-B", bounds=[(0, None)] * len(start), options={"maxfun": STEPS, "ftol": 1e-9}
    )
    return found.x * worth / scale


def _refine(problem: Problem, price: np.ndarray, core: int) -> tuple[np.ndarray, np.ndarray]:
    """Better prices from nearly right ones, by linear programmes over about `core` rows in doubt."""
    lowest, best_price, best_arm = np.inf, price, np.zeros(len(problem.gain), int)
    for _ in range(ROUNDS):
        arm, doubt, bound = problem.at(price)
        if bound < lowest:
            lowest, best_price, best_arm = bound, price, arm
        size = np.diff(problem.first)
        near = np.argsort(doubt, kind="stable")
        blocks = np.sort(near[: int(np.searchsorted(np.cumsum(size[near]), core)) + 1])
        rows, _ = problem.rows(blocks)
        outside = arm.copy()
        outside[rows] = 0
        left = problem.limit - problem.used(outside)
        room = np.where(problem.limit > 0, problem.limit, 1)
        dearest = np.where(np.isfinite(room), 2 * price + 0.05 * bound / room, 0)
        outside[rows], new = _linear(problem.of(blocks, left), dearest)
        there, _, reached = problem.at(new)
        there[rows] = outside[rows]
        if reached < lowest:
            lowest, best_price, best_arm = reached, new, outside
        if (there == outside).all():  # nobody else wants to change
            break
        price = new if reached <= bound else (best_price + new) / 2
    return best_arm, best_price


def _linear(problem: Problem, dearest: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """([row] arm, [cap] price) of the linear relaxation, at a vertex; a row that it splits has arm 0.

    dearest: [cap] price of more than the limit, inf where there is no more.
    """
    rows, arms = problem.gain.shape
    column = np.arange(rows * (arms - 1)).reshape(rows, arms - 1)
    row = np.repeat(np.arange(rows), arms - 1)
    block = np.repeat(np.arange(len(problem.first) - 1), np.diff(problem.first))
    crowded = np.diff(problem.first) > problem.most
    place = np.cumsum(crowded)[block][row] - 1
    inside = crowded[block][row]
    parts = [
        sparse.csr_array((np.ones(column.size), (row, column.ravel())), shape=(rows, column.size)),
        sparse.csr_array((np.ones(inside.sum()), (place[inside], column.ravel()[inside])), shape=(crowded.sum(), column.size)),
    ]
    caps = np.flatnonzero(np.isfinite(problem.limit))
    use = sum(
        (
            sparse.csr_array(
                (u[:, 1:].ravel(), (np.repeat(c, arms - 1), column.ravel())), shape=(len(problem.limit), column.size)
            )
            for u, c in zip(problem.use, problem.cap, strict=True)
        ),
        sparse.csr_array((len(problem.limit), column.size)),
    )[caps]
    scale = abs(use).max(axis=1).toarray().ravel()
    scale[scale == 0] = 1
    worth = max(float(np.abs(problem.gain).max(initial=0)), 1e-300)
    parts.append(sparse.diags_array(1 / scale) @ use)
    matrix = sparse.vstack(parts, format="csr")
    upper = np.concatenate([np.ones(rows), np.full(crowded.sum(), problem.most), problem.limit[caps] / scale])
    cost = -problem.gain[:, 1:].ravel() / worth
    soft = np.isfinite(dearest[caps])
    if soft.any():  # where the others leave less than nothing, a price that high makes them change
        beyond = sparse.csr_array(
            (-np.ones(soft.sum()), (matrix.shape[0] - len(caps) + np.flatnonzero(soft), np.arange(soft.sum()))),
            shape=(matrix.shape[0], soft.sum()),
        )
        matrix = sparse.hstack([matrix, beyond], format="csr")
        cost = np.append(cost, (dearest[caps] * scale / worth)[soft])
    found = linprog(cost, matrix, upper, bounds=(0, None), method="highs-ds")
    if found.x is None:
        raise RuntimeError(f"HiGHS found no allocation: {found.message}")
    share = found.x[: column.size].reshape(rows, arms - 1)
    arm = np.where(share.max(axis=1) >= WHOLE, share.argmax(axis=1) + 1, 0)
    price = np.zeros(len(problem.limit))
    price[caps] = np.maximum(-found.ineqlin.marginals[len(upper) - len(caps) :], 0) * worth / scale
    return arm, price
