"""Run one notebook with one set of parameters: `python -m promo_helpers.run 02_shop_completejourney --profile paper`.

A run writes into a folder of its own, build/running/<run>.<process>/. When it has come to its end, its files move to the results, the
ledger behind all others and the executed copy, which is Make's witness, at the very end. So a run that fails or is killed leaves the
earlier results as they were. The copy bears the time at which the run began: what was edited meanwhile is newer, and is run again.
"""

import argparse
import ast
import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from promo_helpers import depends, paths, seal
from promo_helpers.depends import notebook_of
from promo_helpers.files import alive, move_into, remove, take, whole, write_text

# the same bytes on every run and every machine: no time of day in a figure, no random order in a set; and pictures in the executed copy
FIXED = {
    "PYTHONHASHSEED": "0",
    "SOURCE_DATE_EPOCH": "1704067200",
    "MPLBACKEND": "module://matplotlib_inline.backend_inline",
}
# folders that several runs write to; any other is one result, and replaced whole
SHARED = ("data/campaigns", "data/models", "data/numbers", "data/processed", "data/raw", "data/tables", "figures", "build/twin")
# errors whose sentence is written for people and needs no trace
FOR_PEOPLE = (
    "AskError",
    "ExperimentError",
    "NotAvailable",
    "OtherShop",
    "ParameterError",
    "ResponseError",
    "ShopError",
    "Unreadable",
)
ENDED = "Ended"  # of the report, which a run raises that ends early and well


def profile(name: str) -> dict[str, dict[str, Any]]:
    """The runs of a profile: name of the run -> its parameters. Raises Unreadable where there is no such profile."""
    listed = yaml.safe_load(depends.profile_file(name).read_text(encoding="utf-8"))
    return {run: parameters or {} for run, parameters in listed.items()}


def execute(run: str, parameters: dict[str, Any], stamp: Path, *, of_profile: bool = True) -> None:
    """Execute a run's notebook into `stamp`. Where it fails, the half-executed copy lies beside it as <run>.failed.ipynb.

    The run's own ledger is the proof that it was this run that wrote, and not a second one under the name of another. A run with other
    parameters than its profile's is marked as old, so that `make paper` makes it again.
    """
    import papermill  # a second of imports that --help does not need

    from promo_helpers import progress

    began = time.time() if of_profile else 1
    notebook, ledger = notebook_of(run), depends.ledger_of(run)
    failed = stamp.with_suffix(".failed.ipynb")
    failed.unlink(missing_ok=True)
    with whole(stamp) as scratch, _own_folder(run) as own:
        try:
            papermill.execute_notebook(
                str(notebook),
                str(scratch),
                parameters=parameters,
                kernel_name="python3",
                cwd=str(paths.notebooks()),
                progress_bar=False,
                engine_name=progress.ENGINE,
                promo_run=run,
            )
        except papermill.PapermillExecutionError as error:
            if error.ename != ENDED:
                os.replace(scratch, failed)
                if error.ename in FOR_PEOPLE:
                    sys.exit(f"{run}: {error.evalue}")
                place = place_of(notebook, error.source, error.cell_index)
                said = (
                    error.evalue.strip("\"'") if error.ename == "KeyError" else error.evalue
                )  # which alone quotes its own words
                print(f"\n{run} stopped in {place}: {error.ename}: {said}", file=sys.stderr)
                sys.exit(f"The notebook up to there, with the whole trace: {paths.shown(failed)}")
            without_error(scratch)
            print(f"  {run}: not available: {error.evalue}", flush=True)
        written = own / ledger.relative_to(paths.out())
        if not written.is_file():
            sys.exit(
                f"{run} has not written {paths.shown(ledger)}, so that its results would be another run's and are not taken: "
                f"Report(...) in {paths.shown(notebook)} and the run's name in the profile must agree"
            )
        printed = [f for kind in ("data/tables", "figures") if (own / kind).is_dir() for f in (own / kind).iterdir()]
        seal.put(scratch, seal.seal(own, [written, *printed], parameters))
        os.utime(scratch, (began, began))
        stamp.unlink(missing_ok=True)  # from here on results change: a run that is killed now is made again
        with whole(ledger) as last:
            take(written, last)
            move_into(own, paths.out(), SHARED)


@contextmanager
def _own_folder(run: str) -> Iterator[Path]:
    """The folder that the kernels of this process write to while the block lasts; those of processes that were killed are removed."""
    own = paths.out() / "build" / "running" / f"{run}.{os.getpid()}"
    for left in own.parent.glob("*.*"):
        if left.suffix[1:].isdigit() and not alive(int(left.suffix[1:])):
            remove(left)
    own.mkdir(parents=True)
    before = os.environ.get("PROMO_WRITE")
    os.environ["PROMO_WRITE"] = str(own)
    try:
        yield own
    finally:
        remove(own)
        os.environ.pop("PROMO_WRITE")
        if before is not None:
            os.environ["PROMO_WRITE"] = before


