"""With which probability did each row get each arm? Known in a trial, to be estimated in a log."""

from typing import Literal

import numpy as np
import pandas as pd
from scipy import stats
from scipy.special import softmax
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import Pipeline, make_pipeline, make_union
from sklearn.preprocessing import FunctionTransformer, RobustScaler, StandardScaler
from threadpoolctl import threadpool_limits

from promo_helpers import draws
from promo_helpers import draws as keyed
from promo_helpers.experiment.experiment import Experiment, even_shares
from promo_helpers.inference import cluster_error, interval
from promo_helpers.inference import share as share_between

LEAST = 1e-4  # an estimated chance below it is an extrapolation; it shows in the gates as a weight of 10,000
FAR = 5.0  # distances between the quartiles, from the median
SURE = 10.0  # log odds of an arm that is never, or always, seen against the control


def known_probabilities(experiment: Experiment) -> np.ndarray | None:
    """[row, arm] chances that the design gives, None where it does not tell those of the arms that a row did not get.

    They follow from the planned shares, or from probabilities that are the same for all rows of an arm and add up to 1.
    """
    shares, own = experiment.planned, experiment.probability
    if shares is None and own is not None:
        shares = even_shares(experiment.arm, own, len(experiment.arms))
    if shares is None or (own is not None and not np.allclose(own, shares[experiment.arm], rtol=0.01)):
        return None
    return np.broadcast_to(shares / shares.sum(), (len(experiment), len(experiment.arms)))


def estimate_probabilities(
    experiment: Experiment,
    folds: int = 5,
    seed: int = 0,
    learner: Literal["logistic", "lightgbm"] = "logistic",
) -> np.ndarray:
    """[row, arm] chance of each arm given the features, each row by models that have not seen its customer. Rows add up to 1.

    A multinomial logit, fitted as one regression of each arm against the control on the rows of these two (Begg & Gray 1984: nearly
    as good as all arms at once, and many times faster). "logistic" takes each feature as it is (up to five quartile distances from
    its median) and bent by arcsinh, since spending has long tails; what is missing becomes the median, with an indicator beside it.
    "lightgbm" is a small forest of boosted trees for each arm, for rules that are not smooth. Either can only tell what the features
    hold: a cause that nobody wrote down stays. Chances are at least 0.0001 before they are made to add up; an arm without rows
    has 0. `seed` and customer give the folds.
    Raises ValueError for fewer customers than folds, no feature, no row of the control or of any other arm.
    """
    people, there = len(pd.unique(experiment.customer)), np.flatnonzero(experiment.counts)
    if people < folds:
        raise ValueError(f"{experiment.name}: {people} customers are too few for {folds} folds")
    if experiment.features.shape[1] == 0:
        raise ValueError(f"{experiment.name}: without features no probability can be estimated")
    if len(there) < 2 or there[0] != 0:
        raise ValueError(f"{experiment.name}: a probability needs rows of the control and of another arm")
    x = experiment.features.to_numpy(float)
    scores = np.full((len(experiment), len(experiment.arms)), -np.inf)  # log odds against the control
    scores[:, 0] = 0
    fold = draws.folds(seed, "folds of probabilities", experiment.customer, number=folds)
    with threadpool_limits(1):  # more threads are slower here, and the last bits would hang on their number
        for train, test in ((np.flatnonzero(fold != k), np.flatnonzero(fold == k)) for k in range(folds)):
            bent = _bent() if learner == "logistic" else FunctionTransformer()
            given, asked = bent.fit_transform(x[train]), bent.transform(x[test])
            arm = experiment.arm[train]
            for number in there[1:]:
                both = (arm == 0) | (arm == number)
                scores[test, number] = _log_odds(learner, given[both], arm[both] == number, asked)
    chance = softmax(scores, axis=1)
    chance[:, there] = np.maximum(chance[:, there], LEAST)
    return np.asarray(chance / chance.sum(axis=1, keepdims=True))


