"""How customers live: one compiled walk through the calendar for each of them, contact by contact and trip by trip."""

import math
from typing import NamedTuple

import numpy as np

from promo_helpers.draws import Source, begin, following
from promo_helpers.market.goods import STORES, Days, Shelf
from promo_helpers.market.law import (
    ADDED,
    ARM,
    BOOST,
    DAY,
    FATIGUE,
    HOUR,
    NOTICED,
    OPTED,
    PRODUCT,
    REDEEMED,
    SHARE,
    Law,
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
from promo_helpers.market.offers import GIVEN, NOT_SENT, Rule, draw_arm
from promo_helpers.market.parameters import DEPTHS
from promo_helpers.market.people import Folk

WHO, ITEM, SECOND, TRIP, UNITS, STORE, PROMO, CONTACT = range(8)  # columns of the lines
MEMORY = 1024  # trips that the rule looks back on: far more than 90 days hold
LONG_AGO = -10_000  # day of a purchase that never was
WALKING = np.empty(0, np.uint64)  # where lives start whose generator walks on from one to the next


class Stay(NamedTuple):
    """Whose life is simulated, from when to when; one row per life."""

    who: np.ndarray  # customer, a row of Folk
    begin: np.ndarray  # first day
    end: np.ndarray  # one past the last day
    lost: np.ndarray  # first day on which she is gone; `end` may come before it
    plan: np.ndarray  # [life + 1] where the contacts of a life start
    past: np.ndarray  # how many of them have already happened


@fast
def poisson(rng: Source, mean: float) -> int:
    """A Poisson number by multiplying uniforms; halves large means so that exp never vanishes."""
    if mean > 30.0:
        return poisson(rng, 0.5 * mean) + poisson(rng, 0.5 * mean)
    floor, product, count = math.exp(-mean), following(rng), 0
    while product > floor:
        product *= following(rng)
        count += 1
    return count


@fast
def pick(rng: Source, heap: np.ndarray) -> int:
    """A product, drawn from cumulated means."""
    target, low, high = following(rng) * heap[-1], 0, len(heap) - 1
    while low < high:
        middle = (low + high) // 2
        if heap[middle] > target:
            high = middle
        else:
            low = middle + 1
    return low


@fast
def put(items: np.ndarray, units: np.ndarray, size: int, item: int, count: int) -> int:
    """Add units of a product to the basket; returns the number of lines it then has."""
    for n in range(size):
        if items[n] == item:
            units[n] += count
            return size
    items[size] = item
    units[size] = count
    return size + 1


@fast
def meet(rng: Source, law: Law, folk: Folk, days: Days, i: int, contacts: np.ndarray, first: int, c: int, there: bool) -> None:
    """Let contact c happen: is it noticed, what follows from that, does she opt out. Who is not there does neither."""
    day, depth = int(contacts[c, DAY]), DEPTHS[int(contacts[c, ARM])]
    tired = tiredness(law, contacts, first, c, day)
    contacts[c, FATIGUE] = tired
    if contacts[c, ARM] == 0 or not there:
        return
    if following(rng) < notice_chance(law, folk, i, contacts[c, HOUR], tired):
        boost, share = boost_of(law, folk, i, tired), share_of(law, folk, i, depth)
        contacts[c, NOTICED] = 1
        contacts[c, BOOST] = boost
        contacts[c, SHARE] = share
        if law.forward * share > 0.0:
            added = brought_forward(law, folk, days, i, int(contacts[c, PRODUCT]), day, share, contacts, first, c)
            contacts[c, ADDED] = added / boost
    if following(rng) < -math.expm1(-law.opt_out * (1.0 + tired)):
        contacts[c, OPTED] = 1


@fast
def fill_basket(
    rng: Source, shelf: Shelf, days: Days, law: Law, folk: Folk, i: int, day: int,
    contacts: np.ndarray, first: int, last: int, now: int, items: np.ndarray, units: np.ndarray,
) -> int:  # fmt: skip
    """Fill the basket of one trip; returns its number of lines. `now` is the governing contact or -1."""
    size, j, j_first, j_last, depth, switch = 0, -1, 0, 0, 0.0, 0.0
    large = law.main_size if following(rng) < law.main_trips else law.small_size
    if now >= 0:
        j, depth = int(contacts[now, PRODUCT]), DEPTHS[int(contacts[now, ARM])]
        j_first, j_last = shelf.first[shelf.category[j]], shelf.first[shelf.category[j] + 1]
        switch = law.switching * contacts[now, SHARE]
    owed = False  # whether any earlier contact took units away from this day
    for c in range(first, last):
        owed = owed or (contacts[c, NOTICED] > 0 and contacts[c, SHARE] > 0.0)
    # units at list prices, then those that promotions add: each may be missing (brought forward earlier), then switch
    n_promo = days.promo_first[day + 1] - days.promo_first[day]
    for source in range(-1, n_promo):
        item = -1
        if source < 0:
            count = poisson(rng, large * folk.heap[i, -1])
        else:
            k = days.promo[days.promo_first[day] + source]
            item = days.promo_product[k]
            if item == j:
                continue  # the offered product has its own law below
            count = poisson(rng, large * folk.mean[i, item] * math.expm1(folk.shelf[i] * days.promo_pull[k]))
        for _ in range(count):
            one = pick(rng, folk.heap[i]) if source < 0 else item
            if owed:
                left = missing(law, contacts, first, last, one, day)
                if left < 1.0 and following(rng) >= left:
                    continue
            if one != j and j_first <= one < j_last and following(rng) < switch:
                one = j
            size = put(items, units, size, one, 1)
    if j >= 0:
        plain = folk.mean[i, j] * missing(law, contacts, first, last, j, day)
        k = promotion_on(days, j, day)
        promo, promo_pull = (days.promo_depth[k], days.promo_pull[k]) if k >= 0 else (0.0, 0.0)
        more = offered(law, shelf, j, plain, folk.s[i], folk.shelf[i], depth, promo, promo_pull) - plain
        count = poisson(rng, large * (more + contacts[now, ADDED]))
        if count > 0:
            size = put(items, units, size, j, count)
    for n in range(size):  # parents are never children: one level; a complement does not depend on the size of the trip
        for m in range(shelf.child_first[items[n]], shelf.child_first[items[n] + 1]):
            count = poisson(rng, law.complements * folk.mean[i, shelf.child[m]])
            if count > 0:
                size = put(items, units, size, shelf.child[m], count)
    return size


@fast
def live(
    rng: Source, shelf: Shelf, days: Days, law: Law, folk: Folk, rule: Rule, stay: Stay,
    contacts: np.ndarray, kind: np.ndarray, room: int, start: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """Simulate every life of `stay`. `contacts` is filled in; returns the lines and the trips that left some, counted from 0.

    Trips are drawn at the highest rate that a life can have and kept with probability rate / highest. `kind` says who decides a
    contact: GIVEN (the arm stands), TRIAL or LOG; slots that come to nothing keep arm -1. Nothing is sent to who has opted out: an
    offer given to her gets arm NOT_SENT. Who is lost, or has not begun, is sent it all the same: the shop does not know.

    `rng` is a generator that walks through all lives, or a word (see `draws`) that begins each life anew at `start`.
    """
    lines = np.empty((room, 8), np.int32)
    size, trip = 0, 0
    items, units = np.empty(len(shelf.price), np.int64), np.empty(len(shelf.price), np.int64)
    bought = np.empty(len(shelf.first) - 1, np.int64)
    trip_day, trip_spend = np.empty(MEMORY, np.int64), np.empty(MEMORY)
    peak = days.season.max()
    for s in range(len(stay.who)):
        i = stay.who[s]
        begin(rng, start, s)
        first, last = stay.plan[s], stay.plan[s + 1]
        c = first + stay.past[s]
        bought[:] = LONG_AGO
        seen, opted = 0, False
        top = folk.rate[i] * peak * days.pattern[folk.weekday[i]].max() * max(1.0, math.exp(folk.v[i]))
        t = float(stay.begin[s])
        while True:
            t -= math.log1p(-following(rng)) / top
            day = int(t)
            over = day >= stay.end[s]
            while c < last and (over or contacts[c, DAY] <= day):
                if opted:
                    if kind[c] == GIVEN and contacts[c, ARM] > 0:
                        contacts[c, ARM] = NOT_SENT
                elif draw_arm(rng, rule, folk, i, contacts, c, kind[c], bought, shelf, seen, trip_day, trip_spend):
                    there = stay.begin[s] <= contacts[c, DAY] + 1 < stay.lost[s]
                    meet(rng, law, folk, days, i, contacts, first, c, there)
                    opted = contacts[c, OPTED] > 0
                c += 1
            if over:
                break
            now = governing(contacts, first, c, day)
            boost = contacts[now, BOOST] if now >= 0 else 1.0
            if following(rng) * top >= trip_rate(folk, days, i, day) * boost:
                continue
            n_items = fill_basket(rng, shelf, days, law, folk, i, day, contacts, first, c, now, items, units)
            if n_items == 0:
                continue
            store = folk.store[i] if following(rng) < law.home else int(following(rng) * STORES)
            clock, share, hour = days.clock[folk.hour[i]], t - day, 0
            while clock[hour + 1] <= share:
                hour += 1
            second = day * 86400 + (8 + hour) * 3600 + int(3600 * (share - clock[hour]) / (clock[hour + 1] - clock[hour]))
            if size + n_items > room:
                room = 2 * room + n_items
                longer = np.empty((room, 8), np.int32)
                longer[:size] = lines[:size]
                lines = longer
            spend = 0.0
            for n in range(n_items):
                item = items[n]
                k, used, off = promotion_on(days, item, day), -1, 0.0
                if k >= 0:
                    off = days.promo_depth[k]
                if now >= 0 and item == int(contacts[now, PRODUCT]) and DEPTHS[int(contacts[now, ARM])] > off:
                    used, k, off = now, -1, DEPTHS[int(contacts[now, ARM])]
                    contacts[now, REDEEMED] = 1
                lines[size, WHO], lines[size, ITEM], lines[size, SECOND], lines[size, TRIP] = s, item, second, trip
                lines[size, UNITS], lines[size, STORE], lines[size, PROMO], lines[size, CONTACT] = units[n], store, k, used
                size += 1
                spend += units[n] * shelf.price[item] * (1.0 - off)
                bought[shelf.category[item]] = day
            trip_day[seen % MEMORY], trip_spend[seen % MEMORY] = day, spend
            seen += 1
            trip += 1
    return lines[:size], np.array([trip])
