"""Products, stores, price promotions and the calendar: what is the same for every customer."""

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import pandas as pd

from promo_helpers.market.catalogue import BRANDS, CATEGORIES, CITIES, COMPLEMENTS, TRIAL_PRODUCTS
from promo_helpers.market.parameters import DEPTHS, SPAN, Parameters
from promo_helpers.market.streams import stream

PRODUCTS, STORES = 250, 10
ZIPF = 1.5  # popularity of an item in its category falls with its rank to this power: the first one holds a third
PRIVATE_SHARE = 0.45  # units of an item's second brand against its first
PROMOTION_DEPTHS = np.array([0.05, 0.10, 0.15, 0.20, 0.25, 0.30, 0.40, 0.50])  # share of price
PROMOTION_WEIGHTS = np.array([0.15, 0.22, 0.18, 0.18, 0.12, 0.08, 0.05, 0.02])  # deep ones are rare
PROMOTION_DAYS = (3, 30)  # shortest and longest
SAFE_MARGIN = (
    float(DEPTHS[-1]) + 0.01
)  # least margin of an offered product where offers break even: units grow as 1 / (margin - depth)
PAST_END = 800  # days after the calendar for which the truth can be asked: two years of lifetime value


class Shelf(NamedTuple):
    """Per product, in the order of their numbers; the products of a category stand together."""

    price: np.ndarray  # LKR
    margin: np.ndarray  # share of the list price
    category: np.ndarray  # number of the category
    first: np.ndarray  # first product of each category, and one past the last
    parent: np.ndarray  # parent of a complement, -1 where none
    child_first: np.ndarray  # where the children of a product start in `child`
    child: np.ndarray
    parents: np.ndarray  # the products that have children
    typical: np.ndarray  # units a trip of an average customer: the scale of an additive response


class Days(NamedTuple):
    """Per day of the calendar and of the time after it."""

    season: np.ndarray  # ratio to an average day
    weekday: np.ndarray  # 0 Monday .. 6 Sunday
    pattern: np.ndarray  # [preferred weekday, weekday] ratio, mean 1 over the week
    clock: np.ndarray  # [preferred hour - 8, 0..14] cumulated share of trips from 8:00 to 22:00
    promo_first: np.ndarray  # where the promotions of a day start in `promo`
    promo: np.ndarray
    promo_product: np.ndarray
    promo_depth: np.ndarray  # share of price
    promo_pull: np.ndarray  # g(depth)


def pull(depth: np.ndarray | float, scale: float) -> np.ndarray:
    """g(d): how much of the response at 25 % off a discount of `depth` (share of price) sets free; 0 at 0, 1 at .25."""
    return np.asarray((1 - np.exp(-np.asarray(depth) / scale)) / (1 - np.exp(-0.25 / scale)))


