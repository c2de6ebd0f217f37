"""A build in a small, committed form: the numbers, tables and claims of the last release, below data/published/<profile>/.

`make release` writes it and `make verify` compares with it. The rows are text that Git can show line by line: numbers.csv, claims.csv,
one CSV file a table, and release.json with settings, figures' names and facts of the machine. Pictures are compared by their tables.
"""

import hashlib
import json
import math
import os
import platform
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, field, replace
from datetime import date
from importlib import metadata
from pathlib import Path
from typing import Any

import pandas as pd

from promo_helpers import depends, paths
from promo_helpers.check import agreement, nothing
from promo_helpers.files import replace_folder, scratch_beside
from promo_helpers.paper import SHOWN_VERSIONS

NUMBERS = ["run", "name", "value", "low", "high", "unit", "digits", "text"]
CLAIMS = ["run", "name", "holds", "text", "value", "margin", "margin_unit", "basis", "single_draw"]
HOLDS = {True: "yes", False: "no", None: "not available"}
WHO = "CustomerID"  # the column of a campaign's files that names the customer
BESIDE = re.compile(r"_(?:responses|columns|summary|audit)(?:_\d+)?$")  # ends of files beside a list: forms, explanations, audits
LONG = 10  # characters of a number above which it is shortened to nine significant digits


@dataclass
class Build:
    """What a build says, all of it as text: a release, or a folder that runs wrote below."""

    place: str
    runs: dict[str, dict[str, Any]]  # run -> seed, settings, figures
    numbers: pd.DataFrame  # indexed by run and name
    claims: pd.DataFrame  # indexed by run and name
    tables: dict[str, pd.DataFrame]
    facts: dict[str, Any]  # of the machine; empty where nobody noted them
    lists: dict[str, list[str]] = field(default_factory=dict)  # file of a campaign -> customers on it
    unread: list[str] = field(default_factory=list)  # files of campaigns that could not be read, each with why
    altered: bool = False  # whether the rows of a release are other ones than `make release` wrote


def published(profile: str) -> Path:
    """The folder of the last release of a profile: data/published/<profile>/ of the project."""
    return paths.ROOT / "data" / "published" / profile


def machine() -> dict[str, Any]:
    """This machine: date, commit, system, processor, BLAS kernels, NumPy's vector instructions, versions."""
    import numpy as np
    import scipy.linalg  # noqa: F401 (it brings a BLAS of its own)
    from threadpoolctl import threadpool_info

    libraries = [i for i in threadpool_info() if i["user_api"] == "blas"]
    kernels = {f"{i['internal_api']} {i['version']}: {i.get('architecture', 'unknown')}" for i in libraries}
    found = np.show_config(mode="dicts").get("SIMD Extensions", {}).get("found", [])
    return {
        "date": date.today().isoformat(),
        "commit": _commit(),
        "system": f"{platform.system()} {platform.machine()}",
        "processor": _processor(),
        "kernels": ", ".join(sorted(kernels)) or "unknown",
        "vectors": ", ".join(found) or "the baseline only",
        "versions": {"Python": platform.python_version(), **{name: metadata.version(name) for name in SHOWN_VERSIONS}},
    }


def read_build(folder: Path | str) -> Build:
    """A build from a release's folder, or from a folder that runs wrote below (it holds data/numbers).

    Raises SystemExit with a sentence where it is neither, or where a file of it cannot be read.
    """
    folder = Path(folder)
    try:
        if (folder / "release.json").is_file():
            return _read_release(folder)
        if (folder / "data" / "numbers").is_dir():
            return _read_built(folder, sorted((folder / "data" / "numbers").glob("*.json")))
    except (ValueError, KeyError, OSError) as problem:
        sys.exit(f"{paths.display_path(folder)} cannot be read: {problem}")
    sys.exit(
        f"{paths.display_path(folder)} is no build: neither release.json (a release) nor data/numbers (what runs wrote) lies there"
    )


def without(build: Build, left_out: set[str]) -> Build:
    """The same build without some runs: their numbers, claims and tables go with them."""
    if not left_out:
        return build
    owner = {t: max((r for r in build.runs if t.startswith(f"{r}_")), key=len, default="") for t in build.tables}
    return replace(
        build,
        runs={run: facts for run, facts in build.runs.items() if run not in left_out},
        numbers=build.numbers[~build.numbers.index.isin(list(left_out), level="run")],
        claims=build.claims[~build.claims.index.isin(list(left_out), level="run")],
        tables={t: table for t, table in build.tables.items() if owner[t] not in left_out},
    )


