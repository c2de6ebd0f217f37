"""Which items of different categories go together in a basket, beyond what customers' habits and the size of baskets explain?

    lift        P(a and b in a basket) / (P(a) P(b))                                    (Brin et al. 1997)
    affinity    baskets with both / as many as would be expected if each customer's items fell into her baskets independently

Lift is above one for nearly every pair: large baskets hold a bit of everything, and who likes one thing likes another. So the expected
number of baskets with both is taken from *different* baskets of the same customer and season: of her baskets t and t', how often does a
lie in t and b in t'? That number is scaled, per customer and season, so that all pairs of items together meet as often as they do; then
baskets of very different sizes explain by that why everything meets. Few baskets of a customer do no harm, since no basket meets itself.
Last, an item that meets *everything* more or less than that (bread is in every large basket once, and not in proportion to its size) is
no bundle: the affinity is relative to what both items have with all others.
"""

import numpy as np
import pandas as pd
from scipy import sparse, stats

from promo_helpers.features.purchases import Purchases

COLUMNS = ["a", "b", "baskets", "expected", "support", "lift", "lift_low", "affinity", "low", "high"]
GROUPS = 100  # of customers: the spread of the affinity between them
SEASON = 91  # days within which her habits are taken for constant
PASSES = 10  # parts in which all pairs are counted at first, to bound memory
EVEN = 20  # groups that the expected baskets must come from, in effect (Kish): of what few customers do, no spread is known
PARTNERS = 10  # pairs of an item from which its usual affinity is told
ROUNDS = 60  # halving each time: far beyond the digits that are shown


