"""Numbers that differ only by how a processor rounds count as equal, before anything is sorted by them or the largest is chosen.

Another processor's linear algebra gives other last digits. Where a discrete step hangs on them (who is within a budget, which of two
models is better), a customer would be in the list here and not there, though nothing tells the two cases apart.
"""

import numpy as np

DROPPED = np.int64(22)  # binary digits of the 52 of a double: 30 are kept, which are nine decimal ones
HALF, KEPT = np.int64(1) << (DROPPED - 1), ~((np.int64(1) << DROPPED) - 1)


def rounded(numbers: np.ndarray) -> np.ndarray:
    """The numbers to nine significant digits (30 binary ones, relative change at most 2^-31), in the same order but for new ties.

    Break the ties by an id or by the place of the row (a stable sort, the first of the largest). Infinite and missing numbers stay.
    """
    values = np.array(numbers, float)  # a copy of its own
    bits = values.view(np.int64) if values.ndim else values.reshape(1).view(np.int64)
    bits += HALF
    bits &= KEPT
    return np.where(np.isnan(numbers), np.nan, values) if np.isnan(values).any() else values
