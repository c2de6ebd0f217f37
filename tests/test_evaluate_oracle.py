"""The informed oracle: its frontier by the hull's definition, its rule by brute force, its fit on a function without noise."""

import itertools

import numpy as np
import pandas as pd
import pytest

from promo_helpers.evaluate.cost_curves import PRICES, Frontier, apply_rule, best_one_variable_rule, fit_informed_oracle, frontier


def decisions(rng, n=400, arms=4):
    """True gain and spend [row, arm], and expectations that know a part of them."""
    zero = np.zeros((n, 1))
    spend = np.hstack([zero, np.cumsum(rng.gamma(2, 1, (n, arms - 1)), axis=1)])
    gain = np.hstack([zero, rng.normal(0.5, 4, (n, arms - 1))])
    guess = np.hstack([zero, gain[:, 1:] + rng.normal(0, 3, (n, arms - 1))])
    return (guess, spend * rng.uniform(0.8, 1.2, (n, 1))), gain, spend


def points(expected, gain, spend):
    """Spend and value of nobody and of every price, row by row."""
    found = [(0.0, 0.0)]
    for price in PRICES:
        arm = [max(range(gain.shape[1]), key=lambda a: expected[0][i, a] - price * expected[1][i, a]) for i in range(len(gain))]
        found.append((np.mean([spend[i, a] for i, a in enumerate(arm)]), np.mean([gain[i, a] for i, a in enumerate(arm)])))
    return np.array(found)


@pytest.mark.parametrize("seed", range(6))
def test_the_frontier_is_the_concave_hull_from_nobody_on(seed):
    expected, gain, spend = decisions(np.random.default_rng(seed), 80)
    line = frontier(expected, gain, spend)
    assert (line.spend[0], line.value[0]) == (0, 0)
    assert (np.diff(line.spend) > 0).all()
    assert (np.diff(line.value) > 0).all()
    assert (np.diff(np.diff(line.value) / np.diff(line.spend)) < 0).all()
    all_of = points(expected, gain, spend)
    assert line.best == pytest.approx(all_of[:, 1].max())
    for x in np.linspace(0, all_of[:, 0].max(), 23):  # the most that a mixture of two policies earns at a spend of at most x
        best = all_of[all_of[:, 0] <= x, 1].max()
        for (a, v), (b, w) in itertools.product(all_of, all_of):
            if a <= x < b:
                best = max(best, v + (w - v) * (x - a) / (b - a))
        assert line.at(x) == pytest.approx(best, abs=1e-9)


@pytest.mark.parametrize("seed", range(3))
def test_no_frontier_is_above_who_knows_everything(seed):
    expected, gain, spend = decisions(np.random.default_rng([1, seed]))
    line, knowing = frontier(expected, gain, spend), frontier((gain, spend), gain, spend)
    assert line.best < knowing.best
    assert knowing.best == pytest.approx(gain.max(axis=1).mean())
    spends = np.linspace(0, spend.max(), 50)
    assert all(line.at(x) <= knowing.at(x) + 1e-9 for x in spends)
    for x in line.spend:  # by duality, no policy at all earns more than this at the spend
        bound = min((gain - p * spend).max(axis=1).mean() + p * x for p in PRICES)
        assert line.at(x) <= bound + 1e-9
        assert knowing.at(x) <= bound + 1e-9


def test_a_frontier_where_nothing_or_everything_pays():
    rng = np.random.default_rng(2)
    (guess, spent), gain, spend = decisions(rng)
    harm = -np.abs(gain)
    nobody = frontier((guess, spent), harm, spend)
    assert (nobody.best, nobody.at(0), nobody.at(9)) == (0, 0, 0)
    free = np.zeros_like(spend)
    for sign in (1, -1):  # what costs nothing: the frontier still starts at nobody, and takes the better of the two
        line = frontier((guess, free), sign * np.abs(gain), free)
        assert (line.spend.tolist(), line.value.tolist()) == ([0.0], [line.best])
        assert line.at(0) == line.best
        assert line.at(3) == line.best
        assert line.best > 0 if sign > 0 else line.best == 0


