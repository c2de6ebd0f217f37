"""Whoever else is there, in whatever order: nobody else's fold, holdout, half-sample, bootstrap weight or random rank changes.

Each function that draws is given all rows, and rows without some customers in another order. Folds that it keeps to itself are read off
the rows that its models are fitted to.
"""

import ast
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace

import lightgbm as lgb
import networkx as nx
import numpy as np
import pandas as pd
import pytest

from promo_helpers import inference, paths
from promo_helpers.decide import parity, policies
from promo_helpers.decide.holdout import held_out, with_holdout
from promo_helpers.evaluate import cost_curves, referee, uplift, value
from promo_helpers.experiment import contacts, design
from promo_helpers.models import demand, refute
from promo_helpers.models.effects import Design
from tests.test_models_response import trial as response_trial

Draw = Callable[[np.ndarray], dict]  # rows -> what each customer (or row) drew
PEOPLE, ROWS = 300, 900
CUSTOMER = np.array([f"C{k:04d}" for k in np.random.default_rng(0).integers(0, PEOPLE, ROWS)], object)
CONTACT = np.array([f"T{k:05d}" for k in range(ROWS)], object)
RNG = np.random.default_rng(1)
X = pd.DataFrame({"row": np.arange(ROWS) * 1.0, "x": RNG.normal(size=ROWS), "y": RNG.normal(size=ROWS)})
ARM = RNG.integers(0, 3, ROWS)


def variants() -> list[np.ndarray]:
    """All rows in another order; those of nine customers in ten, in order and not; those of all but one customer."""
    some = np.flatnonzero(~np.isin(CUSTOMER, np.unique(CUSTOMER)[::10]))
    one = np.flatnonzero(~np.isin(CUSTOMER, CUSTOMER[:1]))
    mixed = np.random.default_rng(2).permutation
    return [mixed(ROWS), some, mixed(some), one]


def assert_own(draw: Draw) -> None:
    """What somebody draws is the same in every variant, and is not the same for all."""
    whole = draw(np.arange(ROWS))
    assert len(set(map(str, whole.values()))) > 1
    for rows in variants():
        part = draw(rows)
        changed = [who for who, what in part.items() if str(what) != str(whole[who])]
        assert not changed, f"{len(changed)} of {len(part)} drew another, such as {changed[0]}"


def by_customer(rows: np.ndarray, drawn: np.ndarray) -> dict:
    """{customer: what her rows drew}; all her rows drew the same."""
    table = pd.Series(drawn).groupby(CUSTOMER[rows])
    assert (table.min() == table.max()).all()
    return table.first().to_dict()


def trial():
    """A trial whose first feature is the number of the row."""
    made, _ = response_trial(ROWS, 3)
    return replace(made, customer=CUSTOMER, contact_id=CONTACT, features=made.features.assign(row=np.arange(ROWS) * 1.0))


def trained_on(monkeypatch: pytest.MonkeyPatch, run: Callable[[], object]) -> dict:
    """{row: numbers of the models of one LightGBM after another that were fitted to it}."""
    seen: dict[int, list[int]] = {}
    number = iter(range(10**6))

    class Spy(lgb.Dataset):
        def __init__(self, data, *args, **named):
            k = next(number)
            table = (
                data["row"] if isinstance(data, pd.DataFrame) else data[:, 1]
            )  # outcome means have the arm before the features
            for row in np.asarray(table, int):
                seen.setdefault(int(row), []).append(k)
            super().__init__(data, *args, **named)

    with monkeypatch.context() as patch:
        patch.setattr(lgb, "Dataset", Spy)
        run()
    return seen


def people_of(rows_of: dict) -> dict:
    """The same by customer: a fold is one for all her rows, though only some of them are learnt from."""
    return {CUSTOMER[row]: tuple(models) for row, models in rows_of.items()}


def test_folds_of_an_experiment():
    whole = trial()

    def draw(rows):
        parts = whole.only(rows).folds([0.5, 0.25, 0.25], 4)
        return {c: k for k, part in enumerate(parts) for c in part.customer}

    assert_own(draw)


