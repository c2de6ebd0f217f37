"""The dose-response and its bridge to profit: slopes, known parameters, hand-computed gains, an error that covers as it says."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from scipy.optimize import approx_fprime
from scipy.special import expit

from promo_helpers.experiment import Experiment
from promo_helpers.models import demand as module
from promo_helpers.models.demand import (
    PRIOR_DISPLACEMENT,
    PRIOR_DISPLACEMENT_SD,
    Costs,
    DoseResponse,
    estimate_displacement,
    expected_gain,
    fit_dose_response,
)

DEPTH = np.array([np.nan, 0.0, 0.05, 0.15, 0.25])
LIFTS, ANSWER, LEVEL, NOTICE = np.array([0.3, 0.8, 1.2]), np.array([0.4, 0.0]), -0.4, np.array([0.0, 0.6])


def offered(rng, n, lifts=LIFTS, mean=1.5, answer=ANSWER):
    """Rows with a discount, drawn from the model's own form: z, offer, redeemed, others, base."""
    z, offer = rng.normal(size=(n, 2)), rng.integers(0, len(lifts), n)
    base, seen = mean * rng.gamma(2, 0.5, n), expit(LEVEL + z @ NOTICE)
    redeemed = rng.poisson(base * seen * (1 + lifts[offer] * np.exp(z @ answer)))
    return z, offer, redeemed, rng.poisson(base * (1 - seen)), base


