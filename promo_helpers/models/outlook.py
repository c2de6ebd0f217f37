"""One customer, one sentence: when she will be back, with what, and when to write to her, from saved models."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from promo_helpers.features.baskets import ClassDays
from promo_helpers.features.purchases import Purchases
from promo_helpers.features.waiting import ShoppingDays, WaitForecast, known_at, of_curve
from promo_helpers.models.next_product import personal_share, without_owned
from promo_helpers.models.saved import encoded
from promo_helpers.models.send_time import HOURS, Habit, best_hours, hour_kernel, visits
from promo_helpers.models.timing import daily_curve


@dataclass(frozen=True)
class Outlook:
    """What is expected of one customer. Days count from `moment` (1 is that day); above `horizon` they mean later."""

    customer: str
    cold: bool  # no history: what others did after a first visit stands in, and everybody's habits
    moment: pd.Timestamp
    middle: int
    low: int
    high: int
    horizon: int
    back: float  # chance of coming within the horizon
    what: str  # class of product
    chance: float  # that a product drawn from her next basket is of it
    send: int  # day to send on, not after `middle`
    hour: int


def part_of_day(hour: int) -> str:
    """Morning (5 to 11), afternoon (12 to 16), evening (17 to 21) or night. Raises ValueError for no hour of a day."""
    if not 0 <= hour < 24:
        raise ValueError(f"hour = {hour}: must lie in 0 .. 23")
    return "morning" if 5 <= hour < 12 else "afternoon" if 12 <= hour < 17 else "evening" if 17 <= hour < 22 else "night"


def sending_day(curve: np.ndarray, low: int, middle: int) -> int:
    """The day to send on, 1 for the moment's own: of the days low .. middle the one with the greatest chance of a visit, if none came yet.

    `curve` [horizon] is the chance to have come by each day; weekdays are in it already, where its model knows them. Never after
    `middle`, by which she is as likely as not to have come. Ties go to the later day. Raises ValueError where the days are none.
    """
    middle = min(middle, len(curve))
    if not 1 <= low <= middle:
        raise ValueError(f"low = {low}, middle = {middle}: must be 1 <= low <= middle, days of the {len(curve)} ahead")
    before = np.concatenate([[0.0], curve[:-1]])
    hazard = (curve - before) / np.maximum(1 - before, 1e-12)
    days = np.arange(low, middle + 1)[::-1]
    return int(days[np.argmax(np.round(hazard[days - 1], 9))])


def pick(forecast: WaitForecast, horizon: int, soonest: int = 4) -> dict[str, int]:
    """Rows to show: "regular", with the narrowest interval of those expected within the horizon, and "silent", not expected within it.

    The regular one is expected in `soonest` days or later, so that there is a day to choose, or else in any. What a shop does not
    have is not there. Ties go to the earlier row.
    """
    assert forecast.low is not None
    assert forecast.high is not None
    width, found = forecast.high - forecast.low, {}
    for some in (forecast.middle <= horizon, (forecast.middle <= horizon) & (forecast.middle >= soonest)):
        if some.any():
            found["regular"] = int(np.where(some, width, np.inf).argmin())
    if (forecast.middle > horizon).any():
        found["silent"] = int((forecast.middle > horizon).argmax())
    return found


def in_days(low: int, high: int, horizon: int) -> str:
    """An interval of days as a reader counts them, from now (0 is today): "4 to 9", "0 to 28 or more"."""
    return f"{low - 1} to " + (f"{high - 1}" if high <= horizon else f"{horizon} or more")


def sentence(outlook: Outlook) -> str:
    """The sentence that a marketer reads: the day to send on, and in brackets the interval of her next visit, in days from now.

    A customer without history is named as a cold start, a long silence as such.
    """
    what = outlook.what.lower()
    offer = f"{'an' if what[:1] in 'aeiou' else 'a'} {what} offer"
    who = named(outlook.customer) + (" (cold start: no history, so what others do after a first visit)" if outlook.cold else "")
    part = part_of_day(outlook.hour)
    at = "at night" if part == "night" else f"in the {part}"
    if outlook.middle > outlook.horizon:
        return (
            f"Do not time an offer to {who}: the chance of coming within {outlook.horizon} days is {outlook.back:.0%}; "
            f"to win back, {offer} {at} is the best guess."
        )
    date = outlook.moment + pd.Timedelta(days=outlook.send - 1)
    away = outlook.middle - 1
    back = "today" if away == 0 else "tomorrow" if away == 1 else f"in about {away} days"
    when = f"{date:%A} {date.day} {date:%B}"
    return f"Send {who} {offer} on {when} {at}; expected back {back} ({in_days(outlook.low, outlook.high, outlook.horizon)})."


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

    A customer whom the shop does not know, or has never sold to, is a cold start: told is what others did after a first visit, as if
    hers had been the day before. Raises ValueError for a moment outside the data.
    """
    days = ShoppingDays.of(purchases)
    table = known_at(days, moment)
    number = purchases.customers.get_indexer([customer])[0]
    mine = table[table["customer"] == number] if number >= 0 else table.iloc[:0]
    horizon = int(timing["settings"]["horizon"])
    curve = timing["newcomers"][None, :]
    if len(mine):
        first = days.weekday(np.full(1, moment))
        curve = daily_curve(timing["daily"], mine, first, horizon, list(timing["settings"]["columns"])).curve
    forecast = of_curve(curve)
    labels, prior = what["labels"], what.get("prior")
    if prior is None:
        raise ValueError("the saved model of next products was written by an older version: run 05_timing anew, which saves it")
    past = classes.counts(0, moment, np.array([number])) if len(mine) else np.zeros((1, len(classes.classes)))
    names = labels.categories_[0]
    # the classes of the data in the model's numbers; what the model does not know is left out
    place = encoded(labels, classes.classes)
    counted = np.zeros((1, len(prior)))
    counted[:, place[place >= 0]] = past[:, place >= 0]
    chance = personal_share(counted, prior, float(what["settings"]["weight"]))
    durable = np.isin(names, list(what["settings"]["durable"]))
    chance = np.nan_to_num(without_owned(chance, counted > 0, durable))[0]
    hours = visits(purchases, 0, moment)[0][[number]] if len(mine) else np.zeros((1, HOURS))
    told = best_hours(_habit(timing["hours"]), hours, float(timing["settings"]["hour_for_all"]))
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
        what=str(names[best]),
        chance=float(chance[best]),
        send=sending_day(curve[0], min(int(forecast.low[0]), horizon), int(forecast.middle[0])),
        hour=round(float(told[timing["settings"]["hour_method"]][0])) % HOURS,
    )


def habit_frame(habit: Habit) -> pd.DataFrame:
    """A habit as it is saved: base, prior and strength, one row per hour."""
    return pd.DataFrame({"base": habit.base, "prior": habit.prior, "strength": habit.strength})


def _habit(frame: pd.DataFrame) -> Habit:
    strength = float(frame["strength"].iloc[0])
    return Habit(frame["base"].to_numpy(), frame["prior"].to_numpy(), hour_kernel(strength), strength)
