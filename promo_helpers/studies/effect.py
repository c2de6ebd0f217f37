"""Effects in many small markets: do intervals cover, do refuters raise alarms where one is due, and how wrong do estimates get?

Small markets of 600 or 1,500 customers, whose trial has two arms (no offer, and 15 %), so that at 600 trial and log have about 1,500
contacts of the two arms each; the log's rule keeps its seven arms. The estimand is the sample average effect: the truth's expectation
of units (or of the product's profit) in the window with the offer less without it, averaged over the very contacts that the estimate
is from.
"""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from promo_helpers.experiment import Experiment
from promo_helpers.experiment.contacts import contact_experiment
from promo_helpers.market import ARMS, Truth, parameters, simulate
from promo_helpers.models import effects, refuters
from promo_helpers.models.effect_design import Design
from promo_helpers.models.effect_scores import METHODS
from promo_helpers.shop import Shop

CUSTOMERS, MORE = (
    600,
    1_500,
)  # the larger ones where the question is how wrong an estimate is, and not whether its interval says so
OFFER = "15"
TWO_ARMS = (0.5, 0.001, 0.001, 0.001, 0.495, 0.001, 0.001)  # the trial's, in the order of ARMS
LEVELS = {"units": "units", "profit": "window_profit"}  # outcome -> its name among the truth's expectations
MARKETS = {"coverage": range(1_000, 1_500), "refuters": range(2_000, 2_060), "dial": range(3_000, 3_020)}  # seeds
PARTS = 5  # the markets of the coverage study, in as many cases that can be stopped between
PRESETS = ("default", "thin", "hidden", "null")
OVERLAPS, CONFOUNDINGS = (0.5, 1.0, 2.0, 4.0), (0.0, 0.75, 1.5)
DIAL = tuple(f"{overlap:g} {confounding:g}" for confounding in CONFOUNDINGS for overlap in OVERLAPS)


def true_effects(truth: Truth, shop: Shop, experiment: Experiment) -> dict[str, np.ndarray]:
    """[row] true effects of an experiment of two arms, by outcome: units, profit (of the product in the window), whole (the gain)."""
    contacts = shop.frame("contacts", ["contact_id", "customer_id", "product_id", "time"]).set_index("contact_id")
    expected = truth.expected(contacts.loc[experiment.contact_id].reset_index(drop=True))
    control, offer = (ARMS.index(arm) for arm in experiment.arms)
    names = LEVELS | {"whole": "gain"}
    return {outcome: expected[name][:, offer] - expected[name][:, control] for outcome, name in names.items()}


def market(
    seed: int, sources: tuple[str, ...], preset: str = "default", customers: int = CUSTOMERS, **changes: Any
) -> dict[str, Any]:
    """source -> (experiment of two arms, true effects of its rows) of one small market."""
    p = parameters("paper", preset, customers=customers, trial_probability=TWO_ARMS, **changes)
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        shop, truth = simulate(p, seed, Path(folder) / "shop", Path(folder) / "truth", workers=1)
        for source in sources:
            experiment = contact_experiment(shop, source, p.contact_cost).contrast(OFFER)  # type: ignore[arg-type]
            found[source] = experiment, true_effects(truth, shop, experiment)
    return found


def covered(seed: int) -> pd.DataFrame:
    """One market: source, outcome, method, effect, error, truth."""
    parts = []
    for source, (experiment, true) in market(seed, ("trial", "log")).items():
        parts.append(effects.table(experiment, LEVELS, METHODS, seed, true).assign(source=source))
    return pd.concat(parts)[["source", "outcome", "method", "effect", "error", "truth"]]


def coverage(case: str) -> pd.DataFrame:
    """The kept rows of one part of the markets: a column seed, and those of `covered`, to four digits."""
    seeds = MARKETS["coverage"][int(case) :: PARTS]
    table = pd.concat([covered(seed).assign(seed=seed) for seed in seeds], ignore_index=True)
    return table.assign(**{name: four_digits(table[name]) for name in ("effect", "error", "truth")})


def four_digits(values: pd.Series) -> pd.Series:
    """Rounded to four significant digits, which keeps the file small."""
    return values.map(lambda value: float(f"{value:.4g}"))


def refuted(seed: int, preset: str) -> pd.DataFrame:
    """The log of one market: refuter, alarm; missed, whether our interval of the regression misses the truth; effect and truth."""
    [(experiment, true)] = market(seed, ("log",), preset, MORE).values()
    design = Design.of(experiment, seed)
    found = effects.estimate(experiment, "units", "regression", seed, design)
    truth = float(true["units"].mean())
    said = refuters.refute(design, experiment.outcome("units"), seed)[["refuter", "alarm"]]
    return said.assign(missed=not found.low <= truth <= found.high, effect=found.effect, truth=truth)


def alarms(preset: str) -> pd.DataFrame:
    """The kept rows of a preset: a column seed, and those of `refuted`."""
    return pd.concat([refuted(seed, preset).assign(seed=seed) for seed in MARKETS["refuters"]], ignore_index=True)


def turned(seed: int, overlap: float, confounding: float) -> pd.DataFrame:
    """The log of one market with its two dials turned: method, effect, error, truth; units only."""
    [(experiment, true)] = market(seed, ("log",), "default", MORE, overlap=overlap, confounding=confounding).values()
    table = effects.table(experiment, ["units"], METHODS, seed, true)
    return table[["method", "effect", "error", "truth"]]


def dial(case: str) -> pd.DataFrame:
    """The kept rows of one setting of the dials ("overlap confounding"): those of `turned`, and columns seed, overlap, confounding."""
    overlap, confounding = map(float, case.split())
    table = pd.concat([turned(seed, overlap, confounding).assign(seed=seed) for seed in MARKETS["dial"]], ignore_index=True)
    table = table.assign(overlap=overlap, confounding=confounding)
    return table.assign(**{name: four_digits(table[name]) for name in ("effect", "error", "truth")})
