"""Build the paper from what the runs made: `python -m promo_helpers.typeset`. LaTeX works in build/, the PDF arrives whole."""

import os
import re
import shutil
import subprocess
import sys
import time

from promo_helpers import collect, paths
from promo_helpers.files import whole


def typeset() -> None:
    """Run latexmk on paper/main.tex from scratch. Raises SystemExit with LaTeX's own first error where it stops."""
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
    said = log.read_text(errors="replace") if log.is_file() else done.stdout + done.stderr
    if done.returncode:
        sys.exit(f"LaTeX stopped:\n{first_error(said).replace(f'{paths.ROOT}/', '')}\nThe whole log: {paths.shown(log)}")
    loose = sorted(set(re.findall(r"(?:Citation|Reference) [`'][^']*' .*undefined", said)))
    if loose:
        sys.exit("\n  ".join(["LaTeX found no target for:", *loose]))
    with whole(out / "paper" / "paper.pdf") as scratch:
        shutil.copyfile(work / "paper.pdf", scratch)


def first_error(log: str) -> str:
    """The first error of LaTeX's log: what is wrong and, where LaTeX says it, the place; without its advice and statistics."""
    error = re.search(r"^(?:!|\S+:\d+:) .*", log, re.M)
    if not error:
        return log[-2000:]
    place = re.search(r"^l\.\d+ .*(?:\n +\S.*)?", log[error.end() :].partition("\n! ")[0], re.M)
    return "\n".join(found.group() for found in (error, place) if found)


def main() -> None:
    """Check, collect, typeset; says where the paper lies and how many claims hold."""
    start = time.perf_counter()
    print(f"  {collect.check()}", flush=True)
    collect.collect()
    typeset()
    print(f"  paper typeset in {time.perf_counter() - start:.0f} s\n{paths.shown(paths.out() / 'paper' / 'paper.pdf')} is ready")
    print(collect.claimed())


if __name__ == "__main__":
    main()
