"""The past of a moment: the only door through which features see a shop."""

from datetime import datetime
from typing import Any

import narwhals.stable.v2 as nw

DAY = 86_400  # seconds
Frame = nw.LazyFrame[Any]


def past(frame: Frame, as_of: datetime) -> Frame:
    """The rows strictly before the moment, with `age`, the whole seconds from each to it.

    Raises ValueError for a moment with a time zone: a shop's clock is local.
    """
    if as_of.tzinfo is not None:
        raise ValueError(f"as_of = {as_of}: give the shop's local time, without a time zone")
    moment, time = nw.lit(as_of), nw.col("time")
    if frame.implementation.is_spark_like():  # Narwhals has no total_seconds there, but a timestamp is cast to its seconds
        age = moment.cast(nw.Int64) - time.cast(nw.Int64)
    else:
        age = (moment - time).dt.total_seconds().cast(nw.Int64)
    return frame.filter(time < moment).with_columns(age=age)


def total(column: str) -> nw.Expr:
    """The exact sum of a column of whole numbers."""
    return nw.col(column).sum().cast(nw.Int64)


def count_if(condition: nw.Expr) -> nw.Expr:
    """In how many rows a condition holds (missing counts as no)."""
    return condition.fill_null(False).cast(nw.Int64).sum().cast(nw.Int64)


def ratio(above: nw.Expr, below: nw.Expr) -> nw.Expr:
    """A quotient, missing where the denominator is zero."""
    return above.cast(nw.Float64) / nw.when(below != 0).then(below.cast(nw.Float64))


def spread(n: nw.Expr, first: nw.Expr, second: nw.Expr) -> nw.Expr:
    """Standard deviation (n - 1) from exact sums: n rows, sum, sum of squares; missing below two rows."""
    n, first, second = (e.cast(nw.Float64) for e in (n, first, second))
    variance = (second - first * first / n) / nw.when(n > 1).then(n - 1)
    return nw.when(variance > 0).then(variance).otherwise(variance * 0).sqrt()


RECENT = 30 * DAY  # seconds
TREND = 90 * DAY