def test_folds_of_outcome_means(monkeypatch):
    assert_own(lambda rows: by_customer(rows, value.customer_folds(CUSTOMER[rows], 5, 4)))

    def draw(rows):
        return people_of(
            trained_on(
                monkeypatch,
                lambda: value.outcome_means(X.iloc[rows], ARM[rows], X["y"].to_numpy()[rows], 3, CUSTOMER[rows], 3, 4),
            )
        )

    assert_own(draw)


def test_folds_of_the_dose_response_and_of_the_displaced_share(monkeypatch):
    whole = trial()
    assert_own(lambda rows: people_of(trained_on(monkeypatch, lambda: demand.fit_dose_response([whole.only(rows)], 4))))
    units = np.random.default_rng(5).gamma(2, 1, (ROWS, len(whole.arms)))
    with_outcomes = replace(whole, outcomes=whole.outcomes.assign(substitutes=1.0 * np.arange(ROWS), product_after=0.0))
    assert_own(
        lambda rows: people_of(
            trained_on(monkeypatch, lambda: demand.estimate_displacement(with_outcomes.only(rows), units[rows], 4))
        )
    )


def test_parts_of_a_response(monkeypatch):
    whole = trial()
    fitted = SimpleNamespace(expected=lambda features: (np.ones((len(features), 1)), None))
    monkeypatch.setattr(demand, "fit_dose_response", lambda *_: fitted)
    monkeypatch.setattr(demand, "estimate_displacement", lambda *_: SimpleNamespace(share=0.0))
    monkeypatch.setattr(demand, "_link", lambda *_: (0.0, 1.0))
    costs = contacts.Costs()
    assert_own(lambda rows: by_customer(rows, demand.fit_demand_response(whole.only(rows), costs, 4)[1]))


