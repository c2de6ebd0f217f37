"""The learners of an effect, on a small trial whose effect is strong, known, and differs from customer to customer."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

from promo_helpers.experiment import Experiment
from promo_helpers.experiment.contacts import Costs
from promo_helpers.models.learners import LEARNERS, Fitted
from tests.trials import log

DEPTH = np.array([np.nan, 0.05, 0.2])
LIFT, TIED = np.array([0.0, 0.8, 1.6]), 0.3
FREE = Costs(message=0.0, opting_out=0.0)
PRICE, MARGIN = 10.0, 0.6


def strong(rng, n=3000, **changes):
    """A trial in the form of the shop's, and the true effects [row, arm] on the profit of the product and on that of the shop.

    Who buys much and notices offers gains the shop most; who never notices gains nothing.
    """
    x, care = rng.normal(size=n), rng.normal(size=n)
    base, seen, arm = np.exp(0.5 + 0.7 * x), expit(2 * care), rng.integers(0, 3, n)
    used = rng.poisson(base * seen * (1 + LIFT[arm])) * (arm > 0)
    units = np.where(arm > 0, used + rng.poisson(base * (1 - seen)), rng.poisson(base))
    deep = np.nan_to_num(DEPTH)
    more = PRICE * MARGIN * (base * seen)[:, None] * LIFT
    given = PRICE * deep * (base * seen)[:, None] * (1 + LIFT) * (deep > 0)
    profit = PRICE * MARGIN * units - PRICE * deep[arm] * used
    features = pd.DataFrame({"x": x, "care": np.where(rng.random(n) < 0.05, np.nan, care), "noise": rng.normal(size=n)})
    features = features.assign(product_price=PRICE, margin=MARGIN, promotion_ahead=0.0, spend_90=100 * np.exp(x))
    outcomes = {"units": units, "redeemed": used, "profit": profit, "substitutes": 30 - TIED * more[np.arange(n), arm]}
    made = {
        "name": "strong", "contact_id": np.arange(n), "customer": rng.integers(0, n // 2, n), "features": features, "arm": arm,
        "arms": ("none", "5", "20"), "depth": DEPTH, "planned": np.full(3, 1 / 3), "probability": np.full(n, 1 / 3),
        "outcomes": pd.DataFrame(outcomes).assign(product_after=rng.normal(0, 3, n)),
    }  # fmt: skip
    return Experiment(**(made | changes)), more - given, (1 - TIED) * more - given


@pytest.fixture(scope="module")
def markets():
    return strong(np.random.default_rng(1)), strong(np.random.default_rng(2), 2000)


@pytest.fixture(scope="module")
def fitted(markets) -> dict[str, Fitted]:
    return {name: learn(markets[0][0], "profit", FREE, 3) for name, learn in LEARNERS.items()}


def error(found, truth):
    return float(np.sqrt(((found - truth)[:, 1:] ** 2).mean()))


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in LEARNERS if name != "constant"])
def test_every_learner_beats_the_constant_where_effects_differ(name, markets, fitted):
    fresh, product, shop = markets[1]
    truth = shop if name == "dose-response" else product
    effects = fitted[name].effects(fresh.features)
    assert effects.shape == (2000, 3)
    assert (effects[:, 0] == 0).all()
    assert np.isfinite(effects).all()  # although features are missing
    same = truth.mean(axis=0)  # the best that one number can do
    assert error(effects, truth) < 0.85 * error(same, truth)
    assert error(effects, truth) < error(fitted["constant"].effects(fresh.features), truth)
    assert np.corrcoef(effects[:, 2], truth[:, 2])[0, 1] > 0.6
    assert error(effects[:, [0, 2, 1]], truth) > error(effects, truth)  # the columns are the arms in their order


def test_the_constant_is_the_difference_in_means(markets, fitted):
    trial, _, _ = markets[0]
    y = trial.outcome("profit")
    expected = [0.0] + [y[trial.arm == a].mean() - y[trial.arm == 0].mean() for a in (1, 2)]
    np.testing.assert_allclose(fitted["constant"].effects(trial.features), np.tile(expected, (3000, 1)))
    holes = replace(trial, outcomes=trial.outcomes.assign(profit=np.where(np.arange(3000) % 3 == 0, np.nan, y)))
    part = LEARNERS["constant"](holes, "profit", None, 0).effects(trial.features[:2])
    kept = trial.only(np.arange(3000) % 3 > 0)
    np.testing.assert_array_equal(part, LEARNERS["constant"](kept, "profit", None, 9).effects(trial.features[:2]))
    costly = LEARNERS["constant"](trial, "profit", Costs(message=1.5, opting_out=0.01, reach=0.5), 0).effects(trial.features)
    beyond = 0.01 * 0.5 * MARGIN * 365 / 90 * trial.features["spend_90"]  # the message is in the outcome
    np.testing.assert_allclose(costly[:, 1:], np.array(expected[1:]) - beyond.to_numpy()[:, None])
    assert (costly[:, 0] == 0).all()


def test_the_forest_says_how_sure_it_is(markets, fitted):
    fresh, product, _ = markets[1]
    x = fresh.features[:300]
    effects = fitted["causal forest"].effects(x)
    low, high = fitted["causal forest"].interval(x)
    assert low.shape == high.shape == effects.shape
    assert (low[:, 1:] < effects[:, 1:]).all()
    assert (effects[:, 1:] < high[:, 1:]).all()
    assert (low[:, 0] == 0).all()
    assert (high[:, 0] == 0).all()
    covered = ((low <= product[:300]) & (product[:300] <= high))[:, 1:].mean()
    assert 0.6 < covered < 1  # a forest smooths: less than its 95 %
    assert all(fitted[name].interval is None for name in LEARNERS if name != "causal forest")


def test_the_dose_response_knows_what_it_spends(markets, fitted):
    fresh, _, _ = markets[1]
    spend = fitted["dose-response"].spend(fresh.features)
    base, seen = np.exp(0.5 + 0.7 * fresh.features["x"]), expit(2 * fresh.features["care"].fillna(0))
    true = PRICE * (base * seen).to_numpy()[:, None] * np.nan_to_num(DEPTH) * (1 + LIFT)
    assert (spend[:, 0] == 0).all()
    np.testing.assert_allclose(spend.mean(axis=0), true.mean(axis=0), rtol=0.15)


@pytest.mark.parametrize("name", list(LEARNERS))
def test_the_same_seed_gives_the_same_bytes(name):
    trial, _, _ = strong(np.random.default_rng(4), 700)
    x = trial.features[:50]
    first, again = (LEARNERS[name](trial, "profit", FREE, 5).effects(x) for _ in range(2))
    assert first.tobytes() == again.tobytes()


@pytest.mark.parametrize("name", ["constant", "S-learner", "T-learner", "X-learner"])
def test_the_order_of_rows_hardly_matters_to_who_does_not_split_them(name, markets, fitted):
    trial, fresh = markets[0][0], markets[1][0]
    order = np.random.default_rng(6).permutation(len(trial))
    again = LEARNERS[name](trial.only(order), "profit", FREE, 3).effects(fresh.features)
    same = fitted[name].effects(fresh.features).argmax(axis=1) == again.argmax(axis=1)
    assert same.mean() > 0.99


@pytest.mark.parametrize("name", list(LEARNERS))
def test_what_cannot_be_learnt_from_is_refused(name):
    trial, _, _ = strong(np.random.default_rng(7), 200)
    learn = LEARNERS[name]
    rule = replace(trial, name="rule", planned=None, probability=None)
    with pytest.raises(ValueError, match=r"rule: the (chances of the arms are not known|share needs a trial)"):
        learn(rule, "profit", FREE, 0)
    with pytest.raises(ValueError, match=r"(0 contacts|no contact) with the arm '20'"):
        learn(trial.only(trial.arm < 2), "profit", FREE, 0)
    if name != "dose-response":
        few = np.flatnonzero(trial.arm == 1)[3:]
        with pytest.raises(ValueError, match="3 contacts with the arm '5' are too few for 2 folds"):
            learn(trial.only(np.setdiff1d(np.arange(200), few)), "profit", FREE, 0)
        with pytest.raises(KeyError, match="strong has no outcome 'joy'; it has units"):
            learn(trial, "joy", FREE, 0)


def test_the_dose_response_is_for_discounts_and_profit():
    trial, _, _ = strong(np.random.default_rng(8), 200)
    learn = LEARNERS["dose-response"]
    with pytest.raises(ValueError, match="gives profit, and needs what a contact costs"):
        learn(trial, "units", FREE, 0)
    with pytest.raises(ValueError, match="gives profit, and needs what a contact costs"):
        learn(trial, "profit", None, 0)
    mail = replace(trial, name="mail", arms=("none", "mens", "womens"), depth=np.full(3, np.nan))
    with pytest.raises(ValueError, match="mail: a dose needs a control and two ordered discounts, arms are none, mens, womens"):
        learn(mail, "profit", FREE, 0)
    with pytest.raises(ValueError, match="log: the chances of the arms are not known"):
        LEARNERS["T-learner"](log(np.random.default_rng(9), 300)[0], "profit", None, 0)
