"""What each run reads and what it made: one place for Make, the runs and the check.

notebooks/series.yml says which notebook reads what another makes; the notebooks' own imports say which code they use.
`python3 -m promo_helpers.depends PROFILE N SHOP` prints both as Make rules. Make calls that before anything is installed, so this
module keeps to the standard library and to Python 3.9, and reads the two levels of series.yml by itself.
"""

from __future__ import annotations

import ast
import json
import re
import sys
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any

from promo_helpers import paths

SIMULATED = "simulated"  # the data set of a run that names none
UNTIL = "0.3"  # the release that no longer understands the earlier names of notebooks
LINE = re.compile(r"(?:(\w+):|  (\w+): \[(.*)\])\s*(?:#.*)?")  # all that series.yml may hold, beside comments and blank lines


class Unreadable(Exception):
    """A profile, a notebook or a module cannot be read; the message says which, where and why."""


def series() -> dict[str, dict[str, list[str]]]:
    """notebooks/series.yml: notebook -> data, reads, makes, noun, was; empty where there is no such file.

    Raises Unreadable with the number of the first line that is neither a notebook nor a list of it.
    """
    file = paths.notebooks() / "series.yml"
    return _series(file, file.stat().st_mtime_ns) if file.is_file() else {}


@lru_cache(maxsize=None)
def _series(file: Path, _changed: int) -> dict[str, dict[str, list[str]]]:
    listed: dict[str, dict[str, list[str]]] = {}
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        matched = LINE.fullmatch(line)
        if matched is None or (not matched.group(1) and not listed):
            raise Unreadable(
                f"{paths.display_path(file)}: line {number}: neither `notebook:` nor `  key: [names]`: {line.strip()}"
            )
        if matched.group(1):
            listed[matched.group(1)] = {}
        else:
            names = [name.strip() for name in matched.group(3).split(",")]
            listed[next(reversed(listed))][matched.group(2)] = [name for name in names if name]
    return listed


def data_set(run: str) -> str:
    """The data set that a run is about, by its name: "completejourney" of 02_shop_completejourney."""
    notebook = notebook_of(run).stem
    sets = series().get(notebook, {}).get("data", [])
    return next((d for d in sets if f"{run[len(notebook) :]}_".startswith(f"_{d}_")), SIMULATED)


def reads(run: str, profile: str) -> list[str]:
    """The runs of the profile that make, of the same data set, what a run's notebook reads."""
    data, listed, known = data_set(run), series(), runs(profile)
    wanted = listed.get(notebook_of(run).stem, {}).get("reads", [])
    makers = [name for name, entry in listed.items() if set(wanted) & set(entry.get("makes", []))]
    sought = [maker if data == SIMULATED else f"{maker}_{data}" for maker in makers]
    return [name for name in sought if name in known and name != run]


def current_name(name: str) -> tuple[str, str]:
    """A notebook or run by its present name, and a sentence where an earlier one was typed."""
    for notebook, entry in series().items():
        for earlier in entry.get("was", []):
            if name == earlier or name.startswith(f"{earlier}_"):
                now = notebook + name[len(earlier) :]
                return now, f"{earlier} is called {notebook} now; the earlier name is understood until release {UNTIL}"
    return name, ""


def runs_of(name: str, profile: str) -> list[str]:
    """The runs of a profile that a notebook's or a run's name stands for: that one and its variants."""
    return [run for run in runs(profile) if run == name or run.startswith(f"{name}_")]


def profile_file(profile: str) -> Path:
    """The file that lists a profile's runs. Raises Unreadable, with those that exist, where there is none."""
    file = paths.notebooks() / "profiles" / f"{profile}.yml"
    if not file.is_file():
        there = ", ".join(sorted(p.stem for p in file.parent.glob("*.yml")))
        raise Unreadable(f"There is no profile '{profile}'; there are: {there}")
    return file


def runs(profile: str) -> list[str]:
    """The names of a profile's runs, in its order."""
    return re.findall(r"^[\"']?([^\s#\"':]+)[\"']?\s*:", profile_file(profile).read_text(encoding="utf-8"), re.M)


