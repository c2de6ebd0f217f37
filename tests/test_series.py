"""The whole series as a user meets it: `make paper` at the smoke profile, into a folder of its own, read back from the PDF."""

import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pandas as pd
import pytest

from promo_helpers import depends, paths
from promo_helpers.campaign.evaluation import RECORDED
from promo_helpers.report import interval_text, plain_text
from promo_helpers.series import profile, seal_of
from tests.series import environment, make
from tests.shops import FIRST_DAY, shop_frames, write_shop

pytestmark = pytest.mark.slow

ROOT = paths.ROOT
RUN = "02_shop_completejourney"


def made(out: Path) -> dict[str, str]:
    """Hash of every file that a reader sees: numbers, tables, figures, what the paper pulls in, and the paper."""
    files = [
        p for folder in ("data/numbers", "data/tables", "figures", "paper") for p in (out / folder).rglob("*") if p.is_file()
    ]
    return {str(p.relative_to(out)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


@pytest.fixture(scope="module")
def built(series) -> Path:
    assert f"{RUN} done in" in series.said
    assert series.said.strip().endswith(f"The paper: {series.out}/paper/paper.pdf")
    return series.out


def text_of(pdf: Path) -> str:
    said = subprocess.run(["pdftotext", "-raw", str(pdf), "-"], capture_output=True, text=True, check=True).stdout
    whole = re.sub(r"(?<=[A-Za-z])-\n(?=[a-z])", "", said)  # a word that was broken at the end of its line
    return re.sub(r"\s+", " ", whole)


def test_the_paper_says_the_numbers_that_the_runs_recorded(built):
    text = text_of(built / "paper" / "paper.pdf").replace(" ", "")
    used = set()
    for section in (ROOT / "paper" / "sections").glob("*.tex"):
        used |= set(re.findall(r"\\val\{([\w.]+)\}", section.read_text(encoding="utf-8")))
    assert len(used) >= 20
    numbers = {}
    for path in (built / "data" / "numbers").glob("*.json"):
        ledger = json.loads(path.read_text(encoding="utf-8"))
        numbers |= {f"{ledger['run']}.{n['name']}": n for n in ledger["numbers"]}
    for name in used:
        words = plain_text(numbers[name]["text"]).split(" ")  # a page, and a figure, may end between two words
        assert all(word.replace("\N{NO-BREAK SPACE}", "") in text for word in words), name
        if numbers[name]["interval"] and f"\\interval{{{name}}}" in text:
            assert plain_text(interval_text(numbers[name])).replace(" ", "") in text
    assert "??" not in text


def test_the_built_paper_passes_the_check(built):
    before = {p: p.stat().st_mtime_ns for p in built.rglob("*")}
    done = make("check", "PROFILE=smoke", out=built)
    assert done.returncode == 0, done.stderr
    assert re.search(r"^\d+ numbers of \d+ runs?: text, numbers and files agree\n\d+ definitions? as \\fixed", done.stdout, re.M)
    assert re.search(r"^(\d+ of \d+ claims hold|No claim is recorded)", done.stdout, re.M)
    assert before == {p: p.stat().st_mtime_ns for p in built.rglob("*")}


def test_a_second_make_does_nothing(built):
    before = {p: p.stat().st_mtime_ns for p in built.rglob("*") if p.is_file() and "depends" not in p.name}
    done = make("paper", "PROFILE=smoke", out=built)
    assert done.returncode == 0
    assert "..." not in done.stdout
    assert before == {p: p.stat().st_mtime_ns for p in built.rglob("*") if p.is_file() and "depends" not in p.name}


def test_what_make_would_do_after_a_change(built):
    would = make("paper", "PROFILE=smoke", "-n", "-W", "paper/sections/data.tex", out=built).stdout
    assert "promo_helpers paper" in would
    assert "promo_helpers run" not in would
    for file in ("notebooks/02_shop.ipynb", "promo_helpers/plots/shop_figures.py", "promo_helpers/shop/tables.py"):
        would = make("paper", "PROFILE=smoke", "-n", "-W", file, out=built).stdout
        assert f"promo_helpers run {RUN}" in would
        assert "promo_helpers paper" in would


def figures(ledger: Path) -> int:
    """How many figures the run has made so far."""
    return len(json.loads(ledger.read_text(encoding="utf-8"))["figures"]) if ledger.is_file() else 0


def test_a_deleted_figure_a_kill_and_a_second_build_give_the_same_bytes(built):
    before = made(built)
    assert len(before) > 30
    gone = next((built / "figures").glob("shop_completejourney_*.png"))
    gone.unlink()
    stamp = built / "build" / "runs" / "smoke" / f"{RUN}.ipynb"
    command = ["make", "paper", "PROFILE=smoke", f"OUT={built}"]
    process = subprocess.Popen(command, cwd=ROOT, env=environment(), stdout=subprocess.PIPE, text=True, start_new_session=True)
    deadline = time.monotonic() + 120
    own = "data/numbers/shop_completejourney.json"
    running = built / "build" / "running"
    while time.monotonic() < deadline and not any(0 < figures(f / own) < 5 for f in running.glob(f"{RUN}.*")):
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert any(running.iterdir()), "it was killed in the middle"
    assert stamp.exists()
    assert made(built) == {k: v for k, v in before.items() if k != str(gone.relative_to(built))}, "earlier results stay"
    again = make("paper", "PROFILE=smoke", out=built)
    assert again.returncode == 0, again.stdout + again.stderr
    assert made(built) == before
    assert not list(running.iterdir())


def all_but_explored(out: Path) -> dict[str, tuple[int, str]]:
    """Time of change and hash of every file below a folder, but of what exploring wrote."""
    files = [p for p in out.rglob("*") if p.is_file() and not p.is_relative_to(out / "build" / "explore")]
    return {str(p): (p.stat().st_mtime_ns, hashlib.sha256(p.read_bytes()).hexdigest()) for p in files}


def opened(stamp: Path) -> set[str]:
    """What the runs of other notebooks make, as series.yml calls it, and this run opened: the shop and its truth, saved models by kind."""
    names = set()
    for place in seal_of(stamp)["opened"]:
        _, kind, *rest = place.split("/")
        if kind == "models":
            data = depends.data_set(stamp.stem)
            names.add(rest[0].removesuffix("" if data == depends.SIMULATED else f"_{data}"))
        elif kind == "truth" or rest == [depends.SIMULATED]:
            names.add("shop")
    return names


def test_series_yml_says_what_each_run_opened(built):
    """A run may open less than its notebook reads, where another data set has no such thing or the trial of a small shop tells nothing."""
    listed = depends.series()
    by_notebook: dict[str, set[str]] = {}
    for stamp in sorted((built / "build" / "runs" / "smoke").glob("*.ipynb")):
        notebook = depends.notebook_of(stamp.stem).stem
        by_notebook.setdefault(notebook, set()).update(opened(stamp))
        assert opened(stamp) <= set(listed[notebook].get("reads", [])), f"{stamp.stem} opens what series.yml does not say"
    assert by_notebook == {notebook: set(entry.get("reads", [])) for notebook, entry in listed.items()}
    made = {d.name for d in (built / "data" / "models").iterdir() if "_completejourney" not in d.name}
    assert {"shop", *made} == {kind for entry in listed.values() for kind in entry.get("makes", [])}


def test_what_the_evaluation_reads_is_recorded(built):
    for noun in RECORDED:
        ledger = json.loads((built / "data" / "numbers" / f"{noun}.json").read_text())
        assert set(RECORDED[noun]) - {n["name"] for n in ledger["numbers"]} == set(), noun


def test_a_notebook_in_jupyterlab_changes_no_result_and_explores_in_a_place_of_its_own(built, monkeypatch):
    import papermill

    before = all_but_explored(built)
    monkeypatch.setenv("PROMO_OUT", str(built))
    for name in (n for n in os.environ if n.endswith("_NUM_THREADS") or n in ("PROMO_WRITE", "MPLBACKEND")):
        monkeypatch.delenv(name)
    for name in ("18_campaign", "01_market"):  # the one reads what others made, the other writes the shop that all read
        parameters = {**profile("smoke")[name], "seed": 2}
        papermill.execute_notebook(
            ROOT / "notebooks" / f"{name}.ipynb",
            None,
            parameters,
            kernel_name="python3",
            cwd=ROOT / "notebooks",
            progress_bar=False,
        )
    assert all_but_explored(built) == before
    explored = built / "build" / "explore"
    assert json.loads((explored / "data" / "numbers" / "campaign.json").read_text())["seed"] == 2
    assert {"raw", "truth", "campaigns", "tables"} <= {p.name for p in (explored / "data").iterdir()}
    assert list((explored / "figures").glob("campaign_*.png"))


def test_the_executed_notebooks_show_their_pictures_and_become_pages(built):
    runs = built / "build" / "runs" / "smoke"
    done = make("html", "PROFILE=smoke", out=built)
    assert done.returncode == 0, done.stderr
    folder = built / "build" / "html"
    index = (folder / "index.html").read_text(encoding="utf-8")
    for stamp in runs.glob("*.ipynb"):
        ledger = json.loads((built / "data" / "numbers" / depends.ledger_of(stamp.stem).name).read_text())
        page = (folder / f"{stamp.stem}.html").read_text(encoding="utf-8")
        assert page.count("data:image/png;base64,") >= len(ledger["figures"]), stamp.stem
        assert f'href="{stamp.stem}.html"' in index
        assert stamp.stat().st_size < 4_000_000, stamp.stem
        assert "build/running" not in stamp.read_text(encoding="utf-8"), "a path names where a file lies in the end"
    assert "What does the log of a real supermarket show" in index


def test_a_notebook_that_fails_says_where_and_leaves_no_witness(tmp_path):
    (tmp_path / "empty").mkdir()
    done = make("notebook", "N=02_shop", f"SHOP={tmp_path / 'empty'}", out=tmp_path / "own")
    assert done.returncode == 2
    assert "02_shop_own: The shop in " in done.stderr  # DuckDB may have said before that it leaked something at its end
    assert "stopped in cell" not in done.stderr
    assert "cannot be used: 5 problems, and nothing was written." in done.stderr
    assert "customers (Customers.csv): the file is missing" in done.stderr
    runs = tmp_path / "own" / "build" / "runs" / "own"
    assert [p.name for p in runs.iterdir()] == ["02_shop_own.failed.ipynb"]
    assert not list((tmp_path / "own" / "data" / "raw").glob("*"))
    assert not list((tmp_path / "own" / "data" / "raw").glob(".*"))


def test_the_working_tree_stays_as_it_was(built):
    status = subprocess.run(["git", "status", "--porcelain"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert not re.search(r"^\?\? (data|figures|paper|build|notebooks)/", status, re.M), status


def own_shop(folder: Path, kind: str) -> Path:
    """A shop of one's own: whole, or lacking what a notebook may not take for granted."""
    frames, left_out = shop_frames(), {}
    lines = frames["transactions"]
    if kind == "without discounts, contacts and departments":
        frames["transactions"] = lines.drop(columns=["Discount", "TotalAmount", "PromotionID"])
        left_out = {"contacts": None}
    elif kind == "of three weeks and one category":
        frames["transactions"] = lines[lines["TransactionDate"] < f"{FIRST_DAY + pd.Timedelta(days=21)}"]
        frames["products"]["Category"] = "Food"
    return write_shop(folder, frames, **left_out)


@pytest.mark.parametrize("kind", ["whole", "without discounts, contacts and departments", "of three weeks and one category"])
def test_ones_own_shop_says_what_it_can_and_not_available_otherwise(tmp_path, kind):
    folder = own_shop(tmp_path / "corner", kind)
    done = make("notebook", "N=02_shop", f"SHOP={folder}", "CURRENCY=LKR", out=tmp_path / "own")
    assert done.returncode == 0, done.stdout + done.stderr
    ledger = json.loads((tmp_path / "own" / "data" / "numbers" / "shop_own.json").read_text())
    names = {n["name"] for n in ledger["numbers"] if n["value"] is not None}
    assert {"customers", "lines", "top_fifth"} <= names
    assert ("discounted_lines" in names) == (kind != "without discounts, contacts and departments")
    assert ("lift_most" in names) == (kind != "of three weeks and one category")
    executed = (tmp_path / "own" / "build" / "runs" / "own" / "02_shop_own.ipynb").read_text()
    assert executed.count("not available: ") > (0 if kind == "whole" else 2)


def test_what_is_asked_for_beside_the_paper_leaves_the_paper_alone(built, tmp_path):
    out = tmp_path / "copy"
    shutil.copytree(built, out)
    retrained = make("retrain", out=out)
    assert retrained.returncode == 0, retrained.stdout + retrained.stderr
    numbers = json.loads((out / "data" / "numbers" / "purchase_retrain.json").read_text())["numbers"]
    assert "top_importance" in {n["name"] for n in numbers}
    named = make("products", out=out)
    product = re.split(r"\s{2,}", named.stdout.splitlines()[1].strip())[1]
    before = {p: p.read_bytes() for p in (out / "data" / "campaigns").iterdir()} | {
        p: p.read_bytes() for p in (out / "figures").iterdir()
    }
    done = make("campaign", f"PRODUCT={product}", "BUDGET=2,000", "CHANNEL=e-mail", "EVEN=gender 20", out=out)
    assert done.returncode == 0, done.stdout + done.stderr
    last = done.stdout.strip().splitlines()[-1]
    assert re.fullmatch(
        r"[\d,]+ customers; .*; [\d,]+ held out; the list: \S+_asked_budget2000_even_gender20_email\.csv", last
    ), last
    assert {p: p.read_bytes() for p in before} == before
    assert Path(last.rsplit(" ", 1)[1]).is_file()
