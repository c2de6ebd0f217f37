"""Average effects: against plain re-implementations, statsmodels, DoWhy and EconML, and against a truth that is known."""

import dataclasses
import warnings

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from sklearn.linear_model import LogisticRegression

from promo_helpers.experiment import Experiment
from promo_helpers.models import effects
from promo_helpers.models.effects import METHODS

ADJUSTED = [name for name in METHODS if name != "difference in means"]


def confounded(seed: int = 0, people: int = 700, each: int = 3, randomised: bool = False) -> tuple[Experiment, np.ndarray]:
    """Contacts of customers who share a cause that pulls offers and outcomes alike; effects differ by it; and the true ones."""
    rng = np.random.default_rng(seed)
    customer = np.repeat(np.arange(people), each)
    own = rng.normal(size=people)[customer]
    x = pd.DataFrame(
        {"habit": own + 0.3 * rng.normal(size=len(own)), "age": rng.normal(40, 10, len(own)), "noise": rng.normal(size=len(own))}
    )
    chance = np.full(len(own), 0.4) if randomised else 1 / (1 + np.exp(0.6 - 0.9 * x["habit"].to_numpy()))
    arm = (rng.random(len(own)) < chance).astype(int)
    true = 1 + 0.5 * x["habit"].to_numpy()
    y = 2 + 1.5 * x["habit"] + 0.02 * x["age"] + true * arm + 0.8 * rng.normal(size=people)[customer] + rng.normal(size=len(own))
    experiment = Experiment(
        name="test",
        contact_id=np.arange(len(own)),
        customer=customer,
        features=x,
        arm=arm,
        arms=("none", "15"),
        depth=np.array([np.nan, 0.15]),
        outcomes=pd.DataFrame({"units": y, "flat": 1.0, "gaps": y.where(rng.random(len(own)) < 0.9)}),
    )
    return experiment, true


def design_of(experiment: Experiment) -> effects.Design:
    return effects.Design.of(experiment, 1)


@pytest.fixture(scope="module")
def log() -> Experiment:
    return confounded()[0]


@pytest.mark.slow
@pytest.mark.parametrize("method", ADJUSTED)
def test_the_truth_lies_within_four_errors_where_adjustment_is_right_and_the_plain_difference_far_out(log, method):
    true = confounded()[1]
    found = effects.estimate(log, "units", method, 1)
    aim = np.average(true, weights=found.weight)
    assert abs(found.effect - aim) < 4 * found.error < 0.8
    assert found.low < found.effect < found.high
    assert found.width == pytest.approx(2 * 1.959964 * found.error)
    assert found.n == len(log)
    plain = effects.estimate(log, "units", "difference in means", 1)
    assert plain.effect - true.mean() > 6 * plain.error


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
def test_in_a_trial_all_methods_agree_with_the_truth(method):
    experiment, true = confounded(3, randomised=True)
    found = effects.estimate(experiment, "units", method, 1)
    assert abs(found.effect - np.average(true, weights=found.weight)) < 3.5 * found.error


def test_the_difference_in_means_and_its_error_are_those_of_statsmodels(log):
    y, w = log.outcome("units"), log.arm
    fit = sm.OLS(y, sm.add_constant(w.astype(float))).fit(cov_type="cluster", cov_kwds={"groups": log.customer})
    found = effects.estimate(log, "units", "difference in means", 1)
    assert found.effect == pytest.approx(y[w == 1].mean() - y[w == 0].mean(), rel=1e-12)
    assert found.error == pytest.approx(fit.bse[1], rel=1e-9)


def test_regression_is_the_interacted_least_squares_of_statsmodels(log):
    design, y = design_of(log), log.outcome("units")
    x, w = design.x, design.offered.astype(float)
    fit = sm.OLS(y, sm.add_constant(np.column_stack([w, x, w[:, None] * x])))
    fit = fit.fit(cov_type="cluster", cov_kwds={"groups": design.customer})
    found = effects.estimate(log, "units", "regression", 1, design)
    assert found.effect == pytest.approx(fit.params[1], rel=1e-9)
    # ours also counts that another sample of customers would have other covariates, so that it is a little larger
    assert fit.bse[1] < found.error < 1.15 * fit.bse[1]


