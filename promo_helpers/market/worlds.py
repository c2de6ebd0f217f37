"""The closed form: what a customer is expected to do in the 56 days after a contact, for each arm, given the history up to it.

For every day the means of all products are written down once (list price, promotions, what earlier contacts brought forward);
then each arm is one of two worlds, noticed or not, mixed with the chance of noticing. Nothing here is simulated.
"""

import math
from typing import NamedTuple

import numpy as np

from promo_helpers.market.goods import Days, Shelf
from promo_helpers.market.law import (
    ADDED,
    ARM,
    BOOST,
    DAY,
    PRODUCT,
    SHARE,
    Law,
    absent,
    absent_child,
    boost_of,
    brought_forward,
    fast,
    governing,
    missing,
    notice_chance,
    offered,
    promotion_on,
    share_of,
    tiredness,
    trip_rate,
)
from promo_helpers.market.parameters import DEPTHS, SPAN, WINDOW
from promo_helpers.market.people import Folk

# what a world is worth, as levels (LKR unless said); `after` is the six weeks that follow the window
BUYS, UNITS, REVENUE, DISCOUNT, OWN, OWN_AFTER, SUBSTITUTES, SWITCHED, COMPLEMENTS, REST, BASELINE_DISCOUNT = range(11)
LEVELS = 11
PARENTS = 6  # most parents that one category may hold


class Ahead(NamedTuple):
    """Per day 1 .. 56 after a contact, for one customer and product; means are units a trip, money is LKR a trip."""

    rate: np.ndarray  # trips of a living customer, with what still governs her
    alive: np.ndarray  # chance of being alive
    plain: np.ndarray  # the product at its list price
    mean: np.ndarray  # the product as the shelf prices it
    promo: np.ndarray  # depth of its price promotion
    promo_pull: np.ndarray
    extra: np.ndarray  # more units of it where its parent is in the basket
    parent: np.ndarray  # units of its parent
    together: np.ndarray  # chance that its parent is in the basket
    others: np.ndarray  # units of the other products of its category
    others_margin: np.ndarray
    rest_margin: np.ndarray  # all other categories, and the complements of their parents
    kin: np.ndarray  # [parent, day] units of the parents in its category
    kin_margin: np.ndarray  # [parent, day] margin of their children, where the parent is in the basket
    kin_item: np.ndarray  # which products those are, -1 for none


@fast
def new_ahead() -> Ahead:
    """Room for one customer and product."""
    n = SPAN + 1
    return Ahead(
        np.zeros(n), np.zeros(n), np.zeros(n), np.zeros(n), np.zeros(n), np.zeros(n), np.zeros(n), np.zeros(n), np.zeros(n), np.zeros(n),
        np.zeros(n), np.zeros(n), np.zeros((PARENTS, n)), np.zeros((PARENTS, n)), np.full(PARENTS, -1),
    )  # fmt: skip


class Means(NamedTuple):
    """Every product on one day for one customer. From day to day only what a promotion or a contact touched is set back."""

    who: np.ndarray  # [1] the customer
    mean: np.ndarray  # units a trip
    price: np.ndarray  # LKR paid
    margin: np.ndarray  # LKR left of it
    touched: np.ndarray  # products that differ from an ordinary day; how many is the last number
    total: np.ndarray  # [2] margin a trip: on an ordinary day, and today


@fast
def new_means(shelf: Shelf) -> Means:
    """Room for one customer."""
    n = len(shelf.price)
    return Means(np.full(1, -1), np.empty(n), np.empty(n), np.empty(n), np.zeros(4 * n + 1, np.int64), np.zeros(2))


@fast
def touch(now: Means, item: int) -> None:
    """Note that a product is about to differ from an ordinary day."""
    count = now.touched[-1]
    for n in range(count):
        if now.touched[n] == item:
            return
    now.touched[count] = item
    now.touched[-1] = count + 1


