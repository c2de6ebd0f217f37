"""Hillstrom's e-mail trial: its published means, and learners of one e-mail's effect compared on customers held out."""

from dataclasses import dataclass

import pandas as pd

from promo_helpers.evaluate.uplift import contrast_at_k, rate
from promo_helpers.evaluate.value import experiment_scores
from promo_helpers.experiment.experiment import Experiment
from promo_helpers.models.effects import estimate
from promo_helpers.models.learners import LEARNERS

COMPARED = ("S-learner", "T-learner", "X-learner", "DR-learner")
BASE = "X-learner"  # that the others are compared with


@dataclass(frozen=True)
class Comparison:
    """Learners on customers held out. top: `contrast_at_k` of each; apart: how many differ statistically distinguishably from BASE."""

    top: pd.DataFrame
    apart: str


def not_available() -> pd.DataFrame:
    """The table that stands for one of a trial that could not be had."""
    return pd.DataFrame({"trial": ["not available"]})


def means(trial: Experiment | None, seed: int) -> pd.DataFrame:
    """Effect of each e-mail on each outcome, as differences in means: e-mail, outcome, effect, low, high."""
    if trial is None:
        return not_available()
    rows = [
        (mail, outcome, found.effect, found.low, found.high)
        for mail in trial.arms[1:]
        for outcome in trial.outcomes
        for found in [estimate(trial.contrast(mail), outcome, "difference in means", seed)]
    ]
    return pd.DataFrame(rows, columns=["e-mail", "outcome", "effect", "low", "high"])


def compare_learners(trial: Experiment | None, arm: str, outcome: str, seed: int, draws: int) -> Comparison:
    """Learners of the effect of one arm on an outcome, fitted to half of the customers and judged on the other half."""
    if trial is None:
        return Comparison(not_available(), "not available")
    fit, judge = trial.folds([0.5, 0.5], seed)
    models = {n: LEARNERS[n](fit.contrast(arm), outcome, None, seed).effects for n in COMPARED}
    rankings = {n: lambda x, of=of: of(x)[:, 1] for n, of in models.items()}
    top = contrast_at_k(judge, arm, outcome, rankings, [0.3], seed, draws)
    pair = judge.contrast(arm)  # the rows of the two arms, with the chances that they have among the two
    scores = experiment_scores(pair, outcome, seed)
    ranked = rate(
        {n: ranking(pair.features) for n, ranking in rankings.items()},
        scores[:, 1] - scores[:, 0],
        pair.customer,
        seed,
        draws,
        against=BASE,
    )
    clear = ranked.against[(ranked.against["low"] > 0) | (ranked.against["high"] < 0)]
    table = top[["learner", "method", "estimate", "se", "low", "high"]]
    return Comparison(table, f"{clear['name'].nunique()} of {len(COMPARED) - 1}")
