"""Limits on a sum of use over rows: a budget, a number of contacts, a share of a group, a stock."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numba import njit

from promo_helpers.decide.shadow_prices import Problem, filled, repaired, solve
from promo_helpers.draws import HALF, KEPT, rounded


@dataclass(frozen=True)
class Cap:
    """The sum of `use` over the given arms is at most `limit`; with `group`, for the rows of each group apart.

    use: [row, arm], 0 for arm 0. limit: one number, or group -> number (a group that is not in it has no limit). group: [row] labels.
    At most a share s of all *contacts* in one city: limit 0, and use of 1 - s for a contact in the city, of -s for any other contact.
    """

    name: str
    use: np.ndarray
    limit: float | Mapping[object, float]
    group: np.ndarray | None = None


def share_cap(name: str, group: np.ndarray, share: float | Mapping[object, float], arms: int) -> Cap:
    """At most `share` of each group's rows are contacted (a fraction of 0 to 1, or group -> fraction). group: [row] labels.

    Rows are counted: where customers have several, it is a share of the contacts that could be made. Raises ValueError for other shares.
    """
    label, count = np.unique(np.asarray(group), return_counts=True)
    shares = share if isinstance(share, Mapping) else dict.fromkeys(label.tolist(), share)
    wrong = {k: s for k, s in shares.items() if not 0 <= s <= 1}
    if wrong:
        raise ValueError(f"{name}: share = {next(iter(wrong.values()))!r}: the share contacted must be from 0 to 1")
    limit = {k: shares[k] * n for k, n in zip(label.tolist(), count.tolist(), strict=True) if k in shares}
    return Cap(name, contacted(len(group), arms), limit, group)


def contacted(rows: int, arms: int) -> np.ndarray:
    """[row, arm] 1 for every arm but none (a view of one row: read only)."""
    return np.broadcast_to(np.append(0.0, np.ones(arms - 1)), (rows, arms))


def check(gain: np.ndarray, spend: np.ndarray, contacts: int | None, caps: Sequence[Cap]) -> None:
    names = [cap.name for cap in caps]
    if len(set(names)) < len(names):
        raise ValueError(f"the caps are named {names}: each needs a name of its own")
    for name, array in [("gain", gain), ("spend", spend)] + [(f"use of cap '{c.name}'", np.asarray(c.use)) for c in caps]:
        if array.shape != gain.shape:
            raise ValueError(f"{name} is {array.shape}, gain {gain.shape}: they must be of one shape, [row, arm]")
        if not np.isfinite(array).all():
            raise ValueError(f"{name}: {int((~np.isfinite(array)).sum()):,} numbers are missing or not finite")
        if (array[:, 0] != 0).any():
            wrong = int((array[:, 0] != 0).sum())
            raise ValueError(f"{name} of arm 0 must be 0, since arm 0 is no contact ({wrong:,} rows have another)")
    if contacts is not None and contacts >= 0 and contacts % 1 != 0:
        raise ValueError(f"contacts = {contacts!r}: the number of contacts must be whole")
    for cap in caps:
        if isinstance(cap.limit, Mapping) and cap.group is None:
            raise ValueError(f"cap '{cap.name}' has a limit for each group, but no group: give the [row] labels")
        for limit in cap.limit.values() if isinstance(cap.limit, Mapping) else [cap.limit]:
            if not limit >= 0:
                raise ValueError(f"{cap.name} = {limit!r}: a limit must be a number of at least 0")
        if cap.group is not None and (np.shape(cap.group) != (len(gain),) or pd.isna(np.asarray(cap.group)).any()):
            raise ValueError(f"group of cap '{cap.name}' is {np.shape(cap.group)}: it must be [row], {len(gain):,}, none missing")


def groups_of(cap: Cap) -> tuple[np.ndarray, Sequence[object], np.ndarray]:
    """[row] number of the row's group, [group] labels in rising order, [group] limits."""
    if cap.group is None:
        return np.zeros(len(cap.use), np.int64), [None], np.array([cap.limit], float)
    code, labels = pd.factorize(np.asarray(cap.group), sort=True)
    named = labels.tolist()
    of = cap.limit if isinstance(cap.limit, Mapping) else dict.fromkeys(named, cap.limit)
    return code.astype(np.int64), named, np.array([of.get(label, np.inf) for label in named], float)


def blocks(rows: int, customer: np.ndarray | None, per_customer: int | None) -> np.ndarray | None:
    """[row] number of the customer, None where no customer has more rows than contacts."""
    if customer is not None and (np.shape(customer) != (rows,) or pd.isna(np.asarray(customer)).any()):
        raise ValueError(f"customer is {np.shape(customer)}: it must be [row], {rows:,}, none missing")
    if per_customer is None:
        return None
    if customer is None:
        raise ValueError(f"per_customer = {per_customer!r} needs customer: [row] whose contact each row is")
    if not per_customer >= 0 or per_customer % 1 != 0:
        raise ValueError(f"per_customer = {per_customer!r}: the contacts of a customer must be a whole number of at least 0")
    code = pd.factorize(np.asarray(customer), sort=True)[0]
    return code if np.bincount(code).max() > per_customer else None


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
    check(gain, spend, contacts, given)
    block = blocks(len(gain), customer, per_customer)
    if key is None:
        key = customer
    elif len(key) != len(gain):
        raise ValueError(f"key has {len(key):,} rows, gain {len(gain):,}")
    groups = [groups_of(cap) for cap in given] or [(np.zeros(len(gain), np.int64), [None], np.array([np.inf]))]
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
