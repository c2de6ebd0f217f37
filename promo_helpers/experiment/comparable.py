"""Are the arms comparable? Overlap of the chances, weights, and balance of the features. Pure functions."""

import numpy as np
import pandas as pd

from promo_helpers import draws as keyed
from promo_helpers.experiment.experiment import Experiment

EDGE = 0.05  # a chance nearer to 0 or 1 is called thin
RARE = 10  # fewer rows than this expected in the smallest arm, and the bell curve says nothing about a difference


def weights(experiment: Experiment, chances: np.ndarray | None) -> np.ndarray:
    """[row] one over the chance of the arm that the row got: from `chances` [row, arm], else the known probability, else 1."""
    if chances is not None:
        return 1 / chances[np.arange(len(experiment)), experiment.arm]
    return 1 / experiment.probability if experiment.probability is not None else np.ones(len(experiment))


def overlap(experiment: Experiment, weight: np.ndarray, chances: np.ndarray | None) -> pd.DataFrame:
    """One row an arm that has rows: arm, rows, customers, smallest, largest_weight, heaviest, effective, effective_share, outside.

    largest_weight is the largest 1 / p among the rows of the arm, heaviest the share of the arm's whole weight that one row has.
    effective = (sum w)^2 / sum w^2 rows carry as much as the weighted rows do (Kish 1965), effective_share is that over the rows.
    What is compared is an arm with the control: smallest and outside are of e = p_arm / (p_arm + p_control) over the rows of both,
    the smallest of e and 1 - e, and the share of rows with e outside [.05, .95]. An arm that is rare for everyone has a small e for
    everyone: that is a base rate, not a lack of overlap, and the effective sample size does not suffer from it. Both are missing for
    the control, and where `chances` [row, arm] are not known.
    """
    found = []
    for number in np.flatnonzero(experiment.counts).tolist():
        w = weight[experiment.arm == number]
        smallest = outside = np.nan
        if chances is not None and number and experiment.counts[0]:
            both = chances[(experiment.arm == 0) | (experiment.arm == number)]
            e = both[:, number] / (both[:, number] + both[:, 0])
            smallest, outside = float(np.minimum(e, 1 - e).min()), float(((e < EDGE) | (e > 1 - EDGE)).mean())
        effective = w.sum() ** 2 / (w**2).sum()
        found.append(
            {
                "arm": experiment.arms[number],
                "rows": len(w),
                "customers": len(np.unique(experiment.customer[experiment.arm == number])),
                "smallest": smallest,
                "largest_weight": w.max(),
                "heaviest": w.max() / w.sum(),
                "effective": effective,
                "effective_share": effective / len(w),
                "outside": outside,
            }
        )
    return pd.DataFrame(found)


def differences(experiment: Experiment, weight: np.ndarray | None = None) -> pd.DataFrame:
    """Standardised mean differences of every feature between every arm and the control: columns arm, feature, d.

    d = (mean in the arm - mean in the control) / sqrt((var in the arm + var in the control) / 2); means are weighted where
    `weight` [row] is given, variances never, so that weighting cannot hide a difference (Austin 2009). A feature with gaps is
    compared where it is known, and "<feature> missing" beside it. Features that do not vary are left out.
    """
    x = _with_gaps(experiment.features)
    weight = np.ones(len(x)) if weight is None else weight
    known, values = ~np.isnan(x.to_numpy(float)), x.to_numpy(float)
    control = experiment.arm == 0
    tables = []
    for number in np.flatnonzero(experiment.counts[1:]) + 1:
        means, spreads = [], []
        for rows in (control, experiment.arm == number):
            w = weight[rows][:, None] * known[rows]
            n = np.maximum(known[rows].sum(axis=0), 1)
            v = np.where(known[rows], values[rows], 0)
            plain = v.sum(axis=0) / n
            with np.errstate(invalid="ignore"):  # a feature that is missing in the whole arm has no mean
                means.append((w * v).sum(axis=0) / w.sum(axis=0))
            spreads.append((np.where(known[rows], v - plain, 0) ** 2).sum(axis=0) / n)
        spread = np.sqrt(sum(spreads) / 2)
        with np.errstate(invalid="ignore", divide="ignore"):
            d = np.where(spread > 1e-12, (means[1] - means[0]) / spread, np.nan)
        tables.append(pd.DataFrame({"arm": experiment.arms[number], "feature": x.columns, "d": d}))
    return pd.concat(tables, ignore_index=True).dropna(subset=["d"], ignore_index=True)