def dose_trial(rng, n=4000, **changes):
    """A trial whose units follow the form, with the features that profit needs; its base is exp(0.4 x)."""
    x, care = rng.normal(size=n), rng.normal(size=n)
    base, seen = np.exp(0.4 * x), expit(-0.2 + 0.8 * care)
    arm = rng.integers(0, 5, n)
    lift = np.array([0, 0, *LIFTS])[arm]
    deep = arm >= 2
    redeemed = np.where(deep, rng.poisson(base * seen * (1 + lift)), 0)
    units = np.where(deep, redeemed + rng.poisson(base * (1 - seen)), rng.poisson(base))
    features = pd.DataFrame({"x": x, "care": np.where(rng.random(n) < 0.1, np.nan, care), "nothing": 1.0, "unknown": np.nan})
    given = {
        "name": "trial", "contact_id": np.arange(n), "customer": rng.integers(0, n // 2, n), "features": features, "arm": arm,
        "arms": ("none", "0", "5", "15", "25"), "depth": DEPTH, "probability": np.full(n, 0.2), "planned": np.full(5, 0.2),
        "outcomes": pd.DataFrame({"units": units.astype(float), "redeemed": redeemed.astype(float)}),
    }  # fmt: skip
    expected = base[:, None] * (1 + np.where(DEPTH > 0, seen[:, None] * [0, 0, *LIFTS], 0))
    return Experiment(**(given | changes)), expected


def test_the_slope_of_the_likelihood_is_that_of_finite_differences():
    rng = np.random.default_rng(0)
    data = offered(rng, 300)
    for _ in range(5):
        t = 0.5 * rng.normal(size=3 + 2 * 2 + 1)
        slope = module._loss(t, *data, 3)[1]
        by_steps = approx_fprime(t, lambda u: module._loss(u, *data, 3)[0], 1e-6)
        np.testing.assert_allclose(slope, by_steps, rtol=1e-4, atol=1e-2)


def test_the_loss_is_the_likelihood_and_its_prior():
    z, offer, redeemed, others, base = offered(np.random.default_rng(1), 200)

    def slowly(t):
        total = 0.0
        for i in range(len(z)):
            seen = 1 / (1 + np.exp(-(t[5] + z[i] @ t[6:])))
            lift = np.exp(t[: offer[i] + 1]).sum() * np.exp(z[i] @ t[3:5])
            total -= stats.poisson.logpmf(redeemed[i], base[i] * seen * (1 + lift))
            total -= stats.poisson.logpmf(others[i], base[i] * (1 - seen))
        total -= stats.norm.logpdf(t[:3], np.log(module.STEP), module.STEP_SPREAD).sum()
        return total - stats.norm.logpdf(np.r_[t[3:5], t[6:]], 0, module.SPREAD).sum()

    points = 0.3 * np.random.default_rng(2).normal(size=(2, 8))
    ours = [module._loss(t, z, offer, redeemed, others, base, 3)[0] for t in points]
    assert ours[0] - ours[1] == pytest.approx(slowly(points[0]) - slowly(points[1]), rel=1e-9)


def test_known_parameters_are_found(monkeypatch):
    """Over ten samples the mean is near what was planted, once the prior, which pulls weights to nought, is taken away."""
    pulled = module._likeliest(*offered(np.random.default_rng([3, 0]), 20_000), 3)[1][0]
    monkeypatch.setattr(module, "SPREAD", 10.0)
    monkeypatch.setattr(module, "STEP_SPREAD", 10.0)
    found = []
    for seed in range(10):
        steps, answer, level, notice = module._likeliest(*offered(np.random.default_rng([3, seed]), 20_000), 3)
        found.append([*np.cumsum(steps), *answer, level, *notice])
    np.testing.assert_allclose(np.mean(found, axis=0), [*LIFTS, *ANSWER, LEVEL, *NOTICE], atol=0.03)
    assert (np.std(found, axis=0) < 0.06).all()
    assert 0.5 * found[0][3] < pulled < found[0][3]


def test_a_fit_runs_to_the_end_where_drivers_are_alike():
    """Where it stopped early, another processor's last digits would let it stop elsewhere."""
    rng = np.random.default_rng(5)
    z, *rest = offered(rng, 3000)
    z = z[:, rng.integers(0, 2, 40)] + 0.1 * rng.normal(size=(3000, 40))
    steps, answer, level, notice = module._likeliest(z, *rest, 3)
    slope = module._loss(np.concatenate([np.log(steps), answer, [level], notice]), z, *rest, 3)[1]
    assert np.abs(slope).max() < 1e-3  # 0.09 where it stops at the default


def test_lifts_are_ordered_where_noise_says_otherwise():
    data = offered(np.random.default_rng(4), 8_000, lifts=np.array([1.2, 0.8, 0.3]), answer=np.zeros(2))
    _, offer, redeemed, _, base = data
    raw = [redeemed[offer == k].sum() / base[offer == k].sum() for k in range(3)]
    assert raw[0] > raw[1] > raw[2]
    lifts = np.cumsum(module._likeliest(*data, 3)[0])
    assert (np.diff(lifts) > 0).all()
    assert lifts[2] - lifts[0] < 0.2  # as alike as the order allows


def test_few_events_give_alike_lifts():
    few = offered(np.random.default_rng(5), 60, mean=0.1, answer=np.array([2.0, 0.0]))
    assert 0 < few[2].sum() < 15
    steps, answer, _, notice = module._likeliest(*few, 3)
    assert (np.abs(np.r_[answer, notice]) < 0.1).all()
    assert ((steps > module.STEP / 3) & (steps < 3 * module.STEP)).all()
    many = module._likeliest(*offered(np.random.default_rng(5), 4_000, mean=1.5, answer=np.array([1.0, 0.0])), 3)
    assert many[1][0] > 0.5  # many events are believed
    none = (*few[:2], np.zeros(60, int), np.zeros(60, int), few[4])
    assert all(np.isfinite(found).all() for found in module._likeliest(*none, 3))


def test_expected_units_follow_the_formula():
    class Flat:
        def predict(self, x):
            return np.full(len(x), 2.0)

    dose = DoseResponse(
        bases=(Flat(), Flat()), steps=np.array([0.5, 0.25]), answer=np.array([0.3, 0.0]), level=0.2, notice=np.array([0.1, -0.4]),
        centre=np.array([1.0, 0.5]), scale=np.array([2.0, np.inf]), columns=("x",), depth=np.array([np.nan, 0, 0.1, 0.2]),
    )  # fmt: skip
    units, redeemed = dose.expected(pd.DataFrame({"other": [9.0] * 3, "x": [np.sinh(3.0), np.nan, np.sinh(50.0)]}))
    for i, z in enumerate((1.0, 0.0, 4.0)):  # missing is average; four deviations at most
        seen = 1 / (1 + np.exp(-(0.2 + 0.1 * z)))
        under = [2 * seen * (1 + tau * np.exp(0.3 * z)) for tau in (0.5, 0.75)]
        np.testing.assert_allclose(redeemed[i], [0, 0, *under])
        np.testing.assert_allclose(units[i], [2, 2, *(u + 2 * (1 - seen) for u in under)])
    assert dose.drivers()["driver"].tolist() == ["x", "log_base"]


@pytest.mark.filterwarnings("ignore:Mean of empty slice", "ignore:Degrees of freedom")  # a feature that is never known
def test_a_fit_to_a_trial_is_near_the_truth_and_the_same_again():
    rng = np.random.default_rng(6)
    trial, _ = dose_trial(rng)
    fresh, truth = dose_trial(rng)
    dose = fit_dose_response([trial], 1)
    units = dose.expected(fresh.features)[0]
    np.testing.assert_allclose(units.mean(axis=0)[[0, 2, 3, 4]], truth.mean(axis=0)[[0, 2, 3, 4]], rtol=0.08)
    assert np.sqrt(((units - truth) ** 2).mean()) < 0.6 * truth[:, 4].std()
    assert (np.diff(units[:, 1:], axis=1) > 0).all()
    assert np.corrcoef(units[:, 4] - units[:, 0], truth[:, 4] - truth[:, 0])[0, 1] > 0.8
    np.testing.assert_array_equal(units, fit_dose_response([trial], 1).expected(fresh.features)[0])
    assert not np.array_equal(units, fit_dose_response([trial], 2).expected(fresh.features)[0])


@pytest.mark.filterwarnings("ignore:Mean of empty slice", "ignore:Degrees of freedom")
def test_rows_without_outcome_and_a_second_experiment():
    trial, _ = dose_trial(np.random.default_rng(11), 1500)
    missing = np.arange(len(trial)) % 7 == 0
    holes = replace(trial, outcomes=trial.outcomes.assign(units=trial.outcomes["units"].mask(missing)))
    wild = trial.outcomes["redeemed"].mask(missing, 1e6)
    unread = replace(holes, outcomes=holes.outcomes.assign(redeemed=wild))
    np.testing.assert_array_equal(fit_dose_response([unread], 1).steps, fit_dose_response([holes], 1).steps)
    halves = [trial.only(trial.customer < 400), trial.only(trial.customer >= 400)]
    np.testing.assert_allclose(fit_dose_response(halves, 1).steps, fit_dose_response([trial], 1).steps, rtol=0.1)


def test_what_is_no_dose_is_refused():
    trial, _ = dose_trial(np.random.default_rng(7), 300)
    with pytest.raises(ValueError, match="different arms"):
        fit_dose_response([trial, replace(trial, arms=("none", "0", "5", "15", "30"))], 0)
    with pytest.raises(ValueError, match="a control and two ordered discounts"):
        fit_dose_response([trial.contrast("15")], 0)
    with pytest.raises(ValueError, match="a control and two ordered discounts"):
        fit_dose_response([replace(trial, depth=DEPTH[[0, 1, 3, 2, 4]])], 0)
    with pytest.raises(ValueError, match="a control and two ordered discounts"):
        fit_dose_response([replace(trial, depth=np.array([0.01, 0.02, 0.05, 0.15, 0.25]))], 0)
    with pytest.raises(ValueError, match="no contact with the arm '15'"):
        fit_dose_response([trial.only(trial.arm != 3)], 0)
    with pytest.raises(KeyError, match="no outcome 'redeemed'"):
        fit_dose_response([replace(trial, outcomes=trial.outcomes[["units"]])], 0)


def test_gain_as_computed_by_hand():
    """A price of 100, a margin of 30 %, a price promotion of 10 % that runs anyway, 30 % of more is paid for elsewhere, cost 2."""
    features = pd.DataFrame({"product_price": [100.0, 100.0], "margin": [0.3, 0.3], "promotion_ahead": [0.1, 0.0]})
    units, redeemed = np.array([[2, 2, 2.5, 3]] * 2), np.array([[0, 0, 1, 1.5]] * 2)
    depth = np.array([np.nan, 0, 0.05, 0.2])
    profit, spend = expected_gain(features, units, redeemed, depth, np.array([2.0, 3.0]), 0.3)
    np.testing.assert_allclose(profit[0], [0, -2, 0.7 * 10 - 0 - 2, 0.7 * 20 - 15 - 2])
    np.testing.assert_allclose(spend[0], [0, 2, 2, 17])
    np.testing.assert_allclose(profit[1], [0, -3, 0.7 * 15 - 5 - 3, 0.7 * 30 - 30 - 3])
    np.testing.assert_allclose(spend[1], [0, 3, 8, 33])


def test_costs_hold_the_message_and_the_loss_of_who_opts_out():
    features = pd.DataFrame({"margin": [0.2, 0.4], "spend_90": [0.0, 9_000.0]})
    cost = Costs(message=1.0, opting_out=0.01, reach=0.1).of(features)
    np.testing.assert_allclose(cost, [1.0, 1.0 + 0.01 * 0.1 * 0.3 * 36_500])


def tied_trial(rng, share, n=900, bare=False):
    """A trial in which a planted share of the additional margin is lost elsewhere; each customer has a level of her own."""
    customer = rng.integers(0, n // 3, n)
    x = pd.DataFrame({"product_price": rng.choice([50.0, 100.0], n), "margin": 0.3, "level": rng.gamma(2, 1, n)})
    arm, planned = rng.choice(3, n, p=[0.4, 0.3, 0.3]), np.array([0.4, 0.3, 0.3])
    units = 1 + x["level"].to_numpy()[:, None] * np.array([0.0, 0.5, 1.0])
    more = (x["product_price"] * x["margin"]).to_numpy() * (units - units[:, :1])[np.arange(n), arm]
    own = rng.normal(0, 10, n // 3)[customer]
    y = 60 + 10 * x["level"] - share * more + own + rng.normal(0, 15, n)
    if bare:  # half of the products have hardly any margin elsewhere to lose
        y = y - (58 + 10 * x["level"]) * (x["level"] < 1)
    outcomes = pd.DataFrame({"substitutes": 0.7 * y, "product_after": np.where(rng.random(n) < 0.05, np.nan, 0.3 * y)})
    trial = Experiment("tied", np.arange(n), customer, x, arm, ("none", "5", "15"), DEPTH[[0, 2, 3]], outcomes, planned=planned)
    return trial, units


@pytest.mark.slow
def test_the_share_that_other_sales_pay_for_is_recovered_within_its_error():
    z, found, many = [], [], 60
    for seed in range(many):
        tied = estimate_displacement(*tied_trial(np.random.default_rng([8, seed]), 0.4), seed)
        z.append((tied.measured - 0.4) / tied.error)
        found.append(tied.measured)
        weight = PRIOR_DISPLACEMENT_SD**2 / (PRIOR_DISPLACEMENT_SD**2 + tied.error**2)
        assert tied.share == pytest.approx(weight * tied.measured + (1 - weight) * PRIOR_DISPLACEMENT)
    covered = int((np.abs(z) < 1.96).sum())
    assert covered >= stats.binom.ppf(0.001, many, 0.95)
    assert 0.7 < np.std(z) < 1.35  # neither too small nor too large an error
    assert abs(np.mean(found) - 0.4) < 4 * np.std(found) / np.sqrt(many)


def test_the_share_needs_a_plan_and_bears_rows_without_expected_margin():
    trial, units = tied_trial(np.random.default_rng(9), 0.4)
    with pytest.raises(ValueError, match="the share needs a trial"):
        estimate_displacement(replace(trial, planned=None), units, 0)
    for seed in range(6):
        tied = estimate_displacement(*tied_trial(np.random.default_rng([10, seed]), 0.4, n=3000, bare=True), 0)
        assert 0 < tied.error < 0.1  # a weight of the wrong sign made it negative, or a tenth and more
        assert abs(tied.measured - 0.4) < 4 * tied.error
