"""One row per product: how many buy it, how often again, at what price and discount."""

from datetime import datetime

import narwhals.stable.v2 as nw

from promo_helpers.features.point_in_time import DAY, Frame, count_if, past, ratio, total

RECENT = 28 * DAY  # seconds: four whole weeks, so that every weekday counts alike


def product_features(lines: Frame, as_of: datetime) -> Frame:
    """Features of every product with a line before the moment.

    buyers (customers), baskets, units, sales (currency), units_28 (in the last four weeks), repeat_rate (buyers who bought it in two
    baskets or more), popularity (buyers / all customers seen), price_list and price_paid (means per unit), discount_share,
    promo_share (units sold below list price), age (days since first sold).
    """
    earlier = past(lines, as_of).with_columns(
        promo_units=nw.when(nw.col("discount") > 0).then(nw.col("units")).otherwise(0),
        units_28=nw.when(nw.col("age") <= RECENT).then(nw.col("units")).otherwise(0),
    )
    pairs = earlier.group_by("customer_id", "product_id").agg(
        nw.col("basket_id").n_unique().cast(nw.Int64).alias("baskets"),
        nw.col("age").max(),
        *(total(c) for c in ("units", "units_28", "promo_units", "list_cents", "paid_cents")),
    )
    customers = earlier.select("customer_id").unique().select(nw.len().cast(nw.Int64).alias("customers"))
    frame = pairs.group_by("product_id").agg(
        nw.len().cast(nw.Int64).alias("buyers"),
        count_if(nw.col("baskets") > 1).alias("again"),
        nw.col("age").max(),
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
        age=nw.col("age") / DAY,
    )
