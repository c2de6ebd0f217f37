"""`make check`: each way in which text, ledgers and files can disagree, and that agreement passes."""

import json
import os
import re
import subprocess

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from promo_helpers import check, claims, depends, paper, paths, series
from promo_helpers.report import Report

PROFILE = "paper"
SECTION = "paper/sections/data.tex"
TEXT = r"""
We find \val{shop.share} (\interval{shop.share}) in \fixed{14} days; see Figure~\ref{fig:1} and \citet{efron1993}.
\begin{tabular}{p{3cm}}\end{tabular} % a comment may hold 99
\resultfigure{shop_a} \resulttable{shop_t}
"""


def old(file, when=1):
    os.utime(file, (when, when))


def notebook(project, name):
    cell = {"cell_type": "code", "source": ["from promo_helpers import sums"]}
    file = project / "notebooks" / f"{name}.ipynb"
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps({"cells": [cell]}))
    old(file)


def runs(project, *names):
    """The paper's profile lists these runs, and each has come to its end."""
    (project / "notebooks" / "profiles" / "paper.yml").write_text("".join(f"{name}: {{}}\n" for name in names))
    for name in names:
        stamp = project / "build" / "runs" / "paper" / f"{name}.ipynb"
        stamp.parent.mkdir(parents=True, exist_ok=True)
        sealed(project, name)


def sealed(project, name, **parameters):
    """The executed notebook of a run, with the seal that `run` puts into it."""
    stamp, ledger = depends.stamp_of(name, "paper"), depends.read_ledger(name)
    files = [depends.ledger_of(name), *(depends.outputs(ledger) if ledger else [])]
    stamp.write_text('{"metadata": {}}')
    series.put_seal(stamp, series.seal(project, files, parameters))


