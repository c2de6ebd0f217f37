"""`make check`: each way in which text, ledgers and files can disagree, and that agreement passes."""

import json
import os
import shutil

import matplotlib.pyplot as plt
import pandas as pd
import pytest

from promo_helpers import collect, paths
from promo_helpers.report import Report

TEXT = r"""
We find \val{shop.share} (\interval{shop.share}) in \fixed{14} days; see Figure~\ref{fig:1} and \citet{efron1993}.
\begin{tabular}{p{3cm}}\end{tabular} % a comment may hold 99
\resultfigure{shop_a} \resulttable{shop_t}
"""


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project of one notebook, one run and one section, all in agreement."""
    monkeypatch.setattr(paths, "ROOT", tmp_path)
    monkeypatch.setenv("PROMO_OUT", str(tmp_path))
    (tmp_path / "notebooks").mkdir()
    notebook = tmp_path / "notebooks" / "02_shop.ipynb"
    notebook.write_text("{}")
    os.utime(notebook, (1, 1))
    (tmp_path / "paper" / "sections").mkdir(parents=True)
    (tmp_path / "paper" / "sections" / "data.tex").write_text(TEXT)
    (tmp_path / "paper" / "main.tex").write_text(r"\usepackage[margin=2.5cm]{geometry}")
    report = Report("shop", seed=1)
    report.record("share", 0.5, unit="%", interval=(0.4, 0.6), digits=0, meaning="m")
    figure, _ = plt.subplots()
    report.save_figure(figure, "a")
    plt.close(figure)
    report.save_table(pd.DataFrame({"x": [1]}), "t")
    return tmp_path


def test_agreement_passes_and_is_collected(project):
    assert collect.problems() == []
    assert collect.collect() == 1
    numbers = (project / "paper" / "generated" / "numbers.tex").read_text()
    assert r"\setval{shop.share}{50\,\%}" in numbers
    assert r"\setinterval{shop.share}{40 to 60\,\%}" in numbers
    assert (project / "paper" / "generated" / "shop_t.tex").is_file()
    assert "pandas &" in (project / "paper" / "generated" / "versions.tex").read_text()


def said(project):
    found = collect.problems()
    with pytest.raises(SystemExit) as stop:
        collect.main()
    assert all(sentence in str(stop.value) for sentence in found)
    return found


def add(project, text):
    path = project / "paper" / "sections" / "data.tex"
    path.write_text(path.read_text() + text)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        (r"\val{shop.lost}", "number 'shop.lost'"),
        (r"\interval{shop.lost}", "interval 'shop.lost'"),
        (r"\resultfigure{shop_lost}", "figure 'shop_lost'"),
        (r"\resulttable{shop_lost}", "table 'shop_lost'"),
    ],
)
def test_used_and_never_made(project, text, what):
    add(project, text)
    assert said(project) == [f"paper/sections/data.tex:5 uses the {what}, which no run has made"]


def test_a_used_interval_must_have_been_recorded(project):
    Report("other").record("x", 1, meaning="m")
    (project / "notebooks" / "03_other.ipynb").write_text("{}")
    os.utime(project / "notebooks" / "03_other.ipynb", (1, 1))
    add(project, r"\val{other.x} \interval{other.x}")
    assert said(project) == ["paper/sections/data.tex:5 uses the interval 'other.x', which no run has made"]


def test_recorded_twice(project):
    shutil.copy(project / "data" / "numbers" / "shop.json", project / "data" / "numbers" / "shop_copy.json")
    assert said(project) == ["shop.share is recorded 2 times; a number has one source"]


def test_missing_graphic_and_table(project):
    (project / "figures" / "shop_a.pdf").unlink()
    (project / "data" / "tables" / "shop_t.tex").unlink()
    assert said(project) == [
        "figures/shop_a.pdf is missing, though the run shop made it; `make paper` makes it again",
        "data/tables/shop_t.tex is missing, though the run shop made it; `make paper` makes it again",
    ]


@pytest.mark.parametrize("text", ["a lift of 4.2 is large", "12,000 customers", "half of $n = 30$", r"12\,\% of all"])
def test_typed_by_hand(project, text):
    add(project, text)
    [sentence] = said(project)
    assert sentence.startswith("paper/sections/data.tex:5 has '")
    assert sentence.endswith(r"typed by hand; a result comes as \val{run.name}, a definition as \fixed{...}")


def test_older_than_the_notebook(project):
    for file in [*project.glob("figures/*"), *project.glob("data/*/*")]:
        os.utime(file, (1000, 1000))
    os.utime(project / "notebooks" / "02_shop.ipynb", (2000, 2000))
    assert len(said(project)) == 5
    assert said(project)[0] == "data/numbers/shop.json is older than notebooks/02_shop.ipynb; `make paper` runs it again"


def test_a_ledger_whose_notebook_is_gone(project):
    (project / "notebooks" / "02_shop.ipynb").unlink()
    assert said(project) == ["data/numbers/shop.json comes from a notebook 'shop' that is no longer there"]


def test_what_is_left_of_an_older_run_is_not_collected(project):
    collect.collect()
    left = project / "paper" / "generated" / "old.tex"
    left.write_text("old")
    collect.collect()
    assert not left.exists()


def test_the_ledger_is_plain_json(project):
    ledger = json.loads((project / "data" / "numbers" / "shop.json").read_text())
    assert ledger["numbers"][0]["meaning"] == "m"