def present(profile: str) -> Build | None:
    """The present build of a profile with the facts of this machine, or None where no run has been made.

    Raises SystemExit with a sentence where a file of it cannot be read.
    """
    ledgers = [f for run in depends.runs(profile) if (f := depends.ledger_of(run)).is_file()]
    if not ledgers:
        return None
    try:
        build = _read_built(paths.out(), ledgers)
    except (ValueError, KeyError, OSError) as problem:
        sys.exit(f"{paths.display_path(paths.out())} cannot be read: {problem}")
    here = machine()
    build.facts = here | {"kernels": build.facts.get("kernels") or here["kernels"]}
    return build


def write_release(build: Build, folder: Path) -> None:
    """Write a build as a release into `folder`, in place of the one that lies there."""
    scratch = scratch_beside(folder)
    shutil.rmtree(scratch, ignore_errors=True)
    (scratch / "tables").mkdir(parents=True)
    estimates = build.numbers["digits"] != ""
    numbers = pd.concat([_short(build.numbers[estimates]), build.numbers[~estimates]]).loc[build.numbers.index]
    for name, frame in (("numbers", numbers), ("claims", _short(build.claims))):
        frame.reset_index().to_csv(scratch / f"{name}.csv", index=False)
    for name, table in build.tables.items():
        _short(table).to_csv(scratch / "tables" / f"{name}.csv", index=False)
    head = {"facts": build.facts, "runs": build.runs, "sha256": _digest(scratch)}
    text = json.dumps(head, indent=1, ensure_ascii=False, sort_keys=True)
    (scratch / "release.json").write_text(text + "\n", encoding="utf-8")
    replace_folder(scratch, folder)


def _read_release(folder: Path) -> Build:
    head = json.loads((folder / "release.json").read_text(encoding="utf-8"))
    return Build(
        place=paths.display_path(folder),
        runs=head["runs"],
        numbers=_named(folder / "numbers.csv"),
        claims=_named(folder / "claims.csv"),
        tables={f.stem: _csv(f) for f in sorted((folder / "tables").glob("*.csv"))},
        facts=head["facts"],
        altered=_digest(folder) != head["sha256"],
    )


def _read_built(folder: Path, files: list[Path]) -> Build:
    ledgers = [json.loads(f.read_text(encoding="utf-8")) for f in files]
    numbers = [
        [
            led["run"],
            n["name"],
            _text(n["value"]),
            *map(_text, n["interval"] or ("", "")),
            n["unit"],
            _text(n["digits"]),
            n["text"],
        ]
        for led in ledgers
        for n in led["numbers"]
    ]
    claims = [
        [
            led["run"],
            c["name"],
            HOLDS[c["holds"]],
            c["text"],
            *(_text(c.get(key)) for key in CLAIMS[4:-1]),
            "yes" if c.get("single_draw") else "",
        ]
        for led in ledgers
        for c in led.get("claims", [])
    ]
    tables = {t: folder / "data" / "tables" / f"{t}.csv" for led in ledgers for t in led["tables"]}
    kernels = {k for led in ledgers for k in led.get("kernels", [])}
    lists, unread = _lists(folder / "data" / "campaigns")
    return Build(
        place=paths.display_path(folder),
        runs={
            led["run"]: {"seed": led.get("seed"), "settings": led.get("settings", {}), "figures": led["figures"]}
            for led in ledgers
        },
        numbers=pd.DataFrame(numbers, columns=NUMBERS, dtype=str).set_index(["run", "name"]),
        claims=pd.DataFrame(claims, columns=CLAIMS, dtype=str).set_index(["run", "name"]),
        tables={t: _csv(f) for t, f in tables.items() if f.is_file()},
        facts={"kernels": ", ".join(sorted(kernels))} if kernels else {},
        lists=lists,
        unread=unread,
    )


