"""Who buys what in the next two weeks: logistic regression, random forest, LightGBM, and their ensemble."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import logit
from sklearn.ensemble import RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from promo_helpers import draws
from promo_helpers.features.panel import Panel
from promo_helpers.trees import Booster, boosted

WINDOW = 14  # days
GRID: dict[str, dict[str, list[Any]]] = {
    "logistic regression": {"C": [0.001, 0.01, 0.1, 1.0]},
    "random forest": {"min_samples_leaf": [10, 40, 160], "max_features": [0.3]},
    "LightGBM": {"num_leaves": [4, 7, 15], "num_rounds": [120]},
}
TREES: dict[str, Any] = {"objective": "binary", "learning_rate": 0.1, "min_data_in_leaf": 100, "feature_fraction": 0.5}
THREADS = 2  # models side by side, each on one thread: the same sums in the same order on any machine
SEARCHED = 40_000  # pairs that a setting is tried on
CHUNK = 100_000  # rows predicted at a time
LEAST = 1e-6  # a probability of zero has no logit


@dataclass(frozen=True)
class Examples:
    """Pairs of customer and item as of some days: x [row, feature], y (bought in the window), weight, day, names of the features.

    pair: [row] a number that stands for customer, item and day, which draws are keyed by.
    """

    x: np.ndarray
    y: np.ndarray
    weight: np.ndarray
    day: np.ndarray
    names: list[str]
    pair: np.ndarray

    def thinned(self, rows: int, seed: int) -> "Examples":
        """At most `rows` of them, drawn at random."""
        return self.only(draws.sample(seed, "thinned examples", self.pair, size=rows))

    def only(self, rows: np.ndarray) -> "Examples":
        """These rows of them."""
        return Examples(self.x[rows], self.y[rows], self.weight[rows], self.day[rows], self.names, self.pair[rows])


def schedule(days: int, tests: int, trains: int, window: int = WINDOW, step: int = 28) -> tuple[list[int], int, list[int]]:
    """Days as of which to fit, to calibrate and to test, in that order of time; each set ends a whole window before the next begins.

    Test windows follow each other up to the end of the data; fit days lie `step` apart, with four windows of history before the first.
    Where the data are too short there are fewer of each, two at least. Raises ValueError where they are too short for that.
    """

    def needed(tests: int, trains: int) -> int:
        return (tests + 8) * window + step * (trains - 1)

    while days < needed(tests, trains) and max(tests, trains) > 2:
        tests, trains = (tests - 1, trains) if tests >= trains else (tests, trains - 1)
    if days < needed(tests, trains):
        raise ValueError(f"{days} days are too few to learn from some windows and be judged by later ones: {needed(2, 2)} needed")
    test = [days - window * k for k in range(tests, 0, -1)]
    tune = test[0] - 2 * window
    return [tune - 2 * window - step * k for k in range(trains - 1, -1, -1)], tune, test


def latest(days: int, trains: int, window: int = WINDOW, step: int = 28) -> tuple[list[int], int]:
    """Days to fit and to calibrate the model on that is put to use: the newest whose windows are over when `days` have passed."""
    tune = days - window
    first = 4 * window
    return [day for day in (tune - 2 * window - step * k for k in range(trains - 1, -1, -1)) if day >= first] or [first], tune


def sample_day(panel: Panel, x: np.ndarray, names: list[str], day: int, pairs: int, seed: int, window: int = WINDOW) -> Examples:
    """About `pairs` of a day's features [known customer, item, feature]: up to half bought, weighted back to how often each occurs."""
    flat, label = x.reshape(-1, x.shape[2]), panel.bought(day, window).ravel()
    pair = numbered(panel, panel.known(day), day).ravel()
    rows, weights = [], []
    for value in (True, False):
        there = np.flatnonzero(label == value)
        taken = there[draws.sample(seed, "examples of purchases", pair[there], size=max(pairs // 2, 1))]
        rows.append(taken)
        weights.append(np.full(len(taken), len(there) / max(len(taken), 1)))
    chosen = np.concatenate(rows)
    return Examples(flat[chosen], label[chosen], np.concatenate(weights), np.full(len(chosen), day), names, pair[chosen])


def numbered(panel: Panel, who: np.ndarray, day: int) -> np.ndarray:
    """[customer, item] a number that stands for these customers, the panel's items and the day: what draws for a pair are keyed by."""
    customer = draws.words(0, "customer of a pair", panel.purchases.customers[who])
    item = draws.words(0, "item of a pair", panel.purchases.items[panel.what])
    rows, columns = (part.ravel() for part in np.broadcast_arrays(customer[:, None], item[None, :]))
    return draws.words(0, f"pair of day {day}", rows, columns).reshape(len(customer), len(item))


def joined(parts: Sequence[Examples]) -> Examples:
    """Examples of several days as one, with weights of mean 1. Raises ValueError where there is nothing to tell apart."""
    fields = ("x", "y", "weight", "day", "pair")
    x, y, weight, day, pair = (np.concatenate([getattr(p, field) for p in parts]) for field in fields)
    if y.all() or not y.any():
        raise ValueError(f"of {len(y):,} pairs {'all' if len(y) and y.all() else 'none'} were bought: nothing to tell apart")
    return Examples(x, y, weight / weight.mean(), day, parts[0].names, pair)


def sample(panel: Panel, days: Sequence[int], pairs: int, seed: int, window: int = WINDOW) -> Examples:
    """About `pairs` examples as of these days, equally many of each; see `sample_day`."""
    parts = []
    for day in days:
        x, names = panel.features(day, window)
        parts.append(sample_day(panel, x, names, day, pairs // len(days), seed, window))
    return joined(parts)


def estimator(name: str, setting: dict[str, Any], seed: int) -> Any:
    """An unfitted scikit-learn estimator of one of the names in GRID."""
    if name == "logistic regression":
        filled = SimpleImputer(strategy="constant", fill_value=0.0, add_indicator=True)
        # arcsinh is a logarithm that also takes zeros and negative numbers: counts and money are skewed
        return make_pipeline(
            filled,
            FunctionTransformer(np.arcsinh),
            StandardScaler(),
            LogisticRegression(C=setting["C"], solver="newton-cholesky", tol=1e-8),
        )
    if name == "random forest":
        return RandomForestClassifier(40, max_samples=0.25, n_jobs=1, random_state=seed, **setting)
    raise KeyError(f"there is no model '{name}'")


def fit_one(name: str, data: Examples, setting: dict[str, Any], seed: int) -> Any:
    """One fitted model. The same seed gives the same model, on any number of threads."""
    if name == "LightGBM":
        changes = TREES | {"num_leaves": setting["num_leaves"]}
        return boosted(data.x, data.y, seed, setting["num_rounds"], weight=data.weight, names=data.names, **changes)
    model = estimator(name, setting, seed)
    weight = (
        {f"{model.steps[-1][0]}__sample_weight": data.weight} if isinstance(model, Pipeline) else {"sample_weight": data.weight}
    )
    return model.fit(data.x, data.y, **weight)


def predicted_probability(model: Any, x: np.ndarray) -> np.ndarray:
    """Probability of buying for each row of x. A forest predicts on one thread, since threads would add its trees up in any order."""
    if isinstance(model, Booster):
        return np.asarray(model.predict(x))
    if isinstance(model, RandomForestClassifier):
        model.n_jobs = 1
    return np.asarray(model.predict_proba(x)[:, 1])


def search_purchase_settings(fit: Examples, seed: int) -> pd.DataFrame:
    """Tidy: method, setting, average precision, chosen. Fitted on all fit days but the last, and judged on the last."""
    last = fit.day == fit.day.max()
    earlier, judge = fit.only(~last).thinned(SEARCHED, seed), fit.only(last)
    tried = [(n, dict(zip(grid, v, strict=True))) for n, grid in GRID.items() for v in product(*grid.values())]

    def score(name: str, setting: dict[str, Any]) -> float:
        model = fit_one(name, earlier, setting, seed)
        return float(average_precision_score(judge.y, predicted_probability(model, judge.x), sample_weight=judge.weight))

    with ThreadPoolExecutor(THREADS) as pool:
        scores = list(pool.map(lambda one: score(*one), tried))
    table = pd.DataFrame(tried, columns=["method", "setting"]).assign(**{"average precision": scores})
    return table.assign(chosen=table.groupby("method")["average precision"].rank(ascending=False, method="first") == 1)


@dataclass
class PurchaseModel:
    """Three models and what joins them: a logistic regression on their logits, fitted on a later day than they were."""

    models: dict[str, Any]
    stack: LogisticRegression
    names: list[str]

    @classmethod
    def fit(cls, fit: Examples, tune: Examples, settings: dict[str, dict[str, Any]], seed: int) -> "PurchaseModel":
        """Fit the three on `fit` and the stack, which also calibrates their sum, on `tune`: no customer-day is in both."""
        with ThreadPoolExecutor(THREADS) as pool:
            fitted = pool.map(lambda name: fit_one(name, fit, settings[name], seed), settings)
            models = dict(zip(settings, fitted, strict=True))
        logits = np.column_stack([_logit(predicted_probability(m, tune.x)) for m in models.values()])
        return cls(models, LogisticRegression().fit(logits, tune.y, sample_weight=tune.weight), fit.names)

    def predict(self, x: np.ndarray) -> dict[str, np.ndarray]:
        """Probability by each model and by the "ensemble", for rows [row, feature] in the order of `names`."""
        parts = np.array_split(x, -(-len(x) // CHUNK) or 1)
        tasks = [(model, part) for model in self.models.values() for part in parts]
        with ThreadPoolExecutor(THREADS) as pool:
            done = list(pool.map(lambda task: predicted_probability(*task), tasks))
        each = {name: np.concatenate(done[k * len(parts) : (k + 1) * len(parts)]) for k, name in enumerate(self.models)}
        logits = np.column_stack([_logit(p) for p in each.values()])
        return each | {"ensemble": self.stack.predict_proba(logits)[:, 1]}

    def matrices(self, x: np.ndarray) -> dict[str, np.ndarray]:
        """The same for features [customer, item, feature], as matrices [customer, item]."""
        return {name: p.reshape(x.shape[:2]) for name, p in self.predict(x.reshape(-1, x.shape[2])).items()}

    def parts(self) -> dict[str, Any]:
        """What `models.saved` keeps; `of_parts` makes the model of it again."""
        return {name.replace(" ", "_"): model for name, model in self.models.items()} | {"stack": self.stack}

    @classmethod
    def of_parts(cls, parts: dict[str, Any], facts: dict[str, Any]) -> "PurchaseModel":
        """The model that was saved."""
        models = {name: parts[name.replace(" ", "_")] for name in GRID}
        return cls(models, parts["stack"], list(facts["features"]))


def _logit(p: np.ndarray) -> np.ndarray:
    return np.asarray(logit(np.clip(p, LEAST, 1 - LEAST)))


def baselines(x: np.ndarray, names: list[str]) -> dict[str, np.ndarray]:
    """Scores [customer, item] that need no model, from features [customer, item, feature].

    popularity: units in the last four weeks; last purchase: the latest first; personal frequency: baskets with it; own habit: the share
    of her baskets that held it, drawn a little towards everybody's, times the baskets to expect of her in a window; RFM: ranks of
    recency, frequency and spend added up. What such a score cannot tell apart is ranked at random.
    """

    def plane(name: str) -> np.ndarray:
        return x[:, :, names.index(name)]

    rank = {n: pd.Series(plane(f"customer_{n}")[:, 0]).rank().to_numpy() for n in ("recency", "frequency", "monetary")}
    rfm = rank["frequency"] + rank["monetary"] - rank["recency"]
    return {
        "popularity": np.nan_to_num(plane("item_units_28")),
        "last purchase": -np.nan_to_num(plane("pair_recency"), nan=1e6),
        "personal frequency": np.nan_to_num(plane("pair_baskets")),
        "own habit": np.nan_to_num(plane("pair_expected")),
        "RFM": np.broadcast_to(rfm[:, None], x.shape[:2]),
    }


def importances(model: PurchaseModel, data: Examples, seed: int) -> pd.DataFrame:
    """Tidy: date, feature, value: the average precision that the ensemble loses on a day where a feature is drawn anew for each pair.

    Values are drawn from all pairs of the day by their weights, so from the population and not from a sample that is half purchases:
    each pair draws a quantile of its own.
    Features that say nearly the same share their importance (Breiman 2001): a small number does not mean that one is irrelevant.
    """
    rows = []
    for day in np.unique(data.day):
        mine = data.only(data.day == day)
        whole = average_precision_score(mine.y, model.predict(mine.x)["ensemble"], sample_weight=mine.weight)
        for k, name in enumerate(model.names):
            kept = mine.x[:, k].copy()
            quantile = draws.uniform(seed, f"importance of {name}", mine.pair)
            rising = np.argsort(kept, kind="stable")
            share = np.cumsum(mine.weight[rising])
            place = np.searchsorted(share, quantile * share[-1], side="right")
            mine.x[:, k] = kept[rising[np.minimum(place, len(kept) - 1)]]
            without = average_precision_score(mine.y, model.predict(mine.x)["ensemble"], sample_weight=mine.weight)
            rows.append((int(day), name, float(whole - without)))
            mine.x[:, k] = kept
    return pd.DataFrame(rows, columns=["date", "feature", "value"])


def likely(model: PurchaseModel, panel: Panel, customer: str, day: int, k: int = 5) -> tuple[pd.DataFrame, str]:
    """The k items that a customer will most likely buy in the window, with the chance by the ensemble, and a note on a cold start.

    A customer without a purchase before the day is predicted as one of whom nothing is known, and the note says so. Raises KeyError
    for a customer whom the shop does not have, ValueError for k < 1 and for a day outside the data.
    """
    purchases = panel.purchases
    purchases.number(purchases.moment(day))
    if customer not in purchases.customers:
        raise KeyError(f"customer_id {customer!r} is not in this shop of {len(purchases.customers):,} customers")
    if k < 1:
        raise ValueError(f"k = {k}: at least one item is needed")
    who = purchases.customers.get_indexer([customer])
    x, _ = panel.features(day, WINDOW, who)
    score = model.matrices(x)["ensemble"][0]
    best = np.argsort(-score, kind="stable")[:k]
    cold = who[0] not in purchases.seen(day)
    note = f"cold start: {customer} has bought nothing before {purchases.moment(day):%Y-%m-%d}" if cold else ""
    return pd.DataFrame({"item": purchases.items[panel.what[best]], "chance": score[best]}), note
