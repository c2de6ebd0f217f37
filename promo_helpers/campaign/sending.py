"""When to write to each customer: the day and the hour, from the saved model of timing."""

import numpy as np
import pandas as pd

from promo_helpers.campaign.kit import Kit
from promo_helpers.features.waiting import ShoppingDays, known
from promo_helpers.models.daily import daily_curve
from promo_helpers.models.outlook import sending_day
from promo_helpers.models.send_time import HOURS, Habit, best_hours, circular_mean, hour_kernel, visits

WITHIN = 7  # days: a campaign is sent within a week, so that its windows are over within three
EARLIEST, LATEST = 8, 21  # hours at which a message is no nuisance


def hours(kit: Kit, customers: np.ndarray) -> np.ndarray:
    """[customer id] hour to write at, 8 to 21: her habit of hours drawn towards everybody's, or, without a model, the shop's mean hour."""
    counts = visits(kit.purchases, 0, kit.purchases.days)[0]
    if kit.timing is None or "hours" not in kit.timing:
        everybody = circular_mean(counts.sum(axis=0)[None, :])[0]
        found = np.full(len(customers), everybody)
    else:
        frame, settings = kit.timing["hours"], kit.timing["settings"]
        strength = float(frame["strength"].iloc[0])
        habit = Habit(frame["base"].to_numpy(), frame["prior"].to_numpy(), hour_kernel(strength), strength)
        number = kit.purchases.customers.get_indexer(customers)
        mine = np.where(number[:, None] >= 0, counts[number], 0)
        found = best_hours(habit, mine, float(settings["hour_for_all"]))[settings["hour_method"]]
    return np.clip(np.round(found).astype(int) % HOURS, EARLIEST, LATEST)


def days(kit: Kit, customers: np.ndarray, date: pd.Timestamp, within: int = WITHIN) -> np.ndarray:
    """[customer id] midnight of the day to write on, from `date` on, at most `within` days: the likeliest day of a visit by the saved
    daily chances, never after the one by which she is as likely as not to have come. Without model or history it is `date`."""
    start = np.datetime64(date.normalize(), "ns")
    if kit.timing is None:
        return np.full(len(customers), start)
    shopping = ShoppingDays.of(kit.purchases)
    table = known(shopping, kit.purchases.days)
    number = kit.purchases.customers.get_indexer(customers)
    place = pd.Index(table["customer"]).get_indexer(number)
    mine = table.iloc[np.maximum(place, 0)].reset_index(drop=True)
    first = np.full(len(mine), date.weekday())
    settings = kit.timing["settings"]
    length = min(within, int(settings["horizon"]))
    curve = daily_curve(kit.timing["daily"], mine, first, length, list(settings["columns"])).curve
    assert curve is not None
    middle = 1 + (curve < 0.5).sum(axis=1)
    day = np.array([sending_day(c, 1, int(m)) for c, m in zip(curve, middle, strict=True)], int).reshape(-1)
    return start + np.where(place >= 0, day - 1, 0).astype("timedelta64[D]")
