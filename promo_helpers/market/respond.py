"""Let a market live on after contacts that somebody chose: the closed loop of campaigns, bandits and learners over time."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from promo_helpers import draws
from promo_helpers.market.law import ARM, COLUMNS, DAY, HOUR, NOTICED, OPTED, PRODUCT, REDEEMED, law_of
from promo_helpers.market.offers import GIVEN, NOT_SENT, rule_of
from promo_helpers.market.parameters import ARMS, DEPTHS, SPAN, WINDOW
from promo_helpers.market.streams import BLOCK
from promo_helpers.market.trips import CONTACT, ITEM, PROMO, SECOND, STORE, TRIP, UNITS, WHO, Stay, live
from promo_helpers.market.truth import STATE, Expected, Truth

ROOM = 1000  # lines that a simulation starts with; it grows


@dataclass(frozen=True)
class SimulatedResponse:
    """What followed: lines as in the shop's transactions, the contacts with `sent`, `redeemed` and `opted_out`, the truth afterwards."""

    transactions: pd.DataFrame
    contacts: pd.DataFrame
    truth: Truth


@dataclass(frozen=True)
class Lives:
    """Simulated lives: lines with their share off the price and the contact used (-1 none), contacts as they went, days of loss."""

    lines: np.ndarray
    off: np.ndarray
    used: np.ndarray  # row of the new contacts, or, beyond them, of the history
    state: np.ndarray
    lost: np.ndarray


def respond(truth: Truth, contacts: pd.DataFrame, seed: int, days: int = SPAN) -> SimulatedResponse:
    """Simulate every contacted customer from the day after her first contact to `days` after the last contact of all.

    `contacts` has contact_id, customer_id, product_id, time, arm as in the shop's table; a row of none is a life without an offer.
    Days of loss are drawn anew for those who are there at their first contact. Draws are keyed by seed, customer and day of her first
    contact: who else is contacted changes nobody's life, and two ways of contacting the same customers meet the same chance.

    Who opts out on the way is sent nothing more: such rows come back with arm none and `sent` False, and never enter the history.
    Raises KeyError or ValueError for ids, arms and times that the market does not have, for customers who have opted out, and for
    contacts before one that has happened.
    """
    sent = contacts.reset_index(drop=True)
    who, day, state = _as_state(truth, sent)
    if (truth.before(who, day)[1] < truth.before(who + 1, np.zeros_like(day))[0]).any():
        raise ValueError("time: a contact lies before one that this customer already had")
    out = truth.opted_out(who) & (state[:, ARM] > 0)
    if out.any():
        raise ValueError(f"customer_id {sent['customer_id'][out].iloc[0]!r} has opted out ({int(out.sum())} such rows)")
    order = np.lexsort((state[:, HOUR], day, who))
    people, start = np.unique(who[order], return_index=True)
    begin = day[order][start]
    lives = _lives(
        truth, seed, (people, begin), people, begin, int(day.max()) + days + 1, state[order], np.append(start, len(who))
    )
    done = np.empty_like(state)
    done[order] = lives.state
    lost = truth.lost(np.arange(truth.p.customers)).copy()
    lost[people] = lives.lost
    happened = pd.DataFrame(done, columns=STATE).assign(customer=who, contact_id=sent["contact_id"].to_numpy())
    refused = done[:, ARM] == NOT_SENT
    return SimulatedResponse(
        _transactions(truth, lives, people, sent["contact_id"].to_numpy()[order]),
        sent.assign(
            arm=sent["arm"].astype(object).mask(refused, ARMS[0]),
            sent=done[:, ARM] > 0,
            redeemed=done[:, REDEEMED] > 0,
            opted_out=done[:, OPTED] > 0,
        ),
        truth.gone_on(happened[~refused], lost),
    )


