"""A rule distilled into trees, whose Shapley values are exact; shown only where the trees say nearly what the rule says."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import lightgbm as lgb
import numpy as np
import pandas as pd
import shap
from sklearn.tree import DecisionTreeRegressor

from promo_helpers import draws
from promo_helpers.audit.explanation import Attributions

SETTINGS = {
    "objective": "l2", "num_leaves": 15, "learning_rate": 0.1, "min_data_in_leaf": 20, "feature_fraction": 0.7, "verbose": -1,
    "num_threads": 1, "deterministic": True, "force_row_wise": True,
}  # fmt: skip
ROUNDS, HYBRIDS, MIXED = 300, 60_000, 0.1
POINTS = 32  # of each row: its chance to be part of a hybrid then varies by a sixth, not by as much as itself
LEAST_R2, LEAST_AGREEMENT = 0.8, 0.9
# what the trees miss is explained by nobody: at most a fifth of the variance of the rupees, and at most one decision in ten, may be
# such; with less, a reader would too often be told the reasons of a decision that the rule did not take
EXACT = 1e-6  # of the spread of the predictions; shap sums in another order than LightGBM
Rupees = Callable[[pd.DataFrame], np.ndarray]  # features -> [row]


@dataclass(frozen=True)
class Fidelity:
    """r2 of the rupees and agreement of the decision (more than nothing, or not), on rows of customers that the trees have not seen."""

    r2: float
    agreement: float
    rows: int

    @property
    def enough(self) -> bool:
        """Whether anything of the trees may be shown."""
        return self.r2 >= LEAST_R2 and self.agreement >= LEAST_AGREEMENT


def hybrids(x: pd.DataFrame, rows: int, seed: int, ids: Any = None, mixed: float = MIXED) -> pd.DataFrame:
    """Rows of x in which each feature is another row's with chance `mixed`: a rule can be asked anything, and trees that have seen how it
    answers between customers know it better than from customers alone.

    Hybrids belong to a number, 0 to `rows` - 1, and draw two of the rows: by place on a circle on which every row (`ids`, without them
    the index of x) stands at POINTS places. So one row more or fewer changes only the hybrids that it is part of.
    """
    values, number = x.to_numpy(float), np.arange(rows)
    places = draws.uniform(seed, "places of rows", x.index if ids is None else ids, n=POINTS).ravel()
    along = np.argsort(places, kind="stable")
    pair = draws.uniform(seed, "rows of a hybrid", number, n=2)
    own, other = (values[along[np.searchsorted(places[along], at) % len(along)] // POINTS] for at in pair.T)
    return pd.DataFrame(
        np.where(draws.uniform(seed, "features mixed", number, n=x.shape[1]) < mixed, other, own), columns=list(x)
    )


def distil(rule: Rupees, x: pd.DataFrame, seed: int, rows: int = HYBRIDS, ids: Any = None) -> lgb.Booster:
    """Boosted trees of 15 leaves that stand for a rule, fitted to its answers on x and on `hybrids` of x."""
    whole = pd.concat([x, hybrids(x, rows, seed, ids)], ignore_index=True)
    return boosted(whole, rule(whole), seed)


def boosted(x: pd.DataFrame, target: np.ndarray, seed: int) -> lgb.Booster:
    """The same trees fitted to any target [row], such as the true profit where it is known."""
    return lgb.train(SETTINGS | {"seed": seed}, lgb.Dataset(x, target), ROUNDS)


def one_tree(rule: Rupees, x: pd.DataFrame, seed: int, leaves: int = 16) -> DecisionTreeRegressor:
    """One tree that a person can read, fitted to the rule's answers on x."""
    return DecisionTreeRegressor(max_leaf_nodes=leaves, min_samples_leaf=20, random_state=seed).fit(x, rule(x))


def fidelity(own: np.ndarray, said: np.ndarray) -> Fidelity:
    """How well trees (`said` [row]) stand for a rule (`own` [row]), on rows they have not seen: rupees, and whether they exceed nothing.
    Raises ValueError for fewer than 30 rows: too few to judge."""
    if len(own) < 30:
        raise ValueError(f"{len(own)} rows held out are too few to judge a distilled rule by: at least 30")
    spread = float(((own - own.mean()) ** 2).sum())
    r2 = 1 - float(((own - said) ** 2).sum()) / spread if spread > 0 else 0.0
    return Fidelity(r2, float(((own > 0) == (said > 0)).mean()), len(own))


def of_trees(trees: lgb.Booster, x: pd.DataFrame, background: pd.DataFrame | None = None) -> Attributions:
    """Exact Shapley values of boosted trees: interventional beside a background, by shap; without one by how many rows of the training
    took each branch, by LightGBM, which approximates observational values (Lundberg et al. 2020). A classifier's are in log odds.
    Raises ValueError where they miss the prediction."""
    if background is None:
        each = np.asarray(trees.predict(x, pred_contrib=True))
        added, base = each[:, :-1], each[0, -1]
    else:
        explainer = shap.TreeExplainer(trees, background, feature_perturbation="interventional")
        added, base = np.asarray(explainer.shap_values(x)), float(np.ravel(explainer.expected_value)[0])
    found = Attributions(np.array([base]), added[..., None], np.asarray(trees.predict(x, raw_score=True))[:, None], x, tuple(x))
    if not found.gap() <= EXACT:
        raise ValueError(f"base and values miss the prediction by {found.gap():.2g} of its spread (at most {EXACT:g} may be)")
    return found
