"""Allocation under limits: against linear programming and full enumeration; feasible, monotone, blind to the order of rows; refusals."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from promo_helpers.decide import holdout, parity, shadow_prices
from promo_helpers.decide.allocate import Allocation, Cap, Limits, Parity, allocate, contact_use, share_cap
from promo_helpers.evaluate.cost_curves import assigned, policy_path

SEEDS = st.integers(0, 100_000)


def some(seed: int, rows: int = 60, arms: int = 4, whole: bool = False, save: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Gain and spend; in whole numbers there are ties, and sums are exact. `save`: some arms cost less than nothing."""
    rng = np.random.default_rng(seed)
    gain, spend = rng.normal(2, 6, (rows, arms)), rng.gamma(1.5, 3, (rows, arms)) - (4 if save else 0)
    if whole:
        gain, spend = np.round(gain), np.round(spend)
    return tuple(np.hstack([np.zeros((rows, 1)), a]) for a in (gain, spend))


def allocated(gain, spend, budget=None, *, contacts=None, caps=(), per_customer=None, **more) -> Allocation:
    """`allocate` with the limits as arguments."""
    return allocate(gain, spend, Limits(budget, contacts, caps, per_customer), **more)


def relaxed(gain, uses, groups, limits, customer=None, most=1):
    """Bound of the linear relaxation, by HiGHS, from the definition: x [row, arm] from 0 to 1, each row's sum 1."""
    rows, arms = gain.shape
    one = np.kron(np.eye(rows), np.ones(arms))
    lines, upper = [], []
    for use, group, limit in zip(uses, groups, limits, strict=True):
        for g, at_most in limit.items():
            lines.append(np.where((group == g)[:, None], use, 0).ravel())
            upper.append(at_most)
    if customer is not None:
        for c in np.unique(customer):
            lines.append(np.where((customer == c)[:, None], contact_use(rows, arms), 0).ravel())
            upper.append(most)
    found = linprog(-gain.ravel(), np.array(lines), upper, one, np.ones(rows), bounds=(0, 1), method="highs")
    return -found.fun


def by_enumeration(gain, spend, budget):
    choices = np.array(list(itertools.product(range(gain.shape[1]), repeat=len(gain))))
    rows = np.arange(len(gain))
    fits = spend[rows, choices].sum(axis=1) <= budget + 1e-9
    return gain[rows, choices].sum(axis=1)[fits].max()


