"""The omniscient oracle: the best arm for each decision, and the best use of a budget."""

import numpy as np


def best(gain: np.ndarray) -> np.ndarray:
    """Arm of largest true gain per row of `gain` [decision, arm] in LKR; none where nothing gains."""
    return np.asarray(np.argmax(gain, axis=1))


def within(gain: np.ndarray, spend: np.ndarray, budget: float, rounds: int = 60) -> tuple[np.ndarray, float]:
    """Arms that earn most at an expected spend of at most `budget` LKR, and the shadow price (LKR gained by one more LKR).

    Multiple-choice knapsack by its Lagrangian: arm = argmax(gain - price x spend), the price found by bisection. The gap to the
    optimum is at most the gain of one decision. `gain` and `spend` are [decision, arm], column 0 is none with both 0.
    Raises ValueError for a budget below 0 or a spend below 0.
    """
    if budget < 0 or not np.isfinite(budget):
        raise ValueError(f"budget = {budget!r}: must be a finite number of at least 0")
    if gain.shape != spend.shape or (spend < 0).any():
        raise ValueError("spend must have the shape of gain and be at least 0")
    rows = np.arange(len(gain))
    chosen = best(gain)
    if spend[rows, chosen].sum() <= budget:
        return chosen, 0.0
    low, high = 0.0, 1.0
    while spend[rows, np.argmax(gain - high * spend, axis=1)].sum() > budget and high < 1e12:
        high *= 2
    for _ in range(rounds):
        price = (low + high) / 2
        if spend[rows, np.argmax(gain - price * spend, axis=1)].sum() > budget:
            low = price
        else:
            high = price
    chosen = np.argmax(gain - high * spend, axis=1)
    if spend[rows, chosen].sum() > budget:  # only where contacts are free of charge and nothing else fits
        chosen = np.zeros(len(gain), dtype=int)
    return chosen, high
