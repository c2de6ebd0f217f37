"""Customers with products and with categories: what each bought of which, how much, and how lately."""

from datetime import datetime

import narwhals.stable.v2 as nw

from promo_helpers.features.point_in_time import DAY, Frame, past, ratio, total

RECENT = 28 * DAY  # seconds: four whole weeks, so that every weekday counts alike


def pair_sums(lines: Frame, as_of: datetime) -> Frame:
    """One row per customer and product bought before the moment, with the exact sums that `interactions` and `product_features` share:
    baskets, last and first (seconds to the moment), units, units_28 (in the last four weeks), promo_units, list_cents, paid_cents."""
    earlier = past(lines, as_of).with_columns(
        promo_units=nw.when(nw.col("discount") > 0).then(nw.col("units")).otherwise(0),
        units_28=nw.when(nw.col("age") <= RECENT).then(nw.col("units")).otherwise(0),
    )
    return earlier.group_by("customer_id", "product_id").agg(
        nw.col("basket_id").n_unique().cast(nw.Int64).alias("baskets"),
        nw.col("age").min().alias("last"),
        nw.col("age").max().alias("first"),
        *(total(c) for c in ("units", "units_28", "promo_units", "list_cents", "paid_cents")),
    )


def interactions(lines: Frame, as_of: datetime) -> Frame:
    """One row per customer and product bought before the moment: baskets, units, spend, recency and first (days), promo_share,
    gap (mean days between baskets with it, missing for one)."""
    return interactions_of(pair_sums(lines, as_of))


def interactions_of(pairs: Frame) -> Frame:
    """The same from `pair_sums`."""
    return pairs.select(
        "customer_id",
        "product_id",
        "baskets",
        "units",
        spend=nw.col("paid_cents") / 100,
        recency=nw.col("last") / DAY,
        first=nw.col("first") / DAY,
        promo_share=ratio(nw.col("promo_units"), nw.col("units")),
        gap=ratio(nw.col("first") - nw.col("last"), nw.col("baskets") - 1) / DAY,
    )


def category_purchases(lines: Frame, products: Frame, as_of: datetime) -> Frame:
    """One row per customer and category bought before the moment: baskets, units, spend, recency (days). Products without a
    category are left out."""
    named = products.select("product_id", "category").filter(~nw.col("category").is_null())
    bought = past(lines, as_of).join(named, on="product_id", how="inner")
    pairs = bought.group_by("customer_id", "category").agg(
        nw.col("basket_id").n_unique().cast(nw.Int64).alias("baskets"),
        nw.col("age").min(),
        *(total(c) for c in ("units", "paid_cents")),
    )
    return pairs.select(
        "customer_id", "category", "baskets", "units", spend=nw.col("paid_cents") / 100, recency=nw.col("age") / DAY
    )


def category_spending(purchases: Frame) -> Frame:
    """Share of each customer's spending by category, with its rank (1 is the largest, ties by name): from `category_purchases`."""
    cents = purchases.with_columns(cents=(nw.col("spend") * 100).round().cast(nw.Int64))
    of_all = cents.with_columns(all_cents=nw.col("cents").sum().over("customer_id").cast(nw.Int64))
    ranked = of_all.with_columns(
        rank=nw.col("cents").rank("min", descending=True).over("customer_id").cast(nw.Int64),
    )
    return ranked.select("customer_id", "category", share=ratio(nw.col("cents"), nw.col("all_cents")), rank=nw.col("rank"))
