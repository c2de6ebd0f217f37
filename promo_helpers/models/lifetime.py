"""Maximum likelihood with scores by customer: the best parameters, and errors that do not trust the model."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy import optimize
from scipy.special import digamma, expit, gammaln, hyp2f1

from promo_helpers.features.repeats import ValuedDays
from promo_helpers.inference import interval

BOUND = 14.0  # largest logarithm of a parameter: a million; at it the parameter runs away
STEP = 1e-4  # of logarithms, for second derivatives
Scored = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True)
class ParameterEstimate:
    """Parameters by name and their covariance, in the scale that was searched: logarithms where `logs`, else plain.

    A parameter that ran into the bounds has no covariance (NaN): the data do not say how large it is.
    """

    names: tuple[str, ...]
    theta: np.ndarray
    logs: np.ndarray
    covariance: np.ndarray
    log_likelihood: float
    customers: int

    @property
    def value(self) -> dict[str, float]:
        """The parameters, in their own scale."""
        return dict(zip(self.names, np.where(self.logs, np.exp(self.theta), self.theta).tolist(), strict=True))

    def table(self, level: float = 0.95) -> pd.DataFrame:
        """Parameter, estimate, low, high; intervals are symmetric in the scale that was searched."""
        searched = interval(self.theta, np.sqrt(np.diag(self.covariance)), level)
        ends = [np.where(self.logs, np.exp(searched[k]), searched[k]) for k in ("estimate", "low", "high")]
        return pd.DataFrame(dict(zip(("parameter", "estimate", "low", "high"), (self.names, *ends), strict=True)))


def maximise(scored: Scored, names: Sequence[str], start: Sequence[float], plain: Sequence[str] = ()) -> ParameterEstimate:
    """The parameters with the greatest likelihood, by L-BFGS with given scores.

    `scored(theta)` returns [customer] log-likelihoods and [customer, parameter] their derivatives; theta holds logarithms, except of the
    names in `plain`. The covariance is the sandwich of scores by customer, H^-1 S'S H^-1 (White 1982), which holds also where the
    model is wrong. Raises ValueError where the search does not converge.
    """
    logs = np.array([n not in plain for n in names])
    theta0 = np.where(logs, np.log(np.where(logs, start, 1.0)), start)

    def mean(theta: np.ndarray) -> tuple[float, np.ndarray]:
        value, score = scored(theta)
        return -float(value.mean()), -score.mean(axis=0)

    found = optimize.minimize(
        mean,
        theta0,
        jac=True,
        method="L-BFGS-B",
        bounds=[(-BOUND, BOUND)] * len(theta0),
        options={"maxiter": 2000, "ftol": 1e-15, "gtol": 1e-9},
    )
    theta = found.x
    value, score = scored(theta)
    free = np.abs(theta) < BOUND - 1e-6
    if np.abs(score.mean(axis=0)[free]).max(initial=0) > 1e-3:
        raise ValueError(f"the likelihood of {', '.join(names)} has no maximum that the search could find: {found.message}")
    curve = np.empty((len(theta), len(theta)))
    for k, step in enumerate(np.eye(len(theta)) * STEP):
        curve[k] = (scored(theta + step)[1] - scored(theta - step)[1]).sum(axis=0) / (2 * STEP)
    covariance = np.full_like(curve, np.nan)
    bread = np.linalg.pinv((curve + curve.T)[np.ix_(free, free)] / 2)
    covariance[np.ix_(free, free)] = bread @ (score[:, free].T @ score[:, free]) @ bread
    return ParameterEstimate(tuple(names), theta, logs, covariance, float(value.sum()), len(value))


LEAST = 30  # customers, below which four parameters are guesses
POINTS = 1001  # of a sum over chances
NAMES = ("r", "alpha", "a", "b")


@dataclass(frozen=True)
class BgNbd:
    """Purchases at a rate that varies as gamma (r, alpha) between customers; after each, lost with a chance that varies as beta (a, b).

    Times are in the unit of those it was fitted on; `estimate` has errors, where the parameters were fitted.
    """

    r: float
    alpha: float
    a: float
    b: float
    estimate: ParameterEstimate | None = None

    def alive(self, repeats: np.ndarray, recency: np.ndarray, age: np.ndarray) -> np.ndarray:
        """[customer] chance of not being lost yet; 1 for who has not come back yet, since only a repeat purchase can be the last."""
        x, tx, t = (np.asarray(v, float) for v in (repeats, recency, age))
        log = np.log(self.a / (self.b + np.maximum(x, 1) - 1)) + (self.r + x) * np.log((self.alpha + t) / (self.alpha + tx))
        return np.where(x > 0, 1 / (1 + np.exp(np.minimum(log, 700))), 1.0)

    def expected(
        self, days: float | np.ndarray, repeats: np.ndarray, recency: np.ndarray, age: np.ndarray
    ) -> np.ndarray:  # fmt: skip
        """[customer] purchases to expect in the next `days`, given what is known of her (equation 10)."""
        x, t = np.asarray(repeats, float), np.asarray(age, float)
        return self._ahead(np.asarray(days, float), x, self.alpha + t) * self.alive(repeats, recency, age)

    def newcomer(self, days: float | np.ndarray) -> np.ndarray:
        """Repeat purchases to expect in the `days` after a first purchase (equation 9)."""
        return self._ahead(np.asarray(days, float), np.zeros(1), np.full(1, self.alpha))

    def rate(self, repeats: np.ndarray, age: np.ndarray) -> np.ndarray:
        """[customer] mean of her rate, in purchases a unit of time, were she still alive."""
        return (self.r + np.asarray(repeats, float)) / (self.alpha + np.asarray(age, float))

    def dropout(self, level: float = 0.95) -> tuple[float, float, float]:
        """Mean chance of being lost after a purchase, a / (a + b), with its interval, symmetric in the log odds.

        Known well even where a and b are not. Raises ValueError for parameters that were not fitted.
        """
        if self.estimate is None:
            raise ValueError("these parameters were given, not fitted: their error is not known")
        side = np.array([0.0, 0.0, 1.0, -1.0])  # log odds are log a - log b
        error = np.sqrt(side @ np.nan_to_num(self.estimate.covariance) @ side)
        odds = interval(np.log(self.a / self.b), error, level)
        return float(expit(odds["estimate"])), float(expit(odds["low"])), float(expit(odds["high"]))

    def _ahead(self, days: np.ndarray, x: np.ndarray, known: np.ndarray) -> np.ndarray:
        """Purchases in the next `days` of customers who are alive, `known` being alpha + age.

        Equation 10 has 2F1(r + x, b + x; a + b + x - 1; z), beyond the range of numbers for customers who come often; Euler's
        transformation of it, 2F1(a + b - r - 1, a - 1; ...) times a power of 1 - z, is not. Where that is, too, which takes chances of
        being lost that hardly differ between customers, the mean over the chances is summed.
        """
        a = self.a if abs(self.a - 1) > 1e-6 else 1 + 1e-6  # the formula is 0 / 0 at 1, and smooth about it
        c = a + self.b + x - 1
        days, x, known, c = np.broadcast_arrays(days, x, known, c)
        z = days / (known + days)
        with np.errstate(all="ignore"):
            out = c / (a - 1) * -np.expm1((a - 1) * np.log1p(-z) + np.log(hyp2f1(a + self.b - 1 - self.r, a - 1, c, z)))
        for rows in np.array_split(np.flatnonzero(~np.isfinite(out)), max((~np.isfinite(out)).sum() // 2000, 1)):
            out[rows] = self._summed(days[rows], x[rows], known[rows])
        return np.asarray(out)

    def _summed(self, days: np.ndarray, x: np.ndarray, known: np.ndarray) -> np.ndarray:
        """The same as a sum over the log odds of p, whose density beta (a, b + x) gives: {1 - (1 + p days / known)^-(r + x)} / p.

        A trapezium rule on a function that is smooth and dies off at both ends: POINTS of them leave an error beyond the tenth digit.
        """
        b = self.b + x[:, None]
        spread = 12 * np.sqrt(1 / self.a + 1 / b)
        low, high = -spread - 40 / self.a, spread + 40 / b
        odds = np.log(self.a / b) + low + (high - low) * np.linspace(0, 1, POINTS)
        odds = np.maximum(odds, -600)  # a chance that small is a number still
        log_p = -np.logaddexp(0, -odds)
        weight = self.a * log_p - b * np.logaddexp(0, odds)
        weight = np.exp(weight - weight.max(axis=1, keepdims=True))
        p = np.exp(log_p)
        bought = -np.expm1(-(self.r + x[:, None]) * np.log1p(p * (days / known)[:, None])) / p
        return np.asarray((weight * bought).sum(axis=1) / weight.sum(axis=1))


def fit_bgnbd(repeats: np.ndarray, recency: np.ndarray, age: np.ndarray) -> BgNbd:
    """Maximum likelihood over customers' repeats (x), recency (t_x) and age (T), in any unit of time (equation 6).

    Raises ValueError for fewer than LEAST customers, where nobody came back, and for numbers that cannot be.
    """
    x, tx, t = (np.asarray(v, float) for v in (repeats, recency, age))
    checked(repeats=x, recency=tx, age=t)
    if (wrong := (tx > t) | ((x == 0) & (tx > 0))).any():
        k = int(np.flatnonzero(wrong)[0])
        raise ValueError(
            f"{int(wrong.sum()):,} customers have a recency above their age, or one without repeats; the first: row {k}, recency "
            f"{tx[k]:g}, age {t[k]:g}, repeats {x[k]:g}. Recency counts from the first purchase to the last"
        )
    back = x > 0

    def scored(theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        r, alpha, a, b = np.exp(theta)
        lived = -(r + x) * np.log(alpha + t)
        lost = np.full(len(x), -np.inf)
        lost[back] = np.log(a) - np.log(b + x[back] - 1) - (r + x[back]) * np.log(alpha + tx[back])
        both = np.logaddexp(lived, lost)
        share = np.exp(lost - both)
        value = (
            gammaln(r + x) - gammaln(r) + r * np.log(alpha) + gammaln(a + b) + gammaln(b + x) - gammaln(b) - gammaln(a + b + x)
        )
        score = np.stack(
            [
                digamma(r + x) - digamma(r) + np.log(alpha) - (1 - share) * np.log(alpha + t) - share * np.log(alpha + tx),
                r / alpha - (r + x) * ((1 - share) / (alpha + t) + share / (alpha + tx)),
                digamma(a + b) - digamma(a + b + x) + share / a,
                digamma(a + b) - digamma(a + b + x) + digamma(b + x) - digamma(b) - share / np.where(back, b + x - 1, 1),
            ],
            axis=1,
        )
        return value + both, score * np.exp(theta)

    found = maximise(scored, NAMES, [1.0, float(t.mean() / x.mean()), 1.0, 5.0])
    return BgNbd(**found.value, estimate=found)


def checked(**given: np.ndarray) -> None:
    """Raise ValueError, with what to do, where arrays named as in `summaries` cannot be fitted."""
    repeats = given["repeats"]
    for name, array in given.items():
        if len(array) != len(repeats):
            raise ValueError(f"{name} has {len(array):,} rows, repeats {len(repeats):,}: they must be of one length")
        if (wrong := ~np.isfinite(array) | (array < 0)).any():
            k = int(np.flatnonzero(wrong)[0])
            raise ValueError(f"{name}: {int(wrong.sum()):,} values are missing or negative, the first {array[k]} in row {k}")
    if len(repeats) < LEAST:
        raise ValueError(
            f"too few customers: {len(repeats)}, and {LEAST} are needed; take more days, or a larger part of the shop"
        )
    if not (repeats > 0).any():
        raise ValueError(f"no repeat buyers: none of {len(repeats):,} customers bought on a second day; take more days")


@dataclass(frozen=True)
class GammaGamma:
    """A purchase is worth a gamma (p, nu) amount, and nu varies as gamma (q, gamma) between customers, whatever their frequency.

    With a `slope` her mean is multiplied by exp(slope u), u being what was given as her `rate_tilt`: frequency, as a logarithm.
    """

    p: float
    q: float
    gamma: float
    slope: float = 0.0
    estimate: ParameterEstimate | None = None

    @property
    def mean(self) -> float:
        """Mean value of a purchase over customers (of tilt 0); infinite where q is 1 or less."""
        return self.gamma * self.p / (self.q - 1) if self.q > 1 else np.inf

    def expected(self, repeats: np.ndarray, value: np.ndarray, tilt: np.ndarray | None = None) -> np.ndarray:
        """[customer] value of a purchase to expect: between her own mean and everybody's, which who has no repeats gets alone.

        Raises ValueError where everybody's mean is asked for and has no end (q of 1 or less).
        """
        x = np.asarray(repeats, float)
        scale = np.exp(self.slope * (np.zeros(len(x)) if tilt is None else tilt))
        if (x == 0).any() and self.q <= 1:
            raise ValueError(f"q = {self.q:.3g}: the mean value over customers is infinite, so newcomers have no expected value")
        z = np.where(x > 0, value, 0.0) / scale
        return scale * self.p * (self.gamma + x * z) / (self.p * x + self.q - 1)


def fit_gamma_gamma(repeats: np.ndarray, value: np.ndarray, tilt: np.ndarray | None = None) -> GammaGamma:
    """Maximum likelihood over the customers with repeats: how many, and their mean value, in any currency (equation 1a).

    With a `rate_tilt` [customer], the fourth parameter `slope` is fitted too; the plain model says that it is nought.
    Raises ValueError for fewer than LEAST repeat buyers, and for mean values that are not positive.
    """
    x, z = np.asarray(repeats, float), np.asarray(value, float)
    if not (x > 0).any():
        raise ValueError(f"no repeat buyers: none of {len(x):,} customers bought on a second day; take more days")
    u = np.zeros(len(x)) if tilt is None else np.asarray(tilt, float)
    x, z, u = x[x > 0], z[x > 0], u[x > 0]
    if (wrong := ~(z > 0)).any():
        k = int(np.flatnonzero(wrong)[0])
        raise ValueError(
            f"value: {int(wrong.sum()):,} of {len(z):,} repeat buyers have a mean value that is not positive, the first {z[k]:g}; "
            "a gamma distribution cannot have it: value them by spend, or leave them out"
        )
    checked(repeats=x, value=z)
    given = ["slope"] if tilt is not None else []

    def scored(theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        p, q, gamma = np.exp(theta[:3])
        level = z * np.exp(-theta[3] * u) if given else z
        total = gamma + x * level
        value = gammaln(p * x + q) - gammaln(p * x) - gammaln(q) + q * np.log(gamma) + p * x * np.log(x)
        value += (p * x - 1) * np.log(level) - (p * x + q) * np.log(total) + np.log(level / z)
        score = [
            p * x * (digamma(p * x + q) - digamma(p * x) + np.log(x * level) - np.log(total)),
            q * (digamma(p * x + q) - digamma(q) + np.log(gamma / total)),
            q - (p * x + q) * gamma / total,
        ]
        if given:
            score.append(-u * (p * x - (p * x + q) * x * level / total))
        return value, np.stack(score, axis=1)

    found = maximise(scored, ["p", "q", "gamma", *given], [2.0, 3.0, float(z.mean()), 0.0][: 3 + len(given)], given)
    return GammaGamma(**found.value, estimate=found)


def independence(repeats: np.ndarray, value: np.ndarray, level: float = 0.95) -> dict[str, float]:
    """Correlation of frequency and mean value over repeat buyers: estimate, low, high, customers.

    Gamma-Gamma says that the mean value is the same at every frequency, so that Pearson's correlation is nought. A rank correlation is
    not: the mean of few skewed amounts lies below everybody's more often than that of many. The interval is by customer, from the
    estimate's influence function, and needs no normal distribution. Raises ValueError for fewer than LEAST repeat buyers, and where
    frequency or value is the same for all.
    """
    x, z = np.asarray(repeats, float), np.asarray(value, float)
    x, z = x[x > 0], z[x > 0]
    if len(x) < LEAST:
        raise ValueError(f"too few repeat buyers: {len(x)}, and {LEAST} are needed to tell a correlation")
    if np.ptp(x) == 0 or np.ptp(z) == 0:
        raise ValueError("every repeat buyer has the same frequency, or the same value: there is no correlation")
    u, v = ((w - w.mean()) / w.std() for w in (x, z))
    rho = float((u * v).mean())
    ends = interval(rho, (u * v - rho * (u**2 + v**2) / 2).std() / np.sqrt(len(x)), level)
    return {"estimate": rho, "low": ends["low"], "high": ends["high"], "customers": len(x)}


WEEK = 7  # days


@dataclass(frozen=True)
class Worth:
    """Both models together, in days and the shop's currency.

    left_out: repeat buyers whose mean value is not positive, which no gamma distribution has; their values are forecast all the same.
    """

    purchases: BgNbd
    spending: GammaGamma
    left_out: int = 0

    def forecast(self, known: pd.DataFrame, days: float) -> pd.DataFrame:
        """One row for each of `known` (`summaries`): alive (chance), purchases and value of the next `days`, each (value of one)."""
        past = known["repeats"].to_numpy(), known["recency"].to_numpy(), known["age"].to_numpy()
        purchases = self.purchases.expected(days, *past)
        each = self.spending.expected(past[0], known["value"].to_numpy(), rate_tilt(self.purchases, known))
        alive = self.purchases.alive(*past)
        return pd.DataFrame({"alive": alive, "purchases": purchases, "each": each, "value": purchases * each})

    def parts(self) -> dict[str, np.ndarray]:
        """What `models.saved.save` keeps of the parameters; `from_parts` reads it back."""
        b, g = self.purchases, self.spending
        return {"purchases": np.array([b.r, b.alpha, b.a, b.b]), "spending": np.array([g.p, g.q, g.gamma, g.slope])}

    @classmethod
    def from_parts(cls, parts: dict[str, Any]) -> "Worth":
        """The models of a saved folder, without their errors."""
        return cls(BgNbd(*parts["purchases"].tolist()), GammaGamma(*parts["spending"].tolist()))


def rate_tilt(purchases: BgNbd, known: pd.DataFrame) -> np.ndarray:
    """[customer] logarithm of her rate against the mean customer's (r / alpha), by which the value of a purchase may differ."""
    rate = purchases.rate(known["repeats"].to_numpy(), known["age"].to_numpy())
    return np.log(rate * purchases.alpha / purchases.r)