def _log_odds(learner: str, given: np.ndarray, treated: np.ndarray, asked: np.ndarray) -> np.ndarray:
    if treated.all() or not treated.any():  # an arm that so few customers got that a fold has none of them
        return np.full(len(asked), SURE if treated.all() else -SURE)
    if learner == "logistic":
        return np.asarray(LogisticRegression(C=0.1, solver="newton-cholesky").fit(given, treated).decision_function(asked))
    from lightgbm import LGBMClassifier  # seconds to import, and seldom asked for

    model = LGBMClassifier(
        n_estimators=100, num_leaves=15, learning_rate=0.05, min_child_samples=50, reg_lambda=10.0,
        n_jobs=1, random_state=0, deterministic=True, force_row_wise=True, verbose=-1,
    )  # fmt: skip
    return np.asarray(model.fit(given, treated).predict(asked, raw_score=True))


def _bent() -> Pipeline:
    return make_pipeline(
        SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True),
        RobustScaler(),
        make_union(
            FunctionTransformer(
                np.clip, kw_args={"a_min": -FAR, "a_max": FAR}
            ),  # a straight line far out would promise certainty
            FunctionTransformer(np.arcsinh),
        ),
        StandardScaler(),
    )


EDGE = 0.05  # a chance nearer to 0 or 1 is called thin
MIN_EXPECTED = 10  # fewer rows than this expected in the smallest arm, and the bell curve says nothing about a difference


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
    x = x.loc[:, off * least / max(len(x), 1) >= MIN_EXPECTED]
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


LEVEL, POWER = 0.05, 0.8
ONE_SIDED = 0.9  # level of the interval whose ends are one-sided 95 % bounds
POWER_FACTOR = float(stats.norm.ppf(1 - LEVEL / 2) + stats.norm.ppf(POWER))  # 2.80 standard errors are seen four times in five
WEIGHT_CAP = 5  # times the median weight of an arm
MAX_EFFECT_RATIO = 20  # no offer multiplies an outcome so often


def planned_shares(experiment: Experiment) -> tuple[float, pd.DataFrame]:
    """p of the chi-squared test of the counts per arm against the planned shares, and arm, share, planned as a table.

    Counted within strata, whose statistics and degrees of freedom add up; strata with fewer than five expected in some arm are
    taken together. Where every customer has one arm only, customers were drawn and are counted. Raises ValueError without a plan.
    """
    if experiment.planned is None:
        raise ValueError(f"{experiment.name} has no planned shares")
    whole = per_customer(experiment)
    rows = np.arange(len(experiment)) if whole is None else whole[1]
    arm, plan = experiment.arm[rows], np.asarray(experiment.planned, float) / np.sum(experiment.planned)
    code = np.zeros(len(rows), int) if experiment.strata is None else pd.factorize(experiment.strata[rows])[0]
    small = np.bincount(code)[code] * plan[plan > 0].min() < 5
    code = pd.factorize(np.where(small, -1, code))[0]
    counts = np.zeros((code.max() + 1, len(plan)))
    np.add.at(counts, (code, arm), 1)
    share = counts.sum(axis=0) / counts.sum()
    table = pd.DataFrame({"arm": experiment.arms, "share": share, "planned": plan})
    if counts[:, plan == 0].any():  # an arm that nobody should have got
        return 0.0, table
    counts = counts[:, plan > 0]
    expected = counts.sum(axis=1, keepdims=True) * plan[plan > 0]
    statistic, freedom = ((counts - expected) ** 2 / expected).sum(), len(counts) * (counts.shape[1] - 1)
    return float(stats.chi2.sf(statistic, freedom)), table


