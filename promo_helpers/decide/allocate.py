"""Allocation of arms to rows under limits: a budget, contacts, shares of groups, stocks, contacts of a customer, parity.

    max sum_ij g_ij x_ij   s.t.   sum_ij s_ij x_ij <= B  and the other limits,   sum_j x_ij = 1.

One limit is a greedy walk (`knapsack`); several are solved by their shadow prices (`decide.shadow_prices`) and made whole
(`decide.repair`). Source: Sinha and Zoltners (1979); Zemel (1984).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import pandas as pd
from numba import njit

from promo_helpers.decide import repair
from promo_helpers.decide.shadow_prices import Bands, Problem
from promo_helpers.draws import HALF, KEPT, rounded
from promo_helpers.knapsack import ROUNDING, greedy_allocation

CLOSE = 1e-9  # shares that differ by exactly the tolerance are within it
MARGIN = 4e-9  # of the largest term of a net gain: closer choices are equally good (prices have nine digits)


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


class Parity(NamedTuple):
    """Shares of rows contacted differ between any two groups by at most `tolerance` (0 to 1). group: [row] labels, missing: in none.

    Rows are counted. Where the tolerance is narrower than one row of a group, the group may be one row beyond it.
    """

    group: np.ndarray
    tolerance: float


@dataclass(frozen=True)
class Limits:
    """What an allocation may use; None, or no caps, leaves a limit out.

    budget: most spend in all, in the unit of the spend. contacts: most rows contacted (a number of customers, where each has one row or
    is contacted once). caps: others, see `Cap` and `share_cap`; a stock is Cap("stock", units sold under the offer, {product: stock},
    product of the row). per_customer: most contacts of one customer. parity: between groups' shares contacted.
    """

    budget: float | None = None
    contacts: int | None = None
    caps: Sequence[Cap] = ()
    per_customer: int | None = None
    parity: Parity | None = None


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
    return Cap(name, contact_use(len(group), arms), limit, group)


def contact_use(rows: int, arms: int) -> np.ndarray:
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


@dataclass(frozen=True)
class Allocation:
    """arm: [row]. gain, spend: their expected sums. bound: no allocation gains more (the linear relaxation, from the prices).

    caps: a row for each limit: cap, group, limit, used, price (gain of one more unit of the limit, 0 where it does not bind); for parity,
    a row for each group: the highest share allowed, its share, and the price of one more contact (below 0 where it is contacted for
    parity alone). slot_price: [row] gain of one more contact, of all or of the row's group. added_for_parity: [row] contacted although
    it would not be at the prices that all groups pay. Rows held out count in arm, slot_price and added_for_parity only.
    """

    arm: np.ndarray
    gain: float
    spend: float
    bound: float
    caps: pd.DataFrame
    slot_price: np.ndarray = field(default_factory=lambda: np.zeros(0))
    added_for_parity: np.ndarray = field(default_factory=lambda: np.zeros(0, bool))

    @property
    def gap(self) -> float:
        """At most so much gain is missed, in the unit of the gain."""
        return max(self.bound - self.gain, 0.0)

    def price(self, name: str) -> float:
        """Shadow price of the cap `name` without groups: the next unit of it returns so much gain. 0 where there is no such limit."""
        price = self.caps.loc[self.caps["cap"] == name, "price"].to_numpy()
        if len(price) > 1:
            raise KeyError(f"cap '{name}' has a limit and a price for each of {len(price)} groups")
        return float(price[0]) if len(price) else 0.0


@dataclass(frozen=True)
class _Rows:
    """What a solver needs of some rows. code: [limit] of [row] numbers of its groups; most: [limit] of [group] limits; block: [row]
    number of the customer; group: [row] number of the group of parity; tie: [row] hash."""

    gain: np.ndarray
    uses: list[np.ndarray]
    code: list[np.ndarray]
    most: list[np.ndarray]
    block: np.ndarray | None
    per_customer: int
    group: np.ndarray | None
    tie: np.ndarray

    def only(self, rows: np.ndarray) -> "_Rows":
        """The same of some of the rows."""
        block, group = (None if part is None else part[rows] for part in (self.block, self.group))
        uses, code = [u[rows] for u in self.uses], [c[rows] for c in self.code]
        return _Rows(self.gain[rows], uses, code, self.most, block, self.per_customer, group, self.tie[rows])


def allocate(
    gain: np.ndarray,
    spend: np.ndarray,
    limits: Limits | None = None,
    *,
    customer: np.ndarray | None = None,
    key: np.ndarray | None = None,
    held_out: np.ndarray | None = None,
) -> Allocation:
    """One arm for each row, so that the expected gain is as large as the limits allow (a multiple-choice knapsack).

    gain, spend: [row, arm] expected, in one currency, against arm 0 (none), which has 0 in both; either may be negative. customer: [row].
    key: [row] what decides between rows that are equally good (default: customer, else the row's own numbers), through a hash, so that no
    row is favoured for its place; rows that are alike in all of this can be told apart by their place only.
    held_out: [row] who is drawn into a holdout: they use nothing of any limit, and get the arm that is best at the others' prices.

    Limits are kept to 12 digits (`knapsack.ROUNDING`). One limit, or one for each of several groups, without per_customer and parity: see
    `knapsack`; what is missed is less than one row's largest step in gain per limit, and a larger limit never gains less. Several limits
    at once: see `shadow_prices`; with at most `CORE` rows and no negative use, less than the largest gain of one customer is missed per
    limit that binds. With more rows nothing is promised, `gap` says what may be missed; the gain may fall a little where a limit is
    raised. With parity a group may have to be contacted where no offer pays.
    Source: Sinha and Zoltners (1979); Zemel (1984); Kellerer, Pferschy and Pisinger, Knapsack Problems (2004), chapter 11.
    Raises ValueError for shapes that differ, numbers that are missing, an arm 0 that is not 0, and limits that are negative or missing.
    """
    gain, spend, limits = np.ascontiguousarray(gain, float), np.ascontiguousarray(spend, float), limits or Limits()
    if gain.ndim != 2 or gain.shape[1] < 2 or not len(gain):
        raise ValueError(f"gain is {gain.shape}: it must be [row, arm] with at least one row, none first and an arm after it")
    caps = [] if limits.budget is None else [Cap("budget", spend, limits.budget)]
    if limits.contacts is not None:
        caps.append(Cap("contacts", contact_use(*gain.shape), limits.contacts))
    caps += limits.caps
    check(gain, spend, limits.contacts, caps)
    block = blocks(len(gain), customer, limits.per_customer)
    key = customer if key is None else key
    for name, column in (("key", key), ("held_out", held_out)):
        if column is not None and len(column) != len(gain):
            raise ValueError(f"{name} has {len(column):,} rows, gain {len(gain):,}")
    groups = [groups_of(cap) for cap in caps] or [(np.zeros(len(gain), np.int64), [None], np.array([np.inf]))]
    uses = [np.asarray(cap.use, float) for cap in caps] or [spend]
    held = np.zeros(len(gain), bool) if held_out is None else np.asarray(held_out, bool)
    labels, tolerance = np.zeros(0, object), 1.0
    group: np.ndarray | None = None
    if limits.parity is not None:
        (labels, group), tolerance = _groups(limits.parity, ~held), limits.parity.tolerance
    tie = _tie(key, [gain, *uses], [code for code, _, _ in groups])
    every = _Rows(gain, uses, [g[0] for g in groups], [g[2] for g in groups], block, limits.per_customer or 0, group, tie)
    sent = every.only(np.flatnonzero(~held)) if held.any() else every
    plan = _solved(sent, len(labels), tolerance)
    arm = np.zeros(len(gain), np.int64)
    arm[~held] = plan.arm
    if held.any():
        arm[held] = _at_prices(every.only(np.flatnonzero(held)), sent, plan)
    table = _table(caps, groups, sent, plan, labels, limits.parity)
    slot = np.zeros(len(gain))
    for cap, price in zip(caps, plan.prices, strict=False):
        slot += price[0] if cap.name == "contacts" and cap.group is None else 0.0
    added = np.zeros(len(gain), bool)
    if group is not None:
        slot += plan.group_price[group]
        lone = np.flatnonzero((arm > 0) & (plan.group_price[group] < 0))
        net, scale = _net(every.only(lone), plan)
        added[lone] = (net + plan.group_price[group][lone][:, None])[:, 1:].max(axis=1) < -MARGIN * scale
    rows = np.arange(len(plan.arm))
    earned, spent = (math.fsum(v[~held][rows, plan.arm] if held.any() else v[rows, plan.arm]) for v in (gain, spend))
    return Allocation(arm, earned, spent, plan.bound, table, slot, added)


@dataclass(frozen=True)
class _Plan:
    """arm: [row]. prices: [limit] of [group] prices. group_price: [group + 1] of one more contact for parity, 0 for who is in none."""

    arm: np.ndarray
    bound: float
    prices: list[np.ndarray]
    group_price: np.ndarray


def _groups(parity: Parity, sent: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Labels of the groups of the rows that are not held out, and [row] the number of its group, that of labels where it has none."""
    label = np.asarray(parity.group, object)
    if label.shape != sent.shape:
        raise ValueError(f"group of parity is {label.shape}: it must be [row], {len(sent):,}")
    if pd.isna(label).all():
        raise ValueError("group of parity: all labels are missing; parity is between groups")
    if not 0 <= parity.tolerance <= 1:
        raise ValueError(f"tolerance = {parity.tolerance!r}: the difference of shares allowed must be from 0 to 1")
    labels = pd.factorize(label[sent], sort=True)[1]
    code = pd.Index(labels, dtype=object).get_indexer(label)
    return np.asarray(labels, object), np.where((code < 0) | pd.isna(label), len(labels), code).astype(np.int64)


def _shares(arm: np.ndarray, group: np.ndarray, groups: int) -> np.ndarray:
    return np.bincount(group, arm > 0, groups + 1)[:groups] / np.bincount(group, minlength=groups + 1)[:groups]


def _solved(rows: _Rows, groups: int, tolerance: float) -> _Plan:
    """Arms, bound and prices; with parity only where the best allocation without it is not within the tolerance."""
    if not len(rows.gain):
        return _Plan(np.zeros(0, np.int64), 0.0, [np.zeros(len(most)) for most in rows.most], np.zeros(groups + 1))
    plan = _one(rows, groups) if len(rows.uses) == 1 and rows.block is None else _several(rows, groups, None)
    if rows.group is None or groups < 2 or np.ptp(_shares(plan.arm, rows.group, groups)) <= tolerance + CLOSE:
        return plan
    return _several(rows, groups, tolerance)


def _one(rows: _Rows, groups: int) -> _Plan:
    use, code, most = np.ascontiguousarray(rows.uses[0]), rows.code[0], rows.most[0]
    arm, price = greedy_allocation(rows.gain, use, code, most, rows.tie)
    problem = Problem(rows.gain, use[None], code[None], most, np.arange(len(rows.gain) + 1), 1)
    return _Plan(arm, problem.at(price)[2], [price], np.zeros(groups + 1))


def _several(rows: _Rows, groups: int, tolerance: float | None) -> _Plan:
    """Arms, bound and prices; everything is done in an order of the rows that does not depend on the one given."""
    keys = [rows.tie] if rows.group is None else [rows.group, rows.tie]
    order = np.lexsort(keys if rows.block is None else [*keys, rows.block])
    starts = np.append(0, np.cumsum([len(most) for most in rows.most]))
    code = [number[order] + start for number, start in zip(rows.code, starts, strict=False)]
    use, limit, bands = [u[order] for u in rows.uses], np.concatenate(rows.most), None
    if tolerance is not None and rows.group is not None:
        size = np.bincount(rows.group, minlength=groups + 1)[:groups]
        bands = Bands(len(limit), size, np.zeros(groups), tolerance)
        code.append(rows.group[order] + len(limit))
        use.append(contact_use(*rows.gain.shape))
        limit = np.append(limit, np.full(groups + 1, np.inf))
    first = np.arange(len(order) + 1) if rows.block is None else np.append(0, np.cumsum(np.bincount(rows.block)))
    first = np.unique(first)  # customers without a row here
    most = 1 if rows.block is None else rows.per_customer
    problem = Problem(rows.gain[order], np.stack(use), np.stack(code), limit, first, most, bands)
    sample = np.argsort(np.minimum.reduceat(rows.tie[order], first[:-1]), kind="stable")
    inside, price = repair.whole(problem, sample, ROUNDING)
    arm = np.empty(len(order), np.int64)
    arm[order] = inside
    of_group = np.zeros(groups + 1)
    if bands is not None:
        of_group[:groups] = price[bands.caps] if rows.block is not None else repair.band_prices(problem, inside, price)
    return _Plan(arm, problem.at(price)[2], np.split(price[: starts[-1]], starts[1:-1]), of_group)


def _net(rows: _Rows, plan: _Plan) -> tuple[np.ndarray, np.ndarray]:
    """[row, arm] gain net of all prices, and the [row] size of its largest term."""
    net, scale = rows.gain.copy(), np.abs(rows.gain).max(axis=1)
    for use, code, price in zip(rows.uses, rows.code, plan.prices, strict=True):
        term = price[code][:, None] * use
        net -= term
        scale = np.maximum(scale, np.abs(term).max(axis=1))
    if rows.group is not None:
        net[:, 1:] -= plan.group_price[rows.group][:, None]
        scale = np.maximum(scale, np.abs(plan.group_price[rows.group]))
    return net, scale


def _at_prices(held: _Rows, sent: _Rows, plan: _Plan) -> np.ndarray:
    """[row] the best arm at the prices of those sent. Of rows whose best arms are equally good, as at the margin of a limit, the share
    that gets the higher one is that of such rows among those sent."""

    def best(rows: _Rows) -> tuple[np.ndarray, np.ndarray]:
        net, scale = _net(rows, plan)
        near = net >= (net.max(axis=1) - MARGIN * scale)[:, None]
        return near.argmax(axis=1), near.shape[1] - 1 - near[:, ::-1].argmax(axis=1)

    low, high = best(sent)
    margin = low < high
    share = float((plan.arm[margin] > low[margin]).mean()) if margin.any() else 0.0
    low, high = best(held)
    arm = np.where((held.tie >> np.uint64(11)) * 2.0**-53 < share, high, low)
    if held.block is not None:
        worth = _net(held, plan)[0][np.arange(len(arm)), arm]
        order = np.lexsort((held.tie, -rounded(worth), held.block))
        rank = pd.Series(held.block[order]).groupby(held.block[order]).cumcount().to_numpy()
        arm[order[rank >= held.per_customer]] = 0
    return arm


def _table(
    caps: Sequence[Cap], groups: Sequence, sent: _Rows, plan: _Plan, labels: np.ndarray, parity: Parity | None
) -> pd.DataFrame:
    rows = np.arange(len(plan.arm))
    frames = [
        pd.DataFrame(
            {
                "cap": cap.name,
                "group": named,
                "limit": limit,
                "used": _sums(use[rows, plan.arm], code, len(limit)),
                "price": price,
            }
        )
        for cap, (_, named, limit), use, code, price in zip(caps, groups, sent.uses, sent.code, plan.prices, strict=False)
    ]
    if parity is not None and sent.group is not None:
        share = _shares(plan.arm, sent.group, len(labels))
        most = np.minimum(share.min(initial=1.0) + parity.tolerance, 1.0)
        frames.append(
            pd.DataFrame({"cap": "parity", "group": labels, "limit": most, "used": share, "price": plan.group_price[:-1]})
        )
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=["cap", "group", "limit", "used", "price"])


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
