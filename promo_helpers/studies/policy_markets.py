"""Kept study: what ways of targeting promise, seem and are worth, in every kind of market; and what forecasts of campaigns are worth."""

from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd

from promo_helpers.decide import policies
from promo_helpers.evaluate.cost_curves import apply_rule, best_one_variable_rule, frontier
from promo_helpers.evaluate.value import outcome_scores, policy_difference, policy_value, shop_profit
from promo_helpers.experiment.contacts import Costs
from promo_helpers.experiment.design import ONE_SIDED
from promo_helpers.inference import interval, named, share, student
from promo_helpers.models.demand import fit_demand_response
from promo_helpers.studies.markets import run_cases, trial_market
from promo_helpers.studies.uplift_markets import DEFAULT, Oracle, Populations, oracle_of

SEEDS = tuple(range(700, 720))
PER_CONTACT = 1 / 2.95  # customers a contact of the trial
ARM = "10"  # the depth of the rules that only rank
PERSONAL, BROADCAST = "expected profit", "best constant"
COSTS = {"breakeven": Costs(0.0, 0.0, 0.0)}  # where all side effects are off the marketer knows it


@dataclass(frozen=True)
class PolicyCase:
    """Markets of one kind: contacts to learn from, seeds, `judged` customers (three decisions each are valued), perhaps an oracle."""

    preset: str
    populations: Populations | None = None
    contacts: int = 20_000  # nominally
    seeds: tuple[int, ...] = SEEDS
    judged: int = 3_000


CASES = {
    "default, 60,000": PolicyCase("default", DEFAULT, 60_000),
    "default": PolicyCase("default", DEFAULT),
    **{name: PolicyCase(name) for name in ("null", "breakeven", "uniform", "hidden", "thin")},
    **{name: PolicyCase(name, Populations(name)) for name in ("threshold", "additive")},
    "probe": PolicyCase("default", Populations("default", 400, (1,), 1), 1_500, (700,), 300),
}


def policy_rows(case: str) -> pd.DataFrame:
    """The kept rows of a case: seed, policy, contacted, promised (by the model that allocates), estimated and se (doubly robust, on
    customers held out), value and spend (by the truth), all LKR a decision; ahead, ahead_se: estimated lead over the best constant, paired;
    attainable: what the informed oracle earns at the policy's spend, where a preset has one."""
    c = CASES[case]
    oracle = oracle_of(c.populations) if c.populations else None
    return pd.concat(run_cases(partial(_market, c, oracle), c.seeds, case), ignore_index=True)


def _market(case: PolicyCase, oracle: Oracle | None, seed: int) -> pd.DataFrame:
    costs = COSTS.get(case.preset, Costs())
    trial, apart = trial_market(case.preset, seed, int(case.contacts * PER_CONTACT), case.judged, costs.message)
    response, _ = fit_demand_response(trial, costs, seed, parts=0)
    x, held = apart.experiment.features, apart.experiment
    found, arm = response.expected(x), trial.arms.index(ARM)
    known = outcome_scores(trial, {"profit": shop_profit(trial, costs, response.tied[0])}, seed)["profit"]
    effect = known - known[:, :1]
    chosen = policies.profit_policy(found)
    share = float((chosen > 0).mean())
    given = {policies.NOBODY: np.zeros(len(x), int)} | policies.everybody(len(x), trial.arms)
    given[BROADCAST] = np.full(len(x), int(effect.mean(axis=0).argmax()))
    scores = policies.ranked(x, found, arm, None, held.contact_id, seed)
    given |= {name: policies.top(score, share, arm) for name, score in scores.items()}
    given["rule on one variable"] = apply_rule(best_one_variable_rule(trial.features, effect), x)
    given |= {PERSONAL: chosen, "omniscient oracle": apart.gain.argmax(axis=1)}
    line = None
    if oracle:
        best = oracle.informed.expected(x)
        line = frontier(best, apart.gain, apart.spend)
        given["informed oracle"] = best[0].argmax(axis=1)
    usable = np.isfinite(held.outcome("profit"))
    judge = held.only(usable)
    score = outcome_scores(judge, {"profit": shop_profit(judge, costs, response.tied[0])}, seed)["profit"]
    rows, n = [], np.arange(len(x))
    for name, policy in given.items():
        guess = policy_value(score, policy[usable], judge.customer)
        lead = policy_difference(score, policy[usable], given[BROADCAST][usable], judge.customer)
        rows.append(
            {
                "seed": seed, "policy": name, "contacted": float((policy > 0).mean()), "promised": float(found.gain[n, policy].mean()),
                "estimated": guess["estimate"], "se": guess["se"], "value": float(apart.gain[n, policy].mean()),
                "spend": float(apart.spend[n, policy].mean()), "ahead": lead["estimate"], "ahead_se": lead["se"],
                "attainable": line.at(float(apart.spend[n, policy].mean())) if line else np.nan,
            }
        )  # fmt: skip
    return pd.DataFrame(rows)


