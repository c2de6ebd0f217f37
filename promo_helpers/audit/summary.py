"""What attributions say together: their error, and which feature changes what another one adds."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from promo_helpers import draws as keyed


def with_error(whole: np.ndarray, parts: np.ndarray, rows: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Standard error [player] by the model: a jackknife over models [part, player] that each leave a part of the customers out (Efron and
    Tibshirani 1993, chapter 11); and that of the customers, by the values [row, player] that `whole` is the mean of."""
    k = len(parts)
    model = np.sqrt((k - 1) / k * ((parts - parts.mean(axis=0)) ** 2).sum(axis=0))
    drawn = np.zeros_like(whole) if rows is None else rows.std(axis=0, ddof=1) / np.sqrt(len(rows))
    return model, drawn


def partner(feature: str, x: pd.DataFrame, values: pd.DataFrame, bins: int = 8) -> tuple[str, float]:
    """The feature that changes most what `feature` adds at the same value of it, and the rank correlation that says so: within bins of the
    feature, its values less their mean are compared with each other feature."""
    cut = pd.qcut(x[feature].rank(method="first", na_option="top"), min(bins, len(x)), labels=False)
    left = values[feature] - values[feature].groupby(cut).transform("mean")
    found = {c: left.corr(x[c].fillna(x[c].median()), method="spearman") for c in x if c != feature and x[c].max() > x[c].min()}
    strength = pd.Series(found, dtype=float).dropna()
    best = strength.abs().sort_values(ascending=False, kind="stable").index[0]
    return str(best), float(strength[best])


def spread(added: pd.DataFrame, leave: np.ndarray, level: float = 1.96) -> pd.DataFrame:
    """Rows feature, value (mean size), low, high, the largest first: the interval joins the error of the model, as a share found by models
    [part, feature] on fewer rows, and that of the customers."""
    size = added.abs()
    value = size.mean().to_numpy()
    model, drawn = with_error(value, leave, size.to_numpy())
    share = model / np.maximum(leave.mean(axis=0), 1e-12)
    error = np.sqrt((share * value) ** 2 + drawn**2)
    table = pd.DataFrame(
        {"feature": list(added), "value": value, "low": np.maximum(value - level * error, 0), "high": value + level * error}
    )
    return table.sort_values("value", ascending=False, kind="stable", ignore_index=True)


def alike(one: np.ndarray, other: np.ndarray, ids: Any, seed: int, draws: int = 200) -> tuple[float, float, float]:
    """Rank correlation of two importances, each the mean size of values [row, feature] of the same rows; and its 95 % bootstrap interval
    over rows, whose `ids` are given."""

    def match(weight: np.ndarray) -> float:
        return float(pd.Series(weight @ one).corr(pd.Series(weight @ other), method="spearman"))

    again = [match(weight) for weight in keyed.bootstrap(seed, "importances alike", ids, n=draws)]
    return match(np.ones(len(one))), *np.quantile(again, (0.025, 0.975)).tolist()


def named_again(one: pd.DataFrame, other: pd.DataFrame, silent: Sequence[str]) -> tuple[float, float]:
    """Of rows [row, topic]: share whose strongest topic in `one` is first or second in `other`, and share whose two strongest are among the
    first four there; topics in `silent` are left out of both."""
    kept = [c for c in one if c not in silent]
    rank = np.argsort(np.argsort(-other[kept].to_numpy(float), axis=1, kind="stable"), axis=1)
    named = np.argsort(-one[kept].to_numpy(float), axis=1, kind="stable")[:, :2]
    there = np.take_along_axis(rank, named, axis=1)
    return float((there[:, 0] < 2).mean()), float((there < 4).all(axis=1).mean())


def settled(plane: np.ndarray, chosen: np.ndarray, ids: Any, seed: int, bins: int = 26) -> tuple[float, float]:
    """How far a place in a plane [row, 2] settles a choice [row]: share of rows chosen as most of their cell are, and share of the chosen
    whose cell says no; cells between quantiles of .5 and 99.5 % are filled with a random half of the rows, by their `ids`, and judged
    on the other."""
    edges = [np.linspace(np.quantile(v, 0.005), np.quantile(v, 0.995), bins + 1)[1:-1] for v in plane.T]
    cell = np.ravel_multi_index(tuple(np.digitize(v, e) for v, e in zip(plane.T, edges, strict=True)), (bins, bins))
    half = keyed.parts(seed, "cells filled", ids, number=2) == 0
    most = np.bincount(cell[half], np.where(chosen[half], 1.0, -1.0), bins * bins) > 0
    told = most[cell[~half]]
    return float((told == chosen[~half]).mean()), float((~told[chosen[~half]]).mean())
