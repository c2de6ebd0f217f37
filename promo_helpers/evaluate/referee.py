"""Does a metric see a good score as better than a random one? Small trials in which the answer is known."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from scipy import stats
from scipy.special import expit

from promo_helpers import draws as keyed
from promo_helpers.evaluate.uplift import rate_of
from promo_helpers.evaluate.value import doubly_robust_scores
from promo_helpers.inference import Ranking, same_length
from promo_helpers.inference import share as share_between


def duels(rows: int, draws: int, seed: int, base: float = 0.15, effect: float = 0.08, skill: float = 0.6) -> pd.DataFrame:
    """Tidy: draw, definition, good, random: what each definition gives a good and a random score in `draws` trials of `rows`.

    Half are treated; x is normal; the chance of buying without is `base` in the mean and unrelated to x; the offer adds `effect` times
    (1 + x), held within [0, 1]: on average `effect`, and harm for the lowest sixth. The good score has correlation `skill` with x.
    The trials are made up: their draws belong to nobody, `seed` alone gives them.
    """
    parts, rng = [], keyed.generator(seed, "duels")
    for draw in range(draws):
        x, other = rng.normal(size=(2, rows))
        without = expit(np.log(base / (1 - base)) + 0.5 * other)
        treated = rng.permutation(rows) % 2
        bought = (rng.random(rows) < np.clip(without + effect * (1 + x) * treated, 0, 1)).astype(float)
        good = skill * x + np.sqrt(1 - skill**2) * rng.normal(size=rows)
        both = [referee(score, bought, treated)["value"].to_numpy() for score in (good, rng.normal(size=rows))]
        parts.append(pd.DataFrame({"draw": draw, "definition": list(WEIGHS), "good": both[0], "random": both[1]}))
    return pd.concat(parts, ignore_index=True)


def share_misranked(results: pd.DataFrame, level: float = 0.95) -> pd.DataFrame:
    """In what share of the duels the random score tied or beat the good one: definition, share, low, high (Wilson), draws."""
    known = results.dropna()
    table = (known["random"] >= known["good"]).groupby(known["definition"], sort=False).agg(["sum", "size"])
    ends = share_between(table["sum"], table["size"], level)
    out = {"definition": table.index, "share": ends["estimate"], "low": ends["low"], "high": ends["high"], "draws": table["size"]}
    return pd.DataFrame(out).reset_index(drop=True)


WEIGHS = {  # definition -> what it weighs
    "grf AUTOC": "The mean over shares q of the effect among the first q less that of all: the top of the ranking counts most.",
    "grf Qini": "The same mean with weight q: an area between a curve of gains and the diagonal, in units of the outcome.",
    "EconML AUTOC": "grf's AUTOC without the first and last 5 %, as a sum of steps over quantiles of the score.",
    "EconML Qini": "grf's Qini without the first and last 5 %, as a sum of steps over quantiles of the score.",
    "scikit-uplift qini_auc_score": (
        "Area above the diagonal as a share of that of a clairvoyant who lists buyers with an offer first and buyers without last."
    ),
    "scikit-uplift qini_auc_score, negative_effect=False": (
        "The same area as a share of that of a curve that rises to the total effect at once and stays there."
    ),
    "scikit-uplift uplift_auc_score": "Area above the diagonal of (difference of rates x number), as a share of a clairvoyant's.",
    "scikit-uplift uplift_at_k, overall": "Difference of the two rates among the first k of all; ties in reverse order of the rows.",
    "scikit-uplift uplift_at_k, by_group": "Difference of the rates of the first k of each arm: two lists with two thresholds.",
    "CausalML auuc_score": "Mean height of the curve of gains, its end set to 1: random has about .5; a total near 0 explodes.",
    "CausalML auuc_score, normalize=False": "Mean height of the curve of gains, in units of the outcome; random has half the total.",
    "CausalML qini_score": "Mean height above the diagonal of gains counted per treated row, the end set to 1.",
    "CausalML qini_score, normalize=False": "Mean height above the diagonal of gains counted per treated row, in units of the outcome.",
    "CausalML rate_score, autoc": "TOC weighted by 1 / q, as if the 1 / q of AUTOC were not in TOC already: the first few rows decide.",
    "CausalML rate_score, qini": "TOC weighted by q, the weights set to add up to 1: twice grf's Qini, on differences of means.",
}


def differences(y: np.ndarray, treated: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Treated rows, their outcomes, other rows, their outcomes, summed from the first row on."""
    up, down = treated == 1, treated == 0
    return np.cumsum(up), np.cumsum(y * up), np.cumsum(down), np.cumsum(y * down)


