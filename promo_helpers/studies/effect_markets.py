"""Effects in many small markets: do intervals cover, do refuters raise alarms where one is due, and how wrong do estimates get?

Small markets of 600 or 1,500 customers, whose trial has two arms (no offer, and 15 %), so that at 600 trial and log have about 1,500
contacts of the two arms each; the log's rule keeps its seven arms. The estimand is the sample average effect: the truth's expectation
of units (or of the product's profit) in the window with the offer less without it, averaged over the very contacts that the estimate
is from.
"""

import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from promo_helpers.experiment import Experiment
from promo_helpers.experiment.contacts import contact_experiment
from promo_helpers.inference import critical, interval, named, share, student
from promo_helpers.market import ARMS, Truth, parameters, simulate
from promo_helpers.models import effects, refute
from promo_helpers.models.effects import METHODS, Design
from promo_helpers.shop import Shop
from promo_helpers.studies.markets import run_cases

OFFER = "15"
TWO_ARMS = (0.5, 0.001, 0.001, 0.001, 0.495, 0.001, 0.001)  # the trial's, in the order of ARMS
LEVELS = {"units": "units", "profit": "window_profit"}  # outcome -> its name among the truth's expectations
PARTS = 5  # the markets of the coverage study, in as many cases that can be stopped between
PRESETS = ("default", "thin", "hidden", "null")
OVERLAPS, CONFOUNDINGS = (0.5, 1.0, 2.0, 4.0), (0.0, 0.75, 1.5)


@dataclass(frozen=True)
class EffectCase:
    """Markets: seeds, customers of each, the preset, and its two dials where they are turned."""

    seeds: tuple[int, ...]
    customers: int = 1_500  # enough where the question is how wrong an estimate is, and not whether its interval says so
    preset: str = "default"
    overlap: float = 1.0
    confounding: float = 0.0


COVERAGE = {str(k): EffectCase(tuple(range(1_000, 1_500))[k::PARTS], 600) for k in range(PARTS)} | {
    "probe": EffectCase((1_000,), 400)
}
ALARMS = {preset: EffectCase(tuple(range(2_000, 2_060)), preset=preset) for preset in PRESETS} | {
    "probe": EffectCase((2_000,), 400, "hidden")
}
DIAL = {
    f"{overlap:g} {confounding:g}": EffectCase(tuple(range(3_000, 3_020)), overlap=overlap, confounding=confounding)
    for confounding in CONFOUNDINGS
    for overlap in OVERLAPS
} | {"probe": EffectCase((3_000,), 400, overlap=2.0, confounding=1.5)}


def true_effects(truth: Truth, shop: Shop, experiment: Experiment) -> dict[str, np.ndarray]:
    """[row] true effects of an experiment of two arms, by outcome: units, profit (of the product in the window), whole (the gain)."""
    contacts = shop.frame("contacts", ["contact_id", "customer_id", "product_id", "time"]).set_index("contact_id")
    expected = truth.expected(contacts.loc[experiment.contact_id].reset_index(drop=True))
    control, offer = (ARMS.index(arm) for arm in experiment.arms)
    names = LEVELS | {"whole": "gain"}
    return {outcome: expected[name][:, offer] - expected[name][:, control] for outcome, name in names.items()}


def market(seed: int, sources: tuple[str, ...], customers: int, preset: str = "default", **changes: Any) -> dict[str, Any]:
    """source -> (experiment of two arms, true effects of its rows) of one small market."""
    p = parameters("paper", preset, customers=customers, trial_probability=TWO_ARMS, **changes)
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        shop, truth = simulate(p, seed, Path(folder) / "shop", Path(folder) / "truth", workers=1)
        for source in sources:
            experiment = contact_experiment(shop, source, p.contact_cost).contrast(OFFER)  # type: ignore[arg-type]
            found[source] = experiment, true_effects(truth, shop, experiment)
    return found


