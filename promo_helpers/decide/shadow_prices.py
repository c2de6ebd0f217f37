"""Several limits at once: shadow prices by linear programmes, and a whole allocation from them by repair and refill.

Rows i, arms j, limits c of which a row counts towards some, and bands of parity over groups G of n_G rows:

    max sum_ij g_ij x_ij   s.t.   sum_ij u_cij x_ij <= b_c,   n_G L <= sum_{i in G, j > 0} x_ij <= n_G (L + t),   sum_j x_ij = 1.

The level L of the shares contacted is free. In the dual each limit has a price p_c >= 0, and each group's contacts have one, q_G, of either
sign (of the upper side less that of the lower), whose sum over rows, sum_G n_G q_G, is 0 or less:

    min sum_c p_c b_c + t sum_G n_G max(q_G, 0) + sum_i max_j (g_ij - sum_c p_c u_cij - q_G(i) [j > 0]).

Any prices bound what an allocation can gain; the best ones are the shadow prices. Sources: Sinha and Zoltners (1979); Zemel (1984);
Kellerer, Pferschy and Pisinger (2004), Knapsack Problems, chapter 11. The linear programmes are solved by HiGHS (dual simplex).
"""

from dataclasses import dataclass, replace

import numpy as np
from numba import njit
from scipy import sparse
from scipy.optimize import linprog, minimize

from promo_helpers.draws import rounded

PART_OF_A_ROW = 1e-6  # a share that differs by exactly the tolerance is within it
CORE = 3000  # rows of a linear programme: a third of a second
STEPS = 60  # evaluations of the dual bound for one sample
ROUNDS = 8  # linear programmes for one sample
WHOLE = 1 - 1e-6  # a share of an arm above it is the arm: HiGHS is right to 1e-7


@dataclass(frozen=True)
class Bands:
    """Parity: shares contacted of all groups lie in one band. Its caps are the last ones of a problem, and have no limit of their own.

    first: number of the first group's cap; a row without a group counts towards cap first + groups. size: [group] rows. outside: [group]
    rows contacted beyond the problem's own. tolerance: width of the band, 0 to 1.
    """

    first: int
    size: np.ndarray
    outside: np.ndarray
    tolerance: float

    @property
    def caps(self) -> slice:
        """The groups' caps."""
        return slice(self.first, self.first + len(self.size))

    def worth(self, price: np.ndarray) -> float:
        """What the band adds to the dual bound under [cap] prices, its level between 0 and 1 - tolerance."""
        price = self.size * price[self.caps]
        return float(self.tolerance * np.maximum(price, 0).sum() + (1 - self.tolerance) * max(price.sum(), 0.0))

    def most(self, share: float) -> np.ndarray:
        """[group] most rows contacted where the lowest share is `share`: those in the band, or, where it is narrower than a row, the
        first that reaches the share."""
        return np.maximum(
            np.floor(self.size * min(share + self.tolerance, 1.0) + PART_OF_A_ROW), np.ceil(self.size * share - PART_OF_A_ROW)
        )


