"""What a campaign will earn, said before it is sent: not what the model promises, but what promises were worth on customers held out.

Models that choose are disappointed (the winner's curse): among many arms the one whose error is kindest is taken. So promises are held
against what came, on customers whom the model has not seen, by a line (the best linear predictor of Chernozhukov et al. 2018): a gain
against the doubly robust score of the arm that was chosen, a level such as revenue against what was sold under the arm that was drawn. A
campaign's forecast is the sum of the line over its decisions. Two intervals go with it: of the expected figure, from the error of the
line; and of the realised one, which adds how much the sales of so many customers vary.
"""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats


@dataclass(frozen=True)
class Line:
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
    def of_facts(cls, facts: dict[str, Any]) -> "Line":
        """Back from JSON."""
        return cls(facts["intercept"], facts["slope"], tuple(tuple(r) for r in facts["cov"]), facts["spread"])  # type: ignore[arg-type]


def learn_line(promised: np.ndarray, score: np.ndarray, customer: np.ndarray, residual: np.ndarray, scale: np.ndarray) -> Line:
    """The line of held-out scores on promises [decision], its covariance by customer, and the spread of what is realised.

    residual: [row] realised less expected figure of contacts; scale: [row] their price squared times expected units.
    With a single promise for all (no spread) the slope is 1 and only the level is learnt. Raises ValueError for fewer than 10 decisions.
    """
    if len(promised) < 10:
        raise ValueError(f"{len(promised)} decisions are too few to hold promises against what came")
    code, people = pd.factorize(customer)
    level = promised.mean()
    flat = promised.std() < 1e-9 * max(abs(level), 1)
    x = np.column_stack([np.ones(len(promised)), np.zeros(len(promised)) if flat else promised - level])
    inverse = np.linalg.pinv(x.T @ x)
    beta = inverse @ x.T @ (score - (promised if flat else 0))
    left = score - (promised if flat else 0) - x @ beta
    sums = np.column_stack([np.bincount(code, x[:, j] * left) for j in range(2)])
    cov = inverse @ (sums.T @ sums * len(people) / max(len(people) - 2, 1)) @ inverse
    shift = np.array([[1.0, 0.0 if flat else -level], [0.0, 1.0]])
    intercept, slope = (beta[0], 1.0) if flat else tuple(shift @ beta)
    cov = shift @ cov @ shift.T
    spread = float((residual**2).sum() / scale.sum())
    return Line(float(intercept), float(slope), tuple(tuple(map(float, r)) for r in cov), spread)  # type: ignore[arg-type]


def foretold(line: Line, promised: np.ndarray, scale: np.ndarray, level: float = 0.95) -> dict[str, float]:
    """Sums over a campaign's decisions: promised, expected with low and high (confidence), least and most (prediction of the realised).

    `scale` [decision] as in `learn_line`. Realised is the figure of exactly these decisions.
    """
    return _told(line, promised, float(line.spread * scale.sum()), level)


def foretold_against_holdout(
    line: Line, promised: np.ndarray, scale: np.ndarray, held_scale: np.ndarray, level: float = 0.95
) -> dict[str, float]:
    """The same for a gain measured as the contacted less the holdout, for all who are contacted: the holdout's noise comes on top.

    scale: [contacted], held_scale: [held out], of what each is expected to buy. Without anybody held out least and most are missing.
    """
    if not len(held_scale):
        return _told(line, promised, np.nan, level)
    noise = line.spread * (scale.sum() + held_scale.sum() * (len(scale) / len(held_scale)) ** 2)
    return _told(line, promised, float(noise), level)


def _told(line: Line, promised: np.ndarray, noise: float, level: float) -> dict[str, float]:
    size = np.array([len(promised), promised.sum()])
    expected = float(line.intercept * size[0] + line.slope * size[1])
    variance = float(size @ np.array(line.cov) @ size)
    z = float(stats.norm.ppf((1 + level) / 2))
    half, far = z * np.sqrt(variance), z * np.sqrt(variance + noise)
    return {
        "promised": float(size[1]), "expected": expected, "low": expected - half, "high": expected + half,
        "least": expected - far, "most": expected + far,
    }  # fmt: skip
