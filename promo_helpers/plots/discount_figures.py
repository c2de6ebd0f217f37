"""Pictures of policies; the frames come from `evaluate.value`, `decide.policies`, `decide.fatigue` and the study of policies."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import PercentFormatter

from promo_helpers.style import COLOURS, INK, PALE

POLICIES = {  # a colour means one way of targeting, in every figure that has it
    "omniscient oracle": INK,
    "informed oracle": "#5b6670",
    "expected profit": COLOURS["blue"],
    "uplift": COLOURS["green"],
    "purchase probability": COLOURS["orange"],
    "inverse probability": COLOURS["amber"],
    "RFM": COLOURS["pink"],
    "collaborative filtering": COLOURS["sky"],
    "random": "#8d99a5",
}
TERMS = {"gross bump": COLOURS["green"], "net": INK}


def by_share(curve: pd.DataFrame, axis: Axes, unit: str, bands: bool = True) -> Axes:
    """Value against the share contacted (`curves.by_share`: name, share, value, low, high), with bands or without."""
    axis.axhline(0, color=PALE, lw=1, zorder=0)
    for name, line in curve.groupby("name", sort=False):
        tint = POLICIES[str(name)]
        if bands:
            axis.fill_between(line["share"], line["low"], line["high"], color=tint, alpha=0.13, lw=0)
        axis.plot(line["share"], line["value"], color=tint, label=name)
    axis.set_xlim(0, 1)
    axis.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axis.set_xlabel("share contacted, highest rank first")
    axis.set_ylabel(unit)
    return axis


def policy_bridge(estimated: pd.DataFrame, true: pd.DataFrame | None, axis: Axes, label: bool) -> Axes:
    """One policy's way from bump to net: bars of what is estimated with its interval, dots of the truth (term, value)."""
    terms = list(estimated["term"])
    place = np.arange(len(terms))[::-1]
    value = estimated["value"].to_numpy()
    tints = [TERMS.get(t, COLOURS["orange"]) for t in terms]
    axis.barh(place, value, color=tints, alpha=0.55, height=0.6)
    axis.hlines(place, estimated["low"], estimated["high"], color=INK, lw=1)
    if true is not None:
        at = true.set_index("term")["value"].reindex(terms)
        axis.plot(at, place, "D", color="white", mec=INK, ms=4.5, ls="none")
    axis.axvline(0, color=INK, lw=0.8)
    axis.set_yticks(place, terms if label else [""] * len(terms))
    axis.tick_params(axis="y", length=0)
    return axis


def budgets(curve: pd.DataFrame, axis: Axes, unit: str) -> Axes:
    """Gain against planned spend: columns spend, what, value, and low, high where there is an interval."""
    tints = {"promised": COLOURS["sky"], "estimated on customers held out": COLOURS["blue"], "true": INK}
    axis.axhline(0, color=PALE, lw=1, zorder=0)
    for what, line in curve.groupby("what", sort=False):
        if line["low"].notna().any():
            axis.fill_between(line["spend"], line["low"], line["high"], color=tints[str(what)], alpha=0.13, lw=0)
        axis.plot(line["spend"], line["value"], color=tints[str(what)], label=what)
    axis.set_xlim(0, None)
    axis.set_xlabel(f"budget, planned spend ({unit})")
    axis.set_ylabel(f"profit ({unit})")
    axis.legend()
    return axis


def frequency(lines: pd.DataFrame, axis: Axes, unit: str) -> Axes:
    """Profit of a customer and month against the days between contacts: columns every, what, value, low, high."""
    tints = {"learnt": COLOURS["blue"], "true": INK, "fatigue ignored": COLOURS["orange"]}
    axis.axhline(0, color=PALE, lw=1, zorder=0)
    for what, line in lines.groupby("what", sort=False):
        if line["low"].notna().any():
            axis.fill_between(line["every"], line["low"], line["high"], color=tints[str(what)], alpha=0.13, lw=0)
        axis.plot(line["every"], line["value"], color=tints[str(what)], label=what, marker="o" if what == "true" else None, ms=3)
    axis.set_xscale("log")
    ticks = [3, 7, 14, 30, 60]
    axis.set_xticks(ticks, [str(t) for t in ticks])
    axis.minorticks_off()
    axis.set_xlabel("days between contacts")
    axis.set_ylabel(unit)
    axis.legend()
    return axis


def half_lives(lives: pd.DataFrame, axis: Axes, true: tuple[float, float] | None) -> Axes:
    """Fatigue phi at each half-life with its interval (`Fatigue.lives`); those that the data rule out are pale; the truth as a diamond."""
    shown = lives[lives["half_life"] >= 14]
    for possible, part in shown.groupby("possible"):
        tint = COLOURS["blue"] if possible else PALE
        axis.vlines(part["half_life"], part["low"], part["high"], color=tint, lw=1.5)
        axis.plot(part["half_life"], part["phi"], "o", color=tint, ms=4, label="possible" if possible else "ruled out")
    if true is not None:
        axis.plot(*true, "D", color="white", mec=INK, ms=5, label="truth")
    axis.axhline(0, color=PALE, lw=1, zorder=0)
    axis.set_xlabel("half-life of a contact (days)")
    axis.set_ylabel("fatigue $\\varphi$ a contact")
    axis.legend()
    return axis


def markets(table: pd.DataFrame, axis: Axes, unit: str, names: Sequence[str]) -> Axes:
    """Values with intervals by kind of market: columns market, policy, value, low, high; `names` are the policies from top to bottom."""
    kinds = list(dict.fromkeys(table["market"]))
    tints = dict(zip(names, (COLOURS["blue"], COLOURS["orange"], INK), strict=False))
    step = 0.22
    for k, name in enumerate(names):
        part = table[table["policy"] == name].set_index("market").reindex(kinds)
        place = np.arange(len(kinds))[::-1] + step * ((len(names) - 1) / 2 - k)
        axis.hlines(place, part["low"], part["high"], color=tints[name], lw=1.4)
        axis.plot(part["value"], place, "o", color=tints[name], ms=4, ls="none", label=name)
    axis.axvline(0, color=PALE, lw=1, zorder=0)
    axis.set_yticks(np.arange(len(kinds))[::-1], kinds)
    axis.tick_params(axis="y", length=0)
    axis.set_xlabel(unit)
    axis.legend(loc="upper left", bbox_to_anchor=(1, 1))
    return axis
