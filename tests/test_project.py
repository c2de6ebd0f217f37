"""The project's own promises: one list of versions, commands that exist, a package whose layers point one way."""

import ast
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from promo_helpers import __main__ as command_line
from promo_helpers import depends, paths
from promo_helpers.models.saved import MAKERS
from promo_helpers.shop.sheets import write_template

ROOT = paths.ROOT
README = (ROOT / "README.md").read_text(encoding="utf-8")
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
FORWARDED = re.search(r"^FORWARDED := (.*)$", MAKEFILE, re.M).group(1).split()
LOCK = (ROOT / "requirements.lock").read_text(encoding="utf-8")


def name_of(requirement: str) -> str:
    return re.match(r"[\w.-]+", requirement).group().lower().replace("_", "-")


def test_the_lock_holds_every_requirement_with_hashes():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = {name_of(r) for r in project["dependencies"] + project["optional-dependencies"]["test"]}
    pinned = re.findall(r"^([\w.-]+)==\S+.*\\\n(\s+--hash=sha256:)", LOCK, re.M)
    assert len(pinned) == len(re.findall(r"^[\w.-]+==", LOCK, re.M))
    assert wanted <= {name.lower().replace("_", "-") for name, _ in pinned}
    customers_list = {
        "jupyterlab",
        "papermill",
        "pandas",
        "numpy",
        "scikit-learn",
        "econml",
        "dowhy",
        "shap",
        "fairlearn",
        "seaborn",
    }
    assert customers_list <= wanted


def test_the_lock_names_no_registry():
    assert "://" not in LOCK
    assert "--index" not in LOCK


def test_conda_takes_its_versions_from_the_lock():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    pip = [d["pip"] for d in environment["dependencies"] if isinstance(d, dict)]
    assert pip == [["-r requirements.lock"]]
    [python] = [d for d in environment["dependencies"] if str(d).startswith("python=")]
    assert python.removeprefix("python=") in {"3.11", "3.12", "3.13"}


def test_every_command_of_the_readme_exists():
    targets = set(re.findall(r"^([a-z][\w-]*):", MAKEFILE, re.M)) | set(FORWARDED)
    for command in re.findall(r"make ([a-z][\w-]*)", README):
        assert command in targets, f"README: make {command}"


def test_help_lists_every_command():
    said = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    phony = re.search(r"^\.PHONY: (.*) \$\(FORWARDED\)$", MAKEFILE, re.M).group(1).split()
    for target in {*phony, *FORWARDED} - {"help", "runs", "lint", "tex", "poppler", "FORCE"}:
        assert f"make {target}" in said, target


def test_every_file_and_notebook_that_the_readme_names_exists():
    for name in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (ROOT / name).exists(), name
    for notebook in (ROOT / "notebooks").glob("*.ipynb"):
        assert notebook.stem in README


def test_the_makefile_keeps_to_gnu_make_3_81():
    assert "&:" not in MAKEFILE
    assert ".ONESHELL" not in MAKEFILE
    assert not re.search(r"\$\((file|guile|let|intcmp) ", MAKEFILE)
    assert "!=" not in re.sub(r'"[^"]*"', "", MAKEFILE)
    assert not re.search(r"^\w+ *::?:= ", MAKEFILE, re.M)


LAYERS = [  # a file imports only from rows above its own, or from its own folder
    {"paths", "files", "style", "report", "draws", "inference", "inputs", "knapsack", "trees"},
    {"shop"},
    {"explore", "plots", "features"},
    {"experiment"},
    {"models", "evaluate"},
    {"decide"},
    {"audit"},
    {"campaign"},
    {"market"},  # below everything that learns: no model can import the truth
    {"studies"},
    {"depends", "kept"},
    {"series", "claims"},
    {"check", "paper", "campaign_command"},
    {"release", "verify"},
    {"__main__"},
]


