"""The cross-sell list: who buys one product, does not yet buy what goes with it, and how likely is she to do so within two weeks?"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from promo_helpers.features.purchases import Purchases
from promo_helpers.shop.sheets import read_sheet, safe, write_sheet

RECENT = 91  # days: who bought the product in them counts as buying it
QUIET = 182  # days: who bought the suggestion in them buys it already
EVENTS = 30  # purchases from which a model can learn whom they come from; with fewer, everybody gets the common rate
FEATURES = ("trips", "recency", "bought", "ever", "category")
COLUMNS = ("CustomerID", "ProductBought", "ProductSuggested", "Lift", "Affinity", "Probability", "SuggestedDiscount")


def candidates(purchases: Purchases, day: int, bought: int, suggested: int, category: np.ndarray) -> pd.DataFrame:
    """Who bought item `bought` in the RECENT days before the day, and `suggested` not in the QUIET days: one row each.

    Column who, and the FEATURES, logarithms of 1 + : trips (baskets) in the RECENT days, days since the last one (recency), baskets
    with the product in the RECENT days, with the suggestion ever, with its category in the QUIET days. `category` [item] of text.
    Raises ValueError for a day before which there is nothing.
    """
    if not 0 < day <= purchases.days:
        raise ValueError(f"day = {day}: must lie in 1 .. {purchases.days}, so that something was bought before it")
    n = len(purchases.customers)
    kind = np.asarray(category == category[suggested]) if pd.notna(category[suggested]) else np.zeros(len(category), bool)
    past = purchases.between(0, day)
    trip = past[np.append(True, np.diff(purchases.basket[past]) != 0)[: len(past)]]  # one row a basket
    last = np.full(n, -1)
    last[purchases.who[trip]] = purchases.day[trip]  # rows are in the order of days: the last one stays
    asked = kind | np.isin(np.arange(len(category)), [bought, suggested])
    past = past[asked[purchases.what[past]]]
    who, what, when = purchases.who[past], purchases.what[past], purchases.day[past]
    recent, quiet = when >= day - RECENT, when >= day - QUIET
    buys = np.bincount(who[recent & (what == bought)], minlength=n)
    has = np.bincount(who[quiet & (what == suggested)], minlength=n)
    chosen = np.flatnonzero((buys > 0) & (has == 0))
    values = {
        "trips": np.bincount(purchases.who[trip][purchases.day[trip] >= day - RECENT], minlength=n),
        "recency": day - last,
        "bought": buys,
        "ever": np.bincount(who[what == suggested], minlength=n),
        "category": np.bincount(who[quiet & kind[what]], minlength=n),
    }
    return pd.DataFrame({"who": chosen, **{name: np.log1p(value[chosen].astype(float)) for name, value in values.items()}})


def observed(
    purchases: Purchases, days: Sequence[int], bought: int, suggested: int, category: np.ndarray, window: int = 14
) -> pd.DataFrame:
    """The candidates of several days, one below the other, with day and buys (whether the suggestion was bought in the window)."""
    parts = []
    for day in days:
        rows = purchases.between(day, day + window)
        buyers = np.unique(purchases.who[rows][purchases.what[rows] == suggested])
        part = candidates(purchases, day, bought, suggested, category)
        parts.append(part.assign(day=day, buys=np.isin(part["who"], buyers)))
    return pd.concat(parts, ignore_index=True)


def learnt(seen: pd.DataFrame) -> Pipeline | float:
    """Logistic regression of `buys` on the FEATURES; with fewer than EVENTS purchases only their rate, with one added to either side."""
    events = int(seen["buys"].sum())
    if events < EVENTS or events == len(seen):
        return (events + 1) / (len(seen) + 2)
    return make_pipeline(StandardScaler(), LogisticRegression()).fit(seen[list(FEATURES)].to_numpy(), seen["buys"].to_numpy())


def chance(model: Pipeline | float, who: pd.DataFrame) -> np.ndarray:
    """[row] chance that each candidate buys the suggestion in the window."""
    if isinstance(model, float) or who.empty:
        return np.full(len(who), model if isinstance(model, float) else np.nan)
    return np.asarray(model.predict_proba(who[list(FEATURES)].to_numpy())[:, 1])


def calibration(promised: np.ndarray, buys: np.ndarray, groups: int = 10, level: float = 0.95) -> pd.DataFrame:
    """Promised against what happened in groups of equal size by promise: promised, share, low, high (Wilson's interval), customers."""
    rows = []
    for part in groups_of(promised, buys, groups):
        between = stats.binomtest(int(buys[part].sum()), len(part)).proportion_ci(level, method="wilson")
        rows.append((promised[part].mean(), buys[part].mean(), between.low, between.high, len(part)))
    return pd.DataFrame(rows, columns=["promised", "share", "low", "high", "customers"])


def level(promised: np.ndarray, buys: np.ndarray, who: np.ndarray, level: float = 0.95) -> pd.DataFrame:
    """Rows promised, bought, less (bought less promised), with mean, low, high: a Student interval over customers.

    A customer's rows (`who` [row] numbers) stay together, since who is promised several products buys several. What is common to all
    customers of a window, such as the season, is not in the interval. With one customer low and high are missing.
    """
    number = np.unique(who, return_inverse=True)[1]
    customers = number.max(initial=-1) + 1
    rows = []
    for name, value in (("promised", promised), ("bought", buys.astype(float)), ("less", buys - promised)):
        mean = value.mean()
        off = np.bincount(number, value - mean)
        spread = np.sqrt(customers / (customers - 1) * (off**2).sum()) / len(value) if customers > 1 else np.nan
        half = stats.t.ppf((1 + level) / 2, max(customers - 1, 1)) * spread
        rows.append((name, mean, mean - half, mean + half))
    return pd.DataFrame(rows, columns=["name", "mean", "low", "high"]).set_index("name")


def groups_of(promised: np.ndarray, buys: np.ndarray, groups: int = 10) -> list[np.ndarray]:
    """Row numbers in at most `groups` groups by promise, few enough for ten purchases a group; none of them is empty."""
    number = min(groups, max(int(buys.sum()) // 10, 1))
    return [part for part in np.array_split(np.argsort(promised, kind="stable"), number) if len(part)]


def listed(
    customers: Sequence[str], bought: str, suggested: str, lift: float, affinity: float, chances: np.ndarray
) -> pd.DataFrame:
    """Rows of the list for one suggestion, with COLUMNS; SuggestedDiscount is empty until an optimiser fills it.

    Lift and Affinity are those of `bundles.pairs`, the same in all rows.
    """
    return pd.DataFrame(
        {
            "CustomerID": pd.array([safe(c) for c in customers], dtype=str),
            "ProductBought": pd.array([safe(bought)] * len(customers), dtype=str),
            "ProductSuggested": pd.array([safe(suggested)] * len(customers), dtype=str),
            "Lift": np.full(len(customers), round(float(lift), 3)),
            "Affinity": np.full(len(customers), round(float(affinity), 3)),
            "Probability": np.round(np.asarray(chances, float), 4),
            "SuggestedDiscount": np.full(len(customers), np.nan),
        }
    )


def write(rows: pd.DataFrame, path: Path) -> pd.DataFrame:
    """Write the list, the likeliest first, whole or not at all, as UTF-8; returns it as it was written.

    Raises ValueError for other columns than COLUMNS, for a probability outside 0..1, and for a customer with one suggestion twice.
    """
    if tuple(rows.columns) != COLUMNS:
        raise ValueError(f"columns are {list(rows.columns)}: must be {list(COLUMNS)}")
    wrong = ~rows["Probability"].between(0, 1)
    if wrong.any():
        raise ValueError(
            f"Probability: {int(wrong.sum())} rows are not in 0..1, the first {rows.loc[wrong, 'CustomerID'].iloc[0]}"
        )
    twice = rows.duplicated(["CustomerID", "ProductSuggested"])
    if twice.any():
        raise ValueError(f"CustomerID: {rows.loc[twice, 'CustomerID'].iloc[0]} is listed twice with the same suggestion")
    keys = ["Probability", "CustomerID", "ProductSuggested"]
    rows = rows.sort_values(keys, ascending=[False, True, True], ignore_index=True)
    write_sheet(rows, path, COLUMNS[:3])
    return rows


def read(path: Path) -> pd.DataFrame:
    """The list as it was written: text as text, also where it looks like a number or says NA."""
    return read_sheet(path, COLUMNS[:3])
