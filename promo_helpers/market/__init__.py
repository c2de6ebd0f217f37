"""A simulated supermarket whose truth is known in closed form. See `simulate`, `Truth`, `respond`."""

from promo_helpers.market.parameters import ARMS, PRESETS, PROFILES, Parameters, parameters
from promo_helpers.market.respond import SimulatedResponse, replay, respond
from promo_helpers.market.simulate import simulate
from promo_helpers.market.truth import BRIDGE, Expected, Truth, Unknown, truth_of

__all__ = [
    "ARMS",
    "BRIDGE",
    "PRESETS",
    "PROFILES",
    "Expected",
    "Parameters",
    "SimulatedResponse",
    "Truth",
    "Unknown",
    "parameters",
    "replay",
    "respond",
    "simulate",
    "truth_of",
]
