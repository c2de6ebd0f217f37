"""The season a forecast is for: a model of habits expects trade to go on as it did, and after December it does not."""

from dataclasses import replace

import narwhals.stable.v2 as nw
import numpy as np
import pandas as pd

from promo_helpers.models.response import Forecast, Response
from promo_helpers.shop import Shop

BEFORE, WINDOW = 28, 14  # days: of the newest habits that a prediction leans on, and of the offer
YEAR = 364  # days: the same weekdays a year ago


def daily_units(shop: Shop) -> pd.Series:
    """Units sold in the whole shop by day, from its first day to its last; 0 where nothing was sold."""
    lines = shop.lazy("transactions").filter(nw.col("units") > 0).select(nw.col("time").dt.truncate("1d").alias("day"), "units")
    found = lines.group_by("day").agg(nw.col("units").sum()).collect("pandas").to_native().set_index("day")["units"].sort_index()
    return found.reindex(pd.date_range(found.index[0], found.index[-1]), fill_value=0).astype(float)


def pace(units: pd.Series, days: pd.DatetimeIndex) -> np.ndarray:
    """[day] units a day in the window after each day over those of the weeks before it; missing where the data do not cover both."""
    total = np.append(0.0, np.cumsum(units.to_numpy()))
    place = (days.normalize() - units.index[0]).days.to_numpy()
    inside = (place >= BEFORE) & (place + 1 + WINDOW <= len(units))
    at = np.where(inside, place, BEFORE)
    end = np.minimum(at + 1 + WINDOW, len(units))
    ahead = (total[end] - total[np.minimum(at + 1, len(units))]) / WINDOW
    back = (total[at] - total[at - BEFORE]) / BEFORE
    return np.where(inside & (back > 0), ahead / np.maximum(back, 1e-9), np.nan)


def level(units: pd.Series, learnt: pd.DatetimeIndex, day: pd.Timestamp) -> tuple[float, str]:
    """By how much trade after `day` should exceed what a model expects that learnt from contacts on the days `learnt`; and a sentence.

    The pace of the shop's trade after the same day a year ago, over its mean after the days learnt from. A rough number without an
    interval; 1 where there is no year to look back on.
    """
    then, usual = pace(units, pd.DatetimeIndex([day - pd.Timedelta(days=YEAR)]))[0], pace(units, learnt)
    if not np.isfinite(then) or not np.isfinite(usual).any():
        return 1.0, "There is no year to look back on, so the season ahead is taken to be like the one that the trial saw."
    found = float(then / np.nanmean(usual))
    change = f"{100 * abs(found - 1):.0f} % {'more' if found > 1 else 'less'}"
    return (
        found,
        f"After the same day a year ago the shop sold {change} than the weeks before suggested; the forecast takes that to come again.",
    )


def at_level(response: Response, found: Forecast, features: pd.DataFrame, times: float) -> Forecast:
    """A forecast with all units times a level: what a contact costs does not change with the season, what it sells does."""
    sent = np.arange(found.gain.shape[1]) > 0
    cost = response.costs.of(features)[:, None] * sent
    discount = times * found.discount
    return replace(
        found, units=times * found.units, redeemed=times * found.redeemed, revenue=times * found.revenue, discount=discount,
        spend=discount + response.costs.message * sent, gain=times * (found.gain + cost) - cost,
        buys=response._buys(times * found.units, times * found.redeemed),
    )  # fmt: skip
