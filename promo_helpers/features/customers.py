"""One row per customer: recency, frequency, spending, baskets, habits of day and hour, and what discounts had to do with it."""

from datetime import datetime

import narwhals.stable.v2 as nw

from promo_helpers.features.point_in_time import DAY, Frame, count_if, past, ratio, spread, total

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
