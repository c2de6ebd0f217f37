"""The point estimates of DoWhy's own estimators, to stand beside ours: its intervals are left out, since they ignore customers."""

import logging
import warnings
from typing import Any

import numpy as np
import pandas as pd

from promo_helpers.models.effect_design import Design, chance_model

NAMED = {
    "regression": "linear_regression",
    "weighting": "propensity_score_weighting",
    "matching": "propensity_score_matching",
    "stratification": "propensity_score_stratification",
    "doubly robust": "doubly_robust",
}


def dowhy_points(design: Design, y: np.ndarray) -> dict[str, float]:
    """Our method's name -> the effect by DoWhy's estimator of that name, all covariates as common causes, its defaults else.

    They differ from ours by design: its regression has no interactions (so that it does not estimate an average over all rows),
    its matching takes one neighbour, its weighting cuts chances at .05, and its doubly robust estimate has no folds.
    """
    from dowhy import CausalModel

    logging.getLogger("dowhy").setLevel(logging.ERROR)
    names = [f"x{k}" for k in range(design.x.shape[1])]
    frame = pd.DataFrame(design.x, columns=names).assign(offer=design.offered.astype(int), y=y)
    found = {}
    with warnings.catch_warnings():  # of pandas and statsmodels, about DoWhy's calls of them
        warnings.simplefilter("ignore")
        for ours, theirs in NAMED.items():
            # a model each: it writes the chances that one estimator found into the data, and the next takes them for its own
            model = CausalModel(frame.copy(), "offer", "y", common_causes=names)
            estimand = model.identify_effect(proceed_when_unidentifiable=True)
            settings: dict[str, Any] = {} if ours == "regression" else {"propensity_score_model": chance_model()}
            said = model.estimate_effect(estimand, method_name=f"backdoor.{theirs}", method_params={"init_params": settings})
            found[ours] = float(said.value)
    return found
