"""Everything about customers and items as of a day, in one array: what a model of purchases sees."""

from dataclasses import dataclass

import narwhals.stable.v2 as nw
import numpy as np
import pandas as pd

from promo_helpers.features.customers import (
    Frame,
    category_purchases,
    category_spending,
    customer_features,
    interactions,
    product_features,
)
from promo_helpers.features.purchases import Purchases, item_lines, with_discount
from promo_helpers.shop import Shop

PAIR = ("baskets", "units", "spend", "recency", "first", "promo_share", "gap")
CATEGORY = ("baskets", "units", "spend", "recency")
FEW = 5  # baskets that the habit of all customers counts for in that of one
ITEM = ("popularity", "buyers", "units_28", "repeat_rate", "price_paid", "promo_share", "discount_share", "age")


@dataclass(frozen=True)
class Panel:
    """Some customers of a shop with some of its items, ready to be described as of any day.

    `who` and `what` are numbers into `purchases.customers` and `purchases.items`, in rising order.
    """

    purchases: Purchases
    who: np.ndarray
    what: np.ndarray
    codes: np.ndarray  # of `what`, as `lines` and `catalogue` have them in product_id; customer_id there is `who`
    lines: Frame
    contacts: Frame | None
    catalogue: Frame  # product_id (the item), category
    promotions: pd.DataFrame | None  # product_id (the item), start_date, end_date, discount

    @classmethod
    def of(cls, shop: Shop, purchases: Purchases, who: np.ndarray, what: np.ndarray, item: str = "product_id") -> "Panel":
        """Take the lines of these customers out of a shop, once; every day asked for later reads only them."""
        who, what = np.unique(who), np.unique(what)
        connection = shop.connection
        names = shop.frame("products", list(dict.fromkeys(["product_id", item, "category"]))).dropna(subset=[item])
        items = pd.Index(np.sort(names[item].unique().astype(object)))
        # numbers in the place of names: half the time of every later group and join
        kept = nw.from_native(
            connection.from_df(pd.DataFrame({"customer_id": purchases.customers[who].astype(str), "number": who}))
        )
        coded = nw.from_native(connection.from_df(pd.DataFrame({"product_id": items.astype(str), "item": np.arange(len(items))})))
        columns = ["basket_id", "time", "units", "discount", "list_cents", "paid_cents"]
        mine = (
            with_discount(item_lines(shop, item))
            .join(kept, on="customer_id", how="inner")
            .join(coded, on="product_id", how="inner")
        )
        lines = mine.select(*columns, customer_id=nw.col("number"), product_id=nw.col("item")).collect("pyarrow").to_native()
        # a type that stands in several categories counts in the one with most of its products
        first = names.dropna(subset=["category"]).groupby(item)["category"].agg(lambda c: c.value_counts().sort_index().idxmax())
        catalogue = pd.DataFrame({"product_id": items.get_indexer(first.index), "category": first.to_numpy(object)})
        contacts = None
        if shop.has("contacts", "arm", "redeemed"):
            sent = shop.lazy("contacts").join(kept, on="customer_id", how="inner")
            sent = sent.select("time", "arm", "redeemed", customer_id=nw.col("number"))
            contacts = nw.from_native(connection.from_arrow(sent.collect("pyarrow").to_native()))
        promotions = None
        if item == "product_id" and shop.has("promotions", "product_id", "start_date", "end_date", "discount"):
            promotions = shop.frame("promotions", ["product_id", "start_date", "end_date", "discount"])
        return cls(
            purchases, who, what, items.get_indexer(purchases.items[what]), nw.from_native(connection.from_arrow(lines)), contacts,
            nw.from_native(connection.from_df(catalogue)), promotions,
        )  # fmt: skip

    def known(self, day: int) -> np.ndarray:
        """Numbers of the panel's customers with a purchase before the day."""
        return np.intersect1d(self.who, self.purchases.seen(day))

    def bought(self, day: int, window: int = 14) -> np.ndarray:
        """[known customer, item] whether each item is bought in the days day .. day + window - 1."""
        counts = self.purchases.counts(day, day + window)
        return np.asarray(counts[self.known(day)][:, self.what].toarray() > 0)

    def features(self, day: int, window: int = 14, who: np.ndarray | None = None) -> tuple[np.ndarray, list[str]]:
        """[customer, item, feature] as float32, and the features' names; missing is NaN. Customers are the known ones unless given.

        All is strictly before the day's midnight, except `planned_discount`, the mean depth of the item's price promotion over the
        window: a shop knows its own calendar of promotions in advance. No feature tells gender, age or home.
        """
        p, moment = self.purchases, self.purchases.moment(day)
        who = self.known(day) if who is None else who
        shape = (len(who), len(self.what))
        customer, item = pd.Index(who), pd.Index(self.codes)
        planes: dict[str, np.ndarray] = {}

        pairs = _collected(interactions(self.lines, moment))
        for name, plane in _planes(pairs, "product_id", customer, item, PAIR).items():
            planes[f"pair_{name}"] = plane
        tenure, mine = planes["pair_first"], planes["pair_baskets"]
        planes["pair_due"] = planes["pair_recency"] / np.fmax(planes["pair_gap"], 1)
        planes["pair_rate"] = np.nan_to_num(mine) * window / np.fmax(tenure, window)

        by_category = category_purchases(self.lines, self.catalogue, moment)
        shares = category_spending(by_category).select("customer_id", "category", "share")
        categories = _collected(by_category.join(shares, on=["customer_id", "category"], how="left"))
        catalogue = _collected(self.catalogue).set_index("product_id")["category"]
        names = pd.Index(np.sort(catalogue.unique().astype(object)))
        place = names.get_indexer(catalogue.reindex(item))
        for name, plane in _planes(categories, "category", customer, names, (*CATEGORY, "share")).items():
            planes[f"category_{name}"] = np.where(place >= 0, plane[:, place], np.nan) if len(names) else np.full(shape, np.nan)

        about = _collected(customer_features(self.lines, moment, self.contacts)).set_index("customer_id").reindex(customer)
        for name in about:
            planes[f"customer_{name}"] = np.broadcast_to(about[name].to_numpy(np.float32)[:, None], shape)
        goods = _collected(product_features(self.lines, moment)).set_index("product_id").reindex(item)
        # a habit in baskets, drawn towards the habit of all where there are few baskets, and times the visits to expect
        everyone = np.nan_to_num(goods["baskets"].to_numpy(float)) / max(about["frequency"].sum(), 1)
        visits = np.nan_to_num(about["frequency"].to_numpy(float))[:, None]
        habit = (np.nan_to_num(mine) + FEW * everyone) / (visits + FEW)
        rate = visits / np.fmax(about["tenure"].to_numpy(float)[:, None], window)
        planes |= {"pair_habit": habit, "pair_expected": habit * rate * window}
        for name in ITEM:
            planes[f"item_{name}"] = np.broadcast_to(goods[name].to_numpy(np.float32)[None, :], shape)
        if self.promotions is not None:
            planned = planned_discount(self.promotions, p.items[self.what], pd.Timestamp(moment), window)
            planes["item_planned_discount"] = np.broadcast_to(planned.astype(np.float32)[None, :], shape)
        out = np.empty((*shape, len(planes)), np.float32)
        for k, plane in enumerate(planes.values()):
            out[:, :, k] = plane
        return out, list(planes)