def effects_of_market(case: EffectCase, seed: int) -> pd.DataFrame:
    """One market: source, outcome, method, effect, error, truth."""
    parts = []
    for source, (experiment, true) in market(seed, ("trial", "log"), case.customers).items():
        parts.append(effects.table(experiment, LEVELS, METHODS, seed, true).assign(source=source))
    return pd.concat(parts)[["source", "outcome", "method", "effect", "error", "truth"]]


def effect_coverage_rows(case: str) -> pd.DataFrame:
    """The kept rows of one part of the markets: those of `effects_of_market`, and a column seed."""
    return _each(effects_of_market, COVERAGE[case], case)


def _each(function: Callable[[EffectCase, int], pd.DataFrame], case: EffectCase, name: str) -> pd.DataFrame:
    tables = run_cases(partial(function, case), case.seeds, name)
    return pd.concat([t.assign(seed=seed) for t, seed in zip(tables, case.seeds, strict=True)], ignore_index=True)


def refuted(case: EffectCase, seed: int) -> pd.DataFrame:
    """The log of one market: refuter, alarm; missed, whether our interval of the regression misses the truth; effect and truth."""
    [(experiment, true)] = market(seed, ("log",), case.customers, case.preset).values()
    design = Design.of(experiment, seed)
    found = effects.estimate(experiment, "units", "regression", seed, design)
    truth = float(true["units"].mean())
    said = refute.refute(design, experiment.outcome("units"), seed)[["refuter", "alarm"]]
    return said.assign(missed=not found.low <= truth <= found.high, effect=found.effect, truth=truth)


def refuter_rows(case: str) -> pd.DataFrame:
    """The kept rows of a preset: those of `refuted`, and a column seed."""
    return _each(refuted, ALARMS[case], case)


def turned(case: EffectCase, seed: int) -> pd.DataFrame:
    """The log of one market with its two dials turned: method, effect, error, truth; units only."""
    dials = {"overlap": case.overlap, "confounding": case.confounding}
    [(experiment, true)] = market(seed, ("log",), case.customers, case.preset, **dials).values()
    table = effects.table(experiment, ["units"], METHODS, seed, true)
    return table[["method", "effect", "error", "truth"]]


def dial_rows(case: str) -> pd.DataFrame:
    """The kept rows of one setting of the dials ("overlap confounding"): those of `turned`, and columns seed, overlap, confounding."""
    return _each(turned, DIAL[case], case).assign(overlap=DIAL[case].overlap, confounding=DIAL[case].confounding)


def share_between(events: int, trials: int) -> tuple[float, float, float]:
    """Share with its 95 % interval (Clopper and Pearson 1934)."""
    ends = share(events, trials, method="beta")
    return ends["estimate"], float(ends["low"]), float(ends["high"])


def coverage_table(study: pd.DataFrame) -> pd.DataFrame:
    """One row per source, outcome and method: how often the 95 % interval holds the truth (covered, low, high), whether `sound` (.95 lies
    within that binomial interval), the mean error in true effects (bias, bias_low, bias_high), and the ratio of the error that is claimed
    to the spread that there is (claimed)."""
    rows = []
    for (source, outcome, method), part in study.groupby(["source", "outcome", "method"], sort=False):
        miss = part["effect"] - part["truth"]
        covered, low, high = share_between(int((miss.abs() <= critical() * part["error"]).sum()), len(part))
        scale = part["truth"].mean()
        bias = interval(miss.mean() / scale, miss.std() / np.sqrt(len(part)) / abs(scale))
        row = {"source": source, "outcome": outcome, "method": method, "markets": len(part)}
        row |= {"covered": covered, "low": low, "high": high, "sound": low <= 0.95 <= high}
        row |= named("bias", bias) | {"claimed": part["error"].mean() / miss.std()}
        rows.append(row)
    return pd.DataFrame(rows)