def _lists(folder: Path) -> tuple[dict[str, list[str]], list[str]]:
    """Customers of each list of a campaign, and the files that cannot be read, each with why.

    What lies beside a list is passed over: people fill in its form, in whatever a spreadsheet makes of it.
    """
    lists: dict[str, list[str]] = {}
    unread: list[str] = []
    for file in sorted(f for f in folder.glob("*.csv") if not BESIDE.search(f.stem)):
        try:
            table = _csv(file)
        except (ValueError, OSError) as problem:  # pandas' own errors and those of decoding are ValueErrors
            unread.append(f"{file.name}: {problem}".strip())
            continue
        if WHO in table:
            lists[file.name] = sorted(table[WHO].fillna(""))  # a short row has no cell there
    return lists, unread


def _csv(file: Path) -> pd.DataFrame:
    return pd.read_csv(file, dtype=str, keep_default_na=False)


def _named(file: Path) -> pd.DataFrame:
    frame = _csv(file).set_index(["run", "name"])
    if not frame.index.is_unique:
        raise ValueError(f"{file.name} has {frame.index[frame.index.duplicated()][0]} twice")
    return frame


def _text(value: Any) -> str:
    return "" if value is None else repr(value) if isinstance(value, float) else str(value)


def _short(frame: pd.DataFrame) -> pd.DataFrame:
    """The same rows with long numbers shortened to nine significant digits, so that diffs stay small."""
    return frame.map(lambda cell: _rounded(cell) if len(cell) > LONG and "." in cell else cell)


def _rounded(cell: str) -> str:
    try:
        number = float(cell)
    except ValueError:
        return cell
    return f"{number:.9g}" if math.isfinite(number) and abs(number) < 1e9 else cell


def _digest(folder: Path) -> str:
    """A hash of all rows of a release; that of its machine is left out."""
    hashed = hashlib.sha256()
    for file in sorted(folder.rglob("*.csv")):
        hashed.update(file.relative_to(folder).as_posix().encode())
        hashed.update(file.read_text(encoding="utf-8").encode())
    return hashed.hexdigest()


def _commit() -> str:
    if not (paths.ROOT / ".git").exists():
        return "unknown"
    command = ["git", "-C", str(paths.ROOT), "describe", "--always", "--dirty", "--abbrev=12"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"


def _processor() -> str:
    """The processor's model, as the system names it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{named[0]}, {os.cpu_count()} cores" if named else platform.machine()


def common(profile: str, a: Build, b: Build) -> tuple[Build, Build, list[str]]:
    """Both builds without runs that one lacks and the profile does not name, and a line about those."""
    own = {depends.ledger_of(run).stem for run in depends.runs(profile)}
    extra = (a.runs.keys() ^ b.runs.keys()) - own
    lines = [
        f"Only in {build.place}, of no run of the profile {profile}, and not compared: {', '.join(sorted(found))}"
        for build in (a, b)
        if (found := extra & build.runs.keys())
    ]
    return without(a, extra), without(b, extra), lines


def aside(a: Build, b: Build) -> list[str]:
    """What of the campaigns' lists was not compared, and why: a line each."""
    return [f"Not compared, since it cannot be read in {build.place}: {name}" for build in (a, b) for name in build.unread]


def sides(profile: str, a: str = "", b: str = "") -> tuple[Build, Build]:
    """The two builds that are compared. Raises SystemExit with what to do where one is not there."""
    if b and not a:
        sys.exit("B needs an A: make verify A=folder B=folder")
    if a and b:
        return read_build(a), read_build(b)
    build = present(profile)
    if build is None:
        sys.exit(nothing(profile))
    if not a and not (published(profile) / "release.json").is_file():
        sys.exit(
            f"No release of the profile '{profile}' lies in {paths.display_path(published(profile))}; `make release` makes one of "
            "the present build, and `make verify A=folder B=folder` compares two builds."
        )
    return read_build(a or published(profile)), build


def make_release(profile: str) -> None:
    """Publish the present build, once `make check` has nothing against it; says where it lies."""
    print(agreement(profile))
    build, folder = present(profile), published(profile)
    assert build is not None  # the check has stopped where no run has been made
    write_release(build, folder)
    size = sum(f.stat().st_size for f in folder.rglob("*") if f.is_file())
    print(f"Written: {paths.display_path(folder)}, {size / 1e6:.2f} MB; commit it with the release")