@pytest.mark.parametrize("file", sorted((ROOT / "promo_helpers").rglob("*.py")), ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_point_one_way(file):
    place = file.relative_to(ROOT / "promo_helpers").parts[0].removesuffix(".py")
    if place == "__init__":
        return
    row = next(i for i, names in enumerate(LAYERS) if place in names)
    for other in depends.modules(file.read_text(encoding="utf-8")):
        where = other.relative_to(ROOT / "promo_helpers").parts[0].removesuffix(".py")
        if place == "depends":  # runs before anything is installed
            assert where in {"__init__", "paths"}
        if where not in {place, "__init__"}:
            assert where in set().union(*LAYERS[: row + 1]), f"{file.name} imports {where}"
            assert row > 0 or where in LAYERS[0]


def test_metrics_import_no_model_and_models_no_metric():
    for folder, other in (("evaluate", "models"), ("models", "evaluate")):
        for file in sorted((ROOT / "promo_helpers" / folder).glob("*.py")):
            read = {m.parent.name for m in depends.modules(file.read_text(encoding="utf-8"))}
            assert other not in read, f"{folder}/{file.name} imports from {other}"


LATE = {  # packages of half a second and more that most runs do without: imported by the function that calls them, never with a module
    "dowhy",
    "econml",
    "fairlearn",
    "implicit",
    "lifelines",
    "nbconvert",
    "papermill",
    "shap",
    "skops",
    "statsmodels",
}


def test_heavy_packages_are_imported_where_they_are_called():
    """Every run imports its modules anew, so that a package which one of them needs would be loaded by all."""
    for file in (ROOT / "promo_helpers").rglob("*.py"):
        for node in ast.parse(file.read_text(encoding="utf-8")).body:
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not LATE & {name.partition(".")[0] for name in names}, file.name


def test_no_file_name_twice():
    files = [f.name for f in (ROOT / "promo_helpers").rglob("*.py") if f.stem not in {"__init__", "__main__"}]
    assert sorted({name for name in files if files.count(name) > 1}) == []


def test_no_public_name_twice_within_a_layer():
    """Functions and classes: a reader who searches for a name finds one. A module's `main` is its command."""
    for row in LAYERS:
        where: dict[str, list[str]] = {}
        for place in row:
            folder = ROOT / "promo_helpers" / place
            for file in sorted(folder.rglob("*.py")) if folder.is_dir() else [folder.with_suffix(".py")]:
                for node in ast.parse(file.read_text(encoding="utf-8")).body:
                    if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_") and node.name != "main":
                        where.setdefault(node.name, []).append(file.stem)
        assert {name: files for name, files in where.items() if len(files) > 1} == {}


BOOSTED = {  # who may import LightGBM: the one place, and what the layers keep away from it
    "trees.py",
    "experiment/design.py",
}


def test_boosted_trees_have_one_place():
    """So that one thread is the most that any call gets, and the flags that make a fit repeatable are written once."""
    found = set()
    for file in (ROOT / "promo_helpers").rglob("*.py"):
        tree = ast.parse(file.read_text(encoding="utf-8"))
        names = [a.name for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names]
        names += [n.module or "" for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)]
        if any(name.partition(".")[0] == "lightgbm" for name in names):
            found.add(file.relative_to(ROOT / "promo_helpers").as_posix())
    assert found == BOOSTED


def test_intervals_have_one_place():
    """Quantiles of a normal or Student's distribution are asked for in `inference`; elsewhere as numbers and tests only."""
    allowed = {"inference.py", "experiment/design.py", "models/refute.py"}  # power of a trial; normal scores of ranks
    found = set()
    for file in (ROOT / "promo_helpers").rglob("*.py"):
        code = file.read_text(encoding="utf-8")
        if re.search(r"(norm|\bt)\.(ppf|isf|interval)\(|proportion_ci|proportion_confint|[^\w.]1\.96 \*", code):
            found.add(file.relative_to(ROOT / "promo_helpers").as_posix())
    assert found == allowed


