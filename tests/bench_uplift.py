"""Seconds and error of the learners of an effect on the same contacts: called by tests/bench.py, a process per row."""

import pickle
from pathlib import Path

import numpy as np

from promo_helpers.experiment.contacts import Costs
from promo_helpers.models.learners import LEARNERS
from promo_helpers.studies.markets import trial_market


def prepare(folder: Path, learners: int = 68_000) -> None:
    """200,000 contacts to learn from, and the truth of 15,000 others, beside this process only: no file of it is kept."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "trial.pkl").write_bytes(pickle.dumps(trial_market("default", 1, learners, 5_000), protocol=5))


def fit(folder: Path, name: str, contacts: int) -> None:
    """Fit one learner, and say how far its effect of 15 % off is from the truth, and what its policy earns."""
    trial, apart = pickle.loads((folder / "trial.pkl").read_bytes())
    place = np.random.default_rng(1).permutation(len(trial))[:contacts]
    effect = LEARNERS[name](trial.only(np.sort(place)), "profit", Costs(), 1).effects(apart.experiment.features)
    a, rows = trial.arms.index("15"), np.arange(len(apart.gain))
    error = np.sqrt(((effect[:, a] - apart.gain[:, a]) ** 2).mean())
    value = apart.gain[rows, effect.argmax(axis=1)].mean()
    print(f"  {name}, {contacts:,} contacts: error {error:.1f}, value {value:.2f} a decision", flush=True)
