"""Kept study: where offers earn nothing, how often a method claims that they do."""

from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd

from promo_helpers import draws
from promo_helpers.evaluate.value import doubly_robust_scores, outcome_means
from promo_helpers.experiment.contacts import Costs
from promo_helpers.inference import mean_by_cluster, share
from promo_helpers.models.learners import LEARNERS
from promo_helpers.studies.markets import run_cases, trial_market

METHODS = ("dose-response",)


@dataclass(frozen=True)
class NullCase:
    """Markets of a kind: what a message costs (LKR), seeds, customers of each, and about how many of them each small trial has."""

    preset: str
    message: float
    seeds: tuple[int, ...] = tuple(range(800, 806))
    customers: int = 20_000
    group: int = 1_000


CASES = {
    "null": NullCase("null", 1.5),
    "breakeven": NullCase("breakeven", 0.0),  # break-even means that contacts are free as well
    "probe": NullCase("null", 1.5, (800,), 1_000, 400),
}


def null_effect_rows(case: str) -> pd.DataFrame:
    """One row per trial and method: seed, group, learner, promised and estimated (LKR a decision, window), its se and bound.

    The policy sends the arm of largest predicted effect. Promised is the model's own mean on the customers it learnt from; estimated
    is the doubly robust mean on other customers, and bound its one-sided 95 % limit, which should exceed zero in 5 % of trials at most.
    """
    return pd.concat(run_cases(partial(_market, CASES[case]), CASES[case].seeds, case), ignore_index=True)


def _market(case: NullCase, seed: int) -> pd.DataFrame:
    cost = case.message
    trial, _ = trial_market(case.preset, seed, case.customers, 5, cost)
    groups, rows = len(pd.unique(trial.customer)) // case.group, []
    own = draws.parts(seed, "small trials", trial.customer, number=groups)
    for group in range(groups):
        learn, hold = trial.only(own == group).folds((0.5, 0.5), seed)
        means = outcome_means(
            hold.features,
            hold.arm,
            hold.outcome("profit"),
            len(hold.arms),
            hold.customer,
            2,
            seed,
        )
        scores = doubly_robust_scores(hold.outcome("profit"), hold.arm, means, hold.probability)
        for name in METHODS:
            fitted = LEARNERS[name](learn, "profit", Costs(cost, 0.0, 0.0), seed)
            arm, said = fitted.effects(hold.features).argmax(axis=1), fitted.effects(learn.features)
            found = mean_by_cluster(scores[np.arange(len(arm)), arm] - scores[:, 0], hold.customer, 0.9)
            row = {
                "seed": seed,
                "group": group,
                "learner": name,
                "promised": said.max(axis=1).mean(),
                "contacted": (arm > 0).mean(),
            }
            rows.append(row | {"estimated": found["estimate"], "se": found["se"], "bound": found["low"]})
    return pd.DataFrame(rows)


def false_claims(study: pd.DataFrame) -> pd.DataFrame:
    """One row per preset and learner: trials, promised and estimated (means, LKR a decision), promises (share of
    trials in which the promise is above 0) and claims (share whose held-out bound is), with the 95 % Wilson interval of claims."""
    rows = []
    for (case, learner), part in study.groupby(["case", "learner"], sort=False):
        claims = int((part["bound"] > 0).sum())
        claimed = share(claims, len(part))
        row = {
            "case": case,
            "learner": learner,
            "trials": len(part),
            "promised": part["promised"].mean(),
            "estimated": part["estimated"].mean(),
        }
        row |= {"error": part["estimated"].std() / np.sqrt(len(part)), "promises": (part["promised"] > 0).mean()}
        rows.append(row | {"claims": claimed["estimate"], "low": claimed["low"], "high": claimed["high"]})
    return pd.DataFrame(rows)
