"""The law of behaviour, in the few functions that the simulator and the closed form share.

Days are counted from the start of the calendar. A contact on day D acts on the days D + 1 .. D + 14 (the window), and takes back
what was brought forward on the 42 days after them. The latest contact governs trips and prices; what earlier ones brought
forward stays missing. All functions are compiled, release the lock, and take their generator as an argument.
"""

import math
from typing import NamedTuple

import numpy as np
from numba import njit

from promo_helpers.market.goods import Days, Shelf
from promo_helpers.market.parameters import DEPTHS, FORMS, SPAN, WINDOW, Parameters
from promo_helpers.market.people import Folk

# columns of a contact that has happened (floats, so that one array holds them all)
DAY, HOUR, PRODUCT, ARM, NOTICED, BOOST, SHARE, ADDED, FATIGUE, OPTED, REDEEMED, CHANCES = range(12)
COLUMNS = CHANCES + len(DEPTHS)  # the last seven are the chances with which the arm was drawn


class Law(NamedTuple):
    """The numbers of `Parameters` that the kernels need."""

    form: int
    scale: float
    kappa: float
    fatigue: float
    fatigue_trips: float
    half_life: float
    forward: float
    decay: float
    switching: float
    complements: float
    opt_out: float
    death: float  # chance of being lost at the end of a day
    home: float
    main_trips: float  # share of large trips, and the sizes of both kinds, 1 on average
    main_size: float
    small_size: float


def law_of(p: Parameters) -> Law:
    """The law of a market."""
    return Law(
        FORMS.index(p.form), p.depth_scale, p.hour_pull, p.fatigue, p.fatigue_trips, p.half_life, p.pull_forward, p.pull_decay,
        p.switching, p.complements, p.opt_out, -math.expm1(-1 / p.lifetime), p.home_store,
        p.main_trips, p.main_size, (1 - p.main_trips * p.main_size) / (1 - p.main_trips),
    )  # fmt: skip


fast = njit(cache=True, nogil=True, error_model="numpy")


@fast
def depth_pull(law: Law, depth: float) -> float:
    """g(d) of a personal offer: 0 without a discount, 1 at 25 % off; a jump at 15 % in the form `threshold`."""
    if law.form == 2:
        return 1.0 if depth >= 0.15 else 0.0
    return (1.0 - math.exp(-depth / law.scale)) / (1.0 - math.exp(-0.25 / law.scale))


@fast
def offered(
    law: Law, shelf: Shelf, j: int, plain: float, s: float, response: float, depth: float, promo: float, promo_pull: float
) -> float:
    """Units a trip of product j under a noticed offer, before what is brought forward or switched; never below `plain`.

    `plain` is the mean at the list price; a price promotion `promo` may run at the same time, and the deeper one counts.
    """
    on_shelf = plain * math.exp(response * promo_pull) if promo > 0.0 else plain
    if depth <= promo or depth == 0.0:
        return on_shelf
    if law.form == 1:
        return on_shelf * (shelf.margin[j] - promo) / (shelf.margin[j] - depth)
    if law.form == 3:
        return on_shelf + shelf.typical[j] * s * depth_pull(law, depth)
    return max(on_shelf, plain * math.exp(s * depth_pull(law, depth)))


@fast
def absent(law: Law, mean: float) -> float:
    """Chance that a trip holds no unit of what is bought at `mean` units a trip; large and small trips are mixed."""
    return law.main_trips * math.exp(-law.main_size * mean) + (1.0 - law.main_trips) * math.exp(-law.small_size * mean)


@fast
def absent_child(law: Law, mean: float, parent: float, extra: float) -> float:
    """The same for a complement: `parent` is its parent's mean, `extra` its own additional mean where the parent is there."""
    gone = -math.expm1(-extra)
    large = math.exp(-law.main_size * mean) * (1.0 + math.expm1(-law.main_size * parent) * gone)
    small = math.exp(-law.small_size * mean) * (1.0 + math.expm1(-law.small_size * parent) * gone)
    return law.main_trips * large + (1.0 - law.main_trips) * small


