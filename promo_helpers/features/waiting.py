"""How long until a customer shops again: what is known of her at a moment, and what then happened."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from promo_helpers.features.purchases import Purchases

WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
FEATURES = (
    "recency", "tenure", "shopping_days", "rate", "gap_mean", "gap_median", "gap_last", "gap_spread", "days_28", "days_84",
    "spend_mean", "spend_84", *(f"share_{d[:3].lower()}" for d in WEEKDAYS),
)  # fmt: skip
RECENT, LATELY = 28, 84  # days


@dataclass(frozen=True)
class ShoppingDays:
    """Each customer and day of shopping once, ordered by customer and day: arrays of equal length.

    who: number of the customer. day: days since `start`. spend: in the shop's currency. `length` is the number of days of the data,
    after which nothing is known.
    """

    start: pd.Timestamp
    length: int
    who: np.ndarray
    day: np.ndarray
    spend: np.ndarray

    @classmethod
    def of(cls, purchases: Purchases) -> "ShoppingDays":
        """The days of all purchases; several baskets of a day are one."""
        if not len(purchases.who):
            return cls(purchases.start, 0, purchases.who, purchases.day, purchases.cents / 100)
        new = np.append(True, (np.diff(purchases.who) != 0) | (np.diff(purchases.day) != 0))
        first = np.flatnonzero(new)
        spend = np.add.reduceat(purchases.cents, first) / 100
        return cls(purchases.start, purchases.days, purchases.who[first], purchases.day[first], spend)

    def weekday(self, day: np.ndarray | int) -> np.ndarray:
        """0 for Monday to 6 for Sunday."""
        return np.asarray((np.asarray(day) + self.start.weekday()) % 7)


def known_at(days: ShoppingDays, moment: int) -> pd.DataFrame:
    """What is known of each customer who shopped before the midnight that begins day `moment`: one row each, ordered by customer.

    Columns customer (number), then FEATURES: recency, tenure (days since the last and the first day of shopping), shopping_days, rate
    (shopping days per day of tenure), gap_mean, gap_median, gap_last (days between shopping days; missing for one), gap_spread
    (standard deviation; missing below three), days_28, days_84 (shopping days lately), spend_mean (a shopping day), spend_84,
    share_mon .. share_sun (of her shopping days). Raises ValueError for a moment outside the data.
    """
    if not 0 < moment <= days.length:
        raise ValueError(f"moment = {moment}: must lie in 1 .. {days.length}, the days of the data")
    rows = days.day < moment
    who, day, spend = days.who[rows], days.day[rows].astype(np.int64), days.spend[rows]
    customers, place, count = np.unique(who, return_inverse=True, return_counts=True)
    last = np.cumsum(count) - 1
    first = last - count + 1
    gap = np.diff(day)
    within = np.diff(who) == 0
    gaps = pd.Series(gap[within], dtype=float).groupby(place[1:][within])
    number = np.arange(len(customers))
    weekday = np.bincount(place * 7 + days.weekday(day), minlength=7 * len(customers)).reshape(-1, 7)
    tenure = (moment - day[first]).astype(float)
    lately = moment - day <= LATELY
    table = {
        "customer": customers,
        "recency": (moment - day[last]).astype(float),
        "tenure": tenure,
        "shopping_days": count.astype(float),
        "rate": count / tenure,
        "gap_mean": gaps.mean().reindex(number).to_numpy(),
        "gap_median": gaps.median().reindex(number).to_numpy(),
        "gap_last": gaps.last().reindex(number).to_numpy(),
        "gap_spread": gaps.std().reindex(number).to_numpy(),
        "days_28": np.bincount(place, moment - day <= RECENT, len(customers)),
        "days_84": np.bincount(place, lately, len(customers)),
        "spend_mean": np.bincount(place, spend, len(customers)) / count,
        "spend_84": np.bincount(place, spend * lately, len(customers)),
    }
    return pd.DataFrame(table | {f"share_{d[:3].lower()}": weekday[:, i] / count for i, d in enumerate(WEEKDAYS)})


def waits(days: ShoppingDays, customers: np.ndarray, moment: int, until: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Days until each customer next shops, and whether that was seen: 1 is the day that begins at the moment.

    Nothing after day `until` (the end of the data unless given) is looked at: who has not shopped by then is still waiting, and the
    wait is longer than the number that stands there.
    """
    until = days.length if until is None else min(until, days.length)
    width = days.length + 1
    key = days.who.astype(np.int64) * width + days.day
    place = np.searchsorted(key, np.asarray(customers, np.int64) * width + moment)
    inside = np.minimum(place, len(key) - 1)
    seen = (place < len(key)) & (days.who[inside] == customers) & (days.day[inside] < until)
    return np.where(seen, days.day[inside] - moment + 1, until - moment).astype(np.int64), seen