def small_report() -> Report:
    """A run of one number, one figure and one table, written."""
    report = Report("shop", seed=1)
    report.record("share", 0.5, unit="%", interval=(0.4, 0.6), digits=0, meaning="m")
    figure, _ = plt.subplots()
    report.save_figure(figure, "a")
    plt.close(figure)
    report.save_table(pd.DataFrame({"x": [1]}), "t")
    return report


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project of one notebook, one run and one section, all in agreement."""
    monkeypatch.setattr(paths, "ROOT", tmp_path)
    monkeypatch.setenv("PROMO_OUT", str(tmp_path))
    (tmp_path / "promo_helpers").mkdir()
    (tmp_path / "promo_helpers" / "sums.py").write_text("")
    (tmp_path / "requirements.lock").write_text("")
    notebook(tmp_path, "02_shop")
    (tmp_path / "notebooks" / "profiles").mkdir()
    (tmp_path / "paper" / "sections").mkdir(parents=True)
    (tmp_path / "paper" / "sections" / "data.tex").write_text(TEXT)
    main = "\\usepackage[margin=2.5cm]{geometry}\n\\begin{document}\n\\input{sections/data}\n\\end{document}\n"
    (tmp_path / "paper" / "main.tex").write_text(main)
    small_report()
    runs(tmp_path, "02_shop")
    return tmp_path


@pytest.mark.slow
def test_agreement_passes_and_is_collected(project):
    assert check.problems(PROFILE) == []
    assert paper.collect(PROFILE) == 1
    numbers = (project / "paper" / "generated" / "numbers.tex").read_text()
    assert r"\setval{shop.share}{50\,\%}" in numbers
    assert r"\setinterval{shop.share}{40 to 60\,\%}" in numbers
    assert (project / "paper" / "generated" / "shop_t.tex").is_file()
    assert "pandas &" in (project / "paper" / "generated" / "versions.tex").read_text()


def said(project, profile=PROFILE):
    found = check.problems(profile)
    with pytest.raises(SystemExit) as stop:
        check.agreement(profile)
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
    notebook(project, "03_other")
    runs(project, "02_shop", "03_other")
    add(project, r"\val{other.x} \interval{other.x}")
    assert said(project) == ["paper/sections/data.tex:5 uses the interval 'other.x', which no run has made"]


def test_recorded_twice(project):
    notebook(project, "07_shop")
    runs(project, "02_shop", "07_shop")
    assert said(project) == ["shop.share is recorded 2 times; a number has one source"]


def test_a_run_that_the_profile_no_longer_names_is_not_in_the_paper(project):
    notebook(project, "03_other")
    Report("other").record("x", 1, meaning="m")
    assert paper.collect(PROFILE) == 1
    assert "other.x" not in (project / "paper" / "generated" / "numbers.tex").read_text()
    add(project, r"\val{other.x}")
    assert said(project) == [f"{SECTION}:5 uses the number 'other.x', which no run has made"]


def test_missing_graphic_and_table(project):
    (project / "figures" / "shop_a.pdf").unlink()
    (project / "data" / "tables" / "shop_t.tex").unlink()
    assert said(project) == [
        "figures/shop_a.pdf is missing, though the run shop made it; `make paper` makes it again",
        "data/tables/shop_t.tex is missing, though the run shop made it; `make paper` makes it again",
    ]


TYPED = {
    "a lift of 4.2 is large": ["4.2"],
    "12,000 customers": ["12,000"],
    "half of $n = 30$": ["30"],
    r"12\,\% of all": ["12"],
    r"\texttt{54.7\%}": ["54.7"],
    r"\begin{figure}[54.7]\end{figure}": ["54.7"],
    r"\caption{It is \emph{54.7}}": ["54.7"],
    r"\multicolumn{2}{l}{54.7}": ["54.7"],
    r"\href{https://a.b/1}{54.7}": ["54.7"],
    r"\fixed{54.7": ["54.7"],  # never closed
    r"5 \fixed{4} and 6": ["5", "6"],
    r"$x^{54.7}$": ["54.7"],
    r"99\% of % 1": ["99"],
    r"a\\% 1": [],
    "$x_1$ $x^{2}$ $x_{i,1}$ $x^{n+1}$": [],
    r"\multicolumn{2}{l}{both} \cmidrule(lr){2-3}": [],
    r"\setlength{\tabcolsep}{4pt}\vspace{2mm}\vspace*{-2mm} \\[2pt]": [],
    r"\begin{tabular}[t]{l>{\raggedright}p{3cm}*{2}{r}}\end{tabular}": [],
    r"\begin{tabular*}{.9\linewidth}{p{3cm}}\end{tabular*}": [],
    r"\includegraphics[width=.5\linewidth]{a1}": [],
    r"\fixed{\emph{14} days} \cite[p.~3]{a2020}": [],
    "\\val{\nshop.share} \\cite{a2020,\nb2021}": [],
}


@pytest.mark.parametrize(("text", "numbers"), TYPED.items())
def test_typed_by_hand(project, text, numbers):
    add(project, text)
    tail = r"typed by hand; a result comes as \val{run.name}, a definition as \fixed{...}"
    assert check.problems(PROFILE) == [f"{SECTION}:5 has '{number}' {tail}" for number in numbers]


def test_the_body_of_main_is_searched_as_well_and_its_preamble_is_not(project):
    path = project / "paper" / "main.tex"
    path.write_text(path.read_text().replace("data}", "data}\nIt was 54.7."))
    [sentence] = said(project)
    assert sentence.startswith("paper/main.tex:4 has '54.7' typed by hand")


def test_a_name_over_two_lines_is_read(project):
    add(project, "\\val{\nshop.lost}")
    assert said(project) == [f"{SECTION}:5 uses the number 'shop.lost', which no run has made"]


def test_definitions_are_listed_for_a_person(project):
    assert check.definitions() == r"1 definition as \fixed{...}; `make check V=1` lists them"
    add(project, "\\fixed{a\nb}")
    lines = check.definitions(each=True).splitlines()
    assert lines == [r"2 definitions as \fixed{...}", f"  {SECTION}:2: 14", f"  {SECTION}:5: a b"]


@pytest.mark.parametrize(
    "file", ["notebooks/02_shop.ipynb", "promo_helpers/sums.py", "notebooks/profiles/paper.yml", "requirements.lock"]
)
def test_older_than_what_it_is_made_of(project, file):
    old(project / "build" / "runs" / "paper" / "02_shop.ipynb", 2_000_000_000)
    old(project / file, 2_000_000_001)
    assert said(project) == [f"data/numbers/shop.json is older than {file}; `make paper` makes it again"]


def test_a_notebook_whose_name_ends_alike_is_another(project):
    notebook(project, "07_own_shop")
    old(project / "notebooks" / "07_own_shop.ipynb", 2_000_000_000)
    assert check.problems(PROFILE) == []


def test_a_run_that_did_not_come_to_its_end(project):
    (project / "build" / "runs" / "paper" / "02_shop.ipynb").unlink()
    assert said(project) == ["the run 02_shop has not come to its end; `make paper` makes it"]


def test_a_further_output_that_is_gone(project):
    (project / "data" / "raw" / "own").mkdir(parents=True)
    (project / "data" / "raw" / "own" / "stores.parquet").write_text("")
    report = Report("other")
    report.wrote(project / "data" / "raw" / "own")
    notebook(project, "03_other")
    runs(project, "02_shop", "03_other")
    assert check.problems(PROFILE) == []
    (project / "data" / "raw" / "own" / "stores.parquet").unlink()
    assert said(project) == ["data/raw/own/stores.parquet is missing, though the run other made it; `make paper` makes it again"]


def altered(project, name, old, new):
    file = project / name
    file.write_bytes(file.read_bytes().replace(old, new, 1))
    return f"{name} is not what the run 02_shop wrote; `make notebook N=02_shop` makes it again"


def test_a_number_a_table_and_a_figure_that_a_hand_has_changed_are_named(project):
    expected = [
        altered(project, "data/numbers/shop.json", b"50", b"51"),
        altered(project, "data/tables/shop_t.csv", b"1", b"2"),
        altered(project, "data/tables/shop_t.tex", b"1", b"2"),
        altered(project, "figures/shop_a.pdf", b"PDF", b"FDP"),
        altered(project, "figures/shop_a.png", b"PNG", b"GNP"),
    ]
    assert sorted(said(project)) == sorted(expected)


def test_a_run_with_other_parameters_than_the_profiles_is_named(project):
    sealed(project, "02_shop", seed=2)
    assert said(project) == [
        "data/numbers/shop.json was made with seed = 2, which the profile paper does not say; `make paper` makes it again"
    ]


def test_a_ledger_that_no_run_has_sealed_is_named(project):
    (project / "build" / "runs" / "paper" / "02_shop.ipynb").write_text('{"metadata": {}}')
    assert said(project) == ["data/numbers/shop.json is not known to the run 02_shop; `make notebook N=02_shop` makes it again"]


def test_an_unknown_name_is_answered_with_the_nearest(project):
    add(project, r"\val{shop.shares}")
    assert said(project) == [f"{SECTION}:5 uses the number 'shop.shares', which no run has made; did you mean 'shop.share'?"]


def test_claims_are_counted_listed_and_collected(project):
    report = Report("shop", seed=1)
    assert check.claims_held(PROFILE) == "No claim is recorded."
    report.claim("first", "A & b", 3.0, above=1.0, se=0.5)
    report.claim("second", "the share is small", 0.3, below=0.25, unit="%", basis="20 markets")
    report.claim("third", "unknown", None, above=0)
    report.claim("fourth", "it is so", holds=False)
    assert check.claims_held(PROFILE).splitlines() == [
        "1 of 4 claims hold, 1 not available; not:",
        "  shop.second (the share is small; 30.0_%, below 25_%, margin \N{MINUS SIGN}5.00_%)".replace("_", "\N{NO-BREAK SPACE}"),
        "  shop.fourth (it is so)",
    ]
    paper.collect(PROFILE)
    table = pd.read_csv(project / "data" / "claims.csv", index_col="name")
    assert list(table["holds"]) == ["yes", "no", "not available", "no"]
    assert table.loc["first", ["value", "bound", "margin", "margin_unit"]].tolist() == [3.0, "above 1", 4.0, "SE"]
    assert table.loc["second", "margin"] == pytest.approx(-0.05)
    rows = (project / "paper" / "generated" / "claims.tex").read_text().split("\\endlastfoot\n")[1]
    assert [rows.index(f"shop.\\allowbreak{{}}{n}") for n in ("second", "fourth", "third", "first")] == sorted(
        rows.index(f"shop.\\allowbreak{{}}{n}") for n in ("second", "fourth", "third", "first")
    )
    assert r"A \& b" in rows


def with_cells(project):
    """The project's run with a table whose cells the paper cites."""
    report = small_report()
    table = pd.DataFrame(
        {"policy": ["all", "none"], "expected profit": [1.25, np.nan], "low": [1.0, np.nan], "high": [1.5, np.nan]}
    )
    report.save_table(table, "policies", key="policy", units={"expected profit": "LKR"}, digits=1)
    report.record_cells("policies", "expected profit", "profit", profit_all="all")
    report.record("less", np.nan, unit="LKR", meaning="m", difference=("profit_all", ("policies", "none", "expected profit")))
    sealed(project, "02_shop")
    return report


