"""Pictures of customers' value; the frames come from `evaluate.customer_value` and `models.lifetime`."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator, PercentFormatter

from promo_helpers.style import COLOURS, INK, PALE

COLOUR = {  # a colour means one way of valuing customers, in every figure
    "truth": INK,
    "lifetime value": COLOURS["blue"],
    "last year's spend": COLOURS["orange"],
    "last quarter's spend": COLOURS["amber"],
    "frequency": COLOURS["green"],
    "time since the last": COLOURS["pink"],
    "highest first": COLOURS["blue"],
    "lowest first": COLOURS["sky"],
    "highest first, by the truth": INK,
}
GREY = "#7d8894"
LEAST = 0.05  # per cent, the lowest share that is drawn


def grouped(table: pd.DataFrame, axis: Axes, label: str, share: bool = False) -> Axes:
    """Forecast against what happened, by repeats so far (`evaluate.customer_value.by_repeats`): on a logarithmic scale, or as shares."""
    x = np.arange(len(table))
    axis.vlines(x, np.maximum(table["low"], 1e-3), table["high"], color=INK, lw=1)
    axis.plot(x, table["actual"], "o-", ms=4, color=INK, label="happened")
    axis.plot(x, table["forecast"], "s--", ms=3.5, color=COLOUR["lifetime value"], label="forecast")
    if share:
        axis.set_ylim(-0.02)
        axis.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    else:
        _logarithmic(axis)
    axis.set_xticks(x, table["group"], rotation=90)
    axis.set_xlabel("repeat purchases so far")
    axis.set_ylabel(label)
    axis.legend(loc="upper right" if share else "upper left")
    return axis


def _logarithmic(axis: Axes) -> None:
    axis.set_yscale("log")
    axis.yaxis.set_major_locator(LogLocator(subs=(1.0, 3.0)))
    axis.yaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:,g}"))
    axis.yaxis.set_minor_locator(NullLocator())


def tracking(table: pd.DataFrame, axis: Axes, cut: float, cumulative: bool = True) -> Axes:
    """Repeat purchases by week, actual and expected (`models.lifetime.weekly`), cumulated or not; the fit ends with week `cut`."""
    for name, colour, line in (("actual", INK, "-"), ("expected", COLOUR["lifetime value"], "--")):
        y = table[name].cumsum() if cumulative else table[name]
        axis.plot(table["week"], y / 1000, line, color=colour)
    axis.axvline(cut, color=PALE, lw=1.2, zorder=0)
    axis.set_ylim(0)
    axis.set_xlabel("week")
    axis.set_ylabel("repeat purchases" + (" so far" if cumulative else " a week") + "\n(thousands)")
    return axis


def deciles(table: pd.DataFrame, axis: Axes, label: str) -> Axes:
    """Share of the later value in each tenth of customers (`evaluate.customer_value.deciles`), one line a method, on a logarithmic scale.

    The scale ends at LEAST per cent: a line that leaves it below is next to nothing.
    """
    names = list(table["method"].unique())
    for k, name in enumerate(names):
        mine = table[table["method"] == name]
        x = mine["part"] + (k - (len(names) - 1) / 2) * 0.1
        axis.vlines(x, np.maximum(mine["low"] * 100, LEAST / 10), mine["high"] * 100, color=COLOUR.get(name, GREY), lw=1)
        axis.plot(x, mine["share"] * 100, "o-", ms=3, lw=0.8, color=COLOUR.get(name, GREY), label=name)
    _logarithmic(axis)
    axis.set_ylim(bottom=max(LEAST, min(table["share"].min() * 80, 1)))
    axis.set_xticks(range(1, 11))
    axis.set_xlabel("tenth of the customers, highest score first")
    axis.set_ylabel(label)
    axis.legend(loc="lower left")
    return axis


def chances(table: pd.DataFrame, axis: Axes) -> Axes:
    """Predicted chance of being alive against the share who are (`evaluate.customer_value.probability_calibration`)."""
    axis.plot([0, 1], [0, 1], color=PALE, lw=1.2, zorder=0)
    axis.vlines(table["forecast"], table["low"], table["high"], color=COLOUR["lifetime value"], lw=1)
    axis.plot(table["forecast"], table["actual"], "o-", ms=3.5, lw=1, color=COLOUR["lifetime value"])
    for which in (axis.xaxis, axis.yaxis):
        which.set_major_formatter(PercentFormatter(1, decimals=0))
    axis.set_xlabel("foretold chance of still being a customer")
    axis.set_ylabel("truly one")
    return axis


def values(table: pd.DataFrame, axis: Axes, label: str) -> Axes:
    """Value of a purchase by repeats so far: happened, and one line for each other column of `table` but group, low, high, customers."""
    x = np.arange(len(table))
    axis.vlines(x, table["low"], table["high"], color=INK, lw=1)
    axis.plot(x, table["actual"], "o-", ms=4, color=INK, label="happened")
    models = [c for c in table if c not in ("group", "low", "high", "customers", "actual")]
    for name, colour in zip(models, (COLOURS["blue"], COLOURS["orange"], COLOURS["green"]), strict=False):
        axis.plot(x, table[name], "s--", ms=3, lw=1, color=colour, label=name)
    axis.set_xticks(x, table["group"], rotation=90)
    axis.set_ylim(0)
    axis.set_xlabel("repeat purchases so far")
    axis.set_ylabel(label)
    axis.legend(loc="lower right")
    return axis


def targeted(table: pd.DataFrame, axis: Axes, label: str, value: str = "gain") -> Axes:
    """What sending to the first of a ranking earns (`evaluate.customer_value.targeted`), with bands: its gain, or `more` than at random."""
    low, high = ("low", "high") if value == "gain" else ("more_low", "more_high")
    for name, mine in table.groupby("method", sort=False):
        colour, told = COLOUR.get(str(name), GREY), "truth" not in str(name)
        if told:
            axis.fill_between(mine["share"], mine[low], mine[high], color=colour, alpha=0.15, lw=0)
        axis.plot(mine["share"], mine[value], color=colour, label=str(name), ls="-" if told else ":")
    last = table.iloc[-1]
    end = last["gain"] if value == "gain" else 0.0
    axis.plot([0, last["share"]], [0, end], color=GREY, ls="--", lw=1, label="at random")
    axis.set_xlim(0, 1)
    axis.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axis.set_xlabel("share of customers sent to")
    axis.set_ylabel(label)
    return axis