def newcomers(days: ShoppingDays, customers: np.ndarray, first: int, until: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of customers whose first day is in first .. until - 1: days from it to their second, whether that was seen, and their numbers.

    Nothing from day `until` on is looked at: who has not come again by then has waited for longer than the number that stands there.
    A `first` well after the data begin keeps out those who had only not been seen yet.
    """
    rows = np.flatnonzero(np.isin(days.who, customers) & (days.day < until))
    who, day = days.who[rows], days.day[rows].astype(np.int64)
    begins = np.flatnonzero(np.append(True, np.diff(who) != 0)[: len(who)])
    again = np.append(np.diff(begins), len(who) - begins[-1:]) > 1
    wait = np.where(again, day[np.minimum(begins + 1, len(day) - 1)], until - 1) - day[begins]
    mine = (day[begins] >= first) & (wait > 0)  # who came first on the last day has not been followed at all
    return wait[mine], again[mine], who[begins][mine]


def moments(
    days: ShoppingDays, dates: Sequence[int], customers: np.ndarray | None = None, until: int | None = None
) -> pd.DataFrame:
    """`known_at` at each of the dates, below each other, with date, wait and seen (`waits`), for the customers named (default: all)."""
    frames = []
    for date in dates:
        frame = known_at(days, date)
        if customers is not None:
            frame = frame[np.isin(frame["customer"], customers)].reset_index(drop=True)
        wait, seen = waits(days, frame["customer"].to_numpy(), date, until)
        frames.append(frame.assign(date=date, wait=wait, seen=seen))
    return pd.concat(frames, ignore_index=True)


def part_sizes(days: ShoppingDays, parts: Mapping[str, pd.DataFrame], horizon: int) -> pd.DataFrame:
    """One row per part of `moments`: rows (its name), dates, first, last, customers, number, later (share that waited beyond the
    horizon) and never (share that was not seen to come at all)."""
    table = []
    for name, part in parts.items():
        first, last = (days.start + pd.Timedelta(days=int(d)) for d in (part["date"].min(), part["date"].max()))
        later = float((~part["seen"] | (part["wait"] > horizon)).mean())
        never = float((~part["seen"]).mean())
        table.append((name, part["date"].nunique(), first, last, part["customer"].nunique(), len(part), later, never))
    return pd.DataFrame(table, columns=["rows", "dates", "first", "last", "customers", "number", "later", "never"])


@dataclass(frozen=True)
class Schedule:
    """As-of dates, as days of the data: models are fitted on `fit`, scored on `test`. Windows of `horizon` days don't overlap."""

    fit: list[int]
    test: list[int]
    horizon: int

    @property
    def cut(self) -> int:
        """What is fitted may look at nothing from this day on."""
        return self.fit[-1] + self.horizon


def schedule(length: int, horizon: int = 28, embargo: int = 14, tests: int = 6, fits: int = 6, history: int = 84) -> Schedule:
    """Dates for data of `length` days: the latest windows for testing, before them an embargo, before that the windows for fitting.

    Dates lie a horizon and a day apart, so that all weekdays take their turn; the first has `history` days before it. With too few
    days for what was asked there are fewer dates. Raises ValueError, with what is needed, where not even one and two remain.
    """
    step = horizon + 1
    last = length - horizon
    room = last - history - embargo - horizon  # between the last date of a test and the first one for fitting
    if room < step:
        need = history + embargo + 2 * horizon + step
        raise ValueError(f"{length} days of data: at least {need} are needed to fit on two dates and test on another one")
    both = room // step + 1  # dates that fit in: windows for fitting, and for testing one more than takes the embargo
    tests = max(1, min(tests, both // 2))
    first_test = last - (tests - 1) * step
    top = first_test - embargo - horizon
    fits = min(fits, (top - history) // step + 1)
    return Schedule([top - i * step for i in reversed(range(fits))], [first_test + i * step for i in range(tests)], horizon)


@dataclass(frozen=True)
class WaitForecast:
    """Per row, in days up to horizon + 1, which means later: `middle`, and where known `low`, `high` and the chances `curve`."""

    middle: np.ndarray
    low: np.ndarray | None = None
    high: np.ndarray | None = None
    curve: np.ndarray | None = None

    @property
    def mean(self) -> np.ndarray:
        """Mean of the wait cut at horizon + 1, of the curve; a forecast without one has only its middle."""
        return self.middle if self.curve is None else self.curve.shape[1] + 1 - self.curve.sum(axis=1)


def of_curve(curve: np.ndarray, level: float = 0.8) -> WaitForecast:
    """Median and central interval of a curve of chances [row, horizon]. A quantile is the first day by which its chance is reached."""
    curve = np.maximum.accumulate(np.clip(curve, 0.0, 1.0), axis=1)
    low, middle, high = (1.0 + (curve < q - 1e-12).sum(axis=1) for q in ((1 - level) / 2, 0.5, (1 + level) / 2))
    return WaitForecast(middle, low, high, curve)


def of_visits(expected: np.ndarray, shape: np.ndarray, loss: float = 0.0) -> WaitForecast:
    """The first visit of a Poisson process whose customer may be lost on the way, day by day.

    expected [row]: visits expected within the days ahead, loss counted. shape [row, day]: in what proportion visits fall on the days
    while she is there. loss: chance of being lost at the end of a day. One minus exp(-expected) would spread the loss over all days
    and so promise too many returns. What is left as an approximation: that baskets are as likely to be empty on each of the days.
    """
    there = (1 - loss) ** np.arange(shape.shape[1])  # of being there still, whether she has come or not
    weight = (shape * there).sum(axis=1)
    if not (weight > 0).all():
        raise ValueError(f"{(~(weight > 0)).sum()} rows of `shape` have no day on which a visit may fall: each needs one")
    each = np.exp(-shape * (expected / weight)[:, None])  # of not coming on a day
    waiting = np.cumprod(each, axis=1) * there
    before = np.column_stack([np.ones(len(each)), waiting[:, :-1] * (1 - loss)])
    return of_curve(np.cumsum(before * (1 - each), axis=1))


def of_points(points: np.ndarray, horizon: int) -> WaitForecast:
    """Forecasts that are one number of days each: cut to 1 .. horizon + 1. Raises ValueError where one is not finite."""
    if not np.isfinite(points).all():
        raise ValueError(f"{(~np.isfinite(points)).sum()} forecasts are not finite: each row needs a number of days")
    return WaitForecast(np.clip(np.asarray(points, float), 1.0, horizon + 1.0))
