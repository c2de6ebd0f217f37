"""One look for every figure: sizes, fonts, and a colour that means one thing throughout."""

import matplotlib as mpl
import pandas as pd
import seaborn as sns

WIDTH = 6.3  # inches: the text width of the paper, so that fonts come out at their nominal size
HEIGHT = 2.8

INK = "#22313f"
PALE = "#c9d1d9"
COLOURS = {  # Okabe and Ito's palette, which colour-blind readers can tell apart
    "blue": "#0072B2",
    "orange": "#D55E00",
    "green": "#009E73",
    "sky": "#56B4E9",
    "amber": "#E69F00",
    "pink": "#CC79A7",
}
METHODS = {  # a colour means one way of ranking, in every figure that has it
    "Bayes-optimal": INK,
    "ensemble": COLOURS["blue"],
    "LightGBM": COLOURS["orange"],
    "random forest": COLOURS["amber"],
    "logistic regression": COLOURS["sky"],
    "own habit": COLOURS["green"],
    "personal frequency": "#66c2a4",
    "last purchase": COLOURS["sky"],
    "popularity": COLOURS["amber"],
    "RFM": COLOURS["pink"],
    "random": PALE,
}


def use() -> None:
    """Set the look of figures and of frames for this process."""
    pd.set_option("display.max_colwidth", 120, "display.max_rows", 100, "display.precision", 3)
    sns.set_theme(context="paper", style="ticks", palette=list(COLOURS.values()))
    mpl.rcParams.update(
        {
            "figure.figsize": (WIDTH, HEIGHT),
            "figure.dpi": 110,
            "figure.constrained_layout.use": True,
            "savefig.dpi": 200,
            "font.size": 9,
            "axes.labelsize": 9,
            "axes.titlesize": 9,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.edgecolor": INK,
            "axes.labelcolor": INK,
            "text.color": INK,
            "xtick.color": INK,
            "ytick.color": INK,
            "legend.frameon": False,
            "legend.fontsize": 8,
            "lines.linewidth": 1.4,
            "pdf.fonttype": 42,
            "svg.hashsalt": "promo",
        }
    )
