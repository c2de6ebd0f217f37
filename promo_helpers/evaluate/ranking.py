"""How good is a ranking? Precision, recall, NDCG and hit rate at k, AUC, and intervals over dates.

A ranking is a matrix [group, candidate] of scores beside one of what was relevant. With products as groups it ranks customers (whom
to send an offer to); with customers as groups it ranks products (what to offer). The two have different answers and different levels.
"""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats
from sklearn.metrics import average_precision_score, precision_recall_curve, roc_auc_score

from promo_helpers import draws as keyed
from promo_helpers import inference
from promo_helpers.draws import rounded

METRICS = ("precision", "recall", "ndcg", "hit")


def at_k(
    scores: np.ndarray,
    relevant: np.ndarray,
    ks: Sequence[int],
    seed: int,
    ids: Any = None,
    allowed: np.ndarray | None = None,
    occasion: str = "",
) -> pd.DataFrame:
    """Tidy: group (row number), k, precision, recall, ndcg, hit, for groups with something relevant.

    `scores` and `relevant` (bool) are [group, candidate]; `allowed` (bool) leaves candidates out, relevant or not. Ties are broken at
    random, the same way for all groups, by numbers keyed by `seed`, `occasion` and the candidate's id (`ids` [candidate]; without them
    its column number): a score that is the same for all is a random ranking. Scores that agree in 9 digits are ties, since further
    digits differ between processors. Precision is hits / k also where fewer than k candidates exist; recall is hits / relevant. NDCG
    has gains of 0 and 1 and discounts 1 / log2(rank + 1) (Jarvelin and Kekalainen 2002), against
    the best that k places allow. Raises ValueError for k < 1, shapes that differ, and scores that are not finite.
    """
    scores, relevant = np.asarray(scores, float), np.asarray(relevant, bool)
    if scores.shape != relevant.shape:
        raise ValueError(f"scores are {scores.shape}, relevant is {relevant.shape}: they must be of one shape")
    if min(ks) < 1:
        raise ValueError(f"k = {min(ks)}: at least one place is needed")
    if not np.isfinite(scores).all():
        raise ValueError(f"{(~np.isfinite(scores)).sum()} scores are not finite: a ranking needs a number for each candidate")
    if allowed is not None:
        scores, relevant = np.where(allowed, scores, -np.inf), relevant & allowed
    groups = np.flatnonzero(relevant.any(axis=1))
    scores, relevant = scores[groups], relevant[groups]
    deepest = min(max(ks), scores.shape[1])
    shuffle = keyed.order(seed, f"ties {occasion}", np.arange(scores.shape[1]) if ids is None else ids)
    scores, relevant = scores[:, shuffle], relevant[:, shuffle]
    order = np.argsort(-rounded(scores), axis=1, kind="stable")[:, :deepest]
    found = np.take_along_axis(relevant, order, axis=1)
    total = relevant.sum(axis=1)
    discount = 1 / np.log2(np.arange(max(ks)) + 2)
    rows = []
    for k in ks:
        hits = found[:, :k].sum(axis=1)
        best = np.cumsum(discount)[np.minimum(total, k) - 1]
        ndcg = found[:, :k] @ discount[: min(k, deepest)] / best
        rows.append(
            pd.DataFrame(
                {
                    "group": groups,
                    "k": k,
                    "precision": hits / k,
                    "recall": hits / total,
                    "ndcg": ndcg,
                    "hit": (hits > 0).astype(float),
                }
            )
        )
    return pd.concat(rows, ignore_index=True)


def auc_by_group(scores: np.ndarray, relevant: np.ndarray) -> np.ndarray:
    """[group] ROC AUC within each row (the chance that something relevant outranks something that is not), NaN without either."""
    relevant = np.asarray(relevant, bool)
    ranks = stats.rankdata(scores, axis=1)
    positive = relevant.sum(axis=1)
    negative = relevant.shape[1] - positive
    with np.errstate(divide="ignore", invalid="ignore"):
        return ((ranks * relevant).sum(axis=1) - positive * (positive + 1) / 2) / np.where(
            (positive > 0) & (negative > 0), positive * negative, np.nan
        )