def without_error(executed: Path) -> None:
    """Take papermill's marks of an error out of an executed notebook that ended on purpose (`Report.ends_on`)."""
    notebook = json.loads(executed.read_text(encoding="utf-8"))
    marks = {"papermill-error-cell-tag"}
    notebook["cells"] = [c for c in notebook["cells"] if not marks & set(c["metadata"].get("tags", []))]
    notebook["metadata"].get("papermill", {}).pop("exception", None)
    executed.write_text(json.dumps(notebook, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def parameters_of(notebook: Path) -> set[str]:
    """Names of a notebook's parameters: what is assigned in its cell with the tag `parameters`."""
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    sources = ["".join(c["source"]) for c in cells if "parameters" in c["metadata"].get("tags", [])]
    assigned = [s for source in sources for s in ast.parse(source).body if isinstance(s, ast.Assign)]
    return {target.id for s in assigned for target in s.targets if isinstance(target, ast.Name)}


def margin_of(text: str) -> float:
    """A margin as typed, 0 for none. Exits with a sentence where it is no share of the price."""
    try:
        margin = float(text or 0)
    except ValueError:
        margin = -1.0
    if text and not 0 < margin < 1:
        sys.exit(f"MARGIN={text}: the margin is a share of the price between 0 and 1, such as .25")
    return margin


def told(notebook: Path, given: list[str]) -> dict[str, Any]:
    """Parameters typed as name=value, each as the kind of value that the notebook's own parameter has.

    Exits with a sentence for a name that the notebook has not, and for a value of another kind.
    """
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    sources = ["".join(c["source"]) for c in cells if "parameters" in c["metadata"].get("tags", [])]
    assigned = [s for source in sources for s in ast.parse(source).body if isinstance(s, ast.Assign)]
    own = {t.id: ast.literal_eval(s.value) for s in assigned for t in s.targets if isinstance(t, ast.Name)}
    found: dict[str, Any] = {}
    for text in given:
        name, _, value = text.partition("=")
        if name not in own:
            sys.exit(f"{paths.shown(notebook)} has no parameter `{name}`; it has: {', '.join(own)}")
        kind = type(own[name])
        try:
            found[name] = value if kind is str else kind(ast.literal_eval(value))
        except (ValueError, SyntaxError, TypeError):
            sys.exit(f"{name}={value}: the parameter `{name}` of {paths.shown(notebook)} is of the kind of {own[name]!r}")
    return found


def place_of(notebook: Path, source: str, about: int) -> str:
    """A cell as a person finds it in the notebook, "cell 4 (shop = load_shop(...))"; papermill's own count is off by what it adds."""
    sources = ["".join(cell["source"]) for cell in json.loads(notebook.read_text(encoding="utf-8"))["cells"]]
    same = [i for i, cell in enumerate(sources) if cell == source]
    number = min(same, key=lambda i: abs(i - about), default=about) + 1
    return f"cell {number} ({next(iter(source.strip().splitlines()), '')})"


def _quiet_ipython() -> Path:
    """A folder of IPython's own for the runs: nobody's personal settings, and no warning per kernel about its loopback socket."""
    folder = paths.ROOT / "build" / "ipython"
    write_text(folder / "profile_default" / "ipython_kernel_config.py", 'c.IPKernelApp.log_level = "CRITICAL"\n')
    return folder


def start(run: str, parameters: dict[str, Any], stamp: Path, *, of_profile: bool = True) -> None:
    """Execute a run in the environment that all runs have, and say how long it took."""
    os.environ.update(FIXED)
    os.environ["IPYTHONDIR"] = str(_quiet_ipython())
    began = time.perf_counter()
    print(f"  {run} ...", flush=True)
    execute(run, parameters, stamp, of_profile=of_profile)
    print(f"  {run} done in {time.perf_counter() - began:.0f} s", flush=True)


def main() -> None:
    """The command line; see the module's first line."""
    parser = argparse.ArgumentParser(description="Run one notebook with the parameters of a profile.")
    parser.add_argument("run", help="such as 02_shop_completejourney")
    parser.add_argument("--profile", default="paper")
    parser.add_argument("--stamp", type=Path, help="where the executed copy goes")
    parser.add_argument("--shop", help="a folder of CSV or Parquet files, in place of the profile's data")
    parser.add_argument("--currency", default="LKR", help="of the prices in --shop")
    parser.add_argument("--margin", default="", help="share of the price that is not cost, for products in --shop that name none")
    parser.add_argument("--product", help="the product that the notebook looks at, by name; for notebooks with that parameter")
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="any parameter of the notebook, repeatable"
    )
    options = parser.parse_args()
    try:
        runs = profile(options.profile)
        notebook_of(options.run)
    except depends.Unreadable as problem:
        sys.exit(str(problem))
    if options.run not in runs:
        sys.exit(f"The profile '{options.profile}' has no run '{options.run}'; it has: {', '.join(runs)}")
    parameters = runs[options.run]
    if options.shop:
        parameters = {**parameters, "folder": str(Path(options.shop).expanduser().resolve()), "currency": options.currency}
        parameters = {**parameters, "margin": margin_of(options.margin)}
    if options.product:
        if "product" not in parameters_of(notebook_of(options.run)):
            sys.exit(f"{paths.shown(notebook_of(options.run))} has no parameter `product`, so that it cannot look at one")
        parameters = {**parameters, "product": options.product}
    parameters = {**parameters, **told(notebook_of(options.run), options.set)}
    typed = bool(options.product or options.set)
    start(options.run, parameters, options.stamp or depends.stamp_of(options.run, options.profile), of_profile=not typed)


if __name__ == "__main__":
    main()
