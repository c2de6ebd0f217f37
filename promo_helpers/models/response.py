"""What an offer does, ready for use: the dose-response of a whole trial, those of its parts, and the way from units to rupees.

One model is fitted to all customers of the trial; K more each leave one part of the customers out. The K value a policy on customers
that they have not seen, and their spread is a jackknife by groups of customers (Efron and Tibshirani 1993, chapter 11): the standard error
of anything that the whole model says. Intervals of single customers hold what the trial leaves open, not what the form gets wrong.
"""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats
from scipy.optimize import minimize

from promo_helpers import draws
from promo_helpers.experiment import Experiment
from promo_helpers.models import saved
from promo_helpers.models.bridge import Costs, gain, tied_share
from promo_helpers.models.dose import Dose, fit_dose
from promo_helpers.shop import Shop

PARTS = 5
THREADS = min(2, os.cpu_count() or 1)  # fits side by side, each on one thread
ARRAYS = ("steps", "answer", "notice", "centre", "scale", "depth")
FEW = 1e-9


@dataclass(frozen=True)
class Forecast:
    """Expectations [row, arm]: units and those redeemed, revenue and discount (the product in the window), spend (discount and message),
    gain (profit of the whole shop beyond that of the control), buys (chance of buying the product in the window)."""

    units: np.ndarray
    redeemed: np.ndarray
    revenue: np.ndarray
    discount: np.ndarray
    spend: np.ndarray
    gain: np.ndarray
    buys: np.ndarray

    def only(self, rows: np.ndarray) -> "Forecast":
        """These rows of it."""
        return Forecast(*(getattr(self, f)[rows] for f in self.__dataclass_fields__))

    def of(self, arm: np.ndarray) -> pd.DataFrame:
        """One row a decision: every expectation under the arm that it gets."""
        rows = np.arange(len(arm))
        return pd.DataFrame({f: getattr(self, f)[rows, arm] for f in self.__dataclass_fields__})


@dataclass(frozen=True)
class Response:
    """A fitted response. doses, tied: of all customers first, then of all but each part. link: intercept and slope of the
    complementary log-log of buying on log units. tried: numbers of the products that the trial offered."""

    doses: tuple[Dose, ...]
    tied: tuple[float, ...]
    costs: Costs
    link: tuple[float, float]
    arms: tuple[str, ...]
    tried: tuple[int, ...]

    def expected(self, features: pd.DataFrame, model: int = 0) -> Forecast:
        """What each arm would lead to, by the whole model or by one that left a part out. Products that no trial offered are taken as
        unknown ones with their price, margin and category."""
        dose = self.doses[model]
        if "product" in features:
            features = features.assign(product=features["product"].where(features["product"].isin(self.tried)))
        units, redeemed = dose.expected(features)
        earned, spend = gain(features, units, redeemed, dose.depth, self.costs.of(features), self.tied[model])
        price, shelf = (features[c].to_numpy(float)[:, None] for c in ("product_price", "promotion_ahead"))
        off = np.nan_to_num(dose.depth)
        discount = price * np.maximum(off - shelf, 0) * redeemed
        spend = discount + self.costs.message * (
            np.arange(len(off)) > 0
        )  # the chance of opting out is a loss, nothing is paid for it
        revenue = price * ((units - redeemed) * (1 - shelf) + redeemed * (1 - np.maximum(off, shelf)))
        return Forecast(units, redeemed, revenue, discount, spend, earned, self._buys(units, redeemed))

    def _buys(self, units: np.ndarray, redeemed: np.ndarray) -> np.ndarray:
        """Who misses an offer buys as ever, who notices it more: two chances, mixed by the share that notices."""

        def chance(mean: np.ndarray) -> np.ndarray:
            return -np.expm1(-np.exp(self.link[0] + self.link[1] * np.log(np.maximum(mean, FEW))))

        base = units[:, :1]
        seen = np.clip(1 - (units - redeemed) / np.maximum(base, FEW), 0, 1)
        return (1 - seen) * chance(base) + seen * chance(redeemed / np.maximum(seen, FEW))

    def between(
        self, statistic: Callable[[Forecast], np.ndarray], features: pd.DataFrame, level: float = 0.95
    ) -> tuple[np.ndarray, ...]:
        """estimate, low, high of a statistic of the forecast: the whole model's, and the jackknife over the parts."""
        whole = np.asarray(statistic(self.expected(features)), float)
        parts = np.array([statistic(self.expected(features, k)) for k in range(1, len(self.doses))], float)
        k = len(parts)
        error = np.sqrt((k - 1) / k * ((parts - parts.mean(axis=0)) ** 2).sum(axis=0))
        half = stats.t.ppf((1 + level) / 2, k - 1) * error
        return whole, whole - half, whole + half

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
    def load(
        cls, name: str, command: str = "make notebook N=09_discount", shop: Shop | None = None
    ) -> tuple["Response", dict[str, Any]]:
        """The saved model and its facts. Raises as `saved.load`, which says what `command` is where the shop is given."""
        parts, facts = saved.load(name, command, shop)
        own = facts["response"]
        doses = []
        for i, level in enumerate(own["levels"]):
            bases = tuple(parts[f"dose{i}_base{j}"] for j in range(sum(p.startswith(f"dose{i}_base") for p in parts)))
            steps, answer, notice, centre, scale, depth = (parts[f"dose{i}_{a}"] for a in ARRAYS)
            doses.append(Dose(bases, steps, answer, level, notice, centre, scale, tuple(own["columns"]), depth))
        link = (float(own["link"][0]), float(own["link"][1]))
        found = cls(tuple(doses), tuple(own["tied"]), Costs(**own["costs"]), link, tuple(own["arms"]), tuple(own["tried"]))
        return found, facts


