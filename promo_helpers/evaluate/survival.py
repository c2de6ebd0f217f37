"""How good is a forecast of a waiting time? Scores on a restricted horizon, so that who is still waiting counts and biases nothing.

A forecast is a curve [row, horizon]: the chance that the wait is at most 1, 2, ... days. Waits beyond the horizon count as
horizon + 1 days, "later": every score below needs to know only whether somebody came within the horizon, and when.
"""

import itertools
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from promo_helpers import draws as keyed
from promo_helpers import inference
from promo_helpers.features.waiting import WaitForecast

NEAR = (1, 3, 7)  # days


def score(forecast: WaitForecast, wait: np.ndarray, seen: np.ndarray, horizon: int) -> dict[str, float]:
    """Scores of one date.

    error: mean absolute error of the wait cut at horizon + 1, days. returned: the same over those only who came within the horizon; it
    says what an error is like for them, but chooses no method, since it favours whoever expects everybody back.
    crps: mean over rows of the sum over days of the squared distance of the curve from what happened (the ranked probability score, in
    days; equals the absolute error for a forecast that is one number). rmse: root mean squared error of the mean. bias: mean of the
    middle less the wait. concordance: chance that of two customers the one forecast to come first does (Harrell 1982; ties count half).
    within_1, within_3, within_7: share forecast to within so many days. coverage, width: of the interval, in share and days. Raises
    ValueError for a wait that was not followed to the horizon.
    """
    from lifelines.utils import concordance_index

    short = ~seen & (wait < horizon)
    if short.any():
        raise ValueError(f"{short.sum()} waits were not followed for {horizon} days: choose earlier dates")
    came = seen & (wait <= horizon)
    true = np.where(came, wait, horizon + 1).astype(float)
    gap = np.abs(forecast.middle - true)
    order = forecast.mean
    scores = {
        "error": gap.mean(),
        "returned": gap[came].mean() if came.any() else np.nan,
        "crps": gap.mean(),
        "rmse": np.sqrt(((order - true) ** 2).mean()),
        "bias": (forecast.middle - true).mean(),
        "concordance": concordance_index(true, order, came) if came.any() else np.nan,
    } | {f"within_{d}": (gap <= d).mean() for d in NEAR}
    if forecast.curve is not None:
        happened = true[:, None] <= np.arange(1, horizon + 1)
        scores["crps"] = ((forecast.curve - happened) ** 2).sum(axis=1).mean()
    if forecast.low is not None and forecast.high is not None:
        scores["coverage"] = ((forecast.low <= true) & (true <= forecast.high)).mean()
        scores["width"] = (forecast.high - forecast.low).mean()
    return {name: float(value) for name, value in scores.items()}


def wait_scores(forecasts: Mapping[str, WaitForecast], rows: pd.DataFrame, horizon: int) -> pd.DataFrame:
    """Tidy: method, date, metric, value. `rows` has date, wait, seen (`features.waiting.moments`), in the order of the forecasts."""
    out = []
    for name, forecast in forecasts.items():
        for date, places in rows.groupby("date", sort=True).indices.items():
            parts = (forecast.middle, forecast.low, forecast.high, forecast.curve)
            part = WaitForecast(*(None if p is None else p[places] for p in parts))  # type: ignore[arg-type]
            wait, seen = rows["wait"].to_numpy()[places], rows["seen"].to_numpy(bool)[places]
            out += [(name, date, metric, value) for metric, value in score(part, wait, seen, horizon).items()]
    return pd.DataFrame(out, columns=["method", "date", "metric", "value"])


def attained(values: pd.DataFrame, best: str, base: str, metric: str = "crps") -> pd.DataFrame:
    """Tidy: method, date, metric "attained", value: what of the way from the method `base` to the truth `floor` each covers."""
    wide = values[values["metric"] == metric].pivot(index="date", columns="method", values="value")
    share = wide.rsub(wide[base], axis=0).div(wide[base] - wide[best], axis=0)
    tidy = share.reset_index().melt("date", var_name="method", value_name="value")
    return tidy.assign(metric="attained")[["method", "date", "metric", "value"]]


def wait_calibration(forecasts: Mapping[str, WaitForecast], rows: pd.DataFrame, within: int = 7, bins: int = 10) -> pd.DataFrame:
    """Tidy: method, foretold, happened, low, high, rows. Rows in equal bins of the chance of coming within so many days.

    The interval is of the share that came (normal, rows taken as independent, so that it is a little narrow). Forecasts without a
    curve have no chances and no rows here.
    """
    came = (rows["seen"] & (rows["wait"] <= within)).to_numpy(float)
    out = []
    for name, forecast in forecasts.items():
        if forecast.curve is None:
            continue
        chance = forecast.curve[:, within - 1]
        for places in np.array_split(np.argsort(chance, kind="stable"), bins):
            share = came[places].mean()
            ends = inference.interval(share, np.sqrt(share * (1 - share) / len(places)), inference.ROUNDED)
            out.append((name, chance[places].mean(), share, ends["low"], ends["high"], len(places)))
    return pd.DataFrame(out, columns=["method", "foretold", "happened", "low", "high", "rows"])


