"""How notebooks read: no stored outputs, literals as parameters, no functions, short cells; and profiles that fit them."""

import ast
import json
import re
from pathlib import Path

import pandas as pd
import pytest
import yaml

from promo_helpers import depends, paths, series
from promo_helpers.campaign import evaluation
from promo_helpers.models import saved

NOTEBOOKS = sorted(paths.notebooks().glob("*.ipynb"))
PROFILES = sorted((paths.notebooks() / "profiles").glob("*.yml"))
LONGEST = 20  # lines of a code cell
SHORT = (
    "02_shop",
    "09_uplift",
)  # notebooks that are models for the others, and keep what docs ask of all: add those that join them
LINES, CELL = 200, 12  # lines of code of such a notebook, and of one of its cells


def cells(notebook: Path, kind: str) -> list[dict]:
    return [c for c in json.loads(notebook.read_text(encoding="utf-8"))["cells"] if c["cell_type"] == kind]


def parameters(notebook: Path) -> dict[str, object]:
    [cell] = [c for c in cells(notebook, "code") if "parameters" in c["metadata"].get("tags", [])]
    statements = ast.parse("".join(cell["source"])).body
    return {s.targets[0].id: ast.literal_eval(s.value) for s in statements if isinstance(s, ast.Assign)}


def test_there_are_notebooks_and_profiles():
    assert NOTEBOOKS
    assert {"paper", "smoke", "own"} <= {p.stem for p in PROFILES}


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda p: p.stem)
def test_a_notebook_is_stripped(notebook):
    for cell in cells(notebook, "code"):
        assert not cell["outputs"], "stored outputs; .venv/bin/nbstripout --keep-id strips them"
        assert cell["execution_count"] is None


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda p: p.stem)
def test_a_notebook_reads_like_the_others(notebook):
    code = ["".join(c["source"]) for c in cells(notebook, "code")]
    prose = ["".join(c["source"]) for c in cells(notebook, "markdown")]
    assert prose[0].startswith("# ")
    assert all(word in prose[0] for word in ("**Question.**", "**Answer.**", "reads:", "writes:", "takes:"))
    assert prose[-1].startswith("## Conclusion")
    for source in code:
        lines = [line for line in source.splitlines() if line.strip()]
        assert len(lines) <= LONGEST, f"{len(lines)} lines in one cell:\n{source}"
        tree = ast.walk(ast.parse(source))
        assert not any(isinstance(n, (ast.FunctionDef, ast.ClassDef)) for n in tree), "functions live in the package, with a test"
        assert "../" not in source
        assert "filterwarnings" not in source


@pytest.mark.parametrize("name", SHORT)
def test_a_model_notebook_is_short(name):
    code = ["".join(c["source"]) for c in cells(paths.notebooks() / f"{name}.ipynb", "code")]
    lines = [sum(bool(line.strip()) for line in source.splitlines()) for source in code]
    assert max(lines) <= CELL, f"{max(lines)} lines in one cell:\n{code[lines.index(max(lines))]}"
    assert sum(lines) <= LINES


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda p: p.stem)
def test_parameters_are_literals_with_a_comment_and_a_seed(notebook):
    assert "seed" in parameters(notebook)
    [cell] = [c for c in cells(notebook, "code") if "parameters" in c["metadata"].get("tags", [])]
    assert all("#" in line for line in "".join(cell["source"]).splitlines() if line.strip())


@pytest.mark.parametrize("profile", PROFILES, ids=lambda p: p.stem)
def test_a_profile_sets_only_parameters_that_its_notebook_has(profile):
    runs = yaml.safe_load(profile.read_text(encoding="utf-8"))
    for name, given in runs.items():
        known = parameters(depends.notebook_of(name))
        for parameter, value in (given or {}).items():
            assert parameter in known, f"{name} sets '{parameter}', which {depends.notebook_of(name).name} does not have"
            assert type(value) is type(known[parameter]), f"{name} sets '{parameter}' to another type"


def test_every_notebook_is_run_by_the_paper_and_by_the_smoke_profile():
    for profile in ("paper", "smoke"):
        assert {depends.notebook_of(name) for name in series.profile(profile)} == set(NOTEBOOKS)


def test_the_numbers_that_the_evaluation_reads_stand_in_the_last_release():
    published = pd.read_csv(paths.ROOT / "data" / "published" / "paper" / "numbers.csv")
    for noun, names in evaluation.RECORDED.items():
        assert set(names) <= set(published.loc[published["run"] == noun, "name"]), noun


def test_models_are_named_in_one_place():
    """A notebook asks for a saved model by its kind; its name on the disk is made by `saved.name_of` alone."""
    for notebook in NOTEBOOKS:
        for cell in cells(notebook, "code"):
            source = "".join(cell["source"])
            kinds = "|".join(saved.MAKERS)
            assert not re.search(rf"""(?:saved\.load|saved\.save|Response\.load)\(f?["'](?:{kinds})""", source), notebook.name
