"""When will they be back? Waiting times by personal gaps, rates, forests, quantile boosting, a survival model and daily chances.

All learn from the frame of `features.waiting.moments`; each gives a `WaitForecast`. A wait beyond the horizon is "later".
"""

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from joblib import parallel_config
from pandas.errors import Pandas4Warning
from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestRegressor
from sklearn.model_selection import GridSearchCV
from threadpoolctl import threadpool_limits

from promo_helpers import draws
from promo_helpers.features.waiting import FEATURES, WEEKDAYS, WaitForecast, of_curve, of_points
from promo_helpers.trees import Booster, boosted

if TYPE_CHECKING:
    from lifelines import WeibullAFTFitter

GRID = {"n_estimators": [30, 80], "max_depth": [4, 8], "min_samples_split": [20, 100]}
LEAF = 10  # rows: fewer would make a leaf's distribution a handful of anecdotes


def usable(rows: pd.DataFrame, columns: Sequence[str] = FEATURES) -> list[str]:
    """The columns that hold anything at all: one that is missing everywhere teaches nothing. Raises ValueError where none is left."""
    kept = [c for c in columns if c in rows and rows[c].notna().any()]
    if not kept:
        raise ValueError(f"none of the {len(columns)} features has a value: there is nothing to learn from")
    return kept


def cut_waits(rows: pd.DataFrame, horizon: int) -> np.ndarray:
    """Days until the next shopping, horizon + 1 for later. Raises ValueError for rows that were not followed to the horizon."""
    wait, seen = rows["wait"].to_numpy(), rows["seen"].to_numpy(bool)
    short = ~seen & (wait < horizon)
    if short.any():
        raise ValueError(f"{short.sum()} customers were not followed for {horizon} days: their waits are unknown, not short")
    return np.where(seen & (wait <= horizon), wait, horizon + 1)


