"""Gradient-boosted trees: LightGBM on one thread, with the same digits on every run.

LightGBM keeps its number of threads in one variable of the process, which every call sets (its issue 4705): a training with one thread dies
where a prediction in another Python thread, which names no number, sets it to two meanwhile. Models are fitted side by side here, each
with one thread; so from the import of this module on, one is the most that any call gets. Whatever fits, reads or holds boosted trees
takes them from here, and so has the cap: no other module below the package's own does anything when it is imported.
"""

from typing import Any

import lightgbm as lgb
import numpy as np
import pandas as pd
from lightgbm import Booster
from lightgbm.basic import _LIB, _safe_call

__all__ = ["Booster", "binned", "boosted", "regressor"]

_safe_call(_LIB.LGBM_SetMaxThreads(1))  # has no other name in the Python package

SAME: dict[str, Any] = {"deterministic": True, "force_row_wise": True, "verbose": -1}  # sums in one order, wherever they are made


def boosted(
    x: pd.DataFrame | np.ndarray | lgb.Dataset,
    y: np.ndarray,
    seed: int,
    rounds: int,
    *,
    weight: np.ndarray | None = None,
    names: Any = "auto",
    **changes: Any,
) -> Booster:
    """Trees fitted to y [row] on x [row, feature] in so many rounds; the same seed gives the same trees.

    x: a table, or what `binned` made of one. weight: [row]. names: of the features, where x has none. changes: LightGBM's parameters
    beyond SAME, such as objective and num_leaves.
    """
    if isinstance(x, lgb.Dataset):
        data = x.set_label(np.ascontiguousarray(y, dtype=np.float32))
    else:
        data = lgb.Dataset(x, y, weight=weight, feature_name=names)
    return lgb.train(SAME | {"num_threads": 1, "seed": seed} | changes, data, rounds)


def binned(x: pd.DataFrame | np.ndarray, **changes: Any) -> lgb.Dataset:
    """The table cut into bins, once for several targets; `changes` such as max_bin must be those of the fits."""
    return lgb.Dataset(x, free_raw_data=False, params={"verbose": -1} | changes).construct()


def regressor(seed: int, **changes: Any) -> lgb.LGBMRegressor:
    """The same trees as an estimator of scikit-learn's kind, not fitted, for libraries that fit it themselves."""
    return lgb.LGBMRegressor(**SAME, n_jobs=1, random_state=seed, **changes)
