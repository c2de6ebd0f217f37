"""What is bought: categories, discounts, and which categories share a basket."""

import itertools

import numpy as np
import pandas as pd
from narwhals import stable
from scipy import sparse

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
    """Lines sold at a discount by its depth: columns depth (lower edge of a step), lines, share (of all lines with a known discount)."""
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
    shop: Shop, rng: np.random.Generator, *, categories: int = 30, draws: int = 500, level: float = 0.95
) -> pd.DataFrame:
    """Lift of each pair among the categories in most baskets: P(a and b) / (P(a) P(b)), largest first.

    Columns a, b, baskets (with both), support, lift, low, high. The intervals hold for all pairs at once: the largest |z| of the
    log lift over the pairs, over bootstrap draws of customers (their baskets stay together), gives one critical value.
    """
    lines = shop.lazy("transactions").join(shop.lazy("products").select("product_id", "category"), on="product_id")
    seen = (
        lines.filter(~nw.col("category").is_null(), nw.col("units") > 0)
        .select("customer_id", "basket_id", "category")
        .unique()
        .collect("pandas")
        .to_native()
    )
    top = seen["category"].value_counts().sort_index().sort_values(ascending=False, kind="stable").index[:categories]
    if len(top) < 2:
        raise ValueError(f"{len(top)} category in all: two are the least that can share a basket")
    customer, _ = pd.factorize(seen["customer_id"], sort=True)
    basket, names = pd.factorize(seen["basket_id"], sort=True)
    column = top.get_indexer(seen["category"])
    owner = np.zeros(len(names), dtype=np.int64)
    owner[basket] = customer
    kept = column >= 0
    has = sparse.csr_matrix((np.ones(kept.sum()), (basket[kept], column[kept])), shape=(len(names), len(top)))
    belongs = sparse.csr_matrix((np.ones(len(names)), (owner, np.arange(len(names)))))
    first, second = (np.array(i) for i in zip(*itertools.combinations(range(len(top)), 2), strict=True))
    both = has[:, first].multiply(has[:, second])
    counts = np.hstack([np.asarray(belongs.sum(1)), (belongs @ has).toarray(), (belongs @ both).toarray()])  # by customer

    def log_lift(totals: np.ndarray) -> np.ndarray:
        """Log lift of every pair from totals (..., 1 + categories + pairs)."""
        n, single, pair = totals[..., :1], totals[..., 1 : 1 + len(top)], totals[..., 1 + len(top) :]
        with np.errstate(divide="ignore"):
            return np.log(pair) + np.log(n) - np.log(single[..., first]) - np.log(single[..., second])

    value = log_lift(counts.sum(0))
    weights = rng.multinomial(len(counts), np.full(len(counts), 1 / len(counts)), size=draws)
    drawn = log_lift(weights @ counts)
    spread = np.where(np.isfinite(drawn), drawn, np.nan).std(axis=0, where=np.isfinite(drawn))
    with np.errstate(invalid="ignore", divide="ignore"):
        z = np.abs(drawn - value) / spread
    critical = np.quantile(np.where(np.isfinite(z), z, 0).max(axis=1), level)
    table = pd.DataFrame(
        {
            "a": top[first],
            "b": top[second],
            "baskets": counts.sum(0)[1 + len(top) :].astype(int),
            "support": counts.sum(0)[1 + len(top) :] / len(names),
            "lift": np.exp(value),
            "low": np.exp(value - critical * spread),
            "high": np.exp(value + critical * spread),
        }
    )
    return table[table["baskets"] > 0].sort_values(["lift", "a", "b"], ascending=[False, True, True], ignore_index=True)