def test_a_run_is_made_again_for_the_kept_studies_that_it_reads():
    for notebook in sorted((ROOT / "notebooks").glob("*.ipynb")):
        read = set(re.findall(r"read_study\(\\?[\"'](\w+)", notebook.read_text(encoding="utf-8")))
        needs = {p.stem for p in depends.needs(notebook) if p.parent == ROOT / "data" / "replications"}
        assert needs == read, notebook.name
    assert "parity_markets" in {p.stem for p in depends.needs(ROOT / "notebooks" / "17_fairness.ipynb")}


def test_dependencies_of_a_notebook_are_what_it_imports_and_what_that_imports(tmp_path):
    needs = {p.relative_to(ROOT).as_posix() for p in depends.needs(ROOT / "notebooks" / "02_shop.ipynb")}
    assert {
        "notebooks/02_shop.ipynb",
        "promo_helpers/report.py",
        "promo_helpers/shop/journey.py",
        "promo_helpers/files.py",
    } <= needs
    assert not {"promo_helpers/check.py", "promo_helpers/series.py", "promo_helpers/paper.py"} & needs


@pytest.mark.slow
def test_dependencies_need_nothing_but_python():
    done = subprocess.run(
        [sys.executable, "-S", "-E", "-s", "-m", "promo_helpers.depends", "smoke"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "RUNS += $(R)/02_shop_completejourney.ipynb" in done.stdout


@pytest.mark.parametrize("name", ["depends", "paths"])
def test_what_runs_before_the_set_up_keeps_to_python_3_9(name):
    source = (ROOT / "promo_helpers" / f"{name}.py").read_text(encoding="utf-8")
    ast.parse(source, feature_version=(3, 9))
    assert "from __future__ import annotations" in source  # so that no annotation is ever evaluated
    assert "match " not in re.sub(r'"[^"]*"', "", source)


def test_series_yml_is_read_alike_by_yaml_and_before_yaml_is_installed():
    text = (ROOT / "notebooks" / "series.yml").read_text(encoding="utf-8")
    assert depends.series() == yaml.safe_load(text)


def test_series_yml_lists_every_notebook_its_data_sets_and_what_earlier_ones_make():
    listed, made = depends.series(), set()
    assert list(listed) == [p.stem for p in sorted((ROOT / "notebooks").glob("*.ipynb"))]
    for notebook, entry in listed.items():
        assert set(entry) <= {"data", "reads", "makes", "noun", "was"}, notebook
        assert set(entry.get("reads", [])) <= made, f"{notebook} reads what no earlier notebook makes"
        made |= set(entry.get("makes", []))
    assert {kind: maker for maker, entry in listed.items() for kind in entry.get("makes", [])} == {"shop": "01_market", **MAKERS}
    for profile in (ROOT / "notebooks" / "profiles").glob("*.yml"):
        for run in depends.runs(profile.stem):
            notebook = depends.notebook_of(run).stem
            assert depends.data_set(run) in listed[notebook]["data"], run
            assert not any(f"_{d}" in run for d in ("completejourney", "own") if d != depends.data_set(run)), run


def test_a_run_reads_what_is_made_of_the_same_data_set():
    assert depends.reads("18_campaign", "paper") == ["01_market", "03_purchase", "05_timing", "12_budget"]
    assert depends.reads("18_campaign_bread", "demo") == ["01_market", "03_purchase", "05_timing", "12_budget"]
    assert depends.reads("18_campaign_own", "own") == ["03_purchase_own", "05_timing_own", "12_budget_own"]
    assert depends.reads("16_explanation_completejourney", "paper") == ["03_purchase_completejourney"]
    assert depends.reads("02_shop_completejourney", "paper") == depends.reads("01_market", "paper") == []


def test_earlier_names_are_understood_with_a_sentence():
    assert depends.current_name("12_budget_own") == ("12_budget_own", "")
    name, sentence = depends.current_name("09_discount_own")
    assert name == "12_budget_own"
    assert sentence == "09_discount is called 12_budget now; the earlier name is understood until release 0.3"
    assert depends.ledger_of("12_budget_own").stem == "discount_own"
    was = [earlier for entry in depends.series().values() for earlier in entry.get("was", [])]
    assert len(set(was)) == len(was)
    assert not set(was) & set(depends.series())


@pytest.mark.parametrize("line", ["  reads: shop", "02_shop: {reads: [shop]}", "    reads: [shop]", "  reads [shop]"])
def test_a_line_of_series_yml_that_cannot_be_read_is_named(tmp_path, monkeypatch, line):
    monkeypatch.setattr(paths, "ROOT", tmp_path)
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "notebooks" / "series.yml").write_text(f"# what is read\n02_shop:\n{line}\n")
    with pytest.raises(depends.Unreadable, match=r"notebooks/series\.yml: line 3: "):
        depends.series()


def test_no_public_name_of_a_top_level_module_is_another_ones_too():
    where: dict[str, str] = {}
    for file in sorted((ROOT / "promo_helpers").glob("*.py")):
        for node in ast.parse(file.read_text(encoding="utf-8")).body:
            if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and not node.name.startswith("_") and file.stem != "__main__":
                assert node.name not in where, f"{node.name} stands in {where.get(node.name)} and {file.name}"
                where[node.name] = file.name


def test_only_places_and_threads_are_read_from_the_environment():
    """What changes a result is a parameter in a cell; the environment says where files lie, and how a process runs."""
    places = {"PROMO_OUT", "PROMO_WRITE", "PROMO_DOWNLOADS", "MAKEFLAGS"}
    read = re.compile(r"""(?:environ(?:\.get|\.pop)?[\[(]|getenv\()\\?["'](\w+)""")
    files = [*(ROOT / "promo_helpers").rglob("*.py"), *(ROOT / "notebooks").glob("*.ipynb")]
    for file in files:
        text = file.read_text(encoding="utf-8")
        assigned = set(re.findall(r"""environ\[["'](\w+)["']\] =(?!=)""", text))
        assert set(read.findall(text)) - assigned <= places, file.name


def test_help_comes_without_the_packages_that_commands_need():
    code = "import sys, promo_helpers.__main__; print(sorted({'numpy', 'pandas', 'papermill', 'lightgbm'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_command_has_a_help_that_fits_and_make_forwards_to_it():
    assert set(FORWARDED) | {"run", "paper"} == set(command_line.main.commands)
    listed = CliRunner().invoke(command_line.main, ["--help"]).output
    for name, command in command_line.main.commands.items():
        assert re.search(rf"^  {name} +\S", listed, re.M)
        assert "..." not in re.search(rf"^  {name} .*$", listed, re.M).group(), f"the first sentence of {name} is too long"
        assert CliRunner().invoke(command, ["--help"]).exit_code == 0


RUN = "02_shop_completejourney"


def make(project: Path, *arguments: str) -> subprocess.CompletedProcess:
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("MAKE", "MFLAGS", "PROMO_", "SHOP", "PYTHON"))}
    return subprocess.run(["make", *arguments], cwd=project, env=environment, capture_output=True, text=True)