def pairs(
    purchases: Purchases,
    category: np.ndarray,
    rng: np.random.Generator,
    *,
    within: bool = True,
    level: float = 0.95,
    least: float = 20.0,
) -> pd.DataFrame:
    """All pairs of items of different categories with at least `least` expected baskets by many, the highest affinity first.

    `category` [item] of text; items without one (missing) are in no pair. Columns a, b (numbers of items, a < b), baskets (with both),
    expected, support (share of all baskets), lift, lift_low (of an interval that takes baskets for independent), affinity, low, high.
    With `within` false "her" other baskets are those of a hundredth of all customers: the expected number then adjusts for the size
    of baskets, and not for habits.
    low and high are of the affinity and hold for all pairs at once: its logarithm with the spread over GROUPS groups of whole customers
    and Student's quantile at (1 - level) / pairs (Bonferroni). A pair is *found* where low > 1: with the level .95 not one false pair in
    95 of 100 shops. Raises ValueError without two categories.
    """
    known = pd.notna(category)
    if len(pd.unique(category[known])) < 2:
        raise ValueError(f"{len(pd.unique(category[known]))} category in all: a bundle across categories needs two")
    a, b = np.nonzero(np.triu(category[:, None] != category[None, :], 1) & known[:, None] & known[None, :])
    has, owner, day = _baskets(purchases)
    group = (rng.permutation(len(purchases.customers)) % GROUPS)[owner]
    stratum = owner.astype(np.int64) * (purchases.days // SEASON + 1) + day // SEASON if within else group
    whole = np.zeros((len(category), len(category)))
    for number in range(PASSES):  # first which pairs have baskets enough, then only those, group by group
        rows = np.flatnonzero(group % PASSES == number)
        whole += counted(has[rows], stratum[rows])[1]
    a, b = a[whole[a, b] >= least], b[whole[a, b] >= least]
    sums = np.zeros((5, len(a)))  # met, expected, and of each group: met^2, met x expected, expected^2
    for number in range(GROUPS):
        rows = np.flatnonzero(group == number)
        met, expected = (of[a, b] for of in counted(has[rows], stratum[rows]))
        sums += np.stack([met, expected, met**2, met * expected, expected**2])
    spread_out = sums[1] ** 2 >= EVEN * sums[4]
    a, b, (baskets, expected, squares, products, expectations) = a[spread_out], b[spread_out], sums[:, spread_out]
    ratio = baskets / expected
    spread = np.sqrt(GROUPS / (GROUPS - 1) * (squares - 2 * ratio * products + ratio**2 * expectations)) / np.maximum(baskets, 1)
    critical = stats.t.ppf(1 - (1 - level) / 2 / max(len(a), 1), GROUPS - 1)
    alone, number = np.asarray(has.sum(axis=0)).ravel(), has.shape[0]
    lift = baskets * number / (alone[a] * alone[b])
    plain = np.sqrt(1 / np.maximum(baskets, 1) - 1 / alone[a] - 1 / alone[b] + 1 / number)  # as if baskets were independent
    with np.errstate(divide="ignore"):
        logarithm = np.log(ratio)
    usual = _usual(a, b, logarithm, spread, len(category))
    logarithm = logarithm - usual[a] - usual[b]
    table = pd.DataFrame(
        {
            "a": a,
            "b": b,
            "baskets": baskets.astype(int),
            "expected": expected * np.exp(usual[a] + usual[b]),
            "support": baskets / number,
            "lift": lift,
            "lift_low": lift * np.exp(-critical * plain),
            "affinity": np.exp(logarithm),
            "low": np.exp(logarithm - critical * spread),
            "high": np.exp(logarithm + critical * spread),
        }
    )
    return table.sort_values(["affinity", "a", "b"], ascending=[False, True, True], ignore_index=True)


def _usual(a: np.ndarray, b: np.ndarray, logarithm: np.ndarray, spread: np.ndarray, items: int) -> np.ndarray:
    """[item] what each item adds to the logarithm in all of its pairs: weighted least squares of it on the two items, by turns.

    Zero for an item with fewer than PARTNERS pairs, which says too little about the usual.
    """
    weight = np.where(np.isfinite(logarithm) & (spread > 0), 1 / np.maximum(spread, 1e-9) ** 2, 0)
    value = np.where(weight > 0, logarithm, 0)
    grid, known = (sparse.coo_matrix((w, (a, b)), shape=(items, items)).tocsr() for w in (weight, weight * value))
    grid, known = grid + grid.T, np.asarray((known + known.T).sum(axis=1)).ravel()
    total = np.asarray(grid.sum(axis=1)).ravel()
    counted = np.bincount(a[weight > 0], minlength=items) + np.bincount(b[weight > 0], minlength=items)
    usual = np.zeros(items)
    for _ in range(ROUNDS):
        step = np.where(counted >= PARTNERS, (known - grid @ usual) / np.maximum(total, 1e-9), 0)
        usual = (usual + step) / 2  # half-way, since both sides of a pair move at once
    return usual


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


def _baskets(purchases: Purchases) -> tuple[sparse.csr_matrix, np.ndarray, np.ndarray]:
    """[basket, item] of 0 and 1, and [basket] the number of its customer, and its day."""
    number = int(purchases.basket.max(initial=-1)) + 1
    shape = (number, len(purchases.items))
    has = sparse.csr_matrix((np.ones(len(purchases.what)), (purchases.basket, purchases.what)), shape=shape)
    owner, day = np.zeros(number, np.int64), np.zeros(number, np.int64)
    owner[purchases.basket], day[purchases.basket] = purchases.who, purchases.day
    return has, owner, day


def as_found(table: pd.DataFrame, planted: set[tuple[int, int]], bound: str = "low") -> dict[str, float]:
    """Found pairs (`bound` > 1) against planted ones (numbers a < b): found, right, precision, recall."""
    found = {(int(a), int(b)) for a, b in table.loc[table[bound] > 1, ["a", "b"]].to_numpy()}
    right = len(found & planted)
    return {
        "found": float(len(found)),
        "right": float(right),
        "precision": right / len(found) if found else float("nan"),
        "recall": right / len(planted) if planted else float("nan"),
    }
