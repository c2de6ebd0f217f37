"""Kept study: what part of the attainable the learners of an effect reach, over many markets and sizes of trial."""

from dataclasses import dataclass
from functools import cache, partial

import numpy as np
import pandas as pd

from promo_helpers import draws
from promo_helpers.evaluate.cost_curves import (
    ROUNDS,
    TREES,
    InformedOracle,
    apply_rule,
    best_one_variable_rule,
    fit_informed_oracle,
    frontier,
)
from promo_helpers.experiment.contacts import Costs
from promo_helpers.inference import ratio_of_means, student
from promo_helpers.models.learners import LEARNERS
from promo_helpers.studies.markets import PROCESSES, Scored, run_cases, trial_market
from promo_helpers.trees import Booster, boosted

SIZES = (5_000, 20_000, 60_000)  # contacts to learn from
PER_CONTACT = 1 / 2.95  # customers a contact of the trial
ORACLE_SEEDS = tuple(range(9_100, 9_110))  # populations of the oracle: no market that is valued
SLOW = {
    "causal forest": (5_000, 604),
    "DR-learner": (20_000, 1_000),
}  # learners tried up to so many contacts, and in the markets before this one
COMPARED = ("constant", "X-learner", "DR-learner", "causal forest", "dose-response")


@dataclass(frozen=True)
class Populations:
    """What an oracle is fitted to: a kind of market, customers of a population, numbers of populations (the last the most), and the
    processes that make them: one is quicker where they are small."""

    preset: str
    customers: int = 15_000
    steps: tuple[int, ...] = (3,)
    processes: int = PROCESSES


@dataclass(frozen=True)
class Oracle:
    """An informed oracle, what is known of it, and what others see: `rest` predicts the gain from the rest of the basket, `rule` is the
    best on one variable, `decisions` (fitted to) and `doubled` (what the last doubling of them gained, as a share)."""

    informed: InformedOracle
    rest: Booster
    rule: tuple[str, np.ndarray, np.ndarray]
    decisions: int
    doubled: float


@dataclass(frozen=True)
class UpliftCase:
    """Markets of one kind: seeds, contacts to learn from, learners, `judged` customers (three decisions each are valued), the oracle."""

    seeds: tuple[int, ...]
    sizes: tuple[int, ...]
    learners: tuple[str, ...]
    populations: Populations
    judged: int = 5_000


DEFAULT = Populations("default", steps=(4, 8))
FEW = ("constant", "dose-response")
CASES = {
    "default": UpliftCase(tuple(range(600, 612)), SIZES, COMPARED, DEFAULT),
    "default, 200,000": UpliftCase((600, 601), (200_000,), FEW, DEFAULT),
    "threshold": UpliftCase(tuple(range(600, 603)), (60_000,), FEW, Populations("threshold")),
    "additive": UpliftCase(tuple(range(600, 603)), (60_000,), FEW, Populations("additive")),
    "probe": UpliftCase((600,), (1_200,), COMPARED, Populations("default", 400, (1, 2), 1), 300),
}


def uplift_rows(case: str) -> pd.DataFrame:
    """The kept rows of a case, tidy: seed, contacts, learner and what its policy is worth.

    value (LKR a decision), spend, contacted (share), error (root mean square) and correlation (of ranks) of the effect of 15 % off, events
    (purchases an arm), attainable (the informed oracle's value at that spend), informed (its best), omniscient; and of the oracle:
    decisions (that it was fitted to) and doubled (what the last doubling of them gained, as a share).
    """
    c = CASES[case]
    oracle = oracle_of(c.populations)
    tables = run_cases(partial(_market, c, oracle), c.seeds, case)
    return pd.concat(tables, ignore_index=True).assign(decisions=oracle.decisions, doubled=oracle.doubled)


