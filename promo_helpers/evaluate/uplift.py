"""Does a score put those first whom an offer moves? TOC, AUTOC, Qini and uplift at k, each with half-sample intervals by customer.

TOC(q) = mean effect among the first share q of the ranking - mean effect of all; AUTOC is its integral, Qini the integral of q TOC(q)
(Yadlowsky et al., JASA 2025). Effects come as doubly robust scores (`scores.doubly_robust`), G[:, j] - G[:, 0] for arm j. The ranking must
have been fitted on other customers than it is scored on: nothing here can check that.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from promo_helpers.evaluate.halves import Ranking, customers, first_rows, interval, over_halves, same_length
from promo_helpers.evaluate.scores import scores_of
from promo_helpers.experiment import Experiment

GRID = np.linspace(0.02, 1, 50)  # shares at which the TOC is drawn
METRICS = ("AUTOC", "Qini")


@dataclass(frozen=True)
class Rates:
    """table: name, metric (AUTOC, Qini), estimate, se, low, high. curve: name, share, toc, se, low, high. against: name, metric,
    estimate, se, low, high of the difference to one of the names, on the same half-samples; empty without one."""

    table: pd.DataFrame
    curve: pd.DataFrame
    against: pd.DataFrame


def rate_of(count: np.ndarray, total: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """[some, 2 + share] AUTOC, Qini and TOC from rows and summed effects of each group of ties, [some, group], highest score first.

    With M rows of total C before a group of N rows of mean g, TOC within it is (C + j g) / (M + j) - all, j = 1..N, which sums to
    N g + (C - M g) (H(M + N) - H(M)) with harmonic numbers H. The result is grf's rank_average_treatment_effect.fit without its loop.
    """
    rows, gained = np.cumsum(count, axis=1), np.cumsum(total, axis=1)
    n, whole = rows[:, -1], gained[:, -1]
    before, owed = rows - count, gained - total
    mean = np.divide(total, count, out=np.zeros_like(total), where=count > 0)
    harmonic = np.append(0, np.cumsum(1 / np.arange(1, int(n.max()) + 1)))
    steps = harmonic[rows.astype(int)] - harmonic[before.astype(int)]
    autoc = ((owed - before * mean) * steps).sum(axis=1) / n
    qini = ((count * owed + total * (count + 1) / 2).sum(axis=1) - whole * (n + 1) / 2) / n**2
    [first] = first_rows(shares * n[:, None], count, [total])
    toc = first / (shares * n[:, None]) - (whole / n)[:, None]
    return np.column_stack([autoc, qini, toc])


def rate(
    priorities: Mapping[str, np.ndarray],
    effect: np.ndarray,
    customer: np.ndarray,
    seed: int,
    draws: int = 200,
    against: str | None = None,
    shares: np.ndarray = GRID,
    level: float = 0.95,
) -> Rates:
    """AUTOC, Qini and TOC of each named ranking of the same rows, with half-sample intervals by customer.

    priorities: name -> [row] score, highest first; ties are averaged over. effect: [row] doubly robust score of the effect. All names are
    scored on the same half-samples, so differences `against` one of them are paired. Raises ValueError for lengths that differ, numbers
    that are missing, shares outside (0, 1], and fewer than four customers; KeyError for an unknown `against`.
    """
    effect, shares = np.asarray(effect, float), np.asarray(shares, float)
    if not ((shares > 0) & (shares <= 1)).all():
        raise ValueError("shares must lie above 0 and at most at 1")
    if against is not None and against not in priorities:
        raise KeyError(f"there is no ranking '{against}'; there are {', '.join(priorities)}")
    same_length(effect=effect, customer=customer, **{f"priority '{k}'": np.asarray(v, float) for k, v in priorities.items()})
    code, people = customers(customer)

    def statistic(most: int | None) -> Callable[[np.ndarray], np.ndarray]:
        rankings = [Ranking(p, code, len(people), most) for p in priorities.values()]
        tables = [(r.table(np.ones(len(effect))), r.table(effect)) for r in rankings]
        return lambda inside: np.stack([rate_of((c @ inside.T).T, (t @ inside.T).T, shares) for c, t in tables], axis=1)

    point = statistic(None)(np.ones((1, len(people))))[0]
    halves = over_halves(statistic(Ranking.BLOCKS), people, draws, seed)
    columns = interval(point, halves, level)
    wide = {name: {k: v[i] for k, v in columns.items()} for i, name in enumerate(priorities)}
    table = [
        {"name": name, "metric": m, **{k: v[j] for k, v in own.items()}}
        for name, own in wide.items()
        for j, m in enumerate(METRICS)
    ]
    curve = [
        pd.DataFrame({"name": name, "share": shares} | {k: v[2:] for k, v in own.items()}).rename(columns={"estimate": "toc"})
        for name, own in wide.items()
    ]
    gaps: list[dict[str, object]] = []
    if against is not None:
        base = list(priorities).index(against)
        for i, name in enumerate(priorities):
            gap = interval(point[i, :2] - point[base, :2], halves[:, i, :2] - halves[:, base, :2], level)
            gaps += [{"name": name, "metric": m, **{k: v[j] for k, v in gap.items()}} for j, m in enumerate(METRICS) if i != base]
    return Rates(pd.DataFrame(table), pd.concat(curve, ignore_index=True), pd.DataFrame(gaps))


def uplift_at_k(
    priority: np.ndarray,
    y: np.ndarray,
    treated: np.ndarray,
    probability: np.ndarray,
    effect: np.ndarray,
    customer: np.ndarray,
    shares: Sequence[float],
    seed: int,
    draws: int = 200,
    level: float = 0.95,
) -> pd.DataFrame:
    """Mean effect among the first share of the ranking, two ways: share, method, estimate, se, low, high.

    "difference in means" weights each outcome by one over the chance of the arm that the row got (`probability` [row]; with equal chances
    the plain difference); "doubly robust" is the mean of `effect`. Ties at the border count in part. Raises as `rate` does, and where
    one of the two arms is not there.
    """
    y, treated, probability = np.asarray(y, float), np.asarray(treated), np.asarray(probability, float)
    effect, at = np.asarray(effect, float), np.asarray(shares, float)
    same_length(
        priority=np.asarray(priority, float), y=y, treated=treated, probability=probability, effect=effect, customer=customer
    )
    if set(np.unique(treated)) != {0, 1}:
        raise ValueError("treated must hold 0 and 1, both of them: without a control there is no effect")
    if not ((at > 0) & (at <= 1)).all():
        raise ValueError("shares must lie above 0 and at most at 1")
    code, people = customers(customer)
    worth = [a / probability for a in (treated == 1, treated == 0)]

    def statistic(most: int | None) -> Callable[[np.ndarray], np.ndarray]:
        ranking = Ranking(priority, code, len(people), most)
        tables = [ranking.table(v) for v in (np.ones(len(y)), effect, *(w * v for w in worth for v in (y, 1.0)))]

        def of(inside: np.ndarray) -> np.ndarray:
            count, *parts = ((t @ inside.T).T for t in tables)
            n = at * count.sum(axis=1)[:, None]
            robust, up, ups, down, downs = first_rows(n, count, parts)
            with np.errstate(divide="ignore", invalid="ignore"):  # too few rows to hold both arms: not a number
                return np.stack([up / ups - down / downs, robust / n], axis=1)

        return of

    point = statistic(None)(np.ones((1, len(people))))[0]
    columns = interval(point, over_halves(statistic(Ranking.BLOCKS), people, draws, seed), level)
    rows = []
    for i, method in enumerate(("difference in means", "doubly robust")):
        rows.append(pd.DataFrame({"share": at, "method": method} | {k: v[i] for k, v in columns.items()}))
    return pd.concat(rows, ignore_index=True)


def contrast_at_k(
    experiment: Experiment,
    arm: str,
    outcome: str,
    rankings: Mapping[str, Callable[[pd.DataFrame], np.ndarray]],
    shares: Sequence[float],
    seed: int,
    draws: int = 200,
) -> pd.DataFrame:
    """`uplift_at_k` of one arm against the control, for rankings by name: learner, share, method, estimate, se, low, high.

    Only the rows of the two arms count, with the chances that they have among the two: with those of a trial of three arms every residual
    would weigh half as much again. A ranking gives [row] scores for features. Raises as `uplift_at_k` and `scores_of` do.
    """
    two = experiment.contrast(arm)
    scores = scores_of(two, outcome, seed)
    chance = np.asarray(two.probability)
    parts = [
        uplift_at_k(
            ranking(two.features),
            two.outcome(outcome),
            two.arm,
            chance,
            scores[:, 1] - scores[:, 0],
            two.customer,
            shares,
            seed,
            draws,
        ).assign(learner=name)
        for name, ranking in rankings.items()
    ]
    table = pd.concat(parts, ignore_index=True)
    return table[["learner", *table.columns.drop("learner")]]
