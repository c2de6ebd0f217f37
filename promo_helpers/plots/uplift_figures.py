"""Pictures of uplift; the frames come from `evaluate.uplift`, `evaluate.cost_curves`, `evaluate.uplift` and the studies of learners."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator, PercentFormatter

from promo_helpers.style import COLOURS, INK, PALE

GREY = "#7d8894"
LEARNERS = {  # a colour means one learner, in every figure of response
    "informed oracle": INK,
    "dose-response": COLOURS["blue"],
    "causal forest": COLOURS["orange"],
    "DR-learner": COLOURS["green"],
    "X-learner": COLOURS["sky"],
    "R-learner": COLOURS["amber"],
    "T-learner": COLOURS["pink"],
    "S-learner": "#8c6bb1",
    "best rule on one variable": "#a6761d",
    "informed of all but other baskets": "#5b6670",
    "constant": GREY,
    "untargeted": GREY,
    "random": "#a3adb8",
}
SPARE = (*COLOURS.values(), "#8c6bb1", "#a6761d")


def colours(names: list[str], fixed: Mapping[str, str] | None = None) -> dict[str, str]:
    """Each name's colour: the given one, that of LEARNERS, or the next that is not taken."""
    known = {**LEARNERS, **(fixed or {})}
    taken = {known[n] for n in names if n in known}
    spare = iter([c for c in SPARE if c not in taken] * len(names))
    return {n: known[n] if n in known else next(spare, GREY) for n in names}


def toc(curve: pd.DataFrame, axis: Axes, unit: str, colour: Mapping[str, str] | None = None, least: float = 0.05) -> Axes:
    """Targeting curves with bands (`uplift.rate(...).curve`: name, share, toc, low, high), from the share `least` on.

    Below that a handful of rows decide, and their bands would set the scale of all the rest. unit: of the effect, e.g. "rupees a contact".
    """
    shown = curve[curve["share"] >= least - 1e-9]
    tints = colours(list(shown["name"].unique()), colour)
    axis.axhline(0, color=PALE, lw=1, zorder=0)
    for name, line in shown.groupby("name", sort=False):
        axis.fill_between(line["share"], line["low"], line["high"], color=tints[str(name)], alpha=0.15, lw=0)
        axis.plot(line["share"], line["toc"], color=tints[str(name)], label=name)
    axis.set_xlim(0, 1)
    axis.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axis.set_xlabel("share offered to, highest score first")
    axis.set_ylabel(f"effect above the mean\n({unit})")
    axis.legend()
    return axis


def budget(curve: pd.DataFrame, axis: Axes, unit: str, colour: Mapping[str, str] | None = None) -> Axes:
    """Gain against spend with bands (`budget.multi_arm_qini(...).curve`: name, spend, gain, low, high); the untargeted policy dashed."""
    tints = colours(list(curve["name"].unique()), colour)
    axis.axhline(0, color=PALE, lw=1, zorder=0)
    for name, line in curve.groupby("name", sort=False):
        plain = name == "untargeted"
        start = {"spend": 0.0, "gain": 0.0, "low": 0.0, "high": 0.0}
        drawn = pd.concat([pd.DataFrame([start]), line[list(start)]]) if line["spend"].iloc[0] > 0 else line
        axis.fill_between(drawn["spend"], drawn["low"], drawn["high"], color=tints[str(name)], alpha=0.15, lw=0)
        axis.plot(drawn["spend"], drawn["gain"], color=tints[str(name)], ls="--" if plain else "-", label=name)
    axis.set_xlim(0)
    axis.set_xlabel(f"planned spend ({unit})")
    axis.set_ylabel(f"gain ({unit})")
    axis.legend()
    return axis


def uplift_calibration(groups: pd.DataFrame, axis: Axes, unit: str, colour: str = COLOURS["blue"]) -> Axes:
    """Estimated against predicted effect by tenths of the prediction, with intervals (`calibrated.by_decile`), and the diagonal."""
    ends = [min(groups["predicted"].min(), 0), max(groups["predicted"].max(), 0)]
    axis.plot(ends, ends, color=GREY, lw=1, ls="--", zorder=0)
    axis.axhline(0, color=PALE, lw=1, zorder=0)
    axis.vlines(groups["predicted"], groups["low"], groups["high"], color=colour, lw=1.1)
    axis.plot(groups["predicted"], groups["estimate"], "o", ms=4, color=colour)
    axis.set_xlabel(f"predicted effect ({unit})")
    axis.set_ylabel(f"estimated effect\n({unit})")
    return axis


ATTAINABLE = ("constant", "X-learner", "DR-learner", "causal forest", "dose-response")  # learners that the picture below compares


def attainable(frame: pd.DataFrame, axis: Axes, colour: Mapping[str, str] | None = None, goal: float | None = None) -> Axes:
    """Share of attainable profit against events per arm (tidy: learner, contacts, events, share, low, high), a line per learner.

    Learners stand a little apart at each size, so that their intervals can be told from each other. Above, the contacts; a learner called
    "constant" or "best rule on one variable" is dashed. goal: a share to draw a line at.
    """
    names = list(frame["learner"].unique())
    tints = colours(names, colour)
    sizes = frame.groupby("contacts")["events"].mean().sort_index()
    for level in (0.0, *(() if goal is None else (goal,))):
        axis.axhline(level, color=PALE if level == 0 else GREY, lw=1, ls="-" if level == 0 else ":", zorder=0)
    apart = np.exp((np.arange(len(names)) - (len(names) - 1) / 2) * 0.045)
    for shift, name in zip(apart, names, strict=True):
        line = frame[frame["learner"] == name].sort_values("events")
        x = line["events"].to_numpy() * shift
        axis.vlines(x, line["low"], line["high"], color=tints[name], lw=1.1)
        axis.plot(
            x,
            line["share"],
            marker="o",
            ms=3.5,
            lw=1.2,
            ls="--" if name in ("constant", "best rule on one variable") else "-",
            color=tints[name],
            label=name,
        )
    axis.set_xscale("log")
    axis.xaxis.set_major_locator(FixedLocator(list(sizes)))
    axis.xaxis.set_minor_locator(NullLocator())
    axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axis.set_xlabel("events per arm")
    above = axis.secondary_xaxis("top")
    above.xaxis.set_major_locator(FixedLocator(list(sizes)))
    above.xaxis.set_minor_locator(NullLocator())
    above.set_xticks(list(sizes), [f"{n:,}" for n in sizes.index])
    above.set_xlabel("contacts")
    axis.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axis.set_ylabel("share of attainable profit")
    axis.legend(ncols=1, loc="center left", bbox_to_anchor=(1, 0.5))
    return axis
