"""From units to the profit of the whole shop: what the window of one product does not show."""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.optimize import minimize
from scipy.special import expit

from promo_helpers import draws
from promo_helpers.experiment import Experiment
from promo_helpers.experiment.contacts import Costs
from promo_helpers.inference import cluster_error, jackknife
from promo_helpers.models import saved
from promo_helpers.shop import Shop
from promo_helpers.trees import Booster, boosted

MEAN: dict[str, Any] = {
    "objective": "l2",
    "num_leaves": 15,
    "learning_rate": 0.1,
    "min_data_in_leaf": 200,
    "feature_fraction": 0.5,
}
MEAN_ROUNDS = 60


@dataclass(frozen=True)
class Displacement:
    """Share of the margin of additional units that other sales pay for (substitutes, and the product in the weeks after).

    measured: by the trial, with its standard error; share: after shrinkage towards what is published.
    """

    share: float
    measured: float
    error: float


def estimate_displacement(experiment: Experiment, units: np.ndarray, seed: int) -> Displacement:
    """What each rupee of additional margin costs elsewhere, from a trial.

    The margin of substitutes and of the product after the window, less its cross-fitted mean given the features, is regressed on the
    expected additional margin less its mean over the arms: the arms were drawn, so no confounder can tie the two (the residual-on-
    residual regression of Robinson 1988, with known chances). Rows weigh as one over their expected margin, to which the variance of a
    sum of purchases is proportional. `units` [row, arm] are expected units. Errors by customer.
    Raises ValueError without planned shares.
    """
    if experiment.planned is None:
        raise ValueError(f"{experiment.name}: the share needs a trial, whose chances are known")
    x, arm = experiment.features, experiment.arm
    price = (x["product_price"] * x["margin"]).to_numpy(float)
    y = experiment.outcome("substitutes") + experiment.outcome("product_after")
    more = price * (units[np.arange(len(arm)), arm] - units @ experiment.planned)
    known = np.isfinite(y)
    who = pd.factorize(experiment.customer)[0]
    fold = draws.folds(seed, "folds of the displaced share", experiment.customer, number=FOLDS)
    mean = np.zeros(len(y))
    for k in range(FOLDS):
        rows = known & (fold != k)
        mean[fold == k] = boosted(x[rows], y[rows], seed, MEAN_ROUNDS, **MEAN).predict(x[fold == k])
    z, left, who = more[known], (y - mean)[known], who[known]
    least = max(float(np.quantile(mean, 0.1)), float(np.abs(mean).mean()) / 20, 1e-9)  # weights stay positive, and bounded
    weighted = z / np.maximum(mean, least)[known]
    total = float(weighted @ z)
    measured = -float(weighted @ left) / total
    error = cluster_error(weighted * (left + measured * z), who, who.max() + 1, lost=0) / total
    weight = (1 / error**2, 1 / PRIOR_DISPLACEMENT_SD**2)
    return Displacement((measured * weight[0] + PRIOR_DISPLACEMENT * weight[1]) / sum(weight), measured, error)


