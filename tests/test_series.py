"""The whole series as a user meets it: `make paper` at the smoke profile, into a folder of its own, read back from the PDF."""

import hashlib
import json
import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pandas as pd
import pytest

from promo_helpers import paths
from promo_helpers.report import interval_text, plain_text
from tests.shops import FIRST_DAY, shop_frames, write_shop

ROOT = paths.ROOT
RUN = "02_shop_completejourney"


def make(*arguments: str, out: Path) -> subprocess.CompletedProcess:
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("MAKE", "MFLAGS", "PROMO_"))}
    return subprocess.run(["make", *arguments, f"OUT={out}"], cwd=ROOT, env=environment, capture_output=True, text=True)


def made(out: Path) -> dict[str, str]:
    """Hash of every file that a reader sees: numbers, tables, figures, what the paper pulls in, and the paper."""
    files = [
        p for folder in ("data/numbers", "data/tables", "figures", "paper") for p in (out / folder).rglob("*") if p.is_file()
    ]
    return {str(p.relative_to(out)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("series")
    done = make("paper", "PROFILE=smoke", out=out)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{RUN} done in" in done.stdout
    assert done.stdout.strip().endswith(f"The paper: {out}/paper/paper.pdf")
    return out


def text_of(pdf: Path) -> str:
    said = subprocess.run(["pdftotext", "-layout", str(pdf), "-"], capture_output=True, text=True, check=True).stdout
    return re.sub(r"\s+", " ", said)


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
        shown = plain_text(numbers[name]["text"]).replace("\N{NO-BREAK SPACE}", "").replace(" ", "")
        assert shown in text, name
        if numbers[name]["interval"] and f"\\interval{{{name}}}" in text:
            assert plain_text(interval_text(numbers[name])).replace(" ", "") in text
    assert "??" not in text


def test_the_built_paper_passes_the_check(built):
    before = {p: p.stat().st_mtime_ns for p in built.rglob("*")}
    done = make("check", "PROFILE=smoke", out=built)
    assert done.returncode == 0, done.stderr
    assert re.search(r"^\d+ numbers of \d+ runs?: text, numbers and files agree\n\d+ definitions? as \\fixed", done.stdout, re.M)
    assert before == {p: p.stat().st_mtime_ns for p in built.rglob("*")}


def test_a_second_make_does_nothing(built):
    before = {p: p.stat().st_mtime_ns for p in built.rglob("*") if p.is_file() and "depends" not in p.name}
    done = make("paper", "PROFILE=smoke", out=built)
    assert done.returncode == 0
    assert "..." not in done.stdout
    assert before == {p: p.stat().st_mtime_ns for p in built.rglob("*") if p.is_file() and "depends" not in p.name}


def test_what_make_would_do_after_a_change(built):
    would = make("paper", "PROFILE=smoke", "-n", "-W", "paper/sections/data.tex", out=built).stdout
    assert "promo_helpers.typeset" in would
    assert "promo_helpers.run" not in would
    for file in ("notebooks/02_shop.ipynb", "promo_helpers/plots/shop.py", "promo_helpers/shop/tables.py"):
        would = make("paper", "PROFILE=smoke", "-n", "-W", file, out=built).stdout
        assert f"promo_helpers.run {RUN}" in would
        assert "promo_helpers.typeset" in would


def figures(ledger: Path) -> int:
    """How many figures the run has made so far."""
    return len(json.loads(ledger.read_text(encoding="utf-8"))["figures"]) if ledger.is_file() else 0


def test_a_deleted_figure_a_kill_and_a_second_build_give_the_same_bytes(built):
    before = made(built)
    assert len(before) > 30
    next((built / "figures").glob("shop_completejourney_*.png")).unlink()
    stamp = built / "build" / "runs" / "smoke" / f"{RUN}.ipynb"
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("MAKE", "MFLAGS", "PROMO_"))}
    command = ["make", "paper", "PROFILE=smoke", f"OUT={built}"]
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, start_new_session=True)
    deadline = time.monotonic() + 60
    ledger = built / "data" / "numbers" / "shop_completejourney.json"
    while time.monotonic() < deadline and not (not stamp.exists() and 0 < figures(ledger) < 5):
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert not stamp.exists(), "a run that was killed has no witness"
    assert made(built) != before
    again = make("paper", "PROFILE=smoke", out=built)
    assert again.returncode == 0, again.stdout + again.stderr
    assert made(built) == before


def test_a_notebook_that_fails_says_where_and_leaves_no_witness(tmp_path):
    (tmp_path / "empty").mkdir()
    done = make("notebook", "N=02_shop", f"SHOP={tmp_path / 'empty'}", out=tmp_path / "own")
    assert done.returncode == 2
    assert "02_shop_own stopped in cell 5 (style.use()): " in done.stderr
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
    names = {n["name"] for n in ledger["numbers"]}
    assert {"customers", "lines", "top_fifth"} <= names
    assert ("discounted_lines" in names) == (kind != "without discounts, contacts and departments")
    assert ("lift_most" in names) == (kind != "of three weeks and one category")
    executed = (tmp_path / "own" / "build" / "runs" / "own" / "02_shop_own.ipynb").read_text()
    assert executed.count("not available: ") > (0 if kind == "whole" else 2)
