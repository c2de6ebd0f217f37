"""Seconds of draws keyed by entity beside those of a generator that walks over rows: called by tests/bench.py."""

import time
from collections.abc import Callable

import numpy as np
import pandas as pd

from promo_helpers import draws


def seconds(made: Callable[[], object], repeats: int = 5) -> float:
    """The least CPU seconds of some runs, after one that compiles."""
    made()
    taken = []
    for _ in range(repeats):
        start = time.process_time()
        made()
        taken.append(time.process_time() - start)
    return min(taken)


def run(rows: int) -> None:
    """Print, for numbers as ids and for text: what one draw, eight draws, folds, half-samples and a bootstrap cost of each kind."""
    number = np.arange(rows)
    name = np.array([f"C{k:07d}" for k in number], object)
    few = rows // 50
    half = (np.arange(few) < few // 2).astype(float)
    rng = np.random.default_rng(1)
    for kind, ids in (("numbers", number), ("text", name)):
        pairs = {
            "uniform": (lambda ids=ids: draws.uniform(1, "bench", ids), lambda: rng.random(rows)),
            "eight uniforms": (lambda ids=ids: draws.uniform(1, "bench", ids, n=8), lambda: rng.random((rows, 8))),
            "normal": (lambda ids=ids: draws.normal(1, "bench", ids), lambda: rng.standard_normal(rows)),
            "folds": (
                lambda ids=ids: draws.folds(1, "bench", ids, number=5),
                lambda ids=ids: (lambda code, people: (rng.permutation(len(people)) % 5)[code])(*pd.factorize(ids)),
            ),
            "200 half-samples": (
                lambda ids=ids: draws.halves(1, "bench", ids[:few], n=200).astype(float),
                lambda: rng.permuted(np.tile(half, (200, 1)), axis=1),
            ),
            "200 bootstrap weights": (
                lambda ids=ids: draws.bootstrap(1, "bench", ids[:few], n=200),
                lambda: rng.multinomial(few, np.full(few, 1 / few), 200).astype(float),
            ),
        }
        for what, (keyed, walk) in pairs.items():
            one, other = seconds(keyed), seconds(walk)
            print(f"  {what}, {kind}: {one:.3f} s, walking {other:.3f} s, {one / other:.2f} x", flush=True)
