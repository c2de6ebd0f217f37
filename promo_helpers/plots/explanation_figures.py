"""Pictures of reasons; the frames come from `audit`, and the words of the features from `audit.wording`."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.axis import Axis, XAxis
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.ticker import NullLocator

from promo_helpers import draws
from promo_helpers.style import COLOURS, INK, PALE

VALUES = LinearSegmentedColormap.from_list(
    "values", [COLOURS["sky"], "#b9a7c9", COLOURS["orange"]]
)  # low to high value of a feature
DEPTHS = ("#e3e7ea", "#b7d7ea", "#8fc4e3", COLOURS["sky"], COLOURS["blue"], "#0a4a73", INK)  # none, a reminder, and deeper
KINDS = {"noise": COLOURS["orange"], "permuted": PALE, "real": COLOURS["blue"]}


def bars(table: pd.DataFrame, axis: Axes, unit: str) -> Axes:
    """Mean absolute attributions with intervals: columns name, value, low, high, the first on top."""
    place = np.arange(len(table))[::-1]
    axis.barh(place, table["value"], color=COLOURS["blue"], alpha=0.6, height=0.65)
    if "low" in table:
        axis.hlines(place, table["low"], table["high"], color=INK, lw=1)
    axis.set_yticks(place, list(table["name"]))
    axis.tick_params(axis="y", length=0)
    axis.set_ylim(-0.7, len(table) - 0.3)
    axis.set_xlabel(unit)
    return axis


def beeswarm(added: pd.DataFrame, x: pd.DataFrame, axis: Axes, unit: str, seed: int, names: Sequence[str] = ()) -> Axes:
    """One dot a row for each column of `added`, the first on top; colour is the rank of the feature's value, missing is grey."""
    _bent(axis.xaxis, added.to_numpy())
    axis.axvline(0, color=PALE, lw=1, zorder=0)
    for k, feature in enumerate(added):
        value, rank = added[feature].to_numpy(), x[feature].rank(pct=True).to_numpy()
        density = np.histogram(value, 40)
        crowd = density[0][np.clip(np.digitize(value, density[1]) - 1, 0, 39)] / density[0].max()
        place = len(added.columns) - 1 - k + 0.36 * (2 * draws.uniform(seed, f"place of {feature}", added.index) - 1) * crowd
        known = np.isfinite(rank)
        axis.scatter(value[~known], place[~known], s=4, color="#b8bec4", lw=0)
        axis.scatter(value[known], place[known], s=4, c=rank[known], cmap=VALUES, vmin=0, vmax=1, lw=0)
    axis.set_yticks(np.arange(len(added.columns))[::-1], list(names) if len(names) else [""] * len(added.columns))
    axis.tick_params(axis="y", length=0)
    axis.set_ylim(-0.7, len(added.columns) - 0.3)
    axis.set_xlabel(unit)
    return axis


def dependence(value: pd.Series, added: pd.Series, other: pd.Series, axis: Axes, labels: tuple[str, str, str]) -> Axes:
    """What a feature adds against its value; colour is another feature, up to its median (low) or above (high),
    with medians in fifths of the value."""
    _bent(axis.yaxis, added.to_numpy())
    axis.axhline(0, color=PALE, lw=1, zorder=0)
    high = (other > other.median()).to_numpy()
    for many, tint, word in ((False, COLOURS["sky"], "low"), (True, COLOURS["orange"], "high")):
        rows = high == many
        axis.scatter(value[rows], added[rows], s=7, color=tint, lw=0, alpha=0.6, label=f"{labels[2]}: {word}")
        cut = pd.qcut(value[rows].rank(method="first"), 5, labels=False)
        line = pd.DataFrame({"x": value[rows], "y": added[rows]}).groupby(cut).median()
        axis.plot(line["x"], line["y"], color=tint, lw=1.8)
    axis.set_xlabel(labels[0])
    axis.set_ylabel(labels[1])
    axis.legend(loc="lower right")
    return axis


def waterfall(base: float, added: pd.Series, axis: Axes, unit: str, most: int = 6) -> Axes:
    """From the base to the prediction, largest steps first and the rest in one; `added` is indexed by words."""
    order = added.abs().sort_values(ascending=False, kind="stable").index[:most]
    steps = pd.concat([added[order], pd.Series({"all others": added.drop(order).sum()})])
    ends = base + steps.cumsum().to_numpy()
    starts = np.append(base, ends[:-1])
    place = np.arange(len(steps))[::-1]
    tints = [COLOURS["green"] if v > 0 else COLOURS["orange"] for v in steps]
    axis.barh(place, ends - starts, left=starts, color=tints, alpha=0.75, height=0.62)
    axis.vlines([base], -0.6, len(steps) - 0.4, color=PALE, lw=1)
    axis.vlines([ends[-1]], -0.6, len(steps) - 0.4, color=INK, lw=1)
    axis.vlines(ends[:-1], place[:-1] - 1.3, place[:-1] + 0.31, color=INK, lw=0.4)
    axis.set_yticks(place, list(steps.index))
    axis.tick_params(axis="y", length=0)
    reach = np.concatenate([[base], ends])
    room = 0.08 * (reach.max() - reach.min())
    axis.set_xlim(reach.min() - room, reach.max() + room)
    axis.set_xlabel(unit, loc="right")
    return axis


