"""Where things lie, for writing and for reading.

Results lie below one folder: the project's own, or the one that PROMO_OUT names. A process does not always write there:

- a run of Make writes into a folder of its own (PROMO_WRITE), and its files move to the results when it has come to its end;
- a notebook that somebody has opened in JupyterLab writes to build/explore/ and changes no result.

Both read what they have written themselves, and the results where they have not: `find`. A run notes what it reads of other runs:
`note_opened`.

`python3 -m promo_helpers.paths my/folder "LKR .25"` prints the folder of results of a shop. Make calls that before anything is
installed, so this module keeps to the standard library and to Python 3.9.
"""

from __future__ import annotations

import hashlib
import os
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
OPENED = "opened.txt"  # in a run's own folder: what it has read of other runs, a line each
MARK = "shop.txt"  # in a folder of results: the absolute path of the shop that they are about, and how it is read
# what the project keeps below build/, beside the names of profiles
TAKEN = {"runs", "running", "replications", "twin", "explore", "html", "ipython", "latex", "paper", "own"}


def out() -> Path:
    """The folder of the results: the project, unless PROMO_OUT names another."""
    return Path(os.environ.get("PROMO_OUT") or ROOT).resolve()


def writing() -> Path:
    """Where this process writes: the results, a run's own folder, or build/explore/ for JupyterLab."""
    if named := os.environ.get("PROMO_WRITE"):
        return Path(named).resolve()
    return out() / "build" / "explore" if _interactive() else out()


def _interactive() -> bool:
    """Whether a person types here: this is a kernel or a shell of IPython."""
    module = sys.modules.get("IPython")
    return module is not None and module.get_ipython() is not None


def data(*parts: str) -> Path:
    """A place below `data/` to write to, such as data("raw", "completejourney")."""
    return writing().joinpath("data", *parts)


def find(*parts: str) -> Path:
    """The same place to read from: as this process has written it, else as the results have it.

    Where a notebook of a person reads what was explored before, the first such read of the process says so on stderr.
    """
    place = _latest(*parts)
    if not _told and not os.environ.get("PROMO_WRITE") and place.is_relative_to(writing()) and writing() != out():
        _told.append(place)
        aside = display_path(writing())
        name = "/".join(("data", *parts))
        print(f"Read from {aside} (results of your own exploring; rm -r {aside} to go back): {name}", file=sys.stderr)
    return place


_told: list[Path] = []  # what this process has said that it reads from build/explore/: once is enough


def _latest(*parts: str) -> Path:
    own = data(*parts)
    return own if own.exists() else out().joinpath("data", *parts)


def note_opened(path: Path | str) -> None:
    """Note that this run reads what another run has written, such as data/models/purchase.

    Its seal keeps the notes.
    """
    path = Path(path).resolve()
    if os.environ.get("PROMO_WRITE") and path.is_relative_to(out()) and not path.is_relative_to(writing()):
        writing().mkdir(parents=True, exist_ok=True)
        with (writing() / OPENED).open("a", encoding="utf-8") as notes:
            notes.write(path.relative_to(out()).as_posix() + "\n")


def landing(path: Path | str) -> Path:
    """Where a file that a run writes will lie when the run has come to its end.

    For all other files the path itself.
    """
    path = Path(path).resolve()
    if os.environ.get("PROMO_WRITE") and path.is_relative_to(writing()):
        return out() / path.relative_to(writing())
    return path


def ledger(name: str) -> Path:
    """The ledger called `name`, such as shop_completejourney, to read from."""
    return _latest("numbers", f"{name}.json")  # silently: a run's own ledger of the last time is no result that it builds on


def figures() -> Path:
    """The folder of figures, PDF and PNG, to write to."""
    return writing() / "figures"


def generated() -> Path:
    """The folder of what the paper pulls in: numbers.tex and one file per table."""
    return out() / "paper" / "generated"


def notebooks() -> Path:
    """The folder of the notebooks' sources, always the project's."""
    return ROOT / "notebooks"


def display_path(path: Path | str) -> str:
    """A path as a person would type it, relative to the project where it lies inside it.

    A run's files where they will lie.
    """
    path = landing(path)
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)


def folder_of_shop(folder: str) -> str:
    """The folder of results of a shop: build/<its name>, in small letters.

    With a hash of its path where that is another shop's.
    """
    path = from_project(folder)
    name = re.sub(r"[^a-z0-9]+", "-", path.name.lower()).strip("-")
    mark = ROOT / "build" / name / MARK
    taken = TAKEN | {p.stem for p in (notebooks() / "profiles").glob("*.yml")}
    if not name or name in taken or (mark.is_file() and mark.read_text(encoding="utf-8").splitlines()[:1] != [str(path)]):
        name = f"{name or 'shop'}-{hashlib.sha256(str(path).encode()).hexdigest()[:6]}"
    return f"build/{name}"


def mark_shop(folder: str, settings: str, out: str = "") -> str:
    """The folder of results of a shop, or `out`, marked as this shop's if the shop is there.

    The mark changes when the shop or the settings that it is read with do: what was made of the old ones is then older than the mark.
    """
    results = out or folder_of_shop(folder)
    path = from_project(folder)
    mark, text = ROOT / results / MARK, f"{path}\n{settings}\n"
    if path.is_dir() and not (mark.is_file() and mark.read_text(encoding="utf-8") == text):
        mark.parent.mkdir(parents=True, exist_ok=True)
        mark.write_text(text, encoding="utf-8")
    return results


def profile_of_results() -> str:
    """The profile of the folder of results: by its name, else the only one that has run there, else paper."""
    aside = {"own", "campaign", "retrain"}  # beside the runs of another profile, whose models they use
    known = {p.stem for p in (notebooks() / "profiles").glob("*.yml")} - aside
    place = out()
    if place == ROOT / "build" / "seed" and (place / "build" / "runs" / "demo").is_dir():
        return "demo"  # which shares the folder of the profile seed
    if place == ROOT or (place.parent == ROOT / "build" and place.name in known):
        return "paper" if place == ROOT else place.name
    ran = [p for p in sorted(known) if (place / "build" / "runs" / p).is_dir()]
    return ran[0] if len(ran) == 1 else "paper"


def from_project(folder: str) -> Path:
    """A folder as typed, absolute: a relative one starts at the project, wherever the command is typed."""
    path = Path(folder).expanduser()
    return (path if path.is_absolute() else ROOT / path).resolve()


if __name__ == "__main__":
    print(mark_shop(*sys.argv[1:]))
