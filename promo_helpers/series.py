"""The runs of the series: one notebook with one set of parameters each, one after the other or side by side.

A run writes into a folder of its own, build/running/<run>.<process>/. When it has come to its end, its files move to the results, the
ledger behind all others and the executed copy, which is Make's witness, at the very end. So a run that fails or is killed leaves the
earlier results as they were. The copy bears the time at which the run began: what was edited meanwhile is newer, and is run again.

The copy also holds the seal of its run: what it was run with, what it opened of other runs, and the hashes of what it wrote. `make check`
compares it with the files that lie there, and names those that another run or a hand has changed.
"""

import ast
import hashlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from graphlib import TopologicalSorter
from pathlib import Path
from types import ModuleType
from typing import Any

import yaml

from promo_helpers import depends, paths
from promo_helpers.depends import notebook_of
from promo_helpers.files import alive, move_into, remove, take, write_text, written_whole

# the same bytes on every run and every machine: no time of day in a figure, no random order in a set; and pictures in the executed copy
FIXED = {
    "PYTHONHASHSEED": "0",
    "SOURCE_DATE_EPOCH": "1704067200",
    "MPLBACKEND": "module://matplotlib_inline.backend_inline",
}
# folders that several runs write to; any other is one result, and replaced whole
SHARED = ("data/campaigns", "data/models", "data/numbers", "data/processed", "data/raw", "data/tables", "figures", "build/twin")
# errors whose sentence is written for people and needs no trace
USER_ERRORS = (
    "RequestError",
    "ExperimentError",
    "NotAvailable",
    "OtherShop",
    "ParameterError",
    "ResponseError",
    "ShopError",
    "Unreadable",
)
ENDED = "Ended"  # of the report, which a run raises that ends early and well
SEAL = "promo"  # the key of the seal in the metadata of an executed notebook
ENGINE = "counted"  # papermill's own, with progress
EVERY = 30.0  # seconds between two lines of progress in a log
SECOND = 1.0  # and between two states of a line that lives

RENAMED = {  # notebook -> parameter as version 0.1 called it -> its name now
    "02_shop": {"least": "minimum"},
    "04_recommendation": {"least": "minimum", "judged": "evaluated"},
    "07_lifetime": {"told": "scored"},
    "16_explanation": {"beside": "background", "listed_beside": "list_background", "half": "budget_share"},
    "17_fairness": {"even": "parity_attribute", "allowed": "tolerance", "spent": "budget_share", "least": "minimum"},
}


