"""Who bought what on which day, small enough for memory: what rankings are judged by, and what recommenders and clocks learn from."""

from dataclasses import dataclass
from datetime import datetime

import narwhals.stable.v2 as nw
import numpy as np
import pandas as pd
from scipy import sparse

from promo_helpers.features.point_in_time import Frame
from promo_helpers.shop import Shop


def item_lines(shop: Shop, item: str = "product_id") -> Frame:
    """Lines of bought units whose `product_id` is the named column of products: "name" makes an item of a product type.

    Where every bar code is a product, as in Complete Journey, one asks about types. Returns and products without that name are left out.
    """
    lines = shop.lazy("transactions").filter(nw.col("units") > 0)
    if item == "product_id":
        return lines
    named = shop.lazy("products").select("product_id", item).filter(~nw.col(item).is_null())
    return lines.join(named, on="product_id", how="inner").drop("product_id").rename({item: "product_id"})


@dataclass(frozen=True)
class Purchases:
    """Each customer, item and basket once: arrays of equal length, ordered by customer, day, basket and item.

    who, what: numbers into `customers` and `items`. day: days since `start` (midnight). hour: 0 to 23. basket: 0, 1, ... in the order
    of the rows, so that a basket's rows lie together. units, cents: bought, and paid for it.
    """

    customers: pd.Index
    items: pd.Index
    start: pd.Timestamp
    who: np.ndarray
    what: np.ndarray
    day: np.ndarray
    hour: np.ndarray
    basket: np.ndarray
    units: np.ndarray
    cents: np.ndarray

    @classmethod
    def of(cls, shop: Shop, item: str = "product_id", least: int = 1) -> "Purchases":
        """All purchases of a shop; items that fewer than `least` customers bought are left out. Every customer of the shop is there."""
        lines = item_lines(shop, item)
        one = lines.group_by("customer_id", "basket_id", "product_id").agg(
            nw.col("time").min(), nw.col("units").sum().cast(nw.Int64), nw.col("paid_cents").sum().cast(nw.Int64)
        )
        frame = one.collect("pandas").to_native()
        buyers = frame.groupby("product_id")["customer_id"].nunique()
        frame = frame[frame["product_id"].isin(buyers.index[buyers >= least])]
        customers = pd.Index(np.sort(shop.frame("customers", ["customer_id"])["customer_id"].to_numpy(object)))
        items = pd.Index(np.sort(frame["product_id"].unique().astype(object)))
        start = frame["time"].min().normalize()
        who, what = customers.get_indexer(frame["customer_id"]), items.get_indexer(frame["product_id"])
        day, basket = (frame["time"].dt.normalize() - start).dt.days.to_numpy(), pd.factorize(frame["basket_id"], sort=True)[0]
        order = np.lexsort((what, basket, frame["time"].to_numpy(), who))
        runs = basket[order]
        number = np.concatenate([[0], np.cumsum(runs[1:] != runs[:-1])]) if len(runs) else runs
        return cls(
            customers, items, start, who[order].astype(np.int32), what[order].astype(np.int32), day[order].astype(np.int32),
            frame["time"].dt.hour.to_numpy(np.int8)[order], number.astype(np.int32), frame["units"].to_numpy(np.int32)[order],
            frame["paid_cents"].to_numpy(np.int64)[order],
        )  # fmt: skip

    @property
    def days(self) -> int:
        """Days from the first purchase to the last, both included."""
        return int(self.day.max()) + 1

    def moment(self, day: int) -> datetime:
        """Midnight at which a day begins: what is known then is strictly before it."""
        return (self.start + pd.Timedelta(days=day)).to_pydatetime()

    def number(self, moment: str | datetime | pd.Timestamp) -> int:
        """The day of a date. Raises ValueError where it lies outside the data (the day after the last is allowed)."""
        day = (pd.Timestamp(moment).normalize() - self.start).days
        if not 0 <= day <= self.days:
            last = self.start + pd.Timedelta(days=self.days - 1)
            raise ValueError(f"{pd.Timestamp(moment):%Y-%m-%d} lies outside the data, {self.start:%Y-%m-%d} to {last:%Y-%m-%d}")
        return day

    def between(self, first: int, stop: int) -> np.ndarray:
        """Rows of the days first .. stop - 1."""
        return np.flatnonzero((self.day >= first) & (self.day < stop))

    def counts(self, first: int, stop: int) -> sparse.csr_matrix:
        """[customer, item] number of baskets in the days first .. stop - 1, as float32."""
        rows = self.between(first, stop)
        shape = (len(self.customers), len(self.items))
        return sparse.csr_matrix((np.ones(len(rows), np.float32), (self.who[rows], self.what[rows])), shape=shape)

    def seen(self, stop: int) -> np.ndarray:
        """Numbers of the customers with a purchase before the day."""
        return np.unique(self.who[self.day < stop])
