"""The allocation as an optimiser sees it: customers, their rows, what each arm uses of each limit; and what is best under given prices."""

from dataclasses import dataclass

import numpy as np
from numba import njit


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
