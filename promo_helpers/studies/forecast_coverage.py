"""Kept study: do the intervals of policy values and of forecasts cover, when trial and campaign are drawn again and again?

The customers of one market at a time are the population: each replication draws customers with replacement, the arms of a trial by its
chances, and what followed by simulation; then a campaign, on other draws, that follows the policy and holds some out.
"""

import tempfile
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from promo_helpers import draws
from promo_helpers.decide import policies
from promo_helpers.decide.forecast import calibrated_forecast, fit_calibrations, forecast_against_holdout
from promo_helpers.evaluate.value import outcome_scores, policy_difference, policy_value, shop_profit, weighted_value
from promo_helpers.experiment import Experiment
from promo_helpers.experiment.contacts import Costs, contact_experiment
from promo_helpers.market import ARMS, Truth, replay, simulate
from promo_helpers.market.parameters import parameters
from promo_helpers.models.demand import DemandForecast, DemandResponse, fit_demand_response
from promo_helpers.studies.markets import run_cases

HELD = 0.2  # share of these that is held out
ARM = "10"


@dataclass(frozen=True)
class CoverageCase:
    """Markets, `draws` replications of each, and numbers of customers: whom the policy learns from (`learners`), the population (`pool`),
    a trial (`trial`), and whom the policy writes to in a campaign (`sent`)."""

    seeds: tuple[int, ...] = tuple(range(760, 768))
    draws: int = 250
    learners: int = 4_000
    pool: int = 3_000
    trial: int = 1_000
    sent: int = 1_000
    preset: str = "default"


CASES = {"default": CoverageCase(), "probe": CoverageCase((760,), 1, 1_000, 300, 200, 100)}


@dataclass(frozen=True)
class Pool:
    """A population: decisions with the forecast of a fixed model, what the arms truly lead to, and the policy."""

    experiment: Experiment
    contacts: pd.DataFrame
    truth: Truth
    response: DemandResponse
    found: DemandForecast
    profit: np.ndarray  # [row, arm] true expectation of `shop_profit`
    revenue: np.ndarray
    policy: np.ndarray


def coverage_rows(case: str) -> pd.DataFrame:
    """One row per replication and figure: seed, draw, figure (an estimator of the policy's value, its lead over everybody, or a campaign's
    forecast), truth, estimate, low, high. Figures in LKR a decision (values) or for a campaign; a realised figure is its own truth."""
    return pd.concat(run_cases(partial(_market, CASES[case]), CASES[case].seeds, case), ignore_index=True)


def _market(case: CoverageCase, seed: int) -> pd.DataFrame:
    pool, rows = _pool(case, seed), []
    for draw in tqdm(range(case.draws), desc=f"market {seed}", leave=False, disable=True):
        rows += [{"seed": seed, "draw": draw} | row for row in _draw(case, pool, seed, draw)]
    return pd.DataFrame(rows)


def _pool(case: CoverageCase, seed: int) -> Pool:
    with tempfile.TemporaryDirectory(prefix="promo-study-") as scratch:
        p = parameters("paper", case.preset, customers=case.learners + case.pool)
        shop, truth = simulate(p, seed, Path(scratch) / "shop", Path(scratch) / "truth", workers=1)
        trial = contact_experiment(shop, "trial", Costs().message)
        contacts = shop.frame("contacts", ["contact_id", "customer_id", "product_id", "time"]).set_index("contact_id")
    late = truth.customer_number(trial.customer) >= case.learners
    response, _ = fit_demand_response(trial.only(~late), Costs(), seed, parts=0)
    apart = trial.only(late)
    asked = contacts.loc[apart.contact_id].reset_index()
    found, expected, x = response.expected(apart.features), truth.expected(asked), apart.features
    price = (x["product_price"] * (x["margin"] - x["promotion_ahead"])).to_numpy(float)[:, None]
    sent = np.arange(len(ARMS)) > 0
    leaving = (Costs().of(x) - Costs().message)[:, None] * sent
    profit = expected["window_profit"] - response.tied[0] * price * expected["units"] - leaving
    return Pool(apart, asked, truth, response, found, profit, expected["revenue"], policies.profit_policy(found))


def _lived(pool: Pool, rows: np.ndarray, arm: np.ndarray, seed: int, contact: np.ndarray, who: np.ndarray) -> Experiment:
    """What followed for these rows of the pool under these arms; `contact` names what happened to each, `who` the customers."""
    contacts = pool.contacts.iloc[rows].reset_index(drop=True).assign(contact_id=contact, arm=np.array(ARMS)[arm])
    after = replay(pool.truth, contacts, seed)
    outcomes = after[["units", "revenue", "discount"]].assign(profit=after["window_profit"])
    some = replace(pool.experiment, contact_id=np.arange(len(pool.experiment))).only(rows[:0])
    planned = np.asarray(pool.experiment.planned)
    return replace(
        some, contact_id=np.arange(len(rows)), customer=who, features=pool.experiment.features.iloc[rows].reset_index(drop=True),
        arm=arm, outcomes=outcomes, probability=planned[arm], strata=None,
    )  # fmt: skip


