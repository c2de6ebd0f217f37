"""Models that learn from a shop. None of them may import the market: a test holds that.

LightGBM keeps its number of threads in one variable of the process, which every call sets (its issue 4705): a training with one thread dies
where a prediction in another Python thread, which names no number, sets it to two meanwhile. Models are fitted side by side here, each
with one thread; so from the import of this package on, one is the most that any call gets.
"""

from lightgbm.basic import _LIB, _safe_call

_safe_call(_LIB.LGBM_SetMaxThreads(1))  # has no other name in the Python package