def test_folds_of_effects_and_of_probabilities(monkeypatch):
    whole = trial()
    two = whole.contrast(whole.arms[1])

    def folds(rows):
        part = two.only(np.flatnonzero(np.isin(two.contact_id, CONTACT[rows])))
        return dict(zip(part.customer, Design.of(part, 4, ["x"]).fold, strict=True))

    assert_own(folds)
    asked: list[np.ndarray] = []
    monkeypatch.setattr(design, "_log_odds", lambda learner, given, treated, x: asked.append(x[:, -1]) or np.zeros(len(x)))

    def draw(rows):
        asked.clear()
        design.estimate_probabilities(whole.only(rows), 4, 4, "lightgbm")
        return {CUSTOMER[int(row)]: k // (len(whole.arms) - 1) for k, some in enumerate(asked) for row in some}

    assert_own(draw)


def test_half_samples():
    def drawn(rows):
        people = inference.customers(CUSTOMER[rows])[1]
        inside = inference.over_half_samples(lambda some: some, people, 40, 4)
        return pd.DataFrame(inside, columns=people).astype(bool)

    whole = drawn(np.arange(ROWS))
    assert (whole.sum(axis=1) == whole.shape[1] // 2).all()
    for rows in variants():
        part = drawn(rows)
        gone = whole.shape[1] - part.shape[1]
        moved = (part != whole[part.columns]).sum(axis=1)
        assert (moved <= gone).all()  # who leaves makes room for one other at most


def test_half_samples_do_not_hang_on_how_many_are_drawn_at_a_time(monkeypatch):
    people = np.unique(CUSTOMER)
    whole = inference.over_half_samples(lambda some: some, people, 30, 4)
    monkeypatch.setattr(inference, "CELLS", 7 * len(people))
    np.testing.assert_array_equal(inference.over_half_samples(lambda some: some, people, 30, 4), whole)


def test_metrics_with_half_samples_draw_customers_by_name(monkeypatch):
    asked = []
    for module in (uplift, cost_curves):
        monkeypatch.setattr(
            module,
            "over_half_samples",
            lambda s, people, n, seed: asked.append((set(people), seed)) or s(np.ones((n, len(people)))),
        )
    x, y, half = X["x"].to_numpy(), X["y"].to_numpy(), np.full(ROWS, 0.5)
    uplift.rate({"x": x}, y, CUSTOMER, 4, 3)
    uplift.uplift_at_k(x, y, ARM % 2, half, y, CUSTOMER, [0.5], 5, 3)
    cost = np.column_stack([np.zeros(ROWS), np.ones(ROWS)])
    cost_curves.multi_arm_qini({"x": (cost * x[:, None], cost)}, cost, CUSTOMER, np.array([0.5]), 6, 3)
    assert asked == [(set(CUSTOMER), seed) for seed in (4, 5, 6)]


def test_holdouts():
    assert_own(lambda rows: by_customer(rows, held_out(CUSTOMER[rows], 0.2, 4, "bread")))

    def draw(rows):
        out = with_holdout(ARM[rows], CUSTOMER[rows], 0.3, 4, 3)
        return dict(zip(CONTACT[rows], out.held, strict=True))

    whole = draw(np.arange(ROWS))
    for rows in (variants()[0], variants()[1]):  # of all rows of a customer
        assert all(whole[k] == v for k, v in draw(rows).items())


def test_random_ranks():
    features = pd.DataFrame({c: X["x"] for c in ("trips_90", "spend_90", "recency")})
    found = SimpleNamespace(buys=np.column_stack([X["x"], X["y"]]))

    def draw(rows):
        some = SimpleNamespace(buys=found.buys[rows])
        return dict(
            zip(CONTACT[rows], policies.ranked(features.iloc[rows], some, 1, None, CONTACT[rows], 4)["random"], strict=True)
        )

    assert_own(draw)


def test_samples_of_the_search_for_a_graph(monkeypatch):
    taken: list[pd.Series] = []

    def search(frame):
        taken.append(frame["row"].astype(int).value_counts())
        return pd.DataFrame(columns=["left", "right", "mark"])

    monkeypatch.setattr(refute, "search_links", search)

    def draw(rows):
        taken.clear()
        refute.compare_links(X.iloc[rows], CUSTOMER[rows], nx.DiGraph([("x", "y")]), 5, 10**6, 4)
        return {CUSTOMER[r]: [int(t.get(r, 0)) for t in taken] for r in rows}

    assert_own(draw)


def test_the_cost_of_parity_is_no_other_with_a_customer_who_earns_nothing():
    gain = np.abs(np.random.default_rng(6).normal(size=(ROWS, 3))) * np.array([0, 1, 2])
    gain[::10] = 0
    arm, free = ARM, np.full(ROWS, 2)

    def found(rows):
        return list(parity.cost(gain[rows], arm[rows], free[rows], CONTACT[rows], 4, 200).values())

    whole = found(np.arange(ROWS))
    earning = np.flatnonzero(gain.any(axis=1))
    for rows in (np.random.default_rng(7).permutation(ROWS), earning, earning[::-1]):
        assert found(rows) == pytest.approx(whole, rel=1e-9)


def test_noise_that_belongs_to_nobody_does_not_hang_on_the_order_of_rows():
    whole = trial()
    some = whole.only(np.random.default_rng(8).permutation(ROWS))
    one, two = (design.chance_of_imbalance(e, 4, draws=500) for e in (whole, some))
    assert one == pytest.approx(two, abs=0.003)
    pd.testing.assert_frame_equal(referee.duels(50, 3, 4), referee.duels(50, 3, 4))
    assert not referee.duels(50, 3, 4).equals(referee.duels(50, 3, 5))


def test_no_two_modules_share_a_purpose():
    """With one seed for all, folds within folds, parts and holdouts of one purpose would be the same customers again."""
    where: dict[str, set[str]] = {}
    for path in (paths.ROOT / "promo_helpers").rglob("*.py"):
        for call in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            named = isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and isinstance(call.func.value, ast.Name)
            if named and call.func.value.id in ("draws", "keyed") and len(call.args) > 1:
                parts = list(ast.walk(call.args[1]))  # of an f-string the beginning
                purpose = next((part for part in parts if isinstance(part, ast.Constant)), None)
                if purpose is not None:
                    where.setdefault(purpose.value, set()).add(path.name)
    assert len(where) > 12
    assert not {purpose: names for purpose, names in where.items() if len(names) > 1}
