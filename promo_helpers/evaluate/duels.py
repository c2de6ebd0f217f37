"""Does a metric see a good score as better than a random one? Small trials in which the answer is known."""

import numpy as np
import pandas as pd
from scipy.special import expit
from statsmodels.stats.proportion import proportion_confint

from promo_helpers import draws as keyed
from promo_helpers.evaluate.referee import WEIGHS, referee


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


def lost(results: pd.DataFrame, level: float = 0.95) -> pd.DataFrame:
    """In what share of the duels the random score tied or beat the good one: definition, share, low, high (Wilson), draws."""
    known = results.dropna()
    table = (known["random"] >= known["good"]).groupby(known["definition"], sort=False).agg(["sum", "size"])
    low, high = proportion_confint(table["sum"], table["size"], 1 - level, method="wilson")
    out = {"definition": table.index, "share": table["sum"] / table["size"], "low": low, "high": high, "draws": table["size"]}
    return pd.DataFrame(out).reset_index(drop=True)
