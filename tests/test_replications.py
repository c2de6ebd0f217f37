"""The kept simulations: whole, guarded by a probe, renewed where it gives other numbers, and resumable."""

import re

import numpy as np
import pandas as pd
import pytest

from promo_helpers import kept, paths
from promo_helpers.kept import JOBS, Job, Kept, probe_differences, read_study
from promo_helpers.studies import effect_markets, fairness_audits, parity_markets, purchase_markets

HEAD = r"# commit (\w+), \d{4}-\d\d-\d\d, (\d+|\?) s(; probe: commit \w+, \d{4}-\d\d-\d\d)?"


@pytest.mark.parametrize("noun", JOBS)
def test_a_kept_file_says_when_it_was_made_and_holds_each_row_of_each_case_once(noun):
    job, frame = JOBS[noun], read_study(noun)
    assert re.fullmatch(HEAD, kept.read_whole(noun).head)
    assert list(dict.fromkeys(frame["case"])) == list(job.cases)  # and none of the probe
    assert not frame.duplicated(["case", *job.key]).any()


def test_the_kept_comparison_has_all_contacts_and_holds():
    cells = read_study("market_calibration")
    assert (cells.groupby("case")["n"].max() > 20_000).all()  # 200,000 contacts over seven arms
    assert (cells["z"].abs() <= cells["bound"]).all()


@pytest.mark.parametrize(
    ("noun", "cases"),
    [
        ("purchase_markets", purchase_markets.CASES),
        ("effect_coverage", effect_markets.COVERAGE),
        ("effect_refuters", effect_markets.ALARMS),
        ("effect_dial", effect_markets.DIAL),
    ],
)
def test_every_method_met_every_market(noun, cases):
    job = JOBS[noun]
    assert list(cases) == [*job.cases, kept.PROBE]
    rest = [name for name in job.key if name != "seed"]
    for case, part in read_study(noun).groupby("case"):
        assert (part.groupby(rest)["seed"].nunique() == len(cases[case].seeds)).all()


# --- a study of a moment ---

computed: list[str] = []  # cases, in the order in which they were
value = {"x": 2.604, "stop": ""}


def rows_of(case: str) -> pd.DataFrame:
    """The toy's rows. Stands for a study's `replicate`."""
    if case == value["stop"]:
        raise KeyboardInterrupt
    computed.append(case)
    return pd.DataFrame({"seed": 600, "arm": ["none", "10"], "x": [1 / 3, float(value["x"])], "found": [True, False]})


@pytest.fixture
def toy(tmp_path, monkeypatch):
    """A project of one job with two cases; gives the list of the cases that were computed."""
    job = Job("tests.test_replications", "rows_of", ("60,000", "b"), ("seed", "arm"), digits=4, loose={"y": 1e-3})
    monkeypatch.setattr(kept, "JOBS", {"toy": job})
    monkeypatch.setattr(paths, "ROOT", tmp_path)
    monkeypatch.setitem(value, "x", 2.604)
    monkeypatch.setitem(value, "stop", "")
    computed.clear()
    return computed


def test_what_is_read_leaves_the_probe_out(toy):
    with pytest.raises(FileNotFoundError, match=r"data/replications/toy.csv is missing; `make replications N=toy` makes it"):
        read_study("toy")
    kept.make("toy")
    frame = read_study("toy")
    assert frame["case"].tolist() == ["60,000", "60,000", "b", "b"]
    assert frame["x"].tolist() == [0.3333, 2.604] * 2
    assert frame["arm"].tolist() == ["none", "10"] * 2
    assert frame["found"].dtype == bool
    assert kept.kept_probe("toy")["x"].tolist() == [0.333333333, 2.604]
    assert kept.read_whole("toy").head.startswith("# commit unknown, ")  # a folder without git
    assert re.fullmatch(HEAD, kept.read_whole("toy").head)


def test_what_is_up_to_date_is_not_made_again_unless_named(toy, capsys):
    kept.make("toy")
    assert toy == ["probe", "60,000", "b"]
    capsys.readouterr()
    kept.make_kept()
    assert toy == ["probe", "60,000", "b", "probe"]
    assert capsys.readouterr().out.startswith("toy: up to date")
    kept.make_kept(["toy"])
    assert toy[-3:] == ["probe", "60,000", "b"]
    value["x"] = 2.611
    kept.make_kept()
    assert toy[-3:] == ["probe", "60,000", "b"]
    assert read_study("toy")["x"].tolist()[1] == 2.611


def test_a_stopped_run_goes_on_where_it_was_if_the_code_still_gives_the_same(toy):
    value["stop"] = "b"
    with pytest.raises(KeyboardInterrupt):
        kept.make("toy", always=True)
    assert not kept.kept_file("toy").exists()
    value["stop"] = ""
    kept.make("toy", always=True)
    assert toy == ["probe", "60,000", "probe", "b"]
    assert not (paths.ROOT / "build" / "replications" / "toy").exists()
    value["stop"] = "b"
    with pytest.raises(KeyboardInterrupt):
        kept.make("toy", always=True)
    value.update(stop="", x=2.611)
    toy.clear()
    kept.make("toy")
    assert toy == ["probe", "60,000", "b"]
    assert read_study("toy")["x"].tolist() == [0.3333, 2.611] * 2