def test_weighting_is_the_ratio_of_weighted_means(log):
    design, y, w = design_of(log), log.outcome("units"), log.arm
    model = LogisticRegression(C=1e8, max_iter=1000, tol=1e-10).fit(design.x, w)
    e = model.predict_proba(design.x)[:, 1]
    expected = np.average(y[w == 1], weights=1 / e[w == 1]) - np.average(y[w == 0], weights=1 / (1 - e[w == 0]))
    assert effects.estimate(log, "units", "weighting", 1, design).effect == pytest.approx(expected, rel=1e-4)


def test_stratification_is_the_weighted_mean_of_differences(log):
    design, y, w = design_of(log), log.outcome("units"), log.arm
    group = effects.grouped(design, 20)
    frame = pd.DataFrame({"g": group, "w": w, "y": y})
    means = frame.pivot_table(index="g", columns="w", values="y")
    expected = np.average(means[1] - means[0], weights=frame.groupby("g").size())
    assert effects.estimate(log, "units", "stratification", 1, design).effect == pytest.approx(expected, rel=1e-9)
    assert frame.groupby(["g", "w"]).size().min() >= effects.FEW
    assert (np.diff(frame.groupby("g").apply(lambda g: design.chance[g.index].min(), include_groups=False)) > 0).all()


def test_strata_without_both_arms_join_their_neighbours():
    design = design_of(confounded(2, people=40)[0])
    sizes = pd.crosstab(effects.grouped(design, 20), design.offered)
    assert 1 < len(sizes) < 20
    assert sizes.to_numpy().min() >= effects.FEW
    assert sizes.to_numpy().sum() == len(design.offered)


def test_matching_finds_the_nearest_by_brute_force(log):
    design, y, w = design_of(log), log.outcome("units"), log.arm
    position = np.log(design.chance / (1 - design.chance))
    effect = []
    for i in range(len(y)):
        others = np.flatnonzero(w != w[i])
        near = others[np.argsort(np.abs(position[others] - position[i]), kind="stable")[:4]]
        effect.append((2 * w[i] - 1) * (y[i] - y[near].mean()))
    score, _, _ = effects.matching(design, y, corrected=False)
    assert score.mean() == pytest.approx(np.mean(effect), rel=1e-9)


@pytest.mark.slow
def test_matching_is_corrected_as_abadie_and_imbens_write_it(log):
    design, y, w = design_of(log), log.outcome("units"), log.arm
    lines = {
        arm: sm.OLS(y[w == arm], sm.add_constant(design.x[w == arm])).fit().predict(sm.add_constant(design.x)) for arm in (0, 1)
    }
    position, total = np.log(design.chance / (1 - design.chance)), 0.0
    for i in range(len(y)):
        others = np.flatnonzero(w != w[i])
        near = others[np.argsort(np.abs(position[others] - position[i]), kind="stable")[:4]]
        other = lines[1 - w[i]]
        total += (2 * w[i] - 1) * (y[i] - np.mean(y[near] + other[i] - other[near]))
    assert effects.matching(design, y)[0].mean() == pytest.approx(total / len(y), rel=1e-9)


@pytest.mark.slow
def test_doubly_robust_is_the_mean_of_its_scores_held_out_by_customer(log):
    design, y, w = design_of(log), log.outcome("units"), log.arm
    total = np.zeros(len(y))
    for fold in range(effects.FOLDS):
        fit, held = design.fold != fold, design.fold == fold
        assert not set(design.customer[fit]) & set(design.customer[held])
        e = LogisticRegression(C=1e4, max_iter=1000, tol=1e-10).fit(design.x[fit], w[fit]).predict_proba(design.x[held])[:, 1]
        m = [effects.trees().fit(design.x[fit & (w == a)], y[fit & (w == a)]).predict(design.x[held]) for a in (0, 1)]
        total[held] = m[1] - m[0] + np.where(w[held] == 1, (y[held] - m[1]) / e, -(y[held] - m[0]) / (1 - e))
    found = effects.estimate(log, "units", "doubly robust", 1, design)
    assert found.effect == pytest.approx(total.mean(), rel=1e-4)
    per = pd.Series(total - total.mean()).groupby(design.customer).sum()
    g, n = len(per), len(y)
    assert found.error == pytest.approx(np.sqrt(g / (g - 1) * (per**2).sum()) / n, rel=1e-3)


