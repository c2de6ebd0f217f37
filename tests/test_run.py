"""One run: what it refuses, how it says where it stopped, and what LaTeX's log comes down to."""

import ast
import base64
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import psutil
import pytest
from jupyter_client import KernelManager

from promo_helpers import __main__ as command_line
from promo_helpers import depends, paths, series
from promo_helpers.files import alive
from promo_helpers.paper import first_error

ROOT = paths.ROOT

PARAMETERS = {"cell_type": "code", "metadata": {"tags": ["parameters"]}, "source": 'data = "a"\nwriter = "shop"'}
WRITES = {
    "cell_type": "code",
    "metadata": {},
    "source": 'from promo_helpers import files, paths\nfiles.write_text(paths.data("numbers", f"{writer}_{data}.json"), "{}")',
}
FAILS = {"cell_type": "code", "metadata": {}, "source": "\n1 / 0  # here"}
PROSE = {"cell_type": "markdown", "metadata": {}, "source": "# A title"}


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "ROOT", tmp_path)
    monkeypatch.setenv("PROMO_OUT", str(tmp_path))
    (tmp_path / "notebooks" / "profiles").mkdir(parents=True)
    return tmp_path


def notebook(project, *cells):
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    whole = [{"id": f"c{i}", **c, **({"outputs": [], "execution_count": None} if c["cell_type"] == "code" else {})}
             for i, c in enumerate(cells)]  # fmt: skip
    text = json.dumps({"cells": whole, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5})
    (project / "notebooks" / "02_shop.ipynb").write_text(text)


@pytest.mark.slow
def test_a_run_that_writes_another_runs_ledger_is_refused(project):
    notebook(project, PROSE, PARAMETERS, WRITES)
    stamps = {name: project / "build" / f"02_shop_{name}.ipynb" for name in "ab"}
    series.execute("02_shop_a", {}, stamps["a"])
    assert stamps["a"].is_file()
    (project / "data" / "numbers" / "shop_b.json").write_text("left by an earlier execution")
    with pytest.raises(SystemExit) as stop:
        series.execute("02_shop_b", {"data": "a"}, stamps["b"])
    assert str(stop.value) == (
        "02_shop_b has not written data/numbers/shop_b.json, so that its results would be another run's and are not taken: "
        "Report(...) in notebooks/02_shop.ipynb and the run's name in the profile must agree"
    )
    assert not stamps["b"].exists()
    assert (project / "data" / "numbers" / "shop_b.json").read_text() == "left by an earlier execution"


@pytest.mark.slow
def test_the_stamp_bears_the_time_at_which_the_run_began(project):
    notebook(project, PARAMETERS, WRITES)
    series.execute("02_shop_a", {}, project / "stamp.ipynb")
    assert (project / "stamp.ipynb").stat().st_mtime <= (project / "data" / "numbers" / "shop_a.json").stat().st_mtime
    os.utime(project / "notebooks" / "02_shop.ipynb")
    assert (project / "stamp.ipynb").stat().st_mtime < (project / "notebooks" / "02_shop.ipynb").stat().st_mtime


@pytest.mark.slow
def test_a_run_that_fails_leaves_the_earlier_results_as_they_were(project):
    notebook(project, PARAMETERS, WRITES)
    series.execute("02_shop_a", {}, project / "stamp.ipynb")
    before = {p: (p.read_bytes(), p.stat().st_mtime_ns) for p in project.rglob("*") if p.is_file() and "notebooks" not in p.parts}
    assert project / "data" / "numbers" / "shop_a.json" in before
    other = {**WRITES, "source": WRITES["source"].replace('"{}"', '"other"')}
    notebook(project, PARAMETERS, other, FAILS)
    with pytest.raises(SystemExit):
        series.execute("02_shop_a", {}, project / "stamp.ipynb")
    (project / "stamp.failed.ipynb").unlink()
    after = {p: (p.read_bytes(), p.stat().st_mtime_ns) for p in project.rglob("*") if p.is_file() and "notebooks" not in p.parts}
    assert after == before
    assert not list((project / "build" / "running").iterdir())


