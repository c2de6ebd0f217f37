"""Is a forecast of customers' value any good, and what does a ranking by it earn? Intervals are bootstraps over customers."""

from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd
from scipy import stats

from promo_helpers import draws as keyed
from promo_helpers import inference
from promo_helpers.draws import rounded

Weighted = Callable[[np.ndarray], float]  # of [customer] weights: how often each is there
EDGES = (0, 1, 2, 4, 8, 16, 32, 64, 128)  # repeats at which a group begins


def _groups(score: np.ndarray) -> tuple[np.ndarray, int]:
    """[customer] number of each score, 0 for the lowest, and how many there are."""
    values, group = np.unique(np.asarray(score, float), return_inverse=True)
    return group.ravel(), len(values)


def concentration(actual: np.ndarray, score: np.ndarray) -> Weighted:
    """Gini coefficient of `actual` with customers ordered by falling `score`: twice the area between the curve and the diagonal.

    Customers with one score count as their mean, in whatever order they come. What is returned takes [customer] weights.
    """
    group, n = _groups(-np.asarray(score, float))

    def of(weight: np.ndarray) -> float:
        people, value = (np.append(0, np.cumsum(np.bincount(group, v, n))) for v in (weight, weight * actual))
        return float(2 * np.trapezoid(value / value[-1], people / people[-1]) - 1)

    return of


def gini(actual: np.ndarray, score: np.ndarray) -> Weighted:
    """Normalised Gini coefficient: 1 for the order of `actual` itself, about 0 for a random one; it takes [customer] weights."""
    mine, best = concentration(actual, score), concentration(actual, actual)
    return lambda weight: mine(weight) / best(weight)


def weighted_auc(actual: np.ndarray, score: np.ndarray) -> Weighted:
    """Chance that of two customers the one with `actual` true has the higher score, equal scores counting half; it takes weights."""
    group, n = _groups(score)
    yes = np.asarray(actual, bool)

    def of(weight: np.ndarray) -> float:
        true, false = (np.bincount(group, weight * which, n) for which in (yes, ~yes))
        return float(true @ (np.cumsum(false) - false / 2) / (true.sum() * false.sum()))

    return of


def compare(
    statistic: Callable[[np.ndarray, np.ndarray], Weighted],
    actual: np.ndarray,
    scores: Mapping[str, np.ndarray],
    against: str,
    customer: np.ndarray,
    seed: int,
    draws: int = 200,
) -> pd.DataFrame:
    """One row a score: method, estimate, low, high, and gap, gap_low, gap_high to the score called `against` on the same customers.

    95 % percentile intervals of a bootstrap over customers, whose ids are `customer`. Raises ValueError for scores that are not finite,
    and where `actual` is the same for all.
    """
    actual = np.asarray(actual, float)
    if np.ptp(actual) == 0:
        raise ValueError(f"what happened is {actual[0]:g} for all {len(actual):,} customers: nothing to rank")
    for name, score in scores.items():
        if len(score) != len(actual) or not np.isfinite(score).all():
            raise ValueError(f"the score '{name}' must have a finite number for each of {len(actual):,} customers")
    each_of = {name: statistic(actual, score) for name, score in scores.items()}
    point = pd.Series({name: of(np.ones(len(actual))) for name, of in each_of.items()})
    drawn = [[of(weight) for of in each_of.values()] for weight in keyed.resamples(seed, "scores compared", customer, n=draws)]
    each = pd.DataFrame(drawn, columns=list(scores))
    gap = each.sub(each[against], axis=0)
    (low, high), (gap_low, gap_high) = (inference.percentiles(v, known=0) for v in (each, gap))
    table = {"method": list(scores), "estimate": point.to_numpy(), "low": low, "high": high}
    return pd.DataFrame(table | {"gap": (point - point[against]).to_numpy(), "gap_low": gap_low, "gap_high": gap_high})


def mean_by(group: np.ndarray, forecast: np.ndarray, actual: np.ndarray) -> pd.DataFrame:
    """Per group, in order: group, forecast and actual means, low, high of the actual's (normal, over customers), customers."""
    frame = pd.DataFrame({"group": group, "forecast": forecast, "actual": actual})
    out = frame.groupby("group").agg(
        forecast=("forecast", "mean"), actual=("actual", "mean"), sd=("actual", "std"), customers=("actual", "size")
    )
    ends = inference.interval(out["actual"], (out.pop("sd") / np.sqrt(out["customers"])).fillna(0.0))
    return out.assign(low=ends["low"], high=ends["high"]).reset_index()