@pytest.mark.slow
@given(SEEDS, st.floats(0, 400), st.booleans(), st.booleans())
@settings(max_examples=60, deadline=None)
def test_one_budget_against_linear_programming(seed, budget, whole, save):
    gain, spend = some(seed, whole=whole, save=save)
    found = allocated(gain, spend, budget)
    rows = np.arange(len(gain))
    best = relaxed(gain, [spend], [np.zeros(60)], [{0: budget}])
    assert found.spend == pytest.approx(spend[rows, found.arm].sum())
    assert found.gain == pytest.approx(gain[rows, found.arm].sum())
    assert found.spend <= budget * (1 + 1e-12)
    assert found.bound == pytest.approx(best, abs=1e-6)
    assert -1e-6 <= best - found.gain <= np.ptp(gain, axis=1).max() + 1e-6
    assert found.gap == pytest.approx(best - found.gain, abs=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("save", [False, True])
def test_one_budget_against_every_allocation_there_is(save):
    """The optimum wherever no step is refused or the budget is used up; never further from it than `gap`, nor than one row's gain."""
    exact = 0
    for seed in range(1000):
        gain, spend = some(seed, rows=4, arms=2, whole=seed % 2 == 0, save=save)
        budget = float(np.random.default_rng(seed).integers(0, 25))
        found, best = allocated(gain, spend, budget), by_enumeration(gain, spend, budget)
        assert found.spend <= budget
        assert best - 1e-9 <= found.bound
        assert -1e-9 <= best - found.gain <= min(found.gap, np.ptp(gain, axis=1).max()) + 1e-9
        if found.price("budget") == 0 or found.gap < 1e-9:
            assert found.gain == pytest.approx(best, abs=1e-9)
            exact += 1
    assert exact > 300


@pytest.mark.slow
@given(SEEDS, st.booleans(), st.booleans())
@settings(max_examples=20, deadline=None)
def test_more_budget_never_gains_less(seed, whole, save):
    gain, spend = some(seed, rows=12, whole=whole, save=save)
    budgets = np.sort(np.random.default_rng(seed).uniform(0, 80, 30))
    budgets = np.sort(np.concatenate([budgets, np.nextafter(budgets, np.inf), np.arange(0, 80, 2)]))
    gains = [allocated(gain, spend, b).gain for b in budgets]
    assert np.diff(gains).min() >= (0 if whole else -1e-12)
    assert gains[0] >= 0


def test_the_walk_is_the_path_of_the_curve_and_goes_on_where_that_stops():
    gain, spend = some(1, rows=2000)
    found = allocated(gain, spend + (spend == 0) * np.append(0, np.full(4, 0.01)), 900.0)
    path = policy_path(gain, spend)
    rows, arm = np.arange(2000), assigned(path, 2000, 900 / 2000)
    stop = int((np.cumsum(path.cost) <= 900).sum())
    assert found.price("budget") == pytest.approx(path.slope[stop])
    assert (found.arm != arm).sum() <= 3
    assert gain[rows, arm].sum() <= found.gain <= found.bound


@pytest.mark.slow
@given(SEEDS, st.booleans(), st.booleans())
@settings(max_examples=60, deadline=None)
def test_several_limits_against_linear_programming(seed, whole, many):
    rng = np.random.default_rng(seed)
    gain, spend = some(seed, whole=whole)
    rows, arms = gain.shape
    city, product = rng.choice(["Galle", "Jaffna", "Kandy"], rows), rng.integers(0, 4, rows)
    customer, most = (np.arange(rows) // 3, int(rng.integers(1, 3))) if many else (None, None)
    units = np.where(contact_use(rows, arms) > 0, rng.gamma(2, 1, gain.shape), 0)
    budget, contacts = float(rng.uniform(0, 150)), int(rng.integers(0, 40))
    share = {"Galle": rng.uniform(), "Kandy": rng.uniform()}
    stock = dict(enumerate(rng.uniform(0, 15, 4)))
    given_caps = [share_cap("city", city, share, arms), Cap("stock", units, stock, product)]
    found = allocated(gain, spend, budget, contacts=contacts, caps=given_caps, customer=customer, per_customer=most)

    counted = {c: share[c] * (city == c).sum() for c in share}
    limits = [{0: budget}, {0: contacts}, counted, stock]
    uses = [spend, contact_use(rows, arms), contact_use(rows, arms), units]
    groups = [np.zeros(rows), np.zeros(rows), city, product]
    best = relaxed(gain, uses, groups, limits, customer, most)
    at = np.arange(rows)
    for use, group, limit in zip(uses, groups, limits, strict=True):
        for g, at_most in limit.items():
            assert use[at, found.arm][group == g].sum() <= at_most + 1e-9
    if many:
        assert np.bincount(customer, found.arm > 0).max() <= most
    top = np.ptp(gain, axis=1).max() * (most or 1)
    assert found.bound == pytest.approx(best, abs=1e-5)
    assert -1e-6 <= best - found.gain <= top * (found.caps["price"] > 0).sum() + 1e-5
    used = {(c.cap, c.group): c.used for c in found.caps.itertuples()}
    assert used["contacts", None] == (found.arm > 0).sum()
    assert (found.caps["used"] <= found.caps["limit"] * (1 + 1e-12)).all()


@given(SEEDS)
@settings(max_examples=25, deadline=None)
def test_a_limit_for_each_group_alone_is_as_many_budgets(seed):
    gain, spend = some(seed)
    group = np.random.default_rng(seed).choice(["a", "b", "c"], 60)
    limit = {"a": 20.0, "b": 5.0}
    found = allocated(gain, spend, caps=[Cap("own", spend, limit, group)])
    for label in "abc":
        there = group == label
        alone = allocated(gain[there], spend[there], limit.get(label, np.inf))
        assert found.gain >= 0
        assert (found.arm[there] == alone.arm).all()
        mine = found.caps.loc[found.caps["group"] == label]
        assert mine["price"].item() == alone.price("budget")
        assert mine["used"].item() == alone.spend


@pytest.mark.parametrize("what", ["one", "several", "customers", "negative"])
def test_the_order_of_rows_changes_nothing(what):
    for seed in range(8):
        rng = np.random.default_rng(seed)
        gain, spend = some(seed, rows=80, whole=True, save=what == "negative")  # full of ties
        who, city = rng.permutation(80), rng.integers(0, 3, 80)
        kwargs = {} if what == "one" else {"contacts": 25}

        def run(order, gain=gain, spend=spend, who=who, city=city, kwargs=kwargs):
            caps = [] if what == "one" else [share_cap("city", city[order], 0.4, 5)]
            more = {"customer": who[order] // 2, "per_customer": 1} if what == "customers" else {}
            return allocated(gain[order], spend[order], 60.0, caps=caps, key=who[order], **kwargs, **more)

        order = rng.permutation(80)
        first, again = run(np.arange(80)), run(order)
        assert (first.arm[order] == again.arm).all()
        assert (first.gain, first.spend) == (again.gain, again.spend)
        assert first.caps.equals(again.caps)
        assert first.bound == pytest.approx(again.bound, rel=1e-14)


def test_without_a_key_alike_rows_share_a_fate_in_number_and_no_place_is_favoured():
    gain, spend = np.tile([0.0, 1.0], (1000, 1)), np.tile([0.0, 1.0], (1000, 1))
    assert allocated(gain, spend, 300).gain == 300
    won = allocated(gain, spend, 300, key=np.arange(1000)).arm
    assert won.sum() == 300
    assert 250 < won[np.arange(1000) % 2 == 0].sum() / won.sum() * 600 < 350  # even numbers win as often as odd ones
    assert 100 < won[:500].sum() < 200


def test_budget_0_gives_nobody_but_what_is_free_and_a_large_one_gives_the_best_arm():
    gain, spend = some(3)
    spend[:, 1:] += 0.1
    assert (allocated(gain, spend, 0).arm == 0).all()
    spend[7, 2], gain[7, 2] = 0, 1.0
    spend[8, 2], gain[8, 2] = 0, -1.0
    arm = allocated(gain, spend, 0).arm
    assert arm[7] == 2
    assert (np.delete(arm, 7) == 0).all()
    for budget in (None, 1e9, np.inf):
        found = allocated(gain, spend, budget)
        assert (found.arm == gain.argmax(axis=1)).all()
        assert found.gap <= 1e-9
    assert (allocated(gain, spend, contacts=0).arm == 0).all()
    assert allocated(gain, spend, contacts=5).arm.astype(bool).sum() == 5  # seed 0's "number of customers"
    assert allocated(-gain, 0 * spend, None).gain == pytest.approx((-gain).max(axis=1).sum())


def test_an_arm_that_saves_pays_for_others_and_no_plan_is_worse_than_none():
    gain, spend = np.array([[0.0, -5.0], [0.0, 3.0]]), np.array([[0.0, -1.0], [0.0, 0.5]])
    assert allocated(gain, spend, 0).gain == 0
    gain[1, 1] = 100.0
    assert allocated(gain, spend, 0).arm.tolist() == [1, 1]


def test_the_share_of_a_round_number_is_not_lost_to_binary_fractions():
    gain, spend = np.tile([0.0, 1.0], (100, 1)), np.tile([0.0, 0.1], (100, 1))
    assert allocated(gain, spend, caps=[share_cap("city", np.zeros(100), 0.29, 2)]).gain == 29
    assert allocated(gain, spend, 0.3).gain == 3  # 3 x 0.1 is more than 0.3 in binary
    assert allocated(gain, spend, 0.3, contacts=50).gain == 3


@pytest.mark.slow
def test_the_price_is_what_one_more_rupee_returns():
    gain, spend = some(5, rows=5000)
    found, more = allocated(gain, spend, 3000.0), allocated(gain, spend, 3100.0)
    assert (more.gain - found.gain) / 100 == pytest.approx(found.price("budget"), rel=0.05)
    several, more = (allocated(gain, spend, b, contacts=800) for b in (2000.0, 2100.0))
    assert (more.gain - several.gain) / 100 == pytest.approx(several.price("budget"), rel=0.05)


@pytest.mark.slow
@pytest.mark.parametrize("many", [False, True])
def test_more_rows_than_one_linear_programme_holds(monkeypatch, many):
    """Samples, quasi-Newton steps and small programmes come as near as the programme over all rows."""
    monkeypatch.setattr(shadow_prices.solve, "__defaults__", (100,))
    gain, spend = some(6, rows=2400)
    city, customer = np.arange(2400) % 3, np.arange(2400) // 3
    kwargs = {"customer": customer, "per_customer": 1} if many else {}
    found = allocated(gain, spend, 2000.0, contacts=500, caps=[share_cap("city", city, 0.2, 5)], **kwargs)
    assert (found.caps["price"] > 0).sum() >= 2
    assert (found.caps["used"] <= found.caps["limit"] * (1 + 1e-12)).all()
    assert not many or np.bincount(customer, found.arm > 0).max() == 1
    assert 0 <= found.gap <= np.ptp(gain, axis=1).max() * (found.caps["price"] > 0).sum()
    assert found.gap < 0.002 * found.bound


@pytest.mark.slow
@pytest.mark.parametrize("contacts", [None, 500])
def test_parity_among_more_rows_than_one_linear_programme_holds(monkeypatch, contacts):
    """Samples come as near as the programme over all rows, whose bound is the relaxation's."""
    rng = np.random.default_rng(4)
    gain, spend = some(6, rows=2400)
    group = rng.choice(np.array(["a", "b", "c", None], object), 2400, p=[0.6, 0.25, 0.1, 0.05])
    gain[group == "c", 1:] -= 3
    limits = Limits(2000.0, contacts, parity=Parity(group, 0.03))
    monkeypatch.setattr(shadow_prices.solve, "__defaults__", (2400,))
    whole = allocate(gain, spend, limits)
    monkeypatch.setattr(shadow_prices.solve, "__defaults__", (100,))
    found = allocate(gain, spend, limits)
    free = allocate(gain, spend, Limits(2000.0, contacts))
    for plan in (whole, found):
        assert parity.share_gap(free.arm, group) > 0.1
        assert parity.share_gap(plan.arm, group) <= 0.03 + 1e-9
        assert plan.spend <= 2000 * (1 + 1e-12)
        assert contacts is None or (plan.arm > 0).sum() <= contacts
        assert plan.gain <= whole.bound + 1e-6
        assert 0 <= plan.gap < 0.01 * plan.bound
        assert plan.gain < free.gain
    assert found.bound == pytest.approx(whole.bound, rel=1e-3)


def parity_relaxed(gain, spend, budget, contacts, group, tolerance):
    """Bound with parity by HiGHS, from the definition: no group's share is above another's by more than the tolerance."""
    rows, arms = gain.shape
    to = contact_use(rows, arms)
    lines, upper = [spend.ravel(), to.ravel()], [budget, contacts]
    for a, b in itertools.permutations(np.unique(group), 2):
        share = to * ((group == a) / (group == a).sum() - (group == b) / (group == b).sum())[:, None]
        lines.append(share.ravel())
        upper.append(tolerance)
    one = np.kron(np.eye(rows), np.ones(arms))
    return -linprog(-gain.ravel(), np.array(lines), upper, one, np.ones(rows), bounds=(0, 1), method="highs").fun


@pytest.mark.slow
@given(SEEDS, st.sampled_from([0.0, 0.1, 0.3]), st.booleans())
@settings(max_examples=40, deadline=None)
def test_budget_contacts_and_parity_against_linear_programming(seed, tolerance, whole):
    rng = np.random.default_rng(seed)
    gain, spend = some(seed, rows=80, whole=whole)
    group = rng.choice(["a", "b", "c"], 80, p=[0.5, 0.3, 0.2])
    gain[group == "a", 1:] += 4
    budget, contacts = float(rng.uniform(20, 200)), int(rng.integers(5, 60))
    found = allocate(gain, spend, Limits(budget, contacts, parity=Parity(group, tolerance)))
    best = parity_relaxed(gain, spend, budget, contacts, group, tolerance)
    free = allocate(gain, spend, Limits(budget, contacts))
    if parity.share_gap(free.arm, group) > tolerance + 1e-9:
        assert found.bound == pytest.approx(best, abs=1e-5)
    else:
        assert (found.arm == free.arm).all()
    assert found.spend <= budget * (1 + 1e-12)
    assert (found.arm > 0).sum() <= contacts
    sizes = [(group == g).sum() for g in np.unique(group)]
    assert parity.share_gap(found.arm, group) <= max(tolerance, 1 / min(sizes)) + 1e-9
    assert found.gain >= 0
    if tolerance >= 0.1:
        assert parity.share_gap(found.arm, group) <= tolerance + 1e-9 or min(sizes) < 10
        assert best - found.gain <= 6 * np.ptp(gain, axis=1).max()


@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("what", ["budget", "contacts", "both", "parity"])
def test_who_is_held_out_and_who_is_not_are_chosen_by_one_rule(what, whole):
    """Where gains are noise: no difference in shares chosen, nor in what is expected of the chosen, among many equals too."""
    limits = {"budget": Limits(750.0), "contacts": Limits(contacts=150), "both": Limits(800.0, 150), "parity": Limits(750.0)}[
        what
    ]
    who = np.arange(1000)
    shares, gains = [], []
    for seed in range(40 if what in ("budget", "contacts") else 12):
        gain, spend = some(seed, rows=1000, whole=whole)
        held = holdout.held_out(who, 0.5, seed)
        if what == "parity":
            group = who % 3 > 0
            gain[group, 1:] += 2
            limits = replace(limits, parity=Parity(group, 0.1))
        found = allocate(gain, spend, limits, key=who, held_out=held)
        if what != "parity":
            alone = allocate(gain[~held], spend[~held], limits, key=who[~held])
            assert (found.arm[~held] == alone.arm).all()
            assert (found.gain, found.spend, found.bound) == (alone.gain, alone.spend, alone.bound)
        else:
            assert parity.share_gap(found.arm[~held], group[~held]) <= 0.1 + 1e-9
        assert found.spend == pytest.approx(spend[who, found.arm][~held].sum())
        to, worth = found.arm > 0, gain[who, found.arm]
        shares.append(to[held].mean() - to[~held].mean())
        gains.append(worth[held].mean() - worth[~held].mean())
    for differences in (shares, gains):
        error = np.std(differences, ddof=1) / np.sqrt(len(differences))
        assert abs(np.mean(differences)) < 3.5 * error
    assert np.std(shares) < 0.04


def test_where_everybody_is_held_out_each_has_the_best_arm():
    gain, spend = some(2)
    found = allocate(gain, spend, Limits(10.0), held_out=np.ones(60, bool))
    assert (found.arm == gain.argmax(axis=1)).all()
    assert (found.gain, found.spend) == (0, 0)


def test_many_rows_that_are_all_alike_and_limits_that_few_rows_meet(monkeypatch):
    monkeypatch.setattr(shadow_prices.solve, "__defaults__", (100,))
    gain, spend = (np.tile(part, (200, 1)) for part in some(8, rows=10, whole=True))
    found = allocated(gain, spend, 2000.0, contacts=600, caps=[share_cap("city", np.minimum(np.arange(2000), 6), 0.3, 5)])
    assert (found.caps["used"] <= found.caps["limit"] * (1 + 1e-12)).all()
    assert 0 <= found.gap < 0.02 * found.bound


def test_each_customer_has_its_best_contacts_where_nothing_else_binds():
    gain, spend = some(9)
    customer = np.random.default_rng(9).integers(0, 20, 60).astype(str)
    for most in (0, 1, 2):
        found = allocated(gain, spend, customer=customer, per_customer=most)
        best = [np.sort(gain[customer == c].max(axis=1))[::-1][:most].sum() for c in np.unique(customer)]
        assert found.gain == pytest.approx(sum(best))
        assert found.caps.empty
    assert allocated(gain, spend, customer=customer, per_customer=60).gain == allocated(gain, spend).gain


@pytest.mark.slow
def test_limits_that_arms_relieve_are_kept_too():
    """At most 30 % of all contacts in one city: use of -0.3 for every other contact. Arm 0 for all keeps it, nothing else is promised."""
    for seed in range(20):
        gain, spend = some(seed, save=seed % 2 == 0)
        there = np.arange(60) < 40
        use = np.where(there[:, None], 0.7, -0.3) * contact_use(60, 5)
        found = allocated(gain, spend, 40.0, caps=[Cap("city", use, 0)])
        assert found.spend <= 40 * (1 + 1e-12)
        assert found.caps["used"].iloc[1] <= 1e-12
        assert 0 < found.gain <= found.bound + 1e-6


def test_what_is_refused_is_named():
    gain, spend = some(7)
    nan = gain.copy()
    nan[3, 2] = np.nan
    one = np.ones(60)
    for message, args, kwargs in [
        (r"budget = -1: a limit must be a number of at least 0", (gain, spend, -1), {}),
        (r"budget = nan: a limit must be", (gain, spend, np.nan), {}),
        (r"contacts = -2: a limit must be", (gain, spend), {"contacts": -2}),
        (r"contacts = 1.5: the number of contacts must be whole", (gain, spend), {"contacts": 1.5}),
        (r"contacts = nan: a limit must be", (gain, spend), {"contacts": np.nan}),
        (r"spend is \(60, 4\), gain \(60, 5\)", (gain, spend[:, :4], 1), {}),
        (r"gain is \(60,\): it must be \[row, arm\]", (gain[:, 1], spend, 1), {}),
        (r"gain is \(0, 5\)", (gain[:0], spend[:0], 1), {}),
        (r"gain: 1 numbers are missing", (nan, spend, 1), {}),
        (r"spend: 1 numbers are missing", (gain, nan, 1), {}),
        (r"gain of arm 0 must be 0.*60 rows", (gain + 1, spend, 1), {}),
        (r"spend of arm 0 must be 0", (gain, spend + 1, 1), {}),
        (r"use of cap 'x' of arm 0 must be 0", (gain, spend), {"caps": [Cap("x", spend + 1, 1)]}),
        (r"use of cap 'x' is \(60, 4\)", (gain, spend), {"caps": [Cap("x", spend[:, 1:], 1)]}),
        (r"x = -3: a limit must be", (gain, spend), {"caps": [Cap("x", spend, {1.0: -3}, one)]}),
        (r"'x' has a limit for each group, but no group", (gain, spend), {"caps": [Cap("x", spend, {1.0: 3})]}),
        (r"group of cap 'x' is \(59,\)", (gain, spend), {"caps": [Cap("x", spend, 3, one[1:])]}),
        (r"each needs a name of its own", (gain, spend, 1), {"caps": [Cap("budget", spend, 3)]}),
        (r"per_customer = 1 needs customer", (gain, spend, 1), {"per_customer": 1}),
        (r"per_customer = -1: the contacts", (gain, spend, 1), {"per_customer": -1, "customer": one}),
        (r"per_customer = nan: the contacts", (gain, spend, 1), {"per_customer": np.nan, "customer": one}),
        (r"customer is \(59,\)", (gain, spend, 1), {"customer": one[1:]}),
        (r"customer is \(60,\).*none missing", (gain, spend, 1), {"customer": one * np.nan}),
        (r"key has 59 rows, gain 60", (gain, spend, 1), {"key": one[1:]}),
    ]:
        with pytest.raises(ValueError, match=message):
            allocated(*args, **kwargs)
    with pytest.raises(ValueError, match=r"city: share = 1.2: the share contacted must be from 0 to 1"):
        share_cap("city", one, 1.2, 5)
