"""Customers: what the shop records about them, and the hidden traits that it never sees."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd

from promo_helpers.market.goods import CATEGORIES, CITIES, FAMILY_NAMES, FEMALE_NAMES, MALE_NAMES, PRODUCTS, STORES, Goods
from promo_helpers.market.parameters import SEGMENTS, Parameters
from promo_helpers.market.streams import blocks, stream

MONTH = 365.25 / 12  # days
SMALL_SHARE = 1e-9  # least share of a category or product, so that nobody's probability is exactly zero
SEGMENT_TASTE = 0.15  # log spread of the segments' category shares: frequent shoppers buy more fresh food


class Folk(NamedTuple):
    """Hidden traits of the customers of one block, as the kernels read them."""

    rate: np.ndarray  # trips a day before season and weekday
    s: np.ndarray  # response of log units to a noticed offer of 25 %
    shelf: np.ndarray  # the same for in-store promotions
    v: np.ndarray  # log effect of a noticed contact on trips, any sign
    q: np.ndarray  # chance of noticing a contact at the preferred hour
    hour: np.ndarray  # preferred hour - 8
    weekday: np.ndarray  # preferred weekday
    store: np.ndarray  # home store
    mean: np.ndarray  # [customer, product] units a trip at list prices
    heap: np.ndarray  # its cumulated sum: products are drawn from it


@dataclass(frozen=True)
class Block:
    """One block of customers: the records (`seen`), the traits (`hidden`, one row per customer) and `folk`."""

    first: int
    seen: pd.DataFrame
    hidden: pd.DataFrame
    folk: Folk


def customer_ids(first: int, last: int) -> np.ndarray:
    """CUST00001 for customer 0, and so on."""
    return np.array([f"CUST{i + 1:05d}" for i in range(first, last)], dtype=object)


def draw_block(goods: Goods, block: int) -> Block:
    """The customers of a block: the same whatever else is drawn."""
    p, seed = goods.p, goods.seed
    _, first, last = next(b for b in blocks(p.customers) if b[0] == block)
    seen, facts = _records(p, stream(seed, "customers", block), first, last)
    hidden = _traits(p, stream(seed, "traits", block), seen, facts)
    mean = hidden["basket"].to_numpy()[:, None] * _tastes(goods, stream(seed, "tastes", block), seen, facts)
    hidden["rate"] *= p.lines * p.activity / max(_lines(goods, hidden, mean).mean(), 1e-12)
    margin = mean @ (goods.shelf.price * goods.shelf.margin)
    hidden["reach_value"] = p.reach_value * 365.25 * hidden["rate"] * margin
    hidden["v"] += p.effect * p.heterogeneity * p.contact_rate * np.log(hidden["rate"] / hidden["rate"].mean())
    folk = Folk(
        **{name: hidden[name].to_numpy(float) for name in ("rate", "s", "shelf", "v", "q")},
        **{name: hidden[name].to_numpy(np.int64) for name in ("hour", "weekday", "store")},
        mean=mean,
        heap=np.cumsum(mean, axis=1),
    )
    return Block(first, seen, hidden, folk)


def _records(p: Parameters, rng: np.random.Generator, first: int, last: int) -> tuple[pd.DataFrame, dict[str, np.ndarray]]:
    n = last - first
    segment = rng.choice(len(SEGMENTS), n, p=np.array(p.segment_share) / sum(p.segment_share))
    age = np.clip(np.rint(rng.normal(p.age_mean, p.age_spread, n)), 18, 85).astype(int)
    female = rng.random(n) < p.female
    share = np.array([s for _, s in CITIES])
    city = rng.choice(len(CITIES), n, p=share / share.sum())
    joined = np.where(rng.random(n) < p.joins, rng.integers(0, p.days, n), -rng.integers(1, 1500, n))
    given = np.where(female, rng.choice(FEMALE_NAMES, n), rng.choice(MALE_NAMES, n))
    family = np.char.replace(rng.choice(FAMILY_NAMES, n), "_", " ")
    ids = customer_ids(first, last)
    seen = pd.DataFrame(
        {
            "customer_id": ids,
            "name": np.char.add(np.char.add(given, " "), family),
            "gender": np.where(female, "Female", "Male"),
            "age": age,
            "city": np.array([c for c, _ in CITIES])[city],
            "segment": np.array(SEGMENTS)[segment],
            "registration_date": pd.Timestamp(p.start) + pd.to_timedelta(joined, unit="D"),
            "email": [f"{i.lower()}@example.com" for i in ids],
            "phone": [
                f"+94 00 {i // 10_000:03d} {i % 10_000:04d}" for i in range(first + 1, last + 1)
            ],  # 00 is no Sri Lankan network
            "consent": rng.random(n) < p.consent,
        }
    )
    return seen, {"segment": segment, "age": (age - p.age_mean) / 15, "city": city, "joined": joined}


def _traits(p: Parameters, rng: np.random.Generator, seen: pd.DataFrame, facts: dict[str, np.ndarray]) -> pd.DataFrame:
    n, age, segment, spread = len(seen), facts["age"], facts["segment"], p.heterogeneity
    trips = np.array(p.segment_trips)[segment] / MONTH * p.activity
    shared, own, contact, notice = rng.standard_normal((4, n))
    care = np.sqrt(1 - p.noise) * shared + np.sqrt(p.noise) * own
    hours = np.array(p.hours) / sum(p.hours)
    begin = np.maximum(facts["joined"], 0)
    notice_logit = np.log(max(p.attention, 1e-12) / max(1 - p.attention, 1e-12)) + spread * p.attention_spread * notice
    return pd.DataFrame(
        {
            "customer_id": seen["customer_id"],
            "rate": trips * rng.gamma(p.rate_shape, 1 / p.rate_shape, n),
            "basket": np.array(p.segment_basket)[segment] * rng.gamma(p.basket_shape, 1 / p.basket_shape, n),
            "s": p.effect
            * np.minimum(
                p.sensitivity_cap, p.sensitivity * np.exp(spread * (p.sensitivity_spread * care + p.sensitivity_age * age))
            ),
            "shelf": np.minimum(p.sensitivity_cap, p.shelf_sensitivity * np.exp(p.shelf_spread * shared)),
            "v": p.effect * (p.contact_effect + spread * (p.contact_spread * contact + p.contact_age * age)),
            "q": 1 / (1 + np.exp(-notice_logit)),
            "hour": rng.choice(14, n, p=hours),
            "weekday": rng.choice(7, n, p=np.array(p.weekday) / sum(p.weekday)),
            "store": np.where(facts["city"] < STORES, facts["city"], rng.integers(0, STORES, n)),
            "begin": begin,  # first day of the calendar on which she may come
            "lost": begin + rng.geometric(-np.expm1(-1 / p.lifetime), n),  # first day on which she is gone
        }
    )


def _tastes(goods: Goods, rng: np.random.Generator, seen: pd.DataFrame, facts: dict[str, np.ndarray]) -> np.ndarray:
    """[customer, product] share of the units of an average basket, rows sum to 1."""
    p, shelf = goods.p, goods.shelf
    base = np.array([c[0] for c in CATEGORIES.values()])
    tilt = np.array([c[2] for c in CATEGORIES.values()])
    by_segment = np.exp(SEGMENT_TASTE * stream(goods.seed, "segments").standard_normal((len(SEGMENTS), len(base))))
    share = base * np.exp(facts["age"][:, None] * tilt) * by_segment[facts["segment"]]
    share /= share.sum(axis=1, keepdims=True)
    category = rng.standard_gamma(p.taste * share) + SMALL_SHARE
    category /= category.sum(axis=1, keepdims=True)
    product = rng.standard_gamma(np.broadcast_to(p.loyalty * goods.products["popularity"].to_numpy(), (len(seen), PRODUCTS)))
    product += SMALL_SHARE
    product /= np.add.reduceat(product, shelf.first[:-1], axis=1)[:, shelf.category]
    return np.asarray(category[:, shelf.category] * product)


def _lines(goods: Goods, hidden: pd.DataFrame, mean: np.ndarray) -> np.ndarray:
    """Lines that each customer is expected to leave in the calendar, at the rate drawn, contacts aside.

    Trips are scaled by it so that the shop has the size that was asked for. Promotions and complements count as units here, and
    tiny overlaps are left out: the error is a few parts in a thousand, and no truth rests on it.
    """
    shelf, days, held = goods.shelf, goods.days, goods.promotions
    end = np.minimum(hidden["lost"], goods.p.days).to_numpy()
    begin = hidden["begin"].to_numpy()
    past = np.vstack([np.zeros(7), np.cumsum(days.season[:, None] * days.pattern[:, days.weekday].T, axis=0)])
    weekday = hidden["weekday"].to_numpy()
    p, small = goods.p, (1 - goods.p.main_trips * goods.p.main_size) / (1 - goods.p.main_trips)

    def present(units: np.ndarray) -> np.ndarray:
        return np.asarray(-p.main_trips * np.expm1(-p.main_size * units) - (1 - p.main_trips) * np.expm1(-small * units))

    per_trip = present(mean).sum(axis=1)
    for c in shelf.child:
        per_trip += p.complements * present(mean[:, shelf.parent[c]]) * mean[:, c] * np.exp(-mean[:, c])
    lines = (past[end, weekday] - past[np.minimum(begin, end), weekday]) * per_trip
    response = hidden["shelf"].to_numpy()
    for k, (product, first, last) in enumerate(held[["product", "first", "last"]].itertuples(index=False)):
        low, high = np.clip(first, begin, np.maximum(begin, end)), np.clip(last + 1, begin, np.maximum(begin, end))
        more = present(mean[:, product] * np.exp(response * days.promo_pull[k])) - present(mean[:, product])
        lines += (past[high, weekday] - past[low, weekday]) * more
    return np.asarray(lines * hidden["rate"])