def test_the_paper_cites_cells_of_tables(project):
    with_cells(project)
    add(
        project,
        r"\val{shop.policies/all/expected profit} \interval{shop.policies/all/expected profit} \val{shop.policies/none/expected profit}",
    )
    assert check.problems(PROFILE) == []
    paper.collect(PROFILE)
    numbers = (project / "paper" / "generated" / "numbers.tex").read_text()
    assert r"\setval{shop.policies/all/expectedprofit}{1.2\,LKR}" in numbers
    assert r"\setinterval{shop.policies/all/expectedprofit}{1.0 to 1.5\,LKR}" in numbers
    assert r"\setval{shop.policies/none/expectedprofit}{not available}" in numbers
    assert r"\setinterval{shop.policies/none/expectedprofit}{not available}" in numbers
    add(project, r"\val{shop.policies/some/expected profit}")
    [problem] = said(project)
    assert "uses the number 'shop.policies/some/expected profit', which no run has made; did you mean" in problem


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (
            "all,1.25",
            "all,1.26",
            ["shop.policies/all/expected profit is 1.25, and its cell in the table policies is 1.26", "shop.profit_all is 1.25"],
        ),
        (
            "none,,",
            "none,2.0,",
            ["shop.policies/none/expected profit is not available, and its cell", "shop.less is not available, and profit_all"],
        ),
        ("all,", "every,", ["shop.policies/all/low cites a cell that the table policies does not hold"]),
    ],
)
def test_a_cell_that_is_not_what_the_paper_cites_is_a_disagreement(project, old, new, words):
    with_cells(project)
    file = project / "data" / "tables" / "shop_policies.csv"
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))
    sealed(project, "02_shop")
    problems = "\n".join(said(project))
    assert all(w in problems for w in words), problems


