"""What each run of a profile depends on, as Make rules: `python3 promo_helpers/depends.py PROFILE OUT`.

Make calls it before anything is installed, so it is a script for any Python 3 with nothing but the standard library. It reads the
imports of each notebook, follows them through the package, and names those files; it also forgets a run whose outputs were
deleted, so that Make makes them again.
"""

import ast
import json
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def modules(source, package=()):
    """Files of promo_helpers that a piece of Python imports. IPython's own lines (% and !) are passed over."""
    code = "\n".join(line for line in source.splitlines() if not line.lstrip().startswith(("%", "!")))
    files = set()
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module] + ["%s.%s" % (node.module, alias.name) for alias in node.names]
        else:
            continue
        for name in names:
            parts = name.split(".")
            if parts[0] == "promo_helpers":
                files |= {ROOT.joinpath(*parts[:i], "__init__.py") for i in range(1, len(parts) + 1)}
                files.add(ROOT.joinpath(*parts[:-1], parts[-1] + ".py"))
    return {f for f in files if f.is_file()}


def closure(files):
    """These files, and all that they import, and so on."""
    todo, seen = set(files), set()
    while todo:
        file = todo.pop()
        seen.add(file)
        todo |= modules(file.read_text(encoding="utf-8")) - seen
    return seen


def needs(notebook):
    """The files that a notebook's results depend on: itself and the part of the package that it imports."""
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    code = "\n".join("".join(c["source"]) for c in cells if c["cell_type"] == "code")
    return [notebook] + sorted(closure(modules(code)))


def outputs(ledger, out):
    """The files that a run's ledger says it wrote."""
    figures = [out / "figures" / (f + e) for f in ledger["figures"] for e in (".pdf", ".png")]
    return figures + [out / "data" / "tables" / (t + e) for t in ledger["tables"] for e in (".tex", ".csv")]


def main(profile, out):
    listed = ROOT / "notebooks" / "profiles" / (profile + ".yml")
    if not listed.is_file():
        there = ", ".join(sorted(p.stem for p in listed.parent.glob("*.yml")))
        print("$(error There is no profile '%s'; there are: %s)" % (profile, there))
        return
    notebooks = sorted((ROOT / "notebooks").glob("*.ipynb"), key=lambda p: -len(p.stem))
    runs = re.findall(r"^(\w+):", listed.read_text(encoding="utf-8"), re.M)
    folder = out / "build" / "runs" / profile
    for run in runs:
        notebook = next((p for p in notebooks if run == p.stem or run.startswith(p.stem + "_")), None)
        if notebook is None:
            print("$(error %s names the run '%s', which belongs to no notebook)" % (listed.name, run))
            continue
        stamp = folder / (run + ".ipynb")
        ledger = out / "data" / "numbers" / (run.split("_", 1)[1] + ".json")
        if stamp.is_file():
            whole = ledger.is_file() and all(f.is_file() for f in outputs(json.loads(ledger.read_text(encoding="utf-8")), out))
            if not whole:
                stamp.unlink()
        files = [str(f.relative_to(ROOT)) for f in needs(notebook)] + [str(listed.relative_to(ROOT))]
        print("RUNS += %s" % stamp)
        print("%s: %s" % (stamp, " ".join(files)))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
