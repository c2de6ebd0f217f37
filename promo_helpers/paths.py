"""Where things lie. Everything that a run writes lies below one folder: the project's own, or the one that PROMO_OUT names."""

from __future__ import annotations  # depends.py, which any python3 runs before the set-up, imports this

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def out() -> Path:
    """The folder that runs write below: the project, unless PROMO_OUT names another (as the runs of other profiles do)."""
    return Path(os.environ.get("PROMO_OUT") or ROOT).resolve()


def data(*parts: str) -> Path:
    """A place below `data/`, such as data("raw", "completejourney")."""
    return out().joinpath("data", *parts)


def ledger(name: str) -> Path:
    """The ledger called `name`, such as shop_completejourney."""
    return data("numbers", f"{name}.json")


def figures() -> Path:
    """The folder of figures, PDF and PNG."""
    return out() / "figures"


def generated() -> Path:
    """The folder of what the paper pulls in: numbers.tex and one file per table."""
    return out() / "paper" / "generated"


def notebooks() -> Path:
    """The folder of the notebooks' sources, always the project's."""
    return ROOT / "notebooks"


def shown(path: Path | str) -> str:
    """A path as a person would type it: relative to the project where it lies inside it."""
    path = Path(path).resolve()
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)
