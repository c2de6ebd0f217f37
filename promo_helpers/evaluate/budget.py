"""What a budget buys: the multi-arm Qini (Sverdrup, Wu, Athey and Wager, arXiv 2306.11979; the package maq).

At a budget B the policy gives each row the arm that maximises predicted effect - lambda x predicted cost, with lambda such that the mean
predicted cost is B. Its gain is the mean doubly robust effect of the arms so given: the prediction chooses, it does not judge.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from promo_helpers.evaluate.halves import interval, over_halves, same_length
from promo_helpers.evaluate.uplift import Ranking

UNTARGETED = "untargeted"


@dataclass(frozen=True)
class Path:
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


def policy_path(effect: np.ndarray, cost: np.ndarray) -> Path:
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
    now = np.zeros(len(effect), int)
    rows = np.arange(len(effect))
    parts: list[tuple[np.ndarray, ...]] = []
    while len(rows):
        dearer = cost[rows] - cost[rows, now[rows]][:, None]
        better = effect[rows] - effect[rows, now[rows]][:, None]
        slope = np.divide(better, dearer, out=np.full_like(better, -np.inf), where=(dearer > 0) & (better > 0))
        steepest = slope.max(axis=1)
        going = steepest > 0
        rows, slope, steepest, dearer = rows[going], slope[going], steepest[going], dearer[going]
        level = slope >= steepest[:, None] * (1 - 1e-12)  # of equally steep arms the dearest: the others lie on the same line
        arm = np.where(level, dearer, -np.inf).argmax(axis=1)
        parts.append((rows, arm, now[rows], steepest, dearer[np.arange(len(rows)), arm]))
        now[rows] = arm
    row, arm, before, slope, added = (np.concatenate([p[i] for p in parts]) for i in range(5))
    order = np.argsort(-slope, kind="stable")
    return Path(row[order], arm[order], before[order], slope[order], added[order])


def assigned(path: Path, rows: int, spend: float) -> np.ndarray:
    """[row] arm of the policy that spends at most `spend` a row as predicted; moves that no longer fit are not begun."""
    arm = np.zeros(rows, int)
    within = np.cumsum(path.cost) <= spend * rows * (1 + 1e-12)
    arm[path.row[within]] = path.arm[within]  # later moves of a row stand later in the path
    return arm


def along(path: Path, gains: list[np.ndarray], weights: np.ndarray, spends: np.ndarray) -> list[np.ndarray]:
    """For each of `gains` ([move] what a move adds) [some, spend] its sum over the moves that the spend pays for, per weighted row."""
    if not len(path.row):
        return [np.zeros((len(weights), len(spends))) for _ in gains]
    rank = Ranking(path.slope)  # moves of one slope are begun together, each in part
    own, n = weights[:, path.row], weights.sum(axis=1)[:, None]
    cost = np.cumsum(rank.sums(own * path.cost), axis=1) / n
    out = []
    for total in (np.cumsum(rank.sums(own * g), axis=1) / n for g in gains):
        some = [np.interp(spends, np.append(0, c), np.append(0, t)) for c, t in zip(cost, total, strict=True)]
        out.append(np.array(some))
    return out


def flat(effect: np.ndarray, cost: np.ndarray, gains: list[np.ndarray], weights: np.ndarray, spends: np.ndarray) -> list[np.ndarray]:
    """The same for the policy that knows only means: shares of all rows, drawn at random, get the arms on the hull of the means."""
    hull = policy_path(effect.mean(axis=0, keepdims=True), cost.mean(axis=0, keepdims=True))
    arms = np.append(0, hull.arm)
    n = weights.sum(axis=1)[:, None]
    at = (weights @ cost)[:, arms] / n
    return [
        np.array([np.interp(spends, a, t) for a, t in zip(at, (weights @ g)[:, arms] / n, strict=True)]) for g in gains
    ]


def multi_arm_qini(
    policies: Mapping[str, tuple[np.ndarray, np.ndarray]],
    scores: np.ndarray,
    customer: np.ndarray,
    spends: np.ndarray,
    rng: np.random.Generator,
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
    judged = [g - g[:, :1] for g in (scores, *(() if cost_scores is None else (np.asarray(cost_scores, float),)))]
    paths = {name: policy_path(*given) for name, given in policies.items()}
    moves = {name: [g[p.row, p.arm] - g[p.row, p.before] for g in judged] for name, p in paths.items()}
    first = next(iter(policies.values()))

    def statistic(weights: np.ndarray) -> np.ndarray:
        every = [along(p, moves[name], weights, spends) for name, p in paths.items()]
        every.append(flat(np.asarray(first[0], float), np.asarray(first[1], float), judged, weights, spends))
        return np.stack([np.stack(one, axis=1) for one in every], axis=1)  # [some, policy, profit or cost, spend]

    point = statistic(np.ones((1, len(scores))))[0]
    halves = over_halves(statistic, customer, draws, rng)
    curve, against, area = [], [], []
    for i, name in enumerate([*policies, UNTARGETED]):
        frame = pd.DataFrame({"name": name, "spend": spends} | interval(point[i, 0], halves[:, i, 0], level))
        frame = frame.rename(columns={"estimate": "gain"})
        if cost_scores is not None:
            spent = interval(point[i, 1], halves[:, i, 1], level)
            frame = frame.assign(spent=spent["estimate"], spent_low=spent["low"], spent_high=spent["high"])
        curve.append(frame)
        if name != UNTARGETED:
            gap, gaps = point[i, 0] - point[-1, 0], halves[:, i, 0] - halves[:, -1, 0]
            against.append(pd.DataFrame({"name": name, "spend": spends} | interval(gap, gaps, level)))
            area.append({"name": name} | {k: float(v) for k, v in interval(mean_over(gap, spends), mean_over(gaps, spends), level).items()})
    return BudgetCurves(pd.concat(curve, ignore_index=True), pd.concat(against, ignore_index=True), pd.DataFrame(area))


def mean_over(gap: np.ndarray, spends: np.ndarray) -> np.ndarray:
    """Mean of a curve over the spends from 0 on (trapezia), along its last axis; at no spend there is no gain."""
    if spends[0] > 0:
        spends, gap = np.append(0, spends), np.concatenate([np.zeros((*gap.shape[:-1], 1)), gap], axis=-1)
    return np.trapezoid(gap, spends, axis=-1) / (spends[-1] - spends[0]) if len(spends) > 1 else gap[..., 0]
