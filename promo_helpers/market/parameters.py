"""Every number of the market: its default, its unit, its range and the reason for it."""

from dataclasses import dataclass, field, fields, replace
from datetime import date
from typing import Any, get_args, get_origin

import numpy as np
import pandas as pd

ARMS = ("none", "0", "5", "10", "15", "20", "25")  # as the column `arm` of the contacts spells them
DEPTHS = np.array([0.0, 0.0, 0.05, 0.10, 0.15, 0.20, 0.25])  # share of the list price that each arm takes off
WINDOW = 14  # days after the contact's day in which an offer holds
WEEKS = 6  # weeks after the window in which units that were brought forward are missing
SPAN = WINDOW + 7 * WEEKS  # days that one contact touches
FORMS = ("exponential", "breakeven", "threshold", "additive")  # forms of the response to depth
FIRST_START, LAST_START = date(1900, 1, 1), date(2200, 1, 1)  # of a calendar: what the clock of a table can hold
SEGMENTS = ("frequent", "regular", "occasional", "rare")


def setting(
    default: Any, unit: str, why: str, low: float | None = None, high: float | None = None, total: float | None = None
) -> Any:
    """A field with its unit, its reason, and the rule it keeps: bounds for each number, and the total of a tuple of shares."""
    return field(default=default, metadata={"unit": unit, "why": why, "low": low, "high": high, "total": total})


