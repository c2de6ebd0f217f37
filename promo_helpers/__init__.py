"""Helpers for a reproducible study of personalised promotions: every method is a policy, and every policy has a value."""

import os
import sys

__version__ = "0.1.0"


def _one_thread() -> None:
    """Let every sum of linear algebra run on one thread, as the last digits of a result hang on the number of threads.

    This is the one place for it, so that a notebook gives the same digits in JupyterLab as under Make. What is loaded after this import
    reads the environment; NumPy, which a notebook may import first, is told directly.
    """
    for library in ("OPENBLAS", "MKL", "BLIS"):
        os.environ[f"{library}_NUM_THREADS"] = "1"
    os.environ["VECLIB_MAXIMUM_THREADS"] = "1"
    if "numpy" in sys.modules:  # never where Make reads the notebooks, before anything is installed
        from threadpoolctl import threadpool_limits

        threadpool_limits(1, "blas")


_one_thread()
