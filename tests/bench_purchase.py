"""How seconds and quality grow with the pairs that a purchase model learns from: called by tests/bench.py, a process per row."""

from pathlib import Path

import numpy as np
from sklearn.metrics import average_precision_score

from promo_helpers.features.panel import Panel
from promo_helpers.features.purchases import Purchases
from promo_helpers.market import parameters, simulate
from promo_helpers.models import purchase

SETTINGS = {
    "logistic regression": {"C": 0.1},
    "random forest": {"min_samples_leaf": 40, "max_features": 0.3},
    "LightGBM": {"num_leaves": 7, "num_rounds": 120},
}
NAMES = ("x", "y", "x_later", "y_later")


def prepare(folder: Path) -> None:
    """Two million pairs of two days, and half a million of a later one to be judged by: 4,000 customers, all products."""
    shop, _ = simulate(parameters("paper", customers=4_500), 1, folder / "shop", folder / "truth")
    purchases = Purchases.of(shop)
    fit_days, tune_day, _ = purchase.schedule(purchases.days, 1, 2)
    panel = Panel.of(shop, purchases, np.arange(4_500), np.arange(250))
    parts = [(panel.features(day)[0], panel.bought(day)) for day in (*fit_days, tune_day)]
    x = np.concatenate([part.reshape(-1, part.shape[2]) for part, _ in parts[:2]])
    y = np.concatenate([bought.ravel() for _, bought in parts[:2]])
    later, bought = parts[2]
    values = (x, y, later.reshape(-1, later.shape[2])[:500_000], bought.ravel()[:500_000])
    for name, value in zip(NAMES, values, strict=True):
        np.save(folder / f"{name}.npy", value)
    (folder / "names.txt").write_text("\n".join(panel.features(tune_day)[1]))


def fit(folder: Path, name: str, pairs: int) -> None:
    """Fit one model on that many pairs drawn at random, and say how well it ranks those of the later day."""
    x, y, later, bought = (np.load(folder / f"{part}.npy", mmap_mode="r") for part in NAMES)
    rows = np.sort(np.random.default_rng(1).permutation(len(y))[:pairs])
    given = purchase.Examples(
        x[rows], y[rows], np.ones(len(rows)), np.zeros(len(rows)), (folder / "names.txt").read_text().split(), rows
    )
    model = purchase.fit_one(name, given, SETTINGS[name], 1)
    score = average_precision_score(bought, purchase.predicted_probability(model, np.asarray(later)))
    print(f"  {name}, {len(rows):,} pairs: average precision {score:.3f} on 500,000 pairs of a later day", flush=True)
