"""The report: what is recorded, what is refused, and that the same content gives the same bytes."""

import json
import os
import platform
import subprocess
import sys
from datetime import date

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from promo_helpers import claims, paths, style
from promo_helpers.report import Ended, Report, escaped, formatted, interval_text, plain_text, standard_error


@pytest.fixture
def report(tmp_path, monkeypatch):
    monkeypatch.setenv("PROMO_OUT", str(tmp_path))
    return Report("shop", data="journey", seed=3, draws=10)


def ledger(report):
    return json.loads(paths.data("numbers", f"{report.run}.json").read_text(encoding="utf-8"))


def test_a_number_is_kept_raw_and_shown_rounded(report):
    report.record("share", 0.123456, unit="%", digits=1, interval=(0.1, 0.15), meaning="a share")
    kept = ledger(report)["numbers"][0]
    assert kept["value"] == 0.123456
    assert kept["interval"] == [0.1, 0.15]
    assert kept["text"] == r"12.3\,\%"
    assert report.summary().loc["share", "interval"] == "10.0 to 15.0\N{NO-BREAK SPACE}%"
    assert ledger(report)["seed"] == 3
    assert ledger(report)["settings"] == {"draws": 10}


@pytest.mark.parametrize(
    ("value", "unit", "digits", "text"),
    [
        (0.25, "", None, "0.25"),  # a setting is exact: never .2 or .3
        (0.0512, "points", 1, r"5.1\,points"),
        (0.29, "%", None, r"29\,\%"),  # and not 28.999999999999996
        (1234567, "", None, "1,234,567"),
        (np.int64(1000), "", None, "1,000"),
        (1e6, "", None, "1,000,000"),
        (-0.5, "", 2, r"\ensuremath{-}0.50"),
        (-0.0004, "", 3, "0.000"),  # what rounds to zero has no sign
        (-0.0006, "points", 1, r"\ensuremath{-}0.1\,points"),
        (1234.567, "LKR", 0, r"1,235\,LKR"),
        ("soft drinks & tea", "", None, r"soft drinks \& tea"),
        (date(2017, 1, 2), "", None, "2 January 2017"),
        (pd.Timestamp("2017-12-31"), "", None, "31 December 2017"),
        (True, "", None, "1"),
    ],
)
def test_formats(value, unit, digits, text):
    assert formatted(value, unit=unit, digits=digits) == text


def test_every_character_that_latex_keeps_is_escaped():
    assert escaped("a_b^c~d{e}f\\") == r"a\_b\textasciicircum{}c\textasciitilde{}d\{e\}f\textbackslash{}"
    assert plain_text(r"\ensuremath{-}12.3\,\%") == "\N{MINUS SIGN}12.3\N{NO-BREAK SPACE}%"


@pytest.mark.parametrize("bad", [float("inf"), -float("inf"), np.float32("inf")])
def test_infinity_is_refused(report, bad):
    with pytest.raises(ValueError, match="only a finite number can be recorded"):
        report.record("x", bad, meaning="m")
    with pytest.raises(ValueError, match="only a finite number can be recorded"):
        report.record("x", 1.0, interval=(0.0, bad), meaning="m")
    assert ledger(report)["numbers"] == []


@pytest.mark.parametrize("unknown", [float("nan"), np.float32("nan"), pd.NA, pd.NaT, None])
def test_what_is_not_known_is_not_available(report, unknown):
    report.record("x", unknown, unit="LKR", digits=2, interval=(unknown, unknown), meaning="m")
    number = ledger(report)["numbers"][0]
    assert (number["value"], number["interval"], number["text"]) == (None, [None, None], "not available")
    assert interval_text(number) == "not available"
    assert report.summary().loc["x", "number"] == "not available"
    report.record("y", 1.0, digits=0, interval=(0.0, unknown), meaning="m")
    assert report.summary().loc["y", ["number", "interval"]].tolist() == ["1", "not available"]
    assert report.claim("c", "it is positive", "x", above=0) is None