def over_dates(values: pd.DataFrame, by: Sequence[str], value: str = "value", level: float = 0.95) -> pd.DataFrame:
    """Mean of one value per date, with a Student interval over the dates: the columns `by`, then mean, low, high, dates.

    Windows do not overlap, so the dates are nearly independent. The interval is for these customers and this model at other dates: that
    other customers or another market would have been drawn is not in it (see `studies`). With one date low and high are missing.
    """
    grouped = values.groupby(list(by), sort=False)[value]
    out = grouped.agg(["mean", "std", "count"]).rename(columns={"count": "dates"})
    ends = inference.interval(out["mean"], out["std"] / np.sqrt(out["dates"]), level, np.maximum(out["dates"] - 1, 1))
    out = out.assign(low=ends["low"], high=ends["high"])
    return out[["mean", "low", "high", "dates"]].reset_index()


def paired_differences(
    values: pd.DataFrame, best: str, by: Sequence[str], method: str = "method", value: str = "value"
) -> pd.DataFrame:
    """Differences to one method on the same dates, with intervals: paired, so that what a date does to all methods falls out."""
    keys = [*by, "date"]
    reference = values[values[method] == best].set_index(keys)[value]
    others = values[values[method] != best]
    gap = others[value].to_numpy() - reference.reindex(pd.MultiIndex.from_frame(others[keys])).to_numpy()
    return over_dates(others.assign(**{value: gap}), [*by, method], value)


def per_date(
    scores: Mapping[str, np.ndarray], relevant: np.ndarray, ks: Sequence[int], seed: int, ids: Any = None, date: object = ""
) -> pd.DataFrame:
    """Tidy means over groups for each method of one date: method, metric ("precision@10", ..., "auc"), value.

    `ids` are the candidates'. Each method and date breaks ties in its own way, so that dates stay independent.
    """

    def one(name: str, score: np.ndarray) -> list[tuple[str, str, float]]:
        table = at_k(score, relevant, ks, seed, ids, occasion=f"{name} {date}").groupby("k")[list(METRICS)].mean()
        rows = [(name, f"{metric}@{k}", float(table.loc[k, metric])) for k in ks for metric in METRICS]
        return [*rows, (name, "auc", float(np.nanmean(auc_by_group(score, relevant))))]

    with ThreadPoolExecutor(2) as pool:  # sorting releases the lock
        parts = pool.map(one, scores, scores.values())
        return pd.DataFrame([row for part in parts for row in part], columns=["method", "metric", "value"])


def pooled(chances: Mapping[str, np.ndarray], bought: np.ndarray) -> pd.DataFrame:
    """Tidy, over all pairs of one date: ROC AUC, average precision and Brier score of each method that gives probabilities."""
    y = bought.ravel()
    rows = []
    for name, p in chances.items():
        flat = p.ravel()
        rows += [(name, "auc", roc_auc_score(y, flat)), (name, "average precision", average_precision_score(y, flat))]
        rows.append((name, "Brier", float(np.mean((flat - y) ** 2))))
    return pd.DataFrame(rows, columns=["method", "metric", "value"])


def share_of(
    values: pd.DataFrame, best: str, by: Sequence[str], floor: str | None = None, unit: str = "date", level: float = 0.95
) -> pd.DataFrame:
    """Each method's mean as a share of that of `best`: the columns `by`, method, share, low, high.

    A ratio of means over dates (or another `unit`, such as seeds), with a jackknife interval over them. With a `floor`, the share of
    the way from that method to the best.
    """
    wide = values.pivot_table(index=unit, columns=[*by, "method"], values="value")
    rows = []
    for key in wide:
        least = wide[(*key[:-1], floor)].to_numpy() if floor else 0.0
        mine, theirs = wide[key].to_numpy() - least, wide[(*key[:-1], best)].to_numpy() - least
        share = inference.ratio_of_means(mine, theirs, level)
        ends = (share["low"], share["high"]) if key[-1] != floor else (np.nan, np.nan)
        rows.append((*key, share["estimate"], *ends))
    return pd.DataFrame(rows, columns=[*by, "method", "share", "low", "high"])


