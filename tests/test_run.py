"""One run: what it refuses, how it says where it stopped, and what LaTeX's log comes down to."""

import json
import os
import subprocess

import pytest

from promo_helpers import depends, paths, run
from promo_helpers.typeset import first_error

PARAMETERS = {"cell_type": "code", "metadata": {"tags": ["parameters"]}, "source": 'data = "a"\nwriter = "shop"'}
WRITES = {
    "cell_type": "code",
    "metadata": {},
    "source": "import json, os, pathlib\n"
    'folder = pathlib.Path(os.environ["PROMO_OUT"], "data", "numbers")\n'
    "folder.mkdir(parents=True, exist_ok=True)\n"
    '(folder / f"{writer}_{data}.json").write_text("{}")',
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


def test_a_run_that_writes_another_runs_ledger_is_refused(project):
    notebook(project, PROSE, PARAMETERS, WRITES)
    stamps = {name: project / "build" / f"02_shop_{name}.ipynb" for name in "ab"}
    run.execute("02_shop_a", {}, stamps["a"])
    assert stamps["a"].is_file()
    (project / "data" / "numbers" / "shop_b.json").write_text("left by an earlier execution")
    with pytest.raises(SystemExit) as stop:
        run.execute("02_shop_b", {"data": "a"}, stamps["b"])
    assert str(stop.value) == (
        "02_shop_b has not written data/numbers/shop_b.json, so that it may have overwritten another run's results: "
        "Report(...) in notebooks/02_shop.ipynb and the run's name in the profile must agree"
    )
    assert not stamps["b"].exists()


def test_the_stamp_bears_the_time_at_which_the_run_began(project):
    notebook(project, PARAMETERS, WRITES)
    run.execute("02_shop_a", {}, project / "stamp.ipynb")
    assert (project / "stamp.ipynb").stat().st_mtime <= (project / "data" / "numbers" / "shop_a.json").stat().st_mtime
    os.utime(project / "notebooks" / "02_shop.ipynb")
    assert (project / "stamp.ipynb").stat().st_mtime < (project / "notebooks" / "02_shop.ipynb").stat().st_mtime


@pytest.mark.parametrize("parameters", [{}, {"data": "b"}])
def test_a_failed_run_names_the_cell_as_a_person_counts_it(project, capsys, parameters):
    notebook(project, PROSE, PARAMETERS, PROSE, FAILS)
    with pytest.raises(SystemExit) as stop:
        run.execute("02_shop_a", parameters, project / "stamp.ipynb")
    assert "\n02_shop_a stopped in cell 4 (1 / 0  # here): ZeroDivisionError: division by zero\n" in capsys.readouterr().err
    assert str(stop.value) == "The notebook up to there, with the whole trace: stamp.failed.ipynb"
    assert not (project / "stamp.ipynb").exists()


def test_the_longest_name_is_the_notebook_of_a_run(project):
    for name in ("02_shop", "02_shop_own", "07_own_shop"):
        (project / "notebooks" / f"{name}.ipynb").write_text("{}")
    assert run.notebook_of("02_shop_own_b").stem == "02_shop_own"
    assert run.notebook_of("02_shop_completejourney").stem == "02_shop"
    with pytest.raises(run.depends.Unreadable, match="No notebook belongs to the run '02_shops'"):
        run.notebook_of("02_shops")


LOOKS = {"cell_type": "code", "metadata": {}, "source": 'assert product == "White \\"B\\" $Bread", product'}
TAKES = {**PARAMETERS, "source": PARAMETERS["source"] + '\nproduct = ""  # a name'}


@pytest.fixture
def command(project, monkeypatch):
    """A function that runs `python -m promo_helpers.run 02_shop_a` with further options."""
    (project / "notebooks" / "profiles" / "paper.yml").write_text("02_shop_a: {}\n")
    for name in (*run.FIXED, "IPYTHONDIR"):
        monkeypatch.setenv(name, os.environ.get(name, ""))  # so that what main() sets is taken back

    def call(*options):
        monkeypatch.setattr("sys.argv", ["run", "02_shop_a", "--stamp", str(project / "stamp.ipynb"), *options])
        run.main()

    return call


def test_a_product_of_the_command_line_reaches_the_notebook(project, command):
    notebook(project, PROSE, TAKES, LOOKS, WRITES)
    command('--product=White "B" $Bread')
    assert (project / "stamp.ipynb").is_file()


def test_a_notebook_that_takes_no_product_says_so(project, command):
    notebook(project, PROSE, PARAMETERS, WRITES)
    with pytest.raises(SystemExit) as stop:
        command("--product", "White Bread")
    assert str(stop.value) == "notebooks/02_shop.ipynb has no parameter `product`, so that it cannot look at one"
    command()


def test_an_unknown_product_is_answered_with_the_nearest_in_one_line(project, command, capsys):
    asks = {**LOOKS, "source": 'from promo_helpers.models.suggest import find\nfind(product, ["White Bread", "Jam"])'}
    notebook(project, PROSE, TAKES, asks, WRITES)
    with pytest.raises(SystemExit):
        command("--product", "Whit Bread")
    said = capsys.readouterr().err
    assert "KeyError: no product is called 'Whit Bread'; the nearest: White Bread\n" in said
    assert "Traceback" not in said


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
    lines = [line for line in said.splitlines() if "-m promo_helpers.run" in line]
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
