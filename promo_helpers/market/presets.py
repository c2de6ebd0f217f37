"""Kinds of market and sizes of study: each a few lines of parameters."""

from dataclasses import replace
from typing import Any

from promo_helpers.market.parameters import Parameters

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
