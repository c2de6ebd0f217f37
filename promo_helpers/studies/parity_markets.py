"""Kept study: over many markets, whom a policy leaves out that sees age, gender and segment, and what evening that out costs in truth.

A single market tells how a single trial erred. Each market here has a trial of its own, a response learnt from it with all columns, without
age, and without all three protected ones, and one budget that each spends on customers held out.
"""

from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import pandas as pd

from promo_helpers.audit.contacted import BORDERS
from promo_helpers.decide.allocate import Limits, Parity, allocate
from promo_helpers.decide.parity import share_gap
from promo_helpers.experiment.contacts import Costs
from promo_helpers.inference import named, student
from promo_helpers.models.demand import fit_demand_response
from promo_helpers.studies.markets import run_cases, trial_market

PROTECTED = ("age", "female", "segment")
TOLERANCE = 0.05
SPENT = 0.5  # of what would be spent without a budget
ARM = "10"
FULL, AGELESS, BLIND, WITH_PARITY = "all columns", "without age", "without protected columns", "ages within 5 points"


@dataclass(frozen=True)
class ParityCase:
    """Markets: `customers` to learn from, seeds, and `judged` customers (three decisions each are audited)."""

    customers: int
    seeds: tuple[int, ...] = tuple(range(1_400, 1_420))
    judged: int = 3_000


CASES = {
    "60,000": ParityCase(20_300),
    "20,000": ParityCase(6_800),
    "probe": ParityCase(600, (1_400,), 400),
}  # named for the contacts to learn from


def parity_rows(case: str) -> pd.DataFrame:
    """The kept rows of a case: seed, policy, contacted, promised (by its own model), value and spend (by the truth), LKR a decision;
    age, gender, segment: largest difference of shares contacted; left_out: that of the shares of persuadable decisions left out, between
    segments; believed, true: largest difference between age bands of what ARM is believed to earn, and of what it truly earns."""
    return pd.concat(run_cases(partial(_market, CASES[case]), CASES[case].seeds, case), ignore_index=True)


def _market(case: ParityCase, seed: int) -> pd.DataFrame:
    costs = Costs()
    trial, apart = trial_market("default", seed, case.customers, case.judged, costs.message)
    learnt = {}
    for policy, dropped in ((FULL, []), (AGELESS, ["age"]), (BLIND, list(PROTECTED))):
        learnt[policy] = fit_demand_response(replace(trial, features=trial.features.drop(columns=dropped)), costs, seed, parts=0)[
            0
        ]
    x, n, arm = apart.experiment.features, np.arange(len(apart.gain)), trial.arms.index(ARM)
    believed = {policy: response.expected(x) for policy, response in learnt.items()}
    found = believed[FULL]
    groups = {
        "age": np.searchsorted(BORDERS, x["age"], side="right"),
        "gender": x["female"].to_numpy(),
        "segment": x["segment"].to_numpy(),
    }
    money = SPENT * float(found.spend[n, found.gain.argmax(axis=1)].sum())
    plans = {policy: (allocate(f.gain, f.spend, Limits(money)).arm, f) for policy, f in believed.items()}
    limits = Limits(money, parity=Parity(groups["age"], TOLERANCE))
    plans[WITH_PARITY] = (allocate(found.gain, found.spend, limits).arm, found)
    moved = apart.gain.max(axis=1) > 0
    slopes = [np.ptp(pd.Series(v[:, arm]).groupby(groups["age"]).mean()) for v in (found.gain, apart.gain)]
    rows = []
    for policy, (chosen, model) in plans.items():
        rows.append(
            {
                "seed": seed, "policy": policy, "contacted": float((chosen > 0).mean()), "promised": float(model.gain[n, chosen].mean()),
                "value": float(apart.gain[n, chosen].mean()), "spend": float(apart.spend[n, chosen].mean()),
                **{name: share_gap(chosen, group) for name, group in groups.items()},
                "left_out": share_gap(chosen[moved] == 0, groups["segment"][moved]), "believed": float(slopes[0]), "true": float(slopes[1]),
            }
        )  # fmt: skip
    return pd.DataFrame(rows)


def differences_from_full(study: pd.DataFrame) -> pd.DataFrame:
    """One row a case and policy other than FULL, each figure less FULL's in the same market: promised and value as shares of FULL's mean
    (ratio of means), spend likewise, age, gender, segment and left_out as they are; each with low and high (Student over markets; of the
    shares, of differences over FULL's mean), wins (markets in which it truly earns more), markets."""
    rows = []
    for case, part in study.groupby("case", sort=False):
        wide = part.pivot(index="seed", columns="policy")
        for policy in (WITH_PARITY, AGELESS, BLIND):
            row: dict[str, object] = {"case": case, "policy": policy, "markets": len(wide)}
            row["wins"] = int((wide["value"][policy] > wide["value"][FULL]).sum())
            for name in ("promised", "value", "spend", "age", "gender", "segment", "left_out"):
                less = wide[name][policy] - wide[name][FULL]
                if name in ("promised", "value", "spend"):
                    less = less / wide[name][FULL].mean()
                row |= named(name, student(less))
            rows.append(row)
    return pd.DataFrame(rows)


def gaps(study: pd.DataFrame) -> pd.DataFrame:
    """One row a case, means over markets under FULL with _low and _high (Student): age, gender, segment, left_out, believed, true."""
    rows = []
    for case, part in study[study["policy"] == FULL].groupby("case", sort=False):
        row: dict[str, object] = {"case": case, "markets": len(part), "steeper": int((part["believed"] > part["true"]).sum())}
        for name in ("age", "gender", "segment", "left_out", "believed", "true"):
            row |= named(name, student(part[name]))
        rows.append(row)
    return pd.DataFrame(rows)
