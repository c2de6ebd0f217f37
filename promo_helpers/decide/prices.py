"""Several limits at once: their shadow prices, by linear programmes over the few customers whose arms are in doubt.

Given a price for each limit, every customer's best arms are found alone (Lagrange). Prices are right where no other prices have a lower
dual bound. They are found on a sample of CORE rows, by a linear programme over all of it, then on ten times as many rows, and so on: from
prices that are nearly right only few customers are in doubt, those whose best and next best choice lie closest. A linear programme over
these, with what the others leave of the limits, gives better prices. If under these nobody else wants to change, they are the optimum.
Between two sizes of sample, quasi-Newton steps go down the dual bound, which is all but smooth when there are many rows.
"""

import numpy as np
from scipy import sparse
from scipy.optimize import linprog, minimize

from promo_helpers.decide.problem import Problem

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
