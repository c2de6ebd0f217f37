"""Policies and their table: who is chosen, rules that are learnt from others only, the bridge that adds up."""

import numpy as np
import pandas as pd
import pytest

from promo_helpers.decide import policies
from promo_helpers.evaluate.value import outcome_scores, policy_value, shop_profit
from promo_helpers.experiment.contacts import Costs
from promo_helpers.experiment.gates import gates
from promo_helpers.models.demand import DemandForecast, fit_demand_response, out_of_fold_forecast
from tests.test_models_response import COSTS, trial


@pytest.fixture(scope="module")
def judged():
    made, _ = trial(3000)
    response, part = fit_demand_response(made, COSTS, 1, 2)
    found = out_of_fold_forecast(response, made.features, part)
    price = made.features["product_price"].to_numpy()
    tied = np.array(response.tied)[part]
    outcomes = {"profit": shop_profit(made, COSTS, tied), "bought": made.outcome("bought")}
    outcomes |= {"money": price * made.outcome("units"), "used": price * made.outcome("redeemed")}
    return made, found, part, tied, outcome_scores(made, outcomes, 1)


def test_the_first_of_a_ranking_are_sent_the_arm():
    score = np.array([0.1, np.nan, 0.9, 0.5, 0.9])
    assert policies.top(score, 0.4, 3).tolist() == [0, 0, 3, 0, 3]
    assert policies.top(score, 1.0, 1).tolist() == [1] * 5
    assert not policies.top(score, 0.0, 1).any()
    with pytest.raises(ValueError, match=r"share = 1.2: must lie in 0 .. 1"):
        policies.top(score, 1.2, 1)


def test_everybody_gets_each_arm_but_none():
    found = policies.everybody(3, ("none", "0", "5", "10"))
    assert list(found) == ["everybody, reminder", "everybody, 5 %", "everybody, 10 %"]
    assert [a.tolist() for a in found.values()] == [[1] * 3, [2] * 3, [3] * 3]


def test_who_came_lately_often_and_spent_much_ranks_first():
    x = pd.DataFrame({"recency": [1, 50, np.nan, 20], "trips_90": [9, 2, 0, 5], "spend_90": [900.0, 100, 0, 400]})
    assert np.argsort(-policies.rfm(x)).tolist() == [0, 3, 1, 2]


def test_a_rule_is_learnt_from_other_customers_only():
    rng = np.random.default_rng(0)
    x, part = pd.DataFrame({"a": rng.normal(size=200), "b": rng.normal(size=200)}), np.repeat([1, 2], 100)
    scores = np.column_stack([np.zeros(200), np.where(x["a"] > 0, 1.0, -1.0)])
    scores[part == 2, 1] *= -1  # what is good for one half is bad for the other: each follows the other, and is wrong
    arm = policies.one_variable_rule(x, scores, part)
    assert scores[np.arange(200), arm].sum() < -50
    constant = np.column_stack([np.zeros(200), np.where(part == 1, 1.0, -3.0)])
    assert policies.best_constant(constant, part).tolist() == [0] * 100 + [1] * 100


def test_expected_profit_sends_nothing_that_loses():
    values = np.array([[0.0, -1.0, 2.0], [0.0, -1.0, -2.0]])
    found = DemandForecast(*([np.zeros((2, 3))] * 5), values, np.zeros((2, 3)))
    assert policies.profit_policy(found).tolist() == [2, 0]
    assert policies.contacted_share({"a": np.array([0, 2, 1, 0])})["a"] == 0.5


@pytest.mark.slow
def test_the_table_says_what_the_parts_say(judged):
    made, found, _part, _tied, scores = judged
    arm = policies.profit_policy(found)
    given = {"nobody": np.zeros(len(arm), int), "expected profit": arm}
    truth = {
        k: np.ones_like(found.gain) * v
        for k, v in {"gain": 2.0, "spend": 4.0, "discount": 1.0, "buys": 0.5, "revenue": 9.0}.items()
    }
    shown = policies.policy_table(given, found, scores, made.customer, 1.5, gates(made, "profit"), truth).set_index("policy")
    row, n = shown.loc["expected profit"], np.arange(len(arm))
    assert row["promised"] == pytest.approx(1000 * found.gain.max(axis=1).mean())
    assert row["saved"] == pytest.approx(1500 * (arm == 0).mean())
    estimate = policy_value(scores["profit"], arm, made.customer)
    assert (row["estimated"], row["low"]) == (pytest.approx(1000 * estimate["estimate"]), pytest.approx(1000 * estimate["low"]))
    assert (row["true"], row["true_roi"], row["true_conversion"], row["true_per_discount"]) == (2000, 0.5, 0.5, 9.0)
    assert row["discount"] == pytest.approx(1000 * found.discount[n, arm].mean())
    nobody = shown.loc["nobody"]
    assert nobody["contacted"] == 0
    assert nobody["estimated"] == 0
    assert np.isnan(nobody["conversion"])
    broken = gates(made.only(made.arm == 1), "profit")
    assert np.isnan(policies.policy_table(given, found, scores, made.customer, 1.5, broken)["roi"]).all()


def test_the_bridge_adds_up_to_the_value(judged):
    made, found, _part, tied, scores = judged
    arm = np.full(len(made), 3)
    leaving = COSTS.of(made.features) - 1.5
    steps = policies.profit_bridge({"all": arm}, made, scores, tied, leaving, 1.5).set_index("term")
    assert steps.loc["net", "value"] == pytest.approx(steps.drop("net")["value"].sum())
    assert steps.loc["messages", "value"] == pytest.approx(-1500)
    assert steps.loc["opting out", "value"] == pytest.approx(-1000 * leaving.mean())
    by_score = policy_value(scores["profit"], arm, made.customer)
    assert abs(steps.loc["net", "value"] / 1000 - by_score["estimate"]) < by_score["se"]  # two unbiased ways to one number
    real = policies.true_profit_bridge({"all": arm}, {"a": found.units, "b": -found.redeemed}).set_index("term")["value"]
    assert real["net"] == pytest.approx(1000 * (found.units[:, 3] - found.redeemed[:, 3]).mean())


def test_costs_without_leaving_leave_nothing_in_the_bridge(judged):
    made, *_ = judged
    assert (Costs(1.5, 0.0, 0.0).of(made.features) == 1.5).all()