def customer_features(lines: Frame, as_of: datetime, contacts: Frame | None = None) -> Frame:
    """Features of every customer with a line before the moment; money in the shop's currency, times in days, shares 0 to 1.

    recency, tenure (days since the last and the first line), frequency (baskets), trip_days, monetary (spend), units, lines,
    products, spend_mean and spend_sd (of a basket), basket_units, gap_mean (days between days of shopping), spend_30 and spend_trend
    (log of spend in the last 90 days against the 90 before, each plus 1), weekend_share, morning_share, evening_share, mean_hour,
    discount_share (off the list value), promo_share (units bought below list price), promo_depth (mean discount of those lines).
    With contacts: contacts_30, contacts_all (offers sent), redeemed_share (of them). A reminder is an offer; the arm `none` is not.
    """
    earlier = past(lines, as_of).with_columns(
        promoted=(nw.col("discount") > 0).fill_null(False).cast(nw.Int64),
        day=nw.col("time").dt.truncate("1d"),
        hour=nw.col("time").dt.hour().cast(nw.Int64),
        weekday=nw.col("time").dt.weekday().cast(nw.Int64),
    )
    earlier = earlier.with_columns(
        promo_units=nw.col("units") * nw.col("promoted"),
        promo_list=nw.col("list_cents") * nw.col("promoted"),
        promo_paid=nw.col("paid_cents") * nw.col("promoted"),
    )
    sums = ("units", "list_cents", "paid_cents", "promo_units", "promo_list", "promo_paid")
    baskets = earlier.group_by("customer_id", "basket_id").agg(
        nw.col("age").min(),
        nw.col("day").min(),
        nw.col("hour").min(),
        nw.col("weekday").min(),
        nw.len().cast(nw.Int64).alias("lines"),
        *(total(c) for c in sums),
    )
    baskets = baskets.with_columns(square=nw.col("paid_cents") * nw.col("paid_cents"))
    # Narwhals calls Sunday 7 on DuckDB and 0 on Spark
    recent, before = nw.col("age") <= TREND, (nw.col("age") > TREND) & (nw.col("age") <= 2 * TREND)
    frame = baskets.with_columns(
        paid_30=nw.when(nw.col("age") <= RECENT).then(nw.col("paid_cents")).otherwise(0),
        paid_90=nw.when(recent).then(nw.col("paid_cents")).otherwise(0),
        paid_180=nw.when(before).then(nw.col("paid_cents")).otherwise(0),
    )
    frame = frame.group_by("customer_id").agg(
        nw.col("age").min().alias("last"),
        nw.col("age").max().alias("first"),
        nw.len().cast(nw.Int64).alias("frequency"),
        nw.col("day").n_unique().cast(nw.Int64).alias("trip_days"),
        *(total(c) for c in (*sums, "lines", "square", "hour", "paid_30", "paid_90", "paid_180")),
        count_if(nw.col("weekday").is_in([6, 7, 0])).alias("weekend"),
        count_if(nw.col("hour") < 12).alias("morning"),
        count_if(nw.col("hour") >= 17).alias("evening"),
    )
    kinds = (
        earlier.select("customer_id", "product_id")
        .unique()
        .group_by("customer_id")
        .agg(nw.len().cast(nw.Int64).alias("products"))
    )
    frame = frame.join(kinds, on="customer_id", how="left")
    n = nw.col("frequency")
    frame = frame.select(
        "customer_id",
        recency=nw.col("last") / DAY,
        tenure=nw.col("first") / DAY,
        frequency=n,
        trip_days=nw.col("trip_days"),
        monetary=nw.col("paid_cents") / 100,
        units=nw.col("units"),
        lines=nw.col("lines"),
        products=nw.col("products"),
        spend_mean=ratio(nw.col("paid_cents"), n) / 100,
        spend_sd=spread(n, nw.col("paid_cents"), nw.col("square")) / 100,
        basket_units=ratio(nw.col("units"), n),
        gap_mean=ratio(nw.col("first") - nw.col("last"), nw.col("trip_days") - 1) / DAY,
        spend_30=nw.col("paid_30") / 100,
        spend_trend=(nw.col("paid_90").clip(lower_bound=0) / 100 + 1).log()
        - (nw.col("paid_180").clip(lower_bound=0) / 100 + 1).log(),
        weekend_share=ratio(nw.col("weekend"), n),
        morning_share=ratio(nw.col("morning"), n),
        evening_share=ratio(nw.col("evening"), n),
        mean_hour=ratio(nw.col("hour"), n),
        discount_share=1 - ratio(nw.col("paid_cents"), nw.col("list_cents")),
        promo_share=ratio(nw.col("promo_units"), nw.col("units")),
        promo_depth=1 - ratio(nw.col("promo_paid"), nw.col("promo_list")),
    )
    return (
        frame
        if contacts is None
        else frame.join(contact_features(contacts, as_of), on="customer_id", how="left").with_columns(
            nw.col("contacts_30", "contacts_all").fill_null(0)
        )
    )


def contact_features(contacts: Frame, as_of: datetime) -> Frame:
    """Offers sent before the moment. A redemption is known only once the window is over, so younger contacts do not count for it."""
    window = 14 * DAY
    sent = past(contacts, as_of).filter(nw.col("arm") != "none")
    over = nw.col("age") > window
    counts = sent.group_by("customer_id").agg(
        count_if(nw.col("age") <= RECENT).alias("contacts_30"),
        nw.len().cast(nw.Int64).alias("contacts_all"),
        count_if(over).alias("over"),
        count_if(over & nw.col("redeemed").fill_null(False)).alias("redeemed"),
    )
    return counts.select("customer_id", "contacts_30", "contacts_all", redeemed_share=ratio(nw.col("redeemed"), nw.col("over")))


FOUR_WEEKS = 28 * DAY  # seconds: four whole weeks, so that every weekday counts alike


def pair_sums(lines: Frame, as_of: datetime) -> Frame:
    """One row per customer and product bought before the moment, with the exact sums that `interactions` and `product_features` share:
    baskets, last and first (seconds to the moment), units, units_28 (in the last four weeks), promo_units, list_cents, paid_cents."""
    earlier = past(lines, as_of).with_columns(
        promo_units=nw.when(nw.col("discount") > 0).then(nw.col("units")).otherwise(0),
        units_28=nw.when(nw.col("age") <= FOUR_WEEKS).then(nw.col("units")).otherwise(0),
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
