"""What the kept study of noise says: how often it looks like a reason, and how often what stands for the hidden ranks above it."""

import numpy as np
import pandas as pd

PROXIES = {  # what a customer hides, and the features that should tell of it
    "price sensitivity": ("response", "promotion_share", "redeemed_share", "redeemed_depth", "age"),
    "attention": ("redeemed_share", "redeemed_depth", "discounts"),
    "purchase rate": ("product_28", "product_90", "product_180", "product_all", "product_recency"),
}


def judged(kept: pd.DataFrame, column: str = "rupees") -> pd.DataFrame:
    """One row a seed: bar (95th percentile of the permuted copies), noise (columns of noise below it), largest (of the noise), mean_below
    (whether the noise columns' mean lies below the bar), and by what is hidden: whether the best of its proxies, and how many of them,
    lie above all noise."""
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
            row[f"{hidden}, beyond"] = int((own > bar).sum())
        rows.append(row)
    return pd.DataFrame(rows)
