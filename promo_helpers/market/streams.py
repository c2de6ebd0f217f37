"""Random streams: one for each (seed, table, block of customers), so that no table and no block disturbs another."""

import zlib
from collections.abc import Iterator

import numpy as np

BLOCK = 4096  # customers: a row group of some hundred thousand lines, small enough to bound memory, large enough for speed


def stream(seed: int, table: str, block: int = 0) -> np.random.Generator:
    """The generator of one table and block. Raises ValueError where `seed` is missing or not a whole number >= 0."""
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
        raise ValueError(f"seed = {seed!r}: a market needs a seed, a whole number of at least 0")
    key = np.random.SeedSequence([int(seed), zlib.crc32(table.encode()), block])
    return np.random.Generator(np.random.PCG64DXSM(key))


def blocks(customers: int) -> Iterator[tuple[int, int, int]]:
    """(block, first customer, one past the last) of every block."""
    for block in range(-(-customers // BLOCK)):
        yield block, block * BLOCK, min((block + 1) * BLOCK, customers)