def _market(case: UpliftCase, oracle: Oracle, seed: int) -> pd.DataFrame:
    """One market: every learner at every size, and what they are measured by."""
    customers = int(max(case.sizes) * PER_CONTACT)
    trial, apart = trial_market(case.populations.preset, seed, customers, case.judged)
    x = apart.experiment.features
    rows: list[dict[str, object]] = []
    expected = oracle.informed.expected(x)
    line = frontier(expected, apart.gain, apart.spend)
    base = {"seed": seed, "informed": line.best, "omniscient": float(apart.gain.max(axis=1).mean())}

    def valued(name: str, contacts: int, arm: np.ndarray, events: float, effect: np.ndarray | None = None) -> None:
        n = np.arange(len(arm))
        spend = float(apart.spend[n, arm].mean())
        found = {"value": float(apart.gain[n, arm].mean()), "spend": spend, "contacted": float((arm > 0).mean())}
        if effect is not None:
            a = trial.arms.index("15")
            found["error"] = float(np.sqrt(((effect[:, a] - apart.gain[:, a]) ** 2).mean()))
            found["correlation"] = float(pd.Series(effect[:, a]).corr(pd.Series(apart.gain[:, a]), method="spearman"))
        rows.append(base | {"contacts": contacts, "learner": name, "events": events, "attainable": line.at(spend)} | found)

    valued("informed oracle", 0, expected[0].argmax(axis=1), 0.0, expected[0])
    blind = expected[0].copy()
    blind[:, 1:] += float(apart.elsewhere.mean()) - np.asarray(oracle.rest.predict(x[list(oracle.informed.columns)]))[:, None]
    valued("informed of all but other baskets", 0, blind.argmax(axis=1), 0.0, blind)
    valued("best rule on one variable", 0, apply_rule(oracle.rule, x), 0.0)
    # customers in the order of their own numbers: a smaller size is part of every larger one
    place = np.unique(draws.uniform(seed, "sizes of the trial", trial.customer), return_inverse=True)[1]
    for size in case.sizes:
        part = trial.only(place < size * PER_CONTACT)
        events = float(np.nansum(part.outcome("bought")) / len(part.arms))
        for name in case.learners:
            most, before = SLOW.get(name, (size, seed + 1))
            if size <= most and seed < before:
                effect = LEARNERS[name](part, "profit", Costs(), seed).effects(x)
                valued(name, size, effect.argmax(axis=1), events, effect)
    return pd.DataFrame(rows)


@cache
def oracle_of(populations: Populations) -> Oracle:
    """The informed oracle of some populations; studies that run one after the other share it, and nothing of it is kept on disk."""
    steps, most = populations.steps, max(populations.steps)
    seeds = ORACLE_SEEDS[:most] + ORACLE_SEEDS[-2:]
    made = run_cases(
        partial(_population, populations), seeds, f"{populations.preset}, populations of the oracle", populations.processes
    )
    values = []
    for many in steps:
        x, gain, spend, elsewhere = _joined(made[:many])
        fitted = fit_informed_oracle(x, gain, spend)
        values.append(np.mean([frontier(fitted.expected(s.experiment.features), s.gain, s.spend).best for s in made[-2:]]))
    rest = boosted(x, elsewhere, 0, ROUNDS, **TREES)
    doubled = float(values[-1] / values[-2] - 1) if len(values) > 1 else np.nan
    return Oracle(fitted, rest, best_one_variable_rule(x, gain), len(gain), doubled)


def _population(populations: Populations, seed: int) -> Scored:
    return trial_market(populations.preset, seed, 0, populations.customers)[1]


def _joined(made: list[Scored]) -> tuple[pd.DataFrame, np.ndarray, np.ndarray, np.ndarray]:
    x = pd.concat([s.experiment.features for s in made], ignore_index=True).drop(
        columns="product"
    )  # other markets, other products
    return x, np.vstack([s.gain for s in made]), np.vstack([s.spend for s in made]), np.concatenate([s.elsewhere for s in made])


def shares_of_attainable(study: pd.DataFrame) -> pd.DataFrame:
    """One row per case, contacts and learner: events (an arm), share with low and high, and of_all.

    share: value over what the informed oracle earns at the same true expected spend, the ratio of means over markets (its interval by the
    jackknife over markets); of_all: value over the omniscient oracle's; and mean value, error, correlation, contacted.
    """
    rows = []
    for (case, contacts, learner), part in study.groupby(["case", "contacts", "learner"], sort=False):
        value = part["value"].to_numpy()
        share = ratio_of_means(value, part["attainable"].to_numpy())
        row = {
            "case": case,
            "contacts": contacts,
            "learner": learner,
            "markets": len(part),
            "events": part["events"].mean(),
            "share": share["estimate"],
        }
        row |= {"low": share["low"], "high": share["high"], "of_all": value.mean() / part["omniscient"].mean()}
        rows.append(row | {name: part[name].mean() for name in ("value", "spend", "contacted", "error", "correlation")})
    return pd.DataFrame(rows)


def gain_over(study: pd.DataFrame, learner: str, contacts: int, other: str, others: int = 0) -> dict[str, float]:
    """Value of a learner less that of another policy in the same markets, LKR a decision: estimate, low, high (Student,
    95 %), wins (markets in which it earns more) and markets."""
    value = study.set_index(["learner", "contacts", "seed"])["value"]
    gap = (value[learner, contacts] - value[other, others]).dropna()
    gain = student(gap)
    return {
        "estimate": gain["estimate"],
        "low": gain["low"],
        "high": gain["high"],
        "wins": int((gap > 0).sum()),
        "markets": len(gap),
    }