def test_an_estimate_brings_its_interval(report):
    report.record("a", {"estimate": 2.0, "se": 1.0, "low": 0.0, "high": 4.0}, digits=0, meaning="m")
    report.record("b", pd.Series({"estimate": 2.0, "confidence_low": 1.0, "confidence_high": 3.0}), digits=0, meaning="m")
    report.record_all("a day", "LKR", 1, sales_mean=2.0, sales_low=float("nan"))
    assert [n["interval"] for n in ledger(report)["numbers"]] == [[0, 4], [1, 3], None, None]
    assert [n["text"] for n in ledger(report)["numbers"]][2:] == [r"2.0\,LKR", "not available"]
    assert [n["meaning"] for n in ledger(report)["numbers"]][2] == "a day: sales mean"


def policies(report, **settings):
    table = pd.DataFrame(
        {
            "case": ["a", "a"],
            "policy": ["DR-learner, 50 %", "none"],
            "share": [0.123, np.nan],
            "se": [0.1, np.nan],
            "low": [0.1, np.nan],
            "high": [0.2, np.nan],
            "profit": [1234.56, 0.0],
            "n": [1000, 2],
            "sure": [True, False],
            "day": pd.to_datetime(["2017-01-02", None]),
        }
    )
    kinds = {"key": ("case", "policy"), "units": {"share": "%", "profit": "LKR"}, "digits": {"share": 1, "profit": 1}}
    return report.save_table(table, "policies", **(kinds | settings))


def test_each_cell_of_a_table_with_a_key_is_a_number(report):
    shown = policies(report)
    cells = {c["name"]: c for c in ledger(report)["cells"]}
    assert len(cells) == 2 * 8
    share = cells["policies/a, DR-learner, 50 /share"]  # without what LaTeX would take for a comment
    assert (share["value"], share["interval"], share["text"]) == (0.123, [0.1, 0.2], r"12.3\,\%")
    assert interval_text(share) == r"10.0 to 20.0\,\%"
    assert cells["policies/a, DR-learner, 50 /profit"]["text"] == r"1,234.6\,LKR"
    assert cells["policies/a, DR-learner, 50 /profit"]["interval"] is None
    assert cells["policies/a, DR-learner, 50 /n"]["text"] == "1,000"
    assert cells["policies/a, DR-learner, 50 /day"]["text"] == "2 January 2017"
    assert cells["policies/a, none/share"]["text"] == interval_text(cells["policies/a, none/share"]) == "not available"
    assert shown["share"].iloc[0] == 12.3, "a table is looked at as the paper prints it"
    with pytest.raises(ValueError, match="two rows of the table 'other' have the key 'a'"):
        report.save_table(pd.DataFrame({"k": ["a", "a"], "v": [1, 2]}), "other", key="k")


def test_a_cell_may_have_a_short_name(report):
    policies(report)
    report.record_cells(
        "policies", "share", "share of all", digits=0, share_best=("a", "DR-learner, 50 %"), share_none=("a", "none")
    )
    best, none = ledger(report)["numbers"]
    assert (best["text"], best["interval"], best["unit"]) == (r"12\,\%", [0.1, 0.2], "%")
    assert best["cell"] == ["policies", ["a", "DR-learner, 50 %"], "share"]
    assert none["text"] == "not available"
    with pytest.raises(ValueError, match="'lost' is policies/a, other/share, a cell that the run shop_journey has not saved"):
        report.record_cells("policies", "share", "m", lost=("a", "other"))


def test_a_figure_is_saved_when_its_block_ends_and_not_when_it_fails(report):
    with report.figure("x", 1, 2, figsize=(3, 2)) as axes:
        axes[1].plot([1, 2])
    assert ledger(report)["figures"] == ["shop_journey_x"]
    with pytest.raises(KeyError), report.figure("y"):
        raise KeyError("no such column")
    assert ledger(report)["figures"] == ["shop_journey_x"]
    assert plt.get_fignums() == []


