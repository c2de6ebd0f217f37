"""Which items of different categories go together in a basket, beyond what customers' habits and the size of baskets explain?

    lift        P(a and b in a basket) / (P(a) P(b))                                    (Brin et al. 1997)
    affinity    baskets with both / as many as would be expected if each customer's items fell into her baskets independently

Lift is above one for nearly every pair: large baskets hold a bit of everything, and who likes one thing likes another. So the expected
number of baskets with both is taken from *different* baskets of the same customer and season: of her baskets t and t', how often does a
lie in t and b in t'? That number is scaled, per customer and season, so that all pairs of items together meet as often as they do; then
baskets of very different sizes explain by that why everything meets. Few baskets of a customer do no harm, since no basket meets itself.
Last, an item that meets *everything* more or less than that (bread is in every large basket once, and not in proportion to its size) is
no bundle: the affinity is relative to what both items have with all others. What changes within a season (91 days, or as asked)
stays: pumpkin pie and whipped topping meet in November and need not belong together.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import sparse
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from promo_helpers import draws, inference
from promo_helpers.features.purchases import Purchases
from promo_helpers.shop.sheets import read_sheet, safe, write_sheet

COLUMNS = ["a", "b", "baskets", "expected", "support", "lift", "lift_low", "affinity", "low", "high"]
GROUPS = 100  # of customers, of about equal size, by draw: the spread of the affinity between them
SEASON = 91  # days within which her habits are taken for constant
PASSES = 10  # parts in which all pairs are counted at first, to bound memory
MIN_GROUPS = 20  # groups that the expected baskets must come from, in effect (Kish): of what few customers do, no spread is known
PARTNERS = 10  # pairs of an item from which its usual affinity is told
ROUNDS = 60  # halving each time: far beyond the digits that are shown


def pairs(
    purchases: Purchases,
    category: np.ndarray,
    seed: int,
    *,
    within: bool = True,
    level: float = 0.95,
    least: float = 20.0,
    season: int = SEASON,
    before: int | None = None,
) -> pd.DataFrame:
    """All pairs of items of different categories with at least `least` expected baskets by many, the highest affinity first.

    `category` [item] of text; items without one (missing) are in no pair. Columns a, b (numbers of items, a < b), baskets (with both),
    expected, support (share of all baskets), lift, lift_low (of an interval that takes baskets for independent), affinity, low, high.
    "Her other baskets" are those of the same `season` (days); what changes within one is not taken out. With `within` false they are
    those of a hundredth of all customers: the expected number then adjusts for the size of baskets, and not for habits. With `before`
    only baskets before that day count.
    low and high are of the affinity and hold for all pairs at once: its logarithm with the spread over GROUPS groups of whole customers,
    that of what is usual for both items included (a jackknife to first order, the weights held), never less than a Poisson count has,
    and Student's quantile at (1 - level) / pairs (Bonferroni). A pair is *found* where low > 1: with the level .95 not one false pair in
    about 95 of 100 shops.
    Raises ValueError without two categories.
    """
    known = pd.notna(category)
    if len(pd.unique(category[known])) < 2:
        raise ValueError(f"{len(pd.unique(category[known]))} category in all: a bundle across categories needs two")
    a, b = np.nonzero(np.triu(category[:, None] != category[None, :], 1) & known[:, None] & known[None, :])
    has, owner, day = _baskets(purchases, before)
    group = draws.parts(seed, "groups of customers", purchases.customers, number=GROUPS)[owner]
    stratum = owner.astype(np.int64) * (purchases.days // season + 1) + day // season if within else group
    whole = np.zeros((len(category), len(category)))
    for number in range(PASSES):  # first which pairs have baskets enough, then only those, group by group
        rows = np.flatnonzero(group % PASSES == number)
        whole += counted(has[rows], stratum[rows])[1]
    a, b = a[whole[a, b] >= least], b[whole[a, b] >= least]
    sums = np.zeros((5, len(a)))  # met, expected, and of each group: met^2, met x expected, expected^2
    for met, expected in _by_group(has, stratum, group, a, b):
        sums += np.stack([met, expected, met**2, met * expected, expected**2])
    spread_out = sums[1] ** 2 >= MIN_GROUPS * sums[4]
    a, b, (baskets, expected, squares, products, expectations) = a[spread_out], b[spread_out], sums[:, spread_out]
    ratio = baskets / expected
    squared = GROUPS / (GROUPS - 1) * (squares - 2 * ratio * products + ratio**2 * expectations) / np.maximum(baskets, 1) ** 2
    with np.errstate(divide="ignore"):
        logarithm = np.log(ratio)
    usual = _usual(a, b, np.where((baskets > 0) & (squared > 0), 1 / np.maximum(squared, 1e-18), 0), len(category))
    often = usual(logarithm)
    logarithm = logarithm - often[a] - often[b]
    squared = np.zeros(len(a))
    for met, expecting in _by_group(has, stratum, group, a, b):  # what each group adds to the logarithm, and to the usual
        moved = met / np.maximum(baskets, 1) - expecting / expected
        shift = usual(moved)
        squared += (moved - shift[a] - shift[b]) ** 2
    spread = np.sqrt(np.maximum(GROUPS / (GROUPS - 1) * squared, 1 / np.maximum(baskets, 1)))
    critical = inference.critical(1 - (1 - level) / max(len(a), 1), GROUPS - 1)
    alone, number = np.asarray(has.sum(axis=0)).ravel(), has.shape[0]
    lift = baskets * number / (alone[a] * alone[b])
    plain = np.sqrt(1 / np.maximum(baskets, 1) - 1 / alone[a] - 1 / alone[b] + 1 / number)  # as if baskets were independent
    table = pd.DataFrame(
        {
            "a": a,
            "b": b,
            "baskets": baskets.astype(int),
            "expected": expected * np.exp(often[a] + often[b]),
            "support": baskets / number,
            "lift": lift,
            "lift_low": lift * np.exp(-critical * plain),
            "affinity": np.exp(logarithm),
            "low": np.exp(logarithm - critical * spread),
            "high": np.exp(logarithm + critical * spread),
        }
    )
    return table.sort_values(["affinity", "a", "b"], ascending=[False, True, True], ignore_index=True)


def _by_group(
    has: sparse.csr_matrix, stratum: np.ndarray, group: np.ndarray, a: np.ndarray, b: np.ndarray
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """[pair] baskets with both and expected ones, of one group of customers after the other: all at once would fill the memory."""
    for number in range(GROUPS):
        rows = np.flatnonzero(group == number)
        met, expected = counted(has[rows], stratum[rows])
        yield met[a, b], expected[a, b]


def _usual(a: np.ndarray, b: np.ndarray, weight: np.ndarray, items: int) -> Callable[[np.ndarray], np.ndarray]:
    """A function from [pair] values to [item] what each item adds to them in all of its pairs: weighted least squares, by turns.

    It is linear in the values; those of weight zero do not count. Zero for an item with fewer than PARTNERS pairs of some weight, which
    say too little about the usual.
    """
    used = weight > 0
    one, two, weight = a[used], b[used], weight[used]
    half = sparse.coo_matrix((weight, (one, two)), shape=(items, items)).tocsr()
    grid = half + half.T
    total = np.maximum(np.asarray(grid.sum(axis=1)).ravel(), 1e-9)
    enough = np.bincount(one, minlength=items) + np.bincount(two, minlength=items) >= PARTNERS

    def told(values: np.ndarray) -> np.ndarray:
        known = weight * values[used]
        known = np.bincount(one, known, minlength=items) + np.bincount(two, known, minlength=items)
        usual = np.zeros(items)
        for _ in range(ROUNDS):
            step = np.where(enough, (known - grid @ usual) / total, 0)
            usual = (usual + step) / 2  # half-way, since both sides of a pair move at once
        return usual

    return told


def counted(has: sparse.csr_matrix, owner: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """[item, item] baskets with both, and as many as expected; `has` [basket, item] of 0 and 1, `owner` [basket] numbers.

    Owner i with n_a baskets that hold a expects F_i (n_a n_b - n_ab) with both, where n_a n_b - n_ab counts her pairs of different
    baskets, and F_i is all her pairs of items in one basket over all her pairs of items in two. Owners without such pairs are left out.
    """
    names, owner = np.unique(owner, return_inverse=True)
    belongs = sparse.csr_matrix((np.ones(len(owner)), (owner, np.arange(len(owner)))), shape=(len(names), len(owner)))
    each = belongs @ has  # [owner, item], sparse: few of all items
    size = np.asarray(has.sum(axis=1)).ravel()
    together = belongs @ (size * (size - 1))
    apart = np.asarray(each.sum(axis=1)).ravel() ** 2 - np.asarray(each.multiply(each).sum(axis=1)).ravel() - together
    scale = np.divide(together, apart, out=np.zeros(len(apart)), where=apart > 0)
    used = (apart > 0)[owner]
    apiece = each.T @ sparse.diags(scale) @ each - has.T @ sparse.diags(scale[owner]) @ has
    return (has[used].T @ has[used]).toarray(), apiece.toarray()


def _baskets(purchases: Purchases, before: int | None) -> tuple[sparse.csr_matrix, np.ndarray, np.ndarray]:
    """[basket, item] of 0 and 1, and [basket] the number of its customer, and its day; of those before a day, where one is given."""
    rows = purchases.between(0, purchases.days if before is None else before)
    first, basket = np.unique(purchases.basket[rows], return_index=True, return_inverse=True)[1:]
    shape = (len(first), len(purchases.items))
    has = sparse.csr_matrix((np.ones(len(rows)), (basket, purchases.what[rows])), shape=shape)
    return has, purchases.who[rows][first].astype(np.int64), purchases.day[rows][first].astype(np.int64)


def partners(table: pd.DataFrame, item: int, most: int = 5) -> pd.DataFrame:
    """Columns partner (number), lift, affinity: of the found pairs that hold an item the `most` with the highest affinity."""
    mine = table[(table["low"] > 1) & ((table["a"] == item) | (table["b"] == item))].head(most)
    return mine.assign(partner=(mine["a"] + mine["b"] - item).astype(int))[["partner", "lift", "affinity"]].reset_index(drop=True)


def pair_recovery(table: pd.DataFrame, planted: set[tuple[int, int]], bound: str = "low") -> dict[str, float]:
    """Found pairs (`bound` > 1) against planted ones (numbers a < b): found, right, precision, recall."""
    found = {(int(a), int(b)) for a, b in table.loc[table[bound] > 1, ["a", "b"]].to_numpy()}
    right = len(found & planted)
    return {
        "found": float(len(found)),
        "right": float(right),
        "precision": right / len(found) if found else float("nan"),
        "recall": right / len(planted) if planted else float("nan"),
    }


RECENT = 91  # days: who bought the product in them counts as buying it
BOUGHT_WITHIN = 182  # days: who bought the suggestion in them buys it already
EVENTS = 30  # purchases from which a model can learn whom they come from; with fewer, everybody gets the common rate
FEATURES = ("trips", "recency", "bought", "ever", "category")
LIST_COLUMNS = ("CustomerID", "ProductBought", "ProductSuggested", "Lift", "Affinity", "Probability", "SuggestedDiscount")


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
    recent, quiet = when >= day - RECENT, when >= day - BOUGHT_WITHIN
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


def fit_suggestion(seen: pd.DataFrame) -> Pipeline | float:
    """Logistic regression of `buys` on the FEATURES; with fewer than EVENTS purchases only their rate, with one added to either side."""
    events = int(seen["buys"].sum())
    if events < EVENTS or events == len(seen):
        return (events + 1) / (len(seen) + 2)
    return make_pipeline(StandardScaler(), LogisticRegression()).fit(seen[list(FEATURES)].to_numpy(), seen["buys"].to_numpy())


def suggestion_probability(model: Pipeline | float, who: pd.DataFrame) -> np.ndarray:
    """[row] chance that each candidate buys the suggestion in the window."""
    if isinstance(model, float) or who.empty:
        return np.full(len(who), model if isinstance(model, float) else np.nan)
    return np.asarray(model.predict_proba(who[list(FEATURES)].to_numpy())[:, 1])


def suggestion_calibration(predicted: np.ndarray, buys: np.ndarray, groups: int = 10, level: float = 0.95) -> pd.DataFrame:
    """Promised against what happened in groups of equal size by promise: promised, share, low, high (Wilson's interval), customers."""
    rows = []
    for part in groups_of(predicted, buys, groups):
        ends = inference.share(int(buys[part].sum()), len(part), level)
        rows.append((predicted[part].mean(), ends["estimate"], ends["low"], ends["high"], len(part)))
    return pd.DataFrame(rows, columns=["promised", "share", "low", "high", "customers"])


def suggestion_level(predicted: np.ndarray, buys: np.ndarray, who: np.ndarray, level: float = 0.95) -> pd.DataFrame:
    """Rows promised, bought, less (bought less promised), with mean, low, high: a Student interval over customers.

    A customer's rows (`who` [row] numbers) stay together, since who is promised several products buys several. What is common to all
    customers of a window, such as the season, is not in the interval. With one customer low and high are missing.
    """
    number = np.unique(who, return_inverse=True)[1]
    customers = number.max(initial=-1) + 1
    rows = []
    for name, value in (("promised", predicted), ("bought", buys.astype(float)), ("less", buys - predicted)):
        mean = value.mean()
        se = inference.cluster_error(value - mean, number, customers) / len(value) if customers > 1 else np.nan
        ends = inference.interval(mean, se, level, max(customers - 1, 1))
        rows.append((name, mean, ends["low"], ends["high"]))
    return pd.DataFrame(rows, columns=["name", "mean", "low", "high"]).set_index("name")


def groups_of(predicted: np.ndarray, buys: np.ndarray, groups: int = 10) -> list[np.ndarray]:
    """Row numbers in at most `groups` groups by promise, few enough for ten purchases a group; none of them is empty."""
    number = min(groups, max(int(buys.sum()) // 10, 1))
    return [part for part in np.array_split(np.argsort(predicted, kind="stable"), number) if len(part)]


def suggestion_list(
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


def write_suggestions(rows: pd.DataFrame, path: Path) -> pd.DataFrame:
    """Write the list, the likeliest first, whole or not at all, as UTF-8; returns it as it was written.

    Raises ValueError for other columns than COLUMNS, for a probability outside 0..1, and for a customer with one suggestion twice.
    """
    if tuple(rows.columns) != LIST_COLUMNS:
        raise ValueError(f"columns are {list(rows.columns)}: must be {list(LIST_COLUMNS)}")
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
    write_sheet(rows, path, LIST_COLUMNS[:3])
    return rows


def read_suggestions(path: Path) -> pd.DataFrame:
    """The list as it was written: text as text, also where it looks like a number or says NA."""
    return read_sheet(path, LIST_COLUMNS[:3])
