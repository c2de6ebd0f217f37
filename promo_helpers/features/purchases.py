"""Who bought what on which day, small enough for memory: what rankings are judged by, and what recommenders and clocks learn from."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import narwhals.stable.v2 as nw
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from scipy import sparse

from promo_helpers.features.customers import Frame
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


def with_discount(lines: Frame) -> Frame:
    """The same lines with a column `discount`: where nothing was said of discounts, no line is known to have one."""
    return lines if "discount" in lines.columns else lines.with_columns(discount=nw.lit(None, nw.Float64))


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
    def of(
        cls, shop: Shop, item: str = "product_id", least: int = 1, before: int | datetime | pd.Timestamp | None = None
    ) -> "Purchases":
        """All purchases of a shop; items that fewer than `least` customers bought are left out. Every customer of the shop is there.

        With `before`, a day or a moment, only purchases before it count for `least`, so that what comes later chooses no items.
        """
        columns = ["customer_id", "product_id", "basket_id", "time", "units", "paid_cents"]
        coded = ["customer_id", "product_id"]  # text as codes: a tenth of the time and memory
        table = pq.read_table(shop.path("transactions"), columns=columns, read_dictionary=coded)
        table = table.filter(pc.greater(table["units"], 0)).unify_dictionaries().combine_chunks()
        customers = pd.Index(np.sort(shop.frame("customers", ["customer_id"])["customer_id"].to_numpy(object)))
        names = shop.frame("products", list(dict.fromkeys(["product_id", item]))).set_index("product_id")
        item_of = names[item] if item in names else pd.Series(names.index, names.index)
        items = pd.Index(np.sort(item_of.dropna().unique().astype(object)))
        who = _coded(table["customer_id"], customers.get_indexer)
        what = _coded(table["product_id"], lambda ids: items.get_indexer(item_of.reindex(ids).to_numpy(object)))
        time = table["time"].to_numpy().astype("datetime64[s]")
        basket = np.unique(table["basket_id"].to_numpy(), return_inverse=True)[1]
        units, cents = table["units"].to_numpy(), table["paid_cents"].to_numpy()
        seconds = (time - time.min()).astype(np.int64) if len(time) else time.astype(np.int64)
        order = np.lexsort((basket * (len(items) + 1) + what, who * (seconds.max(initial=0) + 1) + seconds))
        order = order[what[order] >= 0]
        who, what, basket, time = who[order], what[order], basket[order], time[order]
        new = np.append(True, (np.diff(basket) != 0) | (np.diff(what) != 0))[: len(order)]
        first = np.flatnonzero(new)
        start = time.min().astype("datetime64[D]") if len(time) else np.datetime64("1970-01-01")
        moment = pd.Timestamp(start) + pd.Timedelta(days=before) if isinstance(before, int) else before
        early = np.ones(len(time), bool) if moment is None else time < np.datetime64(moment)
        buyers = np.bincount(np.unique(who[early].astype(np.int64) * len(items) + what[early]) % len(items), minlength=len(items))
        kept = buyers[what[first]] >= least
        number = np.cumsum(buyers >= least) - 1
        day = time.astype("datetime64[D]")
        runs = basket[first][kept]
        return cls(
            customers=customers,
            items=items[buyers >= least],
            start=pd.Timestamp(start),
            who=who[first][kept].astype(np.int32),
            what=number[what[first][kept]].astype(np.int32),
            day=(day[first][kept] - start).astype(np.int32),
            hour=(time[first][kept] - day[first][kept]).astype("timedelta64[h]").astype(np.int8),
            basket=np.cumsum(np.append(False, np.diff(runs) != 0)[: len(runs)]).astype(np.int32),
            units=np.add.reduceat(units[order], first)[kept].astype(np.int32) if len(first) else units[:0],
            cents=np.add.reduceat(cents[order], first)[kept] if len(first) else cents[:0],
        )

    @property
    def days(self) -> int:
        """Days from the first purchase to the last, both included; 0 where nothing was bought."""
        return int(self.day.max(initial=-1)) + 1

    def moment(self, day: int) -> datetime:
        """Midnight at which a day begins: what is known then is strictly before it."""
        return (self.start + pd.Timedelta(days=day)).to_pydatetime()

    def number(self, moment: str | datetime | pd.Timestamp) -> int:
        """The day of a date. Raises ValueError where it lies outside the data (the day after the last is allowed)."""
        if not self.days:
            raise ValueError(f"{pd.Timestamp(moment):%Y-%m-%d} lies outside the data: nothing was bought")
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


def _coded(column: pa.ChunkedArray, number: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Numbers of a column of codes: each different text is looked up once."""
    chunk = column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)
    return np.asarray(number(chunk.dictionary.to_numpy(zero_copy_only=False))).astype(np.int32)[chunk.indices.to_numpy()]
