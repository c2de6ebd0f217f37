"""Kept study: does an audit find a rule that treats a group worse, and does it leave one alone that does not?

Each audit is of a new made-up population with known rule, so it needs no market: six legitimate features, of which age and gender move
three, and three protected attributes. A quarter of the customers, those of highest score, are contacted.
"""

import numpy as np
import pandas as pd
from scipy import stats

from promo_helpers import draws
from promo_helpers.audit.fairness import Measure
from promo_helpers.audit.nulls import ALPHA, adjusted_p, equal_given_features, equal_shares
from promo_helpers.inference import named, share

AUDITS = 500
# the score depends on features that differ between groups; what it takes from women, in its SDs; audits
CASES: dict[str, tuple[bool, float, int]] = {
    "fair, groups alike": (False, 0.0, AUDITS),
    "fair, groups differ": (True, 0.0, AUDITS),
    "planted, 0.1": (True, 0.1, AUDITS),
    "planted, 0.2": (True, 0.2, AUDITS),
    "planted, 0.4": (True, 0.4, AUDITS),
    "probe": (True, 0.2, 6),
}
CUSTOMERS = 2_000
CONTACTED = 0.25
CITIES = (0.4, 0.25, 0.15, 0.1, 0.06, 0.04)
FOLDS = 3


def audit_rows(case: str, audits: int | None = None) -> pd.DataFrame:
    """The kept rows of a case: seed, null, tests, below (p under the level, unadjusted), Holm and BH (numbers accused), gender (whether
    gender is among those that Holm accuses), difference (share of women contacted less that of men)."""
    differ, taken, many = CASES[case]
    rows = []
    for seed in range(many if audits is None else audits):
        features, labels, sent = population(seed, differ, taken, case)
        measures, who = [Measure("contacted", sent.astype(float), np.ones(len(sent)))], np.arange(len(sent))
        women = labels["gender"].to_numpy() == "women"
        difference = float(sent[women].mean() - sent[~women].mean())
        for null, tests in (
            ("equal shares", equal_shares(measures, labels, who)),
            ("equal given features", equal_given_features(measures, labels, who, features, seed, folds=FOLDS)),
        ):
            holm = adjusted_p(tests["p"]) < ALPHA
            rows.append(
                {
                    "seed": seed, "null": null, "tests": len(tests), "below": int((tests["p"] < ALPHA).sum()), "Holm": int(holm.sum()),
                    "BH": int((adjusted_p(tests["p"], "BH") < ALPHA).sum()), "gender": int((holm & (tests["attribute"] == "gender")).any()),
                    "difference": difference,
                }
            )  # fmt: skip
    return pd.DataFrame(rows)


def population(
    seed: int, differ: bool, taken: float, case: str = "", customers: int = CUSTOMERS
) -> tuple[pd.DataFrame, pd.DataFrame, np.ndarray]:
    """(legitimate features, labels, who is contacted) of made-up customers, whose numbers are their ids; each `case` has others."""
    who = np.arange(customers)
    age = 18 + 62 * draws.uniform(seed, f"age, {case}", who)
    women = draws.uniform(seed, f"gender, {case}", who) < 0.55
    labels = pd.DataFrame(
        {
            "gender": np.where(women, "women", "men"),
            "age_band": np.array(["under 30", "30 to 44", "45 to 59", "60 and over"])[
                np.searchsorted((30, 45, 60), age, side="right")
            ],
            "city": np.char.add("city ", draws.choice(seed, f"city, {case}", who, chances=CITIES).astype(str)),
        }
    )
    noise = draws.normal(seed, f"noise, {case}", who, n=6)
    old = (age - 49) / 18
    units = np.exp(0.6 * old + noise[:, 0])
    recency = 20 * np.exp(-0.5 * old + noise[:, 1])
    category = draws.poisson(seed, f"units of the category, {case}", who, mean=np.exp(0.5 * women + 0.5 * noise[:, 2]))
    features = pd.DataFrame({"units": units, "recency": recency, "category": category.astype(float)})
    features["basket"], features["late"], features["promoted"] = np.exp(noise[:, 3]), noise[:, 4], stats.norm.cdf(noise[:, 5])
    own = noise[:, 4] + np.log(features["basket"]) * features["promoted"]
    score = own + np.log1p(units) * (1 + 0.5 * np.log1p(category)) - 0.5 * np.log1p(recency) if differ else own
    score = np.asarray(score) - taken * np.std(score) * women
    return features, labels, score >= np.quantile(score, 1 - CONTACTED)


def summary(study: pd.DataFrame) -> pd.DataFrame:
    """One row a case and null: audits, difference (mean), below (mean number under the level), any and gender (share of audits in which
    Holm accuses anything, or gender) and any_BH, each with low and high (Wilson, 95 %)."""
    rows = []
    for (case, null), part in study.groupby(["case", "null"], sort=False):
        row = {
            "case": case,
            "null": null,
            "audits": len(part),
            "difference": part["difference"].mean(),
            "below": part["below"].mean(),
        }
        for name, hits in (("any", part["Holm"] > 0), ("gender", part["gender"] > 0), ("any_BH", part["BH"] > 0)):
            row |= named(name, share(int(hits.sum()), len(part)))
        rows.append(row)
    return pd.DataFrame(rows)
