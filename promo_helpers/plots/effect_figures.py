"""Pictures of causal effects: the graph, estimates beside the truth, and how wrong they get where the dials are turned."""

from collections.abc import Iterable, Sequence

import networkx as nx
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patches import FancyArrowPatch

from promo_helpers.style import COLOURS, INK, PALE

PLACES = {  # by hand: causes to the left, the offer below the middle, what it is for to the right
    "age": (-0.2, 3.3), "taste": (2.3, 3.75), "price sensitivity": (1.5, 2.8), "rhythm": (-0.1, 1.3), "bought before": (4.5, 3.75),
    "trips": (1.7, 1.4), "recency": (1.9, 0.1), "spend": (4.2, 1.7), "offer": (5.1, 0.1), "hour": (7.6, 0.1), "units": (7.6, 2.55),
}  # fmt: skip
METHODS = {  # a colour means one way of estimating
    "difference in means": COLOURS["orange"],
    "regression": COLOURS["blue"],
    "weighting": COLOURS["green"],
    "matching": COLOURS["amber"],
    "stratification": COLOURS["sky"],
    "doubly robust": INK,
    "double machine learning": COLOURS["pink"],
}


def causes(graph: nx.DiGraph, axis: Axes, hidden: Iterable[str], suspected: Iterable[tuple[str, str]] = ()) -> Axes:
    """The causal graph: dashed ovals are in no table, the arrow that is asked about is blue, a suspected one red and dashed."""
    suspected, unseen = set(suspected), set(hidden)
    boxes = {}
    for name in graph:
        edge, style = (PALE, "--") if name in unseen else (INK, "-")
        box = {"boxstyle": "round,pad=0.35", "fc": "white", "ec": edge, "ls": style, "lw": 1}
        if name in ("offer", "units"):
            box |= {"fc": "#e8f1f8", "ec": COLOURS["blue"]}
        boxes[name] = axis.text(*PLACES[name], name, ha="center", va="center", fontsize=8, bbox=box, zorder=3)
    axis.set_xlim(-0.7, 8.2)
    axis.set_ylim(-0.4, 4.0)
    axis.figure.canvas.draw()  # so that the boxes have their size, and arrows end at their edges
    for cause, effect in [*graph.edges, *suspected]:
        asked, doubted = (cause, effect) == ("offer", "units"), (cause, effect) in suspected
        colour = COLOURS["blue"] if asked else COLOURS["orange"] if doubted else INK
        bend = {("rhythm", "units"): -0.1, ("rhythm", "spend"): 0.22}.get((cause, effect), 0.0)
        arrow = FancyArrowPatch(
            PLACES[cause], PLACES[effect], arrowstyle="-|>", mutation_scale=9, color=colour, lw=1.8 if asked else 0.9,
            ls="--" if doubted else "-", alpha=1 if asked or doubted else 0.55, connectionstyle=f"arc3,rad={bend}",
            patchA=boxes[cause].get_bbox_patch(), patchB=boxes[effect].get_bbox_patch(), shrinkA=1, shrinkB=1, zorder=2,
        )  # fmt: skip
        axis.add_patch(arrow)
    axis.axis("off")
    return axis


def forest(frame: pd.DataFrame, axis: Axes, unit: str, labels: bool = True) -> Axes:
    """Estimates with intervals, a row per method, beside the truth of what each estimates: columns method, effect, low, high, truth."""
    rows = range(len(frame))[::-1]
    for row, line in zip(rows, frame.itertuples(index=False), strict=True):
        colour = METHODS[line.method]
        axis.plot([line.low, line.high], [row, row], color=colour, lw=1.6, zorder=2)
        axis.plot(line.effect, row, "o", color=colour, ms=5, zorder=3)
        if "truth" in frame:
            label = "the true average of what each method estimates" if row == 0 else None
            axis.plot([line.truth] * 2, [row - 0.45, row + 0.45], color=INK, lw=1.2, ls=":", zorder=1, label=label)
    axis.axvline(0, color=PALE, lw=0.8, zorder=0)
    axis.set_yticks(list(rows), frame["method"] if labels else [""] * len(frame))
    axis.tick_params(axis="y", length=0)
    axis.set_xlabel(unit)
    return axis


def dial(frame: pd.DataFrame, axes: Sequence[Axes], methods: Sequence[str]) -> None:
    """Mean error as a share of the true effect against how steep the rule is, an axis per strength of hidden confounding.

    Columns overlap, confounding, method, error, low, high. Lines are set apart a little, so that intervals can be told apart.
    """
    for axis, (strength, part) in zip(axes, frame.groupby("confounding"), strict=True):
        for k, method in enumerate(methods):
            line = part[part["method"] == method].sort_values("overlap")
            place = line["overlap"] * 1.045 ** (k - len(methods) / 2)
            axis.plot(place, line["error"], marker="o", ms=3, lw=1, color=METHODS[method], label=method)
            axis.vlines(place, line["low"], line["high"], color=METHODS[method], lw=0.9)
        axis.axhline(0, color=PALE, lw=0.8, zorder=0)
        axis.set_xscale("log")
        places = sorted(part["overlap"].unique())
        axis.set_xticks(places, [f"{p:g}" for p in places])
        axis.minorticks_off()
        axis.set_xlabel("slope of the rule, 1 as it is")
        axis.text(0.04, 0.97, f"hidden confounding {strength:g}", transform=axis.transAxes, va="top", fontsize=8)
    axes[0].set_ylabel("mean error, true effects")
