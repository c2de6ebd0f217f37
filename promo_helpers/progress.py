"""How far a run is: on a terminal one line that lives, elsewhere (a log, or beside other runs of `make -j`) a line every half a minute."""

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from papermill.engines import NBClientEngine, papermill_engines

EVERY = 30.0  # seconds between two lines of a log
SECOND = 1.0  # and between two states of a line that lives
ENGINE = "counted"


class Counted(NBClientEngine):
    """Papermill's own engine, with the progress of the run `promo_run` shown while it executes."""

    @classmethod
    def execute_managed_notebook(cls, nb_man: Any, kernel_name: str, promo_run: str = "", **options: Any) -> Any:
        with shown(promo_run, lambda: _cells(nb_man.nb.cells)):
            return super().execute_managed_notebook(nb_man, kernel_name, **options)


papermill_engines.register(ENGINE, Counted)


def _cells(cells: list[Any]) -> tuple[int, int]:
    """How many cells of code are done, and how many there are."""
    code = [c for c in cells if c.cell_type == "code"]
    return sum(c.metadata.get("papermill", {}).get("status") == "completed" for c in code), len(code)


@contextmanager
def shown(run: str, cells: Callable[[], tuple[int, int]]) -> Iterator[None]:
    """Show the progress of a run while the block lasts; what lives on a terminal vanishes behind it."""
    living, over, start = _alone_on_a_terminal(), threading.Event(), time.monotonic()

    def watch() -> None:
        while not over.wait(SECOND if living else EVERY):
            done, all_of_them = cells()
            said = f"  {run}: {done}/{all_of_them} cells, {time.monotonic() - start:.0f} s"
            print(f"\r\033[K{said}" if living else said, end="" if living else "\n", flush=True)

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join()
        if living:
            print("\r\033[K", end="", flush=True)


def _alone_on_a_terminal() -> bool:
    """Whether a line may be written over: nobody else writes to this terminal, as another run of `make -j` does."""
    return sys.stdout.isatty() and "--jobserver" not in os.environ.get("MAKEFLAGS", "")