def test_a_name_is_used_once_and_is_a_name(report):
    report.record("x", 1, meaning="m")
    with pytest.raises(ValueError, match="'x' is recorded twice in the run shop_journey"):
        report.record("x", 2, meaning="m")
    with pytest.raises(ValueError, match="'Share of sales' is no name"):
        report.record("Share of sales", 2, meaning="m")
    figure, _ = plt.subplots()
    report.save_figure(figure, "x")
    with pytest.raises(ValueError, match="'x' is saved twice"):
        report.save_figure(figure, "x")
    plt.close(figure)


def test_an_interval_upside_down_is_refused(report):
    with pytest.raises(ValueError, match="interval of 'x' runs from 2 to 1"):
        report.record("x", 1.5, interval=(2, 1), meaning="m")


def test_a_new_report_starts_empty(report):
    report.record("x", 1, meaning="m")
    Report("shop", data="journey")
    assert ledger(report)["numbers"] == []


def test_the_same_figure_has_the_same_bytes(report):
    for name in ("a", "b"):
        figure, axis = plt.subplots()
        axis.plot([1, 2, 3])
        report.save_figure(figure, name)
        plt.close(figure)
    for ending in ("pdf", "png"):
        a, b = ((paths.figures() / f"shop_journey_{n}.{ending}").read_bytes() for n in "ab")
        assert a == b
        assert len(a) > 1000


@pytest.mark.slow
def test_no_word_of_a_figure_is_cut_off_in_either_file(report, tmp_path):
    style.use()
    labels = [
        "Condiments, sauces with salad dressing, sandwich spreads",
        "Frozen meat, meat dinners with vegetables - all others",
    ]
    figure, axis = plt.subplots(figsize=(style.WIDTH, 2))
    axis.barh(labels, [1, 2])
    report.save_figure(figure, "x")
    plt.close(figure)
    stem = paths.figures() / "shop_journey_x"
    subprocess.run(["pdftoppm", "-r", "200", "-png", "-singlefile", f"{stem}.pdf", tmp_path / "pdf"], check=True)
    for picture in (tmp_path / "pdf.png", stem.with_suffix(".png")):
        assert plt.imread(picture)[:, 0, :3].min() == 1, "the first column of pixels is white"


def test_a_table_is_rounded_for_the_paper_and_whole_for_people(report):
    table = pd.DataFrame(
        {"who": ["a_b", "c"], "share": [0.12345, None], "n": [1000, 2], "day": pd.to_datetime(["2017-01-02", None])}
    )
    report.save_table(table, "t", digits={"share": 1}, percent=("share",))
    latex = paths.data("tables", "shop_journey_t.tex").read_text(encoding="utf-8")
    assert r"Who & Share & N & Day \\" in latex
    assert r"a\_b & 12.3 & 1,000 & 2017-01-02 \\" in latex
    assert r"c & -- & 2 & -- \\" in latex
    back = pd.read_csv(paths.data("tables", "shop_journey_t.csv"))
    assert back["share"].iloc[0] == 0.12345


def test_a_figure_that_fails_leaves_nothing(report):
    class Broken(Figure):
        def savefig(self, path, **_):
            path.write_text("half")
            raise OSError("no space left on device")

    with pytest.raises(OSError, match="no space left"):
        report.save_figure(Broken(), "x")
    assert list(paths.figures().iterdir()) == []


def test_further_outputs_are_noted_once_and_below_the_folder_that_runs_write(report, tmp_path):
    for name in ("a.parquet", "b.parquet", ".a.1.part.parquet"):
        paths.data("raw").mkdir(parents=True, exist_ok=True)
        paths.data("raw", name).write_text("")
    report.wrote(paths.data("raw"))
    report.wrote(paths.data("raw", "a.parquet"))
    assert ledger(report)["files"] == ["data/raw/a.parquet", "data/raw/b.parquet"]
    with pytest.raises(FileNotFoundError, match="is not there or empty, so the run shop_journey did not write it"):
        report.wrote(paths.data("lost"))
    with pytest.raises(ValueError, match="does not lie below"):
        report.wrote(tmp_path.parent)


