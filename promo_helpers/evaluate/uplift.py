"""Does a score put those first whom an offer moves? TOC, AUTOC, Qini and uplift at k, each with half-sample intervals by customer.

TOC(q) = mean effect among the first share q of the ranking - mean effect of all; AUTOC is its integral, Qini the integral of q TOC(q)
(Yadlowsky et al., JASA 2025). Effects come as doubly robust scores (`scores.doubly_robust`), G[:, j] - G[:, 0] for arm j. The ranking must
have been fitted on other customers than it is scored on: nothing here can check that.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from promo_helpers.draws import rounded
from promo_helpers.evaluate.value import experiment_scores
from promo_helpers.experiment import Experiment
from promo_helpers.inference import (
    Ranking,
    cluster_error,
    customers,
    first_rows,
    from_half_samples,
    interval,
    mean_by_cluster,
    over_half_samples,
    same_length,
)

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
    halves = over_half_samples(statistic(Ranking.BLOCKS), people, draws, seed)
    columns = from_half_samples(point, halves, level)
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
            gap = from_half_samples(point[i, :2] - point[base, :2], halves[:, i, :2] - halves[:, base, :2], level)
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
    columns = from_half_samples(point, over_half_samples(statistic(Ranking.BLOCKS), people, draws, seed), level)
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
    would weigh half as much again. A ranking gives [row] scores for features. Raises as `uplift_at_k` and `value.experiment_scores` do.
    """
    two = experiment.contrast(arm)
    scores = experiment_scores(two, outcome, seed)
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


def by_decile(
    predicted: np.ndarray, effect: np.ndarray, customer: np.ndarray, bins: int = 10, level: float = 0.95
) -> pd.DataFrame:
    """Predicted against estimated effect in groups of about equal size: group, predicted, estimate, se, low, high, rows.

    predicted: [row] by a model fitted on other customers. effect: [row] doubly robust score of the effect, whose mean in a group is the
    estimate; its interval is by customer. Equal predictions share a group, so there may be fewer than `bins`; groups of fewer than four
    customers have no interval.
    """
    predicted, effect = np.asarray(predicted, float), np.asarray(effect, float)
    same_length(predicted=predicted, effect=effect, customer=customer)
    edges = np.unique(np.quantile(predicted, np.linspace(0, 1, bins + 1)[1:-1]))
    _, group = np.unique(np.searchsorted(edges, predicted, side="right"), return_inverse=True)
    rows = []
    for g in range(group.max() + 1):
        here = group == g
        few = len(np.unique(np.asarray(customer)[here])) < 4
        own = {"estimate": float(effect[here].mean()), "se": np.nan, "low": np.nan, "high": np.nan}
        own = own if few else mean_by_cluster(effect[here], np.asarray(customer)[here], level)
        rows.append({"group": g, "predicted": float(predicted[here].mean()), **own, "rows": int(here.sum())})
    return pd.DataFrame(rows)


def best_linear_predictor(predicted: np.ndarray, effect: np.ndarray, customer: np.ndarray, level: float = 0.95) -> pd.DataFrame:
    """Two rows, "mean" and "slope": estimate, se, low, high. The slope is 1 where the predicted spread is right, 0 where it is noise.

    Least squares of the doubly robust effect on 1 and (predicted - its mean), standard errors by customer (Chernozhukov et al.,
    Econometrica 2025, on doubly robust scores as in Semenova and Chernozhukov 2021). A constant prediction has no slope: NaN.
    """
    predicted, effect = np.asarray(predicted, float), np.asarray(effect, float)
    n = same_length(predicted=predicted, effect=effect, customer=customer)
    code, who = customers(customer)
    people = len(who)
    centred = predicted - predicted.mean()
    spread = float((centred**2).sum())
    flat = spread <= 1e-20 * n * max(1.0, float(predicted.mean() ** 2))
    slope = np.nan if flat else float(centred @ effect) / spread
    left = effect - effect.mean() - (0.0 if flat else slope * centred)
    rows = []
    for term, estimate, one in (("mean", float(effect.mean()), left / n), ("slope", slope, left * centred / (spread or np.nan))):
        se = np.nan if np.isnan(estimate) else cluster_error(one, code, people)
        rows.append({"term": term, **interval(estimate, se, level)})
    return pd.DataFrame(rows)