def _draw(case: CoverageCase, pool: Pool, seed: int, draw: int) -> list[dict[str, object]]:
    planned, everyone = np.asarray(pool.experiment.planned), np.arange(len(pool.policy))
    code, people = pd.factorize(pool.experiment.customer)
    start = np.argsort(code, kind="stable")
    first = np.searchsorted(code[start], np.arange(len(people) + 1))
    drawn = draws.parts(seed, "customers of a trial", *_named(draw, case.trial), number=len(people))
    rows = np.concatenate([start[first[c] : first[c + 1]] for c in drawn])
    who = np.repeat(np.arange(case.trial), first[drawn + 1] - first[drawn])
    contact = np.array([f"trial {draw}, {k}" for k in range(len(rows))], dtype=object)
    arm = draws.choice(seed, "arms of a trial", contact, chances=planned)
    trial = _lived(pool, rows, arm, seed, contact, who)
    policy, all10 = pool.policy[rows], np.full(len(rows), ARMS.index(ARM))
    y = {"profit": shop_profit(trial, Costs(), pool.response.tied[0])}
    scores = outcome_scores(trial, y, draw)
    gain = pool.profit - pool.profit[:, :1]
    worth = float(gain[everyone, pool.policy].mean())
    found = {"doubly robust": policy_value(scores["profit"], policy, who)}
    for own in (True, False):
        name = "self-normalised" if own else "weighted"
        found[name] = weighted_value(y["profit"], trial.arm, trial.probability, policy, who, own_sum=own)  # type: ignore[arg-type]
    out: list[dict[str, object]] = [_row(name, worth, f) for name, f in found.items()]
    lead = worth - float(gain[:, ARMS.index(ARM)].mean())
    out.append(_row("lead over everybody", lead, policy_difference(scores["profit"], policy, all10, who)))
    return out + _campaign(case, pool, rows, trial, scores, seed, draw)


def _campaign(
    case: CoverageCase, pool: Pool, rows: np.ndarray, trial: Experiment, scores: dict[str, np.ndarray], seed: int, draw: int
) -> list[dict[str, object]]:
    """A campaign to customers that the policy writes to, a share of them held out: forecast from the trial, then sent."""
    scale = pool.experiment.features["product_price"].to_numpy(float)[:, None] ** 2 * pool.found.units
    tied = pool.response.tied[0]
    lines = fit_calibrations(trial, pool.found.only(rows), pool.policy[rows], scores["profit"], tied, Costs())
    worth = np.flatnonzero(pool.policy > 0)
    chosen = worth[draws.parts(seed, "customers of a campaign", *_named(draw, case.sent), number=len(worth))]
    held = draws.uniform(seed, "held out", *_named(draw, case.sent)) < HELD
    arms = np.where(held, 0, pool.policy[chosen])
    contact = np.array([f"campaign {draw}, {k}" for k in range(case.sent)], dtype=object)
    after = _lived(pool, chosen, arms, seed, contact, np.arange(case.sent))
    to, kept = chosen[~held], chosen[held]
    by = pool.policy[to]
    size = scale[to, by]
    forecast = {
        "revenue": calibrated_forecast(lines["revenue"], pool.found.revenue[to, by], size),
        "profit": forecast_against_holdout(lines["profit"], pool.found.gain[to, by], size, scale[kept, 0]),
    }
    realised = shop_profit(after, Costs(), tied)
    measured = float((realised[~held].mean() - realised[held].mean()) * len(to))
    truth = {
        "revenue": (float(pool.revenue[to, by].sum()), float(after.outcome("revenue")[~held].sum())),
        "profit": (float((pool.profit[to, by] - pool.profit[to, 0]).sum()), measured),
    }
    out: list[dict[str, object]] = []
    for name, f in forecast.items():
        out.append(
            _row(
                f"expected {name}",
                truth[name][0],
                {"estimate": f["expected"], "low": f["confidence_low"], "high": f["confidence_high"]},
            )
        )
        out.append(
            _row(
                f"realised {name}",
                truth[name][1],
                {"estimate": f["expected"], "low": f["prediction_low"], "high": f["prediction_high"]},
            )
        )
        out.append(_row(f"promised {name}", truth[name][0], {"estimate": f["predicted"], "low": np.nan, "high": np.nan}))
    return out


def _named(draw: int, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Columns that name the customers of one replication: its number, and theirs within it."""
    return np.full(size, draw), np.arange(size)


def _row(figure: str, truth: float, found: dict[str, float]) -> dict[str, object]:
    return {"figure": figure, "truth": truth} | {k: found[k] for k in ("estimate", "low", "high")}
