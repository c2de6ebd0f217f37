"""What is bought: categories, discounts, and which categories share a basket."""

import itertools

import numpy as np
import pandas as pd
from narwhals import stable
from scipy import sparse

from promo_helpers import draws as keyed
from promo_helpers.shop import Shop

nw = stable.v2


def category_sales(shop: Shop, by: str = "category") -> pd.DataFrame:
    """One row per category (or department), largest first: sales, share of sales, share of customers who bought, discount share.

    `discount` is what was taken off the list price, as a share of it. Lines of products without a category count in the totals.
    """
    lines = shop.lazy("transactions").join(shop.lazy("products").select("product_id", by), on="product_id", how="left")
    frame = (
        lines.group_by(by)
        .agg(
            nw.col("paid_cents").sum().cast(nw.Int64),
            nw.col("list_cents").sum().cast(nw.Int64),
            nw.col("customer_id").n_unique().alias("customers"),
        )
        .collect("pandas")
        .to_native()
    )
    customers = lines.select(nw.col("customer_id").n_unique()).collect("pandas").to_native().iloc[0, 0]
    frame = frame.assign(
        sales=frame["paid_cents"] / 100,
        share=frame["paid_cents"] / frame["paid_cents"].sum(),
        reach=frame["customers"] / customers,
        discount=1 - frame["paid_cents"] / frame["list_cents"],
    )
    named = frame[frame[by].notna()].sort_values(["sales", by], ascending=[False, True], ignore_index=True)
    return named[[by, "sales", "share", "reach", "discount"]]


def discount_depths(shop: Shop, step: float = 0.05) -> pd.DataFrame:
    """Lines sold at a discount by its depth: columns depth (lower edge of a step), lines, share (of all lines with a known discount).

    No rows where the shop knows no discounts.
    """
    if not shop.has("transactions", "discount"):
        return pd.DataFrame({"depth": [], "lines": [], "share": []})
    known = shop.lazy("transactions").filter(~nw.col("discount").is_null())
    counts = (
        known.select(step=((nw.col("discount") + 1e-9) / step).floor().cast(nw.Int64), any=nw.col("discount") > 0)
        .group_by("step", "any")
        .agg(nw.len().alias("lines"))
        .collect("pandas")
        .to_native()
    )
    total = counts["lines"].sum()
    counts = counts[counts["any"]].groupby("step")["lines"].sum().sort_index()
    return pd.DataFrame({"depth": counts.index * step, "lines": counts.to_numpy(), "share": counts.to_numpy() / total})


def pair_lift(
    shop: Shop, seed: int, *, categories: int = 30, draws: int = 500, level: float = 0.95, least: int = 10
) -> pd.DataFrame:
    """Which of the categories in most baskets share a basket more often than the size of baskets explains; most of all first.

    Columns a, b, baskets (with both), support, lift, adjusted, low, high. `lift` is P(a and b) / (P(a) P(b)) (Brin et al. 1997).
    Large baskets hold a bit of everything, so that nearly all lifts exceed 1; `adjusted` compares with what would be expected
    within baskets of the same number k of these categories C: the sum over k of n_a n_b / n, times the factor
    (k - 1) C / (k (C - 1)) by which k different categories meet less often than k independent ones (exact for equal shares).
    low and high are of `adjusted` and hold for all pairs at once: the largest |z| of its logarithm over the pairs, over bootstrap
    draws of customers (whose baskets stay together), gives one critical value. Pairs that fewer than
    `least` customers bought together are left out, since they would vanish from many a draw, where they count as beyond.
    """
    seen = _categories_of_baskets(shop)
    top = seen["category"].value_counts().sort_index().sort_values(ascending=False, kind="stable").index[:categories]
    if len(top) < 2:
        raise ValueError(f"{len(top)} category in all: two are the least that can share a basket")
    customer, people = pd.factorize(seen["customer_id"], sort=True)
    basket, names = pd.factorize(seen["basket_id"], sort=True)
    column = top.get_indexer(seen["category"])
    owner = np.zeros(len(names), dtype=np.int64)
    owner[basket] = customer
    kept = column >= 0
    has = sparse.csr_matrix((np.ones(kept.sum()), (basket[kept], column[kept])), shape=(len(names), len(top)))
    size = np.asarray(has.sum(1)).ravel().astype(int)
    belongs = sparse.csr_matrix((np.ones(len(names)), (owner, np.arange(len(names)))))
    first, second = (np.array(i) for i in zip(*itertools.combinations(range(len(top)), 2), strict=True))
    both = (belongs @ has[:, first].multiply(has[:, second])).toarray()  # [customer, pair]
    sizes = [k for k in range(2, len(top) + 1) if (size == k).any()]
    alone = [(belongs @ has.multiply((size == k)[:, None])).toarray() for k in sizes]  # per size: [customer, category]
    number = [np.asarray(belongs @ (size == k).astype(float)) for k in sizes]  # per size: [customer]

    def adjusted(weights: np.ndarray) -> np.ndarray:
        """Log of the adjusted lift of every pair, customers weighted: [draw, customer] -> [draw, pair]."""
        expected = np.zeros((len(weights), len(first)))
        for k, single, n in zip(sizes, alone, number, strict=True):
            share, baskets = weights @ single, (weights @ n)[:, None]
            meet = (k - 1) * len(top) / (k * (len(top) - 1))
            expected += meet * share[:, first] * share[:, second] / np.maximum(baskets, 1)
        with np.errstate(divide="ignore"):
            return np.asarray(np.log(weights @ both) - np.log(expected))

    counts = both.sum(0)
    met = (both > 0).sum(0) >= least  # of a pair that hardly anyone buys nothing can be said
    value = adjusted(np.ones((1, both.shape[0])))[0, met]
    drawn = adjusted(keyed.bootstrap(seed, "pairs of categories", people, n=draws))[:, met]
    finite = np.isfinite(drawn)
    spread = np.where(finite, drawn, 0).std(axis=0, where=finite)
    z = np.where(finite, np.abs(drawn - value) / np.maximum(spread, 1e-12), np.inf)
    critical = np.quantile(z.max(axis=1, initial=0.0), level, method="higher")
    total = np.asarray(has.sum(0)).ravel()
    table = pd.DataFrame(
        {
            "a": top[first[met]],
            "b": top[second[met]],
            "baskets": counts[met].astype(int),
            "support": counts[met] / len(names),
            "lift": counts[met] * len(names) / (total[first[met]] * total[second[met]]),
            "adjusted": np.exp(value),
            "low": np.exp(value - critical * spread),
            "high": np.exp(value + critical * spread),
        }
    )
    return table.sort_values(["adjusted", "a", "b"], ascending=[False, True, True], ignore_index=True)


def _categories_of_baskets(shop: Shop) -> pd.DataFrame:
    """Columns customer_id, basket_id, category: what was bought (not returned), each category once a basket."""
    lines = shop.lazy("transactions").join(shop.lazy("products").select("product_id", "category"), on="product_id")
    bought = lines.filter(~nw.col("category").is_null(), nw.col("units") > 0).select("customer_id", "basket_id", "category")
    return bought.unique().collect("pandas").to_native()
