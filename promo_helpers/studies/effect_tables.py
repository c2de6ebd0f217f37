"""What the kept studies of effects say, as tables with intervals over markets."""

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

REACH = float(stats.norm.ppf(0.975))


def share_between(events: int, trials: int) -> tuple[float, float, float]:
    """Share with its 95 % interval (Clopper and Pearson 1934)."""
    ends = stats.binomtest(events, trials).proportion_ci(method="exact")
    return events / trials, float(ends.low), float(ends.high)


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


def coverage_records(table: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """What `Report.record` takes: covered_* and bias_* for each row of `coverage_table`."""
    for r in table.itertuples():
        key, what = _key(r.source, r.outcome, r.method), f"{r.source}, {r.outcome}, {r.method}"
        yield _number(f"covered_{key}", r.covered, r.low, r.high, f"intervals that hold the truth, {what}", 1, "%")
        yield _number(f"bias_{key}", r.bias, r.bias_low, r.bias_high, f"mean error in true effects, {what}")


def alarm_records(table: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """What `Report.record` takes: alarm_* for each row of `alarm_table`."""
    for r in table.itertuples():
        name, meaning = f"alarm_{_key(r.case, r.refuter)}", f"markets ({r.case}) with an alarm: {r.refuter}"
        yield _number(name, r.alarms, r.low, r.high, meaning, 0, "%")


def dial_records(table: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """What `Report.record` takes: dial_<method>_<10 x slope>_<100 x hidden confounding> for each row of the dial's `bias_table`."""
    for r in table.itertuples():
        meaning = f"mean error in true effects, slope {r.overlap:g}, hidden {r.confounding:g}, {r.method}"
        name = f"dial_{_key(r.method)}_{10 * r.overlap:.0f}_{100 * r.confounding:.0f}"
        yield _number(name, r.error, r.low, r.high, meaning)


def alarm_cells(table: pd.DataFrame) -> pd.DataFrame:
    """`alarm_table` as it is printed: a row per refuter, a column per case, per cent with intervals."""
    cells = table.assign(cell=[written(*values) for values in table[["alarms", "low", "high"]].to_numpy()])
    shown = cells.pivot(index="refuter", columns="case", values="cell")
    return shown.loc[table["refuter"].unique(), table["case"].unique()].reset_index()


def coverage_cells(table: pd.DataFrame, methods: Iterable[str]) -> pd.DataFrame:
    """`coverage_table` as it is printed: a row per method, a column per source and outcome, shares."""
    shown = table.pivot(index="method", columns=["source", "outcome"], values="covered").loc[list(methods)]
    shown.columns = [f"{source}, {outcome}" for source, outcome in shown.columns]
    return shown.reset_index()


def _number(name: str, value: float, low: float, high: float, meaning: str, digits: int = 2, unit: str = "") -> dict[str, Any]:
    return {"name": name, "value": value, "unit": unit, "digits": digits, "interval": (low, high), "meaning": meaning}


def _key(*names: str) -> str:
    return "_".join(names).lower().replace(", ", "_").replace(" ", "_").replace("-", "_")


def written(share: float, low: float, high: float) -> str:
    """A share with its interval as a cell of a table: 12 (6 to 22)."""
    return f"{100 * share:.0f} ({100 * low:.0f} to {100 * high:.0f})"
