"""With what will they be back? The class of a product drawn at random from the baskets of the next day of shopping.

A basket has many products, so that "the" next one needs a definition. This one is proper: its chances are the expected shares of
the basket, and scores average over the draw instead of making it.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from joblib import parallel_config
from scipy.optimize import minimize_scalar
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.model_selection import GridSearchCV, PredefinedSplit
from sklearn.preprocessing import OrdinalEncoder

from promo_helpers import draws, inference
from promo_helpers.files import written_whole
from promo_helpers.models.saved import UNKNOWN, encoded, label_encoder

LEAF = 10  # rows: a leaf is a distribution over classes


def draw(lines: np.ndarray, seed: int, *ids: Any) -> np.ndarray:
    """[row] one class for each row of `lines` [row, class], with chances in proportion: what a classifier is fitted on.

    `ids` are columns that name the basket, such as customer and date.
    """
    return draws.choice(seed, "class of a basket", *ids, chances=lines / lines.sum(axis=1, keepdims=True))


def popularity_shares(lines: np.ndarray, rows: int) -> np.ndarray:
    """[row, class] the same chances for all: mean shares of the baskets seen, no class at zero."""
    share = (lines / lines.sum(axis=1, keepdims=True)).sum(axis=0) + 0.5
    return np.tile(share / share.sum(), (rows, 1))


def personal_share(past: np.ndarray, prior: np.ndarray, weight: float) -> np.ndarray:
    """[row, class] her own shares of lines so far, drawn towards everybody's [class] as if `weight` lines of those came first."""
    total = past + weight * prior
    return np.asarray(total / total.sum(axis=1, keepdims=True))


def best_weight(past: np.ndarray, prior: np.ndarray, lines: np.ndarray) -> float:
    """The weight of everybody's habits that foretells these baskets best (log loss): heavy where customers are alike."""
    found = minimize_scalar(
        lambda w: log_loss(personal_share(past, prior, float(np.exp(w))), lines).mean(), bounds=(-3, 8), method="bounded"
    )
    return float(np.exp(found.x))


def fit_class_forest(features: np.ndarray, drawn: np.ndarray, settings: Mapping[str, Any], seed: int) -> RandomForestClassifier:
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


def top_k_probability(chance: np.ndarray, lines: np.ndarray, k: int) -> np.ndarray:
    """[row] chance that a product drawn from the basket is of one of the k classes named first. Ties go to the earlier class."""
    if not 1 <= k <= chance.shape[1]:
        raise ValueError(f"k = {k}: must lie in 1 .. {chance.shape[1]}, the number of classes")
    order = np.argsort(-chance, axis=1, kind="stable")[:, :k]
    share = lines / lines.sum(axis=1, keepdims=True)
    return np.asarray(np.take_along_axis(share, order, axis=1).sum(axis=1))


def next_product_scores(
    forecasts: Mapping[str, np.ndarray], lines: np.ndarray, date: np.ndarray, ks: Sequence[int] = (1, 3)
) -> pd.DataFrame:
    """Tidy means per date: method, date, metric (hit@1, hit@3, accuracy@1, accuracy@3, log_loss), value.

    accuracy@k: of a product drawn from the basket. hit@k: whether the basket holds anything of the k classes.
    """
    out = []
    for name, chance in forecasts.items():
        values = {"log_loss": log_loss(chance, lines)}
        values |= {f"accuracy@{k}": top_k_probability(chance, lines, k) for k in ks}
        values |= {f"hit@{k}": (v > 0).astype(float) for k in ks for v in [values[f"accuracy@{k}"]]}
        table = pd.DataFrame(values).groupby(date).mean()
        out += [(name, d, metric, table.loc[d, metric]) for d in table.index for metric in table]
    return pd.DataFrame(out, columns=["method", "date", "metric", "value"])


NUMBERS = ("Order_Frequency", "Average_Time_Between_Orders", "Lowest_Time_Between_Orders")
OWNED = ("has_peak", "has_knife", "has_pivot")
COLUMNS = ("Customer_ID", "Name", *NUMBERS, *OWNED)
OFFERED = ("pivot", "knife", "peak")  # the order in which the shop offers its products
NOTHING = "nothing left"
MISSING = {"", "n/a", "na", "nan", "none", "null", "-", "?"}
YES, NO = {"yes", "y", "true", "1", "1.0"}, {"no", "n", "false", "0", "0.0"}


