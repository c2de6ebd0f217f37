"""Customers: their baskets, their spending, and where recency, frequency and spending put them."""

import numpy as np
import pandas as pd
from narwhals import stable

from promo_helpers.shop import Shop

nw = stable.v2

SEGMENTS = {  # recency score, mean of frequency and spending score; the first that fits counts
    "champions": (4, 4),
    "loyal": (3, 3),
    "new or rising": (4, 1),
    "at risk": (1, 3),
    "fading": (2, 1),
    "lost": (1, 1),
}


def baskets(shop: Shop) -> pd.DataFrame:
    """One row per basket, sorted: basket_id, customer_id, time, lines, units, spend (in the shop's currency)."""
    frame = (
        shop.lazy("transactions")
        .group_by("basket_id", "customer_id")
        .agg(
            nw.col("time").min(),
            nw.len().alias("lines"),
            nw.col("units").sum().cast(nw.Int64),
            nw.col("paid_cents").sum().cast(nw.Int64),
        )
        .collect("pandas")
        .to_native()
        .sort_values(["customer_id", "time", "basket_id"], ignore_index=True)
    )
    return frame.assign(spend=frame.pop("paid_cents") / 100)


def gaps(trips: pd.DataFrame) -> pd.Series:
    """Days from one day of shopping to the customer's next, over all customers (a second basket on a day is no trip)."""
    days = trips.assign(day=trips["time"].dt.normalize()).drop_duplicates(["customer_id", "day"])
    return days.groupby("customer_id")["day"].diff().dt.days.dropna().rename("days")


def concentration(spend: pd.Series) -> pd.DataFrame:
    """Lorenz curve of spending, largest customers first: columns customers, spend (cumulated shares, from 0 to 1)."""
    ordered = np.sort(spend.to_numpy(dtype=float))[::-1]
    shares = np.concatenate([[0.0], np.cumsum(ordered) / ordered.sum()])
    return pd.DataFrame({"customers": np.linspace(0, 1, len(shares)), "spend": shares})


def top_share(curve: pd.DataFrame, customers: float) -> float:
    """Share of all spending that the largest `customers` (a share) account for."""
    return float(np.interp(customers, curve["customers"], curve["spend"]))


def rfm(trips: pd.DataFrame, as_of: pd.Timestamp) -> pd.DataFrame:
    """Recency, frequency, spending as of a moment, from strictly earlier baskets: one row per customer who has any.

    Columns customer_id, recency (days since the last basket), frequency (baskets), monetary (spend), their scores r, f, m from 1 to 5
    (fifths of the customers, ties in one fifth, 5 is best), and segment (see SEGMENTS).
    """
    past = trips[trips["time"] < as_of].groupby("customer_id")
    table = pd.DataFrame({"last": past["time"].max(), "frequency": past.size(), "monetary": past["spend"].sum()})
    table.insert(0, "recency", (as_of - table.pop("last")).dt.total_seconds() / 86400)
    table["r"] = _fifths(-table["recency"])
    table["f"], table["m"] = _fifths(table["frequency"]), _fifths(table["monetary"])
    worth = (table["f"] + table["m"]) / 2
    fits = [(table["r"] >= r) & (worth >= w) for r, w in SEGMENTS.values()]
    table["segment"] = pd.Categorical(np.select(fits, list(SEGMENTS), "lost"), list(SEGMENTS))
    return table.reset_index()


def _fifths(values: pd.Series) -> pd.Series:
    return np.ceil(values.rank(method="max", pct=True) * 5).astype(int)


def segment_table(table: pd.DataFrame) -> pd.DataFrame:
    """One row per segment: customers, their share, their share of spending, and the medians of recency, frequency, spending."""
    group = table.groupby("segment", observed=True)
    return pd.DataFrame(
        {
            "customers": group.size(),
            "share": group.size() / len(table),
            "spend share": group["monetary"].sum() / table["monetary"].sum(),
            "recency": group["recency"].median(),
            "baskets": group["frequency"].median(),
            "spend": group["monetary"].median(),
        }
    ).reset_index()
