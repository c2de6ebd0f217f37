"""Which recommender, with which settings: each learns before a date and is judged by what is bought from that date on.

The protocol is that of `evaluate.recommendation`.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from scipy import sparse

from promo_helpers.evaluate import recommendation
from promo_helpers.features.purchases import Purchases
from promo_helpers.models import recommend
from promo_helpers.models.recommend import Settings

Choice = Mapping[str, Mapping[str, Settings]]  # method -> scope (repeat, new) -> settings


def on_date(
    purchases: Purchases,
    who: np.ndarray,
    day: int,
    choice: Choice,
    seed: int,
    k: int = 10,
    days: int = 14,
    given: Mapping[str, np.ndarray] | None = None,
    scopes: Sequence[str] = recommendation.SCOPES,
) -> pd.DataFrame:
    """Every method learns before `day` and is judged on the customers `who`: tidy method, scope, metric, value.

    `choice`: label -> scope (repeat, new) -> settings with the name of their "method". Lists of new items use the settings for "new",
    all others those for "repeat". `given` are further scores [customer, item], such as those of the truth. `scopes` are those asked for.
    """
    histories: dict[float, sparse.csr_matrix] = {0.0: recommend.history(purchases, day)}
    before = histories[0.0][who].toarray() > 0
    window = purchases.counts(day, day + days)[who].toarray() > 0
    every = np.ones_like(before)
    asked = {"repeat": (before, window), "new": (~before, window), "all": (every, window)}
    asked["basket"] = (every, recommendation.next_baskets(purchases, who, day, day + days))
    rows = []
    for label in (*choice, *(given or {})):
        scored: dict[str, np.ndarray] = {}
        for scope, (allowed, bought) in ((scope, asked[scope]) for scope in scopes):
            settings = dict(choice[label]["new" if scope == "new" else "repeat"]) if label in choice else {}
            key = str(settings)
            if key not in scored and label in choice:
                method, half_life = settings.pop("method"), settings.pop("half_life", 0.0)
                if half_life not in histories:
                    histories[half_life] = recommend.history(purchases, day, half_life)
                scored[key] = recommend.fit(method, histories[half_life], seed, **settings).scores(who)
            scores = scored[key] if label in choice else (given or {})[label]
            found = recommendation.list_scores(scores, bought, k, seed, purchases.items, allowed, f"{label}, {scope}, {day}")
            rows += [(label, scope, metric, value) for metric, value in found.items()]
    return pd.DataFrame(rows, columns=["method", "scope", "metric", "value"])


def tuned(
    purchases: Purchases, who: np.ndarray, day: int, grids: Mapping[str, Sequence[Settings]], seed: int, k: int = 10, days: int = 14
) -> tuple[pd.DataFrame, dict[str, dict[str, Settings]]]:  # fmt: skip
    """Every setting of every method's grid on one date: a tidy table (method, settings, scope, recall, ndcg), and the best by NDCG.

    The choice is what `on_date` takes. The first of equals is taken.
    """
    tried = {f"{method}|{i}": {"method": method, **grid} for method, of in grids.items() for i, grid in enumerate(of)}
    found = on_date(
        purchases, who, day, {key: {"repeat": s, "new": s} for key, s in tried.items()}, seed, k, days, scopes=("repeat", "new")
    )
    table = found.pivot(index=["method", "scope"], columns="metric", values="value")
    table = table.loc[[(key, scope) for key in tried for scope in ("repeat", "new")], ["recall", "ndcg"]].reset_index()
    keys = table.pop("method")
    table.insert(0, "method", [tried[key]["method"] for key in keys])
    table.insert(1, "settings", [described(tried[key]) for key in keys])
    choice: dict[str, dict[str, Settings]] = {}
    for method, grid in grids.items():
        mine = table[table["method"] == method]
        best = {scope: int(np.argmax(mine.loc[mine["scope"] == scope, "ndcg"].fillna(0))) for scope in ("repeat", "new")}
        choice[method] = {scope: tried[f"{method}|{i}"] for scope, i in best.items() if i < len(grid)}
    return table, choice


def described(settings: Settings) -> str:
    """Settings as a person reads them, "factors 8, half life 120"; "-" where there are none."""
    kept = {k: v for k, v in settings.items() if k != "method" and not (k == "half_life" and not v)}
    return ", ".join(f"{k.replace('_', ' ')} {v:g}" if not isinstance(v, str) else f"{k} {v}" for k, v in kept.items()) or "-"
