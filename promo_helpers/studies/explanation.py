"""Kept study: do columns of noise look like reasons, and do those that stand for what is hidden rank above them?

Each market's trial gets five columns of noise, and a permuted copy of every feature; one dose-response is fitted to all of them. The copies
carry nothing but have the features' distributions: what is credited to them is what chance is credited with (as in Boruta, Kursa and
Rudnicki 2010).
"""

from dataclasses import dataclass, replace
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

EXPLAINED, BESIDE = 80, 10  # decisions explained, and those they are compared with
ARM = "15"  # whose profit is explained
NOISE = ("normal", "skewed", "count", "share", "coin")


@dataclass(frozen=True)
class Case:
    """Markets: customers of each (three contacts each), seeds, plantings in each; decisions `explained`, and those `beside` them."""

    customers: int
    seeds: tuple[int, ...]
    plantings: int = 1
    explained: int = EXPLAINED
    beside: int = BESIDE


CASES = {
    "15,000": Case(5_000, tuple(range(1_300, 1_320))),
    "60,000": Case(20_000, tuple(range(1_320, 1_324)), 5),
    "probe": Case(400, (1_300,), explained=5, beside=3),
}


def planted(features: pd.DataFrame, contact: np.ndarray, seed: int) -> pd.DataFrame:
    """The features, after them columns `noise_...` drawn independently of everything, and `permuted_...` copies of the features.

    `contact` [row] are the ids that the noise belongs to.
    """
    uniform = {k: draws.uniform(seed, f"noise {k}", contact) for k in ("share", "coin")}
    normal = {k: draws.normal(seed, f"noise {k}", contact) for k in ("normal", "skewed")}
    drawn = {
        "normal": normal["normal"], "skewed": np.exp(normal["skewed"] + 6),
        "count": draws.poisson(seed, "noise count", contact).astype(float),
        "share": special.betaincinv(2, 20, uniform["share"]), "coin": (uniform["coin"] < 0.5).astype(float),
    }  # fmt: skip
    noise = pd.DataFrame({f"noise_{k}": drawn[k] for k in NOISE}, index=features.index)
    copies = {
        f"permuted_{c}": draws.shuffled(features[c].to_numpy(), draws.uniform(seed, f"permuted {c}", contact)) for c in features
    }
    return pd.concat([features, noise, pd.DataFrame(copies, index=features.index)], axis=1)


def attributed(trial: Experiment, seed: int, explained: int = EXPLAINED, beside: int = BESIDE) -> pd.DataFrame:
    """One row a column: feature, kind (real, noise, permuted), rupees and lift: mean absolute attribution to the profit of ARM, and to
    the log of its lift, of a dose-response fitted to a trial with planted columns."""
    whole = replace(trial, features=planted(trial.features, trial.contact_id, seed))
    dose = fit_dose([whole], seed)
    tried = tuple(sorted({int(p) for p in trial.features["product"]})) if "product" in trial.features else ()
    response = Response((dose,), (TIED,), Costs(), (0.0, 1.0), trial.arms, tried)
    drawn = draws.order(seed, "explained contacts", trial.contact_id, size=explained + beside)
    x, background = whole.features.iloc[drawn[beside:]], whole.features.iloc[drawn[:beside]]
    ids = trial.contact_id[drawn[beside:]], trial.contact_id[drawn[:beside]]
    found = explain(rupees_and_lift(response, whole.features), x, background, seed, ids=ids)
    a = trial.arms.index(ARM) - 1
    table = pd.DataFrame({"feature": found.players})
    table["kind"] = table["feature"].str.extract("^(noise|permuted)_", expand=False).fillna("real")
    for name, output in (("rupees", a), ("lift", a + len(trial.arms) - 1)):
        table[name] = np.abs(found.added[..., output]).mean(axis=0)
    return table


def replicate(case: str) -> pd.DataFrame:
    """The kept rows of a case: seed, feature, kind, rupees, lift, for every market and planting."""
    return pd.concat(side_by_side(partial(_market, CASES[case]), CASES[case].seeds, case), ignore_index=True)


def _market(case: Case, seed: int) -> pd.DataFrame:
    trial, _ = trial_market("default", seed, case.customers, 5)
    tables = []
    for k in range(case.plantings):
        tables.append(attributed(trial, 100 * seed + k, case.explained, case.beside))
        tables[-1].insert(0, "seed", 100 * seed + k)
    return pd.concat(tables, ignore_index=True)
