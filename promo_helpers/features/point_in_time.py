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
