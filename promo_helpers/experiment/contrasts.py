"""What a shop's contacts can be asked: one offer against none, what would pay, and a treatment that only looks like one."""

from dataclasses import replace

import numpy as np
import pandas as pd

from promo_helpers import inputs
from promo_helpers.experiment.contacts import contact_experiment
from promo_helpers.experiment.experiment import Experiment
from promo_helpers.experiment.mailings import mailing_experiment
from promo_helpers.shop import Shop


def experiments(shop: Shop, cost: float = 0.0) -> tuple[dict[str, Experiment], list[str]]:
    """What the shop's contacts are an experiment of, by source, and a sentence for each source that it has not.

    trial and log: contacts about a product, with all their arms, drawn by chance or chosen by a rule; `cost` is that of one. mailings:
    where no contact is about a product, those who were mailed against the rest.
    """
    found: dict[str, Experiment] = {}
    missing = []
    if not shop.has("contacts", "product_id"):
        try:
            found["mailings"] = mailing_experiment(shop)
        except ValueError as problem:
            missing.append(f"no experiment: {problem}")
        return found, missing
    for source in ("trial", "log"):
        try:
            whole = contact_experiment(shop, source, cost)
            if whole.counts[0] == 0 or whole.counts[1:].sum() == 0:
                raise ValueError("there must be contacts with an offer, and some without")
            found[source] = replace(whole, name=f"the {source}")
        except ValueError as problem:
            missing.append(f"no {source}: {problem}")
    return found, missing


def offered(shop: Shop, arm: str, trial: bool = False) -> str:
    """The arm, an offer that contacts about products made; for "" the discount that most of them made.

    With `trial` only contacts of a trial count. Where there are none the arm is returned as given: what follows says what is missing.
    Raises ValueError, with the offers that were made, for another arm.
    """
    if not shop.has("contacts", "product_id") or (trial and not shop.has("contacts", "trial_id")):
        return arm
    contacts = shop.frame("contacts", ["product_id", "arm", *(["trial_id"] if trial else [])])
    made = contacts["product_id"].notna() & (contacts["trial_id"].notna() if trial else True)
    percent = pd.to_numeric(contacts.loc[made, "arm"], errors="coerce").dropna()
    counts = percent.value_counts().sort_index()
    if counts.empty:
        return arm
    counts.index = [f"{p:g}" for p in counts.index]
    if not arm:
        discounts = counts.drop(index="0", errors="ignore")
        return str((discounts if len(discounts) else counts).idxmax())
    inputs.check(arm=(arm, list(counts.index)))
    return arm


def one_offer(experiment: Experiment, arm: str) -> Experiment:
    """The offer `arm` against the control, or the offer with most contacts where that one was never made; two arms stay as they are."""
    if len(experiment.arms) == 2:
        return experiment
    made = arm in experiment.arms and experiment.counts[experiment.arms.index(arm)] > 0
    return experiment.contrast(arm if made else experiment.arms[1 + int(np.argmax(experiment.counts[1:]))])


def would_pay(experiment: Experiment) -> dict[str, float]:
    """outcome -> the effect a contact that would pay. An outcome of which that cannot be said is not in it.

    units: those that earn the discount back at the mean margin m, base x d / (m - d), with the units of the control as base.
    profit and whole: what an offer costs in discount and contact; an effect as large returns the money once more.
    """
    offered = experiment.arm == 1
    out = {}
    depth = float(experiment.depth[1])
    if "units" in experiment.outcomes and "margin" in experiment.features and np.isfinite(depth):
        base, margin = np.nanmean(experiment.outcome("units")[~offered]), experiment.features["margin"].mean()
        if margin > depth > 0 and base > 0:
            out["units"] = float(base * depth / (margin - depth))
    if "spend" in experiment.outcomes and "profit" in experiment.outcomes:
        given = float(np.nanmean(experiment.outcome("spend")[offered]))
        out |= {name: given for name in ("profit", "whole") if given > 0}
    return out


def disguised(experiment: Experiment) -> Experiment:
    """A treatment as a careless analyst defines it: bought with the offer's discount, against all others. The outcome is its cause.

    Contacts without an offer are among the others, and so are those who were offered something and did not buy.
    """
    bought = experiment.outcome("discount") > 0
    return replace(
        experiment,
        name="'bought with an offer'",
        arm=bought.astype(int),
        arms=("did not", "bought with an offer"),
        depth=np.array([np.nan, np.nan]),
        probability=None,
        planned=None,
        strata=None,
    )


def slim(experiment: Experiment, features: pd.DataFrame) -> Experiment:
    """The experiment with other features, such as those that an estimate adjusts for: gates then judge the very same ones."""
    return replace(experiment, features=features.reset_index(drop=True))
