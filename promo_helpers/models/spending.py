"""What is a customer's next purchase worth? Gamma-Gamma (Fader and Hardie 2013), and the check that it rests on."""

from dataclasses import dataclass

import numpy as np
from scipy import stats
from scipy.special import digamma, gammaln

from promo_helpers.models.lifetime import LEAST, checked
from promo_helpers.models.likelihood import Estimate, maximise


@dataclass(frozen=True)
class GammaGamma:
    """A purchase is worth a gamma (p, nu) amount, and nu varies as gamma (q, gamma) between customers, whatever their frequency.

    With a `slope` her mean is multiplied by exp(slope u), u being what was given as her `tilt`: frequency, as a logarithm.
    """

    p: float
    q: float
    gamma: float
    slope: float = 0.0
    estimate: Estimate | None = None

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

    With a `tilt` [customer], the fourth parameter `slope` is fitted too; the plain model says that it is nought.
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
    half = stats.norm.ppf((1 + level) / 2) * (u * v - rho * (u**2 + v**2) / 2).std() / np.sqrt(len(x))
    return {"estimate": rho, "low": rho - half, "high": rho + half, "customers": len(x)}
