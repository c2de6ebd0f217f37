"""Average effect of an offer against another arm, by seven methods, each with an interval that goes by customer.

Every method is written as a score per row whose mean is the estimate (`effect_scores`), so that one sum over customers gives every
interval. DoWhy has the same estimates without such intervals (its own come from a slow bootstrap); tests hold the two together.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import norm

from promo_helpers.experiment import Experiment
from promo_helpers.models.effect_design import Design, interval
from promo_helpers.models.effect_scores import METHODS

LEVEL = 0.95


@dataclass(frozen=True)
class Estimate:
    """An average effect in units of the outcome a contact, with a 95 % interval.

    weight: [row] how much the effect of each row counts in what the method estimates (mean 1): all alike for most methods; the
    rows where chance decided most, for double machine learning. Hold an estimate beside the truth averaged with these weights.
    """

    method: str
    effect: float
    low: float
    high: float
    error: float
    n: int
    weight: np.ndarray

    @property
    def width(self) -> float:
        return self.high - self.low


def estimate(experiment: Experiment, outcome: str, method: str, seed: int, design: Design | None = None) -> Estimate:
    """The average effect of the second arm against the first over the rows whose outcome is known, by one of METHODS.

    `design` may be handed over where several methods or outcomes share it (with the same missing outcomes).
    Raises KeyError for an unknown method or outcome; ValueError for other than two arms, too few rows, or a constant outcome.
    """
    if method not in METHODS:
        raise KeyError(f"no method '{method}'; there are {', '.join(METHODS)}")
    experiment = known(experiment, outcome)
    y = experiment.outcome(outcome)
    if len(y) and np.ptp(y) == 0:
        raise ValueError(f"{experiment.name}: the outcome '{outcome}' is {y[0]:g} in every row: there is nothing to compare")
    design = design or Design.of(experiment, seed)
    if len(design.offered) != len(y):
        raise ValueError(f"the design has {len(design.offered):,} rows, the outcome '{outcome}' is known in {len(y):,}")
    score, estimated, weight = METHODS[method](design, y)
    effect, error = interval(score, design.customer, estimated)
    reach = float(norm.ppf(0.5 + LEVEL / 2)) * error
    weight = np.ones(len(y)) if weight is None else weight / weight.mean()
    return Estimate(method, effect, effect - reach, effect + reach, error, len(y), weight)


def known(experiment: Experiment, outcome: str) -> Experiment:
    """The rows in which an outcome is known."""
    there = np.isfinite(experiment.outcome(outcome))
    return experiment if there.all() else experiment.only(there)


def table(
    experiment: Experiment,
    outcomes: Iterable[str],
    methods: Iterable[str],
    seed: int,
    effects: dict[str, np.ndarray] | None = None,
) -> pd.DataFrame:
    """Tidy: one row per outcome and method: outcome, method, effect, low, high, error, n.

    `effects` are the true effects of each row of the experiment, by outcome; then there is a column truth: their average over the
    rows, with the weights of what the method estimates.
    """
    rows = []
    for outcome in outcomes:
        there = np.isfinite(experiment.outcome(outcome))
        part = known(experiment, outcome)
        design = Design.of(part, seed)
        for method in methods:
            found = estimate(part, outcome, method, seed, design)
            row: dict[str, Any] = {"outcome": outcome, "method": method}
            row |= {name: getattr(found, name) for name in ("effect", "low", "high", "error", "n")}
            if effects is not None:
                row["truth"] = float(np.average(effects[outcome][there], weights=found.weight))
            rows.append(row)
    return pd.DataFrame(rows)
