"""Purchase prediction in many markets: what one shop and its six windows cannot tell is how much the results depend on that shop."""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from promo_helpers import draws
from promo_helpers.evaluate import ranking
from promo_helpers.features.panel import Panel
from promo_helpers.features.purchases import Purchases
from promo_helpers.market import parameters, simulate
from promo_helpers.models import purchase

SEEDS = range(600, 610)  # markets that nothing was tuned on
CASES: dict[str, dict[str, Any]] = {"paper": {"customers": 2_400}, "seed": {}}  # profile -> what differs from it
PAIRS = 60_000


def one_market(profile: str, seed: int) -> pd.DataFrame:
    """Tidy, means over three windows of one market: question, metric, method, value.

    Models learn from one half of the customers and are judged by the other; in the small shop of `seed`, where a half would have half the
    buyers, all customers are in both, and time alone parts them.
    """
    with tempfile.TemporaryDirectory() as folder:
        shop, truth = simulate(parameters(profile, **CASES[profile]), seed, Path(folder) / "shop", Path(folder) / "truth")
        known = Purchases.of(shop)
        fit_days, tune_day, test_days = purchase.schedule(known.days, 3, 3)
        people = known.seen(test_days[-1])
        second = draws.parts(seed, "purchase study", known.customers[people], number=2) == 1
        halves = (people, people) if profile == "seed" else (people[~second], people[second])
        learners, judged = (Panel.of(shop, known, half, np.arange(len(known.items))) for half in halves)
        fit, tune = purchase.sample(learners, fit_days, PAIRS, seed), purchase.sample(learners, [tune_day], PAIRS // 2, seed)
        found = purchase.search(fit, seed)
        model = purchase.PurchaseModel.fit(fit, tune, found[found["chosen"]].set_index("method")["setting"].to_dict(), seed)
        parts = []
        for day in test_days:
            (x, names), bought = judged.features(day), judged.bought(day)
            chances = model.matrices(x)
            chances["Bayes-optimal"] = truth.purchases(known.customers[judged.known(day)], known.moment(day - 1), purchase.WINDOW)
            scores = purchase.baselines(x, names) | chances
            ids = {"customers": known.customers[judged.known(day)], "products": known.items[judged.what]}
            for question in ids:
                turned = {n: s.T if question == "customers" else s for n, s in scores.items()}
                relevant = bought.T if question == "customers" else bought
                part = ranking.per_date(turned, relevant, [10, 100], seed, ids[question], day)
                parts.append(part.assign(question=question))
            parts.append(ranking.pooled(chances, bought).assign(question="pairs"))
    values = pd.concat(parts)
    return values.groupby(["question", "metric", "method"], sort=False)["value"].mean().reset_index()


def replicate(profile: str) -> pd.DataFrame:
    """The kept table of one profile: a column seed, and the rows of `one_market`."""
    return pd.concat([one_market(profile, seed).assign(seed=seed) for seed in SEEDS], ignore_index=True)
