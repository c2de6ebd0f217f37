"""The project's own promises: one list of versions, commands that exist, a package whose layers point one way."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from promo_helpers import depends, paths

ROOT = paths.ROOT
README = (ROOT / "README.md").read_text(encoding="utf-8")
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
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
    targets = set(re.findall(r"^([a-z][\w-]*):", MAKEFILE, re.M))
    for command in re.findall(r"make ([a-z][\w-]*)", README):
        assert command in targets, f"README: make {command}"


def test_help_lists_every_command():
    said = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    phony = re.search(r"^\.PHONY: (.*)$", MAKEFILE, re.M).group(1).split()
    for target in set(phony) - {"help", "runs", "lint", "tex", "poppler"}:
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
    {"paths", "files", "style", "report"},
    {"shop"},
    {"explore", "plots"},
    {"collect", "typeset", "run"},
]


@pytest.mark.parametrize("file", sorted((ROOT / "promo_helpers").rglob("*.py")), ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_point_one_way(file):
    place = file.relative_to(ROOT / "promo_helpers").parts[0].removesuffix(".py")
    if place in {"__init__", "depends"}:
        return
    row = next(i for i, names in enumerate(LAYERS) if place in names)
    for other in depends.modules(file.read_text(encoding="utf-8")):
        where = other.relative_to(ROOT / "promo_helpers").parts[0].removesuffix(".py")
        if where not in {place, "__init__"}:
            assert where in set().union(*LAYERS[: row + 1]), f"{file.name} imports {where}"
            assert row > 0 or where in LAYERS[0]


def test_dependencies_of_a_notebook_are_what_it_imports_and_what_that_imports(tmp_path):
    needs = {p.relative_to(ROOT).as_posix() for p in depends.needs(ROOT / "notebooks" / "02_shop.ipynb")}
    assert {
        "notebooks/02_shop.ipynb",
        "promo_helpers/report.py",
        "promo_helpers/shop/journey.py",
        "promo_helpers/files.py",
    } <= needs
    assert not {"promo_helpers/collect.py", "promo_helpers/run.py", "promo_helpers/typeset.py"} & needs


def test_dependencies_need_nothing_but_python():
    done = subprocess.run(
        [sys.executable, "-S", "-E", "-s", "promo_helpers/depends.py", "smoke", "build/none"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "RUNS += build/none/build/runs/smoke/02_shop_completejourney.ipynb" in done.stdout.replace("\\", "/")


def test_an_unknown_profile_is_named_with_those_that_exist():
    done = subprocess.run(["make", "paper", "PROFILE=tiny"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2
    assert "There is no profile 'tiny'; there are: own, paper, smoke" in done.stderr


def test_no_path_of_a_machine_is_committed():
    files = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    homes = re.compile(rb"/(?:work|home|Users|tmp)/[a-z]")
    for name in files:
        if name.endswith((".py", ".ipynb", ".md", ".tex", ".yml", ".toml", ".sh")) or "/" not in name:
            text = Path(ROOT / name).read_bytes()
            assert name == "tests/test_project.py" or not homes.search(text), name