def calibration_curve(chance: np.ndarray, bought: np.ndarray, date: np.ndarray, bins: int = 10) -> pd.DataFrame:
    """Predicted against observed share in `bins` of equal expected purchases: predicted, observed, low, high (over dates), pairs.

    Bins of equal numbers would put nearly all of them below one per cent, where most pairs are and hardly any purchase.
    """
    order = np.argsort(chance, kind="stable")
    mass = np.cumsum(chance[order])
    cell = np.empty(len(chance), int)
    cell[order] = np.minimum((mass / mass[-1] * bins).astype(int), bins - 1)
    frame = pd.DataFrame({"cell": cell, "date": date, "predicted": chance, "observed": bought.astype(float)})
    means = frame.groupby(["cell", "date"])[["predicted", "observed"]].mean().reset_index()
    curve = over_dates(means, ["cell"], "observed").rename(columns={"mean": "observed"})
    curve["predicted"] = means.groupby("cell")["predicted"].mean().to_numpy()
    return curve.assign(pairs=frame["cell"].value_counts().sort_index().to_numpy())[
        ["predicted", "observed", "low", "high", "pairs"]
    ]


def precision_recall(chances: Mapping[str, np.ndarray], bought: np.ndarray, points: int = 200) -> pd.DataFrame:
    """Tidy: method, recall, precision, pooled over the given pairs: the highest precision at that recall or more, at `points` recalls."""
    at = np.linspace(0.005, 1, points)
    parts = []
    for name, chance in chances.items():
        precision, recall, _ = precision_recall_curve(bought.ravel(), chance.ravel())  # recall falls from 1
        last = len(recall) - np.searchsorted(recall[::-1], at - 1e-12) - 1
        parts.append(pd.DataFrame({"method": name, "recall": at, "precision": np.maximum.accumulate(precision)[last]}))
    return pd.concat(parts, ignore_index=True)


def precision_by_candidates(
    scores: np.ndarray, relevant: np.ndarray, k: int, shares: Sequence[float], seed: int, ids: Any = None, date: object = ""
) -> pd.DataFrame:
    """Precision at k when only a share of the candidates is there to be ranked: share, buyers, value, ceiling.

    Means over all groups, those included in which nothing is relevant. buyers: relevant candidates of a group. ceiling: precision if all
    that are relevant were found first. `ids` are the candidates' (without them their column numbers); a smaller crowd is part of a
    larger one of the same date.
    """
    ids, rows = np.arange(scores.shape[1]) if ids is None else np.asarray(ids), []
    for share in shares:
        here = keyed.sample(seed, f"thinned crowd {date}", ids, size=max(int(share * scores.shape[1]), 1))
        found = relevant[:, here].sum(axis=1)
        hits = at_k(scores[:, here], relevant[:, here], [k], seed, ids[here], occasion=str(date))["precision"].sum()
        precision = hits / len(scores)  # none relevant: none found
        rows.append((share, found.mean(), precision, np.minimum(found, k).mean() / k))
    return pd.DataFrame(rows, columns=["share", "buyers", "value", "ceiling"])


def compare_with_saved(
    scores: Mapping[str, np.ndarray], bought: np.ndarray, seed: int, customer: Any, item: Any, k: int = 10, draws: int = 1000
) -> dict[str, Any]:
    """Is the score called "new" better than the one called "saved"? NDCG at k over customers of one window: mean, low, high, sentence.

    `customer` and `item` are the ids of rows and columns. The 95 % interval is a bootstrap over customers, whose two rankings stay
    together.
    """
    each = {name: at_k(s, bought, [k], seed, item) for name, s in scores.items()}
    gap = each["new"]["ndcg"].to_numpy() - each["saved"]["ndcg"].to_numpy()
    weight = keyed.bootstrap(seed, "newer model", np.asarray(customer)[each["new"]["group"]], n=draws)
    drawn = weight @ gap / weight.sum(axis=1)
    low, high = inference.percentiles(drawn)
    verdict = (
        "is better: keep it" if low > 0 else "is worse: keep the saved one" if high < 0 else "cannot be told from the saved one"
    )
    sentence = f"The new model {verdict} (NDCG at {k} {gap.mean():+.4f}, {low:+.4f} to {high:+.4f}, {len(gap):,} customers)."
    return {"mean": float(gap.mean()), "low": float(low), "high": float(high), "sentence": sentence}