def persuasion_rates(experiment: Experiment, outcome: str, weight: np.ndarray) -> pd.DataFrame:
    """One row an arm: arm, with_it, control (weighted shares of rows with an outcome above 0), won, surely, higher, none.

    won is the share of those without the outcome that the arm would have had to win over, 1 - (1 - with_it) / (1 - control): the
    persuasion rate of DellaVigna & Gentzkow 2010, which field studies mostly find below a third); surely is what it is
    at least, from 95 % bounds of both shares on effective sample sizes, weights cut at five times their median.
    Where the arm was made from the outcome (treated = bought
    with a promotion) it is 1. Where the control was (control = bought anyhow) the roles change, and surely is of that.
    higher is a 95 % lower bound of the chance that a row of the arm has more than one of the control, where both are above 0 (AUC,
    with the largest variance that it can have): it catches an arm made from an amount. none is the chance that no row of the control
    has the outcome, had it a twentieth of the arm's share; 1 where some row has it. Outcomes that are missing are left out.
    """
    y = experiment.outcome(outcome)
    event, known = y > 0, ~np.isnan(y)
    for number in range(len(experiment.arms)):  # a few heavy rows must not hide a fault that all rows show
        rows = experiment.arm == number
        weight = np.where(rows, np.minimum(weight, WEIGHT_CAP * np.median(weight[rows])) if rows.any() else 1, weight)
    found = []
    for number in (np.flatnonzero(experiment.counts[1:]) + 1).tolist():
        sides = [known & (experiment.arm == a) for a in (0, number)]
        if not all(s.any() for s in sides):
            continue
        (c, c_low, c_high), (t, t_low, t_high) = (_without(event[s], weight[s]) for s in sides)
        surely = max(1 - t_high / c_low if c_low > 0 else 0.0, 1 - c_high / t_low if t_low > 0 else 0.0, 0.0)
        higher = 0.0
        if all((s & event).any() for s in sides):
            both = event & (sides[0] | sides[1])
            auc = roc_auc_score(experiment.arm[both] == number, y[both], sample_weight=weight[both])
            n = min(_effective(weight[s & event]) for s in sides)
            higher = max(0.0, float(interval(auc, np.sqrt(auc * (1 - auc) / n), ONE_SIDED)["low"])) if n > 20 else 0.0
        won = 1 - t / c if c > 0 else np.nan
        none = 1.0 if c < 1 else (1 - (1 - t_high) / MAX_EFFECT_RATIO) ** _effective(weight[sides[0]])
        found.append((experiment.arms[number], 1 - t, 1 - c, won, surely, higher, none))
    return pd.DataFrame(found, columns=["arm", "with_it", "control", "won", "surely", "higher", "none"])


def detectable_effects(experiment: Experiment, outcome: str, weight: np.ndarray) -> pd.DataFrame:
    """The smallest effect of each arm that would be seen four times in five by a two-sided test at 5 %: arm, error, detectable.

    error is the standard error of the weighted difference in means, customers kept together; it takes the spread of the outcome and
    the design from the data, never the effect that was found: this is not power after the fact. detectable = 2.80 x error.
    """
    y = experiment.outcome(outcome)
    known = ~np.isnan(y)
    code, people = pd.factorize(experiment.customer)
    found = []
    for number in np.flatnonzero(experiment.counts[1:]) + 1:
        pull = np.zeros(len(y))
        for arm, sign in ((0, -1), (number, 1)):
            rows = known & (experiment.arm == arm)
            w = weight[rows]
            if len(w) < 2:
                pull[:] = np.nan
                continue
            pull[rows] = sign * w / w.sum() * (y[rows] - np.average(y[rows], weights=w)) * np.sqrt(len(w) / (len(w) - 1))
        error = cluster_error(pull, code, len(people), lost=0)
        found.append((experiment.arms[number], error, POWER_FACTOR * error))
    return pd.DataFrame(found, columns=["arm", "error", "detectable"])


def missingness_p(experiment: Experiment, outcome: str) -> float:
    """p of the chi-squared test that the outcome is missing equally often in all arms; 1 where it is never missing."""
    missing = np.isnan(experiment.outcome(outcome))
    table = np.array([np.bincount(experiment.arm[missing == m], minlength=len(experiment.arms)) for m in (False, True)])
    table = table[:, table.sum(axis=0) > 0]
    return float(stats.chi2_contingency(table).pvalue) if missing.any() and not missing.all() and table.shape[1] > 1 else 1.0


def _effective(weight: np.ndarray) -> float:
    return float(weight.sum() ** 2 / (weight**2).sum())


def _without(event: np.ndarray, weight: np.ndarray) -> tuple[float, float, float]:
    """Weighted share of rows without the event, with one-sided 95 % bounds (Clopper & Pearson, on the effective sample size)."""
    n, share = _effective(weight), float(np.average(~event, weights=weight))
    ends = share_between(share * n, n, ONE_SIDED, "beta")
    return share, float(ends["low"]), float(ends["high"])