def current_parameters(notebook: str, parameters: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Parameters by their present names, and a sentence for each that came by an earlier one."""
    names = RENAMED.get(notebook, {})
    sentences = [
        f"{notebook}: the parameter {n} is called {names[n]} now; the earlier name is understood until release {depends.UNTIL}"
        for n in parameters
        if n in names
    ]
    return {names.get(n, n): value for n, value in parameters.items()}, sentences


def profile(name: str) -> dict[str, dict[str, Any]]:
    """The runs of a profile: name of the run -> its parameters.

    Raises Unreadable where there is no such profile.
    """
    listed = yaml.safe_load(depends.profile_file(name).read_text(encoding="utf-8"))
    runs: dict[str, dict[str, Any]] = {}
    for run, parameters in listed.items():
        notebook = next((n for n in RENAMED if run == n or run.startswith(f"{n}_")), "")
        runs[run], sentences = current_parameters(notebook, parameters or {})
        print(*sentences, sep="\n", end="\n" * bool(sentences), file=sys.stderr)
    return runs


def execute(run: str, parameters: dict[str, Any], stamp: Path, *, of_profile: bool = True) -> None:
    """Execute a run's notebook into `stamp`.

    Where it fails, the half-executed copy lies beside it as <run>.failed.ipynb.
    The run's own ledger is the proof that it was this run that wrote, and not a second one under the name of another. A run with other
    parameters than its profile's is marked as old, so that `make paper` makes it again.
    """
    papermill = _papermill()
    _register_engine()
    began = time.time() if of_profile else 1
    notebook, ledger = notebook_of(run), depends.ledger_of(run)
    failed = stamp.with_suffix(".failed.ipynb")
    failed.unlink(missing_ok=True)
    with written_whole(stamp) as scratch, _own_folder(run) as own:
        try:
            papermill.execute_notebook(
                str(notebook),
                str(scratch),
                parameters=parameters,
                kernel_name="python3",
                cwd=str(paths.notebooks()),
                progress_bar=False,
                engine_name=ENGINE,
                promo_run=run,
            )
        except papermill.PapermillExecutionError as error:
            if error.ename != ENDED:
                os.replace(scratch, failed)
                if error.ename in USER_ERRORS:
                    sys.exit(f"{run}: {error.evalue}")
                place = place_of(notebook, error.source, error.cell_index)
                quoted = error.ename == "KeyError"  # which alone quotes its own words
                message = error.evalue.strip("\"'") if quoted else error.evalue
                print(f"\n{run} stopped in {place}: {error.ename}: {message}", file=sys.stderr)
                sys.exit(f"The notebook up to there, with the whole trace: {paths.display_path(failed)}")
            _without_error(scratch)
            print(f"  {run}: not available: {error.evalue}", flush=True)
        written = own / ledger.relative_to(paths.out())
        if not written.is_file():
            sys.exit(
                f"{run} has not written {paths.display_path(ledger)}, so that its results would be another run's and are not taken: "
                f"Report(...) in {paths.display_path(notebook)} and the run's name in the profile must agree"
            )
        printed = [f for kind in ("data/tables", "figures") if (own / kind).is_dir() for f in (own / kind).iterdir()]
        put_seal(scratch, seal(own, [written, *printed], parameters))
        remove(own / paths.OPENED)
        os.utime(scratch, (began, began))
        stamp.unlink(missing_ok=True)  # from here on results change: a run that is killed now is made again
        with written_whole(ledger) as last:
            take(written, last)
            move_into(own, paths.out(), SHARED)


@contextmanager
def _own_folder(run: str) -> Iterator[Path]:
    """The folder that the kernels of this process write to while the block lasts.

    Those of processes that were killed are removed.
    """
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


def _without_error(executed: Path) -> None:
    """Take papermill's marks of an error out of a notebook that ended on purpose (`Report.ends_on`)."""
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


def typed_parameters(notebook: Path, typed: Iterable[str]) -> dict[str, Any]:
    """Parameters typed as name=value, each as the kind of value that the notebook's own parameter has.

    Exits with a sentence for a name that the notebook has not, and for a value of another kind.
    """
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    sources = ["".join(c["source"]) for c in cells if "parameters" in c["metadata"].get("tags", [])]
    assigned = [s for source in sources for s in ast.parse(source).body if isinstance(s, ast.Assign)]
    own = {t.id: ast.literal_eval(s.value) for s in assigned for t in s.targets if isinstance(t, ast.Name)}
    values: dict[str, Any] = {}
    for text in typed:
        name, _, value = text.partition("=")
        now, sentences = current_parameters(notebook.stem, {name: value})
        print(*sentences, sep="\n", end="\n" * bool(sentences))
        [name] = now
        if name not in own:
            sys.exit(f"{paths.display_path(notebook)} has no parameter `{name}`; it has: {', '.join(own)}")
        kind = type(own[name])
        try:
            values[name] = value if kind is str else kind(ast.literal_eval(value))
        except (ValueError, SyntaxError, TypeError):
            sys.exit(f"{name}={value}: the parameter `{name}` of {paths.display_path(notebook)} is of the kind of {own[name]!r}")
    return values


def place_of(notebook: Path, source: str, about: int) -> str:
    """A cell as a person finds it in the notebook, "cell 4 (shop = load_shop(...))".

    Papermill's own count is off by what it adds.
    """
    sources = ["".join(cell["source"]) for cell in json.loads(notebook.read_text(encoding="utf-8"))["cells"]]
    same = [i for i, cell in enumerate(sources) if cell == source]
    number = min(same, key=lambda i: abs(i - about), default=about) + 1
    return f"cell {number} ({next(iter(source.strip().splitlines()), '')})"


def _quiet_ipython() -> Path:
    """A folder of IPython's for the runs: no personal settings, no warning about a loopback socket."""
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


def run_of(profile_name: str, run: str) -> dict[str, Any]:
    """The parameters of a run of a profile.

    Exits with a sentence where there is no such profile, run or notebook.
    """
    try:
        runs = profile(profile_name)
        notebook_of(run)
    except depends.Unreadable as problem:
        sys.exit(str(problem))
    if run not in runs:
        sys.exit(f"The profile '{profile_name}' has no run '{run}'; it has: {', '.join(runs)}")
    return runs[run]


def build(
    runs: Sequence[str],
    profile_name: str,
    *,
    always: Collection[str],
    command: Callable[[str], list[str]],
    jobs: int,
    beside: Sequence[Path] = (),
) -> None:
    """Make runs of a profile that are due, those that they read first, `jobs` of them side by side.

    always: runs that are made in any case. command: what makes a run, as a command line. beside: further files that all runs are made
    again for. Exits where a run fails, once those that have begun have ended.
    """
    graph, todo = TopologicalSorter[str](), list(runs)
    for run in todo:  # grows while it is walked
        read = depends.reads(run, profile_name)
        graph.add(run, *read)
        todo += [name for name in read if name not in todo]
    graph.prepare()
    made, failed, begun = set[str](), list[str](), dict[Future[int], str]()
    with ThreadPoolExecutor(jobs) as pool:
        while graph.is_active() and not (failed and not begun):
            for run in () if failed else graph.get_ready():
                needed = run in always or depends.due(run, profile_name, beside) or made & set(depends.reads(run, profile_name))
                if needed:
                    made.add(run)
                begun[pool.submit(_call, command(run) if needed else [])] = run
            for ended in wait(begun, return_when=FIRST_COMPLETED).done:
                run = begun.pop(ended)
                if ended.result():
                    failed.append(run)
                else:
                    graph.done(run)
    if failed:
        sys.exit(f"Not made: {', '.join(failed)}, and what reads it")


def _call(command: list[str]) -> int:
    """The exit code of a command line; 0 for none."""
    return subprocess.run(command, check=False).returncode if command else 0


def seal(folder: Path, files: Iterable[Path], parameters: dict[str, Any]) -> dict[str, Any]:
    """Parameters, what was opened, and SHA-256 of the files that are there by path below `folder`."""
    written = {f.relative_to(folder).as_posix(): _hash(f) for f in files if f.is_file()}
    notes = folder / paths.OPENED
    opened = sorted(set(notes.read_text(encoding="utf-8").splitlines())) if notes.is_file() else []
    return {"parameters": json.loads(json.dumps(parameters)), "opened": opened, "written": dict(sorted(written.items()))}


def put_seal(notebook: Path, sealed: dict[str, Any]) -> None:
    """Write the seal into an executed notebook."""
    content = json.loads(notebook.read_text(encoding="utf-8"))
    content["metadata"][SEAL] = sealed
    notebook.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def seal_of(notebook: Path) -> dict[str, Any] | None:
    """The seal of an executed notebook; None where it has none or is not whole."""
    try:
        sealed = json.loads(notebook.read_text(encoding="utf-8"))["metadata"][SEAL]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return sealed if isinstance(sealed, dict) and {"parameters", "written"} <= sealed.keys() else None


def altered(folder: Path, sealed: dict[str, Any]) -> list[Path]:
    """The files below `folder` that differ from what the run wrote.

    Those that are gone are not among them.
    """
    files = [(folder / name, hashed) for name, hashed in sealed["written"].items()]
    return [f for f, hashed in files if f.is_file() and _hash(f) != hashed]


def _hash(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def _papermill() -> ModuleType:
    """The module papermill, loaded without the grammar of internationalised addresses.

    jsonschema builds it at every start, for more than a second, and no notebook is checked for such addresses.
    """
    grammar = "rfc3987_syntax"
    absent = grammar not in sys.modules
    if absent:
        sys.modules[grammar] = None  # type: ignore[assignment]  # so that importing it fails, which jsonschema takes for not installed
    try:
        import papermill
    finally:
        if absent:
            del sys.modules[grammar]
    return papermill


def _register_engine() -> None:
    """Register papermill's own engine as ENGINE, with the progress of the run `promo_run` shown."""
    from papermill.engines import NBClientEngine, papermill_engines

    class Counted(NBClientEngine):
        @classmethod
        def execute_managed_notebook(cls, nb_man: Any, kernel_name: str, promo_run: str = "", **options: Any) -> Any:
            with progress(promo_run, lambda: _cells(nb_man.nb.cells)):
                return super().execute_managed_notebook(nb_man, kernel_name, **options)

    papermill_engines.register(ENGINE, Counted)


def _cells(cells: list[Any]) -> tuple[int, int]:
    """How many cells of code are done, and how many there are."""
    code = [c for c in cells if c.cell_type == "code"]
    return sum(c.metadata.get("papermill", {}).get("status") == "completed" for c in code), len(code)


@contextmanager
def progress(run: str, cells: Callable[[], tuple[int, int]]) -> Iterator[None]:
    """Show how far a run is while the block lasts: a living line on a terminal, lines in a log."""
    living, over, start = _alone_on_a_terminal(), threading.Event(), time.monotonic()

    def watch() -> None:
        while not over.wait(SECOND if living else EVERY):
            done, all_of_them = cells()
            line = f"  {run}: {done}/{all_of_them} cells, {time.monotonic() - start:.0f} s"
            print(f"\r\033[K{line}" if living else line, end="" if living else "\n", flush=True)

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join()
        if living:
            print("\r\033[K", end="", flush=True)


def _alone_on_a_terminal() -> bool:
    """Whether a line may be written over: no other run of `make -j` writes to this terminal."""
    return sys.stdout.isatty() and "--jobserver" not in os.environ.get("MAKEFLAGS", "")
