"""Dose and response: what each depth of discount does, in a form that uses the order of the depths and how an offer reaches a customer.

An offer is noticed with a chance q(x), or not. Who misses it buys as ever, b(x) units in the window, at the list price; who notices it
buys b(x) (1 + tau_d exp(w z)), all of it under the offer. So the units bought under an offer of depth d and those bought without it are

    redeemed ~ Poisson(b q (1 + tau_d exp(w z)))        others ~ Poisson(b (1 - q))         logit q = q_0 + v z

The base b is a LightGBM with a Poisson loss on those who got no discount; the lifts 0 < tau_5 <= ... <= tau_25 are common to all (ordered
among the offers only: a contact may harm); w and v weigh standardised features z, with the log of the base among them, which lets a lift
be additive too. They are found by penalised maximum likelihood (a ridge is a normal prior), so that few events give alike lifts, not wild
ones. Counting what was redeemed is what makes it sharp: a unit under an offer has no noise of the base in it, and a discount that
nobody noticed costs nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import lightgbm as lgb
import numpy as np
import pandas as pd
from scipy.optimize import minimize
from scipy.special import expit

from promo_helpers import draws
from promo_helpers.experiment import Experiment

BASE = {
    "objective": "poisson", "num_leaves": 15, "learning_rate": 0.06, "min_data_in_leaf": 150, "feature_fraction": 0.5, "lambda_l2": 5.0,
    "poisson_max_delta_step": 0.7, "verbose": -1, "num_threads": 1, "deterministic": True, "force_row_wise": True,
}  # fmt: skip
ROUNDS = 150
FOLDS = 3
LEAST = 1e-4  # units: a base of zero has no logarithm
SPREAD = 0.08  # prior standard deviation of a weight, in log lift or logit per standard deviation of a feature
STEP, STEP_SPREAD = 0.3, 1.0  # prior median of each step of the lifts, and its spread in log
TIED, TIED_SPREAD = 0.3, 0.15  # prior of the share of a bump that other sales pay for: two thirds of the published decompositions


@dataclass(frozen=True)
class Dose:
    """A fitted dose-response: the base models, and the parameters of lift and notice.

    steps: [offer - 1] increments of the lift from one discount to the next. answer, notice: [driver] w and v. centre, scale: [driver].
    depth: [arm], NaN for the control.
    """

    bases: tuple[lgb.Booster, ...]
    steps: np.ndarray
    answer: np.ndarray
    level: float
    notice: np.ndarray
    centre: np.ndarray
    scale: np.ndarray
    columns: tuple[str, ...]
    depth: np.ndarray

    def expected(self, features: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
        """[row, arm] expected units of the product in the window, and those of them bought under the offer."""
        x = features[list(self.columns)]
        base = np.maximum(np.mean([m.predict(x) for m in self.bases], axis=0), LEAST)
        z = _standard(_drivers(x, base), self.centre, self.scale)
        seen = expit(self.level + z @ self.notice)
        lift = 1 + np.cumsum(self.steps) * np.exp(np.clip(z @ self.answer, -5, 5))[:, None]
        deep = np.nan_to_num(self.depth) > 0
        redeemed, units = np.zeros((len(x), len(self.depth))), np.repeat(base[:, None], len(self.depth), axis=1)
        redeemed[:, deep] = (base * seen)[:, None] * lift
        units[:, deep] = redeemed[:, deep] + (base * (1 - seen))[:, None]
        return units, redeemed

    def drivers(self) -> pd.DataFrame:
        """Weights per standard deviation of each driver: `answer` in the log of the lift, `notice` in the logit of noticing."""
        table = pd.DataFrame({"driver": [*self.columns, "log_base"], "answer": self.answer, "notice": self.notice})
        return table.sort_values("answer", key=abs, ascending=False, kind="stable", ignore_index=True)


def fit_dose(experiments: Sequence[Experiment], seed: int) -> Dose:
    """Fit to one or several experiments with the same arms, such as a trial and a log of the same shop.

    Needs the outcomes units and redeemed. A log may be added where the features hold all that its rule looked at: then who got what is
    as good as drawn, given them. Raises ValueError where the arms differ, are not ordered discounts after a control, or lack a row.
    """
    arms, depth = experiments[0].arms, experiments[0].depth
    if any(e.arms != arms for e in experiments):
        raise ValueError(f"the experiments have different arms: {', '.join(str(e.arms) for e in experiments)}")
    percent = np.nan_to_num(depth)
    if percent[0] > 0 or (percent > 0).sum() < 2 or not (np.diff(depth[1:]) > 0).all():
        raise ValueError(f"{experiments[0].name}: a dose needs a control and two ordered discounts, arms are {', '.join(arms)}")
    x = pd.concat([e.features for e in experiments], ignore_index=True)
    y, used, arm = (
        np.concatenate(v) for v in zip(*((e.outcome("units"), e.outcome("redeemed"), e.arm) for e in experiments), strict=True)
    )
    who = np.concatenate([e.customer for e in experiments])
    known = np.isfinite(y)
    x, y, used, arm, who = x[known], y[known], used[known], arm[known], who[known]
    counts = np.bincount(arm, minlength=len(arms))
    if (counts == 0).any():
        raise ValueError(f"{experiments[0].name}: no contact with the arm '{arms[int(np.argmin(counts))]}'")
    fold = draws.folds(seed, "folds of the dose-response", who, number=FOLDS)
    plain = percent[arm] == 0
    bases, base = [], np.empty(len(y))
    if len(np.unique(fold[plain])) < 2:
        raise ValueError(f"{experiments[0].name}: those without a discount are too few customers for {FOLDS} folds")
    for k in range(FOLDS):  # a base that has seen a row's own units would leave nothing of them to explain
        rows = plain & (fold != k)
        bases.append(lgb.train(BASE | {"seed": seed}, lgb.Dataset(x[rows], y[rows]), ROUNDS))
        base[fold == k] = bases[-1].predict(x[fold == k])
    base = np.maximum(base, LEAST)
    raw = _drivers(x, base)
    centre, scale = np.nan_to_num(np.nanmean(raw, axis=0)), np.nanstd(raw, axis=0)
    scale = np.where(np.isfinite(scale) & (scale > 1e-9), scale, np.inf)
    deep = ~plain
    offer = (np.cumsum(percent > 0) - 1)[arm[deep]]
    others = np.maximum(y - used, 0)[deep]
    z = _standard(raw[deep], centre, scale)
    steps, answer, level, notice = _likeliest(z, offer, used[deep], others, base[deep], int((percent > 0).sum()))
    return Dose(tuple(bases), steps, answer, level, notice, centre, scale, tuple(x), depth)


def _drivers(x: pd.DataFrame, base: np.ndarray) -> np.ndarray:
    """[row, driver] arcsinh of every feature (a logarithm that takes zeros), and the log of the base."""
    return np.column_stack([np.arcsinh(x.to_numpy(float)), np.log(base)])


def _standard(raw: np.ndarray, centre: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Standardised, cut at four standard deviations; what is missing is average."""
    return np.clip(np.nan_to_num((raw - centre) / scale), -4, 4)


