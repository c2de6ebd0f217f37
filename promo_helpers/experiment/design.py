"""What the design of an experiment says before any estimate: planned shares, the outcome in disguise, the smallest effect to be seen."""

import numpy as np
import pandas as pd
from scipy import stats
from sklearn.metrics import roc_auc_score

from promo_helpers.experiment.comparable import per_customer
from promo_helpers.experiment.experiment import Experiment

LEVEL, POWER = 0.05, 0.8
SEEN = float(stats.norm.ppf(1 - LEVEL / 2) + stats.norm.ppf(POWER))  # 2.80 standard errors are seen four times in five
HEAVY = 5  # times the median weight of an arm
TWENTYFOLD = 20  # no offer multiplies an outcome so often


def planned_shares(experiment: Experiment) -> tuple[float, pd.DataFrame]:
    """p of the chi-squared test of the counts per arm against the planned shares, and arm, share, planned as a table.

    Counted within strata, whose statistics and degrees of freedom add up; strata with fewer than five expected in some arm are
    taken together. Where every customer has one arm only, customers were drawn and are counted. Raises ValueError without a plan.
    """
    if experiment.planned is None:
        raise ValueError(f"{experiment.name} has no planned shares")
    whole = per_customer(experiment)
    rows = np.arange(len(experiment)) if whole is None else whole[1]
    arm, plan = experiment.arm[rows], np.asarray(experiment.planned, float) / np.sum(experiment.planned)
    code = np.zeros(len(rows), int) if experiment.strata is None else pd.factorize(experiment.strata[rows])[0]
    small = np.bincount(code)[code] * plan[plan > 0].min() < 5
    code = pd.factorize(np.where(small, -1, code))[0]
    counts = np.zeros((code.max() + 1, len(plan)))
    np.add.at(counts, (code, arm), 1)
    share = counts.sum(axis=0) / counts.sum()
    table = pd.DataFrame({"arm": experiment.arms, "share": share, "planned": plan})
    if counts[:, plan == 0].any():  # an arm that nobody should have got
        return 0.0, table
    counts = counts[:, plan > 0]
    expected = counts.sum(axis=1, keepdims=True) * plan[plan > 0]
    statistic, freedom = ((counts - expected) ** 2 / expected).sum(), len(counts) * (counts.shape[1] - 1)
    return float(stats.chi2.sf(statistic, freedom)), table


def won_over(experiment: Experiment, outcome: str, weight: np.ndarray) -> pd.DataFrame:
    """One row an arm: arm, with_it, control (weighted shares of rows with an outcome above 0), won, surely, higher, none.

    won is the share of those without the outcome that the arm would have had to win over, 1 - (1 - with_it) / (1 - control): the
    persuasion rate of DellaVigna & Gentzkow 2010, which field studies mostly find below a third); surely is what it is
    at least, from 95 % bounds of both shares on effective sample sizes, weights cut at five times their median.
    Where the arm was made from the outcome (treated = bought
    with a promotion) it is 1. Where the control was (control = bought anyhow) the roles change, and surely is of that.
    higher is a 95 % lower bound of the chance that a row of the arm has more than one of the control, where both are above 0 (AUC,
    with the largest variance that it can have): it catches an arm made from an amount. none is the chance that no row of the control
    has the outcome, had it a twentieth of the arm's share; 1 where some row has it. Outcomes that are missing are left out.
    """
    y = experiment.outcome(outcome)
    event, known = y > 0, ~np.isnan(y)
    for number in range(len(experiment.arms)):  # a few heavy rows must not hide a fault that all rows show
        rows = experiment.arm == number
        weight = np.where(rows, np.minimum(weight, HEAVY * np.median(weight[rows])) if rows.any() else 1, weight)
    found = []
    for number in (np.flatnonzero(experiment.counts[1:]) + 1).tolist():
        sides = [known & (experiment.arm == a) for a in (0, number)]
        if not all(s.any() for s in sides):
            continue
        (c, c_low, c_high), (t, t_low, t_high) = (_without(event[s], weight[s]) for s in sides)
        surely = max(1 - t_high / c_low if c_low > 0 else 0.0, 1 - c_high / t_low if t_low > 0 else 0.0, 0.0)
        higher = 0.0
        if all((s & event).any() for s in sides):
            both = event & (sides[0] | sides[1])
            auc = roc_auc_score(experiment.arm[both] == number, y[both], sample_weight=weight[both])
            n = min(_effective(weight[s & event]) for s in sides)
            higher = max(0.0, auc - stats.norm.ppf(0.95) * np.sqrt(auc * (1 - auc) / n)) if n > 20 else 0.0
        won = 1 - t / c if c > 0 else np.nan
        none = 1.0 if c < 1 else (1 - (1 - t_high) / TWENTYFOLD) ** _effective(weight[sides[0]])
        found.append((experiment.arms[number], 1 - t, 1 - c, won, surely, higher, none))
    return pd.DataFrame(found, columns=["arm", "with_it", "control", "won", "surely", "higher", "none"])


def detectable(experiment: Experiment, outcome: str, weight: np.ndarray) -> pd.DataFrame:
    """The smallest effect of each arm that would be seen four times in five by a two-sided test at 5 %: arm, error, detectable.

    error is the standard error of the weighted difference in means, customers kept together; it takes the spread of the outcome and
    the design from the data, never the effect that was found: this is not power after the fact. detectable = 2.80 x error.
    """
    y = experiment.outcome(outcome)
    known = ~np.isnan(y)
    code, people = pd.factorize(experiment.customer)
    found = []
    for number in np.flatnonzero(experiment.counts[1:]) + 1:
        pull = np.zeros(len(y))
        for arm, sign in ((0, -1), (number, 1)):
            rows = known & (experiment.arm == arm)
            w = weight[rows]
            if len(w) < 2:
                pull[:] = np.nan
                continue
            pull[rows] = sign * w / w.sum() * (y[rows] - np.average(y[rows], weights=w)) * np.sqrt(len(w) / (len(w) - 1))
        error = float(np.sqrt((np.bincount(code, pull, minlength=len(people)) ** 2).sum()))
        found.append((experiment.arms[number], error, SEEN * error))
    return pd.DataFrame(found, columns=["arm", "error", "detectable"])


def known_alike(experiment: Experiment, outcome: str) -> float:
    """p of the chi-squared test that the outcome is missing equally often in all arms; 1 where it is never missing."""
    missing = np.isnan(experiment.outcome(outcome))
    table = np.array([np.bincount(experiment.arm[missing == m], minlength=len(experiment.arms)) for m in (False, True)])
    table = table[:, table.sum(axis=0) > 0]
    return float(stats.chi2_contingency(table).pvalue) if missing.any() and not missing.all() and table.shape[1] > 1 else 1.0


def _effective(weight: np.ndarray) -> float:
    return float(weight.sum() ** 2 / (weight**2).sum())


def _without(event: np.ndarray, weight: np.ndarray) -> tuple[float, float, float]:
    """Weighted share of rows without the event, with one-sided 95 % bounds (Clopper & Pearson, on the effective sample size)."""
    n, share = _effective(weight), float(np.average(~event, weights=weight))
    k = share * n
    low = float(stats.beta.ppf(0.05, k, n - k + 1)) if share > 0 else 0.0
    high = float(stats.beta.ppf(0.95, k + 1, n - k)) if share < 1 else 1.0
    return share, low, high