CONSTANT = "constant"


def select(
    candidates: Mapping[str, np.ndarray],
    constant: np.ndarray,
    scores: np.ndarray,
    customer: np.ndarray,
    by: str = "loss",
    level: float = 0.95,
) -> tuple[str, pd.DataFrame]:
    """Name of the best candidate, and the table of all, "constant" included.

    candidates: name -> [row, arm] predicted effects against arm 0 (column 0 is 0). constant: [arm] mean effects, 0 first, estimated on
    the customers that the candidates were fitted on. scores: [row, arm] doubly robust scores of rows held out from both.
    Table: name, measure, estimate, se, low, high, chosen. measure "loss": mean over rows and offered arms of (G_j - G_0 - effect)^2
    less that of the constant (below 0 is better); "value": mean score of the arm with the greatest predicted effect less that of
    the arm that the constant gives everybody (above 0 is better). Intervals are paired and by customer. `by` says which of the two
    chooses; the constant stands where nobody is better. Raises ValueError for shapes that differ or an unknown `by`.
    """
    scores, constant = np.asarray(scores, float), np.asarray(constant, float)
    if by not in ("loss", "value"):
        raise ValueError(f"by = {by!r}: must be 'loss' or 'value'")
    if constant.shape != scores.shape[1:]:
        raise ValueError(f"constant has {constant.size} effects, scores {scores.shape[1]} arms: one for each, 0 for the control")
    same_length(scores=scores, customer=customer)
    everyone = {CONSTANT: np.broadcast_to(constant, scores.shape)} | {k: np.asarray(v, float) for k, v in candidates.items()}
    effect, rows = scores - scores[:, :1], np.arange(len(scores))
    base: dict[str, np.ndarray] = {}
    table = []
    for name, predicted in everyone.items():
        if predicted.shape != scores.shape:
            raise ValueError(f"'{name}' is {predicted.shape}, scores are {scores.shape}: they must be of one shape")
        same_length(**{f"'{name}'": predicted})
        if (predicted[:, 0] != 0).any():
            raise ValueError(f"'{name}': the effect of arm 0 must be 0, it is against the control")
        own = {
            "loss": ((effect - predicted)[:, 1:] ** 2).mean(axis=1),
            "value": scores[rows, rounded(predicted).argmax(axis=1)],
        }
        base = base or own
        table += [{"name": name, "measure": m} | mean_by_cluster(v - base[m], customer, level) for m, v in own.items()]
    frame = pd.DataFrame(table)
    asked = rounded(frame[frame["measure"] == by]["estimate"].to_numpy())  # of equals the first, the constant before all
    chosen = list(everyone)[int(np.argmin(asked) if by == "loss" else np.argmax(asked))]
    return chosen, frame.assign(chosen=frame["name"] == chosen)


# share -> (its two candidates for the lower bound, for the upper bound), each as (constant, factor of p1, factor of p0)
BOUNDS = {
    "persuadable": (((0, 0, 0), (0, 1, -1)), ((0, 1, 0), (1, 0, -1))),
    "sure thing": (((0, 0, 0), (-1, 1, 1)), ((0, 1, 0), (0, 0, 1))),
    "lost cause": (((0, 0, 0), (1, -1, -1)), ((1, -1, 0), (1, 0, -1))),
    "sleeping dog": (((0, 0, 0), (0, -1, 1)), ((0, 0, 1), (1, -1, 0))),
}


