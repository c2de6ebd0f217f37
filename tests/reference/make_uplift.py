"""Makes the frozen values of other libraries that tests/test_evaluate_referee.py compares with. Not run by the tests.

In an environment of its own (scikit-uplift 0.5.1 and causalml 0.18.0 want other versions than the project; the areas of causalml
0.15.5, which has no RATE, are the same):

    python tests/reference/make_uplift.py data        # uplift_data.csv and budget_data.csv, once
    python tests/reference/make_uplift.py libraries   # uplift_libraries.json: scikit-uplift, CausalML
    python tests/reference/make_uplift.py econml      # uplift_econml.json, in the project's environment
    Rscript tests/reference/make_uplift.R grf/r-package/grf/R/rank_average_treatment.R   # uplift_grf.json: grf's own R functions
    python tests/reference/make_uplift.py maq PROGRAM   # budget_maq.json: see `maq`
"""

import importlib.metadata
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd

HERE = Path(__file__).parent
SCORES = ("smooth", "tied", "constant")


def write(name: str, out: dict[str, object]) -> None:
    """One line a key."""
    lines = [f" {json.dumps(key)}: {json.dumps(value)}" for key, value in out.items()]
    (HERE / name).write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


def data() -> None:
    """240 contacts of 80 customers of a trial: outcomes, three scores (one with ties, one constant) and doubly robust scores."""
    rng = np.random.default_rng(21)
    n = 240
    x, treated = rng.normal(size=n), (rng.random(n) < 0.4).astype(int)
    effect = 0.12 + 0.15 * x
    bought = (rng.random(n) < np.clip(0.35 + effect * treated, 0, 1)).astype(int)
    money = 5 * bought + rng.normal(size=n) - 0.5 * treated
    robust = effect + (treated - 0.4) / 0.24 * (money - 1.7)
    smooth = x + rng.normal(size=n)
    frame = pd.DataFrame({"customer": rng.permutation(np.arange(n) % 80), "treated": treated, "bought": bought, "money": money})
    frame = frame.assign(smooth=smooth, tied=np.round(smooth), constant=1.0, robust=robust)
    frame.round(6).to_csv(HERE / "uplift_data.csv", index=False)
    effect, cost = rng.normal(0.3, 1, (60, 3)), rng.uniform(0.1, 2, (60, 3))
    wide = {f"{name}{j}": values[:, j] for name, values in (("effect", effect), ("cost", cost)) for j in range(3)}
    scores = effect + rng.normal(size=(60, 3))
    pd.DataFrame(wide | {f"score{j}": scores[:, j] for j in range(3)}).round(6).to_csv(HERE / "budget_data.csv", index=False)


def libraries() -> None:
    """What scikit-uplift and CausalML print, for each score and outcome."""
    from causalml.metrics import auuc_score, qini_score
    from causalml.metrics.rate import rate_score
    from sklift.metrics import qini_auc_score, uplift_at_k, uplift_auc_score

    whole = pd.read_csv(HERE / "uplift_data.csv")
    out: dict[str, object] = {
        "versions": {p: importlib.metadata.version(p) for p in ("scikit-uplift", "causalml", "numpy", "pandas")}
    }
    for outcome in ("bought", "money"):
        for score in SCORES:
            value: dict[str, float] = {}
            y, s, t = whole[outcome].to_numpy(), whole[score].to_numpy(), whole["treated"].to_numpy()
            if outcome == "bought":
                value["scikit-uplift qini_auc_score"] = qini_auc_score(y, s, t)
                value["scikit-uplift qini_auc_score, negative_effect=False"] = qini_auc_score(y, s, t, negative_effect=False)
                value["scikit-uplift uplift_auc_score"] = uplift_auc_score(y, s, t)
                for how in ("overall", "by_group"):
                    value[f"scikit-uplift uplift_at_k, {how}"] = uplift_at_k(y, s, t, strategy=how, k=0.3)
            table = pd.DataFrame({"y": y, "w": t, "s": s})
            for name, function in (("auuc_score", auuc_score), ("qini_score", qini_score)):
                value[f"CausalML {name}"] = function(table)["s"]
                value[f"CausalML {name}, normalize=False"] = function(table, normalize=False)["s"]
            for weighting in ("autoc", "qini"):
                value[f"CausalML rate_score, {weighting}"] = rate_score(table, weighting=weighting)["s"]
            out[f"{outcome} {score}"] = {k: float(v) for k, v in value.items()}
    # CausalML sorts by an unstable sort, so that its value for ties depends on the machine: this is the order it took
    orders = {s: whole[[s]].sort_values(s, ascending=False).index.tolist() for s in SCORES}
    out["order of CausalML"] = orders
    try:  # treated and control exchanged: the effect is negative in total, and its Qini without negative effects is no curve
        qini_auc_score(whole["bought"], whole["smooth"], 1 - whole["treated"], negative_effect=False)
    except ValueError as error:
        out["scikit-uplift where the total effect is negative"] = str(error)
    write("uplift_libraries.json", out)


def econml() -> None:
    """EconML's DRTester: TOC and Qini between the 5th and the 95th percentile of the score, from doubly robust scores."""
    from econml.validate.utils import calc_uplift

    frame = pd.read_csv(HERE / "uplift_data.csv")
    out: dict[str, object] = {"versions": {"econml": importlib.metadata.version("econml")}}
    for score in ("smooth", "tied"):
        given = (frame[[score]].to_numpy()[:, 0], frame[score].to_numpy(), frame["robust"].to_numpy(), np.linspace(5, 95, 50))
        for metric in ("toc", "qini"):
            area, error, curve = calc_uplift(*given, metric, 10)
            out[f"{score} {metric}"] = {"area": area, "se": error, "curve": curve["value"].tolist()}
    write("uplift_econml.json", out)


def maq(program: str) -> None:
    """The path of the package maq, whose core (convex_hull.hpp and the loop of compute_path.hpp) was compiled with a main that reads
    rows, arms and the three matrices by rows, and prints spend and gain per row after each move."""
    frame = pd.read_csv(HERE / "budget_data.csv")
    wide = [frame[[f"{name}{j}" for j in range(3)]].to_numpy() for name in ("effect", "cost", "score")]
    given = f"{len(frame)} 3\n" + "\n".join(" ".join(map(repr, part.ravel().tolist())) for part in wide)
    said = subprocess.run([program], input=given, capture_output=True, text=True, check=True).stdout
    path = np.array([line.split() for line in said.splitlines()], float)
    out = {"versions": {"maq": "core, commit 31997e3e"}, "spend": path[:, 0].tolist(), "gain": path[:, 1].tolist()}
    write("budget_maq.json", out)


if __name__ == "__main__":
    {"data": data, "libraries": libraries, "econml": econml, "maq": maq}[sys.argv[1]](*sys.argv[2:])
