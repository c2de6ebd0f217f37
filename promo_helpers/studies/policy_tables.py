"""What the kept studies of policies and forecasts say, as tables over markets and replications."""

import numpy as np
import pandas as pd
from scipy import stats

PERSONAL = "expected profit"
LEAST = 1e-6  # LKR: below that nothing is earned


def ledger(kept: pd.DataFrame) -> pd.DataFrame:
    """One row a case and policy of `studies.policies`: markets; promised, estimated and value (means, LKR a decision) each with _low
    and _high (Student over markets); contacted and spend; share of what is attainable at that spend (ratio of means; missing without
    an oracle); and sure, the share of markets whose own one-sided 95 % bound of the estimate lies above 0."""
    rows = []
    for (case, policy), part in kept.groupby(["case", "policy"], sort=False):
        row: dict[str, object] = {"case": case, "policy": policy, "markets": len(part)}
        for name in ("promised", "estimated", "value"):
            mean, half = _student(part[name])
            row |= {name: mean, f"{name}_low": mean - half, f"{name}_high": mean + half}
        row |= {"contacted": part["contacted"].mean(), "spend": part["spend"].mean()}
        there = part["attainable"].notna().all() and part["attainable"].mean() > 0
        row["share"] = part["value"].mean() / part["attainable"].mean() if there else np.nan
        row["sure"] = float((part["estimated"] - stats.norm.ppf(0.95) * part["se"] > 0).mean()) if part["se"].any() else 0.0
        rows.append(row)
    return pd.DataFrame(rows)


def personal_or_broadcast(kept: pd.DataFrame) -> pd.DataFrame:
    """One row a case: the true value of expected profit and of the constant policy (nobody included) that earns most over these markets,
    and the lead of the first, LKR a decision, each with _low and _high (Student over markets); constant,
    wins (markets ahead), shown (markets whose own held-out interval shows a lead over the constant that the trial found), markets."""
    rows = []
    for case, part in kept.groupby("case", sort=False):
        wide = part.pivot(index="seed", columns="policy", values="value")
        constants = [c for c in wide if c == "nobody" or str(c).startswith("everybody")]
        means = wide[constants].mean()
        best = "nobody" if means.max() < LEAST else str(means.idxmax())
        row: dict[str, object] = {"case": case, "constant": best, "markets": len(wide)}
        row["wins"] = int((wide[PERSONAL] - wide[best] > LEAST).sum())
        mine = part[part["policy"] == PERSONAL]
        row["shown"] = int((mine["ahead"] - stats.norm.ppf(0.975) * mine["ahead_se"] > 0).sum())
        for name, value in (("personal", wide[PERSONAL]), ("broadcast", wide[best]), ("lead", wide[PERSONAL] - wide[best])):
            mean, half = _student(value)
            row |= {name: mean, f"{name}_low": mean - half, f"{name}_high": mean + half}
        rows.append(row)
    return pd.DataFrame(rows)


def lead_over(kept: pd.DataFrame, case: str, other: str) -> dict[str, float]:
    """True value of expected profit less that of another policy in the same markets of a case: lead, low, high (Student), wins, markets."""
    wide = kept[kept["case"] == case].pivot(index="seed", columns="policy", values="value")
    gap = wide[PERSONAL] - wide[other]
    mean, half = _student(gap)
    return {"lead": mean, "low": mean - half, "high": mean + half, "wins": float((gap > LEAST).sum()), "markets": float(len(gap))}


def promised_beyond(kept: pd.DataFrame, errors: float = 2.0) -> tuple[int, int]:
    """In how many cases expected profit promises more than is true by over so many standard errors over markets, and of how many."""
    mine = kept[kept["policy"] == PERSONAL]
    gap = (mine["promised"] - mine["value"]).groupby(mine["case"]).agg(["mean", "sem"])
    return int((gap["mean"] > errors * gap["sem"]).sum()), len(gap)


def covered(kept: pd.DataFrame) -> pd.DataFrame:
    """One row a figure of `studies.coverage` that has intervals: replications, truth and estimate (means), cover with low and high
    (binomial, 95 %), width (mean)."""
    rows = []
    for figure, part in kept[kept["low"].notna()].groupby("figure", sort=False):
        inside = (part["low"] <= part["truth"]) & (part["truth"] <= part["high"])
        interval = stats.binomtest(int(inside.sum()), len(part)).proportion_ci(method="wilson")
        row = {"figure": figure, "replications": len(part), "truth": part["truth"].mean(), "estimate": part["estimate"].mean()}
        row |= {"cover": inside.mean(), "low": interval.low, "high": interval.high}
        rows.append(row | {"width": (part["high"] - part["low"]).mean()})
    return pd.DataFrame(rows)


def _student(values: pd.Series) -> tuple[float, float]:
    """Mean and half-width of its 95 % interval; none from a single market."""
    n = len(values)
    half = float(stats.t.ppf(0.975, n - 1) * values.std() / np.sqrt(n)) if n > 1 else np.nan
    return float(values.mean()), half