def chance_of_imbalance(experiment: Experiment, seed: int, weight: np.ndarray | None = None, draws: int = 10_000) -> float:
    """The chance that a sound trial shows a difference as clear as the clearest one here, over all features and arms together.

    |z| of the difference in mean ranks (spending has long tails) between each arm and the control; the largest of all is compared
    with its own distribution under randomisation: normal with the correlations of the features and of arms that share a control,
    drawn `draws` times. These draws belong to nobody: `seed` alone gives them. Where every customer has one arm only, customers were
    drawn, and they are what is counted.
    Features with fewer than 10 rows off their most frequent value in the smallest arm are left out. 1 where nothing can be compared.
    """
    arm, x = experiment.arm, _with_gaps(experiment.features)
    if (whole := per_customer(experiment)) is not None:
        code, first = whole
        arm, x = arm[first], x.groupby(code).mean()
        weight = None if weight is None else pd.Series(weight).groupby(code).mean().to_numpy()
    weight = np.ones(len(arm)) if weight is None else weight
    counts = np.bincount(arm, minlength=len(experiment.arms))
    least = min((c for c in counts if c), default=0)
    off = np.array([len(x) - x[c].value_counts(dropna=False).max() for c in x], dtype=float)
    x = x.loc[:, off * least / max(len(x), 1) >= RARE]
    if x.empty or (counts > 0).sum() < 2 or not counts[0]:
        return 1.0
    r = x.rank().to_numpy(float)
    r = np.nan_to_num((r - np.nanmean(r, axis=0)) / np.nanstd(r, axis=0))  # what is missing is at the middle; its indicator tells
    means, covariances = {}, {}
    for number in np.flatnonzero(counts).tolist():
        w = weight[arm == number]
        means[number] = w @ r[arm == number] / w.sum()
        even = np.allclose(w, w[0])  # drawn with the same chance: the spread is that of all rows, known better than that of few
        own = (w[:, None] * (r[arm == number] - np.average(r, axis=0, weights=weight))) / w.sum()
        covariances[number] = np.cov(r.T, bias=True).reshape(x.shape[1], -1) / len(w) if even else own.T @ own
    others = [n for n in means if n]
    error = {n: np.sqrt(np.diag(covariances[n]) + np.diag(covariances[0])) for n in others}
    seen = max(float(np.max(np.abs(means[n] - means[0]) / error[n])) for n in others)
    rng = keyed.generator(seed, "clearest imbalance")
    noise = {n: rng.standard_normal((draws, x.shape[1])) @ _root(c) for n, c in covariances.items()}
    largest = np.max([np.max(np.abs(noise[n] - noise[0]) / error[n], axis=1) for n in others], axis=0)
    return float((1 + (largest >= seen).sum()) / (1 + draws))


def per_customer(experiment: Experiment) -> tuple[np.ndarray, np.ndarray] | None:
    """([row] number of its customer, [customer] its first row) where customers come back and always in the same arm; else None."""
    code, people = pd.factorize(experiment.customer)
    if len(people) == len(code):
        return None
    _, first = np.unique(code, return_index=True)
    return (code, first) if (experiment.arm == experiment.arm[first][code]).all() else None


def _with_gaps(features: pd.DataFrame) -> pd.DataFrame:
    """The features that vary, and an indicator for each that is missing in some rows."""
    gaps = features.isna()
    some = gaps.loc[:, gaps.any() & ~gaps.all()].add_suffix(" missing").astype("float64")
    return pd.concat([features.loc[:, features.nunique() >= 2].astype("float64"), some], axis=1).reset_index(drop=True)


def _root(covariance: np.ndarray) -> np.ndarray:
    """A matrix A with A'A = covariance, also where features are copies of one another."""
    values, vectors = np.linalg.eigh(covariance)
    return np.sqrt(np.maximum(values, 0))[:, None] * vectors.T
