"""Who gets which offer under a budget, a number of contacts, shares of groups and stocks: one arm for each row.

All of these are limits on a sum of use over rows, and each has a shadow price: what one more unit of the limit would earn, at the margin.
What is spent depends on who buys, so a budget binds what is expected to be spent.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numba import njit

from promo_helpers.decide import limits
from promo_helpers.decide.limits import Cap, contacted
from promo_helpers.decide.path import ROUNDING, walk
from promo_helpers.decide.prices import solve
from promo_helpers.decide.problem import Problem
from promo_helpers.decide.repair import filled, repaired
from promo_helpers.ties import HALF, KEPT


@dataclass(frozen=True)
class Allocation:
    """arm: [row]. gain, spend: their expected sums. bound: no allocation gains more (the linear relaxation, from the prices).

    caps: a row for each limit: cap, group, limit, used, price (gain of one more unit of the limit, 0 where it does not bind).
    """

    arm: np.ndarray
    gain: float
    spend: float
    bound: float
    caps: pd.DataFrame

    @property
    def gap(self) -> float:
        """At most so much gain is missed, in the unit of the gain."""
        return max(self.bound - self.gain, 0.0)

    def price(self, name: str) -> float:
        """Shadow price of the cap `name` without groups: the next unit of it returns so much gain."""
        [price] = self.caps.loc[self.caps["cap"] == name, "price"]
        return float(price)


def allocate(
    gain: np.ndarray,
    spend: np.ndarray,
    budget: float | None = None,
    *,
    contacts: int | None = None,
    customer: np.ndarray | None = None,
    per_customer: int | None = None,
    caps: Sequence[Cap] = (),
    key: np.ndarray | None = None,
) -> Allocation:
    """One arm for each row, so that the expected gain is as large as the limits allow (a multiple-choice knapsack).

    gain, spend: [row, arm] expected, in one currency, against arm 0 (none), which has 0 in both; either may be negative. budget: most
    that is spent in all. contacts: most rows that are contacted (with one row or contact
    a customer, a number of customers). customer: [row]; per_customer: most contacts of one customer.
    caps: other limits, see `limits.Cap` and `limits.share_cap`; a stock is Cap("stock", units sold under the offer, {product: stock},
    product of the row).
    key: [row] what decides between rows that are equally good (default: customer, else the row's own numbers), through a hash, so that no
    row is favoured for its place; rows that are alike in all of this can be told apart by their place only.

    Limits are kept to 12 digits (`path.ROUNDING`). One limit, or one for each of several groups, without per_customer: see `path`; what
    is missed is less than one row's largest step in gain per limit, and a larger limit never gains less. Several limits at once: see
    `prices`; with at most `prices.CORE` rows and no negative use, less than the largest gain of one customer is missed per limit that
    binds. With more rows nothing is promised, `gap` says what may be missed; the gain may fall a little where a limit is raised.
    Source: Sinha & Zoltners (1979), Kellerer, Pferschy & Pisinger, Knapsack Problems (2004), chapter 11.
    Raises ValueError for shapes that differ, numbers that are missing, an arm 0 that is not 0, and limits that are negative or missing.
    """
    gain, spend = np.ascontiguousarray(gain, float), np.ascontiguousarray(spend, float)
    if gain.ndim != 2 or gain.shape[1] < 2 or not len(gain):
        raise ValueError(f"gain is {gain.shape}: it must be [row, arm] with at least one row, none first and an arm after it")
    given = [] if budget is None else [Cap("budget", spend, budget)]
    if contacts is not None:
        given.append(Cap("contacts", contacted(*gain.shape), contacts))
    given += caps
    limits.check(gain, spend, contacts, given)
    block = limits.blocks(len(gain), customer, per_customer)
    if key is None:
        key = customer
    elif len(key) != len(gain):
        raise ValueError(f"key has {len(key):,} rows, gain {len(gain):,}")
    groups = [limits.groups(cap) for cap in given] or [(np.zeros(len(gain), np.int64), [None], np.array([np.inf]))]
    uses = [np.asarray(cap.use, float) for cap in given] or [spend]
    tie = _tie(key, [gain, *uses], [code for code, _, _ in groups])
    if len(uses) == 1 and block is None:
        arm, bound, price = _one(gain, uses[0], groups[0][0], groups[0][2], tie)
    else:
        arm, bound, price = _several(gain, uses, groups, block, per_customer or 0, tie)
    rows = np.arange(len(gain))
    first = np.append(0, np.cumsum([len(limit) for _, _, limit in groups]))
    frames = [
        pd.DataFrame(
            {
                "cap": cap.name,
                "group": labels,
                "limit": limit,
                "used": _sums(use[rows, arm], code, len(limit)),
                "price": price[a:b],
            }
        )
        for cap, use, (code, labels, limit), a, b in zip(given, uses, groups, first[:-1], first[1:], strict=False)
    ]
    empty = pd.DataFrame(columns=["cap", "group", "limit", "used", "price"])
    table = pd.concat(frames, ignore_index=True) if frames else empty
    return Allocation(arm, math.fsum(gain[rows, arm]), math.fsum(spend[rows, arm]), bound, table)


def _tie(key: np.ndarray | None, numbers: list[np.ndarray], codes: list[np.ndarray]) -> np.ndarray:
    """[row] hash of the key and of the row's own numbers, to nine digits: who comes first among equals, in whatever order the rows are
    given."""
    start = np.zeros(len(codes[0]), np.uint64) if key is None else pd.util.hash_array(np.asarray(key))
    for array in numbers:  # rounded as by `ties.rounded`, without a copy of them all
        start = _mixed(start, array.view(np.uint64), np.uint64(HALF), KEPT.view(np.uint64))
    for code in codes:
        start = _mixed(start, code[:, None].view(np.uint64), np.uint64(0), ~np.uint64(0))
    return start


@njit(cache=True)
def _mixed(start: np.ndarray, bits: np.ndarray, half: np.uint64, kept: np.uint64) -> np.ndarray:
    """Splitmix64 (Steele, Lea & Flood 2014) over the columns of `bits`, of which `kept` count, after `half` is added."""
    out = np.empty_like(start)
    for i in range(len(start)):
        h = start[i]
        for j in range(bits.shape[1]):
            h = (h ^ ((bits[i, j] + half) & kept)) + np.uint64(0x9E3779B97F4A7C15)
            h = (h ^ (h >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
            h = (h ^ (h >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
            h = h ^ (h >> np.uint64(31))
        out[i] = h
    return out


def _sums(values: np.ndarray, code: np.ndarray, groups: int) -> list[float]:
    """[group] sums, rounded once: the same in whatever order the rows are given."""
    if groups == 1:
        return [math.fsum(values)]
    order = np.argsort(code, kind="stable")
    return [math.fsum(part) for part in np.split(values[order], np.cumsum(np.bincount(code, minlength=groups))[:-1])]


def _one(
    gain: np.ndarray, use: np.ndarray, code: np.ndarray, limit: np.ndarray, tie: np.ndarray
) -> tuple[np.ndarray, float, np.ndarray]:
    use = np.ascontiguousarray(use)
    arm, price = walk(gain, use, code, limit, tie)
    return arm, Problem(gain, use[None], code[None], limit, np.arange(len(gain) + 1), 1).at(price)[2], price


def _several(
    gain: np.ndarray, uses: list[np.ndarray], groups: list, block: np.ndarray | None, most: int, tie: np.ndarray
) -> tuple[np.ndarray, float, np.ndarray]:
    """Arms, bound and prices; everything is done in an order of the rows that does not depend on the one given."""
    order = np.argsort(tie, kind="stable") if block is None else np.lexsort((tie, block))
    code, start = [], 0
    for number, labels, _ in groups:
        code.append(number[order] + start)
        start += len(labels)
    limit = np.concatenate([limit for _, _, limit in groups])
    first = np.arange(len(gain) + 1) if block is None else np.append(0, np.cumsum(np.bincount(block)))
    use = np.stack([u[order] for u in uses])
    problem = Problem(gain[order], use, np.stack(code), limit, first, 1 if block is None else most)
    arm, price = solve(problem, np.argsort(np.minimum.reduceat(tie[order], first[:-1]), kind="stable"))
    arm = repaired(problem, arm, price, limit * (1 + ROUNDING))
    arm = filled(problem, arm, price, limit * (1 + ROUNDING / 2))
    out = np.empty(len(gain), np.int64)
    out[order] = arm
    return out, problem.at(price)[2], price
