"""Doubly robust scores, selection and bounds: unbiased whatever the model says, no customer in two folds, and what is refused."""

import time

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from promo_helpers.evaluate import uplift, value


def trial(rows: int, seed: int = 0) -> tuple[np.ndarray, ...]:
    """Three arms with chances .5, .3, .2: features, arm, outcome, chance of the own arm, customer, true means [row, arm]."""
    rng = np.random.default_rng(seed)
    customer = rng.integers(0, rows // 3, rows)
    x = rng.normal(size=(rows, 4))
    x[rng.random(x.shape) < 0.1] = np.nan
    base = 2 * np.nan_to_num(x[:, 0])
    means = np.stack([base, base + 1, base + 0.5 + np.nan_to_num(x[:, 1])], axis=1)
    arm = rng.choice(3, rows, p=[0.5, 0.3, 0.2])
    y = means[np.arange(rows), arm] + rng.normal(size=rows)
    return x, arm, y, np.array([0.5, 0.3, 0.2])[arm], customer, means


def test_a_score_is_what_its_formula_says_row_by_row():
    _, arm, y, chance, _, means = trial(200)
    found = value.doubly_robust_scores(y, arm, means + 1, chance)
    for i in range(200):
        for j in range(3):
            expected = means[i, j] + 1 + ((y[i] - means[i, j] - 1) / chance[i] if arm[i] == j else 0)
            assert found[i, j] == pytest.approx(expected)
    wide = np.tile([0.5, 0.3, 0.2], (200, 1))
    assert value.doubly_robust_scores(y, arm, means + 1, wide) == pytest.approx(found)


@pytest.mark.parametrize("model", ["none", "wrong"])
def test_the_mean_is_right_whatever_the_model_says(model):
    _, arm, y, chance, _, means = trial(60_000, 1)
    guess = np.zeros_like(means) if model == "none" else 3 - 2 * means
    found = value.doubly_robust_scores(y, arm, guess, chance)
    error = (found - means).mean(axis=0) / ((found - means).std(axis=0) / np.sqrt(len(y)))
    assert np.abs(error).max() < 4


def test_a_fitted_model_makes_scores_more_precise_and_leaves_no_bias():
    x, arm, y, chance, customer, means = trial(12_000, 2)
    model = value.outcome_means(x, arm, y, 3, customer, 4, 0)
    fitted = value.doubly_robust_scores(y, arm, model, chance)
    none = value.doubly_robust_scores(y, arm, np.zeros_like(means), chance)
    assert np.corrcoef(model[:, 0], means[:, 0])[0, 1] > 0.9
    assert (fitted.var(axis=0) < 0.75 * none.var(axis=0)).all()
    assert np.abs((fitted - means).mean(axis=0) / (fitted - means).std(axis=0) * np.sqrt(len(y))).max() < 4


def test_no_customer_is_in_two_folds_and_none_sees_its_own_outcome():
    x, arm, y, _, customer, _ = trial(3000, 3)
    fold = value.customer_folds(customer, 5, 0)
    assert len(set(zip(customer, fold, strict=True))) == len(set(customer))
    sizes = np.bincount(pd.Series(fold).groupby(customer).first())
    assert (np.abs(sizes - sizes.sum() / 5) < 5 * np.sqrt(sizes.sum() * 0.2 * 0.8)).all()  # each customer draws for herself
    mine = customer == customer[0]
    before = value.outcome_means(x, arm, y, 3, customer, 5, 1)
    after = value.outcome_means(x, arm, np.where(mine, y + 1e4, y), 3, customer, 5, 1)
    assert after[mine].tolist() == before[mine].tolist()
    assert not np.allclose(after[~mine], before[~mine])


def test_a_constant_outcome_and_an_arm_of_five():
    x, arm, y, chance, customer, _ = trial(900, 4)
    flat = value.outcome_means(x, arm, np.full(900, 7.0), 3, customer, 3, 0)
    assert (flat == 7).all()
    assert (value.doubly_robust_scores(np.full(900, 7.0), arm, flat, chance) == 7).all()
    few = np.where(np.arange(900) < 5, 2, arm % 2)
    assert np.isfinite(value.outcome_means(x, few, y, 3, customer, 3, 0)).all()


def test_what_the_scores_refuse():
    x, arm, y, chance, customer, means = trial(60)
    with pytest.raises(ValueError, match="probability of the arms is missing"):
        value.doubly_robust_scores(y, arm, means, None)
    with pytest.raises(ValueError, match="must lie above 0 and at most at 1 \\(60 rows"):
        value.doubly_robust_scores(y, arm, means, chance * 0)
    with pytest.raises(ValueError, match="arm has 59 rows, y 60"):
        value.doubly_robust_scores(y, arm[:59], means, chance)
    with pytest.raises(ValueError, match="nobody got arm 1"):
        value.outcome_means(x, np.where(arm == 1, 0, arm), y, 3, customer, 3, 0)
    with pytest.raises(ValueError, match="1 arm: an effect needs two"):
        value.outcome_means(x, arm * 0, y, 1, customer, 3, 0)
    with pytest.raises(ValueError, match="y: 1 numbers are missing"):
        value.outcome_means(x, arm, np.append(y[:-1], np.nan), 3, customer, 3, 0)
    with pytest.raises(ValueError, match="folds = 99"):
        value.outcome_means(x, arm, y, 3, customer, 99, 0)


def test_selection_takes_the_better_model_and_keeps_the_constant_where_none_is():
    _, arm, y, chance, customer, means = trial(9000, 5)
    judged = value.doubly_robust_scores(y, arm, means, chance)
    effect = means - means[:, :1]
    noise = effect + np.random.default_rng(0).normal(size=effect.shape) * [0, 2, 2]
    name, table = uplift.select({"true": effect, "noise": noise}, effect.mean(axis=0), judged, customer)
    assert name == "true"
    assert table.loc[table["chosen"], "name"].unique().tolist() == ["true"]
    losses = table[table["measure"] == "loss"].set_index("name")
    assert losses.loc["true", "high"] < 0 < losses.loc["noise", "low"]
    values = table[table["measure"] == "value"].set_index("name")
    rows, best = np.arange(len(y)), effect.mean(axis=0).argmax()
    assert values.loc["true", "estimate"] == pytest.approx((judged[rows, effect.argmax(1)] - judged[:, best]).mean())
    gap = ((judged - judged[:, :1] - effect)[:, 1:] ** 2).mean() - ((judged - judged[:, :1] - effect.mean(0))[:, 1:] ** 2).mean()
    assert losses.loc["true", "estimate"] == pytest.approx(gap)
    assert uplift.select({"noise": noise}, effect.mean(axis=0), judged, customer)[0] == "constant"
    assert uplift.select({}, effect.mean(axis=0), judged, customer, by="value")[0] == "constant"


def test_what_selection_refuses():
    judged, who = np.zeros((8, 3)), np.arange(8)
    with pytest.raises(ValueError, match="constant has 2 effects, scores 3 arms"):
        uplift.select({}, np.zeros(2), judged, who)
    with pytest.raises(ValueError, match="'a' is \\(8, 2\\), scores are \\(8, 3\\)"):
        uplift.select({"a": np.zeros((8, 2))}, np.zeros(3), judged, who)
    with pytest.raises(ValueError, match="'a': the effect of arm 0 must be 0"):
        uplift.select({"a": np.ones((8, 3))}, np.zeros(3), judged, who)
    with pytest.raises(ValueError, match="by = 'luck'"):
        uplift.select({}, np.zeros(3), judged, who, by="luck")


@given(st.lists(st.floats(0, 1), min_size=3, max_size=3))
@settings(max_examples=50, deadline=None)
def test_bounds_are_the_ends_of_what_a_pair_of_margins_allows(weights):
    """Every joint table of two margins: the share of each pair moves on one line, whose ends are the bounds."""
    p0, p1 = weights[0], weights[1]
    both = np.linspace(max(0, p0 + p1 - 1), min(p0, p1), 11)
    shares = {"sure thing": both, "persuadable": p1 - both, "sleeping dog": p0 - both, "lost cause": 1 - p0 - p1 + both}
    found = uplift.segment_bounds(np.tile([p0, p1], (8, 1)), np.arange(8)).set_index("segment")
    for name, values in shares.items():
        assert found.loc[name, ["lower", "upper"]].tolist() == pytest.approx([values.min(), values.max()], abs=1e-9)


def pairs(rows: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, dict[str, float]]:
    """Two kinds of customers, one moved by the offer, one put off: scores of a trial, true chances, and the true shares."""
    kind = rng.random(rows) < 0.5
    chances = np.where(kind[:, None], [0.1, 0.7], [0.6, 0.2])
    both = rng.random(rows)  # one draw for either outcome: buying more often with the offer is then buying because of it
    outcome = both[:, None] < chances
    arm = rng.integers(0, 2, rows)
    model = np.tile([0.35, 0.45], (rows, 1))
    found = value.doubly_robust_scores(outcome[np.arange(rows), arm].astype(float), arm, model, np.full(rows, 0.5))
    return found, chances, {"persuadable": 0.3, "sleeping dog": 0.2, "sure thing": 0.15, "lost cause": 0.35}


def test_features_sharpen_the_bounds_and_the_truth_stays_inside():
    rng = np.random.default_rng(6)
    found, chances, true = pairs(40_000, rng)
    plain = uplift.segment_bounds(found, np.arange(40_000)).set_index("segment")
    sharp = uplift.segment_bounds(found, np.arange(40_000), chances).set_index("segment")
    useless = uplift.segment_bounds(found, np.arange(40_000), rng.random((40_000, 2))).set_index("segment")
    for name, share in true.items():
        for table in (plain, sharp, useless):  # a bad prediction may not make a bound wrong
            assert table.loc[name, "low"] <= share <= table.loc[name, "high"], name
        assert np.diff(sharp.loc[name, ["lower", "upper"]]).item() < np.diff(plain.loc[name, ["lower", "upper"]]).item()
    assert sharp.loc["persuadable", "lower"] == pytest.approx(0.3, abs=0.02)  # monotone within each kind: the bound is the truth
    assert plain.loc["persuadable", "lower"] == pytest.approx(0.1, abs=0.02)


def test_the_intervals_of_bounds_hold_the_truth():
    rng, held, n = np.random.default_rng(7), 0, 200
    for _ in range(n):
        found, chances, _ = pairs(1500, rng)
        low = uplift.segment_bounds(found, np.arange(1500), chances).set_index("segment").loc["persuadable", "low"]
        held += low <= 0.3  # one end of a 95 % interval: 97.5 %
    low, high = stats.binom.ppf([0.0005, 0.9995], n, 0.975)
    assert low <= held <= high


def test_what_bounds_refuse():
    with pytest.raises(ValueError, match="without and with the offer"):
        uplift.segment_bounds(np.zeros((8, 3)), np.arange(8))
    with pytest.raises(ValueError, match="chances must lie between 0 and 1"):
        uplift.segment_bounds(np.zeros((8, 2)), np.arange(8), np.full((8, 2), 1.5))


def test_means_of_7_arms_are_quick():
    rng = np.random.default_rng(8)
    x, arm = rng.normal(size=(10_000, 40)), rng.integers(0, 7, 10_000)
    start = time.process_time()
    value.outcome_means(x, arm, x[:, 0] + rng.normal(size=10_000), 7, rng.integers(0, 4000, 10_000), 5, 0)
    assert time.process_time() - start < 5