def area(x: np.ndarray, y: np.ndarray) -> float:
    """Area under a curve by trapezia, less that of the straight line between its ends; both begin at (0, 0)."""
    x, y = np.append(0, x), np.append(0, y)
    return float(np.trapezoid(y, x) - x[-1] * y[-1] / 2)


def scikit_uplift(priority: np.ndarray, y: np.ndarray, treated: np.ndarray, k: float) -> dict[str, float]:
    """Its five metrics. NaN where the library refuses: an outcome that is not 0 or 1, or no negative effects and a total below 0."""

    def curve(score: np.ndarray, qini: bool) -> tuple[np.ndarray, np.ndarray]:
        order = np.argsort(score, kind="stable")[::-1]
        ends = np.append(np.flatnonzero(np.diff(score[order])), len(y) - 1)
        nt, yt, nc, yc = (a[ends].astype(float) for a in differences(y[order], treated[order]))
        if qini:
            return ends + 1, yt - yc * np.divide(nt, nc, out=np.zeros_like(nt), where=nc > 0)
        rate_t, rate_c = (np.divide(a, b, out=np.zeros_like(a), where=b > 0) for a, b in ((yt, nt), (yc, nc)))
        return ends + 1, (rate_t - rate_c) * (ends + 1)

    out = dict.fromkeys((name for name in WEIGHS if name.startswith("scikit-uplift")), np.nan)
    if np.isin(y, (0, 1)).all():
        clairvoyant = y * treated - y * (1 - treated)
        total = y[treated == 1].sum() - (treated == 1).sum() * y[treated == 0].mean()
        mine = area(*curve(priority, True))
        with np.errstate(divide="ignore", invalid="ignore"):
            out["scikit-uplift qini_auc_score"] = float(np.float64(mine) / area(*curve(clairvoyant, True)))
            best = area(np.array([total, len(y)]), np.array([total, total]))  # yes: the height stands on the axis of rows, too
            out["scikit-uplift qini_auc_score, negative_effect=False"] = mine / best if total > 0 else np.nan
            ahead = (y == 1) if (y * (1 - treated)).sum() > ((1 - y) * treated).sum() else (treated == 1)
            perfect = area(*curve(2.0 * (y == treated) + ahead, False))
            out["scikit-uplift uplift_auc_score"] = float(np.float64(area(*curve(priority, False))) / perfect)
    order = np.argsort(priority, kind="stable")[::-1]
    top, arms = order[: int(len(y) * k)], [order[treated[order] == w] for w in (1, 0)]
    parts = {"overall": [top[treated[top] == w] for w in (1, 0)], "by_group": [a[: int(len(a) * k)] for a in arms]}
    for how, (up, down) in parts.items():
        out[f"scikit-uplift uplift_at_k, {how}"] = float(y[up].mean() - y[down].mean()) if len(up) and len(down) else np.nan
    return out


