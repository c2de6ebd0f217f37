"""Where the results of a shop of one's own lie: `python3 -m promo_helpers.folders my/folder` prints build/folder.

Make calls that before anything is installed, so this module keeps to the standard library and to Python 3.9.
"""

from __future__ import annotations

import hashlib
import re
import sys
from pathlib import Path

from promo_helpers import paths

MARK = "shop.txt"  # in a folder of results: the absolute path of the shop that they are about, and how it is read
# what the project keeps below build/, beside the names of profiles
TAKEN = {"runs", "running", "replications", "twin", "explore", "html", "ipython", "latex", "paper", "own"}


def of_shop(folder: str) -> str:
    """The folder of results of a shop: build/<its name>, in small letters; with a hash of its path where that is another shop's."""
    path = _absolute(folder)
    name = re.sub(r"[^a-z0-9]+", "-", path.name.lower()).strip("-")
    mark = paths.ROOT / "build" / name / MARK
    taken = TAKEN | {p.stem for p in (paths.notebooks() / "profiles").glob("*.yml")}
    if not name or name in taken or (mark.is_file() and mark.read_text(encoding="utf-8").splitlines()[:1] != [str(path)]):
        name = f"{name or 'shop'}-{hashlib.sha256(str(path).encode()).hexdigest()[:6]}"
    return f"build/{name}"


def claim(folder: str, settings: str, out: str = "") -> str:
    """The folder of results of a shop, `out` where it is named, marked as this shop's if the shop is there.

    The mark changes when the shop or the settings that it is read with do: what was made of the old ones is then older than the mark.
    """
    found = out or of_shop(folder)
    path = _absolute(folder)
    mark, text = paths.ROOT / found / MARK, f"{path}\n{settings}\n"
    if path.is_dir() and not (mark.is_file() and mark.read_text(encoding="utf-8") == text):
        mark.parent.mkdir(parents=True, exist_ok=True)
        mark.write_text(text, encoding="utf-8")
    return found


def _absolute(folder: str) -> Path:
    path = Path(folder).expanduser()
    return (path if path.is_absolute() else paths.ROOT / path).resolve()


if __name__ == "__main__":
    print(claim(*sys.argv[1:]))
