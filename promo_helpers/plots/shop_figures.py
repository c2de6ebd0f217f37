"""Pictures of a shop; the frames come from `promo_helpers.explore`."""

import matplotlib.dates as mdates
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator, PercentFormatter

from promo_helpers.style import COLOURS, INK, PALE

LIFT_TICKS = (0.25, 0.5, 0.75, 1, 1.5, 2, 3)
THOUSANDS = FuncFormatter(lambda value, _: f"{value / 1000:,.0f}")


def _months(axis: Axes) -> None:
    locator = mdates.AutoDateLocator(minticks=4, maxticks=9)
    axis.xaxis.set_major_locator(locator)
    axis.xaxis.set_major_formatter(mdates.ConciseDateFormatter(locator))
    axis.set_xlabel("")


def weekly(weeks: pd.DataFrame, axis: Axes, currency: str) -> Axes:
    """Weekly sales, and above them what discounts took off (`sales.weekly_sales`)."""
    axis.fill_between(
        weeks["week"], weeks["sales"], weeks["listed"], color=COLOURS["amber"], alpha=0.35, lw=0, label="taken off by discounts"
    )
    axis.plot(weeks["week"], weeks["sales"], color=COLOURS["blue"], label="paid")
    axis.yaxis.set_major_formatter(THOUSANDS)
    axis.set_ylim(0)
    axis.set_ylabel(f"thousand {currency} a week")
    _months(axis)
    axis.legend(loc="lower left")
    return axis


def hours(shares: pd.DataFrame, axis: Axes) -> Axes:
    """Heat map of baskets by weekday and hour (`sales.week_hours`)."""
    sns.heatmap(
        shares * 100, ax=axis, cmap="Blues", cbar_kws={"label": "baskets (%)", "pad": 0.02}, linewidths=0.4, rasterized=True
    )
    axis.set_xticks(np.arange(0, 24, 3) + 0.5, [f"{h}:00" for h in range(0, 24, 3)], rotation=0)
    axis.set_xlabel("hour of the day")
    axis.set_ylabel("")
    axis.tick_params(axis="y", rotation=0, length=0)
    return axis


def basket_sizes(trips: pd.DataFrame, axis: Axes, cap: int = 60) -> Axes:
    """Histogram of units per basket (`customers.baskets`); what lies above `cap` is in the last bar."""
    units = trips["units"].clip(1, cap)
    axis.hist(units, bins=np.arange(0.5, cap + 1.5).tolist(), weights=np.full(len(units), 1 / len(units)), color=COLOURS["blue"])
    axis.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axis.set_xlabel(f"units a basket (last bar: {cap}+)")
    axis.set_ylabel("baskets")
    return axis


def trip_gaps(days: pd.Series, axis: Axes, cap: int = 30) -> Axes:
    """Histogram of days between a customer's trips (`customers.gaps`); what lies above `cap` is in the last bar."""
    axis.hist(
        days.clip(upper=cap),
        bins=np.arange(0.5, cap + 1.5).tolist(),
        weights=np.full(len(days), 1 / len(days)),
        color=COLOURS["sky"],
    )
    axis.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axis.set_xlabel(f"days to the next trip (last bar: {cap}+)")
    axis.set_ylabel("trips")
    return axis


def lorenz(curve: pd.DataFrame, axis: Axes) -> Axes:
    """Cumulated spending, largest customers first (`customers.concentration`)."""
    axis.plot([0, 1], [0, 1], color=PALE, lw=1, label="all alike")
    axis.plot(curve["customers"], curve["spend"], color=COLOURS["blue"], label="this shop")
    for which in (axis.xaxis, axis.yaxis):
        which.set_major_formatter(PercentFormatter(1, decimals=0))
    axis.set_xlabel("customers, largest first")
    axis.set_ylabel("share of spending")
    axis.legend(loc="lower right")
    return axis


def segments(table: pd.DataFrame, axis: Axes) -> Axes:
    """Share of customers and of spending by segment, as two dots on a line (`customers.segment_table`)."""
    y = np.arange(len(table))[::-1]
    axis.hlines(y, table["share"], table["spend share"], color=PALE, lw=3, zorder=0)
    axis.scatter(table["share"], y, color=COLOURS["sky"], s=36, label="of customers", zorder=2)
    axis.scatter(table["spend share"], y, color=COLOURS["blue"], s=36, label="of spending", zorder=2)
    axis.set_yticks(y, table["segment"].astype(str))
    axis.set_xlim(0)
    axis.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axis.set_xlabel("share")
    axis.legend(loc="lower right")
    return axis


def categories(table: pd.DataFrame, axis: Axes, by: str = "category") -> Axes:
    """Bars: share of sales; dots: share of customers who bought (`explore.category_sales`, the first rows)."""
    y = np.arange(len(table))[::-1]
    axis.barh(y, table["share"], color=COLOURS["blue"], height=0.7)
    axis.set_yticks(y, table[by].astype(str))
    axis.tick_params(axis="y", length=0)
    axis.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axis.set_xlabel("share of sales (bars)")
    reach = axis.twiny()
    reach.scatter(table["reach"], y, color=COLOURS["orange"], s=18, clip_on=False)
    reach.set_xlim(0, 1)
    reach.spines["top"].set_visible(True)
    reach.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    reach.set_xlabel("customers who bought any (dots)", color=COLOURS["orange"])
    return axis


