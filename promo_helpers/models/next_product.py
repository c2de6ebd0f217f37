"""With what will they be back? The class of a product drawn at random from the baskets of the next day of shopping.

A basket has many products, so that "the" next one needs a definition. This one is proper: its chances are the expected shares of
the basket, and scores average over the draw instead of making it.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy.optimize import minimize_scalar
from sklearn.ensemble import RandomForestClassifier

from promo_helpers import draws

LEAF = 10  # rows: a leaf is a distribution over classes


def draw(lines: np.ndarray, seed: int, *ids: Any) -> np.ndarray:
    """[row] one class for each row of `lines` [row, class], with chances in proportion: what a classifier is fitted on.

    `ids` are columns that name the basket, such as customer and date.
    """
    return draws.choice(seed, "class of a basket", *ids, chances=lines / lines.sum(axis=1, keepdims=True))


def popular(lines: np.ndarray, rows: int) -> np.ndarray:
    """[row, class] the same chances for all: mean shares of the baskets seen, no class at zero."""
    share = (lines / lines.sum(axis=1, keepdims=True)).sum(axis=0) + 0.5
    return np.tile(share / share.sum(), (rows, 1))


def own_share(past: np.ndarray, prior: np.ndarray, weight: float) -> np.ndarray:
    """[row, class] her own shares of lines so far, drawn towards everybody's [class] as if `weight` lines of those came first."""
    total = past + weight * prior
    return np.asarray(total / total.sum(axis=1, keepdims=True))


def best_weight(past: np.ndarray, prior: np.ndarray, lines: np.ndarray) -> float:
    """The weight of everybody's habits that foretells these baskets best (log loss): heavy where customers are alike."""
    found = minimize_scalar(
        lambda w: log_loss(own_share(past, prior, float(np.exp(w))), lines).mean(), bounds=(-3, 8), method="bounded"
    )
    return float(np.exp(found.x))


def forest(features: np.ndarray, drawn: np.ndarray, settings: Mapping[str, Any], seed: int) -> RandomForestClassifier:
    """A forest of classes; threads only while fitting, so that its chances are the same on every run."""
    model = RandomForestClassifier(**settings, min_samples_leaf=LEAF, random_state=seed, n_jobs=2)
    return model.fit(features, drawn).set_params(n_jobs=1)


def chances(
    model: RandomForestClassifier, features: np.ndarray, classes: int, prior: np.ndarray, trust: float = 0.98
) -> np.ndarray:
    """[row, class] of the forest, with a little of everybody's shares, so that a class it never saw is not impossible."""
    out = np.zeros((len(features), classes))
    out[:, model.classes_.astype(int)] = model.predict_proba(features)
    return trust * out + (1 - trust) * prior


def without_owned(chance: np.ndarray, owned: np.ndarray, durable: np.ndarray) -> np.ndarray:
    """Owned once, not again: chances [row, class] after what is `owned` (bool) of the `durable` classes (bool [class]) is left out.

    Rows add up to 1 again. A row that owns all there is keeps only missing values: nothing can be offered to it.
    """
    left = np.where(np.asarray(owned, bool) & np.asarray(durable, bool), 0.0, chance)
    total = left.sum(axis=1, keepdims=True)
    return np.where(total > 0, left / np.where(total > 0, total, 1.0), np.nan)


def log_loss(chance: np.ndarray, lines: np.ndarray) -> np.ndarray:
    """[row] minus the log of the chance of a product drawn from the basket, averaged over the draw."""
    share = lines / lines.sum(axis=1, keepdims=True)
    return np.asarray(-(share * np.log(np.maximum(chance, 1e-12))).sum(axis=1))


def top(chance: np.ndarray, lines: np.ndarray, k: int) -> np.ndarray:
    """[row] chance that a product drawn from the basket is of one of the k classes named first. Ties go to the earlier class."""
    if not 1 <= k <= chance.shape[1]:
        raise ValueError(f"k = {k}: must lie in 1 .. {chance.shape[1]}, the number of classes")
    order = np.argsort(-chance, axis=1, kind="stable")[:, :k]
    share = lines / lines.sum(axis=1, keepdims=True)
    return np.asarray(np.take_along_axis(share, order, axis=1).sum(axis=1))


def scores(forecasts: Mapping[str, np.ndarray], lines: np.ndarray, date: np.ndarray, ks: Sequence[int] = (1, 3)) -> pd.DataFrame:
    """Tidy means per date: method, date, metric (hit@1, hit@3, accuracy@1, accuracy@3, log_loss), value.

    accuracy@k: of a product drawn from the basket. hit@k: whether the basket holds anything of the k classes.
    """
    out = []
    for name, chance in forecasts.items():
        values = {"log_loss": log_loss(chance, lines)}
        values |= {f"accuracy@{k}": top(chance, lines, k) for k in ks}
        values |= {f"hit@{k}": (v > 0).astype(float) for k in ks for v in [values[f"accuracy@{k}"]]}
        table = pd.DataFrame(values).groupby(date).mean()
        out += [(name, d, metric, table.loc[d, metric]) for d in table.index for metric in table]
    return pd.DataFrame(out, columns=["method", "date", "metric", "value"])
