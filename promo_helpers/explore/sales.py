"""Sales over time: days, weeks, hours, and the long run split into trend, season and rest."""

import numpy as np
import pandas as pd
from narwhals import stable
from scipy.stats import norm
from statsmodels.tsa.seasonal import STL
from statsmodels.tsa.stattools import acf

from promo_helpers.shop import TABLES, Shop

nw = stable.v2


def sizes(shop: Shop) -> pd.DataFrame:
    """One row per table: rows, columns, first and last day (missing where a table has no time, or is not there)."""
    rows = []
    for name in TABLES:
        if not shop.has(name):
            rows.append({"table": name, "rows": 0, "columns": 0, "first": None, "last": None})
            continue
        time = next((c for c in ("time", "start_date") if shop.has(name, c)), None)
        first, last = _range(shop, name, time) if time else (None, None)
        columns = sum(shop.has(name, c) for c in TABLES[name].names)
        rows.append({"table": name, "rows": shop.rows(name), "columns": columns, "first": first, "last": last})
    return pd.DataFrame(rows)


def _range(shop: Shop, table: str, time: str) -> tuple[str, str]:
    ends = (
        shop.lazy(table).select(nw.col(time).min().alias("first"), nw.col(time).max().alias("last")).collect("pandas").to_native()
    )
    return tuple(f"{pd.Timestamp(ends[c].iloc[0]):%Y-%m-%d}" for c in ("first", "last"))  # type: ignore[return-value]


def daily_sales(shop: Shop) -> pd.DataFrame:
    """Columns day, sales, listed (both in the shop's currency), units, baskets, customers; every day of the range has its row."""
    days = (
        shop.lazy("transactions")
        .with_columns(day=nw.col("time").dt.truncate("1d"))
        .group_by("day")
        .agg(
            nw.col("paid_cents").sum().cast(nw.Int64),
            nw.col("list_cents").sum().cast(nw.Int64),
            nw.col("units").sum().cast(nw.Int64),
            nw.col("basket_id").n_unique().alias("baskets"),
            nw.col("customer_id").n_unique().alias("customers"),
        )
        .collect("pandas")
        .to_native()
        .set_index("day")
        .sort_index()
    )
    days.index = pd.DatetimeIndex(days.index).astype("datetime64[us]")
    days = days.reindex(pd.date_range(days.index[0], days.index[-1], name="day"), fill_value=0)
    days["sales"], days["listed"] = days.pop("paid_cents") / 100, days.pop("list_cents") / 100
    return days.reset_index()[["day", "sales", "listed", "units", "baskets", "customers"]]


def weekly_sales(daily: pd.DataFrame) -> pd.DataFrame:
    """Columns week (its Monday), sales, listed, units, baskets; whole weeks only."""
    weeks = daily.assign(week=daily["day"] - pd.to_timedelta(daily["day"].dt.weekday, unit="D")).groupby("week")
    whole = weeks.size() == 7
    return weeks[["sales", "listed", "units", "baskets"]].sum()[whole].reset_index()


def week_hours(shop: Shop) -> pd.DataFrame:
    """Share of baskets by weekday (rows, Monday first) and hour of the day (columns 0 to 23); sums to 1."""
    counts = (
        shop.lazy("transactions")
        .group_by("basket_id")
        .agg(nw.col("time").min())
        .select(weekday=nw.col("time").dt.weekday(), hour=nw.col("time").dt.hour())
        .group_by("weekday", "hour")
        .agg(nw.len().alias("baskets"))
        .collect("pandas")
        .to_native()
        .pivot(index="weekday", columns="hour", values="baskets")
        .reindex(index=range(1, 8), columns=range(24))
        .fillna(0)
    )
    counts.index = pd.Index(["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"], name="weekday")
    return counts / counts.to_numpy().sum()


def decompose(daily: pd.DataFrame, measure: str = "sales") -> pd.DataFrame:
    """Columns day, observed, trend, week, rest: observed = trend + week + rest, by robust STL with a period of a week.

    Cleveland et al. (1990), in statsmodels. The trend bends over about a quarter; robustness keeps holidays in the rest.
    Raises ValueError for fewer than four weeks of days.
    """
    if len(daily) < 28:
        raise ValueError(f"{len(daily)} days are too few to tell a trend from a week; four weeks are the least")
    trend = min(91, (len(daily) // 2) | 1)
    fit = STL(daily[measure].to_numpy(dtype=float), period=7, seasonal=35, trend=trend, robust=True).fit()
    return pd.DataFrame(
        {"day": daily["day"], "observed": fit.observed, "trend": fit.trend, "week": fit.seasonal, "rest": fit.resid}
    )


def strength(parts: pd.DataFrame, part: str) -> float:
    """How much of the movement a part explains, 0 to 1: max(0, 1 - var(rest) / var(part + rest)) (Wang, Smith, Hyndman 2006)."""
    return float(max(0.0, 1 - parts["rest"].var() / (parts[part] + parts["rest"]).var()))


def autocorrelation(series: pd.Series, lags: int = 60, cap: float = 0.0) -> pd.DataFrame:
    """Columns lag (days, from 1), correlation, band: of a series without correlation all lags lie within +-band 19 times in 20.

    The band is Bonferroni's over the lags, normal for white noise. With `cap`, values beyond the cap and 1 - cap quantiles are
    brought to them first, so that no pair of holidays makes a peak by itself.
    """
    values = series.clip(series.quantile(cap), series.quantile(1 - cap)).to_numpy(dtype=float)
    lags = min(lags, len(values) // 2 - 1)
    correlation = acf(values, nlags=lags, fft=True, result_object=False)[1:]
    band = norm.ppf(1 - 0.05 / (2 * lags)) / np.sqrt(len(values))
    return pd.DataFrame({"lag": np.arange(1, lags + 1), "correlation": correlation, "band": band})