def decomposition(parts: pd.DataFrame, axes: np.ndarray, currency: str) -> np.ndarray:
    """Four panels, each on a scale of its own: observed, trend, week, rest (`sales.decompose`), in thousands."""
    for axis, part in zip(axes, ("observed", "trend", "week", "rest"), strict=True):
        axis.plot(
            parts["day"],
            parts[part] / 1000,
            lw=0.8 if part != "trend" else 1.6,
            color=INK if part == "observed" else COLOURS["blue"],
        )
        axis.set_ylabel(part)
        axis.yaxis.set_major_locator(MaxNLocator(4))
        axis.margins(x=0.01)
    axes[0].set_title(f"thousand {currency} a day", loc="left")
    _months(axes[-1])
    for axis in axes[:-1]:
        axis.tick_params(labelbottom=False)
    return axes


def correlogram(table: pd.DataFrame, axis: Axes, label: str) -> Axes:
    """Autocorrelation by lag with the band of no correlation (`sales.autocorrelation`)."""
    axis.axhspan(-table["band"].iloc[0], table["band"].iloc[0], color=PALE, alpha=0.5, lw=0)
    axis.vlines(table["lag"], 0, table["correlation"], color=COLOURS["blue"], lw=1.6)
    axis.axhline(0, color=INK, lw=0.6)
    axis.set_title(label, loc="left")
    axis.set_xlabel("lag (days)")
    axis.set_ylim(-0.5, 1)
    return axis


def discount_bars(table: pd.DataFrame, axis: Axes, step: float = 0.05) -> Axes:
    """Bars: share of all lines sold at a discount of that depth (`explore.discount_depths`)."""
    axis.bar(table["depth"] + step / 2, table["share"], width=step * 0.9, color=COLOURS["amber"])
    for which in (axis.xaxis, axis.yaxis):
        which.set_major_formatter(PercentFormatter(1, decimals=None))
    axis.set_xlabel("discount off the list price")
    axis.set_ylabel("lines")
    return axis


def discount_shares(table: pd.DataFrame, axis: Axes, by: str) -> Axes:
    """Bars: what discounts took off the list price, by department or category (`explore.category_sales`)."""
    y = np.arange(len(table))[::-1]
    axis.barh(y, table["discount"], color=COLOURS["amber"], height=0.7)
    axis.set_yticks(y, table[by].astype(str))
    axis.tick_params(axis="y", length=0)
    axis.xaxis.set_major_formatter(PercentFormatter(1, decimals=None))
    axis.set_xlabel("taken off the list price")
    return axis


def category_lifts(pairs: pd.DataFrame, axis: Axes, most: int = 9, least: int = 6) -> Axes:
    """Adjusted lift of the pairs that go together most, and of those that avoid each other most (`explore.pair_lift`)."""
    shown = pd.concat([pairs.head(most), pairs.iloc[max(most, len(pairs) - least) :]])
    y = np.arange(len(shown))[::-1]
    colours = np.where(shown["adjusted"] > 1, COLOURS["blue"], COLOURS["orange"])
    axis.axvline(1, color=PALE, lw=1.5, zorder=0)
    axis.hlines(y, shown["low"], shown["high"], color=colours)
    axis.scatter(shown["adjusted"], y, color=colours, s=18, zorder=2)
    axis.set_yticks(y, [f"{a} with {b.lower()}" for a, b in zip(shown["a"], shown["b"], strict=True)])
    axis.tick_params(axis="y", length=0)
    axis.set_xscale("log")
    axis.set_xticks(LIFT_TICKS, [f"{t:g}" for t in LIFT_TICKS])
    axis.minorticks_off()
    axis.set_xlabel("lift among baskets of equal size")
    return axis


def campaigns(table: pd.DataFrame, axis: Axes) -> Axes:
    """Contacted and redeemed of each campaign, one bar each in the order of their starts (`campaigns.campaign_table`)."""
    x = np.arange(len(table))
    axis.bar(x, table["contacted"], color=COLOURS["blue"], width=0.8, label="contacted")
    axis.bar(x, table["redeemed"], color=COLOURS["amber"], width=0.8, label="redeemed")
    step = max(1, len(table) // 3)
    axis.set_xticks(x[::step], [f"{start:%b %y}" for start in table["start"].iloc[::step]])
    axis.set_xlabel("campaigns by their start")
    axis.set_ylabel("customers")
    axis.legend(loc="upper left")
    return axis


def before(history: pd.DataFrame, axis: Axes, currency: str) -> Axes:
    """Spending in the eight weeks before a campaign, of those it contacted and of those it did not (`campaigns.before_contact`)."""
    top = history["spend"].quantile(0.99)
    for sent, colour, label in ((False, PALE, "not contacted"), (True, COLOURS["blue"], "contacted")):
        spend = history.loc[history["sent"] == sent, "spend"].clip(0, top)
        weights = np.full(len(spend), 1 / max(len(spend), 1))
        axis.hist(spend, bins=np.linspace(0, top, 30).tolist(), weights=weights, color=colour, alpha=0.65, label=label)
    axis.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axis.set_ylabel("of each group")
    axis.set_xlabel(f"spent in 8 weeks before ({currency})")
    axis.legend(loc="upper right")
    return axis
