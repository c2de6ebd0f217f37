"""Purchase prediction in many markets: what one shop and its six windows cannot tell is how much the results depend on that shop."""

import tempfile
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from promo_helpers import draws
from promo_helpers.evaluate import ranking
from promo_helpers.features.panel import Panel
from promo_helpers.features.purchases import Purchases
from promo_helpers.market import parameters, simulate
from promo_helpers.models import purchase
from promo_helpers.studies.markets import run_cases

SEEDS = tuple(range(600, 610))  # markets that nothing was tuned on


@dataclass(frozen=True)
class PurchaseCase:
    """Markets of a profile: customers of each, seeds, pairs of customer and product to learn from, and whether customers are `halved`
    into those learnt from and those judged."""

    profile: str
    customers: int
    seeds: tuple[int, ...] = SEEDS
    pairs: int = 60_000
    halved: bool = True


CASES = {
    "paper": PurchaseCase("paper", 2_400),
    "seed": PurchaseCase("seed", 1_000, halved=False),  # half of so small a shop would have half the buyers
    "probe": PurchaseCase("smoke", 100, (600,), 3_000),
}


def one_market(case: PurchaseCase, seed: int) -> pd.DataFrame:
    """Tidy, means over three windows of one market: question, metric, method, value.

    Models learn from one half of the customers and are judged by the other; where they are not halved, time alone parts the two.
    """
    with tempfile.TemporaryDirectory() as folder:
        shop, truth = simulate(
            parameters(case.profile, customers=case.customers), seed, Path(folder) / "shop", Path(folder) / "truth", workers=1
        )
        known = Purchases.of(shop)
        fit_days, tune_day, test_days = purchase.schedule(known.days, 3, 3)
        people = known.seen(test_days[-1])
        second = draws.parts(seed, "purchase study", known.customers[people], number=2) == 1
        halves = (people[~second], people[second]) if case.halved else (people, people)
        learners, judged = (Panel.of(shop, known, half, np.arange(len(known.items))) for half in halves)
        fit = purchase.sample(learners, fit_days, case.pairs, seed)
        tune = purchase.sample(learners, [tune_day], case.pairs // 2, seed)
        found = purchase.search_purchase_settings(fit, seed)
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


def purchase_rows(case: str) -> pd.DataFrame:
    """The kept rows of a case: those of `one_market`, and a column seed."""
    c = CASES[case]
    tables = run_cases(partial(one_market, c), c.seeds, case)
    return pd.concat([t.assign(seed=seed) for t, seed in zip(tables, c.seeds, strict=True)], ignore_index=True)


ASKED = (("customers", "precision@100"), ("customers", "recall@100"), ("customers", "auc"), ("products", "ndcg@10"))
SHOWN = ("Bayes-optimal", "ensemble", "own habit", "personal frequency")


def over_markets(study: pd.DataFrame, method: str = "ensemble", against: str = "own habit") -> pd.DataFrame:
    """One row per profile, question and metric: means of the methods, and of `method`, each with low and high:
    its level, its share of Bayes-optimal (a ratio of means over markets), and its gain over `against` (paired by market)."""
    rows = []
    for profile, part in study.groupby("case"):
        by = ["question", "metric"]
        frames = {
            "level": ranking.over_dates(part, [*by, "method"]).rename(columns={"mean": "value"}),
            "share": ranking.share_of(part, "Bayes-optimal", by, unit="seed").rename(columns={"share": "value"}),
            "gain": ranking.paired_differences(part.rename(columns={"seed": "date"}), against, by).rename(
                columns={"mean": "value"}
            ),
        }
        frames = {name: frame.set_index([*by, "method"]) for name, frame in frames.items()}
        for key in ASKED:
            row = {"profile": profile, "ranked": key[0], "metric": key[1]}
            row |= {shown: frames["level"].loc[(*key, shown), "value"] for shown in SHOWN}
            for name, frame in frames.items():
                row |= {
                    f"{name}_{end}".removesuffix("_value"): frame.loc[(*key, method), end] for end in ("value", "low", "high")
                }
            best = frames["level"].loc[(*key, "Bayes-optimal")]
            rows.append(row | {"best_low": best["low"], "best_high": best["high"]})
    return pd.DataFrame(rows)
