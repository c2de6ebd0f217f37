"""Another processor, on this one: older kernels of BLAS and NumPy give other last digits, and nothing that the study says moves.

12_budget fits models and compares policies, 18_campaign chooses a list by them; both run once more on the inputs of the smoke series.
"""

import platform
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from promo_helpers import depends, paths, release, verify
from tests.series import environment

RUNS = ("12_budget", "18_campaign")
VECTORS = np.show_config(mode="dicts")["SIMD Extensions"]["found"]
OTHER = {"OPENBLAS_CORETYPE": "Nehalem", "NPY_DISABLE_CPU_FEATURES": " ".join(VECTORS)}

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="the kernels are those of x86"),
]


def run_under(other: dict[str, str], run: str, out: Path) -> None:
    """One run of the smoke profile below `out`, whose inputs lie there."""
    command = [sys.executable, "-m", "promo_helpers", "run", run, "--alone", "--profile", "smoke"]
    done = subprocess.run(
        command, cwd=paths.ROOT, env=environment() | other | {"PROMO_OUT": str(out)}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def sides(series, tmp_path_factory) -> tuple[release.Build, release.Build]:
    """The series as this processor made it, and with both runs as the other one makes them."""
    out = tmp_path_factory.mktemp("other")
    shutil.copytree(series.copy / "data", out / "data")
    for run in RUNS:
        run_under(OTHER, run, out)
    return release.read_build(series.copy), release.read_build(out)


def of_both(rows: list[verify.Row]) -> list[verify.Row]:
    return [r for r in rows if r.run in {depends.ledger_of(run).stem for run in RUNS} or r.what == "list"]


def test_the_kernels_are_other_ones_and_last_digits_differ(sides):
    plain, other = sides
    assert "Nehalem" in other.facts["kernels"]
    if plain.facts["kernels"] == "Nehalem":
        pytest.skip("this processor is as old as the other one")
    assert any(r.by > 0 for r in of_both(verify.compare(plain, other)) if r.what == "estimate")


def test_every_estimate_agrees_and_no_claim_flips(sides):
    rows = of_both(verify.compare(*sides))
    assert len(rows) > 1000
    assert [(r.what, r.run, r.name, r.texts, r.by) for r in rows if r.grade != "agrees"] == []


def test_the_lists_hold_the_same_customers(sides):
    lists = [r for r in verify.compare(*sides) if r.what == "list"]
    assert lists
    assert {r.texts[0] for r in lists} == {r.texts[1] for r in lists}
    assert {r.by for r in lists} == {0.0}