def copy(folder: Path) -> Path:
    """A copy of the project's sources in which no run is due."""
    for name in ("promo_helpers", "notebooks", "paper", "tools"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", "generated", "*.pdf"))
    for name in ("Makefile", "pyproject.toml", "requirements.lock"):
        shutil.copy2(ROOT / name, folder / name)
    for run in (*depends.runs("paper"), *depends.runs("own")):
        ledger = folder / "data" / "numbers" / depends.ledger_of(run).name
        ledger.parent.mkdir(parents=True, exist_ok=True)
        ledger.write_text(
            json.dumps({"numbers": [], "figures": [], "tables": [], "files": [ledger.relative_to(folder).as_posix()]})
        )
        for profile in ("paper", "own"):
            stamp = folder / "build" / "runs" / profile / f"{run}.ipynb"
            stamp.parent.mkdir(parents=True, exist_ok=True)
            stamp.write_text("{}")
    (folder / ".venv").mkdir()
    (folder / ".venv" / "ready").touch()
    return folder


@pytest.fixture
def project(tmp_path):
    folder = tmp_path / "project"
    folder.mkdir()
    return copy(folder)


def is_due(project: Path, *arguments: str) -> bool:
    done = make(project, "-n", "runs", *arguments)
    assert done.returncode == 0, done.stderr
    return "-m promo_helpers run" in done.stdout


@pytest.mark.parametrize("goal", ["paper", "runs"])
def test_an_unknown_profile_is_named_with_those_that_exist(project, goal):
    done = make(project, goal, "PROFILE=tiny")
    assert done.returncode == 2
    assert (
        "*** There is no profile 'tiny'; there are: campaign, demo, large, own, paper, retrain, seed, smoke.  Stop."
        in done.stderr
    )


@pytest.mark.slow
def test_a_cell_that_cannot_be_read_stops_make_and_is_named(project):
    path = project / "notebooks" / "02_shop.ipynb"
    notebook = json.loads(path.read_text())
    notebook["cells"][1]["source"] = ["import os\n", "print($(x"]
    path.write_text(json.dumps(notebook))
    done = make(project, "runs")
    assert done.returncode == 2
    assert "*** notebooks/02_shop.ipynb: cell 2, line 2: " in done.stderr
    path.write_text("{")
    assert "*** notebooks/02_shop.ipynb: this is not a notebook, or not a whole one.  Stop." in make(project, "runs").stderr


@pytest.mark.slow
def test_a_module_that_cannot_be_read_stops_make_and_is_named(project):
    (project / "promo_helpers" / "style.py").write_text("WIDTH = (1\n")
    done = make(project, "paper")
    assert done.returncode == 2
    assert "*** promo_helpers/style.py: line 1: '(' was never closed" in done.stderr


def test_make_stops_where_the_dependencies_break_off(project):
    (project / "promo_helpers" / "depends.py").write_text("raise OSError\n")
    done = make(project, "runs")
    assert done.returncode == 2
    assert "promo_helpers/depends.py broke off, see above" in done.stderr
    assert make(project, "runs", "PYTHON=no-such-python").returncode == 2


@pytest.mark.slow
@pytest.mark.parametrize("left", [None, "{", "[]", '{"numbers": []}'])
def test_a_run_without_a_whole_ledger_is_due_and_a_dry_run_deletes_nothing(project, left):
    assert not is_due(project)
    ledger = project / "data" / "numbers" / "shop_completejourney.json"
    ledger.unlink() if left is None else ledger.write_text(left)
    assert is_due(project)
    assert (project / "build" / "runs" / "paper" / f"{RUN}.ipynb").is_file()


@pytest.mark.slow
def test_a_run_whose_further_output_is_gone_is_due(project):
    ledger = project / "data" / "numbers" / "shop_completejourney.json"
    ledger.write_text(ledger.read_text().replace("data/numbers/", "data/raw/"))
    assert is_due(project)


def test_an_earlier_name_of_a_notebook_runs_the_present_one(project):
    done = make(project, "-n", "notebook", "N=09_discount")
    assert done.returncode == 0, done.stderr
    assert "09_discount is called 12_budget now" in done.stdout
    assert "run 12_budget --alone" in done.stdout


@pytest.mark.slow
def test_another_shop_is_another_run(project):
    assert not is_due(project, "PROFILE=own", "OUT=.")
    (project / "b").mkdir()
    assert is_due(project, "SHOP=b", "OUT=.")


@pytest.mark.parametrize(("given", "shop"), [("SHOP=b", "b"), ("PROFILE=own", "my-shop")])
@pytest.mark.parametrize("goal", ["paper", "check"])
def test_the_paper_is_not_about_your_shop(project, goal, given, shop):
    done = make(project, goal, given)
    assert done.returncode == 2
    assert (
        f"The paper is about the paper's own data; for your shop, type: make notebook N=02_shop SHOP={shop}.  Stop."
        in done.stderr
    )


@pytest.mark.slow
def test_the_paper_is_due_where_its_profile_changes(project):
    (project / "paper" / "paper.pdf").touch()
    (project / "notebooks" / "profiles" / "paper.yml").write_text("")
    assert "promo_helpers paper" not in make(project, "-n", "paper", "-o", "notebooks/profiles/paper.yml").stdout
    assert "promo_helpers paper" in make(project, "-n", "paper", "-W", "notebooks/profiles/paper.yml").stdout


def test_a_space_in_a_path_is_refused(project, tmp_path):
    said = "Make cannot handle a space in a path; move the project or name another OUT"
    assert said in make(project, "help", "OUT=a b").stderr
    shutil.move(project, tmp_path / "my project")
    done = make(tmp_path / "my project", "paper")
    assert done.returncode == 2
    assert said in done.stderr


def test_clean_keeps_what_people_wrote(project):
    kept = ["data/myshop/Stores.csv", "data/README.md", "data/replications/x.csv", "figures/README.md", "my-shop/Stores.csv"]
    gone = [
        "data/raw/own/x.parquet",
        "data/tables/x.tex",
        "figures/x.pdf",
        "figures/x.png",
        "paper/paper.pdf",
        "paper/generated/x",
    ]
    for name in kept + gone:
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).write_text("")
    assert make(project, "clean").returncode == 0
    assert [name for name in kept + gone if (project / name).exists()] == kept
    assert not (project / "build").exists()
    assert not (project / "data" / "numbers").exists()