def policy_map(units: np.ndarray, lift: np.ndarray, arm: np.ndarray, arms: Sequence[str], axis: Axes, bins: int = 26) -> Axes:
    """The arm that most decisions of a cell get, over the plane of units bought without an offer and what the offer multiplies them by;
    paler where fewer than three quarters agree; cells with less than three decisions are empty."""
    edges = [np.geomspace(float(np.quantile(v, 0.005)), float(np.quantile(v, 0.995)), bins + 1) for v in (units, lift)]
    cell = [np.digitize(v, e) - 1 for v, e in zip((units, lift), edges, strict=True)]
    inside = (cell[0] >= 0) & (cell[0] < bins) & (cell[1] >= 0) & (cell[1] < bins)
    count = np.zeros((bins, bins, len(arms)))
    np.add.at(count, (cell[0][inside], cell[1][inside], arm[inside]), 1)
    total = count.sum(axis=2)
    for a, name in enumerate(arms):
        mine = (count.argmax(axis=2) == a) & (total >= 3)
        if mine.any():
            label = "none" if name == "none" else "reminder" if name == "0" else f"{name} %"
            axis.scatter([], [], marker="s", s=30, color=DEPTHS[min(a, 6)], label=label)
            share = count[..., a] / np.maximum(total, 1)
            tint = LinearSegmentedColormap.from_list("one", [DEPTHS[min(a, 6)]] * 2)
            for shown, alpha in ((mine & (share >= 0.75), 1.0), (mine & (share < 0.75), 0.45)):
                shade = np.ma.masked_where(~shown, share)
                axis.pcolormesh(edges[0], edges[1], shade.T, cmap=tint, alpha=alpha, linewidth=0, rasterized=True)
    axis.set_xscale("log")
    axis.set_yscale("log")
    for side, edge, ticks in (
        (axis.xaxis, edges[0], (0.01, 0.03, 0.1, 0.3, 1, 3, 10)),
        (axis.yaxis, edges[1], (1, 1.2, 1.5, 2, 3, 5, 8)),
    ):
        shown_ticks = [t for t in ticks if edge[0] <= t <= edge[-1]]
        side.set_ticks(shown_ticks, labels=[f"{t:g}" for t in shown_ticks])
    axis.minorticks_off()
    axis.set_xlabel("units in two weeks without an offer")
    return axis


def noise(study: Mapping[str, np.ndarray], axis: Axes, unit: str) -> Axes:
    """Attributions as multiples of the bar, one dot a column and planting; noise and copies as they are named, all else is real."""
    axis.axvline(1, color=INK, lw=0.9, ls=":")
    for k, (name, value) in enumerate(study.items()):
        place = len(study) - 1 - k
        kind = "noise" if "noise" in name else "permuted" if "copies" in name else "real"
        spread = np.linspace(-0.3, 0.3, len(value))[np.argsort(np.argsort(np.modf(np.arange(len(value)) * 0.618)[0]))]
        axis.scatter(np.maximum(value, 1e-2), place + spread, s=5, color=KINDS[kind], lw=0, alpha=0.7)
        axis.plot(np.median(value), place, "|", color=INK, ms=11, mew=1.6)
    axis.set_yticks(np.arange(len(study))[::-1], list(study))
    axis.tick_params(axis="y", length=0)
    axis.set_xscale("log")
    axis.set_xticks([0.01, 0.1, 1], ["0.01", "0.1", "1"])
    axis.set_xlabel(unit)
    return axis


def _bent(side: Axis, values: np.ndarray) -> None:
    """A scale that is straight up to ten and logarithmic beyond, with room for all values and plain numbers at its ticks."""
    scale = side.axes.set_xscale if isinstance(side, XAxis) else side.axes.set_yscale
    scale("symlog", linthresh=10)
    far = max(float(np.abs(values).max()), 1.0) * 1.25
    ticks = [t for t in (10, 100, 1000) if t <= far] or [t for t in (0.1, 1, 3) if t <= far][-1:]
    side.set_ticks([-t for t in ticks[::-1]] + [0] + ticks)
    side.set_major_formatter("{x:g}")
    side.set_minor_locator(NullLocator())
    low, high = float(values.min()), float(values.max())
    limit = side.axes.set_xlim if isinstance(side, XAxis) else side.axes.set_ylim
    limit(min(1.25 * low, -0.05 * far), max(1.25 * high, 0.05 * far))