LEAST = 1e-6  # LKR: below that nothing is earned


def policy_values(study: pd.DataFrame) -> pd.DataFrame:
    """One row a case and policy of `studies.policy_markets`: markets; promised, estimated and value (means, LKR a decision) each with _low
    and _high (Student over markets); contacted and spend; share of what is attainable at that spend (ratio of means; missing without
    an oracle); and sure, the share of markets whose own one-sided 95 % bound of the estimate lies above 0."""
    rows = []
    for (case, policy), part in study.groupby(["case", "policy"], sort=False):
        row: dict[str, object] = {"case": case, "policy": policy, "markets": len(part)}
        for name in ("promised", "estimated", "value"):
            row |= named(name, student(part[name]))
        row |= {"contacted": part["contacted"].mean(), "spend": part["spend"].mean()}
        there = part["attainable"].notna().all() and part["attainable"].mean() > 0
        row["share"] = part["value"].mean() / part["attainable"].mean() if there else np.nan
        bound = interval(part["estimated"], part["se"], ONE_SIDED)["low"]
        row["sure"] = float((bound > 0).mean()) if part["se"].any() else 0.0
        rows.append(row)
    return pd.DataFrame(rows)


def personal_or_broadcast(study: pd.DataFrame) -> pd.DataFrame:
    """One row a case: the true value of expected profit and of the constant policy (nobody included) that earns most over these markets,
    and the lead of the first, LKR a decision, each with _low and _high (Student over markets); constant,
    wins (markets ahead), shown (markets whose own held-out interval shows a lead over the constant that the trial found), markets."""
    rows = []
    for case, part in study.groupby("case", sort=False):
        wide = part.pivot(index="seed", columns="policy", values="value")
        constants = [c for c in wide if c == "nobody" or str(c).startswith("everybody")]
        means = wide[constants].mean()
        best = "nobody" if means.max() < LEAST else str(means.idxmax())
        row: dict[str, object] = {"case": case, "constant": best, "markets": len(wide)}
        row["wins"] = int((wide[PERSONAL] - wide[best] > LEAST).sum())
        mine = part[part["policy"] == PERSONAL]
        row["shown"] = int((interval(mine["ahead"], mine["ahead_se"])["low"] > 0).sum())
        for name, amount in (("personal", wide[PERSONAL]), ("broadcast", wide[best]), ("lead", wide[PERSONAL] - wide[best])):
            row |= named(name, student(amount))
        rows.append(row)
    return pd.DataFrame(rows)


def lead_over(study: pd.DataFrame, case: str, other: str) -> dict[str, float]:
    """True value of expected profit less that of another policy in the same markets of a case: lead, low, high (Student), wins, markets."""
    wide = study[study["case"] == case].pivot(index="seed", columns="policy", values="value")
    gap = wide[PERSONAL] - wide[other]
    lead = student(gap)
    return {
        "lead": lead["estimate"],
        "low": lead["low"],
        "high": lead["high"],
        "wins": float((gap > LEAST).sum()),
        "markets": float(len(gap)),
    }


def overpromising_cases(study: pd.DataFrame, errors: float = 2.0) -> tuple[int, int]:
    """In how many cases expected profit promises more than is true by over so many standard errors over markets, and of how many."""
    mine = study[study["policy"] == PERSONAL]
    gap = (mine["promised"] - mine["value"]).groupby(mine["case"]).agg(["mean", "sem"])
    return int((gap["mean"] > errors * gap["sem"]).sum()), len(gap)


def coverage_of_figures(study: pd.DataFrame) -> pd.DataFrame:
    """One row a figure of `studies.forecast_coverage` that has intervals: replications, truth and estimate (means), cover with low and high
    (binomial, 95 %), width (mean)."""
    rows = []
    for figure, part in study[study["low"].notna()].groupby("figure", sort=False):
        inside = (part["low"] <= part["truth"]) & (part["truth"] <= part["high"])
        cover = share(int(inside.sum()), len(part))
        row = {"figure": figure, "replications": len(part), "truth": part["truth"].mean(), "estimate": part["estimate"].mean()}
        row |= {"cover": cover["estimate"], "low": cover["low"], "high": cover["high"]}
        rows.append(row | {"width": (part["high"] - part["low"]).mean()})
    return pd.DataFrame(rows)
