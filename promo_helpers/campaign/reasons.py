"""Why this customer? One sentence from facts of hers, those that raise the model's answer most first; no number of a model in it."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from scipy.special import expit

from promo_helpers.features.said import ago, counted, times, used_discounts
from promo_helpers.models.dose import LEAST, Dose, _drivers, _standard

GROUPS = {  # what a sentence can be about, and the features behind it; age, gender and segment are never given as a reason
    "habit": ("product_28", "product_90", "product_180", "product_all", "product_recency", "product_share", "log_base"),
    "category": ("category_90", "category_180", "category_recency", "category_share"),
    "offers": ("discounts", "redeemed_share", "redeemed_depth"),
    "rest": ("offers_30", "offers_90", "offers_all", "offers_recency"),
    "promotions": ("promotion_share", "product_promotion_share", "category_promotion_share", "response", "sure"),
    "visits": ("trips_28", "trips_90", "trips_180", "spend_90", "recency"),
    "hour": ("hour_gap", "hour", "late_share"),
}
FACTS = (
    "product_90",
    "product_recency",
    "category_90",
    "used",
    "discounts",
    "offers_30",
    "promotion_share",
    "trips_28",
    "hour_gap",
)


def drivers(dose: Dose, features: pd.DataFrame) -> pd.DataFrame:
    """[row, group] what each of GROUPS adds, beside the average customer, to the log of the units that an offer adds.

    These are base x notice x lift: the log of the base counts as habit, the weights of lift as they are, those of noticing times the
    share that does not notice yet (their slope).
    """
    x = features[list(dose.columns)]
    base = np.maximum(np.mean([m.predict(x) for m in dose.bases], axis=0), LEAST)
    z = _standard(_drivers(x, base), dose.centre, dose.scale)
    missed = 1 - expit(dose.level + z @ dose.notice)
    names = [*dose.columns, "log_base"]
    out = {}
    for group, columns in GROUPS.items():
        place = [names.index(c) for c in columns if c in names]
        out[group] = z[:, place] @ dose.answer[place] + missed * (z[:, place] @ dose.notice[place])
    out["habit"] = out["habit"] + np.log(base)
    return pd.DataFrame({group: values - values.mean() for group, values in out.items()})


def facts_of(features: pd.DataFrame) -> pd.DataFrame:
    """The FACTS that sentences name, from the features of decisions; `used` counts earlier discounts that were redeemed."""
    known = {c: features[c].to_numpy(float) for c in FACTS if c in features}
    if {"redeemed_share", "discounts"} <= set(features):
        known["used"] = used_discounts(features["redeemed_share"], features["discounts"]).to_numpy(float)
    return pd.DataFrame(known)


def sentences(
    facts: pd.DataFrame, weight: pd.DataFrame, product: str, category: str | None, usual: float, most: int = 2
) -> list[str]:
    """[row] a sentence of up to `most` clauses: those of the groups with the largest positive `weight` [row, group] that have a fact.

    facts: columns of FACTS, some may be missing. usual: share of units that customers buy on price promotion, to compare with.
    """
    order = np.argsort(-weight.to_numpy(float), axis=1, kind="stable")
    names = list(weight)
    said = []
    for row, ranking, value in zip(facts.to_dict("records"), order, weight.to_numpy(float), strict=True):
        told: list[str] = []
        for k in ranking:
            clause = _clause(names[k], row, product, category, usual)
            if clause and value[k] > 0 and len(told) < most:
                told.append(clause)
        if not told:
            told = [_clause("habit", row, product, category, usual) or f"may be written to about {product}"]
        verb = told[0].split(" ", 1)[0] + " "
        told[1:] = [
            c.removeprefix(verb) if verb == "bought " else c for c in told[1:]
        ]  # bought this and that, not bought and bought
        said.append(f"This customer {' and '.join(told)}.")
    return said


def _clause(group: str, row: Mapping[object, float], product: str, category: str | None, usual: float) -> str:
    """What a group says of a customer, as the end of "This customer ..."; "" where it has nothing to say."""

    def fact(name: str) -> float:
        return float(row.get(name, np.nan))

    if group == "habit":
        units, last = fact("product_90"), fact("product_recency")
        if units > 0:
            return f"bought {counted(units, 'unit')} of {product} in the last 90 days (most recently {ago(last)})"
        if np.isfinite(last):
            return f"last bought {product} {ago(last)}"
        return f"has not bought {product} before"
    if group == "category" and category and fact("category_90") > 0:
        return f"bought {counted(fact('category_90'), 'unit')} from the category {category} in the last 90 days"
    if group == "offers" and fact("discounts") > 0 and fact("used") > 0:
        given, used = fact("discounts"), fact("used")
        if given == 1:
            return "used the one earlier discount that was offered"
        return f"used {'all' if used == given else f'{used:.0f} of'} {given:.0f} earlier discounts"
    if group == "rest" and fact("offers_30") == 0:
        return "has had no offer in the last 30 days"
    if group == "promotions" and fact("promotion_share") > usual:
        return f"takes {fact('promotion_share'):.0%} of all units on price promotion (usual here: {usual:.0%})"
    if group == "visits" and fact("trips_28") > 0:
        return f"came {times(fact('trips_28'))} in the last four weeks"
    if group == "hour" and fact("hour_gap") < 3:
        return "tends to shop about the hour at which the message comes"
    return ""