def fit_worth(known: pd.DataFrame, frequent: bool = False, purchases: BgNbd | None = None) -> Worth:
    """Both models by maximum likelihood, from rows of `features.repeats.summaries`; `frequent` fits a slope of value on frequency too.

    `purchases` may be given, where it was fitted on the same rows already.
    Raises ValueError where there are too few customers or repeat buyers.
    """
    if purchases is None:
        purchases = fit_bgnbd(known["repeats"].to_numpy(), known["recency"].to_numpy(), known["age"].to_numpy())
    kept = known[~(known["value"] <= 0)]
    given = rate_tilt(purchases, kept) if frequent else None
    spending = fit_gamma_gamma(kept["repeats"].to_numpy(), kept["value"].to_numpy(), given)
    return Worth(purchases, spending, len(known) - len(kept))


def weekly(days: ValuedDays, purchases: BgNbd, moment: int) -> pd.DataFrame:
    """Repeat purchases in each whole week of the data: week (1, 2, ...), actual, expected, by customers who came before day `moment`.

    Expected as of each customer's first purchase, so that nothing is told of what she did later.
    """
    begins = np.flatnonzero(np.append(True, np.diff(days.who) != 0))
    first = np.full(len(days.customers), days.length)
    first[days.who[begins]] = days.day[begins]
    weeks = days.length // WEEK
    rows = (first[days.who] < moment) & (days.day > first[days.who]) & (days.day < weeks * WEEK)
    actual = np.bincount(days.day[rows] // WEEK, minlength=weeks)
    day, many = np.unique(first[first < moment], return_counts=True)
    ahead = np.maximum(np.arange(weeks + 1)[:, None] * WEEK - 1 - day, 0)  # a week's last day is its seventh
    until = purchases.newcomer(ahead.ravel().astype(float)).reshape(ahead.shape) @ many
    return pd.DataFrame({"week": np.arange(1, weeks + 1), "actual": actual, "expected": np.diff(until)})