@pytest.mark.slow
def test_double_machine_learning_is_that_of_econml_and_its_error_too_where_customers_come_once():
    from econml.dml import LinearDML

    experiment, _ = confounded(5, people=1_500, each=1)
    design, y = design_of(experiment), experiment.outcome("units")
    found = effects.estimate(experiment, "units", "double machine learning", 1, design)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        model = LinearDML(
            model_y=effects.trees(),
            model_t=effects.chance_model(),
            discrete_treatment=True,
            cv=design.splits(),
            random_state=0,
        )
        model.fit(y, experiment.arm, W=design.x)
    assert found.effect == pytest.approx(float(np.ravel(model.intercept_)[0]), rel=1e-9)
    assert found.error == pytest.approx(float(np.ravel(model.intercept__inference().stderr)[0]), rel=0.01)
    e = design.chance
    assert (
        np.corrcoef(np.array([found.weight[(e > a) & (e <= a + 0.1)].mean() for a in (0.1, 0.3, 0.5)]), [0.13, 0.23, 0.25])[0, 1]
        > 0.95
    )


@pytest.mark.slow
@pytest.mark.parametrize("method", ["regression", "weighting", "matching", "stratification"])
def test_errors_are_those_of_a_bootstrap_over_customers(method):
    experiment, _ = confounded(7, people=400)
    found = effects.estimate(experiment, "units", method, 1)
    rng, drawn = np.random.default_rng(2), []
    rows = experiment.contact_id.reshape(-1, 3)  # three contacts of each customer
    for _ in range(200):
        again = rows[rng.integers(0, len(rows), len(rows))].ravel()
        copy = dataclasses.replace(
            experiment,
            arm=experiment.arm[again],
            features=experiment.features.iloc[again].reset_index(drop=True),
            outcomes=experiment.outcomes.iloc[again].reset_index(drop=True),
        )
        drawn.append(effects.estimate(copy, "units", method, 0).effect)
    assert found.error == pytest.approx(np.std(drawn, ddof=1), rel=0.2)


def dowhy(design: effects.Design, y: np.ndarray, method: str, modifiers: bool = False, **settings) -> float:
    from dowhy import CausalModel

    names = [f"x{k}" for k in range(design.x.shape[1])]
    frame = pd.DataFrame(design.x, columns=names).assign(offer=design.offered, y=y)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = CausalModel(frame, "offer", "y", common_causes=names, effect_modifiers=names if modifiers else None)
        estimand = model.identify_effect(proceed_when_unidentifiable=True)
        found = model.estimate_effect(estimand, method_name=f"backdoor.{method}", method_params={"init_params": settings})
    return float(found.value)


@pytest.mark.slow
def test_point_estimates_are_those_of_dowhy(log):
    design, y = design_of(log), log.outcome("units")
    ours = {m: effects.estimate(log, "units", m, 1, design) for m in METHODS}
    same = {"propensity_score_model": effects.chance_model()}
    whole = {"min_ps_score": 0.0, "max_ps_score": 1.0}
    weighted = dowhy(design, y, "propensity_score_weighting", weighting_scheme="ips_normalized_weight", **same, **whole)
    assert ours["weighting"].effect == pytest.approx(weighted, rel=1e-9)
    one, _, _ = effects.matching(design, y, matches=1, corrected=False)
    matched = dowhy(design, y, "propensity_score_matching", **same)
    assert one.mean() == pytest.approx(
        matched, abs=0.5 * ours["matching"].error
    )  # it measures distance in chance, we in its logit
    strata = dowhy(design, y, "propensity_score_stratification", num_strata=20, clipping_threshold=3, **same)
    assert ours["stratification"].effect == pytest.approx(strata, abs=0.5 * ours["stratification"].error)  # it rounds, so has 21
    robust = dowhy(design, y, "doubly_robust", **same)  # without folds, with straight lines
    assert ours["doubly robust"].effect == pytest.approx(robust, abs=0.5 * ours["doubly robust"].error)
    line = dowhy(design, y, "linear_regression", modifiers=True)
    assert ours["regression"].effect == pytest.approx(line, rel=1e-6)