def segment_bounds(
    scores: np.ndarray, customer: np.ndarray, chances: np.ndarray | None = None, level: float = 0.95
) -> pd.DataFrame:
    """Bounds of the four shares: segment, lower, upper, low, high, features (whether they are used).

    scores: [row, 2] doubly robust scores of buying (0 or 1) without and with the offer. chances: [row, 2] predicted by models fitted on
    other customers; they only choose which of the two candidates binds in a row, so that a poor prediction widens the bounds and never
    makes them wrong: the mean of a candidate chosen without its own outcomes is at most the mean of the greater (at least that of the
    lesser). low and high: normal bounds by customer, for the whole interval lower to upper at this level. Raises ValueError
    for arrays that do not fit and chances outside [0, 1].
    """
    scores = np.asarray(scores, float)
    if scores.ndim != 2 or scores.shape[1] != 2:
        raise ValueError(f"scores are {scores.shape}: they must be [row, 2], without and with the offer")
    same_length(scores=scores, customer=customer)
    if chances is None:
        choice = np.broadcast_to(scores.mean(axis=0), scores.shape)
    else:
        choice = np.asarray(chances, float)
        if choice.shape != scores.shape:
            raise ValueError(f"chances are {choice.shape}, scores {scores.shape}: they must be of one shape")
        same_length(chances=choice)
        if choice.min() < 0 or choice.max() > 1:
            raise ValueError("chances must lie between 0 and 1")

    def line(terms: tuple[int, int, int], p: np.ndarray) -> np.ndarray:
        return terms[0] + terms[1] * p[:, 1] + terms[2] * p[:, 0]

    rows = []
    for segment, (least, most) in BOUNDS.items():
        below = np.where(line(least[0], choice) >= line(least[1], choice), line(least[0], scores), line(least[1], scores))
        above = np.where(line(most[0], choice) <= line(most[1], choice), line(most[0], scores), line(most[1], scores))
        lower, upper = mean_by_cluster(below, customer, level), mean_by_cluster(above, customer, level)
        ends = [lower["estimate"], upper["estimate"], lower["low"], upper["high"]]
        rows.append([segment, *np.clip(ends, 0, 1), chances is not None])
    return pd.DataFrame(rows, columns=["segment", "lower", "upper", "low", "high", "features"])


def customer_types(gain: np.ndarray, buys: np.ndarray, sure: float = 0.25) -> np.ndarray:
    """[row] "persuadable" where some arm is expected to earn more than nothing; of the others "sure thing" where the chance of buying
    without an offer is at least `sure`, else "lost cause".

    Expectations, not pairs of outcomes: gain [row, arm] against the control, buys [row]. Sleeping dogs, who would buy less, are told
    from the others by the truth alone: no model of sales sees trips that are not made. A gain that is NaN is "not available".
    """
    most = gain.max(axis=1)
    kind = np.where(buys >= sure, "sure thing", "lost cause")
    return np.select([np.isnan(most), most > 0], ["not available", "persuadable"], kind)


def true_values(effects: Mapping[str, np.ndarray], gain: np.ndarray, arm: int) -> pd.DataFrame:
    """By learner (the index): what its policy is truly worth, and how far its effects are from the truth.

    effects and gain: [row, arm] against the control, as predicted and in truth; NaN of an unknown truth stays NaN. A policy gives each row
    the arm of largest effect. value: mean gain of its arms; contacted: share of rows that get an offer; error (root mean square) and
    correlation (of ranks): of the effect of one `arm`; promised: what the model expects of its own policy.
    """
    rows, true = np.arange(len(gain)), gain[:, arm]
    table = {}
    for name, effect in effects.items():
        policy = effect.argmax(axis=1)
        table[name] = {
            "value": gain[rows, policy].mean(),
            "contacted": (policy > 0).mean(),
            "error": np.sqrt(((effect[:, arm] - true) ** 2).mean()),
            "correlation": pd.Series(effect[:, arm]).corr(pd.Series(true), method="spearman"),
            "promised": effect.max(axis=1).mean(),
        }
    return pd.DataFrame(table).T.rename_axis("learner")
