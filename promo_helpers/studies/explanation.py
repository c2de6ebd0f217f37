"""Kept study: do columns of noise look like reasons, and do those that stand for what is hidden rank above them?

Each market's trial gets five columns of noise, and a permuted copy of every feature; one dose-response is fitted to all of them. The copies
carry nothing but have the features' distributions: what is credited to them is what chance is credited with (as in Boruta, Kursa and
Rudnicki 2010).
"""

from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd
from scipy import special

from promo_helpers import draws
from promo_helpers.audit.decision import rupees_and_lift
from promo_helpers.audit.explanation import explain
from promo_helpers.experiment import Experiment
from promo_helpers.models.bridge import Costs
from promo_helpers.models.dose import TIED, fit_dose
from promo_helpers.models.response import Response
from promo_helpers.studies.markets import side_by_side, trial_market

CASES = {  # customers of a market (three contacts each), markets, and plantings in each of them
    "15,000": (5_000, tuple(range(1_300, 1_320)), 1),
    "60,000": (20_000, tuple(range(1_320, 1_324)), 5),
}
EXPLAINED, BESIDE = 80, 10  # decisions explained, and those they are compared with
ARM = "15"  # whose profit is explained
NOISE = ("normal", "skewed", "count", "share", "coin")


def planted(features: pd.DataFrame, contact_id: np.ndarray, seed: int) -> pd.DataFrame:
    """The features, after them columns `noise_...` drawn independently of everything, and `permuted_...` copies of the features."""
    own = {k: draws.uniform(seed, f"noise: {k}", contact_id) for k in NOISE}
    drawn = {
        "normal": draws.normal(seed, "noise: normal", contact_id),
        "skewed": np.exp(draws.normal(seed, "noise: skewed", contact_id) + 6),
        "count": draws.poisson(seed, "noise: count", contact_id).astype(float),
        "share": special.betaincinv(2, 20, own["share"]),
        "coin": np.floor(2 * own["coin"]),
    }
    noise = pd.DataFrame({f"noise_{k}": drawn[k] for k in NOISE}, index=features.index)
    copies = {f"permuted_{c}": features[c].to_numpy()[_another(contact_id, seed, f"permuted: {c}")] for c in features}
    return pd.concat([features, noise, pd.DataFrame(copies, index=features.index)], axis=1)


def _another(contact_id: np.ndarray, seed: int, purpose: str) -> np.ndarray:
    """[row] the row whose value it gets: in a round in the order of keyed numbers the next, so that a further row moves one other."""
    order = np.argsort(draws.uniform(seed, purpose, contact_id), kind="stable")
    after = np.empty_like(order)
    after[order] = np.roll(order, -1)
    return after


def attributed(trial: Experiment, seed: int, explained: int = EXPLAINED, beside: int = BESIDE) -> pd.DataFrame:
    """One row a column: feature, kind (real, noise, permuted), rupees and lift: mean absolute attribution to the profit of ARM, and to
    the log of its lift, of a dose-response fitted to a trial with planted columns."""
    whole = replace(trial, features=planted(trial.features, trial.contact_id, seed))
    dose = fit_dose([whole], seed)
    tried = tuple(sorted({int(p) for p in trial.features["product"]})) if "product" in trial.features else ()
    response = Response((dose,), (TIED,), Costs(), (0.0, 1.0), trial.arms, tried)
    drawn = np.argsort(draws.uniform(seed, "explained", trial.contact_id), kind="stable")[: explained + beside]
    x, background = whole.features.iloc[drawn[beside:]], whole.features.iloc[drawn[:beside]]
    found = explain(rupees_and_lift(response, whole.features), x, background, draws.generator(seed, "orders of columns"))
    a = trial.arms.index(ARM) - 1
    table = pd.DataFrame({"feature": found.players})
    table["kind"] = table["feature"].str.extract("^(noise|permuted)_", expand=False).fillna("real")
    for name, output in (("rupees", a), ("lift", a + len(trial.arms) - 1)):
        table[name] = np.abs(found.added[..., output]).mean(axis=0)
    return table


def replicate(case: str) -> pd.DataFrame:
    """The kept rows of a case: seed, feature, kind, rupees, lift, for every market and planting."""
    customers, seeds, plantings = CASES[case]
    return pd.concat(side_by_side(partial(_market, customers, plantings), seeds, case), ignore_index=True)


def _market(customers: int, plantings: int, seed: int) -> pd.DataFrame:
    trial, _ = trial_market("default", seed, customers, 5)
    tables = []
    for k in range(plantings):
        tables.append(attributed(trial, 100 * seed + k))
        tables[-1].insert(0, "seed", 100 * seed + k)
    return pd.concat(tables, ignore_index=True)
