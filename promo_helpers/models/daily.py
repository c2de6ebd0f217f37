"""The chance of coming on each of the days ahead: a survival model in days, which knows weekdays and who is still waiting.

Each customer and moment becomes one row per day until she comes, is lost from sight, or the horizon ends (Singer and Willett 1993).
Multiplying up gives the whole distribution of the wait.
"""

import lightgbm as lgb
import numpy as np
import pandas as pd

from promo_helpers.evaluate.waiting import Forecast, of_curve
from promo_helpers.features.waiting import WEEKDAYS
from promo_helpers.models.timing import booster

SHARES = [f"share_{d[:3].lower()}" for d in WEEKDAYS]


def ahead(
    rows: pd.DataFrame, first_weekday: np.ndarray, length: np.ndarray, columns: list[str]
) -> tuple[pd.DataFrame, np.ndarray]:
    """One row for each of the `length` days after each moment, and the row it came from.

    Columns: those given (the weekday shares become one, `habit`: the share of her shopping days that fall on that weekday), `ahead`
    (1, 2, ... days after the moment) and `weekday` (0 for Monday).
    """
    source = np.repeat(np.arange(len(rows)), length)
    step = np.arange(len(source)) - np.repeat(np.cumsum(length) - length, length)
    weekday = (first_weekday[source] + step) % 7
    plain = [c for c in columns if c not in SHARES]
    table = {c: rows[c].to_numpy(float)[source] for c in plain}
    table["ahead"] = step + 1.0
    table["weekday"] = weekday.astype(float)
    if set(SHARES) <= set(columns):
        table["habit"] = rows[SHARES].to_numpy(float)[source, weekday]
    return pd.DataFrame(table), source


def fit_daily(rows: pd.DataFrame, first_weekday: np.ndarray, horizon: int, columns: list[str], seed: int) -> lgb.Booster:
    """Fit the chance of shopping on a day, given that she has not yet. Who is still waiting counts for the days she was followed."""
    length = np.minimum(rows["wait"].to_numpy(), horizon)
    table, source = ahead(rows, first_weekday, length, columns)
    came = rows["seen"].to_numpy(bool)[source] & (table["ahead"].to_numpy() == rows["wait"].to_numpy()[source])
    return booster(table, came.astype(float), seed)


def daily_curve(model: lgb.Booster, rows: pd.DataFrame, first_weekday: np.ndarray, horizon: int, columns: list[str]) -> Forecast:
    """The chances multiplied up."""
    table, _ = ahead(rows, first_weekday, np.full(len(rows), horizon), columns)
    chance = np.asarray(model.predict(table[model.feature_name()], num_threads=1)).reshape(len(rows), horizon)
    return of_curve(1 - np.cumprod(1 - chance, axis=1))