@dataclass(frozen=True)
class Problem:
    """gain: [row, arm]. use: [family, row, arm], cap: [family, row] which limit the row counts towards. limit: [cap].

    first: [block + 1] where the rows of each customer begin, which stand together; at most `most` of them are contacted. bands: of parity,
    whose family of uses (1 a contact) and caps are the last.
    """

    gain: np.ndarray
    use: np.ndarray
    cap: np.ndarray
    limit: np.ndarray
    first: np.ndarray
    most: int
    bands: Bands | None = None

    def at(self, price: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
        """([row] best arm, [block] how much worse the next best choice is, dual bound) under [cap] prices."""
        arm, doubt, value = _best(self.gain, self.use, self.cap, price, self.first, self.most)
        finite = np.isfinite(self.limit)
        value += float(price[finite] @ self.limit[finite])
        return arm, doubt, value if self.bands is None else value + self.bands.worth(price)

    def used(self, arm: np.ndarray) -> np.ndarray:
        """[cap] sums of the use of `arm`."""
        rows = np.arange(len(arm))
        return sum(
            (np.bincount(c, u[rows, arm], minlength=len(self.limit)) for u, c in zip(self.use, self.cap, strict=True)),
            np.zeros(len(self.limit)),
        )

    def contacted(self, arm: np.ndarray) -> np.ndarray:
        """[group] rows contacted of each group of the bands."""
        assert self.bands is not None
        return self.used(arm)[self.bands.caps]

    def of(self, blocks: np.ndarray, limit: np.ndarray, bands: Bands | None) -> "Problem":
        """The same for some of the customers, with other limits and bands."""
        rows, first = self.rows(blocks)
        return Problem(self.gain[rows], self.use[:, rows], self.cap[:, rows], limit, first, self.most, bands)

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


def solve(problem: Problem, order: np.ndarray, core: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """([row] arm, [cap] price): the prices of the lowest dual bound found, and the arms of the linear programme that gave them.

    Arms may break a limit by what prices are not exact; a row that the linear programme splits has arm 0. With at most `core` rows
    (CORE) the prices are exact, and no more customers are split than limits bind. order: [block] a random order, from which
    samples are taken.
    """
    size = np.diff(problem.first)
    core = core or CORE
    many = int(np.searchsorted(np.cumsum(size[order]), core)) + 1
    core = max(core, 20 * len(problem.limit))
    hard = np.full(len(problem.limit), np.inf)
    if many >= len(order):
        return _linear(problem, hard)[:2]
    _, price, level = _linear(_sample(problem, order[:many]), hard)
    while 10 * many < len(order):
        many *= 10
        part = _sample(problem, order[:many])
        _, price, level = _refine(part, _descended(part, price, level), core)
    return _refine(problem, _descended(problem, price, level), core)[:2]


def _sample(problem: Problem, blocks: np.ndarray) -> Problem:
    """Some of the customers, and of each limit the share of the rows counting towards it that are theirs."""
    blocks = np.sort(blocks)
    rows, _ = problem.rows(blocks)
    there, every = np.zeros(len(problem.limit)), np.zeros(len(problem.limit))
    for cap in problem.cap:
        there += np.bincount(cap[rows], minlength=len(there))
        every += np.bincount(cap, minlength=len(there))
    bands = problem.bands
    if bands is not None:
        bands = replace(bands, size=there[bands.caps])
    return problem.of(blocks, problem.limit * np.maximum(there, 1e-9) / np.maximum(every, 1), bands)


def _descended(problem: Problem, price: np.ndarray, level: float) -> np.ndarray:
    """Prices of a lower dual bound: with many rows it is almost smooth, its slope is limit - used, and quasi-Newton steps go down it.

    level: of the bands, which stays; each of their two sides then has a price of at least 0, as any limit has.
    """
    caps, limit, side = len(problem.limit), problem.limit, np.zeros(0)
    if problem.bands is not None:
        size, groups = problem.bands.size, price[problem.bands.caps]
        limit = np.concatenate([limit, size * (level + problem.bands.tolerance), -size * level])
        side = np.concatenate([np.maximum(groups, 0), np.maximum(-groups, 0)])
    finite = np.isfinite(limit)
    scale = np.where(finite & (limit != 0), np.abs(limit), 1)
    worth = max(problem.at(price)[2], 1e-300)

    def prices(x: np.ndarray) -> np.ndarray:
        out = x[:caps].copy()
        if problem.bands is not None:
            upper, lower = np.split(x[caps:], 2)
            out[problem.bands.caps] = upper - lower
        return out

    def bound(x: np.ndarray) -> tuple[float, np.ndarray]:
        x = x * worth / scale
        arm, _, value = _best(problem.gain, problem.use, problem.cap, prices(x), problem.first, problem.most)[0:3]
        used = problem.used(arm)
        if problem.bands is not None:
            contacted = used[problem.bands.caps]
            used = np.concatenate([used, contacted, -contacted])
        return (value + float(x[finite] @ limit[finite])) / worth, np.where(finite, (limit - used) / scale, 0)

    start = np.where(finite, np.concatenate([price, side]), 0) * scale / worth
    found = minimize(
        bound, start, jac=True, method="L-BFGS-B", bounds=[(0, None)] * len(start), options={"maxfun": STEPS, "ftol": 1e-9}
    )
    return prices(found.x * worth / scale)


def _refine(problem: Problem, price: np.ndarray, core: int) -> tuple[np.ndarray, np.ndarray, float]:
    """Better prices from nearly right ones, by linear programmes over about `core` rows in doubt; and the level of the bands."""
    lowest, best_price, best_arm, best_level = np.inf, price, np.zeros(len(problem.gain), int), 0.0
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
        bands = problem.bands
        if bands is not None:
            bands = replace(bands, outside=problem.contacted(outside))
            dearest[bands.caps] = 2 * np.abs(price[bands.caps]) + 0.05 * bound / np.maximum(bands.size, 1)
        outside[rows], new, level = _linear(problem.of(blocks, left, bands), dearest)
        there, _, reached = problem.at(new)
        there[rows] = outside[rows]
        if reached < lowest:
            lowest, best_price, best_arm, best_level = reached, new, outside, level
        if (there == outside).all():  # nobody else wants to change
            break
        price = new if reached <= bound else (best_price + new) / 2
    return best_arm, best_price, best_level


def _linear(problem: Problem, dearest: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """([row] arm, [cap] price, level of the bands) of the linear relaxation, at a vertex; a row that it splits has arm 0.

    dearest: [cap] price of more than the limit, inf where there is no more.
    """
    rows, arms = problem.gain.shape
    gain = rounded(problem.gain[:, 1:])
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
    use = sum(
        (
            sparse.csr_array(
                (rounded(u[:, 1:]).ravel(), (np.repeat(c, arms - 1), column.ravel())), shape=(len(problem.limit), column.size)
            )
            for u, c in zip(problem.use, problem.cap, strict=True)
        ),
        sparse.csr_array((len(problem.limit), column.size)),
    )
    caps = np.flatnonzero(np.isfinite(problem.limit))
    limited = use[caps]
    scale = abs(limited).max(axis=1).toarray().ravel()
    scale[scale == 0] = 1
    worth = max(float(np.abs(problem.gain).max(initial=0)), 1e-300)
    limited = sparse.diags_array(1 / scale) @ limited
    upper, dear = problem.limit[caps] / scale, dearest[caps] * scale / worth
    level = sparse.csr_array((len(caps), 0))
    if problem.bands is not None:  # after the limits: each group's upper side, each group's lower one, and a column for the level
        bands = problem.bands
        mean = max(float(bands.size.mean()), 1e-300)
        contacts, size = use[np.arange(len(problem.limit))[bands.caps]], (bands.size / mean)[:, None]
        level = sparse.csr_array(np.concatenate([np.zeros((len(caps), 1)), -size, size]))
        limited = sparse.vstack([limited, contacts, -contacts])
        upper = np.concatenate([upper, bands.size * bands.tolerance - bands.outside, bands.outside])
        dear = np.concatenate([dear, np.tile(dearest[bands.caps] / worth, 2)])
    soft = np.isfinite(dear)  # where the others leave less than nothing, a price that high makes them change
    beyond = sparse.csr_array(
        (-np.ones(soft.sum()), (np.flatnonzero(soft), np.arange(soft.sum()))), shape=(len(upper), soft.sum())
    )
    parts.append(limited)
    ones, more = sparse.vstack(parts[:2]), level.shape[1] + int(soft.sum())
    matrix = sparse.vstack(
        [sparse.hstack([ones, sparse.csr_array((ones.shape[0], more))]), sparse.hstack([limited, level, beyond])], format="csr"
    )
    cost = np.concatenate([-gain.ravel() / worth, np.zeros(level.shape[1]), dear[soft]])
    limits = np.concatenate([np.ones(rows), np.full(crowded.sum(), problem.most), upper])
    found = linprog(cost, matrix, limits, bounds=(0, None), method="highs-ds")
    if found.x is None:
        raise RuntimeError(f"HiGHS found no allocation: {found.message}")
    share = found.x[: column.size].reshape(rows, arms - 1)
    arm = np.where(share.max(axis=1) >= WHOLE, share.argmax(axis=1) + 1, 0)
    dual = np.maximum(-found.ineqlin.marginals[len(limits) - len(upper) :], 0) * worth
    price = np.zeros(len(problem.limit))
    price[caps] = dual[: len(caps)] / scale
    if problem.bands is None:
        return arm, price, 0.0
    high, low = np.split(dual[len(caps) :], 2)
    price[problem.bands.caps] = high - low
    return arm, price, float(found.x[column.size] / mean)