@dataclass(frozen=True)
class Parameters:
    """One market. Frozen: a variant is made with `dataclasses.replace`. Refuses impossible numbers with name, value and rule."""

    # how much of it there is
    customers: int = setting(20_000, "customers", "the profile `paper`", 1, 10_000_000)
    activity: float = setting(0.5, "ratio", "trips against the full market, whose volume is near Complete Journey's", 0.001, 3)
    lines: float = setting(
        627.0, "lines a customer", "over the calendar at activity 1; each block's trip rates are scaled to it", 1
    )
    trial_use: float = setting(0.69, "share", "of the six trial slots of a customer: about 60,000 contacts in `paper`", 0, 1)
    log_use: float = setting(1.0, "share", "of the seven campaigns of the old rule: about 100,000 contacts in `paper`", 0, 1)
    start: date = setting(date(2024, 7, 1), "date", "18 months that hold an April and two Decembers")  # noqa: RUF009
    days: int = setting(549, "days", "to 2025-12-31", 300, 2000)
    # people
    segment_share: tuple[float, ...] = setting((0.20, 0.45, 0.25, 0.10), "share", "seed 0's segments", 0, 1, total=1)
    segment_trips: tuple[float, ...] = setting((12.0, 6.0, 3.0, 1.0), "trips a month", "seed 0's segments", 0.01, 60)
    segment_basket: tuple[float, ...] = setting((8.0, 5.0, 3.0, 2.0), "units a trip", "seed 0's segments", 0.01, 60)
    rate_shape: float = setting(7.0, "gamma shape", "spread of trip rates in a segment; as spread as Complete Journey's", 0.5)
    main_trips: float = setting(0.3, "share", "of trips that are the large shopping of the week; the others top up", 0, 0.99)
    main_size: float = setting(2.3, "ratio", "units of a large trip against an average one; top-ups are as much smaller", 1, 10)
    basket_shape: float = setting(10.0, "gamma shape", "spread of basket sizes in a segment", 0.5)
    lifetime: float = setting(1500.0, "days", "mean time until a customer is lost: 30 % in 18 months", 30)
    joins: float = setting(0.15, "share", "of customers who register during the calendar", 0, 1)
    consent: float = setting(0.9, "share", "of customers who agree to marketing when they register", 0, 1)
    age_mean: float = setting(43.0, "years", "adult shoppers", 18, 85)
    age_spread: float = setting(14.0, "years", "standard deviation before cutting at 18 and 85", 1)
    female: float = setting(0.56, "share", "the main shopper of a household is more often a woman", 0, 1)
    taste: float = setting(18.0, "Dirichlet total", "how alike tastes over categories are, given age and segment", 0.1)
    loyalty: float = setting(
        7.0, "Dirichlet total", "how alike choices within a category are: small means a few regular products", 0.05
    )
    home_store: float = setting(0.85, "share", "of trips that go to the home store; the rest to any store", 0, 1)
    # when they come
    december: float = setting(1.35, "ratio", "festive month against an average one", 0.1, 5)
    april: float = setting(1.25, "ratio", "Sinhala and Tamil New Year", 0.1, 5)
    weekday: tuple[float, ...] = setting(
        (0.85, 0.84, 0.88, 0.93, 1.08, 1.28, 1.14), "ratio", "Monday to Sunday; weekends lead", 0.01, 5
    )
    favourite_day: float = setting(2.0, "ratio", "a customer's preferred weekday against the other days", 0.1, 20)
    hours: tuple[float, ...] = setting(
        (2, 4, 6, 7, 6, 5, 5, 6, 8, 11, 13, 12, 9, 6), "weight", "8:00 to 21:00: a morning and an evening peak", 0.001
    )
    favourite_hour: float = setting(2.5, "von Mises kappa", "how strongly trips gather about the preferred hour", 0, 50)
    # what a price does
    depth_scale: float = setting(0.12, "share of price", "depth at which 63 % of the full response is reached: 12 % off", 0.01, 1)
    sensitivity: float = setting(0.6, "log lift", "median of s: log of the lift at 25 % off, among those who notice", 0, 5)
    sensitivity_spread: float = setting(
        0.85, "log", "standard deviation of log s that age leaves: many do not care, some a lot", 0, 3
    )
    sensitivity_cap: float = setting(2.5, "log lift", "nobody buys more than twelve times as much", 0.1, 10)
    sensitivity_age: float = setting(0.7, "log per 15 years", "the old take the time to read and use personal offers", -2, 2)
    noise: float = setting(0.40, "share", "of that variance that the response to in-store promotions does not share", 0, 1)
    shelf_sensitivity: float = setting(0.55, "log lift", "median response to in-store promotions at 25 % off", 0, 5)
    shelf_spread: float = setting(0.75, "log", "standard deviation of the log of that response", 0, 3)
    promotions: int = setting(200, "promotions", "seed 0's number", 0, 100_000)
    # what a contact does
    contact_effect: float = setting(0.007, "log trips", "mean effect of a noticed contact on trips: a welcome reminder", -2, 2)
    contact_spread: float = setting(0.006, "log trips", "what age and trips do not explain; sleeping dogs lie below zero", 0, 2)
    contact_age: float = setting(-0.006, "log trips per 15 years", "the old are a little more easily annoyed", -2, 2)
    contact_rate: float = setting(-0.010, "log trips per log rate", "who comes anyway has little to gain from a reminder", -2, 2)
    attention: float = setting(0.55, "share", "median chance that a contact is noticed at the best hour", 0, 1)
    attention_spread: float = setting(0.7, "logit", "standard deviation between customers", 0, 5)
    hour_pull: float = setting(0.8, "kappa", "a contact 12 hours off the preferred hour is noticed a fifth as often", 0, 20)
    fatigue: float = setting(0.6, "per contact", "log loss of attention for each recent contact", 0, 20)
    fatigue_trips: float = setting(0.004, "log trips per contact", "recent contacts also make the next one more annoying", 0, 5)
    half_life: float = setting(30.0, "days", "after which half of a contact's fatigue is gone", 0.5)
    pull_forward: float = setting(0.35, "share", "of the first week's units brought forward by the deepest response", 0, 1)
    pull_decay: float = setting(0.7, "ratio", "each later week against the one before", 0, 1)
    switching: float = setting(
        0.2, "share", "of a substitute's units that switch to the offered product at the deepest response", 0, 1
    )
    complements: float = setting(1.5, "ratio", "more units of a complement on a trip that holds its parent", 0, 20)
    opt_out: float = setting(0.0007, "hazard", "chance of opting out at a first contact", 0, 5)
    reach_value: float = setting(0.05, "share", "of a year's margin that is lost with a customer who opts out", 0, 5)
    contact_cost: float = setting(1.5, "LKR", "one SMS", 0)
    form: str = setting("exponential", "name", "form of the response to depth: " + ", ".join(FORMS))
    # dials
    effect: float = setting(1.0, "ratio", "multiplies price sensitivity to personal offers and the effect of contacts", 0, 10)
    heterogeneity: float = setting(1.0, "ratio", "multiplies the spread of sensitivity, contact effect and attention", 0, 5)
    margin: float = setting(1.0, "ratio", "multiplies every product's margin", 0.05, 2)
    # who gets offers
    trial_probability: tuple[float, ...] = setting(
        (0.22, 0.13, 0.13, 0.13, 0.13, 0.13, 0.13), "share", "arms of the trial: none is the control of six", 0.001, 1, total=1
    )
    trial_frequency: tuple[float, ...] = setting(
        (0.5, 1.0, 1.4), "ratio", "contact frequency, drawn per customer: fatigue is learnable", 0, 10
    )
    recent: int = setting(180, "days", "in which a customer of the trial has bought in the category", 1)
    send_hours: tuple[int, ...] = setting((9, 12, 15, 18, 20), "hour", "when contacts go out, at random", 0, 23)
    rule_base: float = setting(0.2, "logit", "the old rule contacts somewhat more than half", -10, 10)
    rule_recency: float = setting(-0.35, "logit per 30 days", "it prefers who came lately", -10, 10)
    rule_frequency: float = setting(0.5, "logit per log trip", "and often, in the last 90 days", -10, 10)
    rule_spend: float = setting(0.35, "logit per log 1000 LKR", "and spent much, in the last 90 days", -10, 10)
    rule_depth: float = setting(0.25, "log odds per arm", "it gives the deeper discounts to who stayed away longer", -10, 10)
    overlap: float = setting(1.0, "ratio", "multiplies the rule's slopes: 4 leaves little overlap", 0, 50)
    confounding: float = setting(0.0, "logit per sd", "what the rule sees of hidden price sensitivity", -10, 10)

    def __post_init__(self) -> None:
        for f in fields(self):
            _check(f.name, getattr(self, f.name), f.type, f.metadata)
        if self.form not in FORMS:
            raise ValueError(f"form = {self.form!r}: must be one of {', '.join(FORMS)}")
        if self.main_trips * self.main_size >= 1:
            raise ValueError(f"main_size = {self.main_size!r}: must lie below 1 / main_trips = {1 / self.main_trips:.4g}")
        for name, length in (("weekday", 7), ("hours", 14), ("trial_probability", 7)):
            _length(name, getattr(self, name), length)
        for name in ("segment_share", "segment_trips", "segment_basket"):
            _length(name, getattr(self, name), len(SEGMENTS))
        if sum(self.trial_frequency) <= 0:
            raise ValueError(f"trial_frequency = {self.trial_frequency!r}: must have a positive total")

    def table(self) -> pd.DataFrame:
        """Columns parameter, value, unit, why: one row per number, in the order of the model."""
        rows = [(f.name, _spell(getattr(self, f.name)), f.metadata["unit"], f.metadata["why"]) for f in fields(self)]
        return pd.DataFrame(rows, columns=["parameter", "value", "unit", "why"])