@fast
def tiredness(law: Law, contacts: np.ndarray, first: int, last: int, day: int) -> float:
    """F: sum over the contacts first .. last - 1 that were sent, halved every half-life."""
    total = 0.0
    for c in range(first, last):
        if contacts[c, ARM] > 0:
            total += 2.0 ** (-(day - contacts[c, DAY]) / law.half_life)
    return total


@fast
def notice_chance(law: Law, folk: Folk, i: int, hour: float, tired: float) -> float:
    """q: the chance that customer i notices a contact at this hour."""
    gap = 2.0 * math.pi * (hour - (folk.hour[i] + 8)) / 24.0
    return folk.q[i] * math.exp(law.kappa * (math.cos(gap) - 1.0)) * math.exp(-law.fatigue * tired)


@fast
def governing(contacts: np.ndarray, first: int, last: int, day: int) -> int:
    """The contact that governs a day: the latest one sent before it, if it was noticed and its window covers the day; else -1."""
    for c in range(last - 1, first - 1, -1):
        if contacts[c, ARM] > 0 and contacts[c, DAY] < day:
            return c if contacts[c, NOTICED] > 0 and day - contacts[c, DAY] <= WINDOW else -1
    return -1


@fast
def missing(law: Law, contacts: np.ndarray, first: int, last: int, product: int, day: int) -> float:
    """Share of the product's units that is left on a day, after those that earlier contacts brought forward."""
    left = 1.0
    for c in range(first, last):
        gap = day - int(contacts[c, DAY])
        if contacts[c, NOTICED] > 0 and contacts[c, PRODUCT] == product and WINDOW < gap <= SPAN:
            left *= 1.0 - law.forward * contacts[c, SHARE] * law.decay ** ((gap - WINDOW - 1) // 7)
    return left


@fast
def trip_rate(folk: Folk, days: Days, i: int, day: int) -> float:
    """Trips of a living customer on a day."""
    return folk.rate[i] * days.season[day] * days.pattern[folk.weekday[i], days.weekday[day]]


@fast
def promotion_on(days: Days, product: int, day: int) -> int:
    """The price promotion of a product on a day, -1 where none."""
    for n in range(days.promo_first[day], days.promo_first[day + 1]):
        if days.promo_product[days.promo[n]] == product:
            return days.promo[n]
    return -1


@fast
def brought_forward(
    law: Law, folk: Folk, days: Days, i: int, j: int, day: int, share: float, contacts: np.ndarray, first: int, last: int
) -> float:
    """Units a trip that a noticed contact on `day` adds to its window, before dividing by the boost of trips.

    They are those expected to be missing in the six weeks after it, spread over the trips expected in the window.
    """
    alive, trips, units = 1.0, 0.0, 0.0
    for u in range(1, SPAN + 1):
        rate = alive * trip_rate(folk, days, i, day + u)
        if u <= WINDOW:
            trips += rate
        else:
            k = promotion_on(days, j, day + u)
            lift = math.exp(folk.shelf[i] * days.promo_pull[k]) if k >= 0 else 1.0
            left = missing(law, contacts, first, last, j, day + u)
            units += rate * folk.mean[i, j] * lift * left * law.forward * share * law.decay ** ((u - WINDOW - 1) // 7)
        alive *= 1.0 - law.death
    return units / trips if trips > 0.0 else 0.0


@fast
def boost_of(law: Law, folk: Folk, i: int, tired: float) -> float:
    """V: the factor on trips of a noticed contact."""
    return math.exp(folk.v[i] - law.fatigue_trips * tired)


@fast
def share_of(law: Law, folk: Folk, i: int, depth: float) -> float:
    """x: how far the response to a depth has gone, 0 for a reminder; it scales what is brought forward and switched."""
    return 1.0 - math.exp(-folk.s[i] * depth_pull(law, depth))
