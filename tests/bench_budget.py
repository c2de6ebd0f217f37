"""Seconds, and the gap to the bound, of allocations under one limit and several: called by tests/bench.py, a process per row."""

import time

import numpy as np

from promo_helpers.decide.allocate import allocate, share_cap


def made(rows: int) -> tuple[np.ndarray, np.ndarray]:
    """[row, arm] gain and spend of six discounts, which spend ever more."""
    rng = np.random.default_rng(1)
    spend = np.cumsum(rng.gamma(1, 20, (rows, 6)), axis=1)
    gain = rng.normal(10, 40, (rows, 6)) + 0.5 * spend**0.8
    return np.hstack([np.zeros((rows, 1)), gain]), np.hstack([np.zeros((rows, 1)), spend])


def run(rows: int, limits: int) -> None:
    """Allocate under a budget; with 2 limits a number of contacts, too, with 12 also a share of each of ten cities and one a customer."""
    gain, spend = made(rows)
    more: dict = {"contacts": rows // 5} if limits > 1 else {}
    if limits > 2:
        more["caps"] = [share_cap("city", np.arange(rows) % 10, 0.19, 7)]
        more["customer"], more["per_customer"] = np.arange(rows) // 2, 1
    allocate(gain[:100], spend[:100], 1000.0, **{"contacts": 10} if limits > 1 else {})  # compiles
    start = time.perf_counter()
    found = allocate(gain, spend, 10.0 * rows, **more)
    binding = int((found.caps["price"] > 0).sum())
    seconds = time.perf_counter() - start
    print(f"  {seconds:.2f} s without the start; {binding} limits bind; gap {100 * found.gap / found.bound:.7f} %", flush=True)