def replay(truth: Truth, contacts: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Simulate each row's 56 days by itself, as if it were the next contact: the Monte Carlo side of `truth.expected`.

    One row per contact: bought, units, units_after, revenue, discount, window_profit, value (profit of the whole shop, LKR),
    noticed, opted_out, as realised; the cost of the contact and the value of opting out are counted as in `expected`.
    Draws are keyed by seed, customer, product, time and, where there is one, contact_id; rows that are alike in these are numbered.
    """
    who, day, state = _as_state(truth, contacts.reset_index(drop=True))
    n, shelf = len(who), truth.goods.shelf
    key = pd.DataFrame({"who": who, "day": day, "hour": state[:, HOUR].astype(int), "product": state[:, PRODUCT].astype(int)})
    if "contact_id" in contacts:
        key["contact_id"] = contacts["contact_id"].to_numpy()
    key["copy"] = key.groupby(list(key)).cumcount()
    lives = _lives(truth, seed, tuple(key[c] for c in key), who, day, day + SPAN + 1, state, np.arange(n + 1))
    life, item, units = lives.lines[:, WHO], lives.lines[:, ITEM], lives.lines[:, UNITS].astype(float)
    worth = units * shelf.price[item]
    own = item == state[life, PRODUCT].astype(int)
    window = own & (lives.lines[:, SECOND] // 86400 <= day[life] + WINDOW)

    def total(weight: np.ndarray, where: np.ndarray) -> np.ndarray:
        return np.bincount(life[where], weight[where], minlength=n)

    margin, sent, opted = worth * (shelf.margin[item] - lives.off), state[:, ARM] > 0, lives.state[:, OPTED] > 0
    cost = truth.p.contact_cost * sent
    return pd.DataFrame(
        {
            "bought": total(units, window) > 0,
            "units": total(units, window),
            "units_after": total(units, own & ~window),
            "revenue": total(worth * (1 - lives.off), window),
            "discount": total(worth * lives.off, window & (lives.used == life)),
            "window_profit": total(margin, window) - cost,
            "value": total(margin, np.ones(len(life), bool)) - cost - opted * truth.reach_value(who),
            "noticed": lives.state[:, NOTICED] > 0,
            "opted_out": opted,
        }
    )


def _as_state(truth: Truth, contacts: pd.DataFrame) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    who, day = truth.customer_number(contacts["customer_id"]), truth.day_of(contacts["time"])
    arm = contacts["arm"].astype(str)
    number = arm.map({a: k for k, a in enumerate(ARMS)})
    if number.isna().any():
        raise ValueError(f"arm = {arm[number.isna()].iloc[0]!r}: must be one of {', '.join(ARMS)}")
    state = np.zeros((len(who), COLUMNS))
    state[:, DAY], state[:, ARM] = day, number.to_numpy(float)
    state[:, HOUR] = pd.to_datetime(contacts["time"]).dt.hour
    state[:, PRODUCT] = truth.product_number(contacts["product_id"])
    truth.goods.refuse_thin(state[DEPTHS[state[:, ARM].astype(int)] > 0, PRODUCT].astype(int))
    return who, day, state


def _lives(
    truth: Truth, seed: int, ids: tuple[Any, ...], who: np.ndarray, day: np.ndarray, end: Any, new: np.ndarray, start: np.ndarray
) -> Lives:
    """Simulate life r of customer who[r] from the day after day[r] to end, with the contacts new[start[r] : start[r + 1]].

    `ids` are columns that name each life: its draws are keyed by them. Who begins later than that lives from her first day on.
    """
    goods, law, rule = truth.goods, law_of(truth.p), rule_of(truth.goods)
    first, last = truth.before(who, day)
    lost, begin = truth.lost(who), np.maximum(truth.begins(who), day + 1)
    alive = lost > day + 1
    lost = np.where(alive, begin + draws.geometric(seed, "days until lost", *ids, chance=law.death), lost)
    stop = np.where(alive, np.minimum(lost, end), day + 1)
    state, parts = new.copy(), []
    word, keys = np.zeros(1, np.uint64), draws.words(seed, "life", *ids)
    for number in np.unique(who // BLOCK):
        rows = np.flatnonzero(who // BLOCK == number)
        past, fresh = last[rows] - first[rows], start[rows + 1] - start[rows]
        plan = np.concatenate([[0], np.cumsum(past + fresh)])
        life = np.repeat(np.arange(len(rows)), past + fresh)
        place = np.arange(plan[-1]) - plan[life]  # position among the contacts of the life
        old = place < past[life]
        source = np.where(old, first[rows][life] + place, len(truth.state) + start[rows][life] + place - past[life])
        contacts = np.vstack([truth.state, new])[source] if len(truth.state) else new[source]
        stay = Stay(who[rows] % BLOCK, begin[rows], stop[rows], lost[rows], plan, past)
        kind = np.full(len(contacts), GIVEN)
        folk = truth.block(int(number)).folk
        lines, _ = live(word, goods.shelf, goods.days, law, folk, rule, stay, contacts, kind, ROOM, keys[rows])
        state[source[~old] - len(truth.state)] = contacts[~old]
        promo, used = lines[:, PROMO], lines[:, CONTACT]
        off = np.where(promo >= 0, np.append(goods.days.promo_depth, 0.0)[promo], 0.0)
        if len(contacts):
            off = np.where(used >= 0, DEPTHS[contacts[used, ARM].astype(int)], off)
            origin = source[used]
            used = np.where(used < 0, -1, np.where(origin >= len(truth.state), origin - len(truth.state), len(new) + origin))
        lines[:, WHO] = rows[lines[:, WHO]]
        parts.append((lines, off, used))
    lines, off, used = (
        (np.concatenate(x) for x in zip(*parts, strict=True)) if parts else (np.empty((0, 8), int), np.empty(0), np.empty(0))
    )
    return Lives(lines, off, used, state, lost)


def _transactions(truth: Truth, lives: Lives, people: np.ndarray, contact_id: np.ndarray) -> pd.DataFrame:
    """Lines as the shop's transactions would hold them; their numbers start at 1 and are those of this response alone."""
    goods, lines = truth.goods, lives.lines
    order = np.lexsort((lines[:, SECOND], lines[:, WHO]))
    lines, off, used = lines[order], lives.off[order], lives.used[order]
    item, price = lines[:, ITEM], goods.shelf.price
    full = lines[:, UNITS] * np.rint(100 * price).astype(np.int64)[item]
    paid = np.rint(full * (1 - off)).astype(np.int64)
    new_basket = np.append(True, (np.diff(lines[:, TRIP]) != 0) | (np.diff(lines[:, WHO]) != 0))[: len(lines)]
    known = np.array([*contact_id, *truth.history["contact_id"], None], dtype=object)
    promo = np.array([*goods.promotions["promotion_id"], None], dtype=object)
    return pd.DataFrame(
        {
            "transaction_id": np.arange(1, len(lines) + 1),
            "basket_id": np.cumsum(new_basket),
            "customer_id": pd.Series([f"CUST{i + 1:05d}" for i in people], dtype=object).to_numpy()[lines[:, WHO]],
            "product_id": goods.products["product_id"].to_numpy(object)[item],
            "store_id": goods.stores["store_id"].to_numpy(object)[lines[:, STORE]],
            "time": pd.Timestamp(truth.p.start) + pd.to_timedelta(lines[:, SECOND], unit="s"),
            "units": lines[:, UNITS].astype(np.int64),
            "price": price[item],
            "discount": off,
            "promotion_id": promo[lines[:, PROMO]],
            "contact_id": known[used],
            "list_cents": full,
            "paid_cents": paid,
            "is_return": False,
        }
    )


LONG = 300  # days of contacts before the next one: ten half-lives


def after_rhythm(truth: Truth, contacts: pd.DataFrame, every: int) -> Expected:
    """Expectations of `contacts` (customer_id, product_id, time; one a customer) after a steady history of contacts `every` days apart.

    The history replaces what really happened. Nobody noticed those contacts, so that nothing is left of them but fatigue.
    Raises ValueError for less than a day, or two contacts of one customer.
    """
    if every < 1:
        raise ValueError(f"every = {every}: contacts lie at least a day apart")
    who, day = truth.customer_number(contacts["customer_id"]), truth.day_of(contacts["time"])
    if len(np.unique(who)) < len(who):
        raise ValueError("customer_id: one contact a customer, since each gets a history of her own")
    before = np.arange(every, LONG + 1, every)[::-1]
    past = pd.DataFrame(np.zeros((len(who) * len(before), COLUMNS)), columns=STATE)
    past["day"] = (day[:, None] - before[None, :]).ravel()
    past["arm"] = 1.0
    past["customer"], past["contact_id"] = np.repeat(who, len(before)), np.arange(len(past)) + 1
    past = past[past["day"] >= 0].sort_values(["customer", "day"], ignore_index=True)  # as far back as the calendar reaches
    lost = truth.lost(np.arange(truth.p.customers))
    steady = Truth(truth.p, truth.seed, past, lost)
    steady.goods = truth.goods
    return steady.expected(contacts)
