"""Each gate: what was measured, the bound it is judged by, and what that means in words."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from promo_helpers.experiment.design import (
    chance_of_imbalance,
    detectable_effects,
    differences,
    estimate_probabilities,
    known_probabilities,
    missingness_p,
    overlap,
    persuasion_rates,
    planned_shares,
    weights,
)
from promo_helpers.experiment.experiment import Experiment

ALPHA_GATE = 0.001  # a sound trial is refused by each test of chance once in a thousand times
MAX_PERSUASION = (
    0.8  # no offer wins over four in five of those who would not buy; an arm that is made from the outcome "wins over" all
)
MAX_AUC = 0.9  # nor do nine in ten of its buyers outbid those of the control
SMALLEST = 0.0002  # chance of an arm against the control: beyond 5,000 to 1 there is nobody to compare with
HEAVIEST = 0.1  # of an arm's whole weight, on one row
EFFECTIVE = 0.4  # of an arm's rows: intervals are 1.6 times as wide as they could be
OUTSIDE = 0.25  # of the rows: next to certain to get one arm or the other
MAX_EFFECTIVE_SHARE = (
    0.9  # of an arm's rows: above it the chances hardly differ between rows, and a small one is a rare arm, not a thin place
)
BALANCE = 0.1  # standardised mean difference (Austin 2009)


@dataclass(frozen=True)
class Gate:
    """One gate: what was measured, the bound it is judged by (NaN where it is only reported), whether it holds, and why in words."""

    name: str
    value: float
    bound: float
    holds: bool
    sentence: str


def control(experiment: Experiment) -> Gate:
    """Whether there is a control, and another arm."""
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


def planned(experiment: Experiment) -> Gate:
    """Whether the arms have the shares that were planned."""
    if experiment.planned is None:
        return Gate("planned shares", math.nan, math.nan, True, "No shares were planned, so that none can be missed.")
    p, table = planned_shares(experiment)
    worst = table.loc[(table["share"] - table["planned"]).abs().idxmax()]
    has = f"{worst['arm']} has {worst['share']:.1%} of the contacts, {worst['planned']:.1%} were planned (p = {p:.2g})"
    if p >= ALPHA_GATE:
        return Gate("planned shares", p, ALPHA_GATE, True, f"The arms have the planned shares, but for chance: {has}.")
    said = f"{has}: contacts were lost or added, and until it is known how, the arms cannot be compared."
    return Gate("planned shares", p, ALPHA_GATE, False, said)


def _judged(name: str, value: float, bound: float, holds: bool, good: str, bad: str) -> Gate:
    return Gate(name, float(value), bound, bool(holds), good if holds else bad)


def arm_from_outcome_gate(experiment: Experiment, outcome: str, weight: np.ndarray) -> tuple[Gate, ...]:
    """Whether an arm was made from the outcome, or from what was bought where that is known: then it is no arm for any outcome."""
    control = experiment.arms[0]
    names = [outcome, *(n for n in ("bought", "units") if n in experiment.outcomes and n != outcome)]
    table = pd.concat([persuasion_rates(experiment, name, weight).assign(outcome=name) for name in names], ignore_index=True)
    if table.empty:
        return (
            Gate("arm is not the outcome", math.nan, math.nan, False, f"{outcome} is not known in {control} and in another arm."),
        )
    most, highest = table.loc[table["surely"].idxmax()], table.loc[table["higher"].idxmax()]
    made = "The arm looks made from the outcome, like 'bought with an offer' in the place of 'was sent one'."
    shares = f"{most['outcome']} is above 0 for {most['with_it']:.1%} of {most['arm']} and {most['control']:.1%} of {control}"
    pairs = f"where both are above 0, {highest['outcome']} is higher in {highest['arm']} than in {control}"
    chosen = table[table["outcome"] == outcome]
    return (
        _judged(
            "arm is not the outcome", most["surely"], MAX_PERSUASION, most["surely"] <= MAX_PERSUASION,
            f"No arm looks made from an outcome: {shares}.", f"{shares}. {made}",
        ),
        _judged(
            "arm is not the amount", highest["higher"], MAX_AUC, highest["higher"] <= MAX_AUC,
            f"No arm looks made from an amount: {pairs} in {highest['higher']:.0%} of pairs or somewhat more.",
            f"{pairs} in {highest['higher']:.0%} of pairs at least. {made}",
        ),
        _judged(
            "control can have the outcome", chosen["none"].min(), ALPHA_GATE, chosen["none"].min() >= ALPHA_GATE,
            f"{outcome} can come about without an offer.",
            f"{outcome} is never above 0 in {control} and for up to {chosen['with_it'].max():.1%} elsewhere: it seems that only an "
            "offer makes it possible, like the use of a voucher.",
        ),
    )  # fmt: skip


def missing_outcome_gate(experiment: Experiment, outcome: str, weight: np.ndarray, designed: bool) -> Gate:
    """Whether the outcome is missing equally often in all arms."""
    unknown = np.isnan(experiment.outcome(outcome))
    name, share = "outcome is known alike", f"{outcome} is not known for {unknown.mean():.1%} of the contacts"
    if not unknown.any():
        return Gate(name, 0.0, math.nan, True, f"{outcome} is known for all contacts.")
    bad = f"{share}, and for more of them in one arm than in another: those that are left cannot be compared."
    if designed:
        p = missingness_p(experiment, outcome)
        return _judged(name, p, ALPHA_GATE, p >= ALPHA_GATE, f"{share}, in all arms alike (p = {p:.2g}).", bad)
    d = differences(replace(experiment, features=pd.DataFrame({"unknown": unknown.astype(float)})), weight)["d"].abs().max()
    return _judged(name, d, BALANCE, d <= BALANCE, f"{share}, in all arms alike once weighted (difference {d:.2f}).", bad)


def overlap_gate(arms: pd.DataFrame) -> tuple[Gate, ...]:
    """Whether those who got one arm could have got another. `arms`: as of comparable.overlap."""
    heavy, thin = arms.loc[arms["heaviest"].idxmax()], arms.loc[arms["effective_share"].idxmin()]
    found = [
        _judged(
            "largest weight", heavy["heaviest"], HEAVIEST, heavy["heaviest"] <= HEAVIEST,
            f"No single contact decides: the heaviest carries {heavy['heaviest']:.1%} of its arm, {heavy['arm']}.",
            f"One contact carries {heavy['heaviest']:.1%} of its arm, {heavy['arm']}: it alone would decide the result.",
        ),
        _judged(
            "effective sample size", thin["effective_share"], EFFECTIVE, thin["effective_share"] >= EFFECTIVE,
            f"Weighted to be comparable, the {thin['rows']:,} contacts with {thin['arm']} are worth {thin['effective']:,.0f}.",
            f"Weighted to be comparable, the {thin['rows']:,} contacts with {thin['arm']} are worth no more than {thin['effective']:,.0f}: "
            "most of those who got one arm have nobody like them in another.",
        ),
    ]  # fmt: skip
    known = arms.dropna(subset=["outside"])
    if known.empty:
        said = "The chances of the arms that a contact did not get are not known."
        return (*found, *(Gate(n, math.nan, math.nan, True, said) for n in ("smallest chance", "share outside .05 to .95")))
    rare, out = known.loc[known["smallest"].idxmin()], known.loc[known["outside"].idxmax()]
    even = bool(min(arms.loc[arms["arm"].isin((out["arm"], arms["arm"].iloc[0])), "effective_share"]) >= MAX_EFFECTIVE_SHARE)
    because = ", since one of the two is rare for everyone" if even and out["outside"] > OUTSIDE else ""
    share = (
        f"For {out['outside']:.0%} of the contacts it was next to certain whether they get {out['arm']} or {arms['arm'].iloc[0]}"
    )
    return (
        *found,
        _judged(
            "smallest chance", rare["smallest"], SMALLEST, rare["smallest"] >= SMALLEST,
            f"The smallest chance of one side against the other, {rare['arm']} or {arms['arm'].iloc[0]}, is {rare['smallest']:.2%}.",
            f"Some contacts were as good as certain ({1 - rare['smallest']:.2%}) to get one of {rare['arm']} and {arms['arm'].iloc[0]}: "
            "for them nothing can be compared.",
        ),
        _judged(
            "share outside .05 to .95", out["outside"], math.nan if even else OUTSIDE, even or out["outside"] <= OUTSIDE,
            f"{share}{because}.",
            f"{share} (a chance below 5 % or above 95 %).",
        ),
    )  # fmt: skip


def balance(
    experiment: Experiment, plain: pd.DataFrame, weighted: pd.DataFrame, weight: np.ndarray, designed: bool, seed: int
) -> tuple[Gate, ...]:  # fmt: skip
    """Whether the arms were alike before. `plain` and `weighted`: as of comparable.differences."""
    if plain.empty:
        return (Gate("balance", math.nan, math.nan, True, "There are no features that could differ between the arms."),)
    before, after = (t.loc[t["d"].abs().idxmax()] for t in (plain, weighted))
    as_is = (
        f"{before['feature']} differs most before the contact, by {abs(before['d']):.2f} standard deviations in {before['arm']}"
    )
    if designed:
        p = chance_of_imbalance(experiment, seed, weight)
        return (
            Gate("largest difference", float(abs(before["d"])), math.nan, True, f"{as_is}."),
            _judged(
                "balance",
                p,
                ALPHA_GATE,
                p >= ALPHA_GATE,
                f"The arms were alike beforehand, but for chance: {as_is} (p = {p:.2g} over all).",
                f"{as_is}; chance does not explain it (p = {p:.2g} over all), so that the arms were not drawn as they should have been.",
            ),
        )
    now = f"{as_is}; weighted, {after['feature']} differs most, by {abs(after['d']):.2f} in {after['arm']}"
    return (
        Gate("largest difference", float(abs(before["d"])), math.nan, True, f"{as_is}."),
        _judged(
            "balance",
            abs(after["d"]),
            BALANCE,
            abs(after["d"]) <= BALANCE,
            f"{now}.",
            f"{now}: weights do not make the arms alike.",
        ),
    )


def power_gate(arms: pd.DataFrame, outcome: str, worth: float | None) -> Gate:
    """Whether an effect that would pay would be seen. `arms`: as of design.detectable."""
    others = arms.iloc[1:]
    if others["detectable"].isna().any():
        few = others.loc[others["detectable"].isna(), "arm"]
        return Gate("detectable effect", math.nan, math.nan, False, f"{listed(few)} or the control has fewer than two contacts.")
    worst = others.loc[others["detectable"].idxmax()]
    said = f"An effect on {outcome} of {worst['detectable']:.3g} a contact would be seen four times in five in {worst['arm']}"
    said += " and in every other arm" * (len(others) > 1)
    if worth is None:
        return Gate("detectable effect", float(worst["detectable"]), math.nan, True, f"{said}.")
    late = others.loc[others["detectable"] > worth, "arm"]
    return _judged(
        "detectable effect", worst["detectable"], worth, late.empty, f"{said}; {worth:.3g} would pay.",
        f"{said}, but {worth:.3g} would already pay: too few contacts in {listed(late)} to tell.",
    )  # fmt: skip


def listed(names: Iterable[str]) -> str:
    """a, b and c."""
    names = list(names)
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


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
        return f"cannot tell: {self.experiment} fails for {self.outcome} at {listed(self.failed)}"

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
        control(experiment),
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
    arms = arms.merge(detectable_effects(experiment, outcome, weight), on="arm", how="left")
    return Gates(
        experiment.name,
        outcome,
        (
            *first,
            planned(experiment),
            *arm_from_outcome_gate(experiment, outcome, weight),
            missing_outcome_gate(experiment, outcome, weight, designed),
            *overlap_gate(arms),
            *balance(experiment, plain, weighted, weight, designed, seed),
            power_gate(arms, outcome, worth),
        ),
        arms,
    )


def roi(gates: Gates, profit: float, spend: float) -> tuple[float, str]:
    """Return on investment, profit / spend (profit after the spend), and a sentence: NaN and "cannot tell" where a gate fails.

    Also NaN where nothing was spent. Every place that prints a return takes it from here.
    """
    if not gates.holds:
        return math.nan, f"{gates.verdict}; no return on investment is given"
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
