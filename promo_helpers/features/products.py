"""One row per product: how many buy it, how often again, at what price and discount."""

from datetime import datetime

import narwhals.stable.v2 as nw

from promo_helpers.features.pairs import pair_sums
from promo_helpers.features.point_in_time import DAY, Frame, count_if, ratio, total


def product_features(lines: Frame, as_of: datetime) -> Frame:
    """Features of every product with a line before the moment.

    buyers (customers), baskets, units, sales (currency), units_28 (in the last four weeks), repeat_rate (buyers who bought it in two
    baskets or more), popularity (buyers / all customers seen), price_list and price_paid (means per unit), discount_share,
    promo_share (units sold below list price), age (days since first sold).
    """
    return product_features_of(pair_sums(lines, as_of))


def product_features_of(pairs: Frame) -> Frame:
    """The same from `pair_sums`."""
    customers = pairs.select("customer_id").unique().select(nw.len().cast(nw.Int64).alias("customers"))
    frame = pairs.group_by("product_id").agg(
        nw.len().cast(nw.Int64).alias("buyers"),
        count_if(nw.col("baskets") > 1).alias("again"),
        nw.col("first").max(),
        *(total(c) for c in ("baskets", "units", "units_28", "promo_units", "list_cents", "paid_cents")),
    )
    units = nw.col("units")
    return frame.join(customers, how="cross").select(
        "product_id",
        "buyers",
        "baskets",
        "units",
        "units_28",
        sales=nw.col("paid_cents") / 100,
        repeat_rate=ratio(nw.col("again"), nw.col("buyers")),
        popularity=ratio(nw.col("buyers"), nw.col("customers")),
        price_list=ratio(nw.col("list_cents"), units) / 100,
        price_paid=ratio(nw.col("paid_cents"), units) / 100,
        discount_share=1 - ratio(nw.col("paid_cents"), nw.col("list_cents")),
        promo_share=ratio(nw.col("promo_units"), units),
        age=nw.col("first") / DAY,
    )
