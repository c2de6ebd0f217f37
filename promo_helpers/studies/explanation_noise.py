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
from promo_helpers.audit.shapley import explain, rupees_and_lift
from promo_helpers.experiment import Experiment
from promo_helpers.experiment.contacts import Costs
from promo_helpers.inference import share
from promo_helpers.models.demand import PRIOR_DISPLACEMENT, DemandResponse, fit_dose_response
from promo_helpers.studies.markets import run_cases, trial_market

EXPLAINED, BESIDE = 80, 10  # decisions explained, and those they are compared with
ARM = "15"  # whose profit is explained
NOISE = ("normal", "skewed", "count", "share", "coin")


@dataclass(frozen=True)
class NoiseCase:
    """Markets: customers of each (three contacts each), seeds, plantings in each; decisions `explained`, and those `beside` them."""

    customers: int
    seeds: tuple[int, ...]
    plantings: int = 1
    explained: int = EXPLAINED
    beside: int = BESIDE


CASES = {
    "15,000": NoiseCase(5_000, tuple(range(1_300, 1_320))),
    "60,000": NoiseCase(20_000, tuple(range(1_320, 1_324)), 5),
    "probe": NoiseCase(400, (1_300,), explained=5, beside=3),
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
    dose = fit_dose_response([whole], seed)
    tried = tuple(sorted({int(p) for p in trial.features["product"]})) if "product" in trial.features else ()
    response = DemandResponse((dose,), (PRIOR_DISPLACEMENT,), Costs(), (0.0, 1.0), trial.arms, tried)
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


def noise_rows(case: str) -> pd.DataFrame:
    """The kept rows of a case: seed, feature, kind, rupees, lift, for every market and planting."""
    return pd.concat(run_cases(partial(_market, CASES[case]), CASES[case].seeds, case), ignore_index=True)


def _market(case: NoiseCase, seed: int) -> pd.DataFrame:
    trial, _ = trial_market("default", seed, case.customers, 5)
    tables = []
    for k in range(case.plantings):
        tables.append(attributed(trial, 100 * seed + k, case.explained, case.beside))
        tables[-1].insert(0, "seed", 100 * seed + k)
    return pd.concat(tables, ignore_index=True)


PROXIES = {  # what a customer hides, and the features that should tell of it
    "price sensitivity": ("response", "promotion_share", "redeemed_share", "redeemed_depth", "age"),
    "attention": ("redeemed_share", "redeemed_depth", "discounts"),
    "purchase rate": ("product_28", "product_90", "product_180", "product_all", "product_recency"),
}


def noise_verdicts(study: pd.DataFrame, column: str = "rupees") -> pd.DataFrame:
    """One row a seed: bar (95th percentile of the permuted copies), noise (columns of noise below it), largest (of the noise), mean_below
    (whether the noise columns' mean lies below the bar), and by what is hidden: whether the best of its proxies, and how many of them,
    lie above all noise, and (copies) whether the best of their permuted copies does, which is chance."""
    rows = []
    for seed, part in study.groupby("seed", sort=True):
        value = part.set_index("feature")[column]
        kinds = part.set_index("feature")["kind"]
        noise = value[kinds == "noise"]
        bar = float(np.quantile(value[kinds == "permuted"], 0.95))
        row: dict[str, object] = {"seed": seed, "bar": bar, "below": int((noise < bar).sum()), "noise": len(noise)}
        row |= {"largest": float(noise.max()), "mean_below": bool(noise.mean() < bar), "all_below": bool((noise < bar).all())}
        for hidden, features in PROXIES.items():
            own = value.reindex([f for f in features if f in value])
            row |= {f"{hidden}, best": bool(own.max() > noise.max()), f"{hidden}, above": int((own > noise.max()).sum())}
            copies = value.reindex([f"permuted_{f}" for f in features if f"permuted_{f}" in value])
            row[f"{hidden}, copies"] = bool(copies.max() > noise.max())
            row[f"{hidden}, beyond"] = int((own > bar).sum())
        rows.append(row)
    return pd.DataFrame(rows)


CLAIMS = {  # key -> what is counted; of one planting each, but for the first
    "below": "columns of noise below the bar",
    "all_below": "plantings with all five below",
    "mean_below": "plantings with their mean below",
    "sensitivity": "best proxy of price sensitivity above all noise",
    "attention": "best proxy of attention above all noise",
    "rate": "best proxy of the purchase rate above all noise",
}


def noise_counts(verdicts: pd.DataFrame) -> pd.DataFrame:
    """Rows contacts, key, claim, held, of, share, low, high (Wilson's interval, as if plantings were independent), by_chance (the share of
    the permuted copies of the same features; missing for claims on the noise itself)."""
    rows = []
    for contacts, part in verdicts.groupby("contacts", sort=False):
        held = {"below": (part["below"].sum(), part["noise"].sum())}
        held |= {k: (part[k].sum(), len(part)) for k in ("all_below", "mean_below")}
        for key, hidden in zip(("sensitivity", "attention", "rate"), PROXIES, strict=True):
            held[key] = (part[f"{hidden}, best"].sum(), len(part))
        for key, (many, of) in held.items():
            ends = share(int(many), int(of))
            trait = dict(zip(("sensitivity", "attention", "rate"), PROXIES, strict=True)).get(key)
            chance = part[f"{trait}, copies"].mean() if trait else np.nan
            rows.append((contacts, key, CLAIMS[key], int(many), int(of), *(ends[k] for k in ("estimate", "low", "high")), chance))
    return pd.DataFrame(rows, columns=["contacts", "key", "claim", "held", "of", "share", "low", "high", "by_chance"])


def multiples_of_bar(study: pd.DataFrame, column: str = "rupees") -> dict[str, np.ndarray]:
    """Attributions as multiples of each planting's bar, by group of columns."""
    bar = study[study["kind"] == "permuted"].groupby("seed")[column].quantile(0.95)
    value = study[column] / study["seed"].map(bar)
    groups = {f"for {hidden}": study["feature"].isin(features) for hidden, features in PROXIES.items()}
    groups |= {"noise": study["kind"] == "noise", "permuted copies": study["kind"] == "permuted"}
    return {name: value[rows].to_numpy() for name, rows in groups.items()}


def by_chance(copies: int, columns: int, level: float = 0.95) -> float:
    """About how likely all of some columns lie below the `level` quantile of `copies` others, where all are drawn alike:
    of n + 1 alike, the last is below the k-th of the others with chance k / (n + 1)."""
    place = 1 + (copies - 1) * level
    return float(np.prod([(place + i) / (copies + 1 + i) for i in range(columns)]))
