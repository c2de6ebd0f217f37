"""Helpers for a reproducible study of personalised promotions: every method is a policy, and every policy has a value."""

import hashlib
import os
import shutil
import sys
import time
from contextlib import suppress
from pathlib import Path

__version__ = "0.2.0"
DAY = 86_400  # seconds


def _one_thread() -> None:
    """Let every sum of linear algebra run on one thread: its last digits depend on the number of threads.

    This is the one place for it, so that a notebook gives the same digits in JupyterLab as under Make. What is loaded after this import
    reads the environment; NumPy, which a notebook may import first, is told directly.
    """
    for library in ("OPENBLAS", "MKL", "BLIS"):
        os.environ[f"{library}_NUM_THREADS"] = "1"
    os.environ["VECLIB_MAXIMUM_THREADS"] = "1"
    if "numpy" in sys.modules:  # never where Make reads the notebooks, before anything is installed
        from threadpoolctl import threadpool_limits

        threadpool_limits(1, "blas")


def _digest(package: Path) -> str:
    """Changes when a file does that holds compiled functions or may hold a constant of theirs.

    Numba freezes what a function reads of its module, imported constants as well, and those may lie in any of these files.
    """
    files = [
        package / "draws.py",
        *sorted(package.glob("market/*.py")),
        *sorted(package.glob("decide/*.py")),
    ]
    hashed = hashlib.sha256()
    for file in files:
        if file.is_file():
            hashed.update(file.read_bytes())
    return hashed.hexdigest()[:12]


def _compiled() -> None:
    """Let Numba keep what it compiled in a folder named for all the code that it compiles.

    By itself it looks for changes in the file of a function only: customers would go on living by an earlier law, which lies in another.
    Folders of other code go when nobody has started with them for a day: an open notebook may still read its own.
    """
    kept = Path(__file__).parent / "__pycache__"
    folder = kept / f"numba-{_digest(Path(__file__).parent)}"
    try:
        if not folder.is_dir():
            for old in kept.glob("numba-*"):
                with suppress(FileNotFoundError):  # another process that starts now has removed it
                    if old.stat().st_mtime < time.time() - DAY:
                        shutil.rmtree(old, ignore_errors=True)
            folder.mkdir(parents=True, exist_ok=True)
        os.utime(folder)
    except OSError:  # a package that nobody may write to
        return
    os.environ["NUMBA_CACHE_DIR"] = str(folder)
    if "numba" in sys.modules:
        sys.modules["numba"].config.CACHE_DIR = str(folder)


_one_thread()
_compiled()