def _likeliest(
    z: np.ndarray, offer: np.ndarray, redeemed: np.ndarray, others: np.ndarray, base: np.ndarray, offers: int
) -> tuple[np.ndarray, np.ndarray, float, np.ndarray]:
    """Steps, answer, level and notice that maximise the penalised likelihood. Rows are those offered a discount."""
    k = z.shape[1]
    start = np.concatenate([np.full(offers, np.log(STEP)), np.zeros(2 * k + 1)])
    data = (z, offer, redeemed, others, base, offers)
    # to the last digit: where it stops early, another processor stops elsewhere, and forecasts differ in the fourth digit
    tight = {"maxiter": 2000, "maxfun": 4000, "maxcor": 50, "ftol": 1e-15, "gtol": 1e-9}
    found = minimize(_loss, start, args=data, jac=True, method="L-BFGS-B", options=tight).x
    return np.exp(found[:offers]), found[offers : offers + k], float(found[offers + k]), found[offers + k + 1 :]


def _loss(
    t: np.ndarray, z: np.ndarray, offer: np.ndarray, redeemed: np.ndarray, others: np.ndarray, base: np.ndarray, offers: int
) -> tuple[float, np.ndarray]:
    """Penalised negative log-likelihood, less what does not depend on t, and its slope. t: log steps, answer, level, notice."""
    k = z.shape[1]
    steps, w, level, v = np.exp(t[:offers]), t[offers : offers + k], t[offers + k], t[offers + k + 1 :]
    lift, answer = np.cumsum(steps)[offer], np.exp(np.clip(z @ w, -5, 5))
    seen = expit(np.clip(level + z @ v, -15, 15))
    more = 1 + lift * answer
    used, rest = base * seen * more, base * (1 - seen)
    past = (t[:offers] - np.log(STEP)) / STEP_SPREAD
    penalty = past @ past / 2 + (w @ w + v @ v) / (2 * SPREAD**2)
    value = (used - redeemed * np.log(used) + rest - others * np.log(rest)).sum() + penalty
    over, left = used - redeemed, rest - others  # slopes with respect to the logs of the two means
    by_offer = np.bincount(offer, over * answer / more, minlength=offers)
    notice = over * (1 - seen) - left * seen
    slope = np.concatenate(
        [
            np.cumsum(by_offer[::-1])[::-1] * steps + past / STEP_SPREAD,
            z.T @ (over * lift * answer / more) + w / SPREAD**2,
            [notice.sum()],
            z.T @ notice + v / SPREAD**2,
        ]
    )
    return float(value), slope