def test_a_difference_cites_what_it_is_the_difference_of(report):
    report.record("a", 0.5, unit="%", meaning="m")
    report.save_table(pd.DataFrame({"method": ["x"], "share": [0.4]}), "t")
    report.record("more", 0.1, unit="points", meaning="m", difference=("a", ("t", "x", "share")))
    assert ledger(report)["numbers"][-1]["difference"] == ["a", ["t", ["x"], "share"]]
    assert "difference" not in ledger(report)["numbers"][0]
    with pytest.raises(ValueError, match="'n' is a difference of 'b', which the run shop_journey has not recorded"):
        report.record("n", 0.1, unit="points", meaning="m", difference=("a", "b"))
    with pytest.raises(ValueError, match="a cell of 'u', a table that the run shop_journey has not saved"):
        report.record("n", 0.1, unit="points", meaning="m", difference=("a", ("u", "x", "share")))
    with pytest.raises(ValueError, match=r"'n' is a difference of shares \('a'\): its unit is points, and not '%'"):
        report.record("n", 0.1, unit="%", meaning="m", difference=("a", "a"))


def claimed(report):
    return ledger(report)["claims"][-1]


def test_a_claim_takes_value_unit_and_interval_of_a_number(report):
    report.record("gain", 0.02, unit="points", interval=(0.0004, 0.0396), digits=1, meaning="m")
    assert report.claim("above", "it gains", "gain", above=0) is True
    assert claimed(report)["value"] == 0.02
    assert claimed(report)["unit"] == "points"
    assert claimed(report)["margin_unit"] == "SE"
    assert claimed(report)["margin"] == pytest.approx(2, rel=1e-4)
    with pytest.raises(ValueError, match="'c' claims something of 'loss', which the run shop_journey has not recorded"):
        report.claim("c", "it loses", "loss", below=0)


def test_what_is_called_distinguishable_needs_an_interval_that_excludes_the_bound(report):
    report.record("gain", 0.02, interval=(0.0004, 0.0396), digits=2, meaning="m")
    report.record("less", 0.02, interval=(-0.0004, 0.0404), digits=2, meaning="m")
    report.record("bare", 0.02, digits=2, meaning="m")
    assert report.claim("a", "t", "gain", above=0, distinguishable=True) is True
    assert report.claim("b", "t", "less", above=0, distinguishable=True) is False
    assert claimed(report)["margin"] > 0, "on the right side, and not distinguishably"
    assert report.claim("c", "t", "less", above=0) is True
    assert report.claim("level", "t", "gain", between=(-0.05, 0.05), distinguishable=True) is True
    assert report.claim("wide", "t", "gain", between=(-0.03, 0.03), distinguishable=True) is False
    assert report.claim("none", "t", "bare", above=0, distinguishable=True) is None
    assert claimed(report)["value"] == 0.02
    assert report.claim("exact", "t", 1.0, above=0, se=0.0, distinguishable=True) is True


def test_the_standard_error_behind_an_interval():
    assert standard_error(-1.959964, 1.959964) == pytest.approx(1)
    assert standard_error(float("nan"), 1) is None


def test_the_finding_of_a_single_draw_has_no_standard_error(report):
    assert report.claim("here", "the list earns more", 3.0, above=0, single_draw=True) is True
    assert claimed(report)["single_draw"] is True
    with pytest.raises(ValueError, match="'there' has a standard error: record it as a claim"):
        report.claim("there", "the list earns more", 3.0, above=0, se=1.0, single_draw=True)