def test_between_points_of_the_frontier_lie_mixtures():
    line = Frontier(np.array([0.0, 2.0, 6.0]), np.array([0.0, 4.0, 6.0]))
    assert [line.at(x) for x in (0, 1, 2, 4, 6, 100)] == [0, 2, 4, 5, 6, 6]
    assert line.best == 6


def test_one_variable_against_brute_force():
    rng = np.random.default_rng(3)
    x = pd.DataFrame(
        {"noise": rng.normal(size=600), "rare": (rng.random(600) < 0.3).astype(float), "age": rng.normal(40, 9, 600)}
    )
    x.loc[rng.random(600) < 0.1, "age"] = np.nan
    gain = (
        np.column_stack([np.zeros(600), np.where(x["age"] > 45, 2, -1), np.where((x["age"] < 30) | (x["age"] > 52), 3, -1)]) + 0.0
    )
    gain[:, 1:] += rng.normal(0, 1, (600, 2))
    totals = {}
    for name in x:
        edges = np.unique(x[name].quantile(np.arange(1, 10) / 10))
        cell = [sum(v >= e for e in edges) if v == v else len(edges) for v in x[name]]  # what is missing goes with the largest
        totals[name] = sum(gain[np.array(cell) == c].sum(axis=0).max() for c in set(cell))
    rule = best_one_variable_rule(x, gain)
    arm = apply_rule(rule, x)
    assert rule[0] == max(totals, key=totals.get) == "age"
    assert gain[np.arange(600), arm].sum() == pytest.approx(totals["age"])
    assert len(rule[2]) == len(rule[1]) + 1
    assert best_one_variable_rule(x[["rare", "noise"]], gain)[0] == max(("rare", "noise"), key=totals.get)


def test_a_rule_is_followed_on_other_rows():
    rule = ("age", np.array([20.0, 40.0]), np.array([2, 0, 1]))
    x = pd.DataFrame({"other": 0.0, "age": [-5.0, 19.9, 20.0, 39.9, 40.0, 99.0, np.nan]})
    assert apply_rule(rule, x).tolist() == [2, 2, 0, 0, 1, 1, 1]


@pytest.mark.slow
def test_the_fit_recovers_a_function_without_noise():
    rng = np.random.default_rng(4)

    def truth(x):
        gain = np.column_stack([np.zeros(len(x)), 2 * x["a"] + (x["b"] > 0), x["a"] + x["a"] * (x["b"] > 0)])
        return gain, np.column_stack([np.zeros(len(x)), np.exp(x["a"] / 2), 1 + (x["b"] > 0)])

    x, fresh = (pd.DataFrame(rng.normal(size=(n, 4)), columns=list("abcd")).clip(-2, 2) for n in (12_000, 2_000))
    oracle = fit_informed_oracle(x, *truth(x), seed=1)
    gain, spend = oracle.expected(fresh[list("dbca")])  # by name, not by place
    assert (gain[:, 0] == 0).all()
    assert (spend[:, 0] == 0).all()
    for found, true in zip((gain, spend), truth(fresh), strict=True):
        left = ((found - true)[:, 1:] ** 2).mean(axis=0)
        assert (left < 0.05 * true[:, 1:].var(axis=0)).all()
    assert frontier((gain, spend), *truth(fresh)).best > 0.97 * truth(fresh)[0].max(axis=1).mean()
    again = fit_informed_oracle(x, *truth(x), seed=1).expected(fresh)
    np.testing.assert_array_equal(again[0], gain)
    none = fit_informed_oracle(x, truth(x)[0], np.zeros((12_000, 3)) - 1).expected(fresh)[1]
    assert (none == 0).all()  # no offer is expected to be paid for by the customer
