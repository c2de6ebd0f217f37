"""Long simulations, run once and kept: `make replications` writes data/replications/<noun>.csv, notebooks read them with `read_study`.

Each file ends with the rows of a probe: one seed of a small case, a few seconds of work. `make test` computes it anew and compares, so
that a kept study is out of date when its code gives other numbers, and not when its text is another.
"""

import importlib
import io
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from promo_helpers import files, paths

PROBE = "probe"  # the case of the rows that guard the others
PROBE_DIGITS = 9
RELATIVE = 1e-6  # largest relative change of a probe's number; another processor's last digits stay below it
ABSOLUTE = 1e-9  # what lies as near to 0 is 0


@dataclass(frozen=True)
class Job:
    """One file: `function` of `module` makes the rows of a case, and those of the case "probe".

    `key` names a row within its case. `digits` are kept of each number. `loose` has a relative tolerance of its own for each column of
    the probe that another processor moves by more than RELATIVE.
    """

    module: str
    function: str
    cases: tuple[str, ...]
    key: tuple[str, ...]
    digits: int = 6
    loose: Mapping[str, float] = field(default_factory=dict)

    def load(self) -> Callable[[str], pd.DataFrame]:
        """The function that makes the rows of a case."""
        return getattr(importlib.import_module(self.module), self.function)


PRESETS = ("default", "null", "breakeven", "uniform", "hidden", "thin", "threshold", "additive")
DIAL = tuple(f"{overlap} {confounding}" for confounding in ("0", "0.75", "1.5") for overlap in ("0.5", "1", "2", "4"))
JOBS = {
    "market_calibration": Job(
        "promo_helpers.studies.market_calibration", "calibration_rows", PRESETS, ("arm", "decile", "measure")
    ),
    "market_rules": Job("promo_helpers.studies.market_rules", "rule_rows", ("default",), ("seed", "policy")),
    "uplift_markets": Job(
        "promo_helpers.studies.uplift_markets",
        "uplift_rows",
        ("default", "default, 200,000", "threshold", "additive"),
        ("seed", "contacts", "learner"),
    ),
    "uplift_nothing": Job(
        "promo_helpers.studies.uplift_nothing", "null_effect_rows", ("null", "breakeven"), ("seed", "group", "learner")
    ),
    "policy_markets": Job(
        "promo_helpers.studies.policy_markets", "policy_rows", ("default, 60,000", *PRESETS), ("seed", "policy")
    ),
    "forecast_coverage": Job(
        "promo_helpers.studies.forecast_coverage", "coverage_rows", ("default",), ("seed", "draw", "figure")
    ),
    "fairness_audits": Job(
        "promo_helpers.studies.fairness_audits",
        "audit_rows",
        ("fair, groups alike", "fair, groups differ", "planted, 0.1", "planted, 0.2", "planted, 0.4"),
        ("seed", "null"),
    ),
    "parity_markets": Job("promo_helpers.studies.parity_markets", "parity_rows", ("60,000", "20,000"), ("seed", "policy")),
    "explanation_noise": Job("promo_helpers.studies.explanation_noise", "noise_rows", ("15,000", "60,000"), ("seed", "feature")),
    "purchase_markets": Job(
        "promo_helpers.studies.purchase_markets", "purchase_rows", ("paper", "seed"), ("seed", "question", "metric", "method")
    ),
    "effect_coverage": Job(
        "promo_helpers.studies.effect_markets",
        "effect_coverage_rows",
        ("0", "1", "2", "3", "4"),
        ("seed", "source", "outcome", "method"),
        digits=4,
    ),
    "effect_refuters": Job(
        "promo_helpers.studies.effect_markets", "refuter_rows", ("default", "thin", "hidden", "null"), ("seed", "refuter")
    ),
    "effect_dial": Job("promo_helpers.studies.effect_markets", "dial_rows", DIAL, ("seed", "method"), digits=4),
}


@dataclass(frozen=True)
class Kept:
    """A kept file as lines: `head` ("# commit abc1234, 2026-11-30, 812 s"), columns, rows, probe rows."""

    head: str
    columns: str
    rows: tuple[str, ...] = ()
    probe: tuple[str, ...] = ()

    @staticmethod
    def of(text: str) -> "Kept":
        head, columns, *rows = text.splitlines()
        split = {there: tuple(r for r in rows if r.startswith(f"{PROBE},") == there) for there in (True, False)}
        return Kept(head, columns, split[False], split[True])

    def write(self, path: Path) -> None:
        """Write the file whole or not at all."""
        files.write_text(path, "\n".join([self.head, self.columns, *self.rows, *self.probe]) + "\n")