def test_a_claim_is_recorded_and_never_stops_a_run(report):
    assert report.claim("more", "it is more", 3.0, above=1.0, se=0.5, basis="20 markets") is True
    assert claimed(report) == {
        "name": "more",
        "text": "it is more",
        "holds": True,
        "value": 3.0,
        "bound": [1.0],
        "side": "above",
        "margin": 4.0,
        "margin_unit": "SE",
        "unit": "",
        "basis": "20 markets",
        "distinguishable": False,
        "single_draw": False,
    }
    assert report.claim("less", "it is less", 3.0, below=1.0, unit="days") is False
    assert (claimed(report)["margin"], claimed(report)["margin_unit"]) == (-2.0, "days")
    assert report.claim("amid", "it lies between", 3.0, between=(1, 4)) is True
    assert claimed(report)["margin"] == 1.0, "to the nearer of the two bounds"
    assert report.claim("plain", "it is so", holds=False) is False
    for name, value in (("none", None), ("nan", float("nan"))):
        assert report.claim(name, "nobody knows", value, above=0, se=1.0) is None
    with pytest.raises(ValueError, match="'more' is claimed twice"):
        report.claim("more", "again", 1, above=0)
    for bounds in ({}, {"above": 0, "below": 1}, {"above": 0, "holds": True}):
        with pytest.raises(ValueError, match="exactly one of above, below, between, holds"):
            report.claim("wrong", "t", 1, **bounds)
    with pytest.raises(ValueError, match="se = -1: a standard error is at least 0"):
        report.claim("wrong", "t", 1, above=0, se=-1)


@pytest.mark.slow
def test_a_ledger_names_the_kernels_that_it_was_computed_with(out):
    code = "from promo_helpers.report import Report; print(*Report('shop').ledger['kernels'])"
    environment = {**os.environ, "OPENBLAS_CORETYPE": "Nehalem"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    expected = "Nehalem" if platform.machine() in ("x86_64", "AMD64") else Report("shop").ledger["kernels"][0]
    assert done.stdout.strip() == expected


def test_a_second_execution_knows_what_the_first_one_wrote(report):
    paths.data("campaigns").mkdir(parents=True)
    paths.data("campaigns", "list.csv").write_text("")
    report.wrote(paths.data("campaigns", "list.csv"))
    assert report.before == set()
    assert Report("shop", data="journey", seed=3).before == {paths.data("campaigns", "list.csv").resolve()}
    assert Report("shop", data="other", seed=3).before == set()


def test_a_notebook_may_end_early_and_well(report):
    with pytest.raises(Ended, match="no trial"), report.ends_on(ValueError):
        raise ValueError("no trial")
    assert ledger(report)["numbers"][-1]["value"] == "no trial"
    with pytest.raises(KeyError), report.ends_on(ValueError):
        raise KeyError("an error of another kind")


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf"), np.float64("nan")])
def test_a_claim_of_what_is_no_number_is_not_available_and_the_run_goes_on(out, bad):
    report = Report("toy", seed=1)
    assert report.claim("value", "a ratio to nothing", bad, above=0) is None
    assert report.claim("bound", "more than what is unknown", 1.0, above=bad) is None
    assert report.claim("both", "between what is unknown", 1.0, between=(0, bad)) is None
    assert report.claim("error", "distinguishably more", 1.0, above=0, se=abs(bad), distinguishable=True) is None
    assert report.claim("error_only", "more", 1.0, above=0, se=abs(bad)) is True
    report.record("n", 3, meaning="what comes after")
    ledger = json.loads(paths.ledger("toy").read_text())
    assert [c["holds"] for c in ledger["claims"]] == [None, None, None, None, True]
    assert ledger["numbers"][0]["value"] == 3
    found = claims.claims_of([ledger])
    assert "1 of 5 claims hold, 4 not available" in claims.claims_sentence(found)
    assert len(claims.claims_table(found)) == 5
    assert claims.claims_latex(found).count("not available") >= 4


def test_a_claim_may_be_told_that_nobody_knows(out):
    assert Report("toy", seed=1).claim("unknown", "the best one is known", holds=float("nan")) is None  # type: ignore[arg-type]
