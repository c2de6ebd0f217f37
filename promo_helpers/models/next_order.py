"""The two questions that are usually asked of a table of orders, answered by forests, and by a line each without any learning."""

from typing import Any

import numpy as np
import pandas as pd
from joblib import parallel_config
from scipy import stats
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.model_selection import GridSearchCV, PredefinedSplit

from promo_helpers import draws
from promo_helpers.models.labels import UNKNOWN, Labels
from promo_helpers.models.orders import NOTHING, NUMBERS, OWNED, next_by_rule

GRID = {"n_estimators": [30, 60], "max_depth": [4, 8], "min_samples_split": [2, 20]}


def _searched(model: Any, features: np.ndarray, target: np.ndarray, customer: pd.Series, scoring: str, seed: int) -> Any:
    folds = PredefinedSplit(draws.folds(seed, "folds of a search", customer, number=3))
    search = GridSearchCV(model, GRID, scoring=scoring, cv=folds, n_jobs=2)
    with parallel_config(backend="threading"):
        search.fit(features, target)
    return search.best_estimator_


def shortest_forest(table: pd.DataFrame, seed: int) -> RandomForestRegressor:
    """Lowest_Time_Between_Orders from the two other columns, tuned by grid search; missing features are left to the trees.

    Raises ValueError where fewer than six rows know their target.
    """
    known = table.dropna(subset=[NUMBERS[2]])
    if len(known) < 6:
        raise ValueError(f"{len(known)} rows have a {NUMBERS[2]}: at least 6 are needed, two for each fold")
    model = RandomForestRegressor(random_state=seed, min_samples_leaf=3)
    return _searched(
        model, known[list(NUMBERS[:2])].to_numpy(float), known[NUMBERS[2]].to_numpy(), known["Customer_ID"],
        "neg_mean_absolute_error", seed,
    )  # fmt: skip


def shortest_scores(model: RandomForestRegressor, table: pd.DataFrame) -> pd.DataFrame:
    """Columns method, error (mean absolute, days), low, high (normal interval over rows), explained (R squared), rows.

    The forest, and average / (orders - 1), on complete rows.
    """
    whole = table.dropna(subset=list(NUMBERS))
    whole = whole[whole[NUMBERS[0]] >= 2]
    target = whole[NUMBERS[2]].to_numpy()
    answers = {
        "forest": model.predict(whole[list(NUMBERS[:2])].to_numpy(float)),
        "average / (orders - 1)": (whole[NUMBERS[1]] / (whole[NUMBERS[0]] - 1)).to_numpy(),
        "its mean for all": np.full(len(target), target.mean()),
    }
    rows = []
    for name, answer in answers.items():
        gap = np.abs(answer - target)
        half = 1.96 * gap.std(ddof=1) / np.sqrt(len(gap)) if len(gap) > 1 else np.nan
        explained = 1 - (gap**2).sum() / ((target - target.mean()) ** 2).sum()
        rows.append((name, gap.mean(), gap.mean() - half, gap.mean() + half, explained, len(gap)))
    return pd.DataFrame(rows, columns=["method", "error", "low", "high", "explained", "rows"])


def rule_forest(table: pd.DataFrame, seed: int) -> tuple[RandomForestClassifier, Labels]:
    """Next_Product from the three columns of ownership, tuned by grid search; and the labels as numbers.

    Rows whose next product is not known, or who own all there is, are left out. Raises ValueError where none is left.
    """
    answer = next_by_rule(table)
    labels = Labels.of(answer[answer != NOTHING])
    target = labels.encode(answer)
    rows = target != UNKNOWN
    model = RandomForestClassifier(random_state=seed)
    features, customer = table.loc[rows, list(OWNED)].to_numpy(float), table.loc[rows, "Customer_ID"]
    return _searched(model, features, target[rows], customer, "accuracy", seed), labels


def rule_scores(model: RandomForestClassifier, labels: Labels, table: pd.DataFrame) -> pd.DataFrame:
    """Accuracy of forest and rule on rows whose next product is known, by whether a cell was missing: cells, rows, forest, rule, low, high.

    low and high are the exact interval of the forest's accuracy (Clopper and Pearson 1934); the rule is right by construction.
    """
    answer = next_by_rule(table)
    target = labels.encode(answer)
    complete = table[list(OWNED)].notna().all(axis=1).to_numpy()
    said = model.predict(table[list(OWNED)].to_numpy(float))
    rows = []
    for name, mine in (("all known", complete), ("some missing", ~complete)):
        chosen = mine & (target != UNKNOWN)
        if chosen.any():
            right = labels.encode(next_by_rule(table[chosen])) == target[chosen]
            hits = said[chosen] == target[chosen]
            ends = stats.binomtest(int(hits.sum()), len(hits)).proportion_ci()
            rows.append((name, len(hits), float(hits.mean()), float(right.mean()), float(ends.low), float(ends.high)))
    return pd.DataFrame(rows, columns=["cells", "rows", "forest", "rule", "low", "high"])
