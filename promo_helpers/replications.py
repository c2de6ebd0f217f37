"""Long simulations, run once and kept: `make replications` writes data/replications/<noun>.csv, notebooks read them.

A file is committed with a hash of the code that it depends on. Where the code has changed since, `read` says so in a line, and the
build goes on: a reader sees the results of the code that is named.
"""

import hashlib
import importlib
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from promo_helpers import depends, paths
from promo_helpers.files import whole


@dataclass(frozen=True)
class Job:
    """One file: `function` of `module` makes the rows of a case (a preset, a range of seeds), and the file holds all cases.

    `also` names modules of other folders whose code the numbers come from.
    """

    module: str
    function: str
    cases: tuple[str, ...]
    also: tuple[str, ...] = ()

    def load(self) -> Callable[[str], pd.DataFrame]:
        return getattr(importlib.import_module(self.module), self.function)

    def code(self) -> str:
        """Hash of the module and of all that it imports from its own folder; what lies below that moves bytes and makes no number."""
        start = paths.ROOT.joinpath(*self.module.split(".")).with_suffix(".py")
        files = sorted(f for f in depends.closure({start}) if f.parent == start.parent)
        files += [paths.ROOT.joinpath(*module.split(".")).with_suffix(".py") for module in self.also]
        return hashlib.sha256(b"".join(f.read_bytes() for f in files)).hexdigest()[:16]


PRESETS = ("default", "null", "breakeven", "uniform", "hidden", "thin", "threshold", "additive")
EFFECTS = tuple(f"promo_helpers.models.{name}" for name in ("effects", "effect_design", "effect_scores"))
UPLIFT = tuple(
    f"promo_helpers.{name}"
    for name in (
        "models.uplift", "models.dose", "models.bridge", "evaluate.oracle", "evaluate.scores", "features.contacts", "features.ledger",
        "experiment.contacts",
    )
)  # fmt: skip
POLICIES = tuple(f"promo_helpers.{name}" for name in ("models.response", "evaluate.value", "decide.policies"))
JOBS = {
    "market_calibration": Job("promo_helpers.market.calibration", "replicate", PRESETS),
    "market_rules": Job("promo_helpers.market.hardness", "replicate", ("default",)),
    "uplift_markets": Job(
        "promo_helpers.studies.uplift",
        "replicate",
        ("default", "default, 200,000", "threshold", "additive"),
        UPLIFT,
    ),
    "uplift_nothing": Job(
        "promo_helpers.studies.nothing",
        "replicate",
        ("null", "breakeven"),
        UPLIFT,
    ),
    "policy_markets": Job(
        "promo_helpers.studies.policies",
        "replicate",
        ("default, 60,000", *PRESETS),
        (*UPLIFT, *POLICIES),
    ),
    "forecast_coverage": Job(
        "promo_helpers.studies.coverage",
        "replicate",
        ("default",),
        (*UPLIFT, *POLICIES, "promo_helpers.decide.forecast", "promo_helpers.decide.lines"),
    ),
    "fairness_audits": Job(
        "promo_helpers.studies.fairness",
        "replicate",
        ("fair, groups alike", "fair, groups differ", "planted, 0.1", "planted, 0.2", "planted, 0.4"),
        ("promo_helpers.audit.measures", "promo_helpers.audit.nulls"),
    ),
    "parity_markets": Job(
        "promo_helpers.studies.parity",
        "replicate",
        ("60,000", "20,000"),
        (*UPLIFT, "promo_helpers.models.response", "promo_helpers.audit.parity", "promo_helpers.decide.budget"),
    ),
    "explanation_noise": Job(
        "promo_helpers.studies.explanation",
        "replicate",
        ("15,000", "60,000"),
        (*UPLIFT, "promo_helpers.models.response", "promo_helpers.audit.explanation", "promo_helpers.audit.decision"),
    ),
    "purchase_markets": Job(
        "promo_helpers.studies.purchase",
        "replicate",
        ("paper", "seed"),
        ("promo_helpers.models.purchase", "promo_helpers.features.panel", "promo_helpers.evaluate.ranking"),
    ),
    "effect_coverage": Job("promo_helpers.studies.effect", "coverage", ("0", "1", "2", "3", "4"), EFFECTS),
    "effect_refuters": Job(
        "promo_helpers.studies.effect",
        "alarms",
        ("default", "thin", "hidden", "null"),
        (*EFFECTS, "promo_helpers.models.refuters"),
    ),
    "effect_dial": Job(
        "promo_helpers.studies.effect",
        "dial",
        tuple(f"{overlap} {confounding}" for confounding in ("0", "0.75", "1.5") for overlap in ("0.5", "1", "2", "4")),
        EFFECTS,
    ),
}


def file(noun: str) -> Path:
    """Where the results lie: with the project, whatever folder a run writes to."""
    return paths.ROOT / "data" / "replications" / f"{noun}.csv"


def read(noun: str) -> pd.DataFrame:
    """The kept results: a column `case`, and the rows of each. Says where the code has changed since they were made.

    Raises FileNotFoundError where there are none.
    """
    if not file(noun).is_file():
        raise FileNotFoundError(f"{paths.shown(file(noun))} is missing; `make replications` makes it")
    if kept_code(noun) != JOBS[noun].code():
        print(f"{paths.shown(file(noun))} was made by earlier code; `make replications` makes it anew")
    return pd.read_csv(file(noun), comment="#", dtype={"arm": str}, keep_default_na=False, na_values=[""])


def kept_code(noun: str) -> str:
    """The hash of the code that made the kept results, or nothing."""
    return file(noun).read_text(encoding="utf-8").split("\n", 1)[0].removeprefix("# code ") if file(noun).is_file() else ""


def make(noun: str) -> None:
    """Compute what is missing of a file; finished cases of a run that was stopped are kept in build/replications/."""
    job, code = JOBS[noun], JOBS[noun].code()
    if kept_code(noun) == code:
        print(f"{noun}: up to date")
        return
    parts = []
    for case in job.cases:
        part = paths.ROOT / "build" / "replications" / f"{noun}-{case}-{code}.csv"
        if not part.is_file():
            start = time.perf_counter()
            print(f"{noun}, {case} ...", end=" ", flush=True)
            rows = job.load()(case)
            rows.insert(0, "case", case)
            with whole(part) as scratch:
                rows.to_csv(scratch, index=False, float_format="%.6g")
            print(f"{time.perf_counter() - start:.0f} s", flush=True)
        parts.append(part.read_text(encoding="utf-8"))
    head = parts[0].split("\n", 1)[0]
    with whole(file(noun)) as scratch:
        scratch.write_text(f"# code {code}\n{head}\n" + "".join(p.split("\n", 1)[1] for p in parts), encoding="utf-8")
    print(f"{paths.shown(file(noun))} is written")


if __name__ == "__main__":
    for name in sys.argv[1:] or JOBS:
        make(name)