def generate(seed: int, customers: int = 1500, dirty: float = 0.04) -> pd.DataFrame:
    """The table as text, a share `dirty` of its cells spoilt: "N/A", blanks, words in number columns.

    Each customer has a mean time between orders (log-normal about 20 days) and orders as a Poisson process with it; the number of
    orders is independent of that. Names are made up and look it. Draws are keyed by the customer's number: the first rows of a larger
    table are a smaller one.
    """
    who = np.arange(1, customers + 1)
    orders = 1 + draws.geometric(seed, "orders of a customer", who, chance=0.12)
    habit = 20 * np.exp(0.5 * draws.normal(seed, "habit of a customer", who))
    waits = -np.log1p(-draws.uniform(seed, "times between orders", who, n=int(orders.max()) - 1))
    gaps = [m * wait[: n - 1] for m, wait, n in zip(habit, waits, orders, strict=True)]
    table = pd.DataFrame(
        {
            "Customer_ID": [f"C{i:05d}" for i in who],
            "Name": [f"Made-up Person {i}" for i in who],
            "Order_Frequency": [str(n) for n in orders],
            "Average_Time_Between_Orders": [f"{g.mean():.2f}" for g in gaps],
            "Lowest_Time_Between_Orders": [f"{max(g.min(), 0.01):.2f}" for g in gaps],
        }
    )
    for column, share in zip(OWNED, (0.35, 0.45, 0.55), strict=True):
        table[column] = np.where(draws.uniform(seed, column, who) < share, "Yes", "No")
    for column in (*NUMBERS, *OWNED):
        spoilt = ["N/A", "", "n/a", "unknown"] if column in OWNED else ["N/A", "", "twelve", "-1", "12 days"]
        text = np.array(spoilt, object)[draws.parts(seed, f"text of a spoilt {column}", who, number=len(spoilt))]
        table[column] = np.where(draws.uniform(seed, f"spoilt {column}", who) < dirty, text, table[column])
    return table


def write_orders(table: pd.DataFrame, path: Path) -> Path:
    """Write the table as CSV, whole or not at all."""
    with written_whole(path) as scratch:
        table.to_csv(scratch, index=False)
    return path


def read_orders(path: Path | str) -> pd.DataFrame:
    """The table as text, nothing interpreted. Raises ValueError that names every column that is missing, or an empty file."""
    table = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    lacking = [c for c in COLUMNS if c not in table]
    if lacking:
        raise ValueError(f"{path} lacks the column{'s' * (len(lacking) > 1)} {', '.join(lacking)}; it needs {', '.join(COLUMNS)}")
    if table.empty:
        raise ValueError(f"{path} has headings and no rows")
    return table


