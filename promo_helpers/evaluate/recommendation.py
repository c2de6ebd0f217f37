"""How good are lists of recommendations for the next window? Repeats and new items apart, on several dates.

The protocol: a method learns from before a date; what it is judged by is bought in the `days` from that date on. Lists of what a
customer bought before are judged by her repeats, lists of what she never bought by her new items, lists of all by everything, and
by her very next basket.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse

from promo_helpers.evaluate import ranking
from promo_helpers.features.purchases import Purchases

SCOPES = ("repeat", "new", "all", "basket")
METRICS = ("recall", "ndcg", "hit")


def top_items(scores: np.ndarray, k: int, allowed: np.ndarray | None = None) -> np.ndarray:
    """[row, k] numbers of the best candidates, best first, -1 where fewer than k are allowed. Raises ValueError for k < 1."""
    if k < 1:
        raise ValueError(f"k = {k}: at least one place is needed")
    scores = np.asarray(scores, np.float64)
    if not np.isfinite(scores).all():
        raise ValueError(f"{(~np.isfinite(scores)).sum()} scores are not finite: a ranking needs a number for each candidate")
    value = scores if allowed is None else np.where(allowed, scores, -np.inf)
    few = min(k, value.shape[1])
    best = np.argpartition(-value, few - 1, axis=1)[:, :few] if few < value.shape[1] else np.tile(np.arange(few), (len(value), 1))
    best = np.sort(best, axis=1)  # equal scores in one order, whatever the partition did
    found = np.take_along_axis(value, best, axis=1)
    order = np.argsort(-found, axis=1, kind="stable")
    best, found = np.take_along_axis(best, order, axis=1), np.take_along_axis(found, order, axis=1)
    out = np.full((len(value), k), -1)
    out[:, :few] = np.where(np.isfinite(found), best, -1)
    return out


def list_scores(
    scores: np.ndarray,
    relevant: np.ndarray,
    k: int,
    seed: int,
    ids: Any = None,
    allowed: np.ndarray | None = None,
    occasion: str = "",
) -> dict[str, float]:
    """Means over the rows with something relevant: recall, ndcg, hit (of `ranking.at_k`), and coverage, of lists of k places.

    `scores`, `relevant` (bool) and `allowed` (bool) are [row, candidate]; `seed`, `ids` and `occasion` break ties there. Coverage is the
    share of all candidates that are on at least one of those rows' lists, so it grows with their number. NaN
    where no row has anything relevant.
    """
    allowed = np.ones(relevant.shape, bool) if allowed is None else allowed
    rows = (relevant & allowed).any(axis=1)
    if not rows.any():
        return dict.fromkeys((*METRICS, "coverage", "customers"), float("nan")) | {"customers": 0.0}
    scores, relevant, allowed = scores[rows], relevant[rows], allowed[rows]
    found = ranking.at_k(scores, relevant, [k], seed, ids, allowed, occasion)
    lists = top_items(scores, k, allowed)
    covered = len(np.unique(lists[lists >= 0])) / relevant.shape[1]
    return {m: float(found[m].mean()) for m in METRICS} | {"coverage": covered, "customers": float(len(found))}


def next_baskets(purchases: Purchases, who: np.ndarray, first: int, stop: int) -> np.ndarray:
    """[customer of `who`, item] bool: the first basket of each customer in the days first .. stop - 1."""
    rows = purchases.between(first, stop)  # ordered by customer, then by time
    begins = np.append(True, np.diff(purchases.who[rows]) != 0)[: len(rows)]
    earliest = purchases.basket[rows][begins][np.cumsum(begins) - 1] if len(rows) else rows
    rows = rows[purchases.basket[rows] == earliest]
    shape = (len(purchases.customers), len(purchases.items))
    has = sparse.csr_matrix((np.ones(len(rows), bool), (purchases.who[rows], purchases.what[rows])), shape=shape)
    return np.asarray(has[who].toarray())


def calendar(days: int, dates: int, window: int = 14, past: int = 28) -> tuple[int, list[int]]:
    """The day on which settings are chosen, and the test days: windows one after the other up to the end of `days`.

    Between the window of the choice and the first test day lies an embargo of one window. A short history gives fewer test days than
    `dates`; at least `past` days lie before the first day. Raises ValueError where there is room for none.
    """
    room = (days - past - 2 * window) // window
    if room < 1:
        raise ValueError(f"the shop has {days} days: at least {past + 3 * window} are needed to choose, wait and test")
    tests = [days - window * i for i in range(min(dates, room), 0, -1)]
    return tests[0] - 2 * window, tests


SHOWN = {"recall": "recall", "ndcg": "NDCG", "hit": "hit", "coverage": "coverage"}


def wide(summary: pd.DataFrame, shown: Sequence[tuple[str, str]]) -> pd.DataFrame:
    """One row a method, as a reader compares them: means of the `shown` (scope, metric), such as "new NDCG".

    What could not be judged is missing: where everybody has bought everything, nothing is new to anybody.
    """
    table = summary.pivot(index="method", columns=["scope", "metric"], values="mean").reindex(summary["method"].unique())
    table = table.reindex(columns=pd.MultiIndex.from_tuples(shown))
    return table.set_axis([f"{s} {SHOWN.get(m, m)}" for s, m in shown], axis=1).rename_axis("method").reset_index()


def bounded(row: pd.Series) -> tuple[float, tuple[float, float] | None]:
    """Mean and interval (none for one date) of a row of `ranking.over_dates`."""
    names = [n for n in ("mean", "share") if n in row][:1] + ["low", "high"]
    value, low, high = (float(row[n]) for n in names)
    return value, (low, high) if np.isfinite([low, high]).all() else None


def purchases_by(purchases: Purchases, who: np.ndarray) -> Purchases:
    """The purchases of some customers, who are numbered anew in the order of `who`; the items stay."""
    number = np.full(len(purchases.customers), -1)
    number[who] = np.arange(len(who))
    rows = np.flatnonzero(number[purchases.who] >= 0)
    kept = {name: getattr(purchases, name)[rows] for name in ("what", "day", "hour", "units", "cents")}
    basket = np.unique(purchases.basket[rows], return_inverse=True)[1].astype(np.int32)
    owner = number[purchases.who[rows]].astype(np.int32)
    return replace(purchases, customers=purchases.customers[who], who=owner, basket=basket, **kept)