def test_findings_of_single_draws_are_no_claims(project):
    report = Report("shop", seed=1)
    report.claim("list_ahead", "this list earns more", -2.0, above=0, single_draw=True)
    assert (
        check.claims_held(PROFILE)
        == "No claim is recorded; 1 findings of single draws, which are no claims, are listed beside them."
    )
    report.claim("first", "A & b", 3.0, above=1.0, se=0.5)
    assert check.claims_held(PROFILE).splitlines() == [
        "1 of 1 claims hold",
        "1 findings of single draws, which are no claims, are listed beside them.",
    ]
    paper.collect(PROFILE)
    claims_part, draws_part = (
        (project / "paper" / "generated" / "claims.tex").read_text().split("another draw may show the opposite")
    )
    assert "A \\& b" in claims_part
    assert "A \\& b" not in draws_part
    assert "this list earns more" in draws_part
    assert "this list earns more" not in claims_part


def test_no_sentence_rests_on_a_single_draw(project):
    report = small_report()
    report.claim("list_ahead", "this list earns more", 2.0, above=0, single_draw=True)
    report.claim("many", "lists earn more", 2.0, above=0, se=0.1)
    sealed(project, "02_shop")
    add(project, r"Words \ifclaim{shop.list_ahead}{follow}{do not}.\claim{shop.many}")
    assert check.problems(PROFILE) == []
    add(project, r"It does.\claim{shop.list_ahead}")
    [problem] = said(project)
    assert "rests on 'shop.list_ahead', the finding of a single draw" in problem


CELLS = {  # value, bound, unit, standard error -> as printed: value, bound, margin
    "pairs_missed": (
        0.0,
        {"below": 0.5},
        "pairs missed",
        None,
        ("0 pairs missed", "below 0.5 pairs missed", "0.500 pairs missed"),
    ),
    "small_difference": (-0.000833, {"between": (-0.03, 0.03)}, "", None, ("-0.0008", "between -0.03 and 0.03", "0.0292")),
    "in_days": (-0.594, {"between": (-1.2, 1.2)}, "days", 0.31, ("-0.594 days", "between -1.2 and 1.2 days", "1.95 SE")),
    "shares": (0.0338, {"between": (-0.055, 0.05)}, "%", None, ("3.38 %", "between -5.5 and 5 %", "1.62 %")),
    "fine_bound": (2.2e-5, {"below": 5.0001e-5}, "", None, ("0.00002", "below 0.00005", "0.00003")),
    "third": (0.08397, {"below": 1 / 3}, "", None, ("0.0840", "below 0.333", "0.249")),
}


