"""Pictures of the simulated market; the frames come from `promo_helpers.market`."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import PercentFormatter

from promo_helpers.style import COLOURS, INK, PALE

HUES = list(COLOURS.values())


def curves(frame: pd.DataFrame, axis: Axes, value: str, label: str) -> Axes:
    """Response by depth, one line per group (`views.response_curves`); bands are two standard errors of the gain."""
    for (name, part), colour in zip(frame.groupby("group", sort=False), HUES, strict=False):
        axis.plot(part["depth"], part[value], marker="o", ms=3, color=colour, label=name)
        if value == "gain":
            low, high = part["gain"] - 2 * part["error"], part["gain"] + 2 * part["error"]
            axis.fill_between(part["depth"], low, high, color=colour, alpha=0.15, lw=0)
    axis.axhline(0 if value == "gain" else 1, color=PALE, lw=1, zorder=0)
    axis.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axis.set_xlabel("discount (0: a reminder)")
    axis.set_ylabel(label)
    return axis


def market_bridge(frame: pd.DataFrame, axis: Axes) -> Axes:
    """Waterfall of the profit bridge (`views.bridge`)."""
    value = frame["value"].to_numpy()
    start = np.append(np.concatenate([[0.0], np.cumsum(value[:-1])[:-1]]), 0.0)
    colours = np.where(value < 0, COLOURS["orange"], COLOURS["green"])
    colours[-1] = INK
    rows = np.arange(len(frame))[::-1]
    axis.barh(rows, value, left=start, color=colours.tolist(), height=0.7)
    for row, left, size in zip(rows, start, value, strict=True):
        axis.annotate(f"{size:+.1f}", (max(left, left + size), row), (3, 0), textcoords="offset points", va="center", fontsize=7)
    axis.set_yticks(rows, frame["term"].tolist())
    axis.axvline(0, color=INK, lw=0.8)
    axis.margins(x=0.12)
    axis.set_xlabel("LKR a contact")
    return axis


def earnings(frame: pd.DataFrame, axis: Axes) -> Axes:
    """Share of what a model on behaviour earns, with intervals (`hardness.shares`); what loses more than it is cut off."""
    shown = frame.assign(share=frame["share"].clip(-1), low=frame["low"].clip(-1), high=frame["high"].clip(-1))[::-1]
    rows = np.arange(len(shown))
    error = np.vstack([shown["share"] - shown["low"], shown["high"] - shown["share"]]).clip(0)
    colours = np.where(shown["policy"] == "oracle", INK, COLOURS["blue"])
    axis.barh(rows, shown["share"], color=colours.tolist(), height=0.65, xerr=error, error_kw={"lw": 0.8, "ecolor": INK})
    axis.set_yticks(rows, shown["policy"].tolist())
    axis.axvline(0, color=INK, lw=0.8)
    axis.axvline(1, color=PALE, lw=1, zorder=0)
    axis.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axis.set_xlabel("of what a model on behaviour earns (bars end at \N{MINUS SIGN}100 %)")
    return axis


def market_calibration(cells: pd.DataFrame, axis: Axes, measure: str, label: str, scale: float = 1.0) -> Axes:
    """Simulated against expected means, one dot per arm and decile (`market_calibration.calibrate`), in units of `scale`."""
    part = cells[(cells["measure"] == measure) & cells["decile"].notna()]
    true, simulated = part["true"] / scale, part["simulated"] / scale
    ends = [min(true.min(), simulated.min()), max(true.max(), simulated.max())]
    axis.plot(ends, ends, color=PALE, lw=1, zorder=0)
    axis.scatter(true, simulated, s=8, color=COLOURS["blue"], lw=0, alpha=0.7)
    axis.set_title(label, loc="left")
    axis.set_xlabel("expected")
    axis.set_ylabel("simulated")
    return axis


def deviations(cells: pd.DataFrame, axis: Axes) -> Axes:
    """Deviations of all cells in standard errors, beside the standard normal they should follow (`market_calibration.calibrate`)."""
    z = cells.loc[cells["z"] != 0, "z"]  # cells in which nothing varies are exact
    axis.hist(z, bins=np.linspace(-4.5, 4.5, 37).tolist(), density=True, color=COLOURS["sky"])
    x = np.linspace(-4.5, 4.5, 200)
    axis.plot(x, np.exp(-x * x / 2) / np.sqrt(2 * np.pi), color=INK, lw=1)
    axis.set_yticks([])
    axis.spines["left"].set_visible(False)
    axis.set_title("deviation of all cells", loc="left")
    axis.set_xlabel("standard errors")
    return axis


def two_distributions(simulated: np.ndarray, real: np.ndarray, axis: Axes, label: str, cap: float) -> Axes:
    """Two distribution functions of one measure (`market_calibration.answers`), up to `cap`."""
    for values, name, colour in ((real, "Complete Journey", COLOURS["orange"]), (simulated, "simulated", COLOURS["blue"])):
        x = np.sort(values)
        at = np.linspace(0, cap, 300)
        axis.plot(at, np.searchsorted(x, at, side="right") / len(x), color=colour, label=name)
    axis.set_xlim(0, cap)
    axis.set_ylim(0, 1)
    axis.set_xlabel(label)
    axis.set_ylabel("share at most")
    return axis


def phase(frame: pd.DataFrame, axis: Axes, value: str, top: float) -> Axes:
    """Heat map over margin and effect (`views.phase`) of what `value` earns; one heterogeneity at a time."""
    grid = frame.pivot(index="effect", columns="margin", values=value)
    axis.imshow(grid, origin="lower", aspect="auto", cmap="Blues", vmin=0, vmax=top)
    for y, row in enumerate(grid.to_numpy()):
        for x, cell in enumerate(row):
            axis.text(x, y, f"{cell:.0f}", ha="center", va="center", fontsize=7, color="white" if cell > 0.6 * top else INK)
    axis.set_xticks(range(len(grid.columns)), [f"{m:g}" for m in grid.columns])
    axis.set_yticks(range(len(grid.index)), [f"{e:g}" for e in grid.index])
    axis.set_xlabel("margin (ratio to the default)")
    axis.set_ylabel("effect (ratio)")
    return axis