@fast
def shelf_means(
    shelf: Shelf,
    days: Days,
    law: Law,
    folk: Folk,
    i: int,
    day: int,
    contacts: np.ndarray,
    first: int,
    last: int,
    act: int,
    now: Means,
) -> None:
    """Set `now` to a day: promotions, what earlier contacts brought forward, and contact `act`, which governs (or -1)."""
    mean, price, margin = now.mean, now.price, now.margin
    if now.who[0] != i:
        now.who[0], now.touched[-1], now.total[0] = i, 0, 0.0
        for j in range(len(mean)):
            mean[j], price[j], margin[j] = folk.mean[i, j], shelf.price[j], shelf.price[j] * shelf.margin[j]
            now.total[0] += mean[j] * margin[j]
    for n in range(now.touched[-1]):
        j = now.touched[n]
        mean[j], price[j], margin[j] = folk.mean[i, j], shelf.price[j], shelf.price[j] * shelf.margin[j]
    now.touched[-1] = 0
    for c in range(first, last):
        gap = day - contacts[c, DAY]
        if contacts[c, SHARE] > 0.0 and WINDOW < gap <= SPAN:
            mean[int(contacts[c, PRODUCT])] *= 1.0 - law.forward * contacts[c, SHARE] * law.decay ** (int(gap - WINDOW - 1) // 7)
            touch(now, int(contacts[c, PRODUCT]))
    j = int(contacts[act, PRODUCT]) if act >= 0 else -1
    plain = mean[j] if j >= 0 else 0.0
    promo, promo_pull = 0.0, 0.0
    for n in range(days.promo_first[day], days.promo_first[day + 1]):
        k = days.promo[n]
        item, depth = days.promo_product[k], days.promo_depth[k]
        mean[item] *= math.exp(folk.shelf[i] * days.promo_pull[k])
        price[item] -= depth * shelf.price[item]
        margin[item] -= depth * shelf.price[item]
        touch(now, item)
        if item == j:
            promo, promo_pull = depth, days.promo_pull[k]
    if j >= 0:
        depth = DEPTHS[int(contacts[act, ARM])]
        got, switch = 0.0, law.switching * contacts[act, SHARE]
        for k in range(shelf.first[shelf.category[j]], shelf.first[shelf.category[j] + 1]):
            touch(now, k)
            if k != j:
                got += switch * mean[k]
                mean[k] *= 1.0 - switch
        mean[j] = offered(law, shelf, j, plain, folk.s[i], folk.shelf[i], depth, promo, promo_pull) + contacts[act, ADDED] + got
        if depth > promo:
            price[j] -= (depth - promo) * shelf.price[j]
            margin[j] -= (depth - promo) * shelf.price[j]
    now.total[1] = now.total[0]
    for n in range(now.touched[-1]):
        j = now.touched[n]
        now.total[1] += mean[j] * margin[j] - folk.mean[i, j] * shelf.price[j] * shelf.margin[j]


@fast
def look_ahead(
    shelf: Shelf, days: Days, law: Law, folk: Folk, i: int, j: int, day: int, contacts: np.ndarray, first: int, last: int,
    begin: int, governed: bool, today: Means, ahead: Ahead,
) -> None:  # fmt: skip
    """Fill `ahead`. `governed` says whether an earlier contact still acts (only where nothing new is sent).

    Before `begin` a customer neither comes nor is lost.
    """
    low, high, alive = shelf.first[shelf.category[j]], shelf.first[shelf.category[j] + 1], 1.0
    for u in range(1, SPAN + 1):
        now = governing(contacts, first, last, day + u) if governed else -1
        shelf_means(shelf, days, law, folk, i, day + u, contacts, first, last, now, today)
        mean, margin = today.mean, today.margin
        ahead.rate[u] = trip_rate(folk, days, i, day + u) * (contacts[now, BOOST] if now >= 0 else 1.0)
        ahead.alive[u] = alive
        if day + u < begin:
            ahead.rate[u] = 0.0
        else:
            alive *= 1.0 - law.death
        k = promotion_on(days, j, day + u)
        ahead.promo[u], ahead.promo_pull[u] = (days.promo_depth[k], days.promo_pull[k]) if k >= 0 else (0.0, 0.0)
        if now >= 0 and int(contacts[now, PRODUCT]) == j:
            ahead.promo[u] = max(ahead.promo[u], DEPTHS[int(contacts[now, ARM])])
        ahead.plain[u] = folk.mean[i, j] * missing(law, contacts, first, last, j, day + u)
        ahead.mean[u] = mean[j]
        above = shelf.parent[j]
        ahead.extra[u] = law.complements * folk.mean[i, j] if above >= 0 else 0.0
        ahead.parent[u] = mean[above] if above >= 0 else 0.0
        ahead.together[u] = 1.0 - absent(law, ahead.parent[u])
        others, others_margin, kin = 0.0, 0.0, 0
        for item in range(low, high):
            if item != j:
                others += mean[item]
                others_margin += mean[item] * margin[item]
        rest = today.total[1] - others_margin - mean[j] * margin[j]
        for item in shelf.parents:
            value = 0.0
            for n in range(shelf.child_first[item], shelf.child_first[item + 1]):
                child = shelf.child[n]
                if child != j:
                    value += law.complements * folk.mean[i, child] * margin[child]
            if low <= item < high:
                ahead.kin_item[kin], ahead.kin[kin, u], ahead.kin_margin[kin, u] = item, mean[item], value
                kin += 1
            else:
                rest += (1.0 - absent(law, mean[item])) * value
        for n in range(kin, PARENTS):
            ahead.kin_item[n] = -1
        ahead.others[u], ahead.others_margin[u], ahead.rest_margin[u] = others, others_margin, rest


@fast
def world(
    shelf: Shelf, law: Law, folk: Folk, i: int, j: int, ahead: Ahead, noticed: bool, depth: float, boost: float, share: float,
    added: float, out: np.ndarray,
) -> None:  # fmt: skip
    """The levels of one world, written to `out`."""
    out[:] = 0.0
    list_price, unit_margin, switch = shelf.price[j], shelf.price[j] * shelf.margin[j], law.switching * share
    chances, never = 0.0, 0.0  # summed chance of buying so far; chance of not having bought
    for u in range(1, SPAN + 1):
        trips, mean, off, left, extra = ahead.rate[u], ahead.mean[u], ahead.promo[u], 1.0, ahead.extra[u] * ahead.together[u]
        kept = 1.0
        if noticed and u <= WINDOW:
            trips *= boost
            mean = offered(law, shelf, j, ahead.plain[u], folk.s[i], folk.shelf[i], depth, off, ahead.promo_pull[u])
            mean += added + switch * ahead.others[u]
            kept = 1.0 - switch
            off = max(off, depth)
        elif noticed:
            left = 1.0 - law.forward * share * law.decay ** ((u - WINDOW - 1) // 7)
            mean *= left
        seen = trips * ahead.alive[u]
        units = seen * (mean + extra)
        if u <= WINDOW:
            out[UNITS] += units
            out[REVENUE] += units * (1.0 - off) * list_price
            out[OWN] += units * (unit_margin - off * list_price)
            if noticed and depth > ahead.promo[u]:
                out[DISCOUNT] += units * depth * list_price
                before = ahead.rate[u] * ahead.alive[u] * (ahead.mean[u] + extra)
                out[BASELINE_DISCOUNT] += before * (depth - ahead.promo[u]) * list_price
            out[SUBSTITUTES] += seen * ahead.others_margin[u]
            out[SWITCHED] += seen * ahead.others_margin[u] * switch
            out[REST] += seen * ahead.rest_margin[u]
            none = absent_child(law, mean, ahead.parent[u], ahead.extra[u]) if ahead.extra[u] > 0.0 else absent(law, mean)
            chances += trips * (1.0 - none)
            after = ahead.alive[u + 1] if u < WINDOW else 0.0  # else she is lost at the end of this day, or the window is over
            never += (ahead.alive[u] - after) * math.exp(-chances)
        else:
            out[OWN_AFTER] += units * (unit_margin - off * list_price)
            out[REST] += seen * (ahead.others_margin[u] + ahead.rest_margin[u])
        for n in range(len(ahead.kin_item)):
            if ahead.kin_item[n] >= 0:
                bought = mean if ahead.kin_item[n] == j else ahead.kin[n, u] * kept
                out[COMPLEMENTS] += seen * (1.0 - absent(law, bought)) * ahead.kin_margin[n, u]
    out[BUYS] = 1.0 - never


@fast
def foresee(
    shelf: Shelf, days: Days, law: Law, folk: Folk, who: np.ndarray, item: np.ndarray, day: np.ndarray, hour: np.ndarray,
    begin: np.ndarray, lost: np.ndarray, contacts: np.ndarray, first: np.ndarray, last: np.ndarray, out: np.ndarray, facts: np.ndarray,
) -> None:  # fmt: skip
    """For each row: levels [row, arm, level] into `out`; chance of noticing, F and chance of opting out into `facts` [row, 3].

    A customer who is gone by the day after the contact buys nothing and notices nothing; one who begins later than that notices
    nothing, and buys from then on.
    """
    today = new_means(shelf)
    ahead, aware, unaware = new_ahead(), np.empty(LEVELS), np.empty(LEVELS)
    for r in range(len(who)):
        i, j = who[r], item[r]
        tired = tiredness(law, contacts, first[r], last[r], day[r])
        notice = notice_chance(law, folk, i, hour[r], tired)
        facts[r, 0], facts[r, 1], facts[r, 2] = notice, tired, -math.expm1(-law.opt_out * (1.0 + tired))
        if day[r] + 1 >= lost[r]:
            out[r], facts[r, 0], facts[r, 2] = 0.0, 0.0, 0.0
            continue
        if day[r] + 1 < begin[r]:
            notice, facts[r, 0], facts[r, 2] = 0.0, 0.0, 0.0
        now = governing(contacts, first[r], last[r], day[r] + 1)
        look_ahead(shelf, days, law, folk, i, j, day[r], contacts, first[r], last[r], begin[r], False, today, ahead)
        world(shelf, law, folk, i, j, ahead, False, 0.0, 1.0, 0.0, 0.0, unaware)
        for a in range(1, len(DEPTHS)):
            boost, share = boost_of(law, folk, i, tired), share_of(law, folk, i, DEPTHS[a])
            added = 0.0
            if law.forward * share > 0.0:
                added = brought_forward(law, folk, days, i, j, day[r], share, contacts, first[r], last[r]) / boost
            world(shelf, law, folk, i, j, ahead, True, DEPTHS[a], boost, share, added, aware)
            for q in range(LEVELS):
                out[r, a, q] = notice * aware[q] + (1.0 - notice) * unaware[q]
        out[r, 0] = unaware
        if now >= 0:
            look_ahead(shelf, days, law, folk, i, j, day[r], contacts, first[r], last[r], begin[r], True, today, ahead)
            world(shelf, law, folk, i, j, ahead, False, 0.0, 1.0, 0.0, 0.0, out[r, 0])


@fast
def foresee_all(
    shelf: Shelf, days: Days, law: Law, folk: Folk, who: np.ndarray, day: np.ndarray, length: int, begin: np.ndarray,
    lost: np.ndarray, contacts: np.ndarray, first: np.ndarray, last: np.ndarray, buys: np.ndarray, totals: np.ndarray,
) -> None:  # fmt: skip
    """What happens on the `length` days after `day` if nothing more is sent; before `begin` nothing does.

    `buys` [row, product] gets the chance that the product is bought (left alone where it has no columns); `totals` [row, 4] gets
    expected purchases (trips that leave a line), units, revenue and margin in LKR.
    """
    n = len(shelf.price)
    means, chances = new_means(shelf), np.empty(n)
    mean, price, margin = means.mean, means.price, means.margin
    for r in range(len(who)):
        i, alive = who[r], 1.0
        chances[:], totals[r] = 0.0, 0.0
        if buys.shape[1] > 0:
            buys[r] = 0.0
        if day[r] + 1 >= lost[r]:
            continue
        basket, calm = np.zeros(4), False  # a day without promotion and contact is like any other: its basket is kept
        for u in range(1, length + 1):
            today = day[r] + u
            if today < begin[r]:
                continue
            now = governing(contacts, first[r], last[r], today)
            rate = trip_rate(folk, days, i, today) * (contacts[now, BOOST] if now >= 0 else 1.0)
            quiet = u > SPAN and days.promo_first[today] == days.promo_first[today + 1]
            if not (quiet and calm):
                shelf_means(shelf, days, law, folk, i, today, contacts, first[r], last[r], now, means)
                basket[:] = 0.0
                for j in range(n):
                    units, above = mean[j], shelf.parent[j]
                    if above >= 0:
                        units += law.complements * folk.mean[i, j] * (1.0 - absent(law, mean[above]))
                    basket[0] += mean[j]
                    basket[1] += units
                    basket[2] += units * price[j]
                    basket[3] += units * margin[j]
                basket[0] = 1.0 - absent(law, basket[0])
                calm = quiet
            totals[r] += alive * rate * basket
            if buys.shape[1] > 0:
                gone = law.death if u < length else 1.0
                for j in range(n):
                    above = shelf.parent[j]
                    if above >= 0:
                        none = absent_child(law, mean[j], mean[above], law.complements * folk.mean[i, j])
                    else:
                        none = absent(law, mean[j])
                    chances[j] += rate * (1.0 - none)
                    buys[r, j] += alive * gone * -math.expm1(-chances[j])
            alive *= 1.0 - law.death
