"""What the simulated supermarket sells: plain data. Items are listed by popularity, with their price in LKR and their package."""

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import pandas as pd

from promo_helpers.market.parameters import DEPTHS, SPAN, Parameters
from promo_helpers.market.streams import stream

# category: share of units, margin (share of list price), tilt of its share per 15 years of age, "item/LKR/package; ..."
# Prices are near those of Colombo supermarkets in 2024; margins follow grocery lore: staples thin, spices and care fat.
CATEGORIES: dict[str, tuple[float, float, float, str]] = {
    "Bakery": (0.105, 0.31, 0.0, "White Bread/190/450 g; Sandwich Bread/260/500 g; Kimbula Bun/90/1 pc; Brown Bread/290/450 g; "
               "Fish Bun/110/1 pc; Butter Cake/780/450 g; Tea Bun/80/1 pc; Roti Wrap/240/6 pc; Sponge Cake/540/350 g"),
    "Dairy": (0.115, 0.28, 0.05, "Fresh Milk/520/1 l; Butter/890/200 g; Curd/480/1 l; Yoghurt/95/80 g; Milk Powder/1180/400 g; "
              "Cheese Slices/980/200 g; Flavoured Milk/160/180 ml; Margarine/560/250 g; Ghee/1650/325 ml"),
    "Beverages": (0.090, 0.30, -0.05, "Ceylon Tea/620/400 g; Ginger Beer/230/1 l; Coffee/740/200 g; "
    "Orange Juice/560/1 l; Cola/340/1.5 l; "
                  "Drinking Water/120/1.5 l; Cordial/690/750 ml; Malt Drink/1150/400 g; King Coconut/180/300 ml"),
    "Fruits": (0.080, 0.32, 0.10, "Bananas/320/1 kg; Papaya/280/1 kg; Pineapple/420/1 pc; Mango/650/1 kg; Apples/190/1 pc; "
               "Watermelon/260/1 kg; Oranges/170/1 pc; Avocado/480/1 kg; Grapes/1450/1 kg"),
    "Vegetables": (0.110, 0.30, 0.10, "Carrots/420/1 kg; Onions/360/1 kg; Potatoes/390/1 kg; Tomatoes/440/1 kg; "
    "Green Beans/520/1 kg; "
                   "Cabbage/280/1 kg; Leeks/380/1 kg; Pumpkin/220/1 kg; Gotukola/80/1 bunch"),
    "Meat": (0.060, 0.22, 0.0, "Chicken/1350/1 kg; Eggs/480/10 pc; Sausages/920/400 g; Fish Fillet/1680/500 g; "
    "Chicken Wings/1180/1 kg; "
             "Beef/2400/1 kg; Meatballs/860/400 g; Prawns/2650/500 g; Mutton/3600/1 kg"),
    "Snacks": (0.085, 0.34, -0.20, "Biscuits/240/200 g; Potato Chips/380/100 g; Chocolate/450/100 g; Cream Crackers/290/190 g; "
               "Cassava Chips/260/100 g; Roasted Peanuts/320/150 g; Murukku/280/200 g; Wafers/210/100 g; Toffees/190/150 g"),
    "Household": (0.055, 0.29, 0.05, "Washing Powder/640/1 kg; Dish Wash/390/500 ml; Tissue Roll/180/1 pc; "
    "Floor Cleaner/720/1 l; "
                  "Bleach/460/1 l; Mosquito Coils/240/10 pc; Garbage Bags/350/20 pc; Fabric Softener/880/860 ml; "
                  "Sponges/160/3 pc"),
    "Rice & Grains": (0.070, 0.18, 0.10, "Samba Rice/260/1 kg; Red Lentils/430/1 kg; Nadu Rice/240/1 kg; Wheat Flour/270/1 kg; "
                      "Red Rice/290/1 kg; Basmati Rice/890/1 kg; Chickpeas/620/1 kg; Green Gram/780/1 kg; Noodles/210/350 g"),
    "Spices": (0.045, 0.38, 0.10, "Curry Powder/380/200 g; Chilli Powder/420/200 g; Sugar/310/1 kg; Salt/130/400 g; "
    "Turmeric/340/100 g; "
               "Cinnamon/560/100 g; Pepper/490/100 g; Coconut Oil/980/750 ml; Mustard Seeds/180/100 g"),
    "Frozen Foods": (0.035, 0.30, -0.15, "Ice Cream/780/1 l; Frozen Peas/520/400 g; Fish Fingers/890/300 g; "
    "Frozen Parata/560/10 pc; "
                     "Vegetable Rolls/640/6 pc; French Fries/980/1 kg; Chicken Nuggets/1080/400 g; "
                     "Ice Lollies/120/1 pc; Dumplings/950/300 g"),
    "Canned Foods": (0.040, 0.28, 0.0, "Canned Mackerel/540/425 g; Baked Beans/480/420 g; Coconut Milk/390/400 ml; "
    "Canned Tuna/690/185 g; "
                     "Sweet Corn/560/400 g; Canned Pineapple/640/560 g; Tomato Paste/420/200 g; Mushrooms/720/400 g; "
                     "Fruit Cocktail/980/820 g"),
    "Baby Products": (0.030, 0.24, -0.60, "Diapers/1850/24 pc; Baby Wipes/520/80 pc; Baby Soap/190/75 g; "
    "Infant Formula/2450/400 g; "
                      "Baby Cereal/680/200 g; Baby Cologne/460/100 ml; Baby Shampoo/590/200 ml; "
                      "Baby Lotion/640/200 ml; Feeding Bottle/980/1 pc"),
    "Personal Care": (0.050, 0.35, -0.10, "Soap/160/100 g; Shampoo/620/180 ml; Toothpaste/290/120 g; Conditioner/680/180 ml; "
                      "Face Wash/890/100 ml; Deodorant/980/150 ml; Toothbrush/220/1 pc; Hand Wash/540/250 ml; "
                      "Hair Oil/480/200 ml"),
    "Breakfast Items": (0.030, 0.31, -0.10, "Jam/560/450 g; Corn Flakes/980/300 g; Oats/890/500 g; Honey/1450/350 ml; "
    "Peanut Butter/1180/340 g; "
                        "Chocolate Spread/1280/350 g; Muesli/1650/500 g; Kithul Treacle/980/350 ml; Pancake Mix/640/400 g"),
}  # fmt: skip

