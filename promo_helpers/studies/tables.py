"""What the kept studies say, as tables: means over markets, shares of the best, and what a method gains."""

import pandas as pd

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