def by_repeats(repeats: np.ndarray, forecast: np.ndarray, actual: np.ndarray) -> pd.DataFrame:
    """`mean_by` over groups of repeats that double in width; `group` is text, such as 3 to 4... in the order of their number."""
    edges = np.array(EDGES)
    number = np.searchsorted(edges, repeats, side="right") - 1
    out = mean_by(number, forecast, actual)
    ends = [*(edges[1:] - 1), None]
    names = [
        f"{edges[k]}+" if ends[k] is None else f"{edges[k]}\N{EN DASH}{ends[k]}" if ends[k] > edges[k] else str(edges[k])
        for k in out["group"]
    ]
    return out.assign(group=names)


def deciles(
    actual: np.ndarray, scores: Mapping[str, np.ndarray], customer: np.ndarray, seed: int, parts: int = 10
) -> pd.DataFrame:
    """Tidy: method, part (1 for the highest scores), share of all of `actual` in it, low, high (normal, over customers).

    Equal scores are ordered at random, by customer (`customer` [row] ids) and seed.
    """
    rows, actual = [], np.asarray(actual, float)
    for name, score in scores.items():
        order = np.lexsort((keyed.uniform(seed, f"ties of {name}", customer), -rounded(score)))
        part = np.empty(len(actual), int)
        part[order] = np.arange(len(actual)) * parts // len(actual) + 1
        for k in range(1, parts + 1):
            share = inference.ratio_of_sums((part == k) * actual, actual)
            rows.append((name, k, share["estimate"], share["low"], share["high"]))
    return pd.DataFrame(rows, columns=["method", "part", "share", "low", "high"])


def ratio(forecast: np.ndarray, actual: np.ndarray) -> tuple[float, float, float]:
    """Sum of forecasts over sum of what happened, with its 95 % interval over customers (linearised)."""
    share = inference.ratio_of_sums(np.asarray(forecast, float), np.asarray(actual, float))
    return share["estimate"], share["low"], share["high"]


def probability_calibration(chance: np.ndarray, happened: np.ndarray, edges: np.ndarray) -> pd.DataFrame:
    """Per bin of a foretold chance that is not empty: forecast (mean), actual (share true), low, high (exact binomial), customers."""
    frame = pd.DataFrame({"cell": np.searchsorted(edges[1:-1], chance), "chance": chance, "true": np.asarray(happened, float)})
    out = frame.groupby("cell").agg(forecast=("chance", "mean"), actual=("true", "mean"), customers=("true", "size"))
    number = out["customers"].to_numpy()
    ends = inference.share(np.round(out["actual"].to_numpy() * number), number, method="beta")
    return out.assign(low=ends["low"], high=ends["high"]).reset_index(drop=True)


def targeting_gain(
    gain: np.ndarray, scores: Mapping[str, np.ndarray], shares: np.ndarray, customer: np.ndarray, seed: int, draws: int = 200
) -> pd.DataFrame:
    """What it earns to send to the first `share` of a ranking: method, share, gain, low, high, more, more_low, more_high.

    gain [customer]: what one message earns. The column gain is per customer of all, sent to or not; `more` is the same less what
    the same share of customers drawn at random earns (Imai and Li 2023). Equal scores are ordered at random. Bootstrap over customers,
    whose ids are `customer`.
    Raises ValueError where `shares` do not end at 1.
    """
    gain, n = np.asarray(gain, float), len(gain)
    tie = keyed.uniform(seed, "ties of a targeting", customer)
    orders = {name: np.lexsort((tie, -rounded(score))) for name, score in scores.items()}
    at = np.asarray(shares, float)
    if at[-1] != 1:
        raise ValueError(f"shares end at {at[-1]:g}: they must end at 1, which tells what a customer at random earns")

    def curves(weight: np.ndarray) -> np.ndarray:
        out = []
        for order in orders.values():
            w = weight[order]
            people = np.append(0, np.cumsum(w)) / w.sum()
            out.append(np.interp(at, people, np.append(0, np.cumsum(w * gain[order])) / w.sum()))
        return np.stack(out)

    point = curves(np.ones(n))
    drawn = np.stack([curves(weight) for weight in keyed.resamples(seed, "targeted", customer, n=draws)])
    alone, random = (v - v[..., -1:] * at / at[-1] for v in (point, drawn))
    parts = []
    for k, name in enumerate(orders):
        ends = np.vstack([inference.percentiles(v[:, k]) for v in (drawn, random)])
        columns = dict(zip(("low", "high", "more_low", "more_high"), ends, strict=True))
        parts.append(pd.DataFrame({"method": name, "share": at, "gain": point[k], "more": alone[k], **columns}))
    return pd.concat(parts, ignore_index=True)


def rank_correlation(one: np.ndarray, other: np.ndarray) -> tuple[float, float, float]:
    """Spearman's correlation with its 95 % interval: Fisher's, with the variance of Bonett and Wright (2000)."""
    rho = float(stats.spearmanr(one, other).statistic)
    ends = inference.interval(np.arctanh(rho), np.sqrt((1 + rho**2 / 2) / (len(one) - 3)))
    return rho, float(np.tanh(ends["low"])), float(np.tanh(ends["high"]))
