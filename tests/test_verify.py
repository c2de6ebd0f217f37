"""Two builds compared: what agrees, what is close, what differs; each fault in a release is caught."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from promo_helpers import paths, release, verify
from promo_helpers.report import Report
from promo_helpers.verify import compare, page

POLICIES = pd.DataFrame(
    {
        "policy": ["nobody", "everybody", "ranking"],
        "contacted": [0, 1200, 310],
        "value": [0.0, -1.52, 2.05],
        "low": [0.0, -2.5, 1.05],
        "high": [0.0, -0.5, 3.05],
        "loss": [0.1234567891234, 0.2, 0.31],
        "chosen": ["", "X-learner", "dose-response"],
    }
)


def build(out, monkeypatch, *, shift=0.0, policies=POLICIES, holds=True, learner="X-learner", sent=310):
    """A build of two runs below `out`."""
    monkeypatch.setenv("PROMO_OUT", str(out))
    report = Report("uplift", seed=1, parts=5)
    report.record("contacts", 21620, meaning="contacts")
    report.record("sent", sent, meaning="customers on the list")
    report.record("embargo", 0.3333333333333333, meaning="a setting")
    report.record("best", learner, meaning="learner with the smallest error")
    report.record("gain", 3347.3 + shift, meaning="profit", unit="LKR", digits=0, interval=(1766.6 + shift, 4928.0 + shift))
    report.record("error", 0.4823719 + shift, meaning="error", digits=3)
    report.claim("gains", "the ranking gains", 2.05 if holds else -2.05, above=0.0, se=0.5)
    report.claim("ahead", "this list is ahead", 1.5 - sent / 310, above=0.0, single_draw=True)
    report.save_table(policies, "policies", digits={"value": 2})
    Report("market", seed=1).record("customers", 300, meaning="customers")
    return release.read_build(out)


@pytest.fixture
def released(tmp_path, monkeypatch):
    """The folder of a release of `build`."""
    made = build(tmp_path / "a", monkeypatch)
    made.facts = release.machine()
    release.write_release(made, tmp_path / "published")
    return tmp_path / "published"


def different(a, b):
    return {f"{r.what} {r.run}.{r.name}" for r in compare(a, b) if r.grade == "differs"}


def edit(file, old, new):
    text = file.read_text(encoding="utf-8")
    assert text.count(old) == 1, text
    file.write_text(text.replace(old, new), encoding="utf-8")


def sealed(folder):
    """The release as `make release` would have sealed it, so that a fault in it is seen by its rows alone."""
    head = json.loads((folder / "release.json").read_text(encoding="utf-8"))
    head["sha256"] = release._digest(folder)
    (folder / "release.json").write_text(json.dumps(head), encoding="utf-8")
    return release.read_build(folder)


def test_a_release_says_the_same_as_the_build_that_it_is_of(released, tmp_path):
    a, b = release.read_build(released), release.read_build(tmp_path / "a")
    rows = compare(a, b)
    assert {r.grade for r in rows} == {"agrees"}
    assert {r.what for r in rows} == {"setting", "count", "estimate", "choice", "claim", "finding"}
    assert len([r for r in rows if r.name.startswith("table policies/")]) == POLICIES.size
    assert verify.sentence(rows).endswith(
        "0 differ; 1 of 1 claims and 1 of 1 findings of single draws come out the same. The two builds say the same."
    )
    assert not a.altered


def test_a_release_is_small_text_and_the_same_bytes_again(released, tmp_path):
    before = {f.name: f.read_bytes() for f in released.rglob("*") if f.is_file()}
    assert set(before) == {"numbers.csv", "claims.csv", "release.json", "uplift_policies.csv"}
    assert b",0.123456789," in before["uplift_policies.csv"]
    assert b"0.3333333333333333" in before["numbers.csv"], "a setting is kept to its last digit"
    release.write_release(release.read_build(released), released)
    assert {f.name: f.read_bytes() for f in released.rglob("*") if f.is_file()} == before


@pytest.mark.slow
@pytest.mark.parametrize(
    ("file", "old", "new", "found"),
    [
        ("numbers.csv", "contacts,21620,", "contacts,21720,", "count uplift.contacts"),
        ("numbers.csv", "0.4823719", "0.4923719", "estimate uplift.error"),
        ("numbers.csv", "4928.0", "9928.0", "estimate uplift.gain"),
        ("numbers.csv", "1766.6,4928.0", ",", "estimate uplift.gain"),
        ("numbers.csv", ",LKR,", ",EUR,", "estimate uplift.gain"),
        ("numbers.csv", "best,X-learner,,,,,X-learner", "best,T-learner,,,,,T-learner", "choice uplift.best"),
        ("numbers.csv", "market,customers,300,,,,,300\n", "", "missing market.customers"),
        ("numbers.csv", "0.3333333333333333", "0.3333333334", "setting uplift.embargo"),
        ("claims.csv", "gains,yes", "gains,no", "claim uplift.gains"),
        ("claims.csv", "gains,yes", "other,yes", "missing uplift.claim gains"),
        ("tables/uplift_policies.csv", "ranking,310", "ranking,311", "count uplift.table policies/ranking/contacted"),
        ("tables/uplift_policies.csv", "2.05,", "-2.05,", "estimate uplift.table policies/ranking/value"),
        ("tables/uplift_policies.csv", "3.05,", "33.05,", "estimate uplift.table policies/ranking/high"),
        ("tables/uplift_policies.csv", "0.123456789", "0.125456789", "estimate uplift.table policies/nobody/loss"),
        ("tables/uplift_policies.csv", "everybody", "somebody", "choice uplift.table policies, row everybody"),
        ("tables/uplift_policies.csv", "dose-response", "X-learner", "choice uplift.table policies/ranking/chosen"),
        ("tables/uplift_policies.csv", "contacted", "sent", "missing uplift.table policies, column sent"),
        ("release.json", '1,\n   "settings": {\n    "', '2,\n   "settings": {\n    "', "setting uplift.setting seed"),
        ("release.json", '"parts": 5', '"parts": 6', "setting uplift.setting parts"),
    ],
)  # fmt: skip
def test_a_fault_in_a_release_is_caught(released, tmp_path, file, old, new, found):
    edit(released / file, old, new)
    assert found in different(release.read_build(released), release.read_build(tmp_path / "a"))
    assert found in different(sealed(released), release.read_build(tmp_path / "a"))
    assert not verify.is_same(compare(sealed(released), release.read_build(tmp_path / "a")))


def test_a_third_digit_changed_by_hand_is_caught_even_inside_a_wide_interval(released, tmp_path):
    edit(released / "numbers.csv", "gain,3347.3,", "gain,3357.3,")
    assert different(release.read_build(released), release.read_build(tmp_path / "a")) == {"setting .rows of the release"}


def test_an_estimate_is_judged_by_its_interval(tmp_path, monkeypatch):
    half = (4928.0 - 1766.6) / 2
    a = build(tmp_path / "a", monkeypatch)
    for shift, grade in ((0.04, "agrees"), (0.06, "close"), (0.99, "close"), (-1.01, "differs")):
        b = build(tmp_path / "b", monkeypatch, shift=shift * half)
        [row] = [r for r in compare(a, b) if r.name == "gain"]
        assert row.grade == grade
        assert row.by == pytest.approx(abs(shift))


def test_an_estimate_without_an_interval_is_judged_by_itself_and_by_what_it_prints():
    assert verify._by_value(0.4823719, 0.4823722)[0] == "agrees"
    assert verify._by_value(0.4823719, 0.4824)[0] == "close"
    assert verify._by_value(0.4823719, 0.4824, printed=True)[0] == "agrees"
    assert verify._by_value(0.012, 0.013, unit=0.001)[0] == "close"
    assert verify._by_value(0.012, 0.013)[0] == verify._by_value(0.012, 0.015, unit=0.001)[0] == "differs"
    assert verify._by_value(1.0, np.nan)[0] == "differs"


def test_what_rounding_leaves_of_nothing_is_the_same():
    assert verify._by_value(9.7e-17, 0.0)[0] == verify._by_interval((3e-16, -4e-17, 4e-17), (1e-17, -3e-17, 5e-17))[0] == "agrees"
    assert verify._exact(3e-15, 2e-15) == "agrees"
    assert verify._by_value(1e-9, 2e-9)[0] == verify._exact(1e-9, 2e-9) == "differs"


def test_a_narrower_interval_is_judged_by_its_own_width():
    wide, narrow = (0.0, -10.0, 10.0), (0.0, -0.1, 0.1)
    assert verify._by_interval(wide, narrow)[0] == verify._by_interval(narrow, wide)[0] == "differs"
    assert verify._by_interval((0.0, 0.0, 0.0), (0.0, 0.0, 0.1))[0] == "differs"


def test_rows_of_a_table_are_matched_by_what_they_are_about(tmp_path, monkeypatch):
    a = build(tmp_path / "a", monkeypatch)
    b = build(tmp_path / "b", monkeypatch, policies=POLICIES.iloc[[0, 2, 1]])
    [row] = [r for r in compare(a, b) if r.grade != "agrees"]
    assert (row.name, row.grade) == ("table policies, order of the rows", "close")
    b = build(tmp_path / "b", monkeypatch, policies=POLICIES.iloc[:2])
    assert different(a, b) == {"choice uplift.table policies, row ranking"}


def test_intervals_of_a_table_belong_to_the_column_of_their_name_or_the_one_between(tmp_path):
    names = ["customers", "gain", "share", "low", "high", "gap", "gap_low", "gap_high", "other"]
    table = pd.DataFrame([[5, 9.0, 0.5, 0.4, 0.6, 3.0, 1.0, 5.0, 1.5]], columns=names).astype(str)
    halves = verify._halves(names, dict.fromkeys(names, "estimate"), table, table)
    assert {c: round(float(h[0]), 9) for c, h in halves.items()} == {
        **dict.fromkeys(("low", "high", "share"), 0.1),
        **dict.fromkeys(("gap_low", "gap_high", "gap"), 2.0),
    }


def test_what_differs_comes_first_and_claims_before_all(tmp_path, monkeypatch):
    a = build(tmp_path / "a", monkeypatch)
    rows = compare(a, build(tmp_path / "b", monkeypatch, shift=9000, holds=False, sent=311, learner="T-learner"))
    assert [r.name for r in rows[:5]] == ["gains", "sent", "gain", "error", "best"]
    assert {r.grade for r in rows[5:]} == {"agrees"}
    assert "0 of 1 claims" in verify.sentence(rows)


def test_a_finding_of_a_single_draw_that_turns_is_named_and_counted_apart(released, tmp_path, monkeypatch):
    turned = build(tmp_path / "b", monkeypatch, sent=620)
    rows = compare(release.read_build(released), turned)
    assert [(r.what, r.name) for r in rows if r.grade == "differs"] == [("finding", "ahead"), ("count", "sent")]
    assert "1 of 1 claims and 0 of 1 findings of single draws come out the same" in verify.sentence(rows)


def test_whom_lists_hold_is_told_and_is_no_difference_by_itself(tmp_path, monkeypatch):
    sides = [build(tmp_path / side, monkeypatch) for side in "ab"]
    for side, customers in (("a", ["C1", "C2", "C3"]), ("b", ["C1", "C2", "C4"])):
        (tmp_path / side / "data" / "campaigns").mkdir()
        pd.DataFrame({"CustomerID": customers}).to_csv(tmp_path / side / "data" / "campaigns" / "list.csv", index=False)
    sides = [release.read_build(tmp_path / side) for side in "ab"]
    [row] = [r for r in compare(*sides) if r.what == "list"]
    assert row.texts == ("3 customers, 1 of them only here",) * 2
    assert row.by == pytest.approx(0.5)
    assert verify.is_same(compare(*sides))


def test_lists_alone_are_read_and_one_that_cannot_be_is_named(tmp_path, monkeypatch):
    build(tmp_path / "a", monkeypatch)
    folder = tmp_path / "a" / "data" / "campaigns"
    folder.mkdir()
    (folder / "good.csv").write_text("CustomerID\nC1\n")
    for name in ("good_responses", "good_summary", "good_audit", "good_columns", "asked_responses_2"):
        (folder / f"{name}.csv").write_text("CustomerID\nC1,1,2,3\n,,,,,,\nC1\n")
    (folder / "empty.csv").write_text("")
    (folder / "ragged.csv").write_text("CustomerID,Name\nC1,a\nC2,b,c,d\n")
    (folder / "western.csv").write_bytes("CustomerID,Name\nC1,Zo\u00eb\n".encode("cp1252"))
    for made in (release.read_build(tmp_path / "a"), release.present("smoke")):
        assert made.lists == {"good.csv": ["C1"]}
        assert [line.partition(":")[0] for line in made.unread] == ["empty.csv", "ragged.csv", "western.csv"]
        assert verify.is_same(compare(made, made))
        text = page(made, made, compare(made, made), release.aside(made, made), tmp_path / "verify.html").read_text(
            encoding="utf-8"
        )
        assert "western.csv: " in text


def test_a_present_build_that_cannot_be_read_is_a_sentence(tmp_path, monkeypatch):
    build(tmp_path / "a", monkeypatch)
    (tmp_path / "a" / "data" / "numbers" / "uplift.json").write_text('{"run":')
    with pytest.raises(SystemExit, match="a cannot be read: "):
        release.present("smoke")


def test_a_run_that_one_side_lacks_is_said_once(tmp_path, monkeypatch):
    a = build(tmp_path / "a", monkeypatch)
    build(tmp_path / "b", monkeypatch)
    (tmp_path / "b" / "data" / "numbers" / "uplift.json").unlink()
    assert different(a, release.read_build(tmp_path / "b")) == {"missing uplift.the whole run"}


def test_runs_of_one_side_that_no_profile_names_are_listed_without_a_verdict(tmp_path, monkeypatch):
    a = build(tmp_path / "a", monkeypatch)
    build(tmp_path / "b", monkeypatch)
    asked = Report("campaign_asked_white_bread", seed=1)
    asked.record("customers", 50, meaning="customers")
    asked.save_table(POLICIES, "policies")
    both = release.common("smoke", a, release.read_build(tmp_path / "b"))
    assert both[2] == [f"Only in {tmp_path / 'b'}, of no run of the profile smoke, and not compared: campaign_asked_white_bread"]
    assert {r.grade for r in compare(*both[:2])} == {"agrees"}
    (tmp_path / "b" / "data" / "numbers" / "uplift.json").unlink()
    *sides, lines = release.common("smoke", a, release.read_build(tmp_path / "b"))
    assert different(*sides) == {"missing uplift.the whole run"}, "a run of the profile is missed"
    assert len(lines) == 1


def test_the_page_is_whole_and_says_what_differs_first(released, tmp_path, monkeypatch):
    a, b = release.read_build(released), build(tmp_path / "b", monkeypatch, holds=False, learner="<b>T")
    text = page(a, b, compare(a, b), [], tmp_path / "verify.html").read_text(encoding="utf-8")
    assert not any(word in text for word in ("src=", "href=", "url(", "<script", "<b>"))
    assert text.index("What differs (2)") < text.index("uplift.gains") < text.index("Claims (1)") < text.index("By run")
    assert a.facts["kernels"] in text
    assert a.facts["processor"] in text
    assert "not recorded" in text, "nobody noted the other machine"


def run(*arguments, out):
    command = [sys.executable, "-m", "promo_helpers", "verify", "--profile", "smoke", *map(str, arguments)]
    environment = {"PATH": "", "PROMO_OUT": str(out)}
    return subprocess.run(command, cwd=paths.ROOT, env=environment, capture_output=True, text=True)


@pytest.mark.slow
def test_the_command_ends_with_a_sentence_and_an_exit_code(released, tmp_path, monkeypatch):
    done = run("--a", released, "--b", tmp_path / "a", out=tmp_path / "out")
    assert (done.returncode, done.stderr) == (0, "")
    assert "The two builds say the same. The page: " in done.stdout
    build(tmp_path / "b", monkeypatch, holds=False)
    done = run("--a", released, "--b", tmp_path / "b", out=tmp_path / "out")
    assert done.returncode == 1
    assert done.stdout.startswith("  claim uplift.gains: holds: yes, by 4.1 SE; the ranking gains -> holds: no, by -4.1 SE")
    assert "The two builds do not say the same." in done.stdout
    assert (tmp_path / "out" / "build" / "verify.html").is_file()


def test_the_present_build_is_compared_with_its_profile_and_this_machine(tmp_path, monkeypatch):
    build(tmp_path / "a", monkeypatch)
    monkeypatch.setattr(release, "published", lambda profile: tmp_path / "published")
    with pytest.raises(SystemExit, match="`make release` makes one of the present build"):
        release.sides("smoke")
    made = release.present("smoke")
    assert set(made.runs) == {"market", "uplift"}
    assert made.facts["versions"]["numpy"] == np.__version__
    release.write_release(made, release.published("smoke"))
    assert verify.is_same(compare(*release.sides("smoke")))


@pytest.mark.slow
def test_where_nothing_can_be_compared_a_sentence_says_what_to_do(tmp_path):
    said = f"No run has been made yet; `make paper PROFILE=smoke OUT={tmp_path}` makes them."
    assert run(out=tmp_path).stderr.strip() == said
    assert "release.json" in run("--a", tmp_path, "--b", tmp_path, out=tmp_path).stderr
    assert "B needs an A" in run("--b", tmp_path, out=tmp_path).stderr


@pytest.mark.slow
def test_a_broken_release_is_named(released, tmp_path):
    shutil.copytree(released, tmp_path / "twice")
    lines = (tmp_path / "twice" / "numbers.csv").read_text(encoding="utf-8").splitlines()
    (tmp_path / "twice" / "numbers.csv").write_text("\n".join([*lines, lines[-1]]), encoding="utf-8")
    done = run("--a", tmp_path / "twice", "--b", released, out=tmp_path / "out")
    assert done.returncode == 1
    assert "twice cannot be read: " in done.stderr


def test_what_is_not_available_is_as_if_it_had_not_been_recorded(tmp_path, monkeypatch):
    builds = []
    for name, value in (("a", None), ("b", float("nan")), ("c", 1.0)):
        monkeypatch.setenv("PROMO_OUT", str(tmp_path / name))
        report = Report("uplift", seed=1)
        report.record("n", 3, meaning="m")
        if name != "a":
            report.record("true_value", value, digits=1, interval=(value, value), meaning="m")
        builds.append(release.read_build(tmp_path / name))
    assert verify.is_same(verify.compare(builds[0], builds[1]))
    assert verify.is_same(verify.compare(builds[1], builds[0]))
    assert verify.is_same(verify.compare(builds[1], builds[1]))
    assert not verify.is_same(verify.compare(builds[1], builds[2]))
    assert not verify.is_same(verify.compare(builds[0], builds[2]))