READS = {
    "cell_type": "code",
    "metadata": {},
    "source": "from promo_helpers import files, paths\n"
    'assert paths.find("models", "m", "old").read_text() == "old"\n'
    'paths.note_opened(paths.find("models", "m"))\n'
    'files.write_text(paths.data("models", "m", "new"), "new")\n'
    'assert [f.name for f in paths.find("models", "m").iterdir()] == ["new"]\n'
    'paths.note_opened(paths.find("models", "m"))\n'
    'print(paths.display_path(paths.data("models", "m")))',
}


@pytest.mark.slow
def test_a_run_reads_the_results_and_replaces_a_folder_whole(project):
    (project / "data" / "models" / "m").mkdir(parents=True)
    (project / "data" / "models" / "m" / "old").write_text("old")
    (project / "data" / "models" / "other").mkdir()
    notebook(project, PARAMETERS, READS, WRITES)
    series.execute("02_shop_a", {}, project / "stamp.ipynb")
    assert {p.name for p in (project / "data" / "models").rglob("*")} == {"m", "new", "other"}
    cells = json.loads((project / "stamp.ipynb").read_text())["cells"]
    said = ["".join(o["text"]) for c in cells for o in c.get("outputs", []) if o["output_type"] == "stream"]
    assert said == [f"{project}/data/models/m\n"]
    assert series.seal_of(project / "stamp.ipynb")["opened"] == ["data/models/m"], "of the earlier results, not of its own"
    assert not (project / paths.OPENED).exists()


def test_a_run_that_writes_on_another_file_system_moves_its_ledger_too(project):
    other = Path("/dev/shm")
    if not (os.access(other, os.W_OK) and other.stat().st_dev != project.stat().st_dev):
        pytest.skip("this machine has no second file system to write to")
    with tempfile.TemporaryDirectory(dir=other) as build:
        (project / "build").symlink_to(build)
        notebook(project, PARAMETERS, WRITES)
        series.execute("02_shop_a", {}, project / "stamp.ipynb")
        assert [f.name for f in (project / "data" / "numbers").iterdir()] == ["shop_a.json"]
        assert not list((project / "build" / "running").iterdir())
    assert (project / "data" / "numbers" / "shop_a.json").read_text() == "{}"


@pytest.mark.slow
def test_what_a_killed_run_left_is_removed_and_that_of_a_living_one_stays(project):
    running = project / "build" / "running"
    dead = subprocess.Popen(["true"])
    dead.wait()
    for number in (dead.pid, os.getppid()):
        (running / f"03_other.{number}").mkdir(parents=True)
    notebook(project, PARAMETERS, WRITES)
    series.execute("02_shop_a", {}, project / "stamp.ipynb")
    assert [p.name for p in running.iterdir()] == [f"03_other.{os.getppid()}"]


@pytest.mark.slow
def test_a_run_is_sealed_and_other_parameters_than_the_profiles_make_it_old(project):
    notebook(project, PARAMETERS, WRITES)
    series.execute("02_shop_b", {"data": "b"}, project / "stamp.ipynb", of_profile=False)
    sealed = series.seal_of(project / "stamp.ipynb")
    assert sealed["parameters"] == {"data": "b"}
    assert list(sealed["written"]) == ["data/numbers/shop_b.json"]
    assert series.altered(project, sealed) == []
    (project / "data" / "numbers" / "shop_b.json").write_text("{ }")
    assert series.altered(project, sealed) == [project / "data" / "numbers" / "shop_b.json"]
    assert (project / "stamp.ipynb").stat().st_mtime < (project / "notebooks" / "02_shop.ipynb").stat().st_mtime


DRAWS = {
    "cell_type": "code",
    "metadata": {},
    "source": "import matplotlib.pyplot as plt\nfrom promo_helpers import style\nstyle.use()\n"
    "figure, axis = plt.subplots(figsize=(style.WIDTH, 2))\naxis.plot([1, 2])\nassert plt.rcParams['legend.frameon'] is False",
}


