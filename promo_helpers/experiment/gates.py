"""The gates before any estimate: can this experiment tell what the offers did? Each is a sentence and a number with its bound.

No gate sees a cause that was not written down: in a log they can only say that what was written down can be balanced.
"""

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd

from promo_helpers.experiment import judge
from promo_helpers.experiment.comparable import differences, overlap, weights
from promo_helpers.experiment.design import detectable
from promo_helpers.experiment.experiment import Experiment
from promo_helpers.experiment.judge import Gate
from promo_helpers.experiment.probabilities import estimate_probabilities, known_probabilities

CANNOT = "cannot tell"


@dataclass(frozen=True)
class Gates:
    """What the gates say about one outcome of one experiment. `arms`: one row an arm with the numbers behind them."""

    experiment: str
    outcome: str
    rows: tuple[Gate, ...]
    arms: pd.DataFrame

    @property
    def holds(self) -> bool:
        """Whether every gate holds."""
        return all(g.holds for g in self.rows)

    @property
    def failed(self) -> tuple[str, ...]:
        """Names of the gates that do not hold."""
        return tuple(g.name for g in self.rows if not g.holds)

    @property
    def verdict(self) -> str:
        """One sentence: can tell, or cannot tell and for which gates."""
        if self.holds:
            return f"can tell: {self.experiment} holds at all {len(self.rows)} gates for {self.outcome}"
        return f"{CANNOT}: {self.experiment} fails for {self.outcome} at {judge.listed(self.failed)}"

    def table(self) -> pd.DataFrame:
        """One row a gate: gate, value, bound, holds, sentence."""
        rows = [(g.name, g.value, g.bound, g.holds, g.sentence) for g in self.rows]
        return pd.DataFrame(rows, columns=["gate", "value", "bound", "holds", "sentence"])


def gates(
    experiment: Experiment,
    outcome: str,
    worth: float | None = None,
    *,
    seed: int = 0,
    probability: np.ndarray | None = None,
) -> Gates:
    """Judge an experiment for one outcome, before any estimate.

    `worth` is the effect that would pay, in units of the outcome per contact. `probability` [row, arm] are the chances of all arms:
    those of the design unless given; where there is no design (a log) they are estimated, and balance is judged as weighted by
    them. `seed` serves that estimate and the distribution of the clearest imbalance. Arms without rows are passed over.
    Raises KeyError for an outcome that the experiment lacks, ValueError for a worth that is not positive and for probabilities of
    another shape, not above 0 (for an arm with rows) or not adding up to 1.
    """
    y = experiment.outcome(outcome)
    if worth is not None and not worth > 0:
        raise ValueError(f"worth = {worth}: the effect that would pay must be above 0")
    values = len(np.unique(y[~np.isnan(y)]))
    first = (
        judge.control(experiment),
        Gate("outcome varies", values, 2, values > 1, f"{outcome} has {values:,} different values."),
    )
    if not all(g.holds for g in first):
        return Gates(experiment.name, outcome, first, pd.DataFrame())
    designed = experiment.probability is not None or experiment.planned is not None
    if probability is not None:
        chances: np.ndarray | None = _checked(experiment, probability)
    else:
        chances = known_probabilities(experiment) if designed else estimate_probabilities(experiment, seed=seed)
    weight = weights(experiment, chances)
    arms = overlap(experiment, weight, chances)
    plain, weighted = differences(experiment), differences(experiment, weight)
    for name, table in (("d", plain), ("d_weighted", weighted)):
        arms[name] = arms["arm"].map(table.assign(d=table["d"].abs()).groupby("arm")["d"].max())
    arms = arms.merge(detectable(experiment, outcome, weight), on="arm", how="left")
    return Gates(
        experiment.name,
        outcome,
        (
            *first,
            judge.planned(experiment),
            *judge.disguise(experiment, outcome, weight),
            judge.known(experiment, outcome, weight, designed),
            *judge.overlapping(arms),
            *judge.balance(experiment, plain, weighted, weight, designed, seed),
            judge.enough(arms, outcome, worth),
        ),
        arms,
    )


def roi(found: Gates, profit: float, spend: float) -> tuple[float, str]:
    """Return on investment, profit / spend (profit after the spend), and a sentence: NaN and "cannot tell" where a gate fails.

    Also NaN where nothing was spent. Every place that prints a return takes it from here.
    """
    if not found.holds:
        return math.nan, f"{found.verdict}; no return on investment is given"
    if not (spend > 0 and math.isfinite(profit)):
        return math.nan, "nothing was spent, or the profit is not known: there is no return on investment"
    return profit / spend, f"each unit of money spent returned {profit / spend:.2f} above itself"


def _checked(experiment: Experiment, probability: np.ndarray) -> np.ndarray:
    shape = (len(experiment), len(experiment.arms))
    if np.shape(probability) != shape:
        raise ValueError(f"probability has the shape {np.shape(probability)}; one row a contact and one column an arm is {shape}")
    there = probability[:, experiment.counts > 0]
    if wrong := int((~(there > 0)).any(axis=1).sum()):
        raise ValueError(f"probability must be above 0 for every arm that has contacts ({wrong:,} rows are not)")
    if wrong := int((np.abs(probability.sum(axis=1) - 1) > 0.001).sum()):
        raise ValueError(f"the probabilities of a contact must add up to 1 ({wrong:,} rows do not)")
    return probability
