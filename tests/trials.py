"""Experiments made up for tests: a sound trial, a log, and faults planted into them."""

from dataclasses import replace

import numpy as np
import pandas as pd

from promo_helpers.experiment import Experiment


def trial(rng, n=1500, shares=(0.5, 0.3, 0.2), effect=0.05, base=0.15, repeats=3, whole=False, **changes):
    """A sound randomised trial. Customers have about `repeats` contacts each; with `whole` all of one customer in one arm.

    Features are skewed, rare, missing for some, copies of each other; the outcomes depend on them. `effect` is added to the chance
    of buying in every arm but the control, a fifth more in each further one.
    """
    customer = rng.integers(0, n // repeats, n) if repeats > 1 else np.arange(n)
    trait = rng.normal(size=n)[customer]
    spend = np.exp(1.5 * trait + rng.normal(size=n))
    features = pd.DataFrame(
        {
            "spend": spend,
            "log spend": np.log(spend),
            "trips": rng.poisson(np.exp(0.3 * trait)).astype(float),
            "rare": (rng.random(n) < 0.01).astype(float),
            "city": (rng.random(n) < 0.3).astype(float),
            "age": np.where(rng.random(n) < 0.1, np.nan, rng.normal(40, 12, n)),
            "constant": 1.0,
            "tail": rng.standard_t(1.5, n),
        }
    )
    drawn = rng.choice(len(shares), n, p=shares)
    arm = drawn[customer] if whole else drawn
    chance = np.clip(base * np.exp(0.4 * trait) + np.where(arm > 0, effect * (1 + 0.2 * (arm - 1)), 0), 0, 1)
    bought = (rng.random(n) < chance).astype(float)
    units = bought * (1 + rng.poisson(0.4, n))
    profit = units * (3 - 0.5 * arm) - (arm > 0) * 0.1
    given = {
        "name": "trial",
        "contact_id": np.arange(n),
        "customer": customer,
        "features": features,
        "arm": arm,
        "arms": ("none", "five", "ten", "twenty")[: len(shares)],
        "depth": np.array([np.nan, 0.05, 0.1, 0.2])[: len(shares)],
        "outcomes": pd.DataFrame({"bought": bought, "units": units, "profit": profit}),
        "probability": np.array(shares)[arm],
        "planned": np.array(shares),
    }
    return Experiment(**(given | changes))


def log(rng, n=3000, strength=0.7):
    """A log: the higher a customer's spending, the likelier one of two arms; nothing else. Returns it and the true chances."""
    sound = trial(rng, n)
    score = strength * (sound.features["log spend"].to_numpy() - sound.features["log spend"].mean())
    odds = np.column_stack([np.ones(n), 0.6 * np.exp(score), 0.4 * np.exp(0.5 * score)])
    chances = odds / odds.sum(axis=1, keepdims=True)
    arm = (rng.random(n)[:, None] > np.cumsum(chances, axis=1)).sum(axis=1).clip(max=2)
    return replace(sound, name="log", arm=arm, probability=None, planned=None), chances


def disguised(rng, n=3000, kept=1.0):
    """The fault of faults: treated means bought with a promotion (half of the purchases; `kept` of them are not returned later)."""
    sound = trial(rng, n, effect=0, base=0.3)
    bought = sound.outcome("bought") > 0
    arm = np.where(bought & (rng.random(n) < 0.5), rng.integers(1, 3, n), 0)
    outcomes = sound.outcomes.copy()
    outcomes.loc[(arm > 0) & (rng.random(n) > kept)] = 0.0
    return replace(sound, name="disguised", arm=arm, outcomes=outcomes, probability=None, planned=None)