def alarm_table(study: pd.DataFrame) -> pd.DataFrame:
    """One row per case and refuter: case, refuter, alarms (share of markets), low, high; and a row "interval misses the truth" each."""
    rows = []
    for case, part in study.groupby("case", sort=False):
        markets = part.drop_duplicates("seed")
        rows.append((case, "interval misses the truth", *share_between(int(markets["missed"].sum()), len(markets))))
        for refuter, some in part.groupby("refuter", sort=False):
            rows.append((case, refuter, *share_between(int(some["alarm"].sum()), len(some))))
    return pd.DataFrame(rows, columns=["case", "refuter", "alarms", "low", "high"])


def bias_table(study: pd.DataFrame, by: Iterable[str]) -> pd.DataFrame:
    """One row per group of `by`: error, the mean of effect less truth in units of the mean truth of the group, with low and high over
    markets (Student), and markets."""
    rows = []
    for key, part in study.groupby(list(by), sort=False):
        miss, scale = part["effect"] - part["truth"], abs(part["truth"].mean())
        error = student(miss)
        rows.append((*key, *(error[k] / scale for k in ("estimate", "low", "high")), len(part)))
    return pd.DataFrame(rows, columns=[*by, "error", "low", "high", "markets"])


def coverage_records(table: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """What `Report.record` takes: covered_* and bias_* for each row of `coverage_table`."""
    for r in table.itertuples():
        key, what = _key(r.source, r.outcome, r.method), f"{r.source}, {r.outcome}, {r.method}"
        yield _number(f"covered_{key}", r.covered, r.low, r.high, f"intervals that hold the truth, {what}", 1, "%")
        yield _number(f"bias_{key}", r.bias, r.bias_low, r.bias_high, f"mean error in true effects, {what}")


def alarm_records(table: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """What `Report.record` takes: alarm_* for each row of `alarm_table`."""
    for r in table.itertuples():
        name, meaning = f"alarm_{_key(r.case, r.refuter)}", f"markets ({r.case}) with an alarm: {r.refuter}"
        yield _number(name, r.alarms, r.low, r.high, meaning, 0, "%")


def dial_records(table: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """What `Report.record` takes: dial_<method>_<10 x slope>_<100 x hidden confounding> for each row of the dial's `bias_table`."""
    for r in table.itertuples():
        meaning = f"mean error in true effects, slope {r.overlap:g}, hidden {r.confounding:g}, {r.method}"
        name = f"dial_{_key(r.method)}_{10 * r.overlap:.0f}_{100 * r.confounding:.0f}"
        yield _number(name, r.error, r.low, r.high, meaning)


def alarm_cells(table: pd.DataFrame) -> pd.DataFrame:
    """`alarm_table` as it is printed: a row per refuter, a column per case, per cent with intervals."""
    cells = table.assign(cell=[written(*values) for values in table[["alarms", "low", "high"]].to_numpy()])
    shown = cells.pivot(index="refuter", columns="case", values="cell")
    return shown.loc[table["refuter"].unique(), table["case"].unique()].reset_index()


def coverage_cells(table: pd.DataFrame, methods: Iterable[str]) -> pd.DataFrame:
    """`coverage_table` as it is printed: a row per method, a column per source and outcome, shares."""
    shown = table.pivot(index="method", columns=["source", "outcome"], values="covered").loc[list(methods)]
    shown.columns = [f"{source}, {outcome}" for source, outcome in shown.columns]
    return shown.reset_index()


def _number(name: str, value: float, low: float, high: float, meaning: str, digits: int = 2, unit: str = "") -> dict[str, Any]:
    return {"name": name, "value": value, "unit": unit, "digits": digits, "interval": (low, high), "meaning": meaning}


def _key(*names: str) -> str:
    return "_".join(names).lower().replace(", ", "_").replace(" ", "_").replace("-", "_")


def written(share: float, low: float, high: float) -> str:
    """A share with its interval as a cell of a table: 12 (6 to 22)."""
    return f"{100 * share:.0f} ({100 * low:.0f} to {100 * high:.0f})"
