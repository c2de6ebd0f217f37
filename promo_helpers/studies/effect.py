"""Effects in many small markets: do intervals cover, do refuters raise alarms where one is due, and how wrong do estimates get?

Small markets of 600 or 1,500 customers, whose trial has two arms (no offer, and 15 %), so that at 600 trial and log have about 1,500
contacts of the two arms each; the log's rule keeps its seven arms. The estimand is the sample average effect: the truth's expectation
of units (or of the product's profit) in the window with the offer less without it, averaged over the very contacts that the estimate
is from.
"""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
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
from promo_helpers.studies.markets import side_by_side

OFFER = "15"
TWO_ARMS = (0.5, 0.001, 0.001, 0.001, 0.495, 0.001, 0.001)  # the trial's, in the order of ARMS
LEVELS = {"units": "units", "profit": "window_profit"}  # outcome -> its name among the truth's expectations
PARTS = 5  # the markets of the coverage study, in as many cases that can be stopped between
PRESETS = ("default", "thin", "hidden", "null")
OVERLAPS, CONFOUNDINGS = (0.5, 1.0, 2.0, 4.0), (0.0, 0.75, 1.5)


@dataclass(frozen=True)
class Case:
    """Markets: seeds, customers of each, the preset, and its two dials where they are turned."""

    seeds: tuple[int, ...]
    customers: int = 1_500  # enough where the question is how wrong an estimate is, and not whether its interval says so
    preset: str = "default"
    overlap: float = 1.0
    confounding: float = 0.0


COVERAGE = {str(k): Case(tuple(range(1_000, 1_500))[k::PARTS], 600) for k in range(PARTS)} | {"probe": Case((1_000,), 400)}
ALARMS = {preset: Case(tuple(range(2_000, 2_060)), preset=preset) for preset in PRESETS} | {
    "probe": Case((2_000,), 400, "hidden")
}
DIAL = {
    f"{overlap:g} {confounding:g}": Case(tuple(range(3_000, 3_020)), overlap=overlap, confounding=confounding)
    for confounding in CONFOUNDINGS
    for overlap in OVERLAPS
} | {"probe": Case((3_000,), 400, overlap=2.0, confounding=1.5)}


def true_effects(truth: Truth, shop: Shop, experiment: Experiment) -> dict[str, np.ndarray]:
    """[row] true effects of an experiment of two arms, by outcome: units, profit (of the product in the window), whole (the gain)."""
    contacts = shop.frame("contacts", ["contact_id", "customer_id", "product_id", "time"]).set_index("contact_id")
    expected = truth.expected(contacts.loc[experiment.contact_id].reset_index(drop=True))
    control, offer = (ARMS.index(arm) for arm in experiment.arms)
    names = LEVELS | {"whole": "gain"}
    return {outcome: expected[name][:, offer] - expected[name][:, control] for outcome, name in names.items()}


def market(seed: int, sources: tuple[str, ...], customers: int, preset: str = "default", **changes: Any) -> dict[str, Any]:
    """source -> (experiment of two arms, true effects of its rows) of one small market."""
    p = parameters("paper", preset, customers=customers, trial_probability=TWO_ARMS, **changes)
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        shop, truth = simulate(p, seed, Path(folder) / "shop", Path(folder) / "truth", workers=1)
        for source in sources:
            experiment = contact_experiment(shop, source, p.contact_cost).contrast(OFFER)  # type: ignore[arg-type]
            found[source] = experiment, true_effects(truth, shop, experiment)
    return found


def covered(case: Case, seed: int) -> pd.DataFrame:
    """One market: source, outcome, method, effect, error, truth."""
    parts = []
    for source, (experiment, true) in market(seed, ("trial", "log"), case.customers).items():
        parts.append(effects.table(experiment, LEVELS, METHODS, seed, true).assign(source=source))
    return pd.concat(parts)[["source", "outcome", "method", "effect", "error", "truth"]]


def coverage(case: str) -> pd.DataFrame:
    """The kept rows of one part of the markets: those of `covered`, and a column seed."""
    return _each(covered, COVERAGE[case], case)


def _each(function: Callable[[Case, int], pd.DataFrame], case: Case, name: str) -> pd.DataFrame:
    tables = side_by_side(partial(function, case), case.seeds, name)
    return pd.concat([t.assign(seed=seed) for t, seed in zip(tables, case.seeds, strict=True)], ignore_index=True)


def refuted(case: Case, seed: int) -> pd.DataFrame:
    """The log of one market: refuter, alarm; missed, whether our interval of the regression misses the truth; effect and truth."""
    [(experiment, true)] = market(seed, ("log",), case.customers, case.preset).values()
    design = Design.of(experiment, seed)
    found = effects.estimate(experiment, "units", "regression", seed, design)
    truth = float(true["units"].mean())
    said = refuters.refute(design, experiment.outcome("units"), seed)[["refuter", "alarm"]]
    return said.assign(missed=not found.low <= truth <= found.high, effect=found.effect, truth=truth)


def alarms(case: str) -> pd.DataFrame:
    """The kept rows of a preset: those of `refuted`, and a column seed."""
    return _each(refuted, ALARMS[case], case)


def turned(case: Case, seed: int) -> pd.DataFrame:
    """The log of one market with its two dials turned: method, effect, error, truth; units only."""
    dials = {"overlap": case.overlap, "confounding": case.confounding}
    [(experiment, true)] = market(seed, ("log",), case.customers, case.preset, **dials).values()
    table = effects.table(experiment, ["units"], METHODS, seed, true)
    return table[["method", "effect", "error", "truth"]]


def dial(case: str) -> pd.DataFrame:
    """The kept rows of one setting of the dials ("overlap confounding"): those of `turned`, and columns seed, overlap, confounding."""
    return _each(turned, DIAL[case], case).assign(overlap=DIAL[case].overlap, confounding=DIAL[case].confounding)
