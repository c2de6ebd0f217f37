"""Notebooks run with other seeds and parameters than the paper's: none dies of a claim, and a wrong parameter is said at once.

Seed 1 with the parameters of the smoke profile is what tests/test_series.py runs; here each notebook runs with seed 2 and one change, and
with seed 3 and another, on one small shop a seed. A later notebook may read what an earlier one wrote.
"""

import json
import os
import re
import subprocess
import sys

import pytest

from promo_helpers import check, depends, paths
from tests.variants import SMALL, VARIANTS, WRONG

pytestmark = pytest.mark.slow

SEEDS = (2, 3)
CASES = [(seed, notebook, VARIANTS[notebook][i]) for i, seed in enumerate(SEEDS) for notebook in sorted(VARIANTS)]


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    return {seed: tmp_path_factory.mktemp(f"seed{seed}") for seed in SEEDS}


@pytest.mark.parametrize(("seed", "notebook", "changed"), CASES, ids=[f"{n}-seed{s}" for s, n, _ in CASES])
def test_a_notebook_runs_with_another_seed_and_other_parameters(folders, monkeypatch, seed, notebook, changed):
    out = folders[seed]
    given = SMALL.get(notebook, {}) | changed | {"seed": seed}
    command = [sys.executable, "-m", "promo_helpers", "run", notebook, "--alone", "--profile", "smoke"]
    command += [part for name, value in given.items() for part in ("--set", f"{name}={value}")]
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("MAKE", "MFLAGS", "PROMO_"))}
    done = subprocess.run(command, cwd=paths.ROOT, env=clean | {"PROMO_OUT": str(out)}, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    monkeypatch.setenv("PROMO_OUT", str(out))
    ledger = json.loads(depends.ledger_of(notebook).read_text(encoding="utf-8"))
    assert ledger["seed"] == seed
    assert {claim["holds"] for claim in ledger["claims"]} <= {True, False, None}
    assert check.wrong_differences([ledger]) == []


@pytest.mark.parametrize(("notebook", "name", "value", "words"), WRONG, ids=[f"{n}-{p}" for n, p, _, _ in WRONG])
def test_a_wrong_parameter_is_said_before_anything_slow_runs(out, notebook, name, value, words):
    cells = json.loads((paths.notebooks() / f"{notebook}.ipynb").read_text(encoding="utf-8"))["cells"]
    code = [c for c in cells if c["cell_type"] == "code"]
    place = next(i for i, c in enumerate(code) if "parameters" in c["metadata"].get("tags", []))
    known: dict[str, object] = {}
    for cell in code[: place + 1]:
        exec("".join(cell["source"]), known)
    assert name in known
    known[name] = value
    with pytest.raises(ValueError, match=re.escape(words)):
        exec("".join(code[place + 1]["source"]), known)
    assert not out.exists(), "nothing has been written"