def test_probes_alone_are_renewed_with_one_command_and_the_head_says_so(toy, capsys):
    kept.make("toy")
    before = kept.read_whole("toy")
    bare = Kept(before.head, before.columns, before.rows)
    bare.write(kept.kept_file("toy"))
    kept.make_kept(probes=True)
    after = kept.read_whole("toy")
    assert (after.columns, after.rows, after.probe) == (before.columns, before.rows, before.probe)
    assert after.head.startswith(f"{before.head}; probe: commit unknown, ")
    kept.make_kept(["toy"], probes=True)  # nothing new: the file stays as it is
    assert kept.read_whole("toy") == after
    assert "rows of the probe as they were" in capsys.readouterr().out
    other = Kept(before.head, before.columns + ",z", tuple(f"{r},1" for r in before.rows))
    other.write(kept.kept_file("toy"))
    with pytest.raises(ValueError, match="toy: the columns are case,seed,arm,x,found, those of the file case,seed,arm,x,found,z"):
        kept.make_kept(probes=True)
    after.write(kept.kept_file("toy"))
    kept.make("toy")  # rows that are older than their probe are not up to date
    assert kept.RENEWED not in kept.read_whole("toy").head
    capsys.readouterr()
    kept.make("toy")
    assert "up to date, as its probe says" in capsys.readouterr().out


def test_a_noun_that_is_not_there_is_named(toy):
    with pytest.raises(SystemExit, match="There is no kept study 'toys'; there are: toy"):
        kept.make_kept(["toys"])
    assert not toy


def table(**changed):
    columns = {"case": "probe", "seed": 600, "arm": ["none", "10"], "x": [2.604, 0.0], "y": [1.0, np.nan], "found": [True, False]}
    return pd.DataFrame(columns | changed)


@pytest.mark.parametrize(
    ("now", "said"),
    [
        ({}, []),
        ({"x": [2.604 * (1 + 5e-7), 5e-10]}, []),  # the last digits of another processor
        ({"x": [2.611, 0.0]}, ["toy: x 2.604 -> 2.611 (case probe, seed 600, arm none)"]),
        ({"x": [2.604 * (1 + 2e-6), 0.0]}, ["toy: x 2.604 -> 2.60401 (case probe, seed 600, arm none)"]),
        ({"x": [2.604, 1e-8]}, ["toy: x 0 -> 1e-08 (case probe, seed 600, arm 10)"]),
        ({"y": [1.0005, np.nan]}, []),  # looser, as the job says
        ({"y": [1.002, np.nan]}, ["toy: y 1 -> 1.002 (case probe, seed 600, arm none)"]),
        ({"y": [1.0, 0.0]}, ["toy: y nan -> 0 (case probe, seed 600, arm 10)"]),
        ({"found": [True, True]}, ["toy: found False -> True (case probe, seed 600, arm 10)"]),
        (
            {"arm": ["none", "15"]},
            ["toy: a row is gone (case probe, seed 600, arm 10)", "toy: a row is new (case probe, seed 600, arm 15)"],
        ),
        ({"z": 1}, ["toy: columns case, seed, arm, x, y, found -> case, seed, arm, x, y, found, z (case probe)"]),
    ],
)
def test_a_number_that_moved_is_named_with_its_place(toy, now, said):
    assert probe_differences("toy", table(), table(**now)) == said
    assert probe_differences("toy", table(**now), table(**now)) == []


def test_rows_may_come_in_another_order_and_none_at_all_is_said(toy):
    assert probe_differences("toy", table(), table().iloc[::-1]) == []
    assert probe_differences("toy", table().iloc[:0], table())[0].startswith("toy: no probe is kept")


# --- real studies, changed by one constant ---


@pytest.mark.slow
def test_a_constant_of_a_study_that_changed_is_seen(monkeypatch):
    before = kept.kept_probe("fairness_audits")  # which the code as it is gives too, by test_probes.py
    differ, taken, audits = fairness_audits.CASES["probe"]
    monkeypatch.setitem(fairness_audits.CASES, "probe", (differ, taken * 1.05, audits))
    said = probe_differences("fairness_audits", before, kept.probe("fairness_audits"))
    assert any(s.startswith("fairness_audits: difference ") for s in said)


@pytest.mark.slow
def test_a_budget_that_is_spent_twice_is_seen(monkeypatch):
    before = kept.kept_probe("parity_markets")
    monkeypatch.setattr(parity_markets, "SPENT", 2 * parity_markets.SPENT)
    said = probe_differences("parity_markets", before, kept.probe("parity_markets"))
    assert any(s.startswith("parity_markets: spend ") and s.endswith(f"policy {parity_markets.FULL})") for s in said)
