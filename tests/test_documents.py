"""The documents: what they name exists, the picture of the architecture is of the present imports, and versions agree."""

import re
import tomllib

import pytest
import yaml

import promo_helpers
from promo_helpers import paths
from tools import architecture

ROOT = paths.ROOT
DOCS = ROOT / "docs"
PAGES = sorted([*DOCS.rglob("*.md"), *ROOT.glob("*.md")])


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_every_file_module_and_command_that_a_page_names_exists(page):
    text = page.read_text(encoding="utf-8")
    for name in re.findall(r"\]\(([^)#:]+)\)", text):
        assert (page.parent / name).exists(), name
    for name in re.findall(r"`((?:\w+/)?\w+\.py)`", text):
        assert any((ROOT / place / name).is_file() for place in ("promo_helpers", "tests", "tools", "")), name
    lines = re.findall(r"^(?:\.PHONY|FORWARDED) *:=? *(.*)$", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M)
    targets = set(" ".join(lines).split())
    assert set(re.findall(r"(?:`|^    )make ([a-z][a-z-]*)", text, re.M)) <= targets


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 90


def test_the_picture_is_of_the_present_imports():
    assert (DOCS / "architecture.csv").read_text(encoding="utf-8") == architecture.edges(), "run tools/architecture.py"


def test_every_folder_has_a_layer_and_stands_on_the_page_of_the_architecture():
    names = {member for row in architecture.boxes() for _, members in row for member in members}
    folders = {p.parent.name for p in (ROOT / "promo_helpers").glob("*/__init__.py")}
    assert folders <= names
    assert folders <= architecture.HOLDS.keys()
    page = (DOCS / "architecture.md").read_text(encoding="utf-8")
    assert not [f for f in folders if f"](../promo_helpers/{f})" not in page]


def test_each_term_of_the_glossary_stands_once():
    page = (DOCS / "glossary.md").read_text(encoding="utf-8").split("## Old and new names")[0]
    terms = [t for line in re.findall(r"^\| ([^|]+) \|", page, re.M) if line not in ("term", "---") for t in line.split(", ")]
    assert len(terms) >= 40
    assert len(terms) == len(set(terms))


def test_the_version_is_one():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert project["version"] == promo_helpers.__version__ == cited["version"]
    assert f"## [{project['version']}]" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_forms_and_workflows_can_be_read():
    files = sorted((ROOT / ".github").rglob("*.yml"))
    assert len(files) >= 4
    for file in files:
        assert isinstance(yaml.safe_load(file.read_text(encoding="utf-8")), dict), file.name