@pytest.mark.parametrize("name", CELLS)
def test_a_claims_value_and_bound_are_printed_with_digits_that_fit(project, name):
    value, bound, unit, se, printed = CELLS[name]
    Report("shop", seed=1).claim(name, "so", value, unit=unit, se=se, **bound)
    cells = claims.claim_cells(claims.claims_of(check.ledgers(PROFILE))[0])
    assert tuple(re.sub(r"\\ensuremath\{-\}", "-", c).replace("\\,", " ").replace("\\%", "%") for c in cells) == printed


CLAIMS = r"""\documentclass{article}
\usepackage[margin=2.5cm]{geometry}\usepackage{caption,booktabs,longtable,hyperref,amsmath}
\input{generated/numbers}
\begin{document}
Plain\claim{shop.holds}, failing\claim{shop.rfm_fails}, unknown\claim{shop.not_known},
\ifclaim{shop.rfm_fails}{YES}{NO} and \ifclaim{shop.holds}{YES}{NO}.
Words \ifclaim{shop.not_known}{YES}{NO}, and directly\ifclaim{shop.not_
known}{, YES}{} behind.
\ifclaim{shop.not_known}{YES}{NO} \ifclaim{shop.holds}{\ifclaim{shop.rfm_fails}{OUT}{IN}}{OUT} begins.
\begin{itemize}\item An item\claim{shop.rfm_fails}.\end{itemize}
\begin{figure}\caption{In a caption\claim{shop.rfm_fails} \ifclaim{shop.holds}{so}{not} \ifclaim{shop.not_known}{YES}{NO}.}\end{figure}
\begin{table}\centering\caption{Short\claim{shop.holds}}\begin{tabular}{l}In a cell\claim{shop.rfm_fails}\end{tabular}\end{table}
\footnote{In a note\claim{shop.rfm_fails}.}
\listoffigures
\input{generated/claims}
\end{document}
"""


