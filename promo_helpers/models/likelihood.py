"""Maximum likelihood with scores by customer: the best parameters, and errors that do not trust the model."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import optimize, stats

BOUND = 14.0  # largest logarithm of a parameter: a million; at it the parameter runs away
STEP = 1e-4  # of logarithms, for second derivatives
Scored = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True)
class Estimate:
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
        half = stats.norm.ppf((1 + level) / 2) * np.sqrt(np.diag(self.covariance))
        ends = [np.where(self.logs, np.exp(t), t) for t in (self.theta, self.theta - half, self.theta + half)]
        return pd.DataFrame(dict(zip(("parameter", "estimate", "low", "high"), (self.names, *ends), strict=True)))


def maximise(scored: Scored, names: Sequence[str], start: Sequence[float], plain: Sequence[str] = ()) -> Estimate:
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
    return Estimate(tuple(names), theta, logs, covariance, float(value.sum()), len(value))
