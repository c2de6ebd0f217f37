"""Is an effect as large as it was foretold? By tenths of the prediction, and by the slope of the best linear predictor."""

import numpy as np
import pandas as pd
from scipy import stats

from promo_helpers.evaluate.halves import customers, mean_interval, same_length


def by_decile(
    predicted: np.ndarray, effect: np.ndarray, customer: np.ndarray, bins: int = 10, level: float = 0.95
) -> pd.DataFrame:
    """Predicted against estimated effect in groups of about equal size: group, predicted, estimate, se, low, high, rows.

    predicted: [row] by a model fitted on other customers. effect: [row] doubly robust score of the effect, whose mean in a group is the
    estimate; its interval is by customer. Equal predictions share a group, so there may be fewer than `bins`; groups of fewer than four
    customers have no interval.
    """
    predicted, effect = np.asarray(predicted, float), np.asarray(effect, float)
    same_length(predicted=predicted, effect=effect, customer=customer)
    edges = np.unique(np.quantile(predicted, np.linspace(0, 1, bins + 1)[1:-1]))
    _, group = np.unique(np.searchsorted(edges, predicted, side="right"), return_inverse=True)
    rows = []
    for g in range(group.max() + 1):
        here = group == g
        few = len(np.unique(np.asarray(customer)[here])) < 4
        own = {"estimate": float(effect[here].mean()), "se": np.nan, "low": np.nan, "high": np.nan}
        own = own if few else mean_interval(effect[here], np.asarray(customer)[here], level)
        rows.append({"group": g, "predicted": float(predicted[here].mean()), **own, "rows": int(here.sum())})
    return pd.DataFrame(rows)


def best_linear_predictor(predicted: np.ndarray, effect: np.ndarray, customer: np.ndarray, level: float = 0.95) -> pd.DataFrame:
    """Two rows, "mean" and "slope": estimate, se, low, high. The slope is 1 where the predicted spread is right, 0 where it is noise.

    Least squares of the doubly robust effect on 1 and (predicted - its mean), standard errors by customer (Chernozhukov et al.,
    Econometrica 2025, on doubly robust scores as in Semenova and Chernozhukov 2021). A constant prediction has no slope: NaN.
    """
    predicted, effect = np.asarray(predicted, float), np.asarray(effect, float)
    n = same_length(predicted=predicted, effect=effect, customer=customer)
    code, who = customers(customer)
    people = len(who)
    centred = predicted - predicted.mean()
    spread = float((centred**2).sum())
    flat = spread <= 1e-20 * n * max(1.0, float(predicted.mean() ** 2))
    slope = np.nan if flat else float(centred @ effect) / spread
    left = effect - effect.mean() - (0.0 if flat else slope * centred)
    half = float(stats.norm.ppf((1 + level) / 2))
    rows = []
    for term, estimate, one in (("mean", float(effect.mean()), left / n), ("slope", slope, left * centred / (spread or np.nan))):
        se = float(np.sqrt((np.bincount(code, one, minlength=people) ** 2).sum() * people / (people - 1)))
        se = np.nan if np.isnan(estimate) else se
        rows.append({"term": term, "estimate": estimate, "se": se, "low": estimate - half * se, "high": estimate + half * se})
    return pd.DataFrame(rows)
