"""The season a forecast is for: a model of habits expects trade to go on as it did, and after December it does not."""

from dataclasses import asdict, dataclass, replace
from typing import Any

import narwhals.stable.v2 as nw
import numpy as np
import pandas as pd

from promo_helpers.evaluate.value import policy_scores, shop_profit
from promo_helpers.experiment import Experiment
from promo_helpers.experiment.contacts import Costs
from promo_helpers.inference import interval, least_squares
from promo_helpers.models.demand import DemandForecast, DemandResponse
from promo_helpers.shop import Shop

BEFORE, WINDOW = 28, 14  # days: of the newest habits that a prediction leans on, and of the offer
YEAR = 364  # days: the same weekdays a year ago


def daily_units(shop: Shop) -> pd.Series:
    """Units sold in the whole shop by day, from its first day to its last; 0 where nothing was sold."""
    lines = shop.lazy("transactions").filter(nw.col("units") > 0).select(nw.col("time").dt.truncate("1d").alias("day"), "units")
    found = lines.group_by("day").agg(nw.col("units").sum()).collect("pandas").to_native().set_index("day")["units"].sort_index()
    return found.reindex(pd.date_range(found.index[0], found.index[-1]), fill_value=0).astype(float)


def pace(units: pd.Series, days: pd.DatetimeIndex) -> np.ndarray:
    """[day] units a day in the window after each day over those of the weeks before it; missing where the data do not cover both."""
    total = np.append(0.0, np.cumsum(units.to_numpy()))
    place = (days.normalize() - units.index[0]).days.to_numpy()
    inside = (place >= BEFORE) & (place + 1 + WINDOW <= len(units))
    at = np.where(inside, place, BEFORE)
    end = np.minimum(at + 1 + WINDOW, len(units))
    ahead = (total[end] - total[np.minimum(at + 1, len(units))]) / WINDOW
    back = (total[at] - total[at - BEFORE]) / BEFORE
    return np.where(inside & (back > 0), ahead / np.maximum(back, 1e-9), np.nan)


def season_level(units: pd.Series, trial_times: pd.DatetimeIndex, day: pd.Timestamp) -> tuple[float, str]:
    """By how much trade after `day` should exceed what a model expects that learnt from contacts on the days `learnt`; and a sentence.

    The pace of the shop's trade after the same day a year ago, over its mean after the days learnt from. A rough number without an
    interval; 1 where there is no year to look back on.
    """
    then, usual = pace(units, pd.DatetimeIndex([day - pd.Timedelta(days=YEAR)]))[0], pace(units, trial_times)
    if not np.isfinite(then) or not np.isfinite(usual).any():
        return 1.0, "There is no year to look back on, so the season ahead is taken to be like the one that the trial saw."
    found = float(then / np.nanmean(usual))
    change = f"{100 * abs(found - 1):.0f} % {'more' if found > 1 else 'less'}"
    return (
        found,
        f"After the same day a year ago the shop sold {change} than the weeks before suggested; the forecast takes that to come again.",
    )


def at_level(response: DemandResponse, forecast: DemandForecast, features: pd.DataFrame, season_level: float) -> DemandForecast:
    """A forecast with all units times a level: what a contact costs does not change with the season, what it sells does."""
    sent = np.arange(forecast.gain.shape[1]) > 0
    cost = response.costs.of(features)[:, None] * sent
    discount = season_level * forecast.discount
    return replace(
        forecast,
        units=season_level * forecast.units,
        redeemed=season_level * forecast.redeemed,
        revenue=season_level * forecast.revenue,
        discount=discount,
        spend=discount + response.costs.message * sent,
        gain=season_level * (forecast.gain + cost) - cost,
        buys=response._buys(season_level * forecast.units, season_level * forecast.redeemed),
    )


@dataclass(frozen=True)
class Calibration:
    """One figure in money: expected = intercept + slope x promise a decision; cov: their covariance (rows of a 2 x 2 matrix).

    spread: variance of a realised figure over its scale, which is the price squared times the expected units.
    """

    intercept: float
    slope: float
    cov: tuple[tuple[float, float], tuple[float, float]]
    spread: float

    def facts(self) -> dict[str, Any]:
        """As JSON holds it."""
        return asdict(self)

    @classmethod
    def of_facts(cls, facts: dict[str, Any]) -> "Calibration":
        """Back from JSON."""
        return cls(facts["intercept"], facts["slope"], tuple(tuple(r) for r in facts["cov"]), facts["spread"])  # type: ignore[arg-type]


