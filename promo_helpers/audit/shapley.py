"""What each feature adds to a prediction: interventional Shapley values of any function, the whole decision in rupees included.

Interventional: a feature that is left out is drawn from other customers, whatever the rest of the row says, so the function is asked
about rows that nobody is like, and only what the function *uses* is credited (Janzing, Minorics and Bloebaum 2020). Observational
values leave a feature out by what the others tell of it; then a feature that the function never reads has a share as well. Both add up.

The sampler is that of Castro, Gomez and Tejada (2009) in antithetic pairs (Mitchell et al. 2022): for each row and each row of the
background, features are switched from one to the other in a random order and in its reverse. The sum over features telescopes, so that
base and values add up to the prediction exactly, for any number of draws. shap's own permutation explainer takes one order for all of
the background, and compiles for nine seconds in every process; tests hold this one against shap's exact explainers.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from sklearn.tree import DecisionTreeRegressor

from promo_helpers import draws, inference
from promo_helpers import draws as keyed
from promo_helpers.models.demand import DemandResponse
from promo_helpers.models.purchase import PurchaseModel, predicted_probability
from promo_helpers.trees import Booster
from promo_helpers.trees import boosted as boosted_trees

Function = Callable[[pd.DataFrame], np.ndarray]  # features -> [row] or [row, output]
CHUNK = 60_000  # rows asked of a function at a time
TOLERANCE = 1e-8  # of the spread of the predictions
ALONE = 5  # rows asked one by one, to see whether that matters


@dataclass(frozen=True)
class Attributions:
    """base [output], added [row, player, output], predicted [row, output]; x: the rows explained; players: names of the features, or
    of the groups of features that are switched together."""

    base: np.ndarray
    added: np.ndarray
    predicted: np.ndarray
    x: pd.DataFrame
    players: tuple[str, ...]

    def between(self, first: np.ndarray, second: np.ndarray | None = None) -> "Attributions":
        """Each row's output number `first` less number `second` (-1 or None: less nothing), as the only output; base is then [row, 1].
        Shapley values are linear, so a contrast of two arms needs no further sampling."""
        rows = np.arange(len(self.predicted))
        wide = [np.concatenate([a, np.zeros_like(a[..., :1])], axis=-1) for a in (self.base, self.added, self.predicted)]
        second = np.full(len(rows), -1) if second is None else second
        values, predicted = (a[rows, ..., first] - a[rows, ..., second] for a in wide[1:])
        base = wide[0][first] - wide[0][second]
        return replace(self, base=base[:, None], added=values[..., None], predicted=predicted[:, None])

    def gap(self) -> float:
        """Largest |base + sum of values - prediction|, as a share of the spread of the predictions."""
        total = self.base + self.added.sum(axis=1)
        return float(np.abs(total - self.predicted).max() / max(float(self.predicted.std()), 1e-12))

    def checked(self) -> "Attributions":
        """These, once it is sure that they add up. Raises ValueError where they do not: then they explain something else."""
        if not self.gap() <= TOLERANCE:
            raise ValueError(
                f"base and values miss the prediction by {self.gap():.2g} of its spread (at most {TOLERANCE:g} may be)"
            )
        return self

    def table(self, output: int = 0) -> pd.DataFrame:
        """[row, player] values of one output."""
        return pd.DataFrame(self.added[..., output], columns=list(self.players), index=self.x.index)

    def importance(self, output: int = 0) -> pd.Series:
        """Mean absolute value by player, largest first."""
        return self.table(output).abs().mean().sort_values(ascending=False, kind="stable")

    def grouped(self, groups: Mapping[str, Sequence[str]]) -> "Attributions":
        """Sums over groups of players. A player in no group is one of "other"."""
        place = {p: name for name, members in groups.items() for p in members}
        names = [*groups, *(["other"] if any(p not in place for p in self.players) else [])]
        member = np.array([[place.get(p, "other") == n for p in self.players] for n in names], float)
        return replace(self, added=np.einsum("gp,rpo->rgo", member, self.added), players=tuple(names))


def explain(
    function: Function, x: pd.DataFrame, background: pd.DataFrame, seed: int,
    groups: Mapping[str, Sequence[str]] | None = None, ids: tuple[Any, Any] | None = None,
) -> Attributions:  # fmt: skip
    """Interventional Shapley values of `function` for the rows of x, beside its mean over the rows of the background.

    groups: players are groups of columns, switched together; columns in no group form "other". Their values are the Shapley values of
    the game between groups, not sums of those of their columns. What a row has in common with a background row costs nothing.
    ids: of the rows of x and of those of the background, such as customers; without them their index. Each pair of them has orders of
    its own, whichever others are explained and whatever the two have in common.
    Raises ValueError for a background without rows, for columns that differ, and for a function whose answer to a row depends on the
    other rows it is asked with: its values would add up, to nothing that the row was ever told.
    """
    columns = list(x)
    if background.empty or list(background) != columns:
        raise ValueError("the background needs rows, and the columns of the rows to explain, in their order")
    member = (
        dict.fromkeys(columns, "other") | {c: g for g, cs in groups.items() for c in cs} if groups else {c: c for c in columns}
    )
    players = tuple(dict.fromkeys([*(groups or columns), *(member[c] for c in columns)]))
    player = np.array([players.index(member[c]) for c in columns])
    rows, others = x.to_numpy(float), background.to_numpy(float)
    predicted, start = (_ask(function, part, columns) for part in (rows, others))
    alone = np.concatenate([_ask(function, rows[k : k + 1], columns) for k in range(min(len(rows), ALONE))])
    if not np.allclose(alone, predicted[: len(alone)], rtol=0, atol=TOLERANCE * max(float(predicted.std()), 1e-12)):
        raise ValueError("the function answers a row asked alone otherwise than among others: it cannot be explained row by row")
    numbers = [draws.words(0, "row of an explanation", names) for names in (ids or (x.index, background.index))]
    values = np.zeros((len(rows), len(players), predicted.shape[1]))
    states: list[np.ndarray] = []
    walks: list[tuple[int, int, np.ndarray]] = []

    def settle() -> None:
        answers = _ask(function, np.concatenate(states), columns) if states else np.empty((0, values.shape[2]))
        at = 0
        for i, b, order in walks:
            length = max(len(order) - 1, 0)
            path = np.concatenate([start[b : b + 1], answers[at : at + length], predicted[i : i + 1]])
            values[i, order] += np.diff(path, axis=0) / (2 * len(others))
            at += length
        states.clear()
        walks.clear()

    for i, row in enumerate(rows):
        pair = np.full(len(others), numbers[0][i]), numbers[1]
        orders = np.argsort(draws.uniform(seed, "orders of features", *pair, n=len(players)), axis=1)
        for b, other in enumerate(others):
            differs = np.zeros(len(players), bool)
            differs[player[~((row == other) | (np.isnan(row) & np.isnan(other)))]] = True
            order = orders[b, differs[orders[b]]]
            for way in (order, order[::-1]):
                if not len(way):
                    continue
                rank = np.full(len(players), len(way))
                rank[way] = np.arange(len(way))
                switched = rank[player] < np.arange(1, len(way))[:, None]
                states.append(np.where(switched, row, other))
                walks.append((i, b, way))
        if sum(map(len, states)) > CHUNK:
            settle()
    settle()
    return Attributions(start.mean(axis=0), values, predicted, x, players).checked()


def _ask(function: Function, rows: np.ndarray, columns: list[str]) -> np.ndarray:
    parts = np.array_split(rows, -(-len(rows) // CHUNK) or 1)
    found = np.concatenate([np.asarray(function(pd.DataFrame(p, columns=columns)), float) for p in parts])
    return found.reshape(len(rows), -1)


def profit_over_none(response: DemandResponse, reference: pd.DataFrame, model: int = 0) -> Function:
    """features -> [row, offer]: profit of each offer less that of none.

    A contact's cost takes the mean margin of the rows it is asked with (`Costs.of`); a function to be explained may not, so here it is that
    of `reference`.
    """
    margin = float(reference["margin"].mean())

    def function(x: pd.DataFrame) -> np.ndarray:
        own, fixed = response.costs.of(x), response.costs.of(x.assign(margin=margin))
        return response.expected(x, model).gain[:, 1:] + (own - fixed)[:, None]

    return function


def rupees_and_lift(response: DemandResponse, reference: pd.DataFrame, model: int = 0) -> Function:
    """features -> [row, offer and offer]: the rupees of each offer, and after them the log of the units that it multiplies: what a Poisson
    model's own attributions explain."""
    money = profit_over_none(response, reference, model)

    def function(x: pd.DataFrame) -> np.ndarray:
        units = response.expected(x, model).units
        return np.hstack([money(x), np.log(units[:, 1:]) - np.log(units[:, :1])])

    return function