def kept_file(noun: str) -> Path:
    """Where the results lie: with the project, whatever folder a run writes to."""
    return paths.ROOT / "data" / "replications" / f"{noun}.csv"


def read_whole(noun: str) -> Kept:
    """The kept file of a noun. Raises FileNotFoundError where there is none."""
    if not kept_file(noun).is_file():
        raise FileNotFoundError(f"{paths.display_path(kept_file(noun))} is missing; `make replications N={noun}` makes it")
    return Kept.of(kept_file(noun).read_text(encoding="utf-8"))


def read_study(noun: str) -> pd.DataFrame:
    """The kept results: a column `case`, and the rows of each but the probe.

    Raises FileNotFoundError where there are none.
    """
    found = read_whole(noun)
    return _table(found.columns, found.rows)


def kept_probe(noun: str) -> pd.DataFrame:
    """The kept rows of the probe, none where a file has no probe yet.

    Raises FileNotFoundError where there is no file.
    """
    found = read_whole(noun)
    return _table(found.columns, found.probe)


def probe(noun: str) -> pd.DataFrame:
    """The rows of the probe, computed anew."""
    columns, rows = _lines(JOBS[noun].load()(PROBE), PROBE, PROBE_DIGITS)
    return _table(columns, rows)


def probe_differences(noun: str, before: pd.DataFrame, now: pd.DataFrame) -> list[str]:
    """A sentence for each number of a probe that has moved by more than the tolerance of its column.

    As in "uplift_markets: value 2.604 -> 2.611 (case probe, seed 600, learner dose-response)".
    """
    job = JOBS[noun]
    if before.empty:
        return [f"{noun}: no probe is kept; `make replications N={noun}` makes all anew, with PROBES=1 the probe alone"]
    if list(before) != list(now):
        return [f"{noun}: columns {', '.join(before)} -> {', '.join(now)} (case {PROBE})"]
    a, b = (frame.set_index(list(job.key)).drop(columns="case") for frame in (before, now))
    said = [f"{noun}: a row is gone ({_place(job, k)})" for k in a.index.difference(b.index, sort=False)]
    said += [f"{noun}: a row is new ({_place(job, k)})" for k in b.index.difference(a.index, sort=False)]
    if said:
        return said
    b = b.loc[a.index]
    for k, (row, other) in enumerate(zip(a.to_dict("records"), b.to_dict("records"), strict=True)):
        for column, old in row.items():
            if not _equal(old, other[column], job.loose.get(str(column), RELATIVE)):
                said.append(f"{noun}: {column} {_change(old, other[column])} ({_place(job, a.index[k])})")
    return said


def make(noun: str, always: bool = False) -> None:
    """Compute a kept file where its probe gives other numbers or is newer than its rows, or `always`.

    Finished cases lie in build/replications/<noun>/ until the last one is. A run that was stopped goes on from them, if the probe that
    lies beside them still gives the same.
    """
    job, start = JOBS[noun], time.perf_counter()
    columns, guard = _lines(job.load()(PROBE), PROBE, PROBE_DIGITS)
    now = _table(columns, guard)
    older = kept_file(noun).is_file() and RENEWED in read_whole(noun).head
    if not always and not older and kept_file(noun).is_file() and not probe_differences(noun, kept_probe(noun), now):
        print(f"{noun}: up to date, as its probe says ({time.perf_counter() - start:.0f} s)", flush=True)
        return
    folder = paths.ROOT / "build" / "replications" / noun
    beside = folder / f"{PROBE}.csv"
    stopped = Kept.of(beside.read_text(encoding="utf-8")) if beside.is_file() else None
    if stopped is None or probe_differences(noun, _table(stopped.columns, stopped.probe), now):
        files.remove(folder)
        Kept("# of the cases beside it", columns, (), tuple(guard)).write(beside)
    rows: list[str] = []
    seconds = 0.0
    for case in job.cases:
        part = folder / f"{case}.csv"
        if part.is_file():
            print(f"{noun}, {case}: from the run that was stopped", flush=True)
        else:
            print(f"{noun}, {case} ...", flush=True)
            start = time.perf_counter()
            columns, lines = _lines(job.load()(case), case, job.digits)
            Kept(f"# {time.perf_counter() - start:.1f} s", columns, tuple(lines)).write(part)
            print(f"{noun}, {case}: {time.perf_counter() - start:.0f} s", flush=True)
        done = Kept.of(part.read_text(encoding="utf-8"))
        seconds += float(done.head.split()[1])
        rows += done.rows
    Kept(f"# {_today()}, {seconds:.0f} s", columns, tuple(rows), tuple(guard)).write(kept_file(noun))
    files.remove(folder)
    print(f"{paths.display_path(kept_file(noun))} is written", flush=True)


