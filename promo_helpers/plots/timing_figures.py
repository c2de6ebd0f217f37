"""Pictures of waiting times, next products and hours; see `evaluate.survival`, `models.send_time`, `models.next_product`."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator, PercentFormatter

from promo_helpers.inference import ROUNDED, critical
from promo_helpers.style import COLOURS, INK, PALE

COLOUR = {
    "truth": INK,
    "happened": INK,
    "daily chances": COLOURS["blue"],
    "forest, leaves": COLOURS["green"],
    "forest, mean": COLOURS["amber"],
    "Weibull survival": COLOURS["sky"],
    "own rate": COLOURS["pink"],
    "own gap": COLOURS["orange"],
    "own shares, shrunk": COLOURS["blue"],
    "forest": COLOURS["amber"],
    "her own hour": COLOURS["blue"],
    "her busiest hour": COLOURS["sky"],
    "mean of her hours": COLOURS["green"],
}
PLAIN = "#7d8894"  # of every other method


def wait_methods(table: pd.DataFrame, axis: Axes, label: str, percent: bool = False) -> Axes:
    """Dots with intervals, one row per method in the order of the frame (columns method, mean, low, high)."""
    y = np.arange(len(table))[::-1]
    colours = [COLOUR.get(m, PLAIN) for m in table["method"]]
    axis.hlines(y, table["low"], table["high"], color=colours)
    axis.scatter(table["mean"], y, color=colours, s=20, zorder=2)
    if "truth" in set(table["method"]):
        axis.axvline(table.loc[table["method"] == "truth", "mean"].item(), color=PALE, lw=1.5, zorder=0)
    axis.set_yticks(y, table["method"])
    axis.tick_params(axis="y", length=0)
    axis.set_ylim(-0.6, len(table) - 0.4)
    if percent:
        axis.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))  # whole per cents
        axis.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axis.set_xlabel(label)
    return axis


def return_calibration(table: pd.DataFrame, axis: Axes, names: list[str], within: int) -> Axes:
    """Foretold chance against the share that came, with intervals (`survival.wait_calibration`)."""
    axis.plot([0, 1], [0, 1], color=PALE, lw=1.2, zorder=0)
    for name in names:
        mine = table[table["method"] == name]
        axis.vlines(mine["foretold"], mine["low"], mine["high"], color=COLOUR[name], lw=1)
        axis.plot(mine["foretold"], mine["happened"], "o-", ms=3, lw=1, color=COLOUR[name], label=name)
    for which in (axis.xaxis, axis.yaxis):
        which.set_major_formatter(PercentFormatter(1, decimals=0))
    axis.set_xlabel(f"foretold chance of coming within {within} days")
    axis.set_ylabel("came within them")
    axis.legend(loc="upper left")
    return axis


def overdue(table: pd.DataFrame, axis: Axes, names: list[str]) -> Axes:
    """Days still to wait by days already waited, as a multiple of the customer's median gap (`waiting.overdue`)."""
    real = table[table["method"] == "happened"]
    x = np.arange(len(real))
    axis.fill_between(x, real["low"], real["high"], color=PALE, alpha=0.6, lw=0)
    for name in ["happened", *names]:
        mine = table[table["method"] == name]
        axis.plot(x, mine["days"], "o-", ms=3, color=COLOUR[name], label=name, lw=2 if name == "happened" else 1.2)
    axis.set_xticks(x, real["since"].str.replace("over ", "> ").str.replace(" to ", "\N{EN DASH}"), rotation=90)
    axis.set_xlabel("days already waited / own median gap")
    axis.set_ylabel("days still to wait (mean)")
    axis.set_ylim(0)
    axis.legend(loc="upper left")
    return axis


def by_visits(table: pd.DataFrame, axis: Axes, label: str) -> Axes:
    """A value of the learnt hour, and of one hour for all, by number of visits seen: columns visits, method, mean, low, high."""
    for name, mine in table.groupby("method", sort=False):
        x, colour = np.arange(len(mine)), COLOUR.get(str(name), PLAIN)
        axis.vlines(x, mine["low"], mine["high"], color=colour)
        axis.plot(x, mine["mean"], "o-", ms=3.5, lw=1, color=colour, label=str(name))
        axis.set_xticks(x, mine["visits"], rotation=40, ha="right")
    axis.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axis.set_xlabel("visits seen")
    axis.set_ylabel(label)
    axis.set_ylim(bottom=max(0, table["low"].min() - 0.25))  # room for the legend
    axis.legend(loc="lower right")
    return axis


def lowest(table: pd.DataFrame, learnt: pd.DataFrame, axis: Axes) -> Axes:
    """Shortest time so far and time to the next order, by number of orders, on logarithmic scales (`orders.lowest_by_orders`).

    `learnt` has orders and lowest: what a forest says for a customer with that many orders and the same average.
    """
    axis.plot(table["orders"], table["next"], "s-", ms=4, color=INK, label="time to the next order")
    axis.errorbar(
        table["orders"],
        table["lowest"],
        critical(ROUNDED) * table["error"],
        fmt="o",
        ms=4,
        color=COLOURS["blue"],
        label="shortest so far",
    )
    axis.plot(table["orders"], table["expected"], color=COLOURS["sky"], lw=1, label="average / (orders - 1)")
    axis.plot(learnt["orders"], learnt["lowest"], "x", color=COLOURS["amber"], label="the forest's answer")
    axis.set_xscale("log")
    axis.set_yscale("log")
    axis.set_xticks(table["orders"], table["orders"].astype(str))
    axis.set_yticks([0.5, 1, 2, 5, 10, 20], ["0.5", "1", "2", "5", "10", "20"])
    axis.minorticks_off()
    axis.set_xlabel("orders so far, customers of one habit")
    axis.set_ylabel("days")
    axis.legend(loc="lower left")
    return axis