def net_profit(response: DemandResponse, reference: pd.DataFrame, price: float, model: int = 0) -> Function:
    """features -> [row, arm]: profit less `price` times spend, with none first: the arm of the largest is the decision under a budget
    whose shadow price is `price`."""
    money = profit_over_none(response, reference, model)

    def function(x: pd.DataFrame) -> np.ndarray:
        spend = response.expected(x, model).spend
        return np.hstack([np.zeros((len(x), 1)), money(x) - price * spend[:, 1:]])

    return function


def first_two(gain: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """[row] the best arm and the runner-up of [row, arm]; of equal ones the first."""
    order = np.argsort(-gain, axis=1, kind="stable")
    return order[:, 0], order[:, 1]


SETTINGS: dict[str, Any] = {
    "objective": "l2",
    "num_leaves": 15,
    "learning_rate": 0.1,
    "min_data_in_leaf": 20,
    "feature_fraction": 0.7,
}
ROUNDS, HYBRIDS, MIXED = 300, 60_000, 0.1
POINTS = 32  # of each row: its chance to be part of a hybrid then varies by a sixth, not by as much as itself
LEAST_R2, LEAST_AGREEMENT = 0.8, 0.9
# what the trees miss is explained by nobody: at most a fifth of the variance of the rupees, and at most one decision in ten, may be
# such; with less, a reader would too often be told the reasons of a decision that the rule did not take
EXACT = 1e-6  # of the spread of the predictions; shap sums in another order than LightGBM
Rupees = Callable[[pd.DataFrame], np.ndarray]  # features -> [row]


@dataclass(frozen=True)
class Fidelity:
    """r2 of the rupees and agreement of the decision (more than nothing, or not), on rows of customers that the trees have not seen."""

    r2: float
    agreement: float
    rows: int

    @property
    def enough(self) -> bool:
        """Whether anything of the trees may be shown."""
        return self.r2 >= LEAST_R2 and self.agreement >= LEAST_AGREEMENT


def hybrids(x: pd.DataFrame, rows: int, seed: int, ids: Any = None, mixed: float = MIXED) -> pd.DataFrame:
    """Rows of x in which each feature is another row's with chance `mixed`: a rule can be asked anything, and trees that have seen how it
    answers between customers know it better than from customers alone.

    Hybrids belong to a number, 0 to `rows` - 1, and draw two of the rows: by place on a circle on which every row (`ids`, without them
    the index of x) stands at POINTS places. So one row more or fewer changes only the hybrids that it is part of.
    """
    values, number = x.to_numpy(float), np.arange(rows)
    places = draws.uniform(seed, "places of rows", x.index if ids is None else ids, n=POINTS).ravel()
    along = np.argsort(places, kind="stable")
    pair = draws.uniform(seed, "rows of a hybrid", number, n=2)
    own, other = (values[along[np.searchsorted(places[along], at) % len(along)] // POINTS] for at in pair.T)
    return pd.DataFrame(
        np.where(draws.uniform(seed, "features mixed", number, n=x.shape[1]) < mixed, other, own), columns=list(x)
    )


def distil(rule: Rupees, x: pd.DataFrame, seed: int, rows: int = HYBRIDS, ids: Any = None) -> Booster:
    """Boosted trees of 15 leaves that stand for a rule, fitted to its answers on x and on `hybrids` of x."""
    whole = pd.concat([x, hybrids(x, rows, seed, ids)], ignore_index=True)
    return boosted(whole, rule(whole), seed)


def boosted(x: pd.DataFrame, target: np.ndarray, seed: int) -> Booster:
    """The same trees fitted to any target [row], such as the true profit where it is known."""
    return boosted_trees(x, target, seed, ROUNDS, **SETTINGS)


def one_tree(rule: Rupees, x: pd.DataFrame, seed: int, leaves: int = 16) -> DecisionTreeRegressor:
    """One tree that a person can read, fitted to the rule's answers on x."""
    return DecisionTreeRegressor(max_leaf_nodes=leaves, min_samples_leaf=20, random_state=seed).fit(x, rule(x))


def fidelity(rule_values: np.ndarray, tree_values: np.ndarray) -> Fidelity:
    """How well trees stand for a rule (values of both [row]), on rows they have not seen: rupees, and whether they exceed nothing.
    Raises ValueError for fewer than 30 rows: too few to judge."""
    if len(rule_values) < 30:
        raise ValueError(f"{len(rule_values)} rows held out are too few to judge a distilled rule by: at least 30")
    spread = float(((rule_values - rule_values.mean()) ** 2).sum())
    r2 = 1 - float(((rule_values - tree_values) ** 2).sum()) / spread if spread > 0 else 0.0
    return Fidelity(r2, float(((rule_values > 0) == (tree_values > 0)).mean()), len(rule_values))


def of_trees(trees: Booster, x: pd.DataFrame, background: pd.DataFrame | None = None) -> Attributions:
    """Exact Shapley values of boosted trees: interventional beside a background, by shap; without one by how many rows of the training
    took each branch, by LightGBM, which approximates observational values (Lundberg et al. 2020). A classifier's are in log odds.
    Raises ValueError where they miss the prediction."""
    if background is None:
        each = np.asarray(trees.predict(x, pred_contrib=True))
        added, base = each[:, :-1], each[0, -1]
    else:
        import shap

        explainer = shap.TreeExplainer(trees, background, feature_perturbation="interventional")
        added, base = np.asarray(explainer.shap_values(x)), float(np.ravel(explainer.expected_value)[0])
    found = Attributions(np.array([base]), added[..., None], np.asarray(trees.predict(x, raw_score=True))[:, None], x, tuple(x))
    if not found.gap() <= EXACT:
        raise ValueError(f"base and values miss the prediction by {found.gap():.2g} of its spread (at most {EXACT:g} may be)")
    return found


def best_offer(offers: Function) -> Rupees:
    """features -> [row] rupees of the best offer over none, from [row, offer]: above nothing where somebody is worth contacting."""
    return lambda x: np.asarray(offers(x).max(axis=1))


def decision_margin(offers: Function) -> Rupees:
    """features -> [row] rupees of the chosen arm over the runner-up, below nothing where the chosen one is none."""

    def rule(x: pd.DataFrame) -> np.ndarray:
        two = np.sort(offers(x), axis=1)[:, -2:]
        return np.where(two[:, 1] > 0, two[:, 1] - np.maximum(two[:, 0], 0), two[:, 1])

    return rule


def chances(model: PurchaseModel, part: str = "ensemble") -> Function:
    """features -> [row] chance of buying, by the ensemble or by one of its parts; in double precision, or a row alone gets other digits."""
    if part == "ensemble":
        return lambda x: model.predict(x.to_numpy(float))["ensemble"]
    return lambda x: predicted_probability(model.models[part], x.to_numpy(float))


def true_types(gain: np.ndarray, buys: np.ndarray, units: np.ndarray, sure: float = 0.25) -> np.ndarray:
    """[row] the true type from true expectations [row, arm]: "persuadable" where some offer earns; of the others "sleeping dog" where a
    reminder alone sells less of the product than none, else by the chance of buying without, as `evaluate.uplift.customer_types`."""
    kind = np.where(buys[:, 0] >= sure, "sure thing", "lost cause")
    kind = np.where(units[:, 1] < units[:, 0], "sleeping dog", kind)
    return np.where(gain[:, 1:].max(axis=1) > 0, "persuadable", kind)


def jackknife_error(whole: np.ndarray, parts: np.ndarray, rows: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Standard error [player] by the model: a jackknife over models [part, player] that each leave a part of the customers out (Efron and
    Tibshirani 1993, chapter 11); and that of the customers, by the values [row, player] that `whole` is the mean of."""
    model = inference.jackknife_error(parts)
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


def spread(added: pd.DataFrame, leave: np.ndarray, level: float = inference.ROUNDED) -> pd.DataFrame:
    """Rows feature, value (mean size), low, high, the largest first: the interval joins the error of the model, as a share found by models
    [part, feature] on fewer rows, and that of the customers."""
    size = added.abs()
    value = size.mean().to_numpy()
    model, drawn = jackknife_error(value, leave, size.to_numpy())
    share = model / np.maximum(leave.mean(axis=0), 1e-12)
    ends = inference.interval(value, np.sqrt((share * value) ** 2 + drawn**2), level)
    table = pd.DataFrame({"feature": list(added), "value": value, "low": np.maximum(ends["low"], 0), "high": ends["high"]})
    return table.sort_values("value", ascending=False, kind="stable", ignore_index=True)


def importance_agreement(one: np.ndarray, other: np.ndarray, ids: Any, seed: int, draws: int = 200) -> tuple[float, float, float]:
    """Rank correlation of two importances, each the mean size of values [row, feature] of the same rows; and its 95 % bootstrap interval
    over rows, whose `ids` are given."""

    def match(weight: np.ndarray) -> float:
        return float(pd.Series(weight @ one).corr(pd.Series(weight @ other), method="spearman"))

    again = [match(weight) for weight in keyed.bootstrap(seed, "importances alike", ids, n=draws)]
    return match(np.ones(len(one))), *inference.percentiles(again).tolist()


def topic_agreement(one: pd.DataFrame, other: pd.DataFrame, silent: Sequence[str]) -> tuple[float, float]:
    """Of rows [row, topic]: share whose strongest topic in `one` is first or second in `other`, and share whose two strongest are among the
    first four there; topics in `silent` are left out of both."""
    kept = [c for c in one if c not in silent]
    rank = np.argsort(np.argsort(-other[kept].to_numpy(float), axis=1, kind="stable"), axis=1)
    named = np.argsort(-one[kept].to_numpy(float), axis=1, kind="stable")[:, :2]
    there = np.take_along_axis(rank, named, axis=1)
    return float((there[:, 0] < 2).mean()), float((there < 4).all(axis=1).mean())


def plane_purity(plane: np.ndarray, chosen: np.ndarray, ids: Any, seed: int, bins: int = 26) -> tuple[float, float]:
    """How far a place in a plane [row, 2] settles a choice [row]: share of rows chosen as most of their cell are, and share of the chosen
    whose cell says no; cells between quantiles of .5 and 99.5 % are filled with a random half of the rows, by their `ids`, and judged
    on the other."""
    edges = [np.linspace(np.quantile(v, 0.005), np.quantile(v, 0.995), bins + 1)[1:-1] for v in plane.T]
    cell = np.ravel_multi_index(tuple(np.digitize(v, e) for v, e in zip(plane.T, edges, strict=True)), (bins, bins))
    half = keyed.parts(seed, "cells filled", ids, number=2) == 0
    most = np.bincount(cell[half], np.where(chosen[half], 1.0, -1.0), bins * bins) > 0
    told = most[cell[~half]]
    return float((told == chosen[~half]).mean()), float((~told[chosen[~half]]).mean())
