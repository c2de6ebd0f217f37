"""How often will a customer come back, and is she still one? BG/NBD (Fader, Hardie and Lee 2005) by maximum likelihood."""

from dataclasses import dataclass

import numpy as np
from scipy import stats
from scipy.special import digamma, expit, gammaln, hyp2f1

from promo_helpers.models.likelihood import Estimate, maximise

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
    estimate: Estimate | None = None

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
        half = stats.norm.ppf((1 + level) / 2) * np.sqrt(side @ np.nan_to_num(self.estimate.covariance) @ side)
        return tuple(float(expit(np.log(self.a / self.b) + h)) for h in (0, -half, half))  # type: ignore[return-value]

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