def calibration_error(
    forecasts: Mapping[str, WaitForecast],
    rows: pd.DataFrame,
    base: str,
    customer: np.ndarray,
    seed: int,
    within: int = 7,
    bins: int = 10,
    draws: int = 400,
) -> pd.DataFrame:
    """How far chances of coming within so many days are off, mean over equal bins (`wait_calibration`), with bootstrap
    intervals of customers.

    Columns method, off, low, high, more, more_low, more_high: the last three against the method `base`, on the same draws. In shares.
    `customer` [row] are the ids that draws go by.
    Chance alone puts `off` a little above zero. Forecasts without a curve have no chances and no rows here.
    """
    came = (rows["seen"] & (rows["wait"] <= within)).to_numpy(float)
    drawn = keyed.bootstrap(seed, "chances that are off", customer, n=draws)
    weight = np.vstack([np.ones(len(rows)), drawn])  # the first is what was seen
    found = {}
    for name, forecast in forecasts.items():
        if forecast.curve is not None:
            chance = forecast.curve[:, within - 1]
            parts = np.array_split(np.argsort(chance, kind="stable"), bins)
            gaps = [np.abs(weight[:, p] @ (came[p] - chance[p])) / np.maximum(weight[:, p].sum(axis=1), 1) for p in parts]
            found[name] = np.mean(gaps, axis=0)
    table = []
    for name, off in found.items():
        more = off - found[base]
        table.append((name, off[0], *inference.percentiles(off[1:]), more[0], *inference.percentiles(more[1:])))
    return pd.DataFrame(table, columns=["method", "off", "low", "high", "more", "more_low", "more_high"])


SINCE = (0, 0.5, 1, 1.5, 2, 3, 5, 10, np.inf)  # days already waited over the median gap


def since_last(rows: pd.DataFrame, horizon: int, edges: Sequence[float] = SINCE[:5]) -> pd.DataFrame:
    """Mean wait to come (cut at horizon + 1) by days already waited over her median gap, less that in the first of the bins.

    Columns since, raw, raw_low, raw_high, alike, alike_low, alike_high, rows: as it is, and by least squares among customers alike in
    their rate and median gap (both in logs), of those alone whose gap lets them fall into the first bin (2 days or more). Without that
    the bins hold different customers. Intervals take customers, not rows, as independent. Bins with fewer than two rows are left out.
    """
    true = np.where(rows["seen"] & (rows["wait"] <= horizon), rows["wait"], horizon + 1).astype(float)
    since = (rows["recency"] / rows["gap_median"]).to_numpy()
    place = np.where(since > 0, np.searchsorted(np.asarray(edges), since) - 1, -1)
    steps = [b for b in range(1, len(edges) - 1) if (place == b).sum() > 1]
    table = pd.DataFrame(
        {"since": [f"{edges[b]:g} to {edges[b + 1]:g}" for b in steps], "rows": [(place == b).sum() for b in steps]}
    )
    logs = np.log(rows[["rate", "gap_median"]].to_numpy(float))
    for name, least, beside in (("raw", 0, logs[:, :0]), ("alike", 2, logs)):
        mine = np.flatnonzero(np.isin(place, [0, *steps]) & (rows["gap_median"].to_numpy() >= least))
        design = np.column_stack([np.ones(len(mine)), *(place[mine] == b for b in steps), beside[mine]]).astype(float)
        effect, cov = inference.least_squares(design, true[mine], rows["customer"].to_numpy()[mine])
        some = slice(1, len(steps) + 1)
        ends = inference.interval(effect[some], np.sqrt(np.diag(cov))[some], inference.ROUNDED)
        table = table.assign(**{name: effect[some], f"{name}_low": ends["low"], f"{name}_high": ends["high"]})
    return table


def overdue(
    forecasts: Mapping[str, WaitForecast],
    rows: pd.DataFrame,
    horizon: int,
    edges: Sequence[float] = SINCE,
) -> pd.DataFrame:
    """Tidy: method, since ("1 to 1.5": days already waited over her median gap), days, low, high, rows.

    The mean wait to come, cut at horizon + 1, as it was (method "happened", with an interval) and as each method says.
    Customers without a gap are left out, and so are bins with fewer than two.
    """
    true = np.where(rows["seen"] & (rows["wait"] <= horizon), rows["wait"], horizon + 1).astype(float)
    since = (rows["recency"] / rows["gap_median"]).to_numpy()
    out = []
    for low, high in itertools.pairwise(edges):
        places = np.flatnonzero((since > low) & (since <= high))
        if len(places) < 2:
            continue
        label = f"{low:g} to {high:g}" if np.isfinite(high) else f"over {low:g}"
        ends = inference.mean(true[places], inference.ROUNDED)
        out.append(("happened", label, ends["estimate"], ends["low"], ends["high"], len(places)))
        for name, forecast in forecasts.items():
            out.append((name, label, forecast.mean[places].mean(), np.nan, np.nan, len(places)))
    return pd.DataFrame(out, columns=["method", "since", "days", "low", "high", "rows"])
