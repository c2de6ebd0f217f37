"""Kept study: what part of the attainable the learners of an effect reach, over many markets and sizes of trial."""

import hashlib
from functools import partial
from pathlib import Path

import lightgbm as lgb
import numpy as np
import pandas as pd

from promo_helpers import draws, paths
from promo_helpers.evaluate.oracle import ROUNDS, TREES, Informed, fit_informed, followed, frontier, one_variable
from promo_helpers.models.bridge import Costs
from promo_helpers.models.uplift import LEARNERS
from promo_helpers.studies.markets import Scored, side_by_side, trial_market

SIZES = (5_000, 20_000, 60_000)  # contacts to learn from
PER_CONTACT = 1 / 2.95  # customers a contact of the trial
JUDGED = 5_000  # customers whose decisions are valued, 15,000 decisions
ORACLE_SEEDS = tuple(range(9_100, 9_110))  # populations of the oracle: no market that is valued
ORACLE_CUSTOMERS = 15_000
STEPS = {"default": (4, 8)}  # populations that the oracle is fitted to, and doubled
STEP = (3,)  # in the other kinds of market
SLOW = {
    "causal forest": (5_000, 604),
    "DR-learner": (20_000, 1_000),
}  # learners tried up to so many contacts, and in the markets before this one
COMPARED = ("constant", "X-learner", "DR-learner", "causal forest", "dose-response")
CASES: dict[str, tuple[str, tuple[int, ...], tuple[int, ...], tuple[str, ...]]] = {
    "default": ("default", tuple(range(600, 612)), SIZES, COMPARED),
    "default, 200,000": ("default", (600, 601), (200_000,), ("constant", "dose-response")),
    "threshold": ("threshold", tuple(range(600, 603)), (60_000,), ("constant", "dose-response")),
    "additive": ("additive", tuple(range(600, 603)), (60_000,), ("constant", "dose-response")),
}


def replicate(case: str) -> pd.DataFrame:
    """The kept rows of a case, tidy: seed, contacts, learner and what its policy is worth.

    value (LKR a decision), spend, contacted (share), error (root mean square) and correlation (of ranks) of the effect of 15 % off, events
    (purchases an arm), attainable (the informed oracle's value at that spend), informed (its best), omniscient; and of the oracle:
    decisions (that it was fitted to) and doubled (what the last doubling of them gained, as a share).
    """
    preset, seeds, sizes, learners = CASES[case]
    oracle = informed(preset)
    tables = side_by_side(partial(_market, preset, sizes, learners, oracle), seeds, case)
    doubling = pd.read_csv(oracle / "doubling.csv")
    return pd.concat(tables, ignore_index=True).assign(
        decisions=doubling["decisions"].max(), doubled=doubling["value"].pct_change().iloc[-1]
    )


def _market(preset: str, sizes: tuple[int, ...], learners: tuple[str, ...], folder: Path, seed: int) -> pd.DataFrame:
    """One market: every learner at every size, and what they are measured by."""
    oracle, rest, rule = _read(folder)
    customers = int(max(sizes) * PER_CONTACT)
    trial, apart = trial_market(preset, seed, customers, JUDGED)
    x = apart.experiment.features
    rows: list[dict[str, object]] = []
    expected = oracle.expected(x)
    line = frontier(expected, apart.gain, apart.spend)
    base = {"seed": seed, "informed": line.best, "omniscient": float(apart.gain.max(axis=1).mean())}

    def valued(name: str, contacts: int, arm: np.ndarray, events: float, effect: np.ndarray | None = None) -> None:
        n = np.arange(len(arm))
        spend = float(apart.spend[n, arm].mean())
        found = {"value": float(apart.gain[n, arm].mean()), "spend": spend, "contacted": float((arm > 0).mean())}
        if effect is not None:
            a = trial.arms.index("15")
            found["error"] = float(np.sqrt(((effect[:, a] - apart.gain[:, a]) ** 2).mean()))
            found["correlation"] = float(pd.Series(effect[:, a]).corr(pd.Series(apart.gain[:, a]), method="spearman"))
        rows.append(base | {"contacts": contacts, "learner": name, "events": events, "attainable": line.at(spend)} | found)

    valued("informed oracle", 0, expected[0].argmax(axis=1), 0.0, expected[0])
    blind = expected[0].copy()
    blind[:, 1:] += float(apart.elsewhere.mean()) - np.asarray(rest.predict(x[list(oracle.columns)]))[:, None]
    valued("informed of all but other baskets", 0, blind.argmax(axis=1), 0.0, blind)
    valued("best rule on one variable", 0, followed(rule, x), 0.0)
    # customers in the order of their own numbers: a smaller size is part of every larger one
    place = np.unique(draws.uniform(seed, "sizes of the trial", trial.customer), return_inverse=True)[1]
    for size in sizes:
        part = trial.only(place < size * PER_CONTACT)
        events = float(np.nansum(part.outcome("bought")) / len(part.arms))
        for name in learners:
            most, before = SLOW.get(name, (size, seed + 1))
            if size <= most and seed < before:
                effect = LEARNERS[name](part, "profit", Costs(), seed).effects(x)
                valued(name, size, effect.argmax(axis=1), events, effect)
    return pd.DataFrame(rows)