def causalml(priority: np.ndarray, y: np.ndarray, treated: np.ndarray) -> dict[str, float]:
    """Its six metrics. Ties stay in the order of the rows; the library's own order of ties is that of an unstable sort beyond 16 rows."""
    order = np.argsort(-priority, kind="stable")
    n = np.arange(len(y) + 1)
    nt, yt, nc, yc = (np.append(0.0, a) for a in differences(y[order], treated[order]))
    both = (nt > 0) & (nc > 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        lift, gain = yt / nt - yc / nc, yt - yc * nt / nc
    lift[0] = gain[0] = 0.0
    toc = np.where(both, lift - lift[-1], 0.0)  # the effect of all where an arm is not there yet
    lift, gain = (np.interp(n, n[there], a[there]) for a, there in ((lift, both | (n == 0)), (gain, (nc > 0) | (n == 0))))
    raised = lift * n
    q = (n[:-1] + n[1:]) / 2 / len(y)
    middle = (toc[:-1] + toc[1:]) / 2
    height, above = raised.mean(), (gain - np.linspace(0, gain[-1], len(n))).mean()
    with np.errstate(divide="ignore", invalid="ignore"):
        return {
            "CausalML auuc_score": float(height / abs(raised[-1])),
            "CausalML auuc_score, normalize=False": float(height),
            "CausalML qini_score": float(above / abs(gain[-1])),
            "CausalML qini_score, normalize=False": float(above),
            "CausalML rate_score, autoc": float(np.average(middle, weights=1 / q)),
            "CausalML rate_score, qini": float(np.average(middle, weights=q)),
        }


def econml(priority: np.ndarray, effect: np.ndarray, percentiles: np.ndarray | None = None) -> dict[str, float]:
    """DRTester's two areas, thresholds at percentiles (the 5th to the 95th, in 50) of the score itself."""
    at = np.linspace(5, 95, 50) if percentiles is None else percentiles
    order = np.argsort(-priority, kind="stable")
    within = np.searchsorted(-priority[order], -np.percentile(priority, at), side="right")
    toc = np.cumsum(effect[order])[within - 1] / within - effect.mean()
    step = np.diff(at) / 100
    return {"EconML AUTOC": float(toc[:-1] @ step), "EconML Qini": float((toc * within / len(effect))[:-1] @ step)}


def referee(
    priority: np.ndarray, y: np.ndarray, treated: np.ndarray, effect: np.ndarray | None = None, k: float = 0.3
) -> pd.DataFrame:
    """Every named definition for one ranking of a trial with two arms: definition, value, weighs (one sentence).

    priority: [row] score, highest first. y: [row] outcome. treated: [row] 0 or 1. effect: [row] doubly robust scores for the definitions
    that take them (grf, EconML); without them those of a trial whose chance is the treated share and whose model is the two means. k: share
    at which uplift at k stands. A definition that its library does not give for this outcome is NaN. Raises ValueError for lengths that
    differ, numbers that are missing, one arm, and k outside (0, 1).
    """
    priority, y, treated = np.asarray(priority, float), np.asarray(y, float), np.asarray(treated)
    same_length(priority=priority, y=y, treated=treated)
    if set(np.unique(treated)) != {0, 1}:
        raise ValueError("treated must hold 0 and 1, both of them: without a control there is no effect")
    if not 0 < k < 1:
        raise ValueError(f"k = {k}: must be a share between 0 and 1")
    treated = treated.astype(int)
    if effect is None:
        means = np.tile([y[treated == w].mean() for w in (0, 1)], (len(y), 1))
        share = treated.mean()
        scores = doubly_robust_scores(y, treated, means, np.where(treated == 1, share, 1 - share))
        effect = scores[:, 1] - scores[:, 0]
    effect = np.asarray(effect, float)
    same_length(priority=priority, effect=effect)
    rank = Ranking(priority, np.zeros(len(y), int), 1)
    count, total = (rank.table(v).toarray().T for v in (np.ones(len(y)), effect))
    autoc, qini = rate_of(count, total, np.ones(1))[0, :2]
    values = {"grf AUTOC": float(autoc), "grf Qini": float(qini)} | econml(priority, effect)
    values |= scikit_uplift(priority, y, treated, k) | causalml(priority, y, treated)
    return pd.DataFrame(
        [(name, values[name], sentence) for name, sentence in WEIGHS.items()], columns=["definition", "value", "weighs"]
    )


def agreement(metrics: pd.DataFrame, true_value: Mapping[str, float] | pd.Series) -> pd.DataFrame:
    """How well each metric orders candidates by what they are truly worth: definition, spearman, pairs, regret, candidates.

    metrics: one row per candidate scoring (its name the index), one column per definition. true_value: name -> worth, e.g. profit
    of the policy. pairs: share of pairs of candidates that it orders rightly, ties half. regret: worth of the best candidate less that of
    the one that the metric would choose. A metric that is missing somewhere is judged on the others; with fewer than three, or where
    the truth is NaN, NaN.
    Raises KeyError where a candidate has no true value.
    """
    worth = pd.Series(true_value, dtype=float)
    missing = [name for name in metrics.index if name not in worth.index]
    if missing:
        raise KeyError(f"no true value for {', '.join(map(str, missing))}")
    rows = []
    for definition, column in metrics.items():
        known = column.dropna()
        truth = worth.reindex(known.index).to_numpy()
        n = len(known)
        if n < 3 or np.isnan(truth).any() or known.eq(known.iloc[0]).all() or len(np.unique(truth)) == 1:
            rows.append((definition, np.nan, np.nan, np.nan, n))
            continue
        signs = [np.sign(np.subtract.outer(v, v))[np.triu_indices(n, 1)] for v in (known.to_numpy(), truth)]
        counted = signs[1] != 0
        pairs = float(((signs[0] * signs[1] + 1) / 2)[counted].mean())
        rho = float(stats.spearmanr(known.to_numpy(), truth).statistic)
        rows.append((definition, rho, pairs, float(truth.max() - truth[known.argmax()]), n))
    return pd.DataFrame(rows, columns=["definition", "spearman", "pairs", "regret", "candidates"])