def folds(
    rows: pd.DataFrame, customer: np.ndarray, seed: int, number: int = 3, groups: int = 3
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Folds for a search that respect time and customers: places of rows to fit on, and to score on.

    The latest dates are scored, each with the models of all earlier dates; the customers (`customer` [row] ids) fall into groups, and
    who is scored is not fitted on. Raises ValueError with fewer than two dates.
    """
    dates = np.unique(rows["date"])
    if len(dates) < 2:
        raise ValueError(f"{len(dates)} date: a search that respects time needs two")
    group = draws.parts(seed, "groups of a search", customer, number=groups)
    date = rows["date"].to_numpy()
    scored = dates[1:][-number:]
    return [
        (np.flatnonzero((date < d) & (group != i % groups)), np.flatnonzero((date == d) & (group == i % groups)))
        for i, d in enumerate(scored)
    ]


def search_wait_forest(
    model: Any,
    rows: pd.DataFrame,
    target: np.ndarray,
    scoring: str,
    customer: np.ndarray,
    seed: int,
    columns: list[str],
    most: int = 1500,
) -> tuple[dict[str, Any], pd.DataFrame]:
    """Best settings of GRID by GridSearchCV on at most `most` rows (a sample), and the table of all: settings, score, spread.

    `rows` has a column date, `customer` [row] ids; a date has a customer once. Threads share the work of the search, and each model
    has one: the same numbers on every run.
    """
    some = draws.sample(seed, "rows of a search", customer, rows["date"], size=most)
    part = rows.iloc[some]
    grid = GridSearchCV(model, GRID, scoring=scoring, cv=folds(part, np.asarray(customer)[some], seed), refit=False, n_jobs=2)
    with parallel_config(backend="threading"):
        grid.fit(part[columns].to_numpy(float), target[some])
    found = pd.DataFrame({name: grid.cv_results_[f"param_{name}"].astype(int) for name in GRID})
    found = found.assign(score=grid.cv_results_["mean_test_score"], spread=grid.cv_results_["std_test_score"])
    return {name: int(value) for name, value in grid.best_params_.items()}, found


def fit_wait_forest(
    rows: pd.DataFrame, horizon: int, settings: dict[str, Any], columns: list[str], seed: int
) -> RandomForestRegressor:
    """A forest on the cut wait, fitted with squared error, so that its prediction is a mean."""
    model = RandomForestRegressor(**settings, min_samples_leaf=LEAF, max_features=1 / 3, random_state=seed, n_jobs=2)
    model.fit(rows[columns].to_numpy(float), cut_waits(rows, horizon))
    return model.set_params(n_jobs=1)  # threads would add the trees up in another order each time


def forest_mean(model: RandomForestRegressor, rows: pd.DataFrame, horizon: int, columns: list[str]) -> WaitForecast:
    """The forest as it comes: one number."""
    return of_points(model.predict(rows[columns].to_numpy(float)), horizon)


def forest_curve(
    model: RandomForestRegressor, fitted: pd.DataFrame, rows: pd.DataFrame, horizon: int, columns: list[str]
) -> WaitForecast:
    """The forest's whole distribution: the waits of the fitted rows in the leaves that a row falls into (Meinshausen 2006)."""
    target = cut_waits(fitted, horizon)
    there, here = (model.apply(r[columns].to_numpy(float)) for r in (fitted, rows))
    chance = np.zeros((len(rows), horizon + 1))
    for tree in range(there.shape[1]):
        leaves = there[:, tree].max() + 1
        counts = np.bincount(there[:, tree] * (horizon + 1) + target - 1, minlength=leaves * (horizon + 1)).reshape(leaves, -1)
        chance += (counts / np.maximum(counts.sum(axis=1, keepdims=True), 1))[here[:, tree]]
    return of_curve(np.cumsum(chance, axis=1)[:, :horizon] / there.shape[1])


def everybody(fitted: pd.DataFrame, rows: int, horizon: int) -> WaitForecast:
    """The same for all: how long the customers of the fitted rows waited."""
    target = cut_waits(fitted, horizon)
    curve = (target[:, None] <= np.arange(1, horizon + 1)).mean(axis=0)
    return of_curve(np.tile(curve, (rows, 1)))


def after_first(wait: np.ndarray, seen: np.ndarray, horizon: int, weight: np.ndarray | None = None) -> np.ndarray:
    """[horizon] chance to have come again 1, 2, ... days after a first visit, from `waiting.newcomers` (Kaplan and Meier 1958).

    Who was not seen to come counts for as long as she was followed. `weight` [row]: how often each row counts, once unless given.
    Raises ValueError where nobody is there to learn from.
    """
    if not len(wait):
        raise ValueError("nobody has a first visit in the days to learn from: there is nothing to tell of new customers")
    day = np.arange(1, horizon + 1)[:, None]
    weight = np.ones(len(wait)) if weight is None else weight
    came, there = ((wait == day) & seen) @ weight, (wait >= day) @ weight
    return np.asarray(1 - np.cumprod(1 - came / np.maximum(there, 1)))


def personal_gap_forecast(rows: pd.DataFrame, fallback: float, horizon: int) -> WaitForecast:
    """Her median gap less the days already waited, at least a day; with a single shopping day, the `fallback` gap."""
    return of_points((rows["gap_median"].fillna(fallback) - rows["recency"] + 1).clip(lower=1).to_numpy(), horizon)


def constant_rate(rows: pd.DataFrame, horizon: int) -> WaitForecast:
    """Exponential waits at her own rate of shopping days, whatever the time since the last one."""
    return of_curve(-np.expm1(-rows["rate"].to_numpy()[:, None] * np.arange(1, horizon + 1)))


def boosted_quantiles(
    fitted: pd.DataFrame, rows: pd.DataFrame, horizon: int, columns: list[str], seed: int, level: float = 0.8
) -> WaitForecast:
    """Gradient boosting with the quantile loss for the middle and the ends of an interval of the cut wait."""
    target, bounds = cut_waits(fitted, horizon), []
    with threadpool_limits(1):  # the same sums on every run
        for q in ((1 - level) / 2, 0.5, (1 + level) / 2):
            model = HistGradientBoostingRegressor(
                loss="quantile", quantile=q, max_iter=60, max_leaf_nodes=12, min_samples_leaf=40, random_state=seed
            )
            model.fit(fitted[columns].to_numpy(float), target)
            bounds.append(np.clip(model.predict(rows[columns].to_numpy(float)), 1.0, horizon + 1.0))
    low, middle, high = np.sort(np.stack(bounds), axis=0)
    return WaitForecast(middle, np.floor(low), np.ceil(high))


ALL_LOGS = ("recency", "gap", "tenure", "days", "days_28", "days_84")


def log_features(rows: pd.DataFrame, fallback: float) -> pd.DataFrame:
    """What the survival model is told: logarithms of recency, gaps and shopping days. A single shopping day gets the `fallback` gap."""
    return pd.DataFrame(
        {
            "recency": np.log(rows["recency"]),
            "gap": np.log(rows["gap_mean"].fillna(fallback)),
            "tenure": np.log(rows["tenure"]),
            "days": np.log(rows["shopping_days"]),
            "days_28": np.log1p(rows["days_28"]),
            "days_84": np.log1p(rows["days_84"]),
        }
    )


def survival(fitted: pd.DataFrame, fallback: float) -> "WeibullAFTFitter":
    """Weibull accelerated failure time on all fitted rows; who was still waiting is told as such, however short she was followed."""
    from lifelines import WeibullAFTFitter

    table = log_features(fitted, fallback).assign(wait=fitted["wait"].to_numpy() - 0.5, seen=fitted["seen"].to_numpy())
    table.loc[~fitted["seen"].to_numpy(bool), "wait"] += 0.5  # followed to the end of that day
    constant = [c for c in ALL_LOGS if table[c].max() == table[c].min()]  # beside the intercept it has no effect
    table = table.drop(columns=constant)
    model = WeibullAFTFitter(penalizer=0.001)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # the optimiser's first steps overflow and are taken back
        warnings.simplefilter("ignore", Pandas4Warning)  # lifelines 0.30 calls std(0); pandas 3 still takes it
        model.fit(table[table["wait"] > 0], duration_col="wait", event_col="seen")
    return model


def survival_curve(model: "WeibullAFTFitter", rows: pd.DataFrame, fallback: float, horizon: int) -> WaitForecast:
    """Chances by day of the survival model."""
    alive = model.predict_survival_function(log_features(rows, fallback), times=np.arange(1, horizon + 1))
    return of_curve(1 - alive.to_numpy().T)


TREES: dict[str, Any] = {
    "objective": "binary",
    "learning_rate": 0.06,
    "num_leaves": 15,
    "min_data_in_leaf": 200,
    "lambda_l2": 5.0,
}


def booster(table: pd.DataFrame, target: np.ndarray, seed: int, rounds: int = 120) -> Booster:
    """Boosted trees with a logistic loss; histograms are made column by column, as the rows are many and the columns few."""
    return boosted(table, target, seed, rounds, **TREES, force_row_wise=False, force_col_wise=True)


SHARES = [f"share_{d[:3].lower()}" for d in WEEKDAYS]


def day_rows(
    rows: pd.DataFrame, first_weekday: np.ndarray, length: np.ndarray, columns: list[str]
) -> tuple[pd.DataFrame, np.ndarray]:
    """One row for each of the `length` days after each moment, and the row it came from.

    Columns: those given (the weekday shares become one, `habit`: the share of her shopping days that fall on that weekday), `day_rows`
    (1, 2, ... days after the moment) and `weekday` (0 for Monday).
    """
    source = np.repeat(np.arange(len(rows)), length)
    step = np.arange(len(source)) - np.repeat(np.cumsum(length) - length, length)
    weekday = (first_weekday[source] + step) % 7
    plain = [c for c in columns if c not in SHARES]
    table = {c: rows[c].to_numpy(float)[source] for c in plain}
    table["ahead"] = step + 1.0
    table["weekday"] = weekday.astype(float)
    if set(SHARES) <= set(columns):
        table["habit"] = rows[SHARES].to_numpy(float)[source, weekday]
    return pd.DataFrame(table), source


def fit_daily(rows: pd.DataFrame, first_weekday: np.ndarray, horizon: int, columns: list[str], seed: int) -> Booster:
    """Fit the chance of shopping on a day, given that she has not yet. Who is still waiting counts for the days she was followed."""
    length = np.minimum(rows["wait"].to_numpy(), horizon)
    table, source = day_rows(rows, first_weekday, length, columns)
    came = rows["seen"].to_numpy(bool)[source] & (table["ahead"].to_numpy() == rows["wait"].to_numpy()[source])
    return booster(table, came.astype(float), seed)


def daily_curve(model: Booster, rows: pd.DataFrame, first_weekday: np.ndarray, horizon: int, columns: list[str]) -> WaitForecast:
    """The chances multiplied up."""
    table, _ = day_rows(rows, first_weekday, np.full(len(rows), horizon), columns)
    chance = np.asarray(model.predict(table[model.feature_name()])).reshape(len(rows), horizon)
    return of_curve(1 - np.cumprod(1 - chance, axis=1))
