"""The hour and the weekday at which to write to a customer: her habit, drawn towards everybody's where she has been seen seldom.

A shop has its hours, and each customer tilts them towards one of her own: P(hour | hers) is in proportion to base(hour) x
kernel(hour, hers). Base, strength of the tilt and how common each preference is are fitted to all customers by maximum likelihood
(expectation maximisation; Dempster, Laird and Rubin 1977), and a customer's preference follows by Bayes' rule from her own visits.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from promo_helpers import inference
from promo_helpers.features.purchases import Purchases

HOURS, DAYS = 24, 7
PULLS = (0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 6.0)  # kappa of a von Mises kernel of hours; 0 is no preference
LIFTS = (1.0, 1.25, 1.5, 1.75, 2.0, 2.5, 3.0, 4.0)  # one weekday against the others; 1 is no preference


def hour_kernel(pull: float) -> np.ndarray:
    """[preferred hour, hour] exp(pull cos(distance on the clock))."""
    hour = np.arange(HOURS)
    return np.asarray(np.exp(pull * np.cos(2 * np.pi * (hour[:, None] - hour) / HOURS)))


def day_kernel(lift: float) -> np.ndarray:
    """[preferred weekday, weekday] `lift` for the one, 1 for the others."""
    return np.where(np.eye(DAYS, dtype=bool), lift, 1.0)


@dataclass(frozen=True)
class Habit:
    """What is common to all customers. base: [time]; prior: [preference]; kernel: [preference, time]; strength: of the kernel."""

    base: np.ndarray
    prior: np.ndarray
    kernel: np.ndarray
    strength: float

    @property
    def shares(self) -> np.ndarray:
        """[preference, time] chance that a visit of a customer with that preference falls on that time."""
        tilted = self.base * self.kernel
        return np.asarray(tilted / tilted.sum(axis=1, keepdims=True))

    def weights(self, counts: np.ndarray) -> np.ndarray:
        """[customer, preference] chance of each preference, given her visits [customer, time]; the prior where there are none."""
        log = counts @ np.log(np.maximum(self.shares, 1e-300)).T + np.log(np.maximum(self.prior, 1e-300))
        weight = np.exp(log - log.max(axis=1, keepdims=True))
        return np.asarray(weight / weight.sum(axis=1, keepdims=True))

    def likelihood(self, counts: np.ndarray) -> float:
        """Log likelihood of the visits, summed over customers."""
        log = counts @ np.log(np.maximum(self.shares, 1e-300)).T + np.log(np.maximum(self.prior, 1e-300))
        top = log.max(axis=1)
        return float((top + np.log(np.exp(log - top[:, None]).sum(axis=1))).sum())

    def foretold(self, counts: np.ndarray) -> np.ndarray:
        """[customer, time] share of her next visits that fall on each time."""
        return np.asarray(self.weights(counts) @ self.shares)


def fit_habit(counts: np.ndarray, kernels: dict[float, np.ndarray], rounds: int = 25) -> Habit:
    """Base, prior and the likeliest of the kernels for visits [customer, time]. Raises ValueError where there are no visits."""
    if counts.sum() == 0:
        raise ValueError("there are no visits to learn an hour or a weekday from")
    seen = counts[counts.sum(axis=1) > 0].astype(float)
    fits = [_fit(seen, kernel, strength, rounds) for strength, kernel in kernels.items()]
    return max(fits, key=lambda habit: habit.likelihood(seen))


def _fit(counts: np.ndarray, kernel: np.ndarray, strength: float, rounds: int) -> Habit:
    total, visits = counts.sum(axis=0), counts.sum(axis=1)
    prior = (total > 0) / (total > 0).sum()  # nobody prefers a time at which the shop has no visits
    habit = Habit(total / total.sum(), prior, kernel, strength)
    for _ in range(rounds):
        weight = habit.weights(counts)
        held = weight.T @ visits  # visits by preference
        exposure = (held / (habit.base * kernel).sum(axis=1)) @ kernel
        base = total / np.maximum(exposure, 1e-300)
        habit = Habit(base / base.sum(), weight.mean(axis=0), kernel, strength)
    return habit


def visits(purchases: Purchases, first: int, stop: int) -> tuple[np.ndarray, np.ndarray]:
    """Baskets of the days first .. stop - 1: [customer, hour] and [customer, weekday] counts."""
    new = np.append(True, np.diff(purchases.basket) != 0)[: len(purchases.basket)]
    rows = np.flatnonzero(new & (purchases.day >= first) & (purchases.day < stop))
    who, n = purchases.who[rows].astype(np.int64), len(purchases.customers)
    weekday = (purchases.day[rows] + purchases.start.weekday()) % DAYS
    hours = np.bincount(who * HOURS + purchases.hour[rows], minlength=n * HOURS).reshape(n, HOURS)
    return hours, np.bincount(who * DAYS + weekday, minlength=n * DAYS).reshape(n, DAYS)


def circular_mean(weights: np.ndarray) -> np.ndarray:
    """[row] mean hour on the clock of weights [row, hour], 0 to 24; hours about midnight do not average to noon."""
    turn = np.exp(2j * np.pi * np.arange(HOURS) / HOURS)
    return np.asarray((np.angle(weights @ turn) / (2 * np.pi) * HOURS) % HOURS)


def personal_hours(habit: Habit, counts: np.ndarray, least: float = 0.05) -> np.ndarray:
    """[customer] the hour she tilts the shop's hours towards: the mean of what it may be. Where that points nowhere (its resultant
    is shorter than `least`, as without any habit), the mean of the shop's own hours."""
    weights = habit.weights(counts)
    length = np.abs(weights @ np.exp(2j * np.pi * np.arange(HOURS) / HOURS))
    return np.where((length >= least) & (habit.strength > 0), circular_mean(weights), circular_mean(habit.base[None, :])[0])


