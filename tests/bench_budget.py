"""Seconds, and the gap to the bound, of allocations under one limit and several: called by tests/bench.py, a process per row."""

import time
from dataclasses import replace

import numpy as np

from promo_helpers.decide.allocate import Limits, Parity, allocate, share_cap


def made(rows: int) -> tuple[np.ndarray, np.ndarray]:
    """[row, arm] gain and spend of six discounts, which spend ever more."""
    rng = np.random.default_rng(1)
    spend = np.cumsum(rng.gamma(1, 20, (rows, 6)), axis=1)
    gain = rng.normal(10, 40, (rows, 6)) + 0.5 * spend**0.8
    return np.hstack([np.zeros((rows, 1)), gain]), np.hstack([np.zeros((rows, 1)), spend])


def run(rows: int, limits: int, parity: bool = False) -> None:
    """Allocate under a budget; with 2 limits a number of contacts, too, with 12 also a share of each of ten cities and one a customer.

    parity: also shares of four groups within 5 points.
    """
    gain, spend = made(rows)
    wanted = Limits(10.0 * rows, rows // 5 if limits > 1 else None)
    customer = np.arange(rows) // 2
    if limits > 2:
        wanted = replace(wanted, caps=[share_cap("city", np.arange(rows) % 10, 0.19, 7)], per_customer=1)
    group = np.minimum(np.arange(rows) * 7919 % 10, 3)
    if parity:
        gain[group == 3, 1:] += 5
        wanted = replace(wanted, parity=Parity(group, 0.05))
    few = Limits(1000.0, 10 if limits > 1 else None, parity=Parity(group[:100], 0.05) if parity else None)
    allocate(gain[:100], spend[:100], few)  # compiles
    start, cpu = time.perf_counter(), time.process_time()
    found = allocate(gain, spend, wanted, customer=customer if limits > 2 else None)
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    binding = int((found.caps["price"] > 0).sum())
    gap = 100 * found.gap / found.bound
    print(f"  {seconds:.2f} s without the start ({cpu:.2f} of the processor); {binding} limits bind; gap {gap:.7f} %", flush=True)