def fit_calibration(
    predicted: np.ndarray, score: np.ndarray, customer: np.ndarray, residual: np.ndarray, scale: np.ndarray
) -> Calibration:
    """The line of held-out scores on promises [decision], its covariance by customer, and the spread of what is realised.

    residual: [row] realised less expected figure of contacts; scale: [row] their price squared times expected units.
    With a single promise for all (no spread) the slope is 1 and only the level is learnt. Raises ValueError for fewer than 10 decisions.
    """
    if len(predicted) < 10:
        raise ValueError(f"{len(predicted)} decisions are too few to hold promises against what came")
    level = predicted.mean()
    flat = predicted.std() < 1e-9 * max(abs(level), 1)
    x = np.column_stack([np.ones(len(predicted)), np.zeros(len(predicted)) if flat else predicted - level])
    beta, cov = least_squares(x, score - (predicted if flat else 0), customer, lost=2)
    shift = np.array([[1.0, 0.0 if flat else -level], [0.0, 1.0]])
    intercept, slope = (beta[0], 1.0) if flat else tuple(shift @ beta)
    cov = shift @ cov @ shift.T
    spread = float((residual**2).sum() / scale.sum())
    return Calibration(float(intercept), float(slope), tuple(tuple(map(float, r)) for r in cov), spread)  # type: ignore[arg-type]


def calibrated_forecast(line: Calibration, predicted: np.ndarray, scale: np.ndarray, level: float = 0.95) -> dict[str, float]:
    """Sums over a campaign's decisions: predicted, expected, confidence_low and _high, prediction_low and _high (of the realised).

    `scale` [decision] as in `fit_calibration`. Realised is the figure of exactly these decisions.
    """
    return _told(line, predicted, float(line.spread * scale.sum()), level)


def forecast_against_holdout(
    line: Calibration, predicted: np.ndarray, scale: np.ndarray, held_scale: np.ndarray, level: float = 0.95
) -> dict[str, float]:
    """The same for a gain measured as the contacted less the holdout, for all who are contacted: the holdout's noise comes on top.

    scale: [contacted], held_scale: [held out], of what each is expected to buy. Without anybody held out the prediction
    interval is missing.
    """
    if not len(held_scale):
        return _told(line, predicted, np.nan, level)
    noise = line.spread * (scale.sum() + held_scale.sum() * (len(scale) / len(held_scale)) ** 2)
    return _told(line, predicted, float(noise), level)


def _told(line: Calibration, promised: np.ndarray, noise: float, level: float) -> dict[str, float]:
    size = np.array([len(promised), promised.sum()])
    expected = float(line.intercept * size[0] + line.slope * size[1])
    variance = float(size @ np.array(line.cov) @ size)
    mean, realised = (interval(expected, np.sqrt(v), level) for v in (variance, variance + noise))
    return {
        "predicted": float(size[1]), "expected": expected, "confidence_low": mean["low"], "confidence_high": mean["high"],
        "prediction_low": realised["low"], "prediction_high": realised["high"],
    }  # fmt: skip


def fit_calibrations(
    trial: Experiment,
    forecast: DemandForecast,
    policy: np.ndarray,
    scores: np.ndarray,
    displacement: np.ndarray | float,
    costs: Costs,
) -> dict[str, Calibration]:
    """Line of revenue (of the product in the window) and of profit (of the shop, see `value.shop_profit`) a contact of `policy` [row].

    found: forecast of models that have not seen the row's customer. scores: [row, arm] doubly robust, of shop_profit. A gain needs a
    control, so it is judged by the arm that the policy gives; a level by whatever arm was drawn, of which the trial holds far more.
    Only decisions that the policy contacts are used. Raises ValueError where these are fewer than ten.
    """
    x, n, sent = trial.features, np.arange(len(trial)), policy > 0
    price = x["product_price"].to_numpy(float)
    margin = price * (x["margin"] - x["promotion_ahead"]).to_numpy(float)
    own = forecast.of(trial.arm)
    scale = price**2 * own["units"].to_numpy()
    revenue = trial.outcome("revenue")
    sold = shop_profit(trial, costs, displacement) + costs.of(x) * (
        trial.arm > 0
    )  # costs are known: what varies is what was sold
    expected = margin * (1 - displacement) * own["units"].to_numpy() - own["discount"].to_numpy()
    level = fit_calibration(
        own["revenue"].to_numpy()[sent], revenue[sent], trial.customer[sent], revenue - own["revenue"].to_numpy(), scale
    )
    gain = fit_calibration(
        forecast.gain[n, policy][sent], policy_scores(scores, policy)[sent], trial.customer[sent], sold - expected, scale
    )
    return {"revenue": level, "profit": gain}