def best_hours(habit: Habit, counts: np.ndarray, everybody: float | None = None) -> dict[str, np.ndarray]:
    """Hours [customer] to write at, by method: one for all, her most frequent, the mean of hers, and two answers of her habit.

    `everybody` is the one hour for all; without it, the mean of these customers'.

    The first, "her own hour", is the one she tilts the shop's hours towards; "her busiest hour" is where most of her next visits
    will fall (within two hours), which the shop's own busy hours share in.
    """
    everybody = float(circular_mean(counts.sum(axis=0)[None, :])[0]) if everybody is None else everybody
    some = counts.sum(axis=1) > 0
    return {
        "one hour for all": np.full(len(counts), everybody),
        "her most frequent hour": np.where(some, counts.argmax(axis=1), everybody),
        "mean of her hours": np.where(some, circular_mean(counts), everybody),
        "her own hour": personal_hours(habit, counts),
        "her busiest hour": window(habit.foretold(counts)).argmax(axis=1).astype(float),
    }


def best_method(counts: np.ndarray, later: np.ndarray) -> tuple[str, pd.DataFrame]:
    """The method of `best_hours` that tells most of `later` visits [customer, hour] to within two hours, and how all of them do.

    The habit is learnt from `counts` [customer, hour], the visits before. Ties go to the method named first.
    """
    habit = fit_habit(counts, {pull: hour_kernel(pull) for pull in PULLS})
    table = over_customers({m: near(hour, later) for m, hour in best_hours(habit, counts).items()})
    return str(table.loc[table["mean"].fillna(-1).idxmax(), "method"]), table


def best_days(habit: Habit, counts: np.ndarray) -> dict[str, np.ndarray]:
    """Weekdays [customer], by method: one for all, her most frequent, and her habit."""
    everybody = int(counts.sum(axis=0).argmax())
    return {
        "one weekday for all": np.full(len(counts), everybody),
        "her most frequent weekday": np.where(counts.sum(axis=1) > 0, counts.argmax(axis=1), everybody),
        "her habit": habit.foretold(counts).argmax(axis=1),
    }


def window(shares: np.ndarray, within: int = 2) -> np.ndarray:
    """[row, hour] sum of shares [row, hour] within so many hours on the clock."""
    return np.asarray(sum(np.roll(shares, step, axis=1) for step in range(-within, within + 1)))


def near(hour: np.ndarray, later: np.ndarray, within: float = 2.0) -> np.ndarray:
    """[customer] share of later visits [customer, hour] within so many hours of `hour` on the clock; missing without a visit."""
    gap = np.abs((np.arange(HOURS) - hour[:, None] + HOURS / 2) % HOURS - HOURS / 2)
    total = later.sum(axis=1)
    return np.where(total > 0, (later * (gap <= within)).sum(axis=1) / np.maximum(total, 1), np.nan)


def notice_factor(hour: np.ndarray, preferred: np.ndarray, pull: float) -> np.ndarray:
    """[customer] factor on the chance that a message is noticed, 1 at the preferred hour (METHODS: exp(kappa (cos - 1)))."""
    return np.asarray(np.exp(pull * (np.cos(2 * np.pi * (hour - preferred) / HOURS) - 1)))


def over_customers(values: dict[str, np.ndarray]) -> pd.DataFrame:
    """Per method: mean over customers, low, high (normal interval over customers), customers. Missing values are left out."""
    rows = []
    for name, value in values.items():
        known = value[np.isfinite(value)]
        ends = inference.mean(known, inference.ROUNDED)
        rows.append((name, ends["estimate"], ends["low"], ends["high"], len(known)))
    return pd.DataFrame(rows, columns=["method", "mean", "low", "high", "customers"])


def on_day(weekday: np.ndarray, later: np.ndarray) -> np.ndarray:
    """[customer] share of later visits [customer, weekday] on her `weekday`; missing without a visit."""
    total = later.sum(axis=1)
    return np.where(total > 0, later[np.arange(len(later)), weekday] / np.maximum(total, 1), np.nan)


def by_count(
    values: dict[str, np.ndarray], count: np.ndarray, names: list[str], edges: tuple[int, ...] = (0, 1, 3, 6, 11, 21, 51)
) -> pd.DataFrame:
    """`over_customers` by number of visits seen: columns visits ("3-5"), method, mean, low, high, customers; no row for none."""
    frames = []
    for low, high in zip(edges, (*edges[1:], None), strict=True):
        mine = (count >= low) & (count < high if high is not None else True)
        if mine.sum() < 2:
            continue
        label = f"{low}+" if high is None else f"{low}" if high == low + 1 else f"{low}-{high - 1}"
        frames.append(over_customers({n: values[n][mine] for n in names}).assign(visits=label))
    return pd.concat(frames, ignore_index=True)
