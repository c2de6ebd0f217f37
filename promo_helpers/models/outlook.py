"""One customer, one sentence: when she will be back, with what, and when to write to her, from saved models."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from promo_helpers.evaluate.waiting import of_curve
from promo_helpers.features.baskets import ClassDays
from promo_helpers.features.purchases import Purchases
from promo_helpers.features.waiting import WEEKDAYS, ShoppingDays, known
from promo_helpers.models.daily import daily_curve
from promo_helpers.models.labels import Labels
from promo_helpers.models.next_product import own_share, without_owned
from promo_helpers.models.send_time import Habit, day_kernel, hour_kernel, own_hours, visits


@dataclass(frozen=True)
class Outlook:
    """What is expected of one customer. Days count from `moment` (1 is that day); above `horizon` they mean later."""

    customer: str
    cold: bool  # no history: everybody's habits stand in
    moment: pd.Timestamp
    middle: int
    low: int
    high: int
    horizon: int
    back: float  # chance of coming within the horizon
    what: str  # class of product
    chance: float  # that a product drawn from her next basket is of it
    weekday: int  # 0 for Monday: the habit
    hour: int


def part_of_day(hour: int) -> str:
    """Morning (5 to 11), afternoon (12 to 16), evening (17 to 21) or night. Raises ValueError for no hour of a day."""
    if not 0 <= hour < 24:
        raise ValueError(f"hour = {hour}: must lie in 0 .. 23")
    return "morning" if 5 <= hour < 12 else "afternoon" if 12 <= hour < 17 else "evening" if 17 <= hour < 22 else "night"


def sending_day(outlook: Outlook) -> int:
    """Days from now (0 is today): of the days in the interval that fall on her weekday, the one nearest to the middle; else the middle."""
    days = np.arange(outlook.low, min(outlook.high, outlook.horizon) + 1)
    hers = days[(outlook.moment.weekday() + days - 1) % 7 == outlook.weekday]
    if not len(hers):
        return min(outlook.middle, outlook.horizon) - 1
    return int(hers[np.argmin(np.abs(hers - outlook.middle))]) - 1


def sentence(outlook: Outlook) -> str:
    """The sentence that a marketer reads: in brackets the interval of her next visit, in days from now (0 is today).

    A customer without history is named as a cold start, a long silence as such.
    """
    what = outlook.what.lower()
    offer = f"{'an' if what[:1] in 'aeiou' else 'a'} {what} offer"
    who = named(outlook.customer) + (" (cold start: no history, so everybody's habits)" if outlook.cold else "")
    part = part_of_day(outlook.hour)
    if outlook.middle > outlook.horizon:
        at = f"at {part}" if part == "night" else f"in the {part}"
        return (
            f"Do not time an offer to {who}: the chance of coming within {outlook.horizon} days is {outlook.back:.0%}; "
            f"to win back, {offer} {at} is the best guess."
        )
    day = sending_day(outlook)
    name = WEEKDAYS[(outlook.moment.weekday() + day) % 7]
    last = f"{outlook.high - 1}" if outlook.high <= outlook.horizon else f"{outlook.horizon} or more"
    away = "today" if day == 0 else "tomorrow" if day == 1 else f"about {day} days from now"
    return f"Send {who} {offer} on {name} {part}, {away} ({outlook.low - 1} to {last})."


def named(customer: str) -> str:
    """A customer's id, with the word before it where it is a bare number."""
    return f"customer {customer}" if customer.isdigit() else customer


def reasons(outlook: Outlook) -> str:
    """What the sentence rests on, in one more: time, product and their chances."""
    date = outlook.moment + pd.Timedelta(days=min(outlook.middle, outlook.horizon) - 1)
    when = f"by {date:%A %d %B %Y} with a chance of one half" if outlook.middle <= outlook.horizon else "later than that"
    who = named(outlook.customer)
    return (
        f"{who[:1].upper()}{who[1:]} is expected back {when}, within {outlook.horizon} days with a chance of {outlook.back:.0%}; "
        f"a product of the next basket is from {outlook.what} with a chance of {outlook.chance:.0%}."
    )


def outlook(
    customer: str, moment: int, purchases: Purchases, classes: ClassDays, timing: Mapping[str, Any], what: Mapping[str, Any]
) -> Outlook:
    """The outlook of a customer as of the midnight that begins day `moment`, from the parts of two saved models (`timing`, `what`).

    A customer whom the shop does not know, or has never sold to, is a cold start. Raises ValueError for a moment outside the data.
    """
    days = ShoppingDays.of(purchases)
    table = known(days, moment)
    number = purchases.customers.get_indexer([customer])[0]
    mine = table[table["customer"] == number] if number >= 0 else table.iloc[:0]
    horizon = int(timing["settings"]["horizon"])
    curve = timing["everybody"][None, :]
    if len(mine):
        first = days.weekday(np.full(1, moment))
        curve = daily_curve(timing["daily"], mine, first, horizon, list(timing["settings"]["columns"])).curve
    forecast = of_curve(curve)
    labels, prior = Labels.from_frame(what["labels"]), what["labels"].sort_values("number")["share"].to_numpy()
    past = classes.counts(0, moment, np.array([number])) if len(mine) else np.zeros((1, len(classes.classes)))
    place = labels.encode(
        classes.classes
    )  # the classes of the data in the model's numbers; what the model does not know is left out
    counted = np.zeros((1, len(prior)))
    counted[:, place[place >= 0]] = past[:, place >= 0]
    chance = own_share(counted, prior, float(what["settings"]["weight"]))
    durable = np.isin(labels.names, list(what["settings"]["durable"]))
    chance = np.nan_to_num(without_owned(chance, counted > 0, durable))[0]
    hours, weekdays = visits(purchases, 0, moment) if len(mine) else (np.zeros((1, 24)), np.zeros((1, 7)))
    row = [number] if len(mine) else [0]
    best = int(chance.argmax())
    assert forecast.low is not None
    assert forecast.high is not None
    assert curve is not None
    return Outlook(
        customer=customer,
        cold=not len(mine),
        moment=pd.Timestamp(purchases.moment(moment)),
        middle=int(forecast.middle[0]),
        low=int(forecast.low[0]),
        high=int(forecast.high[0]),
        horizon=horizon,
        back=float(curve[0, -1]),
        what=labels.decode([best])[0],
        chance=float(chance[best]),
        weekday=int(_habit(timing["weekdays"], "day").foretold(weekdays[row])[0].argmax()),
        hour=round(float(own_hours(_habit(timing["hours"], "hour"), hours[row])[0])) % 24,
    )


def habit_frame(habit: Habit) -> pd.DataFrame:
    """A habit as it is saved: base, prior and strength, one row per hour or weekday."""
    return pd.DataFrame({"base": habit.base, "prior": habit.prior, "strength": habit.strength})


def _habit(frame: pd.DataFrame, kind: str) -> Habit:
    strength = float(frame["strength"].iloc[0])
    kernel = hour_kernel(strength) if kind == "hour" else day_kernel(strength)
    return Habit(frame["base"].to_numpy(), frame["prior"].to_numpy(), kernel, strength)
