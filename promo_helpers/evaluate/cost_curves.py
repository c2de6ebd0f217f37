"""What a budget buys: the multi-arm Qini (Sverdrup, Wu, Athey and Wager, arXiv 2306.11979; the package maq).

At a budget B the policy gives each row the arm that maximises predicted effect - lambda x predicted cost, with lambda such that the mean
predicted cost is B. Its gain is the mean doubly robust effect of the arms so given: the prediction chooses, it does not judge.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from promo_helpers.draws import rounded
from promo_helpers.inference import Ranking, customers, first_rows, from_half_samples, over_half_samples, same_length
from promo_helpers.knapsack import ROUNDING, upgrades
from promo_helpers.trees import Booster, binned, boosted

UNTARGETED = "untargeted"
Statistic = Callable[[np.ndarray], np.ndarray]  # [some, customer] who is in -> [some, profit or cost, spend]


@dataclass(frozen=True)
class UpgradePath:
    """Moves to a dearer arm: row, arm, before (the arm left, 0 at first), slope (effect gained per unit of cost), cost (added)."""

    row: np.ndarray
    arm: np.ndarray
    before: np.ndarray
    slope: np.ndarray
    cost: np.ndarray


@dataclass(frozen=True)
class BudgetCurves:
    """curve: name, spend, gain, se, low, high, spent, spent_low, spent_high (per row; spent only where scores of the cost are given).
    against: name, spend, estimate, se, low, high of the gain above the untargeted policy. area: name, estimate, se, low, high of the mean
    of that difference over the spends (an integral over an even grid, divided by its length)."""

    curve: pd.DataFrame
    against: pd.DataFrame
    area: pd.DataFrame


def policy_path(effect: np.ndarray, cost: np.ndarray) -> UpgradePath:
    """The upper left hull of (cost, effect) of each row, from the control at (0, 0), as moves in falling order of slope.

    effect, cost: [row, arm] predicted against the control, which is arm 0. Raises ValueError for shapes that differ, numbers that are
    missing, and an arm that costs nothing: what is free needs no budget.
    """
    effect, cost = np.asarray(effect, float), np.asarray(cost, float)
    if effect.shape != cost.shape or effect.ndim != 2 or effect.shape[1] < 2:
        raise ValueError(f"effect is {effect.shape}, cost {cost.shape}: both must be [row, arm], the control first")
    same_length(effect=effect, cost=cost)
    if (effect[:, 0] != 0).any() or (cost[:, 0] != 0).any():
        raise ValueError("effect and cost of arm 0 must be 0: they are against the control")
    if (cost[:, 1:] <= 0).any():
        cheap = int((cost[:, 1:] <= 0).any(axis=1).sum())
        raise ValueError(f"predicted cost must be above 0 for every arm but the control ({cheap:,} rows have one that is not)")
    found = upgrades(np.ascontiguousarray(effect), np.ascontiguousarray(cost))
    order = np.argsort(-rounded(found.slope), kind="stable")
    return UpgradePath(*(part[order] for part in (found.row, found.arm, found.before, found.slope, found.use)))


def assigned(path: UpgradePath, rows: int, spend: float) -> np.ndarray:
    """[row] arm of the policy that spends at most `spend` a row as predicted; moves that no longer fit are not begun."""
    arm = np.zeros(rows, int)
    within = np.cumsum(path.cost) <= spend * rows * (1 + ROUNDING)
    arm[path.row[within]] = path.arm[within]  # later moves of a row stand later in the path
    return arm


def along(
    path: UpgradePath, gains: list[np.ndarray], spends: np.ndarray, code: np.ndarray, people: int, most: int | None
) -> Statistic:
    """The sums of each of `gains` ([row, arm]) over the moves that each spend pays for: see `multi_arm_qini`."""
    if not len(path.row):
        return lambda inside: np.zeros((len(inside), len(gains), len(spends)))
    rank = Ranking(path.slope, code[path.row], people, most)  # moves of one slope are begun together, each in part
    tables = [rank.table(v) for v in (path.cost, *(g[path.row, path.arm] - g[path.row, path.before] for g in gains))]
    rows = np.bincount(code, minlength=people)

    def of(inside: np.ndarray) -> np.ndarray:
        cost, *parts = ((t @ inside.T).T / (inside @ rows)[:, None] for t in tables)
        return np.stack(first_rows(spends, cost, parts), axis=1)

    return of


def flat(
    effect: np.ndarray, cost: np.ndarray, gains: list[np.ndarray], spends: np.ndarray, code: np.ndarray, people: int
) -> Statistic:
    """The same for the policy that knows only means: shares of all rows, drawn at random, get the arms on the hull of the means."""
    hull = policy_path(effect.mean(axis=0, keepdims=True), cost.mean(axis=0, keepdims=True))
    arms = np.append(0, hull.arm)
    rows = np.bincount(code, minlength=people)
    by = [np.stack([np.bincount(code, v[:, j], minlength=people) for j in arms], axis=1) for v in (cost, *gains)]

    def of(inside: np.ndarray) -> np.ndarray:
        steps = [np.diff(inside @ v / (inside @ rows)[:, None], axis=1) for v in by]  # [some, move]
        return np.stack(first_rows(spends, steps[0], steps[1:]), axis=1)

    return of


def multi_arm_qini(
    policies: Mapping[str, tuple[np.ndarray, np.ndarray]],
    scores: np.ndarray,
    customer: np.ndarray,
    spends: np.ndarray,
    seed: int,
    draws: int = 200,
    cost_scores: np.ndarray | None = None,
    level: float = 0.95,
) -> BudgetCurves:
    """Gain of each policy at each planned spend a row, with half-sample intervals by customer (the policy is re-cut in each half).

    policies: name -> (effect, cost), each [row, arm] as predicted against arm 0 by models of other customers. scores: [row, arm] doubly
    robust scores of profit, levels not differences. cost_scores: the same of what was spent; then `spent` says what the planned spend
    would really have cost. "untargeted" is the first policy without the features: the best mix of arms for everybody, drawn at random;
    every difference is paired with it. Raises as `policy_path` does, and for spends that are negative, missing or do not rise.
    """
    scores, spends = np.asarray(scores, float), np.asarray(spends, float)
    if not (np.isfinite(spends).all() and (spends >= 0).all() and (np.diff(spends) > 0).all()):
        raise ValueError("spends must be numbers from 0 on, in rising order")
    if UNTARGETED in policies:
        raise ValueError(f"'{UNTARGETED}' is the name of the comparison: give the policy another")
    given = {f"effect of '{name}'": np.asarray(p[0], float) for name, p in policies.items()}
    same_length(scores=scores, customer=customer, **given, **({} if cost_scores is None else {"cost_scores": cost_scores}))
    for name, (effect, _) in policies.items():
        if np.shape(effect) != scores.shape:
            raise ValueError(f"effect of '{name}' is {np.shape(effect)}, scores are {scores.shape}: they must be of one shape")
    judged = [scores] if cost_scores is None else [scores, np.asarray(cost_scores, float)]
    code, people = customers(customer)
    paths = [policy_path(*given) for given in policies.values()]
    first = [np.asarray(part, float) for part in next(iter(policies.values()))]

    def statistic(most: int | None) -> Statistic:
        every = [along(path, judged, spends, code, len(people), most) for path in paths]
        every.append(flat(first[0], first[1], judged, spends, code, len(people)))
        return lambda inside: np.stack([of(inside) for of in every], axis=1)  # [some, policy, profit or cost, spend]

    point = statistic(None)(np.ones((1, len(people))))[0]
    halves = over_half_samples(statistic(Ranking.BLOCKS), people, draws, seed)
    curve, against, area = [], [], []
    for i, name in enumerate([*policies, UNTARGETED]):
        frame = pd.DataFrame({"name": name, "spend": spends} | from_half_samples(point[i, 0], halves[:, i, 0], level))
        frame = frame.rename(columns={"estimate": "gain"})
        if cost_scores is not None:
            spent = from_half_samples(point[i, 1], halves[:, i, 1], level)
            frame = frame.assign(spent=spent["estimate"], spent_low=spent["low"], spent_high=spent["high"])
        curve.append(frame)
        if name != UNTARGETED:
            gap, gaps = point[i, 0] - point[-1, 0], halves[:, i, 0] - halves[:, -1, 0]
            against.append(pd.DataFrame({"name": name, "spend": spends} | from_half_samples(gap, gaps, level)))
            means = from_half_samples(mean_over(gap, spends), mean_over(gaps, spends), level)
            area.append({"name": name} | {k: float(v) for k, v in means.items()})
    return BudgetCurves(pd.concat(curve, ignore_index=True), pd.concat(against, ignore_index=True), pd.DataFrame(area))


def mean_over(gap: np.ndarray, spends: np.ndarray) -> np.ndarray:
    """Mean of a curve over the spends from 0 on (trapezia), along its last axis; at no spend there is no gain."""
    if spends[0] > 0:
        spends, gap = np.append(0, spends), np.concatenate([np.zeros((*gap.shape[:-1], 1)), gap], axis=-1)
    return np.trapezoid(gap, spends, axis=-1) / (spends[-1] - spends[0]) if len(spends) > 1 else gap[..., 0]


TREES: dict[str, Any] = {
    "objective": "l2", "num_leaves": 31, "learning_rate": 0.07, "min_data_in_leaf": 250, "feature_fraction": 0.5, "bagging_fraction": 0.5,
    "bagging_freq": 1, "max_bin": 63,
}  # fmt: skip
ROUNDS = 160
PRICES = np.append(0.0, np.geomspace(0.01, 30, 60))  # shadow prices of the frontier


@dataclass(frozen=True)
class InformedOracle:
    """Fitted expectations given the features: one model an arm but the control, for gain and for spend."""

    gains: tuple[Booster, ...]
    spends: tuple[Booster, ...]
    columns: tuple[str, ...]

    def expected(self, features: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
        """[row, arm] expected gain and spend; column 0 is 0."""
        x = features[list(self.columns)]
        zero = np.zeros((len(x), 1))
        return (
            np.hstack([zero, np.column_stack([m.predict(x) for m in self.gains])]),
            np.hstack([zero, np.maximum(np.column_stack([m.predict(x) for m in self.spends]), 0)]),
        )


def fit_informed_oracle(features: pd.DataFrame, gain: np.ndarray, spend: np.ndarray, seed: int = 0) -> InformedOracle:
    """Fit to true expectations [row, arm] of decisions described by `features`; column 0, the control, is 0 in both."""
    data = binned(features, max_bin=TREES["max_bin"])

    def fit(target: np.ndarray) -> tuple[Booster, ...]:
        return tuple(boosted(data, target[:, a], seed, ROUNDS, **TREES) for a in range(1, target.shape[1]))

    return InformedOracle(fit(gain), fit(spend), tuple(features))


@dataclass(frozen=True)
class Frontier:
    """What the informed oracle earns at each true expected spend, a decision: both increasing."""

    spend: np.ndarray
    value: np.ndarray

    @property
    def best(self) -> float:
        """Its value without a budget."""
        return float(self.value[-1])

    def at(self, spend: float) -> float:
        """Its value at a spend; beyond its own best it spends no more."""
        return float(np.interp(spend, self.spend, self.value))


def frontier(expected: tuple[np.ndarray, np.ndarray], gain: np.ndarray, spend: np.ndarray) -> Frontier:
    """Value and spend, by the true `gain` and `spend` [row, arm], of the policies argmax(E[gain | x] - price x E[spend | x]).

    Between two policies lie their random mixtures, so the frontier is the concave hull of the points, from nobody on.
    """
    rows, points = np.arange(len(gain)), [(0.0, 0.0)]
    for price in PRICES:
        arm = np.argmax(expected[0] - price * expected[1], axis=1)
        points.append((float(spend[rows, arm].mean()), float(gain[rows, arm].mean())))
    hull: list[tuple[float, float]] = []
    top = max(v for _, v in points)
    for x, v in dict(sorted(points)).items():  # the best at each spend
        while len(hull) > 1 and (hull[-1][1] - hull[-2][1]) * (x - hull[-2][0]) <= (v - hull[-2][1]) * (
            hull[-1][0] - hull[-2][0]
        ):
            hull.pop()
        hull.append((x, v))
        if v >= top:
            break
    return Frontier(*(np.array(c) for c in zip(*hull, strict=True)))


def best_one_variable_rule(features: pd.DataFrame, gain: np.ndarray, bins: int = 10) -> tuple[str, np.ndarray, np.ndarray]:
    """The best rule on one variable: its name, the edges of its tenths, and the arm of largest true gain in each."""
    best: tuple[float, str, np.ndarray, np.ndarray] = (-np.inf, "", np.empty(0), np.empty(0))
    for name in features:
        x = features[name].to_numpy(float)
        edges = np.unique(np.nanquantile(x, np.linspace(0, 1, bins + 1)[1:-1]))
        cell = np.searchsorted(edges, x, side="right")
        sums = np.column_stack([np.bincount(cell, gain[:, a], minlength=len(edges) + 1) for a in range(gain.shape[1])])
        total = float(rounded(sums.max(axis=1).sum()))  # of equals the first feature
        if total > best[0]:
            best = (total, name, edges, rounded(sums).argmax(axis=1))
    return best[1:]


def apply_rule(rule: tuple[str, np.ndarray, np.ndarray], features: pd.DataFrame) -> np.ndarray:
    """[row] arm that a rule on one variable gives."""
    name, edges, arms = rule
    return arms[np.searchsorted(edges, features[name].to_numpy(float), side="right")]
