"""What the kept studies of effects say, as tables with intervals over markets."""

from collections.abc import Iterable

import numpy as np
import pandas as pd
from scipy import stats

REACH = float(stats.norm.ppf(0.975))


def share_between(events: int, trials: int) -> tuple[float, float, float]:
    """Share with its 95 % interval (Clopper and Pearson 1934)."""
    low = float(stats.beta.ppf(0.025, events, trials - events + 1)) if events else 0.0
    high = float(stats.beta.ppf(0.975, events + 1, trials - events)) if events < trials else 1.0
    return events / trials, low, high


def coverage_table(kept: pd.DataFrame) -> pd.DataFrame:
    """One row per source, outcome and method: how often the 95 % interval holds the truth (covered, low, high), whether `sound` (.95 lies
    within that binomial interval), the mean error in true effects (bias, bias_low, bias_high), and the ratio of the error that is claimed
    to the spread that there is (claimed)."""
    rows = []
    for (source, outcome, method), part in kept.groupby(["source", "outcome", "method"], sort=False):
        miss = part["effect"] - part["truth"]
        covered, low, high = share_between(int((miss.abs() <= REACH * part["error"]).sum()), len(part))
        bias, reach = miss.mean() / part["truth"].mean(), REACH * miss.std() / np.sqrt(len(part)) / abs(part["truth"].mean())
        row = {"source": source, "outcome": outcome, "method": method, "markets": len(part)}
        row |= {"covered": covered, "low": low, "high": high, "sound": low <= 0.95 <= high}
        row |= {"bias": bias, "bias_low": bias - reach, "bias_high": bias + reach, "claimed": part["error"].mean() / miss.std()}
        rows.append(row)
    return pd.DataFrame(rows)


def alarm_table(kept: pd.DataFrame) -> pd.DataFrame:
    """One row per case and refuter: case, refuter, alarms (share of markets), low, high; and a row "interval misses the truth" each."""
    rows = []
    for case, part in kept.groupby("case", sort=False):
        markets = part.drop_duplicates("seed")
        rows.append((case, "interval misses the truth", *share_between(int(markets["missed"].sum()), len(markets))))
        for refuter, some in part.groupby("refuter", sort=False):
            rows.append((case, refuter, *share_between(int(some["alarm"].sum()), len(some))))
    return pd.DataFrame(rows, columns=["case", "refuter", "alarms", "low", "high"])


def bias_table(kept: pd.DataFrame, by: Iterable[str]) -> pd.DataFrame:
    """One row per group of `by`: error, the mean of effect less truth in units of the mean truth of the group, with low and high over
    markets (Student), and markets."""
    rows = []
    for key, part in kept.groupby(list(by), sort=False):
        miss, scale = part["effect"] - part["truth"], abs(part["truth"].mean())
        reach = stats.t.ppf(0.975, len(part) - 1) * miss.std() / np.sqrt(len(part))
        rows.append((*key, miss.mean() / scale, (miss.mean() - reach) / scale, (miss.mean() + reach) / scale, len(part)))
    return pd.DataFrame(rows, columns=[*by, "error", "low", "high", "markets"])


def written(share: float, low: float, high: float) -> str:
    """A share with its interval as a cell of a table: 12 (6 to 22)."""
    return f"{100 * share:.0f} ({100 * low:.0f} to {100 * high:.0f})"
