"""Markets made for a study: a trial with its features, and the truth of some of its contacts; many at a time, on two processes."""

import os
import tempfile
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from promo_helpers.experiment import Experiment
from promo_helpers.experiment.contacts import contact_experiment
from promo_helpers.market import simulate
from promo_helpers.market.parameters import parameters

PROCESSES = 2


@dataclass(frozen=True)
class Scored:
    """An experiment beside its truth: gain, spend [row, arm], and the part of the gain that comes from the rest of the basket [row]."""

    experiment: Experiment
    gain: np.ndarray
    spend: np.ndarray
    elsewhere: np.ndarray


def trial_market(
    preset: str, seed: int, learners: int, judged: int, cost: float = 1.5, **changes: Any
) -> tuple[Experiment, Scored]:
    """The trial of a market of `learners` + `judged` customers: the contacts of the first to learn from, those of the others scored."""
    with tempfile.TemporaryDirectory(prefix="promo-study-") as scratch:
        p = parameters("paper", preset, customers=learners + judged, **changes)
        shop, truth = simulate(p, seed, Path(scratch) / "shop", Path(scratch) / "truth", workers=1)
        trial = contact_experiment(shop, "trial", cost)
        contacts = shop.frame("contacts", ["contact_id", "customer_id", "product_id", "time"]).set_index("contact_id")
        late = truth.customer_number(trial.customer) >= learners
        apart = trial.only(late)
        expected = truth.expected(contacts.loc[apart.contact_id].reset_index(drop=True))
        scored = Scored(
            apart,
            expected["gain"].astype(np.float32),
            expected["spend"].astype(np.float32),
            expected["rest_of_basket"][:, 1].astype(np.float32),
        )
    return trial.only(~late), scored


def run_cases(task: Callable[[Any], Any], cases: Iterable[Any], what: str, processes: int = PROCESSES) -> list[Any]:
    """The task of every case, in order, on two processes with one thread each, with progress; here, where one is all that is needed."""
    todo = list(cases)
    if min(len(todo), processes) == 1:
        return [task(case) for case in todo]
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[name] = "1"  # two processes of two threads on two cores wait for each other
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        return list(tqdm(pool.map(task, todo), total=len(todo), desc=what))