def test_the_template_keeps_a_row_without_a_final_newline(tmp_path, capsys):
    write_template(tmp_path)
    filled = (tmp_path / "Stores.csv").read_text() + "1,a"
    (tmp_path / "Stores.csv").write_text(filled)
    write_template(tmp_path)
    assert (tmp_path / "Stores.csv").read_text() == filled
    assert f"{tmp_path / 'Stores.csv'} holds rows and is kept" in capsys.readouterr().out


def test_no_path_of_a_machine_is_committed():
    files = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    homes = re.compile(rb"/(?:work|home|Users|tmp)/[a-z]")
    for name in files:
        if name.endswith((".py", ".ipynb", ".md", ".tex", ".yml", ".toml", ".sh")) or "/" not in name:
            text = Path(ROOT / name).read_bytes()
            assert name == "tests/test_project.py" or not homes.search(text), name


def test_compiled_code_is_anew_where_any_file_of_it_changed(tmp_path):
    """Numba by itself does not see that a law or a constant changed which a walk in another file has compiled in."""
    shutil.copytree(ROOT / "promo_helpers", tmp_path / "promo_helpers", ignore=shutil.ignore_patterns("__pycache__"))
    package = tmp_path / "promo_helpers"
    code = "import promo_helpers, os; print(os.environ['NUMBA_CACHE_DIR'])"

    def folder():
        return subprocess.run(
            [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
        ).stdout.strip()

    def changed(name, old, new):
        text = (package / name).read_text()
        assert old in text
        (package / name).write_text(text.replace(old, new))
        return folder()

    first = folder()
    assert first.startswith(str(package / "__pycache__"))
    assert changed("style.py", "import", "# compiled nowhere\nimport") == first
    second = changed("market/law.py", "return folk.rate[i]", "return 2.0 * folk.rate[i]")
    assert second != first
    os.utime(first, (1, 1))
    third = changed("market/parameters.py", "WINDOW = 14 ", "WINDOW = 15 ")
    assert third not in (first, second), "a constant that walks in other files have compiled in"
    assert not Path(first).exists(), "nobody has started with it for a day"
    assert Path(second).is_dir(), "an open notebook may still read it"