def expected_gain(
    features: pd.DataFrame, units: np.ndarray, redeemed: np.ndarray, depth: np.ndarray, cost: np.ndarray, displacement: float
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """[row, arm] expected profit of the whole shop beyond that of the control, and expected spend: discount redeemed and message.

    Additional units earn their margin, less the share `displacement` that other sales pay for; each unit under the offer costs the discount
    (beyond a price promotion that runs anyway); and every contact costs `cost` [row].
    """
    price, margin, shelf = (features[c].to_numpy(float)[:, None] for c in ("product_price", "margin", "promotion_ahead"))
    off = np.nan_to_num(depth)
    sent = np.arange(len(depth)) > 0
    more = price * (margin - shelf) * (units - units[:, :1])
    given = price * np.maximum(off - shelf, 0) * redeemed
    return more * (1 - displacement) - given - cost[:, None] * sent, given + cost[:, None] * sent


BASE: dict[str, Any] = {
    "objective": "poisson", "num_leaves": 15, "learning_rate": 0.06, "min_data_in_leaf": 150, "feature_fraction": 0.5, "lambda_l2": 5.0,
    "poisson_max_delta_step": 0.7,
}  # fmt: skip
ROUNDS = 150
FOLDS = 3
LEAST = 1e-4  # units: a base of zero has no logarithm
SPREAD = 0.08  # prior standard deviation of a weight, in log lift or logit per standard deviation of a feature
STEP, STEP_SPREAD = 0.3, 1.0  # prior median of each step of the lifts, and its spread in log
PRIOR_DISPLACEMENT, PRIOR_DISPLACEMENT_SD = (
    0.3,
    0.15,
)  # prior of the share of a bump that other sales pay for: two thirds of the published decompositions


@dataclass(frozen=True)
class DoseResponse:
    """A fitted dose-response: the base models, and the parameters of lift and notice.

    steps: [offer - 1] increments of the lift from one discount to the next. answer, notice: [driver] w and v. centre, scale: [driver].
    depth: [arm], NaN for the control.
    """

    bases: tuple[Booster, ...]
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


def fit_dose_response(experiments: Sequence[Experiment], seed: int) -> DoseResponse:
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
        bases.append(boosted(x[rows], y[rows], seed, ROUNDS, **BASE))
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
    return DoseResponse(tuple(bases), steps, answer, level, notice, centre, scale, tuple(x), depth)


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


PARTS = 5
THREADS = min(2, os.cpu_count() or 1)  # fits side by side, each on one thread
ARRAYS = ("steps", "answer", "notice", "centre", "scale", "depth")
FEW = 1e-9


@dataclass(frozen=True)
class DemandForecast:
    """Expectations [row, arm]: units and those redeemed, revenue and discount (the product in the window), spend (discount and message),
    gain (profit of the whole shop beyond that of the control), buys (chance of buying the product in the window)."""

    units: np.ndarray
    redeemed: np.ndarray
    revenue: np.ndarray
    discount: np.ndarray
    spend: np.ndarray
    gain: np.ndarray
    buys: np.ndarray

    def only(self, rows: np.ndarray) -> "DemandForecast":
        """These rows of it."""
        return DemandForecast(*(getattr(self, f)[rows] for f in self.__dataclass_fields__))

    def of(self, arm: np.ndarray) -> pd.DataFrame:
        """One row a decision: every expectation under the arm that it gets."""
        rows = np.arange(len(arm))
        return pd.DataFrame({f: getattr(self, f)[rows, arm] for f in self.__dataclass_fields__})


@dataclass(frozen=True)
class DemandResponse:
    """A fitted response. doses, tied: of all customers first, then of all but each part. link: intercept and slope of the
    complementary log-log of buying on log units. tried: numbers of the products that the trial offered."""

    doses: tuple[DoseResponse, ...]
    tied: tuple[float, ...]
    costs: Costs
    link: tuple[float, float]
    arms: tuple[str, ...]
    tried: tuple[int, ...]

    def expected(self, features: pd.DataFrame, model: int = 0) -> DemandForecast:
        """What each arm would lead to, by the whole model or by one that left a part out. Products that no trial offered are taken as
        unknown ones with their price, margin and category."""
        dose = self.doses[model]
        if "product" in features:
            features = features.assign(product=features["product"].where(features["product"].isin(self.tried)))
        units, redeemed = dose.expected(features)
        earned, spend = expected_gain(features, units, redeemed, dose.depth, self.costs.of(features), self.tied[model])
        price, shelf = (features[c].to_numpy(float)[:, None] for c in ("product_price", "promotion_ahead"))
        off = np.nan_to_num(dose.depth)
        discount = price * np.maximum(off - shelf, 0) * redeemed
        spend = discount + self.costs.message * (
            np.arange(len(off)) > 0
        )  # the chance of opting out is a loss, nothing is paid for it
        revenue = price * ((units - redeemed) * (1 - shelf) + redeemed * (1 - np.maximum(off, shelf)))
        return DemandForecast(units, redeemed, revenue, discount, spend, earned, self._buys(units, redeemed))

    def _buys(self, units: np.ndarray, redeemed: np.ndarray) -> np.ndarray:
        """Who misses an offer buys as ever, who notices it more: two chances, mixed by the share that notices."""

        def chance(mean: np.ndarray) -> np.ndarray:
            return -np.expm1(-np.exp(self.link[0] + self.link[1] * np.log(np.maximum(mean, FEW))))

        base = units[:, :1]
        seen = np.clip(1 - (units - redeemed) / np.maximum(base, FEW), 0, 1)
        return (1 - seen) * chance(base) + seen * chance(redeemed / np.maximum(seen, FEW))

    def between(
        self, statistic: Callable[[DemandForecast], np.ndarray], features: pd.DataFrame, level: float = 0.95
    ) -> tuple[np.ndarray, ...]:
        """estimate, low, high of a statistic of the forecast: the whole model's, and the jackknife over the parts."""
        whole = np.asarray(statistic(self.expected(features)), float)
        parts = np.array([statistic(self.expected(features, k)) for k in range(1, len(self.doses))], float)
        ends = jackknife(whole, parts, level)
        return whole, ends["low"], ends["high"]

    def save(self, name: str, facts: dict[str, Any]) -> Path:
        """Write it as a saved model; `facts` as `saved.save` wants them."""
        parts: dict[str, Any] = {}
        for i, dose in enumerate(self.doses):
            parts |= {f"dose{i}_base{j}": b for j, b in enumerate(dose.bases)}
            parts |= {f"dose{i}_{a}": getattr(dose, a) for a in ARRAYS}
        own = {
            "tied": list(self.tied), "link": list(self.link), "levels": [d.level for d in self.doses], "arms": list(self.arms),
            "tried": list(self.tried), "costs": vars(self.costs), "columns": list(self.doses[0].columns),
        }  # fmt: skip
        return saved.save(name, parts, {**facts, "features": dict.fromkeys(self.doses[0].columns, "float64"), "response": own})

    @classmethod
    def load(cls, name: str, shop: Shop | None = None) -> tuple["DemandResponse", dict[str, Any]]:
        """The saved model and its facts. shop: the one that it will be used for. Raises as `saved.load`."""
        notebook = saved.MAKERS["response"]
        parts, facts = saved.load(name, notebook if shop is not None else f"make notebook N={notebook}", shop)
        own = facts["response"]
        doses = []
        for i, level in enumerate(own["levels"]):
            bases = tuple(parts[f"dose{i}_base{j}"] for j in range(sum(p.startswith(f"dose{i}_base") for p in parts)))
            steps, answer, notice, centre, scale, depth = (parts[f"dose{i}_{a}"] for a in ARRAYS)
            doses.append(DoseResponse(bases, steps, answer, level, notice, centre, scale, tuple(own["columns"]), depth))
        link = (float(own["link"][0]), float(own["link"][1]))
        found = cls(tuple(doses), tuple(own["tied"]), Costs(**own["costs"]), link, tuple(own["arms"]), tuple(own["tried"]))
        return found, facts


def fit_demand_response(experiment: Experiment, costs: Costs, seed: int, parts: int = PARTS) -> tuple[DemandResponse, np.ndarray]:
    """Fit to a trial with planned shares; also [row] the part (1, 2, ...) that each row's customer is in. With `parts` = 0 only the whole
    model is fitted, which values nothing and has no intervals.

    Raises ValueError as `fit_dose_response` and `estimate_displacement` do, and for one part, which would leave nobody.
    """
    if parts < 0 or parts == 1:
        raise ValueError(f"parts = {parts}: at least two are needed, so that each can be left out")
    part = 1 + draws.folds(seed, "parts of the response", experiment.customer, number=max(parts, 1))

    def one(left_out: int) -> tuple[DoseResponse, float]:
        rows = experiment.only(part != left_out)
        dose = fit_dose_response([rows], seed)
        return dose, estimate_displacement(rows, dose.expected(rows.features)[0], seed).share

    with ThreadPoolExecutor(THREADS) as pool:
        fitted = list(pool.map(one, range(parts + 1)))  # no row is in part 0
    doses, tied = zip(*fitted, strict=True)
    plain = np.nan_to_num(experiment.depth)[experiment.arm] == 0
    units = np.empty(len(experiment))
    for k in np.unique(part):
        units[part == k] = doses[k if parts else 0].expected(experiment.features[part == k])[0][:, 0]
    link = _link(units[plain], experiment.outcome("bought")[plain])
    tried = tuple(sorted({int(p) for p in experiment.features["product"]})) if "product" in experiment.features else ()
    return DemandResponse(tuple(doses), tuple(tied), costs, link, experiment.arms, tried), part


def out_of_fold_forecast(response: DemandResponse, features: pd.DataFrame, part: np.ndarray) -> DemandForecast:
    """The forecast of each row by the model that left its customer out: only so may a row judge what was chosen for it."""
    first = response.expected(features.iloc[:1])
    whole = {f: np.empty((len(part), np.shape(getattr(first, f))[1])) for f in first.__dataclass_fields__}
    for k in np.unique(part):
        found = response.expected(features[part == k], int(k))
        for name, values in whole.items():
            values[part == k] = getattr(found, name)
    return DemandForecast(**whole)


def _link(units: np.ndarray, bought: np.ndarray) -> tuple[float, float]:
    """Intercept and slope of log(-log(1 - P(buy))) on log units, by maximum likelihood; units come in trips, so the slope is below 1."""
    known = np.isfinite(bought)
    x, y = np.log(np.maximum(units[known], FEW)), bought[known]

    def loss(t: np.ndarray) -> float:
        rate = np.exp(np.clip(t[0] + t[1] * x, -30, 5))
        return float((rate * (1 - y)).sum() - np.log(np.maximum(-np.expm1(-rate[y > 0]), 1e-300)).sum())

    a, b = minimize(loss, np.array([0.0, 1.0]), method="Nelder-Mead", options={"xatol": 1e-6, "fatol": 1e-6}).x
    return float(a), float(b)
