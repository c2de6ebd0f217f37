"""Pictures of audits; the frames come from `audit.fairness`, `decide.parity` and `audit.fairness`."""

from collections.abc import Mapping
from itertools import pairwise

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import PercentFormatter

from promo_helpers.style import COLOURS, INK, PALE

TWO = ("all columns", "without protected columns")
POLICIES = dict(zip(TWO, (COLOURS["blue"], COLOURS["orange"]), strict=True))
LINES = {"promised": COLOURS["sky"], "true": INK}


def groups(
    tables: Mapping[str, pd.DataFrame], axis: Axes, measure: str, label: str, percent: bool = True, names: bool = True
) -> Axes:
    """Means of one measure by group with intervals, a colour a policy (`fairness.audit`); groups of one attribute stand together, with a
    gap to the next; those too few to judge are left blank."""
    first = next(iter(tables.values()))
    keys = list(dict.fromkeys(zip(first["attribute"], first["group"], strict=True)))
    starts = np.cumsum([0] + [a[0] != b[0] for a, b in pairwise(keys)])
    place = dict(zip(keys, -(np.arange(len(keys)) + 0.7 * starts), strict=True))
    for k, (name, table) in enumerate(tables.items()):
        mine = table[table["measure"] == measure]
        y = np.array([place[key] for key in zip(mine["attribute"], mine["group"], strict=True)])
        y = y - 0.32 * (k - (len(tables) - 1) / 2)
        axis.hlines(y, mine["value_low"], mine["value_high"], color=POLICIES[name], lw=1.4)
        axis.plot(mine["value"], y, "o", color=POLICIES[name], ms=3.4, label=name)
    axis.set_yticks(list(place.values()), [str(key[1]) for key in keys] if names else [""] * len(keys))
    axis.tick_params(axis="y", length=0)
    axis.set_ylim(min(place.values()) - 0.8, 0.8)
    axis.grid(axis="x", color=PALE, lw=0.5)
    axis.set_axisbelow(True)
    if percent:
        axis.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axis.set_xlabel(label)
    return axis


def frontier(frame: pd.DataFrame, axis: Axes, others: pd.DataFrame | None = None) -> Axes:
    """Profit as a share of the unconstrained policy's against the gap that comes out: columns gap, what (promised, true), share, low,
    high. others: the same for policies that are not on the frontier, with a column name."""
    for what, line in frame.groupby("what", sort=False):
        line = line.sort_values("gap")
        axis.plot(line["gap"], line["share"], "o-", ms=3, color=LINES[str(what)], label=f"{what}, with a limit on the gap")
        if line["low"].notna().any():
            axis.fill_between(line["gap"], line["low"], line["high"], color=LINES[str(what)], alpha=0.12, lw=0)
    if others is not None:
        for row in others.itertuples():
            tint = POLICIES[row.name]
            axis.errorbar(
                row.gap, row.share, [[row.share - row.low], [row.high - row.share]], fmt="D", ms=5, color=tint, capsize=2,
                label=f"{row.what}, {row.name}",
            )  # fmt: skip
    axis.axhline(1, color=PALE, lw=0.8, zorder=0)
    axis.xaxis.set_major_formatter(PercentFormatter(1, decimals=0, symbol=""))
    axis.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axis.set_xlabel("largest difference of shares contacted (points)")
    axis.set_ylabel("profit, of that without a limit")
    axis.legend(loc="upper right")
    return axis


def bounds(frame: pd.DataFrame, axis: Axes) -> Axes:
    """What a difference may be where labels are missing: columns group, difference, difference_low, difference_high (of the known),
    mix_low, mix_high, low, high (`missing.bounds`)."""
    y = -np.arange(len(frame))
    axis.hlines(y, frame["low"], frame["high"], color=PALE, lw=6, label="unknown could be anybody")
    axis.hlines(y, frame["mix_low"], frame["mix_high"], color=COLOURS["sky"], lw=6, label="unknown of the same mix of groups")
    axis.hlines(y, frame["difference_low"], frame["difference_high"], color=INK, lw=1.4)
    axis.plot(frame["difference"], y, "o", color=INK, ms=3.5, label="known only, with interval")
    axis.axvline(0, color=INK, lw=0.8)
    axis.set_yticks(y, frame["group"])
    axis.tick_params(axis="y", length=0)
    axis.xaxis.set_major_formatter(PercentFormatter(1, decimals=0, symbol=""))
    axis.set_xlabel("share contacted, less that of all others (points)")
    return axis