def pictures_of(project, monkeypatch, *cells) -> list[str]:
    """The PNG files, in base64, that a notebook of these cells shows when it has run, in order."""
    for name, value in series.FIXED.items():
        monkeypatch.setenv(name, value)
    notebook(project, PARAMETERS, *cells)
    series.execute("02_shop_a", {}, project / "stamp.ipynb")
    executed = json.loads((project / "stamp.ipynb").read_text())["cells"]
    return [o["data"]["image/png"] for c in executed for o in c.get("outputs", []) if "image/png" in o.get("data", {})]


@pytest.mark.slow
def test_an_executed_notebook_shows_its_pictures_once_and_small(project, monkeypatch):
    pictures = pictures_of(project, monkeypatch, DRAWS, WRITES)
    assert len(pictures) == 1
    assert 2_000 < len(pictures[0]) < 100_000


SAVES = {
    "cell_type": "code",
    "metadata": {},
    "source": "from promo_helpers.report import Report\nfigure, axis = plt.subplots()\naxis.plot([1, 2])\n"
    "Report('shop', data='a').save_figure(figure, 'line')\nassert not plt.get_fignums()",
}


@pytest.mark.slow
def test_a_saved_figure_is_shown_as_it_was_saved_and_once(project, monkeypatch):
    shown = pictures_of(project, monkeypatch, DRAWS, SAVES)[1:]  # the first is the figure that is drawn and not saved
    [saved] = project.rglob("shop_a_line.png")
    assert [base64.b64decode(picture) for picture in shown] == [saved.read_bytes()]


ASKS = {
    "cell_type": "code",
    "metadata": {},
    "source": "from promo_helpers import inputs\ninputs.check_parameters(k=(0, inputs.whole_number(1)))",
}


@pytest.mark.slow
def test_an_error_that_is_meant_for_people_is_one_sentence(project, capsys):
    notebook(project, PARAMETERS, ASKS)
    with pytest.raises(SystemExit) as stop:
        series.execute("02_shop_a", {}, project / "stamp.ipynb")
    assert str(stop.value) == "02_shop_a: k = 0: must be a whole number of at least 1"
    assert capsys.readouterr().err == ""


@pytest.mark.slow
def test_the_errors_for_people_are_classes_of_the_package():
    named = {node.name for file in (ROOT / "promo_helpers").rglob("*.py") for node in ast.parse(file.read_text(encoding="utf-8")).body
             if isinstance(node, ast.ClassDef)}  # fmt: skip
    assert set(series.USER_ERRORS) <= named


@pytest.mark.parametrize(
    ("terminal", "flags", "lines"),
    [
        (False, "", ["  02_shop: 3/8 cells, 0 s\n"]),
        (True, " -j2 --jobserver-auth=3,4", ["  02_shop: 3/8 cells, 0 s\n"]),
        (True, "", ["\r\033[K  02_shop: 3/8 cells, 0 s", "\r\033[K"]),
    ],
)
def test_progress_is_a_line_that_lives_or_lines_of_a_log(capsys, monkeypatch, terminal, flags, lines):
    monkeypatch.setattr(series, "EVERY", 0.01)
    monkeypatch.setattr(series, "SECOND", 0.01)
    monkeypatch.setattr("sys.stdout.isatty", lambda: terminal, raising=False)
    monkeypatch.setenv("MAKEFLAGS", flags)
    seen = threading.Event()

    def cells():
        seen.set()
        return 3, 8

    with series.progress("02_shop", cells):
        assert seen.wait(10)
    said = capsys.readouterr().out
    assert all(line in said for line in lines)
    assert said.endswith(lines[-1])


