"""The seal of a run: what it was run with and the hashes of what it wrote, kept in the metadata of its executed notebook.

`make check` compares it with the files that lie there, and names those that another run or a hand has changed.
"""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

KEY = "promo"


def seal(folder: Path, files: Iterable[Path], parameters: dict[str, Any]) -> dict[str, Any]:
    """Parameters and SHA-256 by path below `folder` of the files that are there, as JSON."""
    written = {f.relative_to(folder).as_posix(): _hash(f) for f in files if f.is_file()}
    return {"parameters": json.loads(json.dumps(parameters)), "written": dict(sorted(written.items()))}


def put(notebook: Path, sealed: dict[str, Any]) -> None:
    """Write the seal into an executed notebook."""
    content = json.loads(notebook.read_text(encoding="utf-8"))
    content["metadata"][KEY] = sealed
    notebook.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def of(notebook: Path) -> dict[str, Any] | None:
    """The seal of an executed notebook; None where it has none or is not whole."""
    try:
        found = json.loads(notebook.read_text(encoding="utf-8"))["metadata"][KEY]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return found if isinstance(found, dict) and {"parameters", "written"} <= found.keys() else None


def altered(folder: Path, sealed: dict[str, Any]) -> list[Path]:
    """The files below `folder` that differ from what the run wrote; those that are gone are not among them."""
    found = [(folder / name, hashed) for name, hashed in sealed["written"].items()]
    return [f for f, hashed in found if f.is_file() and _hash(f) != hashed]


def _hash(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()