@dataclass(frozen=True)
class Goods:
    """The tables of goods and what the kernels need of them."""

    p: Parameters
    seed: int

    def __post_init__(self) -> None:
        """Refuse a market that breaks even on products whose margin the deepest offer would use up."""
        self.refuse_thin(self.trial)

    def refuse_thin(self, items: np.ndarray) -> None:
        """Raise ValueError where offers break even and the margin of a product is below SAFE_MARGIN: no lift makes up for 25 % off."""
        if self.p.form != "breakeven":
            return
        margin = self.products["margin"].to_numpy()[items]
        if len(margin) and margin.min() < SAFE_MARGIN:
            worst = items[np.argmin(margin)]
            raise ValueError(
                f"margin = {self.p.margin!r} leaves {self.products['product_id'][worst]} ({self.products['name'][worst]}) a margin of "
                f"{margin.min():.4g}: where offers break even, a product that is offered needs at least {SAFE_MARGIN:.4g}"
            )

    @cached_property
    def products(self) -> pd.DataFrame:
        """The products table, with `popularity` (share of its category's units) beside the columns of the shop."""
        rng, rows = stream(self.seed, "products"), []
        for number, (category, (_, margin, _, text)) in enumerate(CATEGORIES.items()):
            items = [item.split("/") for item in text.split("; ")]
            ranked = sorted(
                ((1 + rank) ** -ZIPF * (PRIVATE_SHARE if brand else 1.0), brand, *item)
                for rank, item in enumerate(items) for brand in (0, 1)
            )[::-1]  # fmt: skip
            size = PRODUCTS // len(CATEGORIES) + (number < PRODUCTS % len(CATEGORIES))
            total = sum(r[0] for r in ranked[:size])
            for weight, brand, item, price, package in ranked[:size]:
                name, factor = BRANDS[(number + brand) % 2 + 2 * brand] if brand else BRANDS[0]
                known = f"{name} {item}" if brand else item
                cost = 1 - min(0.6, max(0.08, (margin + rng.normal(0, 0.02)) * self.p.margin))
                if item in TRIAL_PRODUCTS and not brand:
                    cost = 1 - margin * self.p.margin
                price_now = max(10.0, 5 * round(float(price) * factor / 5))
                rows.append((known, category, name, package, price_now, round(1 - cost, 4), weight / total))
        frame = pd.DataFrame(rows, columns=["name", "category", "brand", "package_size", "price", "margin", "popularity"])
        frame.insert(0, "product_id", [f"PROD{i + 1:05d}" for i in range(len(frame))])
        return frame

    @cached_property
    def number(self) -> dict[str, int]:
        """Product number by name."""
        return {name: i for i, name in enumerate(self.products["name"])}

    @cached_property
    def trial(self) -> np.ndarray:
        """Numbers of the products that are offered."""
        return np.array([self.number[name] for name in TRIAL_PRODUCTS])

    @cached_property
    def stores(self) -> pd.DataFrame:
        """The stores table; `daily_visits` is filled from the trips."""
        ids = [f"STORE{i + 1:02d}" for i in range(STORES)]
        cities = [c for c, _ in CITIES[:STORES]]
        kinds = ["Hypermarket" if i < 2 else "Supermarket" if i < 7 else "Express" for i in range(STORES)]
        return pd.DataFrame({"store_id": ids, "name": [f"{c} Central" for c in cities], "city": cities, "kind": kinds})

    @cached_property
    def promotions(self) -> pd.DataFrame:
        """In-store price promotions for everyone, with day numbers; a product has one at a time."""
        rng, busy = stream(self.seed, "promotions"), np.zeros((PRODUCTS, self.p.days), bool)
        weight = self.products["popularity"].to_numpy() ** 0.5
        rows: list[tuple[int, int, int, float]] = []
        for _ in range(50 * self.p.promotions):  # where the calendar is full, fewer are held
            if len(rows) == self.p.promotions:
                break
            product = int(rng.choice(PRODUCTS, p=weight / weight.sum()))
            length = int(rng.integers(PROMOTION_DAYS[0], PROMOTION_DAYS[1] + 1))
            begin = int(rng.integers(0, self.p.days - length + 1))
            depth = float(rng.choice(PROMOTION_DEPTHS, p=PROMOTION_WEIGHTS))
            if not busy[product, begin : begin + length].any():
                busy[product, begin : begin + length] = True
                rows.append((product, begin, begin + length - 1, depth))
        frame = pd.DataFrame(sorted(rows, key=lambda r: (r[1], r[0])), columns=["product", "first", "last", "discount"])
        frame.insert(0, "promotion_id", [f"PROMO{i + 1:04d}" for i in range(len(frame))])
        return frame

    @cached_property
    def shelf(self) -> Shelf:
        products, p = self.products, self.p
        names = list(CATEGORIES)
        category = products["category"].map(names.index).to_numpy(np.int64)
        parent = np.full(PRODUCTS, -1)
        for above, below in COMPLEMENTS.items():
            parent[[self.number[b] for b in below]] = self.number[above]
        child = np.flatnonzero(parent >= 0)
        child = child[np.argsort(parent[child], kind="stable")]
        basket = np.dot(p.segment_share, np.multiply(p.segment_trips, p.segment_basket)) / np.dot(
            p.segment_share, p.segment_trips
        )
        share = np.array([CATEGORIES[c][0] for c in names])
        return Shelf(
            price=products["price"].to_numpy(float),
            margin=products["margin"].to_numpy(float),
            category=category,
            first=np.searchsorted(category, np.arange(len(names) + 1)),
            parent=parent,
            child_first=np.searchsorted(parent[child], np.arange(PRODUCTS + 1)),
            child=child,
            parents=np.unique(parent[child]),
            typical=basket * (share / share.sum())[category] * products["popularity"].to_numpy(float),
        )

    @cached_property
    def days(self) -> Days:
        p, total = self.p, self.p.days + PAST_END + SPAN
        dates = pd.date_range(p.start, periods=total)
        season = np.where(dates.month == 12, p.december, np.where(dates.month == 4, p.april, 1.0))
        week = np.array(p.weekday)
        pattern = np.where(np.eye(7, dtype=bool), p.favourite_day, 1.0) * week
        hour = np.arange(8, 22)
        near = np.cos(2 * np.pi * (hour[None, :] - hour[:, None]) / 24)
        share = np.array(p.hours) * np.exp(p.favourite_hour * (near - 1))
        clock = np.hstack([np.zeros((14, 1)), np.cumsum(share / share.sum(axis=1, keepdims=True), axis=1)])
        clock[:, -1] = 1.0
        held = self.promotions
        first, last = held["first"].to_numpy(), held["last"].to_numpy()
        day, on = np.nonzero((first <= np.arange(total)[:, None]) & (np.arange(total)[:, None] <= last))
        return Days(
            season=season / (10 + p.december + p.april) * 12,
            weekday=dates.weekday.to_numpy(np.int64),
            pattern=pattern / pattern.mean(axis=1, keepdims=True),
            clock=clock,
            promo_first=np.searchsorted(day, np.arange(total + 1)),
            promo=on.astype(np.int64),
            promo_product=held["product"].to_numpy(np.int64),
            promo_depth=held["discount"].to_numpy(float),
            promo_pull=pull(held["discount"].to_numpy(float), p.depth_scale),
        )