def kernel(project, code, **environment):
    """What a kernel prints that nothing of Make has prepared, as JupyterLab starts it."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("PROMO_") and not k.endswith("_NUM_THREADS")}
    manager = KernelManager(kernel_name="python3")
    manager.start_kernel(env={**kept, "PROMO_OUT": str(project), **environment}, cwd=str(project))
    client = manager.blocking_client()
    said = []
    try:
        client.start_channels()
        client.wait_for_ready(timeout=120)
        hook = lambda m: said.append(m["content"].get("text") or "\n".join(m["content"].get("traceback", [])))  # noqa: E731
        client.execute_interactive(
            code, timeout=120, output_hook=lambda m: hook(m) if m["msg_type"] in ("stream", "error") else None
        )
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
    return "".join(said)


PLAIN = """
import numpy as np
import scipy.linalg
from promo_helpers import paths
from promo_helpers.report import Report
from threadpoolctl import threadpool_info
import sklearn.linear_model
print({i["num_threads"] for i in threadpool_info() if i["user_api"] == "blas"})
report = Report("shop", data="a", seed=2)
print(paths.display_path(paths.ledger("shop_a")), paths.find("models", "m").read_text())
"""


@pytest.mark.slow
@pytest.mark.skipif(os.cpu_count() == 1, reason="on one core no library asks for a second thread")
def test_a_plain_kernel_counts_on_one_thread_and_writes_to_a_place_of_its_own(project):
    for place in (project / "data" / "models" / "m", project / "data" / "numbers" / "shop_a.json"):
        place.parent.mkdir(parents=True)
        place.write_text("the result's own")
    said = kernel(project, PLAIN).splitlines()
    assert said == ["{1}", f"{project}/build/explore/data/numbers/shop_a.json the result's own"]
    assert (project / "data" / "numbers" / "shop_a.json").read_text() == "the result's own"
    assert json.loads((project / "build" / "explore" / "data" / "numbers" / "shop_a.json").read_text())["seed"] == 2


EXPLORED = """
from promo_helpers import paths
from promo_helpers.report import Report
Report("shop", data="a")  # whose ledger of the last time is not what is read
print(paths.find("models", "n").read_text())
print(paths.find("raw", "own", "m").read_text(), paths.find("raw", "own", "m").read_text(), paths.find("models", "m").read_text())
"""


def explored(project):
    """A result, and two that somebody has explored, one of the same name."""
    aside = project / "build" / "explore" / "data"
    texts = {project / "data" / "models" / "n": "result", aside / "models" / "m": "mine", aside / "raw" / "own" / "m": "mine"}
    texts |= {aside / "numbers" / "shop_a.json": "{}", project / "data" / "raw" / "own" / "m": "result"}
    for place, text in texts.items():
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)


def test_a_kernel_that_reads_what_was_explored_says_so_once(project):
    explored(project)
    said = kernel(project, EXPLORED).splitlines()
    aside = f"{project}/build/explore"
    line = f"Read from {aside} (results of your own exploring; rm -r {aside} to go back): data/raw/own/m"
    assert sorted(said) == sorted(["result", line, "mine mine mine"])


def test_a_run_of_make_reads_results_and_says_nothing(project, monkeypatch, capsys):
    explored(project)
    monkeypatch.setattr(paths, "_interactive", lambda: True)
    monkeypatch.setattr(paths, "_told", [])
    monkeypatch.setenv("PROMO_WRITE", str(project / "build" / "running" / "x"))
    assert paths.find("raw", "own", "m").read_text() == "result"
    assert capsys.readouterr().err == ""
    monkeypatch.delenv("PROMO_WRITE")
    assert paths.find("raw", "own", "m").read_text() == "mine"
    assert "Read from" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("parameters", [{}, {"data": "b"}])
def test_a_failed_run_names_the_cell_as_a_person_counts_it(project, capsys, parameters):
    notebook(project, PROSE, PARAMETERS, PROSE, FAILS)
    with pytest.raises(SystemExit) as stop:
        series.execute("02_shop_a", parameters, project / "stamp.ipynb")
    assert "\n02_shop_a stopped in cell 4 (1 / 0  # here): ZeroDivisionError: division by zero\n" in capsys.readouterr().err
    assert str(stop.value) == "The notebook up to there, with the whole trace: stamp.failed.ipynb"
    assert not (project / "stamp.ipynb").exists()


def test_the_longest_name_is_the_notebook_of_a_run(project):
    for name in ("02_shop", "02_shop_own", "07_own_shop"):
        (project / "notebooks" / f"{name}.ipynb").write_text("{}")
    assert depends.notebook_of("02_shop_own_b").stem == "02_shop_own"
    assert depends.notebook_of("02_shop_completejourney").stem == "02_shop"
    with pytest.raises(depends.Unreadable, match="No notebook belongs to the run '02_shops'"):
        depends.notebook_of("02_shops")


LOOKS = {"cell_type": "code", "metadata": {}, "source": 'assert product == "White \\"B\\" $Bread", product'}
TAKES = {**PARAMETERS, "source": PARAMETERS["source"] + '\nproduct = ""  # a name'}


@pytest.fixture
def command(project, monkeypatch):
    """A function that runs `python -m promo_helpers run 02_shop_a --alone` with further options."""
    (project / "notebooks" / "profiles" / "paper.yml").write_text("02_shop_a: {}\n")
    for name in (*series.FIXED, "IPYTHONDIR"):
        monkeypatch.setenv(name, os.environ.get(name, ""))  # so that what the command sets is taken back

    def call(*options):
        command_line.main(["run", "02_shop_a", "--alone", *options], standalone_mode=False)

    return call


@pytest.mark.slow
def test_a_product_of_the_command_line_reaches_the_notebook(project, command):
    notebook(project, PROSE, TAKES, LOOKS, WRITES)
    command('--product=White "B" $Bread')
    assert depends.stamp_of("02_shop_a", "paper").is_file()


@pytest.mark.slow
def test_a_notebook_that_takes_no_product_says_so(project, command):
    notebook(project, PROSE, PARAMETERS, WRITES)
    with pytest.raises(SystemExit) as stop:
        command("--product", "White Bread")
    assert str(stop.value) == "notebooks/02_shop.ipynb has no parameter `product`; it has: data, writer"
    command()


@pytest.mark.slow
def test_an_unknown_product_is_answered_with_the_nearest_in_one_line(project, command, capsys):
    asks = {**LOOKS, "source": 'from promo_helpers.shop.shop import find_name\nfind_name(product, ["White Bread", "Jam"])'}
    notebook(project, PROSE, TAKES, asks, WRITES)
    with pytest.raises(SystemExit):
        command("--product", "Whit Bread")
    said = capsys.readouterr().err
    assert "KeyError: no product is called 'Whit Bread'; the nearest: White Bread\n" in said
    assert "Traceback" not in said


@pytest.mark.slow
def test_make_hands_a_product_to_the_notebook_asked_for_alone(tmp_path):
    words = [
        "make",
        "--no-print-directory",
        "-n",
        "-C",
        str(paths.ROOT),
        "N=04_recommendation",
        "PROFILE=smoke",
        "OUT=build/none",
    ]
    said = subprocess.run([*words, "notebook", "PRODUCT=M&M's"], capture_output=True, text=True, check=True).stdout
    lines = [line for line in said.splitlines() if "-m promo_helpers run" in line]
    asked = [line for line in lines if '--product="$PRODUCT"' in line]
    assert asked
    assert all("04_recommendation" in line for line in asked)
    assert any("01_market" in line for line in lines if line not in asked)


LOG = r"""(./sections/data.tex
paper/sections/data.tex:5: Package numbers Error: no run has recorded 'shop.lost'.

See the numbers package documentation for explanation.
Type  H <return>  for immediate help.
 ...

l.5 We find \val{shop.lost}
                            and more
Run `make check` for a list.

paper/sections/data.tex:5:  ==> Fatal error occurred, no output PDF file produced!
Here is how much of TeX's memory you used:
 9999 strings out of 476041
"""


def test_of_latex_only_the_error_and_its_place_are_shown():
    assert first_error(LOG) == (
        "paper/sections/data.tex:5: Package numbers Error: no run has recorded 'shop.lost'.\n"
        "l.5 We find \\val{shop.lost}\n                            and more"
    )
    assert first_error("text\n! Emergency stop.\n<*> main.tex\n\nHere is how much") == "! Emergency stop."


def test_imports_are_found_wherever_a_statement_may_stand(project):
    source = (
        "try:\n    from promo_helpers import a\nexcept ImportError:\n    import promo_helpers.b\n"
        "def f():\n    if True:\n        from promo_helpers.c import name\n"
        "class K:\n    def g(self):\n        with open('x') as x:\n            from promo_helpers import d\n"
        "match 1:\n    case 1:\n        import promo_helpers.e\n"
    )
    (project / "promo_helpers").mkdir()
    for name in ("__init__", *"abcde"):
        (project / "promo_helpers" / f"{name}.py").write_text("")
    assert {p.stem for p in depends.modules(source)} == {"__init__", *"abcde"}


def test_a_module_that_changes_is_read_again(project):
    (project / "promo_helpers").mkdir()
    for name in ("a", "b", "c"):
        (project / "promo_helpers" / f"{name}.py").write_text("")
    file = project / "promo_helpers" / "a.py"
    file.write_text("import promo_helpers.b\n")
    assert {p.stem for p in depends.closure([file])} == {"a", "b"}
    file.write_text("import promo_helpers.c\n")
    os.utime(file, ns=(1, 1))
    assert {p.stem for p in depends.closure([file])} == {"a", "c"}


@pytest.fixture
def three(project):
    """Three notebooks, the third reads what the first makes, and one run of each that lacks everything."""
    names = ("01_a", "02_b", "03_c")
    for name in names:
        (project / "notebooks" / f"{name}.ipynb").write_text(json.dumps({"cells": []}))
    (project / "requirements.lock").write_text("")
    (project / "notebooks" / "series.yml").write_text("01_a:\n  makes: [x]\n02_b:\n  reads: []\n03_c:\n  reads: [x]\n")
    (project / "notebooks" / "profiles" / "paper.yml").write_text("".join(f"{name}: {{}}\n" for name in names))
    return project


def build(project, *wanted, fails="", always=()):
    """The runs that were begun, in their order; what fails ends with 1."""
    begun = []

    def command(run):
        begun.append(run)
        return [sys.executable, "-c", f"import sys; sys.exit({int(run == fails)})"]

    series.build(wanted, "paper", always=always, command=command, jobs=2)
    return begun


def test_what_a_run_reads_is_made_before_it_and_nothing_else(three):
    assert build(three, "03_c") == ["01_a", "03_c"]
    assert build(three, "02_b") == ["02_b"]
    assert set(build(three, "01_a", "02_b", "03_c")) == {"01_a", "02_b", "03_c"}


def test_what_reads_a_run_that_failed_is_not_made(three):
    with pytest.raises(SystemExit, match="Not made: 01_a, and what reads it"):
        build(three, "03_c", fails="01_a")


def test_what_is_up_to_date_is_made_only_where_it_is_named(three):
    for name in ("01_a", "02_b", "03_c"):
        stamp = depends.stamp_of(name, "paper")
        stamp.parent.mkdir(parents=True, exist_ok=True)
        stamp.write_text("{}")
        ledger = three / "data" / "numbers" / f"{name[3:]}.json"
        ledger.parent.mkdir(parents=True, exist_ok=True)
        ledger.write_text(json.dumps({"numbers": [], "figures": [], "tables": []}))
        os.utime(stamp, (3_000_000_000, 3_000_000_000))
    assert build(three, "01_a", "02_b", "03_c") == []
    assert build(three, "03_c", always=["03_c"]) == ["03_c"]
    os.utime(depends.stamp_of("01_a", "paper"), (3_000_000_001, 3_000_000_001))
    assert build(three, "01_a", "02_b", "03_c") == ["03_c"]


def test_what_is_typed_wrong_is_said_before_a_run_begins(three, monkeypatch):
    monkeypatch.setattr(series, "build", lambda *_, **__: pytest.fail("a run began"))
    for words, sentence in (
        (["03_c", "--set", "size=3"], "has no parameter `size`"),
        (["04_d"], "The profile 'paper' has no run of '04_d'; it has: 01_a, 02_b, 03_c"),
        (["03_c", "--shop", "nowhere"], "There is no folder nowhere"),
        (["03_c", "--profile", "tiny"], "There is no profile 'tiny'; there are: paper"),
    ):
        with pytest.raises(SystemExit, match=re.escape(sentence)):
            command_line.main(["run", *words], standalone_mode=False)


def test_a_process_that_has_ended_and_is_waited_for_by_nobody_is_not_alive():
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    assert alive(process.pid)
    process.kill()
    deadline = time.monotonic() + 30
    while alive(process.pid) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert psutil.pid_exists(process.pid), "its number is taken until somebody waits for it"
    assert not alive(process.pid)
    process.communicate()
    assert not alive(process.pid)
