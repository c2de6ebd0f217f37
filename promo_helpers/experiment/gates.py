"""The gates before any estimate: can this experiment tell what the offers did? Each is a sentence and a number with its bound.

No gate sees a cause that was not written down: in a log they can only say that what was written down can be balanced.
"""

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd

from promo_helpers.experiment.comparable import chance_of_imbalance, differences, overlap, weights
from promo_helpers.experiment.design import detectable, known_alike, planned_shares, won_over
from promo_helpers.experiment.experiment import Experiment
from promo_helpers.experiment.probabilities import estimate_probabilities, known_probabilities

SURE = 0.001  # a sound trial is refused by each test of chance once in a thousand times
WON = 0.8  # no offer wins over four in five of those who would not buy; an arm that is made from the outcome "wins over" all
HIGHER = 0.9  # nor does it make nine in ten of its buyers outbid those of the control
SMALLEST = 0.001  # of the chance of an arm against the control
HEAVIEST = 0.05  # of an arm's weight on one row
EFFECTIVE = 0.3  # of an arm's rows
OUTSIDE = 0.5  # of the rows, next to certain to get the one arm or the other
BALANCE = 0.1  # standardised mean difference (Austin 2009)
CANNOT = "cannot tell"


@dataclass(frozen=True)
class Gate:
    """One gate: what was measured, the bound it is judged by (NaN where it is only reported), whether it holds, and why in words."""

    name: str
    value: float
    bound: float
    holds: bool
    sentence: str


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
        return f"{CANNOT}: {self.experiment} fails for {self.outcome} at {_and(self.failed)}"

    def table(self) -> pd.DataFrame:
        """One row a gate: gate, value, bound, holds, sentence."""
        rows = [(g.name, g.value, g.bound, g.holds, g.sentence) for g in self.rows]
        return pd.DataFrame(rows, columns=["gate", "value", "bound", "holds", "sentence"])


def gates(
    experiment: Experiment,
    outcome: str,
    worth: float | None = None,
    *,
    rng: np.random.Generator | None = None,
    probability: np.ndarray | None = None,
) -> Gates:
    """Judge an experiment for one outcome, before any estimate.

    `worth` is the effect that would pay, in units of the outcome per contact. `probability` [row, arm] are the chances of all arms:
    those of the design unless given; where there is no design (a log) they are estimated, and balance is judged as weighted by
    them. `rng` serves that estimate and the distribution of the clearest imbalance. Arms without rows are passed over.
    Raises KeyError for an outcome that the experiment lacks, ValueError for a worth that is not positive and for probabilities of
    another shape, not above 0 (for an arm with rows) or not adding up to 1.
    """
    rng = rng or np.random.default_rng(0)
    y = experiment.outcome(outcome)
    if worth is not None and not worth > 0:
        raise ValueError(f"worth = {worth}: the effect that would pay must be above 0")
    values = len(np.unique(y[~np.isnan(y)]))
    first = (
        _control(experiment),
        Gate("outcome varies", values, 2, values > 1, f"{outcome} has {values:,} different values."),
    )
    if not all(g.holds for g in first):
        return Gates(experiment.name, outcome, first, pd.DataFrame())
    designed = experiment.probability is not None or experiment.planned is not None
    if probability is not None:
        chances: np.ndarray | None = _checked(experiment, probability)
    else:
        chances = known_probabilities(experiment) if designed else estimate_probabilities(experiment, rng=rng)
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
            _shares(experiment),
            *_disguise(experiment, weight),
            _possible(experiment, outcome),
            _missing(experiment, outcome),
            *_overlap(arms, designed),
            _balance(experiment, plain, weighted, weight, designed, rng),
            _effect(arms, outcome, worth),
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


def _control(experiment: Experiment) -> Gate:
    control, others = int(experiment.counts[0]), int((experiment.counts[1:] > 0).sum())
    if control and others:
        said = f"{control:,} contacts were left without an offer ({experiment.arms[0]}), to compare with."
    elif control:
        said = f"All {control:,} contacts have the arm {experiment.arms[0]}: there is nothing to compare it with."
    else:
        said = (
            f"No contact has the arm {experiment.arms[0]}: without a control group nobody knows what would have happened anyway."
        )
    return Gate("control", control, 1, control > 0 and others > 0, said)


def _shares(experiment: Experiment) -> Gate:
    if experiment.planned is None:
        return Gate("planned shares", math.nan, math.nan, True, "No shares were planned, so that none can be missed.")
    p, table = planned_shares(experiment)
    worst = table.loc[(table["share"] - table["planned"]).abs().idxmax()]
    has = f"{worst['arm']} has {worst['share']:.1%} of the contacts, {worst['planned']:.1%} were planned (p = {p:.2g})"
    if p >= SURE:
        return Gate("planned shares", p, SURE, True, f"The arms have the planned shares, but for chance: {has}.")
    return Gate(
        "planned shares",
        p,
        SURE,
        False,
        f"{has}: contacts were lost or added, and until it is known how, arms cannot be compared.",
    )


def _disguise(experiment: Experiment, weight: np.ndarray) -> tuple[Gate, Gate]:
    """Over all outcomes of the experiment: an arm made from any of them is no arm."""
    tables = [won_over(experiment, name, weight).assign(outcome=name) for name in experiment.outcomes]
    table = pd.concat([t for t in tables if len(t)], ignore_index=True)
    if table.empty:
        return tuple(Gate(n, math.nan, math.nan, True, "No outcome is known in both arms.") for n in ("outcome", "amount"))  # type: ignore[return-value]
    most, highest = table.loc[table["surely"].idxmax()], table.loc[table["higher"].idxmax()]
    said = f"{most['outcome']} is above 0 for {most['with_it']:.1%} of {most['arm']} and {most['control']:.1%} of {experiment.arms[0]}"
    made = "the arm looks made from the outcome, like 'bought with an offer' in the place of 'was sent one'"
    first = (
        Gate("arm is not the outcome", most["surely"], WON, True, f"No arm looks made from an outcome: {said}.")
        if most["surely"] <= WON
        else Gate("arm is not the outcome", most["surely"], WON, False, f"{said}: {made}.")
    )
    said = f"where {highest['outcome']} is above 0, it is higher in {highest['arm']} than in {experiment.arms[0]}"
    second = (
        Gate(
            "arm is not the amount",
            highest["higher"],
            HIGHER,
            True,
            f"No arm looks made from an amount: {said} in at least {highest['higher']:.0%} of pairs.",
        )
        if highest["higher"] <= HIGHER
        else Gate(
            "arm is not the amount",
            highest["higher"],
            HIGHER,
            False,
            f"{said} in at least {highest['higher']:.0%} of pairs: {made}.",
        )
    )
    return first, second
