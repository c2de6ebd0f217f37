"""Kept study: what ways of targeting promise, seem and are worth, in every kind of market; and what forecasts of campaigns are worth."""

from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd

from promo_helpers.decide import policies
from promo_helpers.evaluate.oracle import followed, frontier, one_variable
from promo_helpers.evaluate.value import difference, scores_for, shop_profit, value
from promo_helpers.models.bridge import Costs
from promo_helpers.models.response import fit_response
from promo_helpers.studies.markets import side_by_side, trial_market
from promo_helpers.studies.uplift import DEFAULT, Oracle, Populations, oracle_of

SEEDS = tuple(range(700, 720))
PER_CONTACT = 1 / 2.95  # customers a contact of the trial
ARM = "10"  # the depth of the rules that only rank
PERSONAL, BROADCAST = "expected profit", "best constant"
COSTS = {"breakeven": Costs(0.0, 0.0, 0.0)}  # where all side effects are off the marketer knows it


@dataclass(frozen=True)
class Case:
    """Markets of one kind: contacts to learn from, seeds, `judged` customers (three decisions each are valued), perhaps an oracle."""

    preset: str
    populations: Populations | None = None
    contacts: int = 20_000  # nominally
    seeds: tuple[int, ...] = SEEDS
    judged: int = 3_000


CASES = {
    "default, 60,000": Case("default", DEFAULT, 60_000),
    "default": Case("default", DEFAULT),
    **{name: Case(name) for name in ("null", "breakeven", "uniform", "hidden", "thin")},
    **{name: Case(name, Populations(name)) for name in ("threshold", "additive")},
    "probe": Case("default", Populations("default", 400, (1,), 1), 1_500, (700,), 300),
}


def replicate(case: str) -> pd.DataFrame:
    """The kept rows of a case: seed, policy, contacted, promised (by the model that allocates), estimated and se (doubly robust, on
    customers held out), value and spend (by the truth), all LKR a decision; ahead, ahead_se: estimated lead over the best constant, paired;
    attainable: what the informed oracle earns at the policy's spend, where a preset has one."""
    c = CASES[case]
    oracle = oracle_of(c.populations) if c.populations else None
    return pd.concat(side_by_side(partial(_market, c, oracle), c.seeds, case), ignore_index=True)


def _market(case: Case, oracle: Oracle | None, seed: int) -> pd.DataFrame:
    costs = COSTS.get(case.preset, Costs())
    trial, apart = trial_market(case.preset, seed, int(case.contacts * PER_CONTACT), case.judged, costs.message)
    response, _ = fit_response(trial, costs, seed, parts=0)
    x, held = apart.experiment.features, apart.experiment
    found, arm = response.expected(x), trial.arms.index(ARM)
    known = scores_for(trial, {"profit": shop_profit(trial, costs, response.tied[0])}, seed)["profit"]
    effect = known - known[:, :1]
    chosen = policies.profit(found)
    share = float((chosen > 0).mean())
    given = {policies.NOBODY: np.zeros(len(x), int)} | policies.everybody(len(x), trial.arms)
    given[BROADCAST] = np.full(len(x), int(effect.mean(axis=0).argmax()))
    scores = policies.ranked(x, found, arm, None, held.contact_id, seed)
    given |= {name: policies.top(score, share, arm) for name, score in scores.items()}
    given["rule on one variable"] = followed(one_variable(trial.features, effect), x)
    given |= {PERSONAL: chosen, "omniscient oracle": apart.gain.argmax(axis=1)}
    line = None
    if oracle:
        best = oracle.informed.expected(x)
        line = frontier(best, apart.gain, apart.spend)
        given["informed oracle"] = best[0].argmax(axis=1)
    usable = np.isfinite(held.outcome("profit"))
    judge = held.only(usable)
    score = scores_for(judge, {"profit": shop_profit(judge, costs, response.tied[0])}, seed)["profit"]
    rows, n = [], np.arange(len(x))
    for name, policy in given.items():
        guess = value(score, policy[usable], judge.customer)
        lead = difference(score, policy[usable], given[BROADCAST][usable], judge.customer)
        rows.append(
            {
                "seed": seed, "policy": name, "contacted": float((policy > 0).mean()), "promised": float(found.gain[n, policy].mean()),
                "estimated": guess["estimate"], "se": guess["se"], "value": float(apart.gain[n, policy].mean()),
                "spend": float(apart.spend[n, policy].mean()), "ahead": lead["estimate"], "ahead_se": lead["se"],
                "attainable": line.at(float(apart.spend[n, policy].mean())) if line else np.nan,
            }
        )  # fmt: skip
    return pd.DataFrame(rows)