def _check(name: str, value: Any, kind: Any, rule: Any) -> None:
    if kind is str:
        return  # a name: its caller knows which ones there are
    if kind is date:
        if type(value) is not date or not FIRST_START <= value <= LAST_START:  # a datetime has an hour, which a calendar has not
            raise ValueError(f"{name} = {value!r}: must be a date from {FIRST_START} to {LAST_START}")
        return
    several = get_origin(kind) is tuple
    if several and (not isinstance(value, tuple) or not value):
        raise ValueError(f"{name} = {value!r}: must be a tuple of at least one number")
    whole = (get_args(kind)[0] if several else kind) is int
    for number in value if several else (value,):
        if isinstance(number, bool) or not isinstance(number, int | float) or not np.isfinite(number):
            raise ValueError(f"{name} = {value!r}: must be {'finite numbers' if several else 'a finite number'}")
        if whole and not isinstance(number, int):
            raise ValueError(f"{name} = {value!r}: must be {'whole numbers' if several else 'a whole number'}")
        if (rule["low"] is not None and number < rule["low"]) or (rule["high"] is not None and number > rule["high"]):
            raise ValueError(
                f"{name} = {value!r}: must lie in {rule['low']} .. {'' if rule['high'] is None else rule['high']}".rstrip()
            )
    if rule["total"] is not None and abs(sum(value) - rule["total"]) > 1e-9:
        raise ValueError(f"{name} = {value!r}: must sum to {rule['total']}, sums to {sum(value):.6g}")


