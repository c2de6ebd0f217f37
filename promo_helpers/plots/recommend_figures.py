"""Pictures of recommendations; the frames come from `promo_helpers.evaluate.recommendation` and `promo_helpers.models`."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator, PercentFormatter

from promo_helpers.style import COLOURS, INK, PALE

FAMILY = {  # a colour for each kind of method
    "random": PALE,
    "popularity": COLOURS["sky"],
    "own frequency": COLOURS["blue"],
    "user neighbours": COLOURS["orange"],
    "item neighbours": COLOURS["amber"],
    "matrix factors (ALS)": COLOURS["green"],
    "matrix factors (SVD)": COLOURS["green"],
    "own, shrunk to SVD": COLOURS["pink"],
}
LIFT_TICKS = (0.2, 0.5, 1, 1.5, 2, 5, 10, 20, 50)


def list_methods(summary: pd.DataFrame, axis: Axes, scope: str, metric: str, label: str, best: str = "Bayes-optimal") -> Axes:
    """One dot a method with its interval over dates (`ranking.over_dates`); what could at best be reached is a vertical line."""
    part = summary[(summary["scope"] == scope) & (summary["metric"] == metric)]
    shown = part[part["method"] != best]
    y = np.arange(len(shown))[::-1]
    for optimum in part[part["method"] == best].itertuples():
        axis.axvspan(optimum.low, optimum.high, color=PALE, alpha=0.5, lw=0)
        axis.axvline(optimum.mean, color=INK, lw=1)
        axis.annotate(
            best,
            (optimum.mean, len(shown) - 0.55),
            ha="right",
            va="bottom",
            xytext=(-3, 0),
            textcoords="offset points",
            fontsize=7,
        )
    colours = [FAMILY.get(m, INK) for m in shown["method"]]
    axis.hlines(y, shown["low"], shown["high"], color=colours, lw=1.6)
    axis.scatter(shown["mean"], y, color=colours, s=22, zorder=2)
    axis.set_yticks(y, shown["method"].tolist())
    axis.tick_params(axis="y", length=0)
    axis.set_xlim(0)
    axis.set_ylim(-0.6, len(shown) - 0.1)
    axis.set_xlabel(label)
    return axis


def pair_lifts(table: pd.DataFrame, axis: Axes, value: str, label: str, planted: np.ndarray, significant: np.ndarray) -> Axes:
    """Every pair by the expected number of baskets and its lift or affinity (`bundles.pairs`): found ones coloured, others a cloud."""
    for chosen, colour, size, name in (
        (~significant & ~planted, PALE, 3, "other pairs"),
        (significant & ~planted, COLOURS["orange"], 9, "found"),
        (significant & planted, COLOURS["blue"], 18, "found, and planted"),
        (~significant & planted, COLOURS["pink"], 18, "planted, not found"),
    ):
        if chosen.any():
            part, crowd = table[chosen], colour == PALE  # of a crowd one sees how dense it is, and no single pair
            axis.scatter(
                part["expected"],
                part[value],
                s=size,
                color=INK if crowd else colour,
                alpha=0.06 if crowd else 1,
                lw=0,
                rasterized=True,
            )
            axis.scatter([], [], s=max(size, 9), color=colour, lw=0, label=name)
    axis.axhline(1, color=INK, lw=0.8)
    axis.set_xscale("log")
    axis.set_yscale("log")
    low, high = table.loc[table[value] > 0, value].min(), table[value].max()
    ticks = [t for t in LIFT_TICKS if low * 0.8 <= t <= high * 1.2 and (t != 1.5 or high / low < 20)]
    axis.set_yticks(ticks, [f"{t:g}" for t in ticks])
    axis.yaxis.minorticks_off()
    axis.set_xlabel("expected baskets with both")
    axis.set_ylabel(label)
    return axis


def strongest(table: pd.DataFrame, axis: Axes, names: np.ndarray, planted: np.ndarray) -> Axes:
    """Affinity of pairs with simultaneous intervals (`bundles.pairs`, some rows); planted ones are blue."""
    y = np.arange(len(table))[::-1]
    colours = np.where(planted, COLOURS["blue"], COLOURS["orange"]).tolist()
    axis.axvline(1, color=PALE, lw=1.5, zorder=0)
    axis.hlines(y, table["low"], table["high"], color=colours)
    axis.scatter(table["affinity"], y, color=colours, s=18, zorder=2)
    axis.set_yticks(y, [f"{names[a]} with {names[b]}" for a, b in zip(table["a"], table["b"], strict=True)], fontsize=7)
    axis.tick_params(axis="y", length=0)
    axis.set_xscale("log")
    steps = (1, 1.2, 1.4, 1.6, 1.8, 2) if table["high"].max() < 2.5 else (1, 2, 3, 5, 10, 20, 50)
    ticks = [t for t in steps if t <= table["high"].max() * 1.05]
    axis.set_xticks(ticks, [f"{t:g}" for t in ticks])
    axis.minorticks_off()
    axis.set_xlabel("affinity")
    return axis


def suggestion_calibration_plot(table: pd.DataFrame, axis: Axes) -> Axes:
    """What was predicted against what happened, with intervals, and against the truth where known (`bundles.suggestion_calibration`)."""
    top = max(table["promised"].max(), table["high"].max()) * 1.05
    axis.plot([0, top], [0, top], color=PALE, lw=1, zorder=0)
    axis.vlines(table["promised"], table["low"], table["high"], color=COLOURS["blue"])
    axis.scatter(table["promised"], table["share"], color=COLOURS["blue"], s=18, label="bought (95 % interval)", zorder=2)
    if "truth" in table:
        axis.scatter(table["promised"], table["truth"], marker="_", color=COLOURS["orange"], s=60, label="true chance", zorder=3)
    for which in (axis.xaxis, axis.yaxis):
        which.set_major_formatter(PercentFormatter(1, decimals=0 if top > 0.08 else 1))
        which.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
    axis.set_xlim(0, top)
    axis.set_ylim(0, top)
    axis.set_xlabel("promised chance")
    axis.set_ylabel("bought within the window")
    axis.legend(loc="upper left")
    return axis