def notebook_of(run: str) -> Path:
    """The notebook that a run is a run of: the one with the longest name that the run's name starts with."""
    there = sorted(paths.notebooks().glob("*.ipynb"))
    candidates = [p for p in there if run == p.stem or run.startswith(p.stem + "_")]
    if not candidates:
        raise Unreadable(f"No notebook belongs to the run '{run}'; there are: {', '.join(p.stem for p in there)}")
    return max(candidates, key=lambda p: len(p.stem))


def stamp_of(run: str, profile: str) -> Path:
    """The executed copy of a run's notebook, which is there once the run has come to its end."""
    return paths.out() / "build" / "runs" / profile / f"{run}.ipynb"


def ledger_of(run: str) -> Path:
    """The ledger of a run, by its notebook's noun: 02_shop_own writes data/numbers/shop_own.json."""
    for notebook, entry in series().items():
        if entry.get("noun") and f"{run}_".startswith(f"{notebook}_"):
            return paths.ledger(entry["noun"][0] + run[len(notebook) :])
    return paths.ledger(run.partition("_")[2])


def read_ledger(run: str) -> dict[str, Any] | None:
    """The ledger of a run, or None where it is not there or not whole."""
    try:
        ledger = json.loads(ledger_of(run).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return ledger if isinstance(ledger, dict) and {"numbers", "figures", "tables"} <= ledger.keys() else None


def outputs(ledger: dict[str, Any]) -> list[Path]:
    """The files that a run's ledger says it wrote."""
    figures = [paths.figures() / f"{f}.{ending}" for f in ledger["figures"] for ending in ("pdf", "png")]
    tables = [paths.data("tables", f"{t}.{ending}") for t in ledger["tables"] for ending in ("tex", "csv")]
    return figures + tables + [paths.out() / f for f in ledger.get("files", [])]


def modules_of(file: Path) -> frozenset[Path]:
    """Files of promo_helpers that a module imports.

    Each module is parsed once, since most runs share most of them.
    """
    return _parsed(file, file.stat().st_mtime_ns)


@lru_cache(maxsize=None)
def _parsed(file: Path, _changed: int) -> frozenset[Path]:
    return frozenset(modules(file.read_text(encoding="utf-8")))


def modules(source: str) -> set[Path]:
    """Files of promo_helpers that a piece of Python imports.

    IPython's own lines (% and !) are passed over.
    """
    code = "" if source.startswith("%%") else "\n".join(x for x in source.splitlines() if not x.lstrip().startswith(("%", "!")))
    files: set[Path] = set()
    for node in _statements(ast.parse(code).body):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module] + [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            parts = name.split(".")
            if parts[0] == "promo_helpers":
                files |= {paths.ROOT.joinpath(*parts[:i], "__init__.py") for i in range(1, len(parts) + 1)}
                files.add(paths.ROOT.joinpath(*parts[:-1], parts[-1] + ".py"))
    return {f for f in files if f.is_file()}


def _statements(body: Iterable[ast.AST]) -> Iterable[ast.AST]:
    """All statements, those within others too.

    Imports are statements, and expressions are nine tenths of a tree.
    """
    for statement in body:
        yield statement
        for part in ("body", "orelse", "finalbody", "handlers", "cases"):
            yield from _statements(getattr(statement, part, ()))


def closure(files: Iterable[Path]) -> list[Path]:
    """These modules, and all that they import, and so on."""
    todo, seen = set(files), set()
    while todo:
        file = todo.pop()
        seen.add(file)
        try:
            todo |= modules_of(file) - seen
        except SyntaxError as error:
            raise Unreadable(f"{paths.display_path(file)}: line {error.lineno}: {error.msg}") from None
    return sorted(seen)


def needs(notebook: Path) -> list[Path]:
    """The files that a notebook's results depend on: itself, the part of the package that it imports, and kept studies that it reads."""
    return list(_needs(notebook, notebook.stat().st_mtime_ns))


@lru_cache(maxsize=None)
def _needs(notebook: Path, _changed: int) -> tuple[Path, ...]:
    try:
        cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    except (ValueError, KeyError, TypeError):
        raise Unreadable(f"{paths.display_path(notebook)}: this is not a notebook, or not a whole one") from None
    files: set[Path] = set()
    studies: set[str] = set()
    for number, cell in enumerate(cells, 1):
        if cell["cell_type"] == "code":
            source = "".join(cell["source"])
            studies |= set(re.findall(r"\bread_study\([\"'](\w+)[\"']\)", source))
            try:
                files |= modules(source)
            except SyntaxError as error:
                raise Unreadable(f"{paths.display_path(notebook)}: cell {number}, line {error.lineno}: {error.msg}") from None
    kept = (paths.ROOT / "data" / "replications" / f"{name}.csv" for name in sorted(studies))
    return (notebook, *(file for file in kept if file.is_file()), *closure(files))


def prerequisites(run: str, profile: str) -> list[Path]:
    """All files that a run is made again for when they change: code, parameters and versions."""
    return [*needs(notebook_of(run)), profile_file(profile), paths.ROOT / "requirements.lock"]


def due(run: str, profile: str, beside: Iterable[Path] = ()) -> bool:
    """Whether a run lacks an output, or is older than what it depends on and files `beside`."""
    stamp, ledger = stamp_of(run, profile), read_ledger(run)
    if not stamp.is_file() or ledger is None or not all(f.exists() for f in outputs(ledger)):
        return True
    files = [*prerequisites(run, profile), *(stamp_of(name, profile) for name in reads(run, profile)), *beside]
    return any(not f.exists() or f.stat().st_mtime > stamp.stat().st_mtime for f in files)


def shop_files(folder: str) -> list[Path]:
    """The files of a shop of one's own that its runs are made again for, with the mark of how it is read.

    None for no folder.
    """
    if not folder:
        return []
    place = paths.from_project(folder)
    files = [paths.out() / paths.MARK, *sorted(f for ending in ("csv", "parquet") for f in place.glob(f"*.{ending}"))]
    return [f for f in files if f.is_file()]


def rules(profile: str, name: str = "", shop: str = "") -> Iterable[str]:
    """Lines for Make: RUNS with a rule each, CHOSEN (those of `name`), and PAPER, the code of the paper."""
    beside = [paths.display_path(f) for f in shop_files(shop)]
    beside = ["FORCE"] if any(" " in f for f in beside) else beside  # which Make cannot name
    for run in runs(profile):
        stamp = f"$(R)/{run}.ipynb"
        ledger = read_ledger(run)
        yield f"RUNS += {stamp}"
        files = [
            *map(paths.display_path, prerequisites(run, profile)),
            *(f"$(R)/{read}.ipynb" for read in reads(run, profile)),
            *beside,
        ]
        yield f"{stamp}: {' '.join(files)}"
        if ledger is None or not all(f.exists() for f in outputs(ledger)):
            yield f"{stamp}: FORCE"
    if name:
        now, sentence = current_name(name)
        if sentence:
            yield f"$(info {sentence})"
        yield f"CHOSEN := {' '.join(f'$(R)/{run}.ipynb' for run in runs_of(now, profile))}"
    code = closure([paths.ROOT / "promo_helpers" / "paper.py"])
    yield f"PAPER := {' '.join(paths.display_path(f) for f in [*code, profile_file(profile)])}"


def print_rules(profile: str, name: str = "", shop: str = "") -> None:
    """Print the rules. What cannot be read stops Make with its sentence; a last line says that all came."""
    try:
        print("\n".join(rules(profile, name, shop)))
    except Unreadable as problem:
        print("define UNREADABLE", str(problem).replace("$", "$$"), "endef", "$(error $(UNREADABLE))", sep="\n")
    print("DEPENDS_DONE := 1")


if __name__ == "__main__":
    print_rules(*sys.argv[1:])
