"""What the kept studies say, as tables: means over markets, shares of the best, and what a method gains."""

import numpy as np
import pandas as pd
from scipy import stats

from promo_helpers.evaluate import ranking

ASKED = (("customers", "precision@100"), ("customers", "recall@100"), ("customers", "auc"), ("products", "ndcg@10"))
SHOWN = ("Bayes-optimal", "ensemble", "own habit", "personal frequency")


def over_markets(kept: pd.DataFrame, method: str = "ensemble", against: str = "own habit") -> pd.DataFrame:
    """One row per profile, question and metric of `studies.purchase`: means of the methods, and of `method`, each with low and high:
    its level, its share of Bayes-optimal (a ratio of means over markets), and its gain over `against` (paired by market)."""
    rows = []
    for profile, part in kept.groupby("case"):
        by = ["question", "metric"]
        frames = {
            "level": ranking.over_dates(part, [*by, "method"]).rename(columns={"mean": "value"}),
            "share": ranking.share_of(part, "Bayes-optimal", by, unit="seed").rename(columns={"share": "value"}),
            "gain": ranking.against(part.rename(columns={"seed": "date"}), against, by).rename(columns={"mean": "value"}),
        }
        frames = {name: frame.set_index([*by, "method"]) for name, frame in frames.items()}
        for key in ASKED:
            row = {"profile": profile, "ranked": key[0], "metric": key[1]}
            row |= {shown: frames["level"].loc[(*key, shown), "value"] for shown in SHOWN}
            for name, frame in frames.items():
                row |= {
                    f"{name}_{end}".removesuffix("_value"): frame.loc[(*key, method), end] for end in ("value", "low", "high")
                }
            best = frames["level"].loc[(*key, "Bayes-optimal")]
            rows.append(row | {"best_low": best["low"], "best_high": best["high"]})
    return pd.DataFrame(rows)


def shares_of_attainable(kept: pd.DataFrame) -> pd.DataFrame:
    """One row per case, contacts and learner of `studies.uplift`: events (an arm), share with low and high, and of_all.

    share: value over what the informed oracle earns at the same true expected spend, the ratio of means over markets (its interval by the
    jackknife over markets); of_all: value over the omniscient oracle's; and mean value, error, correlation, contacted.
    """
    rows = []
    for (case, contacts, learner), part in kept.groupby(["case", "contacts", "learner"], sort=False):
        n, value, whole = len(part), part["value"].to_numpy(), part["attainable"].to_numpy()
        share = value.mean() / whole.mean()
        left_out = (value.sum() - value) / (whole.sum() - whole)
        half = stats.t.ppf(0.975, max(n - 1, 1)) * np.sqrt((n - 1) / n * ((left_out - left_out.mean()) ** 2).sum())
        row = {
            "case": case,
            "contacts": contacts,
            "learner": learner,
            "markets": n,
            "events": part["events"].mean(),
            "share": share,
        }
        row |= {"low": share - half, "high": share + half, "of_all": value.mean() / part["omniscient"].mean()}
        rows.append(row | {name: part[name].mean() for name in ("value", "spend", "contacted", "error", "correlation")})
    return pd.DataFrame(rows)


def claims_of_nothing(kept: pd.DataFrame) -> pd.DataFrame:
    """One row per preset and learner of `studies.nothing`: trials, promised and estimated (means, LKR a decision), promises (share of
    trials in which the promise is above 0) and claims (share whose held-out bound is), with the 95 % Wilson interval of claims."""
    rows = []
    for (case, learner), part in kept.groupby(["case", "learner"], sort=False):
        claims = int((part["bound"] > 0).sum())
        interval = stats.binomtest(claims, len(part)).proportion_ci(method="wilson")
        row = {
            "case": case,
            "learner": learner,
            "trials": len(part),
            "promised": part["promised"].mean(),
            "estimated": part["estimated"].mean(),
        }
        row |= {"error": part["estimated"].std() / np.sqrt(len(part)), "promises": (part["promised"] > 0).mean()}
        rows.append(row | {"claims": claims / len(part), "low": interval.low, "high": interval.high})
    return pd.DataFrame(rows)


def gain_over(kept: pd.DataFrame, learner: str, contacts: int, other: str, others: int = 0) -> dict[str, float]:
    """Value of a learner less that of another policy in the same markets of `studies.uplift`, LKR a decision: gain, low, high (Student,
    95 %), wins (markets in which it earns more) and markets."""
    value = kept.set_index(["learner", "contacts", "seed"])["value"]
    gap = (value[learner, contacts] - value[other, others]).dropna()
    half = stats.t.ppf(0.975, len(gap) - 1) * gap.std() / np.sqrt(len(gap))
    mean = float(gap.mean())
    return {"gain": mean, "low": mean - half, "high": mean + half, "wins": int((gap > 0).sum()), "markets": len(gap)}
