"""Is a difference between groups chance? Two nulls, which are not the same claim, and what many tests find by chance.

Equal shares: who gets what has nothing to do with the group. Equal given the legitimate features: it has nothing to do with the group
beyond what the features tell that an offer may depend on. A rule can break the first and keep the second. Which features are legitimate
is a judgement that no test makes.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from promo_helpers import draws
from promo_helpers.audit.fairness import MIN_CUSTOMERS, Measure, by_customer, one_label
from promo_helpers.trees import boosted

FOLDS = 5
KNOTS = (0.1, 0.3, 0.5, 0.7, 0.9)  # quantiles at which the effect of a feature on the group may bend
RIDGE = 1.0
ROUNDS, SMALLEST = 60, 30
TREES: dict[str, Any] = {"objective": "regression", "learning_rate": 0.1, "num_leaves": 15, "min_data_in_leaf": SMALLEST}
ALPHA = 0.05
METHODS = {"Holm": "holm", "BH": "fdr_bh"}  # statsmodels' names


def equal_shares(
    measures: Sequence[Measure], labels: pd.DataFrame, customer: np.ndarray, least: int = MIN_CUSTOMERS
) -> pd.DataFrame:
    """Rows of attribute, group, measure, z, p: two-sided permutation test by customer of each group against all others.

    What is permuted are the labels among the customers whom a measure is about. Mean and variance of a group's sum over all permutations
    are exact, its tail is taken as normal (Hoeffding 1951), so that p is not bounded by a number of draws. Groups of fewer than `least`
    such customers, or all but fewer, are left out.
    """
    _, num, den = by_customer(measures, customer)
    first = one_label(labels, customer)

    def test(m: int, rows: np.ndarray, group: np.ndarray) -> np.ndarray:
        left = num[rows, m] - num[rows, m].sum() / den[rows, m].sum() * den[rows, m]
        n, size = len(rows), group.sum(axis=0)
        spread = np.sqrt(size * (n - size) / (n - 1) * left.var())
        return np.divide(group.T @ (left - left.mean()), spread, out=np.zeros(len(size)), where=spread > 1e-12)

    return _each(measures, first, den, least, test)


def equal_given_features(
    measures: Sequence[Measure], labels: pd.DataFrame, customer: np.ndarray, legitimate: pd.DataFrame, seed: int,
    least: int = MIN_CUSTOMERS, folds: int = FOLDS,
) -> pd.DataFrame:  # fmt: skip
    """Rows of attribute, group, measure, z, p: is the measure independent of the group given the legitimate features?

    The generalised covariance measure (Shah & Peters 2020, Annals of Statistics 48): the residual of the measure on the features times
    the residual of being in the group on them has mean 0 where the null holds. The measure is foretold by boosted trees fitted to other
    customers; this score, which given the null balances the groups as a propensity does, joins the features (bending at quantiles) in a
    ridge regression of both. The spread is the larger of two estimates, with and without the products' own variance, and allows for the
    numbers of columns. legitimate: [row, feature], that of a customer's first row. Folds go by the customer's id and the seed.
    """
    people, num, den = by_customer(measures, customer)
    first = one_label(labels, customer)
    place = np.unique(pd.factorize(np.asarray(customer))[0], return_index=True)[1]
    x = legitimate.iloc[place].to_numpy(float)
    fold = draws.parts(seed, "folds of an audit", people, number=folds)
    bends = _spline_basis(x)
    there = [np.flatnonzero(den[:, m] > 0) for m in range(len(measures))]
    scores = np.zeros((len(people), len(measures)))
    for m, rows in enumerate(there):
        if len(rows) >= 2 * folds * SMALLEST:  # fewer are told apart by their mean alone
            scores[rows, m] = _cross_fit(x[rows], num[rows, m] / den[rows, m], fold[rows], seed)

    def test(m: int, rows: np.ndarray, group: np.ndarray) -> np.ndarray:
        y = num[rows, m] / den[rows, m]
        score = scores[rows, m]
        basis = np.column_stack([bends[rows], _decile_dummies(score)])
        own, other = _residuals(basis, (y - score)[:, None]), _residuals(basis, group)
        product = own * other
        freedom = len(rows) / max(len(rows) - basis.shape[1], 1)
        # of a small group the products' own spread is noisy and small where their sum is large; that of unrelated residuals is not
        spread = np.sqrt(freedom * np.maximum((product**2).sum(axis=0), (own**2).mean() * (other**2).sum(axis=0)))
        return np.divide(product.sum(axis=0), spread, out=np.zeros(len(spread)), where=spread > 1e-9)

    return _each(measures, first, den, least, test)


def adjusted_p(p: pd.Series, how: str = "Holm") -> pd.Series:
    """p-values for many tests at once; missing ones stay missing and don't count.

    Holm (1979): the chance of any false accusation is at most the level, however the tests depend on each other. "BH" (Benjamini &
    Hochberg 1995): the expected share of false ones among those found is, which suits a list of what to look at next.
    """
    from statsmodels.stats.multitest import multipletests

    if how not in METHODS:
        raise ValueError(f"how = {how!r}: Holm or BH")
    known = p.dropna()
    out = multipletests(known.to_numpy(), method=METHODS[how])[1] if len(known) else np.empty(0)
    return pd.Series(out, known.index).reindex(p.index)


def rejections(tests: pd.DataFrame, level: float = ALPHA) -> dict[str, float]:
    """How many of the tests (columns p) are below the level, how many of so many would be by chance, and how many are left after Holm
    and after BH: tests, below, by_chance, Holm, BH."""
    p = tests["p"].dropna()
    out = {"tests": len(p), "below": int((p < level).sum()), "by_chance": level * len(p)}
    return out | {how: int((adjusted_p(p, how) < level).sum()) for how in ("Holm", "BH")}


def _each(measures: Sequence[Measure], first: pd.DataFrame, den: np.ndarray, least: int, test) -> pd.DataFrame:  # type: ignore[no-untyped-def]
    """Run a test of (measure, rows, [row, group] membership) -> z on every attribute and measure."""
    parts = []
    for attribute in first:
        code, names = pd.factorize(first[attribute], sort=True)
        for m, measure in enumerate(measures):
            rows = np.flatnonzero((den[:, m] > 0) & (code >= 0))
            size = np.bincount(code[rows], minlength=len(names))
            kept = np.flatnonzero((size >= least) & (len(rows) - size >= least))
            if not len(kept):
                continue
            z = test(m, rows, (code[rows][:, None] == kept).astype(float))
            parts.append(pd.DataFrame({"attribute": attribute, "group": names[kept], "measure": measure.name, "z": z}))
    if not parts:
        return pd.DataFrame(columns=["attribute", "group", "measure", "z", "p"])
    out = pd.concat(parts, ignore_index=True)
    return out.assign(p=2 * stats.norm.sf(out["z"].abs()))


def _cross_fit(x: np.ndarray, y: np.ndarray, part: np.ndarray, seed: int) -> np.ndarray:
    """[row] y by boosted trees that were fitted to the other parts."""
    score = np.empty(len(y))
    for k in np.unique(part):
        mine = part == k
        score[mine] = np.asarray(boosted(x[~mine], y[~mine], seed, ROUNDS, **TREES).predict(x[mine]))
    return score


def _spline_basis(x: np.ndarray) -> np.ndarray:
    """[row, column] each feature as a line that bends at quantiles, and whether it is missing; columns of unit spread."""
    columns = []
    for k in range(x.shape[1]):
        v = x[:, k]
        known = np.isfinite(v)
        if not known.any():
            continue
        knots = np.unique(np.quantile(v[known], KNOTS))
        v = np.where(known, v, knots[len(knots) // 2])
        v = np.clip(v, *np.quantile(v, [0.01, 0.99]))
        columns += [v, *(np.maximum(v - q, 0) for q in knots), (~known).astype(float)]
    out = np.column_stack(columns) if columns else np.zeros((len(x), 0))
    spread = out.std(axis=0)
    kept = spread > 1e-12
    return np.asarray((out[:, kept] - out[:, kept].mean(axis=0)) / spread[kept])


def _decile_dummies(score: np.ndarray) -> np.ndarray:
    """[row, tenth] which tenth of the score a row is in (fewer where the score has ties)."""
    borders = np.unique(np.quantile(score, np.arange(0.1, 1, 0.1)))
    return np.asarray((np.searchsorted(borders, score, side="right")[:, None] == np.arange(1, len(borders) + 1)).astype(float))


def _residuals(basis: np.ndarray, y: np.ndarray) -> np.ndarray:
    """[row, y] what a ridge regression on the basis leaves."""
    b, level = basis - basis.mean(axis=0), y - y.mean(axis=0)
    weight = np.linalg.solve(b.T @ b + RIDGE * np.eye(b.shape[1]), b.T @ level)
    return np.asarray(level - b @ weight)
