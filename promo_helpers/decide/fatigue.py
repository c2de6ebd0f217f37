"""Fatigue: what recent contacts do to the next one, learnt from a trial that drew how often a customer was written to.

Tiredness F is the sum over earlier contacts of 2^(-age / half-life), the satiation of rebounding bandits (Leqi et al., NeurIPS 2021). An
offer is then used exp(-phi F) times as often. The other side of it, that tired customers come less often at all, is too small for a trial.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from promo_helpers.inference import interval

HALF_LIVES = (7.0, 14.0, 21.0, 30.0, 45.0, 60.0, 90.0)
DAY = pd.Timedelta(days=1)


def fatigue_level(sent: pd.DataFrame, at: pd.DataFrame, half_life: float) -> np.ndarray:
    """[row of at] F of a customer just before a moment: `sent` holds what was really sent, both have customer_id and time.

    Raises ValueError for a half-life that is not positive.
    """
    if not half_life > 0:
        raise ValueError(f"half_life = {half_life}: must be above 0 days")
    both = pd.concat([at[["customer_id", "time"]].assign(sent=0.0), sent[["customer_id", "time"]].assign(sent=1.0)])
    both["row"] = np.append(np.arange(len(at)), np.full(len(sent), -1))
    both = both.sort_values(["customer_id", "time", "sent"], kind="stable")  # at one moment the question comes before the contact
    age = (both["time"] - both["time"].min()) / DAY
    rate = np.log(2) / half_life
    grown = np.exp(rate * (age - age.max()))  # nothing overflows; what is so old that it underflows has been forgotten
    summed = (both["sent"] * grown).groupby(both["customer_id"]).cumsum()
    asked = (both["row"] >= 0).to_numpy()
    out = np.empty(len(at))
    out[both["row"].to_numpy()[asked]] = np.divide(
        summed.to_numpy()[asked], grown.to_numpy()[asked], out=np.zeros(asked.sum()), where=grown.to_numpy()[asked] > 1e-250
    )
    return out


@dataclass(frozen=True)
class Fatigue:
    """phi at each half-life and, at the one assumed, of each group.

    lives: half_life, phi, low, high, likelihood (log, less the best, over the dispersion), possible (within its 95 % region).
    groups: group, rows, own (alone), error, phi, low, high (pooled). half_life: the one assumed.
    spread: standard deviation of phi between groups."""

    lives: pd.DataFrame
    groups: pd.DataFrame
    half_life: float
    spread: float

    @property
    def assumed(self) -> pd.Series:
        """The row of `lives` at the assumed half-life."""
        return self.lives.set_index("half_life", drop=False).loc[self.half_life]


def fit_fatigue(
    redeemed: np.ndarray, expected: np.ndarray, fatigue: dict[float, np.ndarray], other: dict[float, np.ndarray], group: np.ndarray,
    customer: np.ndarray, half_life: float = 30.0, level: float = 0.95,
) -> Fatigue:  # fmt: skip
    """Poisson regression of redeemed units on tiredness, with the expected units of a model without past contacts as offset.

    Arrays are [row] of contacts with a discount. tired: by half-life, from contacts whose arm or moment was drawn; other: from those that a
    rule chose, which is adjusted for and not read. Errors by customer. Groups are pooled towards their mean by the method of moments
    (DerSimonian and Laird 1986). Contacts that lie far apart cannot tell the half-life: `half_life` (one of `tired`) is assumed for the
    groups, and `lives` says which others the data allow. Raises ValueError where nobody's tiredness differs, or for another half-life.
    """
    from statsmodels.genmod.families import Poisson
    from statsmodels.genmod.generalized_linear_model import GLM

    if half_life not in fatigue:
        raise ValueError(f"half_life = {half_life:g}: tiredness is given for {', '.join(f'{h:g}' for h in fatigue)} days")
    code = pd.factorize(customer)[0]
    offset = np.log(np.maximum(expected, 1e-9))

    def fitted(columns: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray, float, float]:
        """Coefficients, their covariance, log-likelihood and dispersion: units come several at a time."""
        x = np.column_stack([np.ones(len(redeemed)), *columns])
        model = GLM(redeemed, x, family=Poisson(), offset=offset)
        found = model.fit(cov_type="cluster", cov_kwds={"groups": code})
        return (
            np.asarray(found.params),
            np.asarray(found.cov_params()),
            float(found.llf),
            float(found.pearson_chi2 / found.df_resid),
        )

    rows = []
    for life, f in fatigue.items():
        if f.std() < 1e-9:
            raise ValueError(
                f"every contact has the same tiredness at a half-life of {life:g} days: nothing to learn fatigue from"
            )
        beta, cov, *fit = fitted([f, *_varying(other[life])])
        ends = interval(-beta[1], float(np.sqrt(cov[1, 1])), level)
        rows.append((life, ends["estimate"], ends["low"], ends["high"], *fit))
    lives = pd.DataFrame(rows, columns=["half_life", "phi", "low", "high", "likelihood", "dispersion"])
    over = max(1.0, float(lives.loc[lives["half_life"] == half_life, "dispersion"].iloc[0]))
    lives["likelihood"] = (lives["likelihood"] - lives["likelihood"].max()) / over
    lives["possible"] = lives["likelihood"] > -stats.chi2.ppf(level, 1) / 2
    names = pd.unique(np.sort(group))
    inside = [(group == g).astype(float) for g in names]
    beta, cov, *_ = fitted([*inside[1:], *(i * fatigue[half_life] for i in inside), *_varying(other[half_life])])
    where = slice(len(names), 2 * len(names))  # each group has a level and a phi of its own
    own, error = -beta[where], np.sqrt(np.diag(cov)[where])
    phi, spread_of_phi, variance = partial_pooling(own, error)
    groups = pd.DataFrame({"group": names, "rows": [int(i.sum()) for i in inside], "own": own, "error": error, "phi": phi})
    ends = interval(phi, spread_of_phi, level)
    groups = groups.assign(low=ends["low"], high=ends["high"])
    return Fatigue(lives.drop(columns="dispersion"), groups, half_life, float(np.sqrt(variance)))


def partial_pooling(estimate: np.ndarray, standard_error: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """Estimates of groups drawn towards their mean, their errors, and the variance between groups: random effects, by moments."""
    weight = 1 / standard_error**2
    total = float(weight.sum())
    excess = float(weight @ (estimate - weight @ estimate / total) ** 2) - (len(estimate) - 1)
    variance = max(excess / (total - float((weight**2).sum()) / total), 0.0) if len(estimate) > 1 else 0.0
    pull = 1 / (variance + standard_error**2)
    kept = variance * pull
    centre = float(pull @ estimate / pull.sum())
    return kept * estimate + (1 - kept) * centre, np.sqrt(kept * standard_error**2 + (1 - kept) ** 2 / pull.sum()), variance


def _varying(column: np.ndarray) -> list[np.ndarray]:
    return [column] if column.std() > 1e-9 else []


def steady(every: np.ndarray, half_life: float) -> np.ndarray:
    """F just before the next contact of a customer who is written to every so many days, for ever."""
    return np.asarray(1 / (2 ** (np.asarray(every, float) / half_life) - 1))


def monthly_profit(
    every: np.ndarray, earned: float, cost: float, opt_out_loss: float, phi: float, half_life: float
) -> np.ndarray:
    """Profit a customer and month of a contact every so many days: (earned exp(-phi F) - cost - leaving (1 + F)) x 30 / every.

    earned: of a contact to a rested customer, before its costs; cost: of the message; leaving: mean loss by opting out of a rested one,
    whose chance grows as 1 + F. Each contact is about another product, so that offers do not take sales from one another.
    """
    f = steady(every, half_life)
    return np.asarray((earned * np.exp(-phi * f) - cost - opt_out_loss * (1 + f)) * 30 / np.asarray(every, float))
