"""What would have changed a choice: single facts of a customer, moved to values that others have and that fit the rest of her.

A counterfactual is about the rule, not about the world: "would not have been chosen if ..., all else and the budget's price the same".
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pandas as pd

from promo_helpers.audit.shapley import Function
from promo_helpers.audit.wording import counted, never_used, used_discounts

ORDERED = (  # of columns that count or date the same things, none exceeds the next
    ("trips_28", "trips_90", "trips_180"), ("product_28", "product_90", "product_180", "product_all"), ("category_90", "category_180"),
    ("product_90", "category_90"), ("product_180", "category_180"), ("offers_30", "offers_90", "offers_all"),
    ("discounts", "offers_all"), ("recency", "category_recency", "product_recency"),
)  # fmt: skip
DATED = (  # something was counted in the last days exactly where it is so recent
    ("trips_28", "recency", 28), ("trips_90", "recency", 90), ("trips_180", "recency", 180), ("product_28", "product_recency", 28),
    ("product_90", "product_recency", 90), ("product_180", "product_recency", 180), ("category_90", "category_recency", 90),
    ("category_180", "category_recency", 180), ("offers_30", "offers_recency", 30), ("offers_90", "offers_recency", 90),
)  # fmt: skip
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
SINGLE = {  # features that a sentence may move alone: how the old and the new value are said, what is counted, and to how many digits
    "promotion_share": ("{new:.0%} of all units had been bought on price promotion instead of {old:.0%}", "", 2),
    "product_promotion_share": ("{new:.0%} of the purchases of {product} had been on price promotion instead of {old:.0%}", "", 2),
    "category_promotion_share": ("{new:.0%} of the purchases of {category} had been on price promotion instead of {old:.0%}", "", 2),
    "hour_gap": ("the usual hour of shopping lay {new} from that of the message instead of {old:.0f}", "hour", 0),
    "late_share": ("{new:.0%} of the visits had been in the evening instead of {old:.0%}", "", 2),
    "unit_price": ("a unit bought had cost {new:,.0f} on average instead of {old:,.0f}", "", 0),
    "basket": ("a visit had brought {new:.1f} units instead of {old:.1f}", "", 1),
    "trips_28": ("there had been {new} in the last four weeks instead of {old:.0f}", "visit", 0),
    "product_28": ("{new} of {product} had been bought in the last four weeks instead of {old:.0f}", "unit", 0),
    "category_90": ("{new} of {category} had been bought in the last 90 days instead of {old:.0f}", "unit", 0),
}  # fmt: skip


@dataclass(frozen=True)
class Change:
    """A way to change facts: x -> (changed x, [row] whether it applies); `say` puts it into words, from a row, the changed row, product
    and category."""

    name: str
    move: Callable[[pd.DataFrame], tuple[pd.DataFrame, np.ndarray]]
    say: Callable[[pd.Series, pd.Series, str, str], str]


def consistent(x: pd.DataFrame) -> np.ndarray:
    """[row] whether counts and dates fit each other (ORDERED, DATED); what is missing contradicts nothing but a count of what it dates."""
    fits = np.ones(len(x), bool)
    for chain in ORDERED:
        columns = [x[c].to_numpy(float) for c in chain if c in x]
        for low, high in pairwise(columns):
            fits &= ~(low > high + 1e-9)
    for count, date, days in DATED:
        if count in x and date in x:
            fits &= (x[count].to_numpy(float) > 0) == (x[date].to_numpy(float) <= days)
    return fits


def changes(observed: pd.DataFrame, excluded: Sequence[str] = ()) -> list[Change]:
    """Events (a purchase last week, none in 90 days, an offer lately, discounts never used), and SINGLE features at quantiles of what is
    observed; those of the features `leave` are not tried, nor is one that its words would not show."""
    made = [
        Change("bought last week", _bought, lambda _o, _n, product, _c: f"{product} had been bought once more, a week ago"),
        Change("not bought", _not_bought, lambda _o, _n, product, _c: f"{product} had not been bought in the last 90 days"),
        Change("offered lately", _offered, lambda _o, _n, _p, _c: "there had been one more offer, a week ago"),
        Change("never used", _never_used, lambda o, _n, _p, _c: f"{_earlier(o)} had not been used"),
    ]
    for feature in SINGLE:
        if feature in observed and feature not in excluded:
            for value in np.unique(np.nanquantile(observed[feature], QUANTILES, method="nearest")):
                made.append(Change(feature, _setter(feature, float(value)), _sayer(feature)))
    return made


def smallest_flips(
    net: Function, x: pd.DataFrame, observed: pd.DataFrame, products: Sequence[str], categories: Sequence[str],
    excluded: Sequence[str] = (),
) -> pd.DataFrame:  # fmt: skip
    """For each row of x, of those that `net` [row, arm] chooses for an offer: the smallest of the `changes` after which it chooses none.

    Columns words ("" where no change does it), change, size (share of the observed customers between the old and the new value, the
    largest of the features moved) and, of the changed row, net: what the best offer would still earn after the price of the budget.
    Raises ValueError for a row that is not chosen as it is: there is nothing to undo.
    """
    if not len(x):
        return pd.DataFrame({"words": [], "change": [], "size": [], "net": []})
    if (idle := net(x).argmax(axis=1) == 0).any():
        raise ValueError(f"{int(idle.sum())} of {len(x)} rows are not chosen as they are: a counterfactual undoes a choice")
    ranks = {c: np.sort(observed[c].dropna().to_numpy(float)) for c in observed}
    tried = changes(observed, excluded)
    which, size, left = np.full(len(x), -1), np.full(len(x), np.inf), np.full(len(x), np.nan)
    for k, change in enumerate(tried):
        new, applies = change.move(x)
        span = _size(x, new, ranks)
        usable = np.flatnonzero(applies & consistent(new) & (span < size))
        if not len(usable):
            continue
        value = net(new.iloc[usable])
        undone = value.argmax(axis=1) == 0
        rows = usable[undone]
        which[rows], size[rows], left[rows] = k, span[rows], value[undone, 1:].max(axis=1)
    words = [""] * len(x)
    for k in np.unique(which[which >= 0]):
        rows = np.flatnonzero(which == k)
        new, _ = tried[k].move(x.iloc[rows])
        for at, i in enumerate(rows):
            words[i] = tried[k].say(x.iloc[i], new.iloc[at], products[int(i)], categories[int(i)])
    named = [tried[k].name if k >= 0 else "" for k in which]
    return pd.DataFrame({"words": words, "change": named, "size": np.where(which < 0, np.nan, size), "net": left}, index=x.index)


def _size(old: pd.DataFrame, new: pd.DataFrame, ranks: dict[str, np.ndarray]) -> np.ndarray:
    size = np.zeros(len(old))
    for c, ordered in ranks.items():
        a, b = old[c].to_numpy(float), new[c].to_numpy(float)
        moved = ~((a == b) | (np.isnan(a) & np.isnan(b)))
        if moved.any() and len(ordered):
            span = np.abs(np.searchsorted(ordered, b[moved]) - np.searchsorted(ordered, a[moved])) / len(ordered)
            size[moved] = np.maximum(size[moved], np.maximum(span, 1e-6))
    return size


def _setter(feature: str, value: float) -> Callable[[pd.DataFrame], tuple[pd.DataFrame, np.ndarray]]:
    digits = SINGLE[feature][2]
    shown = round(value, digits)
    return lambda x: (x.assign(**{feature: value}), (x[feature].notna() & (x[feature].round(digits) != shown)).to_numpy())


def _sayer(feature: str) -> Callable[[pd.Series, pd.Series, str, str], str]:
    words, unit, _ = SINGLE[feature]

    def say(old: pd.Series, new: pd.Series, product: str, category: str) -> str:
        value = counted(new[feature], unit) if unit else new[feature]
        said = words.format(old=old[feature], new=value, product=product, category=category)
        return said.replace("there had been 0 visits", "there had been no visit").replace("0 units of", "no unit of")

    return say


def _bought(x: pd.DataFrame) -> tuple[pd.DataFrame, np.ndarray]:
    """One unit more, seven days ago: every count and date that it would be in, with a visit where there was none since."""
    new, later = x.copy(), (x["recency"] > 7) | x["recency"].isna()
    for c in ("product_28", "product_90", "product_180", "product_all", "category_90", "category_180"):
        new[c] = x[c] + 1
    for c in ("trips_28", "trips_90", "trips_180"):
        new[c] = x[c] + later
    for c in ("recency", "category_recency", "product_recency"):
        new[c] = np.fmin(x[c], 7.0)
    new["spend_90"] = x["spend_90"] + x["product_price"]
    kind = x["product_all"] / x["product_share"]
    new["product_share"] = ((x["product_all"] + 1) / (kind + 1)).where(x["product_share"] > 0, x["product_share"])
    return new, np.ones(len(x), bool)


def _not_bought(x: pd.DataFrame) -> tuple[pd.DataFrame, np.ndarray]:
    """None of the product's units of the last 90 days; what was bought before stays. The visits stay too."""
    new, units = x.copy(), x["product_90"]
    for c in ("product_28", "product_90", "product_180", "product_all", "category_90", "category_180"):
        new[c] = np.maximum(x[c] - units, 0)
    earlier = np.where(new["product_180"] > 0, 135.0, 270.0)
    new["product_recency"] = np.where(new["product_all"] > 0, earlier, np.nan)
    lost = (new["category_90"] == 0) & (x["category_90"] > 0)
    before = np.where(new["category_180"] > 0, 135.0, 270.0)
    new["category_recency"] = np.where(lost, np.fmin(before, new["product_recency"].fillna(np.inf)), x["category_recency"])
    new["spend_90"] = np.maximum(x["spend_90"] - units * x["product_price"], 0)
    kind = x["product_all"] / x["product_share"] - units
    share = new["product_all"] / kind
    new["product_share"] = share.where(kind > 0)
    return new, (units > 0).to_numpy()


def _offered(x: pd.DataFrame) -> tuple[pd.DataFrame, np.ndarray]:
    new = x.copy()
    for c in ("offers_30", "offers_90", "offers_all"):
        new[c] = x[c] + 1
    new["offers_recency"] = np.fmin(x["offers_recency"], 7.0)
    return new, np.ones(len(x), bool)


def _never_used(x: pd.DataFrame) -> tuple[pd.DataFrame, np.ndarray]:
    used = used_discounts(x["redeemed_share"], x["discounts"])
    return x.assign(redeemed_share=never_used(x["discounts"]), redeemed_depth=np.nan), (used > 0).to_numpy()


def _earlier(row: pd.Series) -> str:
    given, used = float(row["discounts"]), used_discounts(float(row["redeemed_share"]), float(row["discounts"]))
    if given == 1:
        return "the one earlier discount"
    return "any of the earlier discounts" if used > 1 else "the earlier discount"
