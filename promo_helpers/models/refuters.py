"""DoWhy's refuters, each with the question whether it raised an alarm. What an alarm is worth, only repetition can tell."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pandas as pd

from promo_helpers import draws
from promo_helpers.models.effect_design import Design

SIMULATIONS = 12
FLIPPED, MOVED = (
    0.05,
    0.1,
)  # strength of the simulated cause: offers that it flips, standard deviations by which it moves the outcome
REFUTERS = {
    "placebo": "an offer drawn anew seems to have an effect (p < .05)",
    "placebo, weighting": "the same, where the estimate is by weighting",
    "random common cause": "a column of noise moves the estimate (p < .05)",
    "subset": "four fifths of the rows, drawn anew each time, give another estimate (p < .05)",
    "subset, whole seed": "the same, where the seed is a whole number",
    "unobserved common cause": f"a cause that flips {FLIPPED:.0%} of the offers turns the sign",
    "E-value": "a cause as strong as the strongest known one would bring the interval to nothing",
}


def refute(design: Design, y: np.ndarray, seed: int, simulations: int = SIMULATIONS) -> pd.DataFrame:
    """One row per entry of REFUTERS: refuter, estimate, refuted (the estimate under it), alarm.

    The estimate is DoWhy's regression on the offer and all covariates, but for "placebo, weighting". Two combinations are known
    to mislead and are there to be seen: under weighting the placebo is given the chances of the true offer (DoWhy issue 1728), and
    a subset with a whole number as its seed is the same subset each time. For the E-value, estimate and refuted are those of the limit of
    the interval and of the strongest covariate (1 where the interval has nothing in it, and then no alarm).
    """
    from dowhy import CausalModel

    logging.getLogger("dowhy").setLevel(logging.ERROR)
    names = [f"x{k}" for k in range(design.x.shape[1])]
    frame = pd.DataFrame(design.x, columns=names).assign(offer=design.offered.astype(int), y=y)
    everywhere = draws.number(seed, "refuters")
    with warnings.catch_warnings(), _seeded(everywhere):  # of NumPy, pandas and statsmodels, about DoWhy's calls of them
        warnings.simplefilter("ignore")
        model = CausalModel(frame, "offer", "y", common_causes=names)
        estimand = model.identify_effect(proceed_when_unidentifiable=True)
        line = model.estimate_effect(estimand, method_name="backdoor.linear_regression")
        weighted = model.estimate_effect(estimand, method_name="backdoor.propensity_score_weighting")

        def ask(name: str, of: Any, **settings: Any) -> Any:
            return model.refute_estimate(estimand, of, method_name=name, **settings)

        def state(refuter: str) -> np.random.RandomState:
            return np.random.RandomState(draws.number(seed, f"refuter: {refuter}"))

        drawn: dict[str, Any] = {"num_simulations": simulations}
        rows = []
        for name, of, kind, settings in (
            ("placebo", line, "placebo_treatment_refuter", {"placebo_type": "permute", "random_state": state("placebo")}),
            (
                "placebo, weighting",
                weighted,
                "placebo_treatment_refuter",
                {"placebo_type": "permute", "random_state": state("placebo, weighting")},
            ),
            ("random common cause", line, "random_common_cause", {"random_state": state("random common cause")}),
            ("subset", line, "data_subset_refuter", {"subset_fraction": 0.8, "random_state": state("subset")}),
            ("subset, whole seed", line, "data_subset_refuter", {"subset_fraction": 0.8, "random_state": 1}),
        ):
            same = {"num_simulations": 3} if name == "subset, whole seed" else {}  # they are all alike
            said = ask(kind, of, **drawn | same, **settings)
            rows.append((name, of.value, said.new_effect, bool(said.refutation_result["is_statistically_significant"])))
        said = ask(
            "add_unobserved_common_cause", line, simulation_method="direct-simulation", confounders_effect_on_treatment="binary_flip",
            confounders_effect_on_outcome="linear", effect_strength_on_treatment=FLIPPED, effect_strength_on_outcome=MOVED * y.std(),
            plotmethod=None,
        )  # fmt: skip
        rows.append(("unobserved common cause", line.value, float(said.new_effect), bool(said.new_effect * line.value <= 0)))
        limit, strongest = _e_value(ask("add_unobserved_common_cause", line, simulation_method="e-value", plot_estimate=False))
        rows.append(("E-value", limit, strongest, limit > 1 and limit < strongest))
    return pd.DataFrame(rows, columns=["refuter", "estimate", "refuted", "alarm"])


def _e_value(said: Any) -> tuple[float, float]:
    """E-value of the interval's limit nearer to nothing, and that of the strongest known covariate (VanderWeele and Ding 2017)."""
    limits = [said.stats[f"evalue_{end}_ci"] for end in ("lower", "upper")]
    limit = min(float(v) for v in limits if v is not None)
    table = said.benchmarking_results
    return limit, float(table["observed_covariate_e_value"].max()) if table is not None else 1.0


@contextmanager
def _seeded(number: int) -> Iterator[None]:
    """Some of DoWhy's refuters draw from NumPy's global state: it is set for them, and put back."""
    before = np.random.get_state()  # noqa: NPY002
    np.random.seed(number)  # noqa: NPY002
    try:
        yield
    finally:
        np.random.set_state(before)  # noqa: NPY002