def _length(name: str, value: tuple[float, ...], length: int) -> None:
    if len(value) != length:
        raise ValueError(f"{name} = {value!r}: needs {length} numbers, has {len(value)}")


def _spell(value: Any) -> str:
    return (
        ", ".join(f"{x:g}" for x in value)
        if isinstance(value, tuple)
        else f"{value:g}"
        if isinstance(value, float)
        else str(value)
    )


PROFILES: dict[str, dict[str, Any]] = {
    "smoke": {"customers": 300, "activity": 1.0, "trial_use": 0.87, "log_use": 0.75},
    "seed": {"customers": 1_000, "activity": 0.08, "trial_use": 0.85, "log_use": 0.87},
    "paper": {"customers": 20_000, "activity": 0.5},
    "large": {"customers": 1_000_000, "activity": 0.08, "trial_use": 0.26, "log_use": 0.23},
}

SIDE_EFFECTS_OFF: dict[str, Any] = {
    "contact_effect": 0.0, "contact_spread": 0.0, "contact_age": 0.0, "contact_rate": 0.0, "fatigue_trips": 0.0,
    "pull_forward": 0.0, "switching": 0.0,
}  # fmt: skip

PRESETS: dict[str, dict[str, Any]] = {
    "default": {},
    "null": {"effect": 0.0, **SIDE_EFFECTS_OFF},  # offers do nothing: a discount is given away, a contact costs
    "breakeven": {
        "form": "breakeven",
        **SIDE_EFFECTS_OFF,
        "complements": 0.0,
        "opt_out": 0.0,
        "contact_cost": 0.0,
    },  # each arm earns 0
    "uniform": {"heterogeneity": 0.0},  # one effect for all
    "hidden": {"confounding": 1.5},  # the old rule saw what the data do not show
    "thin": {"overlap": 4.0},  # the old rule hardly ever tried the other arm
    "threshold": {"form": "threshold"},  # nothing happens below 15 % off
    "additive": {"form": "additive"},  # an offer adds units, whatever was bought before
}


def parameters(profile: str = "paper", preset: str = "default", **changes: Any) -> Parameters:
    """The parameters of a profile and a preset, with single numbers changed. Raises ValueError for names it does not know."""
    for name, known, what in ((profile, PROFILES, "profile"), (preset, PRESETS, "preset")):
        if name not in known:
            raise ValueError(f"{what} = {name!r}: must be one of {', '.join(known)}")
    unknown = set(changes) - set(Parameters.__dataclass_fields__)
    if unknown:
        raise ValueError(f"unknown parameter {min(unknown)!r}")
    return replace(Parameters(), **(PROFILES[profile] | PRESETS[preset] | changes))