def fit_response(experiment: Experiment, costs: Costs, seed: int, parts: int = PARTS) -> tuple[Response, np.ndarray]:
    """Fit to a trial with planned shares; also [row] the part (1, 2, ...) that each row's customer is in. With `parts` = 0 only the whole
    model is fitted, which values nothing and has no intervals.

    Raises ValueError as `fit_dose` and `tied_share` do, and for one part, which would leave nobody.
    """
    if parts < 0 or parts == 1:
        raise ValueError(f"parts = {parts}: at least two are needed, so that each can be left out")
    part = 1 + draws.folds(seed, "parts of the response", experiment.customer, number=max(parts, 1))

    def one(left_out: int) -> tuple[Dose, float]:
        rows = experiment.only(part != left_out)
        dose = fit_dose([rows], seed)
        return dose, tied_share(rows, dose.expected(rows.features)[0], seed).share

    with ThreadPoolExecutor(THREADS) as pool:
        fitted = list(pool.map(one, range(parts + 1)))  # no row is in part 0
    doses, tied = zip(*fitted, strict=True)
    plain = np.nan_to_num(experiment.depth)[experiment.arm] == 0
    units = np.empty(len(experiment))
    for k in np.unique(part):
        units[part == k] = doses[k if parts else 0].expected(experiment.features[part == k])[0][:, 0]
    link = _link(units[plain], experiment.outcome("bought")[plain])
    tried = tuple(sorted({int(p) for p in experiment.features["product"]})) if "product" in experiment.features else ()
    return Response(tuple(doses), tuple(tied), costs, link, experiment.arms, tried), part


def unseen(response: Response, features: pd.DataFrame, part: np.ndarray) -> Forecast:
    """The forecast of each row by the model that left its customer out: only so may a row judge what was chosen for it."""
    first = response.expected(features.iloc[:1])
    whole = {f: np.empty((len(part), np.shape(getattr(first, f))[1])) for f in first.__dataclass_fields__}
    for k in np.unique(part):
        found = response.expected(features[part == k], int(k))
        for name, values in whole.items():
            values[part == k] = getattr(found, name)
    return Forecast(**whole)


def _link(units: np.ndarray, bought: np.ndarray) -> tuple[float, float]:
    """Intercept and slope of log(-log(1 - P(buy))) on log units, by maximum likelihood; units come in trips, so the slope is below 1."""
    known = np.isfinite(bought)
    x, y = np.log(np.maximum(units[known], FEW)), bought[known]

    def loss(t: np.ndarray) -> float:
        rate = np.exp(np.clip(t[0] + t[1] * x, -30, 5))
        return float((rate * (1 - y)).sum() - np.log(np.maximum(-np.expm1(-rate[y > 0]), 1e-300)).sum())

    a, b = minimize(loss, np.array([0.0, 1.0]), method="Nelder-Mead", options={"xatol": 1e-6, "fatol": 1e-6}).x
    return float(a), float(b)
