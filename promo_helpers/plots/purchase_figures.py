"""Pictures of purchase prediction; the frames come from `promo_helpers.evaluate.ranking` and `promo_helpers.models.purchase`."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import PercentFormatter

from promo_helpers.style import COLOURS, INK, METHODS, PALE


def by_k(frame: pd.DataFrame, axis: Axes, metric: str, methods: Sequence[str]) -> Axes:
    """One metric against the number of places k, a line per method with its interval over dates (`ranking.over_dates`)."""
    named = frame["metric"].str.split("@", expand=True)
    shown = frame.assign(kind=named[0], k=pd.to_numeric(named[1]))
    shown = shown[shown["kind"] == metric]
    for method in methods:
        line = shown[shown["method"] == method].sort_values("k")
        axis.plot(line["k"], line["mean"], marker="o", ms=3, color=METHODS[method], label=method)
        axis.fill_between(line["k"], line["low"], line["high"], color=METHODS[method], alpha=0.15, lw=0)
    axis.set_xscale("log")
    places = sorted(int(k) for k in shown["k"].unique())
    axis.set_xticks(places, [str(k) for k in places])
    axis.minorticks_off()
    axis.set_ylim(0)
    axis.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axis.set_xlabel("places k")
    axis.set_ylabel(f"{metric} at k")
    return axis


def purchase_precision_recall(frame: pd.DataFrame, axis: Axes) -> Axes:
    """Precision against recall, a line per method (`ranking.precision_recall`)."""
    for method, line in frame.groupby("method", sort=False):
        axis.plot(line["recall"], line["precision"], color=METHODS[str(method)], label=method)
    for setting, label in ((axis.set_xlabel, "recall"), (axis.set_ylabel, "precision")):
        setting(label)
    axis.set_xlim(0, 1)
    axis.set_ylim(0, 1)
    axis.legend()
    return axis


def purchase_calibration(frame: pd.DataFrame, axis: Axes) -> Axes:
    """Observed share against predicted chance with intervals over dates, on logarithmic axes (`ranking.calibration_curve`)."""
    ends = [frame[["predicted", "observed"]].min().min() * 0.7, 1]
    axis.plot(ends, ends, color=PALE, lw=1, zorder=0)
    error = np.vstack([frame["observed"] - frame["low"], frame["high"] - frame["observed"]]).clip(0)
    error = np.minimum(error, np.vstack([frame["observed"] * 0.999, np.full(len(frame), np.inf)]))
    axis.errorbar(frame["predicted"], frame["observed"], yerr=error, fmt="o", ms=4, lw=1, color=METHODS["ensemble"])
    for scale, label in ((axis.set_xscale, axis.set_xlabel), (axis.set_yscale, axis.set_ylabel)):
        scale("log")
        label("predicted chance" if scale == axis.set_xscale else "share bought")
    for one in (axis.xaxis, axis.yaxis):
        one.set_major_formatter(PercentFormatter(1, decimals=None))
    return axis


def importances(frame: pd.DataFrame, axis: Axes, top: int = 12) -> Axes:
    """Average precision lost by shuffling each of the `top` features, with intervals over dates (`ranking.over_dates`)."""
    shown = frame.sort_values("mean", ascending=False).head(top)[::-1]
    rows = np.arange(len(shown))
    error = np.vstack([shown["mean"] - shown["low"], shown["high"] - shown["mean"]])
    axis.barh(rows, shown["mean"], color=COLOURS["blue"], height=0.65, xerr=error, error_kw={"lw": 0.8, "ecolor": INK})
    axis.set_yticks(rows, [name.replace("_", " ") for name in shown["feature"]])
    axis.axvline(0, color=INK, lw=0.8)
    axis.set_xlabel("average precision lost")
    return axis


def base_rate(frame: pd.DataFrame, axis: Axes, k: int) -> Axes:
    """Precision at k against how many buyers there are to find: columns buyers, value, low, high, ceiling."""
    axis.plot(frame["buyers"], frame["ceiling"], color=PALE, lw=1, label="all of them found")
    axis.plot(frame["buyers"], frame["value"], marker="o", ms=3, color=METHODS["Bayes-optimal"], label="Bayes-optimal")
    axis.fill_between(frame["buyers"], frame["low"], frame["high"], color=METHODS["Bayes-optimal"], alpha=0.15, lw=0)
    axis.set_xscale("log")
    axis.set_xticks(frame["buyers"], [f"{n:.0f}" for n in frame["buyers"]])
    axis.minorticks_off()
    axis.set_ylim(0)
    axis.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axis.set_xlabel("buyers of a product among the customers ranked")
    axis.set_ylabel(f"precision at {k}")
    axis.legend()
    return axis
