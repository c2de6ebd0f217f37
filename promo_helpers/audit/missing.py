"""What a difference between groups may be where the group of many customers is not known: bounds without assumptions on the unknown."""

import numpy as np
import pandas as pd


def bounds(selected: np.ndarray, group: np.ndarray, shares: dict[object, float] | None = None) -> pd.DataFrame:
    """One row a group: known (customers), selected (share of them), difference (to all others that are known), and the bounds of that
    difference over all customers: low, high where the unknown may be anybody; mix_low, mix_high where the unknown are of the groups in
    given proportions (`shares`: group -> fraction of the unknown; those of the known unless given), whoever of them is selected.

    selected: [customer]; group: [customer], missing where unknown. The bounds are sharp (Manski 2003, chapter 1): some completion of the
    labels attains each. They hold whatever decides whose label is known. Raises ValueError where no label is known.
    """
    label, picked = np.asarray(group, object), np.asarray(selected, bool)
    unknown = pd.isna(label)
    if unknown.all():
        raise ValueError("group: no label is known, so nothing bounds a difference")
    u, us = int(unknown.sum()), int(picked[unknown].sum())
    rows = []
    for name in sorted(pd.unique(label[~unknown]), key=str):
        mine = ~unknown & (label == name)
        other = ~unknown & ~mine
        n, s, no, so = int(mine.sum()), int(picked[mine].sum()), int(other.sum()), int(picked[other].sum())
        share = n / (n + no) if shares is None else shares[name]
        m = min(round(share * u), u)
        most, least = min(m, us), max(0, m - (u - us))

        def between(a: int, m: int, n: int = n, s: int = s, no: int = no, so: int = so) -> float:
            """Difference where m of the unknown are in the group, a of them selected."""
            there, rest = n + m, no + u - m
            return (s + a) / there - (so + us - a) / rest if there and rest else np.nan

        rows.append(
            {
                "group": name, "known": n, "selected": s / n, "difference": s / n - so / no if no else np.nan,
                "low": between(0, u - us), "high": between(us, us), "mix_low": between(least, m), "mix_high": between(most, m),
            }
        )  # fmt: skip
    return pd.DataFrame(rows)