def renew_probe(noun: str) -> None:
    """Write the rows of the probe alone into a kept file.

    Its head then says when, since the other rows are older.
    """
    start, found = time.perf_counter(), read_whole(noun)
    columns, guard = _lines(JOBS[noun].load()(PROBE), PROBE, PROBE_DIGITS)
    seconds = f"{time.perf_counter() - start:.1f} s"
    if columns != found.columns:
        raise ValueError(f"{noun}: the columns are {columns}, those of the file {found.columns}; `make replications N={noun}`")
    said = probe_differences(noun, kept_probe(noun), _table(columns, guard))
    if said:
        Kept(f"{found.head.split(RENEWED)[0]}{RENEWED}{_today()}", columns, found.rows, tuple(guard)).write(kept_file(noun))
    print(f"{noun}: {len(guard)} rows of the probe {'written' if said else 'as they were'} ({seconds})", flush=True)


RENEWED = "; probe: "  # in the head of a file whose rows are older than its probe
TEXT = {"case": str, "arm": str}
BLANKS: dict[str, Any] = {"keep_default_na": False, "na_values": [""]}


def _table(columns: str, rows: tuple[str, ...] | list[str]) -> pd.DataFrame:
    return pd.read_csv(io.StringIO("\n".join([columns, *rows])), dtype=TEXT, **BLANKS)


def _lines(rows: pd.DataFrame, case: str, digits: int) -> tuple[str, list[str]]:
    """The line of columns, and a line a row."""
    text = rows.assign(case=case)[["case", *rows]].to_csv(index=False, float_format=f"%.{digits}g", lineterminator="\n")
    columns, *lines = text.splitlines()
    return columns, lines


def _equal(old: Any, new: Any, relative: float) -> bool:
    if pd.isna(old) or pd.isna(new):
        return bool(pd.isna(old) and pd.isna(new))
    if any(isinstance(x, str | bool | np.bool_) for x in (old, new)):
        return bool(old == new)
    return bool(abs(new - old) <= relative * max(abs(old), abs(new)) + ABSOLUTE)


def _change(old: Any, new: Any) -> str:
    """Old and new, in as few digits as tell them apart."""
    if any(isinstance(x, str | bool | np.bool_) for x in (old, new)):
        return f"{old} -> {new}"
    for digits in range(4, PROBE_DIGITS):
        if f"{old:.{digits}g}" != f"{new:.{digits}g}":
            return f"{old:.{digits}g} -> {new:.{digits}g}"
    return f"{old} -> {new}"


def _place(job: Job, values: Any) -> str:
    values = values if isinstance(values, tuple) else (values,)
    return ", ".join([f"case {PROBE}", *(f"{name} {value}" for name, value in zip(job.key, values, strict=True))])


def _today() -> str:
    """The commit and the date, as in "commit abc1234, 2026-11-30"; the commit is unknown outside of git."""
    try:
        done = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=paths.ROOT, capture_output=True, text=True, check=True)
        commit = done.stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        commit = "unknown"
    return f"commit {commit}, {date.today().isoformat()}"


def make_kept(nouns: Sequence[str] = (), probes: bool = False) -> None:
    """Make what is out of date, or what is named; with `probes` renew the rows of probes alone.

    Exits for an unknown noun.
    """
    if unknown := [n for n in nouns if n not in JOBS]:
        sys.exit(f"There is no kept study '{unknown[0]}'; there are: {', '.join(JOBS)}")
    for noun in nouns or JOBS:
        if probes:
            renew_probe(noun)
        else:
            make(noun, always=bool(nouns))