def clean(table: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Numbers as numbers, ownership as 1, 0 or missing; and what was done: column, problem, rows, first (its row in the file).

    Nothing is guessed: what is not a positive number, not yes and not no, becomes missing. A shortest time above the average one
    is impossible, and both become missing. Of customers that occur twice the first row is kept.
    """
    out, done = table[list(COLUMNS)].copy(), []

    def note(column: str, problem: str, rows: np.ndarray) -> None:
        if rows.any():
            done.append((column, problem, int(rows.sum()), int(np.flatnonzero(rows)[0]) + 2))

    for column in (*NUMBERS, *OWNED):
        text = out[column].astype(str).str.strip()
        blank = text.str.lower().isin(MISSING).to_numpy()
        note(column, "missing", blank)
        if column in OWNED:
            value = text.str.lower().map(dict.fromkeys(YES, 1.0) | dict.fromkeys(NO, 0.0)).astype(float)
            note(column, "neither yes nor no", value.isna().to_numpy() & ~blank)
        else:
            value = pd.to_numeric(text, errors="coerce").astype(float)
            note(column, "not a number", value.isna().to_numpy() & ~blank)
            value = value.where(np.isfinite(value))
            wrong = (value <= 0) | ((value % 1 != 0) & value.notna() if column == "Order_Frequency" else False)
            note(column, "not positive" if column != "Order_Frequency" else "not a positive whole number", wrong.to_numpy(bool))
            value = value.mask(wrong)
        out[column] = value
    impossible = out[NUMBERS[2]].gt(out[NUMBERS[1]] + 0.005).to_numpy()
    note(NUMBERS[2], "longer than the average", impossible)
    out.loc[impossible, [NUMBERS[1], NUMBERS[2]]] = np.nan
    again = out["Customer_ID"].duplicated().to_numpy()
    note("Customer_ID", "occurs again", again)
    return out[~again].reset_index(drop=True), pd.DataFrame(done, columns=["column", "problem", "rows", "first"])


def next_by_rule(owned: pd.DataFrame) -> pd.Series:
    """The next product of each row: the first of OFFERED that is not owned (owned once, not again); NOTHING where all are.

    Missing where it hangs on a cell that is missing: whether an earlier product of the order is owned.
    """
    answer = pd.Series(NOTHING, index=owned.index, dtype=object)
    for product in reversed(OFFERED):
        has = owned[f"has_{product}"]
        answer = answer.mask(has == 0, product).mask(has.isna(), np.nan)
    return answer


def lowest_by_orders(
    seed: int, orders: tuple[int, ...] = (2, 3, 5, 9, 17, 33), mean: float = 20.0, customers: int = 2000
) -> pd.DataFrame:
    """Customers with one and the same habit (a Poisson process, `mean` days), who differ only in how often they have ordered.

    Columns orders, lowest (mean of the shortest time so far, days), error (its standard error), next (mean time to the next
    order), expected (mean / (orders - 1): the mean of the least of so many exponential times).
    """
    rows = []
    for n in orders:
        gaps = -mean * np.log1p(-draws.uniform(seed, f"gaps of {n} orders", np.arange(customers), n=n))
        least = gaps[:, : n - 1].min(axis=1)
        error = least.std(ddof=1) / np.sqrt(customers)
        rows.append((n, least.mean(), error, gaps[:, n - 1].mean(), mean / (n - 1)))
    return pd.DataFrame(rows, columns=["orders", "lowest", "error", "next", "expected"])


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
        ends = inference.mean(gap, inference.ROUNDED)
        explained = 1 - (gap**2).sum() / ((target - target.mean()) ** 2).sum()
        rows.append((name, ends["estimate"], ends["low"], ends["high"], explained, len(gap)))
    return pd.DataFrame(rows, columns=["method", "error", "low", "high", "explained", "rows"])


def rule_forest(table: pd.DataFrame, seed: int) -> tuple[RandomForestClassifier, OrdinalEncoder]:
    """Next_Product from the three columns of ownership, tuned by grid search; and the labels as numbers.

    Rows whose next product is not known, or who own all there is, are left out. Raises ValueError where none is left.
    """
    answer = next_by_rule(table)
    labels = label_encoder(answer[answer != NOTHING])
    target = encoded(labels, answer)
    rows = target != UNKNOWN
    model = RandomForestClassifier(random_state=seed)
    features, customer = table.loc[rows, list(OWNED)].to_numpy(float), table.loc[rows, "Customer_ID"]
    return _searched(model, features, target[rows], customer, "accuracy", seed), labels


def rule_scores(model: RandomForestClassifier, labels: OrdinalEncoder, table: pd.DataFrame) -> pd.DataFrame:
    """Accuracy of forest and rule on rows whose next product is known, by whether a cell was missing: cells, rows, forest, rule, low, high.

    low and high are the exact interval of the forest's accuracy (Clopper and Pearson 1934); the rule is right by construction.
    """
    answer = next_by_rule(table)
    target = encoded(labels, answer)
    complete = table[list(OWNED)].notna().all(axis=1).to_numpy()
    said = model.predict(table[list(OWNED)].to_numpy(float))
    rows = []
    for name, mine in (("all known", complete), ("some missing", ~complete)):
        chosen = mine & (target != UNKNOWN)
        if chosen.any():
            right = encoded(labels, next_by_rule(table[chosen])) == target[chosen]
            hits = said[chosen] == target[chosen]
            ends = inference.share(int(hits.sum()), len(hits), method="beta")
            rows.append((name, len(hits), ends["estimate"], float(right.mean()), float(ends["low"]), float(ends["high"])))
    return pd.DataFrame(rows, columns=["cells", "rows", "forest", "rule", "low", "high"])