@pytest.mark.slow
def test_claims_are_marked_in_the_margin_and_where_there_is_none_in_the_text(project):
    report = Report("shop", seed=1)
    report.claim("holds", "good", 1.0, above=0)
    report.claim("rfm_fails", "bad", -1.0, above=0)
    report.claim("not_known", "unknown", None, above=0)
    paper.collect(PROFILE)
    work = project / "paper"
    (work / "claims.tex").write_text(CLAIMS)
    (work / "unknown.tex").write_text(CLAIMS.replace("Plain\\claim{shop.holds}", "Plain\\claim{shop.lost}"))
    done = subprocess.run(["pdflatex", "-halt-on-error", "unknown"], cwd=work, capture_output=True, text=True)
    assert "! Package numbers Error: no run has recorded 'shop.lost'." in done.stdout
    for _ in range(2):
        done = subprocess.run(["pdflatex", "-halt-on-error", "claims"], cwd=work, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout[-2000:]
    text = " ".join(subprocess.run(["pdftotext", "claims.pdf", "-"], cwd=work, capture_output=True, text=True).stdout.split())
    assert "NO and YES" in text
    assert "IN begins" in text
    assert "Words [not available: not known], and directly [not available: not known] behind." in text
    assert text.count("YES") == text.count("NO") == 1  # of what was not measured neither is said
    assert "OUT" not in text
    assert "In a caption [not in this run: rfm fails] so [not available: not known]." in text
    assert "In a cell [not in this run: rfm fails]" in text
    assert "In a note [not in this run: rfm fails]" in text
    assert "Short [" not in text
    assert text.count("not in this run: rfm fails") >= 5
    assert "not available: not known" in text
    assert "Overfull" not in done.stdout


def stopped(profile=PROFILE):
    with pytest.raises(SystemExit) as stop:
        check.agreement(profile)
    return str(stop.value)


def test_before_the_first_run(project):
    (project / "data" / "numbers" / "shop.json").unlink()
    assert stopped() == "No run has been made yet; `make paper` makes them."


def test_a_ledger_that_is_not_whole(project):
    (project / "data" / "numbers" / "shop.json").write_text('{"run":')
    assert stopped() == "No run has been made yet; `make paper` makes them."


def test_commands_name_the_profile_and_the_folder_of_results(project, monkeypatch):
    assert check.command(PROFILE) == "make paper"
    monkeypatch.setenv("PROMO_OUT", str(project / "build" / "smoke"))
    (project / "notebooks" / "profiles" / "smoke.yml").write_text("02_shop: {}\n")
    assert stopped("smoke") == "No run has been made yet; `make paper PROFILE=smoke` makes them."
    report = Report("shop", seed=1)
    report.record("share", 0.5, unit="%", interval=(0.4, 0.6), digits=0, meaning="m")
    assert "the run 02_shop has not come to its end; `make paper PROFILE=smoke` makes it" in said(project, "smoke")
    monkeypatch.setenv("PROMO_OUT", str(project / "build" / "seed"))
    assert check.command("smoke", "notebook", "02_shop") == "make notebook N=02_shop PROFILE=smoke OUT=build/seed"


def test_commands_of_a_shop_of_ones_own_name_the_shop(project, monkeypatch):
    (project / "my shop").mkdir()
    monkeypatch.setenv("PROMO_OUT", str(project / paths.mark_shop("my shop", "LKR")))
    assert check.command("own") == f"make runs SHOP='{project}/my shop'"


def test_an_unknown_profile(project):
    assert stopped("tiny") == "There is no profile 'tiny'; there are: paper"


def test_a_run_whose_notebook_is_gone(project):
    (project / "notebooks" / "02_shop.ipynb").unlink()
    notebook(project, "03_other")
    assert said(project) == ["No notebook belongs to the run '02_shop'; there are: 03_other"]


def test_one_place_is_one_place_and_a_check_writes_nothing(project):
    assert check.agreement(PROFILE) == "1 number of 1 run: text, numbers and files agree"
    assert not (project / "paper" / "generated").exists()
    add(project, "54.7")
    assert stopped().startswith("The paper and the results disagree in 1 place:\n  ")
    add(project, " 54.8")
    assert stopped().startswith("The paper and the results disagree in 2 places:\n  ")


def test_what_is_left_of_an_older_run_is_not_collected(project):
    paper.collect(PROFILE)
    left = project / "paper" / "generated" / "old.tex"
    left.write_text("old")
    paper.collect(PROFILE)
    assert not left.exists()


def test_the_ledger_is_plain_json(project):
    ledger = json.loads((project / "data" / "numbers" / "shop.json").read_text())
    assert ledger["numbers"][0]["meaning"] == "m"


CELL = ("u", ("paper", "ensemble"), "share")
DIFFERENCES = {  # value, unit, cited -> what is said
    "as_cited": (0.1, ("share", CELL), ""),
    "a_hundredfold": (1.0, ("share", CELL), "is 1, and share less 'share' of paper, ensemble in the table u is 0.1"),
    "upside_down": (-0.1, ("share", CELL), "is -0.1, and share less"),
    "third_digit": (0.1001, ("share", CELL), "is 0.1001, and"),
    "no_row": (0.1, ("share", ("u", "habit", "share")), "of which one is not there"),
    "two_rows": (0.1, ("share", ("u", "paper", "share")), "of which one is not there"),
    "no_column": (0.1, ("share", ("u", ("paper", "ensemble"), "gain")), "of which one is not there"),
    "a_gap": (0.1, ("share", ("u", ("seed", "ensemble"), "share")), "is 0.1, and"),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", DIFFERENCES)
def test_a_recorded_difference_is_compared_with_what_it_cites(project, name):
    value, cited, words = DIFFERENCES[name]
    report = small_report()
    sizes = {"size": ["paper", "paper", "seed"], "method": ["ensemble", "habit", "ensemble"], "share": [0.4, 0.3, None]}
    report.save_table(pd.DataFrame(sizes), "u")
    report.record(name, value, unit="points", meaning="m", difference=cited)
    found = [sentence for sentence in check.problems(PROFILE) if sentence.startswith(f"shop.{name} ")]
    assert [words in sentence for sentence in found] == ([True] if words else [])


def test_a_difference_of_a_table_that_is_gone(project):
    report = Report("shop", seed=1)
    report.save_table(pd.DataFrame({"x": ["a", "b"], "y": [1.0, 2.0]}), "u")
    report.record("more", 1.0, meaning="m", difference=(("u", "b", "y"), ("u", "a", "y")))
    assert not any("shop.more" in sentence for sentence in check.problems(PROFILE))
    (project / "data" / "tables" / "shop_u.csv").unlink()
    assert any("shop.more is recorded as 'y' of b" in sentence for sentence in check.problems(PROFILE))
