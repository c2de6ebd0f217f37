"""What the kept study of noise says: how often it looks like a reason, and how often what stands for the hidden ranks above it."""

import numpy as np
import pandas as pd
from scipy import stats

PROXIES = {  # what a customer hides, and the features that should tell of it
    "price sensitivity": ("response", "promotion_share", "redeemed_share", "redeemed_depth", "age"),
    "attention": ("redeemed_share", "redeemed_depth", "discounts"),
    "purchase rate": ("product_28", "product_90", "product_180", "product_all", "product_recency"),
}


def judged(kept: pd.DataFrame, column: str = "rupees") -> pd.DataFrame:
    """One row a seed: bar (95th percentile of the permuted copies), noise (columns of noise below it), largest (of the noise), mean_below
    (whether the noise columns' mean lies below the bar), and by what is hidden: whether the best of its proxies, and how many of them,
    lie above all noise, and (copies) whether the best of their permuted copies does, which is chance."""
    rows = []
    for seed, part in kept.groupby("seed", sort=True):
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


def counted(verdicts: pd.DataFrame) -> pd.DataFrame:
    """Rows contacts, key, claim, held, of, share, low, high (Wilson's interval, as if plantings were independent), by_chance (the share of
    the permuted copies of the same features; missing for claims on the noise itself)."""
    rows = []
    for contacts, part in verdicts.groupby("contacts", sort=False):
        held = {"below": (part["below"].sum(), part["noise"].sum())}
        held |= {k: (part[k].sum(), len(part)) for k in ("all_below", "mean_below")}
        for key, hidden in zip(("sensitivity", "attention", "rate"), PROXIES, strict=True):
            held[key] = (part[f"{hidden}, best"].sum(), len(part))
        for key, (many, of) in held.items():
            low, high = wilson(int(many), int(of))
            trait = dict(zip(("sensitivity", "attention", "rate"), PROXIES, strict=True)).get(key)
            chance = part[f"{trait}, copies"].mean() if trait else np.nan
            rows.append((contacts, key, CLAIMS[key], int(many), int(of), many / of, low, high, chance))
    return pd.DataFrame(rows, columns=["contacts", "key", "claim", "held", "of", "share", "low", "high", "by_chance"])


def wilson(held: int, of: int) -> tuple[float, float]:
    """95 % interval of a share (Wilson 1927)."""
    ends = stats.binomtest(held, of).proportion_ci(method="wilson")
    return float(ends.low), float(ends.high)


def over_bar(kept: pd.DataFrame, column: str = "rupees") -> dict[str, np.ndarray]:
    """Attributions as multiples of each planting's bar, by group of columns."""
    bar = kept[kept["kind"] == "permuted"].groupby("seed")[column].quantile(0.95)
    value = kept[column] / kept["seed"].map(bar)
    groups = {f"for {hidden}": kept["feature"].isin(features) for hidden, features in PROXIES.items()}
    groups |= {"noise": kept["kind"] == "noise", "permuted copies": kept["kind"] == "permuted"}
    return {name: value[rows].to_numpy() for name, rows in groups.items()}


def by_chance(copies: int, columns: int, level: float = 0.95) -> float:
    """About how likely all of some columns lie below the `level` quantile of `copies` others, where all are drawn alike:
    of n + 1 alike, the last is below the k-th of the others with chance k / (n + 1)."""
    place = 1 + (copies - 1) * level
    return float(np.prod([(place + i) / (copies + 1 + i) for i in range(columns)]))
