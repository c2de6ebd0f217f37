"""Pictures of a campaign; the frames come from `campaign.build`, `campaign.outcome` and `campaign.outcome`."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, PercentFormatter

from promo_helpers.style import COLOURS, INK, PALE

GREY = "#7d8894"
DEPTHS = {
    0: GREY,
    **dict(zip((5, 10, 15, 20, 25), (COLOURS[c] for c in ("sky", "blue", "green", "amber", "orange")), strict=True)),
}
STRATEGIES = {
    "this list": COLOURS["blue"],
    "everybody": COLOURS["orange"],
    "likeliest buyers": COLOURS["green"],
    "at random": GREY,
}
THOUSANDS = FuncFormatter(lambda v, _: f"{v:,.0f}")


def depth_colour(percent: float) -> str:
    """The colour of a discount: that of the nearest of the usual ones."""
    return DEPTHS[min(DEPTHS, key=lambda d: abs(d - percent))]


def ranked(rows: pd.DataFrame, axis: Axes, unit: str, cut: int) -> Axes:
    """Expected profit by rank (rows: gain, percent; best first), a dot's colour its discount; the line is where the list ends."""
    shown = rows.reset_index(drop=True)
    axis.axhline(0, color=PALE, lw=1, zorder=0)
    for percent, part in shown.groupby("percent"):
        label = "not sent to" if percent < 0 else "reminder" if percent == 0 else f"{percent:g} % off"
        axis.plot(part.index + 1, part["gain"], ".", ms=3, color="#b9c0c8" if percent < 0 else depth_colour(percent), label=label)
    axis.axvline(cut + 0.5, color=INK, lw=0.8, ls="--")
    axis.set_yscale("symlog", linthresh=10)
    axis.set_ylim(bottom=-1)
    axis.yaxis.set_major_formatter(THOUSANDS)
    axis.xaxis.set_major_formatter(THOUSANDS)
    axis.set_xlabel("customers, best first")
    axis.set_ylabel(f"expected profit of a contact ({unit})")
    axis.legend(markerscale=4)
    return axis


def chosen_depths(rows: pd.DataFrame, axis: Axes) -> Axes:
    """Customers by discount (rows: percent), a bar for each depth."""
    count = rows["percent"].value_counts().sort_index()
    place = np.arange(len(count))
    bars = axis.bar(place, count.to_numpy(), color=[depth_colour(p) for p in count.index], width=0.6)
    axis.bar_label(bars, labels=[f"{v:,}" for v in count], fontsize=8, padding=2)
    axis.set_xticks(place, ["reminder" if p == 0 else f"{p:g} % off" for p in count.index])
    axis.set_ylabel("customers on the list")
    axis.margins(y=0.15)
    return axis


def strategies(table: pd.DataFrame, axis: Axes, unit: str) -> Axes:
    """Profit of each way of sending (table: strategy, contacts, spend, promised, and true where it is known)."""
    place = np.arange(len(table))[::-1]
    axis.axvline(0, color=PALE, lw=1, zorder=0)
    colours = [STRATEGIES.get(str(s).split(",")[0], GREY) for s in table["strategy"]]
    if "true" in table:
        axis.barh(place, table["true"], color=colours, height=0.5)
    said = "predicted by the model (bars: true)" if "true" in table else "predicted by the model"
    axis.scatter(table["promised"], place, marker="D", facecolor="white", edgecolor=INK, s=28, zorder=3, label=said)
    names = [
        f"{s}\n{c:,} contacts, {m:,.0f} {unit}"
        for s, c, m in zip(table["strategy"], table["contacts"], table["spend"], strict=True)
    ]
    axis.set_yticks(place, names)
    axis.set_ylim(-0.6, len(table) - 0.2)
    axis.xaxis.set_major_formatter(THOUSANDS)
    axis.set_xlabel(f"profit beyond sending nothing ({unit})")
    axis.legend(loc="lower right", bbox_to_anchor=(1, 1))
    return axis


def outcome(table: pd.DataFrame, axis: Axes, unit: str) -> Axes:
    """What was promised, measured and true of one campaign (table: what, value, low, high; ends may be missing)."""
    place = np.arange(len(table))[::-1]
    axis.axvline(0, color=PALE, lw=1, zorder=0)
    ends = np.abs(table[["low", "high"]].to_numpy(float).T - table["value"].to_numpy(float))
    axis.errorbar(table["value"], place, xerr=np.nan_to_num(ends), fmt="o", color=COLOURS["blue"], lw=1.2)
    axis.set_yticks(place, table["figure"])
    axis.set_ylim(-0.6, len(table) - 0.4)
    axis.xaxis.set_major_formatter(THOUSANDS)
    axis.set_xlabel(f"profit beyond the holdout ({unit})")
    return axis


def list_precision_recall(table: pd.DataFrame, axis: Axes, base: float) -> Axes:
    """Precision against recall (table: recall, precision, low, high by rank) of who bought, ranked by the chance foretold; the share of
    buyers among all is dotted."""
    axis.fill_between(table["recall"], table["low"], table["high"], color=COLOURS["blue"], alpha=0.15, lw=0)
    axis.plot(table["recall"], table["precision"], color=COLOURS["blue"], label="ranked by the chance foretold")
    axis.axhline(base, color=GREY, ls=":", label="in any order")
    axis.set_xlim(0, 1)
    axis.set_ylim(0, 1.02)
    for side in (axis.xaxis, axis.yaxis):
        side.set_major_formatter(PercentFormatter(1, decimals=0))
    axis.set_xlabel("of those who bought, found so far (recall)")
    axis.set_ylabel("of those looked at,\nwho bought (precision)")
    axis.legend()
    return axis


def worth(table: pd.DataFrame, axis: Axes) -> Axes:
    """Value of what a trial of so many contacts teaches (table: contacts, value, low, high)."""
    axis.axhline(0, color=PALE, lw=1, zorder=0)
    ends = np.abs(table[["low", "high"]].to_numpy().T - table["value"].to_numpy())
    axis.errorbar(table["contacts"], table["value"], yerr=ends, fmt="o-", color=COLOURS["blue"], lw=1.2)
    axis.set_xlim(0, None)
    axis.xaxis.set_major_formatter(THOUSANDS)
    axis.set_xlabel("contacts of the trial")
    axis.set_ylabel("profit of the policy learnt\n(LKR a decision)")
    return axis