# parent: children. A product is a parent or a child, never both, and never of its own category.
COMPLEMENTS: dict[str, tuple[str, ...]] = {
    "White Bread": ("Butter", "Jam"),
    "Ceylon Tea": ("Biscuits", "Sugar"),
    "Carrots": ("Coconut Milk",),
    "Corn Flakes": ("Bananas",),
    "Chicken": ("Curry Powder",),
    "Diapers": ("Soap",),
}

# ten popular products of ten categories, each with a margin above the deepest offer
TRIAL_PRODUCTS = (
    "White Bread", "Fresh Milk", "Ceylon Tea", "Bananas", "Carrots",
    "Biscuits", "Washing Powder", "Curry Powder", "Ice Cream", "Soap",
)  # fmt: skip

# brand, price against the first one; the first is the one that an item is known by
BRANDS: tuple[tuple[str, float], ...] = (("Lanka Choice", 1.0), ("Island Harvest", 1.12), ("Serendib", 1.22), ("Kandyan", 0.94))

# city, share of customers; the first ten have a store
CITIES: tuple[tuple[str, float], ...] = (
    ("Colombo", 0.24), ("Kandy", 0.13), ("Galle", 0.10), ("Negombo", 0.09), ("Jaffna", 0.08), ("Kurunegala", 0.08),
    ("Matara", 0.07), ("Anuradhapura", 0.06), ("Batticaloa", 0.05), ("Ratnapura", 0.05), ("Badulla", 0.03), ("Trincomalee", 0.02),
)  # fmt: skip

FEMALE_NAMES = (  # noqa: SIM905
    "Amaya Anjali Anusha Ayesha Chamari Chathurika Dilhani Dinusha Fathima Gayani Hasini Hiruni Imesha Ishara Janani "
    "Kavindi Kumari "
    "Lakmini Madhavi Malini Nadeesha Nilmini Nimasha Oshadi Piyumi Priya Rashmi Sachini Sanduni Shalini Sharmila "
    "Sithara Tharushi Thilini "
    "Udari Vasuki Vindya Yamuna Yasodha Zainab"
).split()
MALE_NAMES = (  # noqa: SIM905
    "Ajith Amila Arjun Asanka Ashan Buddhika Chaminda Chathura Dhanushka Dilshan Dinesh Eranga Gayan Harsha Ishan "
    "Janaka Kamal Kasun Kavinda "
    "Lahiru Lakshan Mahesh Malinga Mohamed Nalin Nimal Nuwan Pradeep Rajiv Ravi Roshan Ruwan Sahan Saman Suresh "
    "Tharindu Thilina Upul "
    "Vimal Yohan"
).split()
FAMILY_NAMES = (  # noqa: SIM905
    "Abeysekara Amarasinghe Bandara Cooray Dassanayake De_Silva Dias Dissanayake Ekanayake Fernando Fonseka Gamage "
    "Gunasekara Gunawardena "
    "Herath Hettiarachchi Hussain Jayasinghe Jayasuriya Jayawardena Karunaratne Kulatunga Kumara Liyanage Mendis "
    "Mohideen Nanayakkara "
    "Nadarajah Peiris Perera Pillai Pushparajah Rajapaksha Ranasinghe Ratnayake Samaraweera Senanayake Sivakumar "
    "Thambiah Tissera "
    "Weerasinghe Wickramasinghe Wijesinghe Yapa"
).split()


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
