"""What a customer's purchases come to: how often she came back, how lately, for how long she is known, and what each time was worth."""

from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import narwhals.stable.v2 as nw
import numpy as np
import pandas as pd

from promo_helpers.shop import Shop

CDNOW = "lifetimes/datasets/cdnow_customers_summary_with_transactions.csv"
YEAR = 365  # days


@dataclass(frozen=True)
class ValuedDays:
    """Each customer and day of shopping once, ordered by customer and day: arrays of equal length.

    who: number into `customers`. day: days since `start`. spend: paid that day, in the shop's currency. margin: what it left after the
    cost of goods, or None where the shop does not know its margins. `length` is the number of days of the data.
    """

    customers: pd.Index
    start: pd.Timestamp
    length: int
    who: np.ndarray
    day: np.ndarray
    spend: np.ndarray
    margin: np.ndarray | None

    @classmethod
    def of(cls, shop: Shop) -> "ValuedDays":
        """The days of all purchases of a shop; several baskets of a day are one purchase. Returns of goods are left out.

        A margin is the paid price less the cost, which is the list price less the product's margin; it is known where every product
        has one. Raises ValueError where nothing was bought.
        """
        lines = shop.lazy("transactions").filter(nw.col("units") > 0)
        known = shop.has("products", "margin") and not shop.frame("products", ["margin"])["margin"].isna().any()
        sums = {"spend": nw.col("paid_cents").sum()}
        if known:
            lines = lines.join(shop.lazy("products").select("product_id", rate=nw.col("margin")), on="product_id", how="inner")
            cents = (nw.col("paid_cents") - nw.col("list_cents") * (1 - nw.col("rate"))).round(0).cast(nw.Int64)
            lines, sums = lines.with_columns(margin=cents), sums | {"margin": nw.col("margin").sum()}  # whole cents: exact sums
        lines = lines.with_columns(date=nw.col("time").dt.truncate("1d"))
        table = lines.group_by("customer_id", "date").agg(**sums).sort("customer_id", "date").collect("pandas").to_native()
        if not len(table):
            raise ValueError("the shop sold nothing: no purchases to value customers by")
        customers = pd.Index(np.sort(shop.frame("customers", ["customer_id"])["customer_id"].to_numpy(object)))
        date = table["date"].to_numpy().astype("datetime64[D]")
        day = (date - date.min()).astype(np.int64)
        who = customers.get_indexer(table["customer_id"].to_numpy(object))
        order = np.lexsort((day, who))  # text may sort otherwise elsewhere
        spend, margin = (table[c].to_numpy(float)[order] / 100 if c in table else None for c in ("spend", "margin"))
        assert spend is not None
        return cls(customers, pd.Timestamp(date.min()), int(day.max()) + 1, who[order], day[order], spend, margin)

    @property
    def value(self) -> np.ndarray:
        """[day of shopping] margin where it is known, else spend."""
        return self.spend if self.margin is None else self.margin

    @property
    def kind(self) -> str:
        """What values are: margin or spend."""
        return "spend" if self.margin is None else "margin"

    def moment(self, day: int) -> pd.Timestamp:
        """Midnight at which a day begins."""
        return pd.Timestamp(self.start + pd.Timedelta(days=day))

    def number(self, time: pd.Series) -> np.ndarray:
        """The days of moments; days outside the data have numbers too."""
        return (pd.to_datetime(time).dt.normalize() - self.start).dt.days.to_numpy(np.int64)


def summaries(days: ValuedDays, moment: int | np.ndarray) -> pd.DataFrame:
    """What is known of each customer who bought before the midnight that begins day `moment`: one row each, ordered by customer.

    `moment` is one day for all, or [customer] a day for each. Columns: customer (number), moment; repeats (x), the days with a purchase
    after the first such day; recency (t_x), days from the first purchase to the last; age (T), days from the first to the moment
    (Fader, Hardie and Lee 2005); value, the mean value of a repeat purchase, missing where there is none; spend_90, spend_365,
    value_365, sums of the last 90 and 365 days; and spend, the sum of all.
    """
    at = np.broadcast_to(np.asarray(moment, np.int64), len(days.customers))
    rows = days.day < at[days.who]
    who, day, value, spend = days.who[rows], days.day[rows], days.value[rows], days.spend[rows]
    customers, place, count = np.unique(who, return_inverse=True, return_counts=True)
    last = np.cumsum(count) - 1
    first = last - count + 1
    ago, n = at[who] - day, len(customers)
    later = np.bincount(place, value, n) - value[first]
    repeats = (count - 1).astype(float)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.where(repeats > 0, later / repeats, np.nan)
    return pd.DataFrame(
        {
            "customer": customers,
            "moment": at[customers],
            "repeats": repeats,
            "recency": (day[last] - day[first]).astype(float),
            "age": (at[customers] - day[first]).astype(float),
            "value": mean,
            "spend_90": np.bincount(place, spend * (ago <= 90), n),
            "spend_365": np.bincount(place, spend * (ago <= YEAR), n),
            "value_365": np.bincount(place, value * (ago <= YEAR), n),
            "spend": np.bincount(place, spend, n),
        }
    )


def later_purchases(days: ValuedDays, customers: np.ndarray, first: int, stop: int) -> pd.DataFrame:
    """What the customers (numbers) did in the days first .. stop - 1: purchases (days with one), value and spend, one row each."""
    rows = (days.day >= first) & (days.day < stop)
    who, n = days.who[rows], len(days.customers)
    sums = {"purchases": np.ones(len(who)), "value": days.value[rows], "spend": days.spend[rows]}
    return pd.DataFrame({name: np.bincount(who, v, n)[customers] for name, v in sums.items()})


def cdnow() -> pd.DataFrame:
    """CDNOW's 2,357 customers as published (Fader, Hardie and Lee 2005), in weeks and dollars: repeats, recency, age, value.

    Read from the file that the package `lifetimes` ships, without importing the package. The file rounds weeks to two decimals, which
    moves the fourth digit of estimates; times are whole days, so the rounding is undone. Raises FileNotFoundError where there is no file.
    """
    try:
        path = Path(str(metadata.distribution("lifetimes").locate_file(CDNOW)))
    except metadata.PackageNotFoundError:
        path = Path(CDNOW)
    if not path.is_file():
        raise FileNotFoundError(
            f"CDNOW's table {CDNOW} is not there: it comes with the package lifetimes (pip install lifetimes)"
        )
    table = pd.read_csv(path).rename(columns={"x": "repeats", "t_x": "recency", "T": "age", "zbar": "value"})
    weeks = (table[["recency", "age"]] * 7).round() / 7
    return table.assign(**weeks)[["repeats", "recency", "age", "value"]].astype(float)