def test_an_interval_goes_by_customer():
    """Rows written twice under the same customer tell nothing new; under other customers they seem to."""
    rng = np.random.default_rng(0)
    score, customer = rng.normal(size=500), np.arange(500)
    mean, error = effects.clustered_interval(score, customer)
    assert (mean, error) == (pytest.approx(score.mean()), pytest.approx(score.std(ddof=1) / np.sqrt(500)))
    double = effects.clustered_interval(np.tile(score, 2), np.tile(customer, 2))
    assert double == (pytest.approx(mean), pytest.approx(error))
    assert effects.clustered_interval(np.tile(score, 2), np.arange(1000))[1] == pytest.approx(error / np.sqrt(2), rel=0.01)


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
def test_scaling_the_outcome_scales_the_estimate_and_a_constant_does_not_matter(log, method):
    y = log.outcome("units")
    other = dataclasses.replace(log, outcomes=pd.DataFrame({"units": 100 * y + 7}))
    design = design_of(log)
    one, hundred = (effects.estimate(e, "units", method, 1, design) for e in (log, other))
    assert hundred.effect == pytest.approx(100 * one.effect, rel=1e-5)
    assert hundred.error == pytest.approx(100 * one.error, rel=1e-5)


def test_money_has_no_unit_of_its_own_and_what_is_said_twice_or_constant_is_left_out():
    rng = np.random.default_rng(0)
    x = pd.DataFrame({"spend_90": rng.gamma(1, 900, 400), "recency": rng.gamma(1, 20, 400), "age": rng.normal(40, 9, 400)})
    x["product_180"] = rng.poisson(1, 400)
    x["product_all"], x["margin"] = x["product_180"], 0.3
    x.loc[3, "age"] = np.nan
    frame = effects.covariates(x, list(x))
    assert list(frame) == ["spend_90", "recency", "age", "product_180", "recency_days"]
    assert np.allclose(frame.mean(), 0, atol=1e-9)
    assert np.allclose(frame.std(ddof=0), 1)
    cents = effects.covariates(x.assign(spend_90=100 * x["spend_90"]), list(x))
    assert np.allclose(frame["spend_90"], cents["spend_90"])


def test_a_table_holds_the_truth_of_what_each_method_estimates():
    experiment, true = confounded(1, people=300)
    table = effects.table(
        experiment,
        ["units", "gaps"],
        ["regression", "double machine learning"],
        0,
        {"units": true, "gaps": true},
    )
    there = np.isfinite(experiment.outcome("gaps"))
    assert list(table["n"]) == [900, 900, there.sum(), there.sum()]
    plain, weighted = table["truth"][0], table["truth"][1]
    assert plain == pytest.approx(true.mean())
    assert table["truth"][2] == pytest.approx(true[there].mean())
    assert abs(weighted - plain) > 0.02


def test_bad_input_is_named(log):
    with pytest.raises(KeyError, match="no method 'magic'; there are difference in means, regression"):
        effects.estimate(log, "units", "magic", 0)
    with pytest.raises(KeyError, match="no outcome 'profit'"):
        effects.estimate(log, "profit", "regression", 0)
    with pytest.raises(ValueError, match="the outcome 'flat' is 1 in every row"):
        effects.estimate(log, "flat", "regression", 0)
    three = dataclasses.replace(log, arms=("none", "5", "15"), depth=np.array([np.nan, 0.05, 0.15]))
    with pytest.raises(ValueError, match="here are 3 arms"):
        effects.estimate(three, "units", "regression", 0)
    few = log.only(np.append(np.flatnonzero(log.arm == 0), np.flatnonzero(log.arm == 1)[:5]))
    with pytest.raises(ValueError, match="arm '15' has 5 rows, at least 20 are needed"):
        effects.estimate(few, "units", "regression", 0)
    assert list(effects.covariates(log.features)) == [
        "habit",
        "age",
        "noise",
    ]  # all of somebody's own, though one has a known name
    with pytest.raises(KeyError, match="no feature 'shoe size'"):
        effects.covariates(log.features, ["shoe size"])
    with pytest.raises(ValueError, match=r"the design has 2,100 rows, the outcome 'gaps' is known in 1,\d{3}"):
        effects.estimate(log, "gaps", "regression", 0, design_of(log))