def informed(preset: str) -> Path:
    """The folder of a preset's informed oracle, made once and kept in build/; `doubling.csv` says what each doubling gained."""
    made_by = ("studies/uplift.py", "evaluate/oracle.py", "features/contacts.py", "experiment/contacts.py")
    code = hashlib.sha256(b"".join((paths.ROOT / "promo_helpers" / f).read_bytes() for f in made_by)).hexdigest()[:16]
    folder = paths.ROOT / "build" / "replications" / f"informed-{preset}-{code}"
    if not (folder / "doubling.csv").is_file():
        folder.mkdir(parents=True, exist_ok=True)
        sizes = STEPS.get(preset, STEP)
        seeds = ORACLE_SEEDS[: max(sizes)] + ORACLE_SEEDS[-2:]
        made = side_by_side(partial(_population, preset), seeds, f"{preset}, populations of the oracle")
        kept, steps = made[-2:], []
        for many in sizes:
            oracle = _fit(made[:many])
            value = np.mean([frontier(oracle.expected(s.experiment.features), s.gain, s.spend).best for s in kept])
            steps.append((sum(len(s.gain) for s in made[:many]), float(value)))
        _write(folder, oracle, made[: max(sizes)])
        pd.DataFrame(steps, columns=["decisions", "value"]).to_csv(folder / "doubling.csv", index=False)
    return folder


def _population(preset: str, seed: int) -> Scored:
    return trial_market(preset, seed, 0, ORACLE_CUSTOMERS)[1]


def _joined(made: list[Scored]) -> tuple[pd.DataFrame, np.ndarray, np.ndarray, np.ndarray]:
    x = pd.concat([s.experiment.features for s in made], ignore_index=True).drop(
        columns="product"
    )  # other markets, other products
    return x, np.vstack([s.gain for s in made]), np.vstack([s.spend for s in made]), np.concatenate([s.elsewhere for s in made])


def _fit(made: list[Scored]) -> Informed:
    x, gain, spend, _ = _joined(made)
    return fit_informed(x, gain, spend)


def _write(folder: Path, oracle: Informed, made: list[Scored]) -> None:
    x, gain, _, elsewhere = _joined(made)
    for k, (g, s) in enumerate(zip(oracle.gains, oracle.spends, strict=True)):
        g.save_model(folder / f"gain{k}.txt")
        s.save_model(folder / f"spend{k}.txt")
    lgb.train(TREES, lgb.Dataset(x, elsewhere), ROUNDS).save_model(folder / "rest.txt")
    name, edges, arms = one_variable(x, gain)
    np.savez(folder / "rule.npz", name=name, edges=edges, arms=arms)


def _read(folder: Path) -> tuple[Informed, lgb.Booster, tuple[str, np.ndarray, np.ndarray]]:
    arms = len(list(folder.glob("gain*.txt")))
    gains, spends = (tuple(lgb.Booster(model_file=folder / f"{kind}{k}.txt") for k in range(arms)) for kind in ("gain", "spend"))
    rule = np.load(folder / "rule.npz")
    return Informed(gains, spends, tuple(gains[0].feature_name())), lgb.Booster(model_file=folder / "rest.txt"), (
        str(rule["name"]), rule["edges"], rule["arms"],
    )  # fmt: skip