def planned_discount(promotions: pd.DataFrame, items: pd.Index, first: pd.Timestamp, days: int) -> np.ndarray:
    """[item] mean depth of the deepest price promotion over the days that begin with `first`; both ends of a promotion belong to it."""
    depth = np.zeros((len(items), days))
    begin = (promotions["start_date"] - first).dt.days.clip(lower=0)
    end = (promotions["end_date"] - first).dt.days.clip(upper=days - 1)
    place = items.get_indexer(promotions["product_id"])
    for k, a, b, discount in zip(place, begin, end, promotions["discount"], strict=True):
        if k >= 0 and a <= b:
            depth[k, a : b + 1] = np.maximum(depth[k, a : b + 1], discount)
    return depth.mean(axis=1)


def _collected(frame: Frame) -> pd.DataFrame:
    native: pd.DataFrame = frame.collect("pandas").to_native()
    return native


def _planes(
    frame: pd.DataFrame, column: str, customers: pd.Index, columns: pd.Index, names: tuple[str, ...]
) -> dict[str, np.ndarray]:
    """Each named column as a plane [customer, value of `column`], missing where there is no row."""
    row, place = customers.get_indexer(frame["customer_id"]), columns.get_indexer(frame[column])
    kept = (row >= 0) & (place >= 0)
    planes = {}
    for name in names:
        plane = np.full((len(customers), len(columns)), np.nan, np.float32)
        plane[row[kept], place[kept]] = frame[name].to_numpy(np.float32)[kept]
        planes[name] = plane
    return planes
