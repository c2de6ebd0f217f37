"""Intervals against closed forms, scipy and statsmodels, and whether they hold the truth as often as they say."""

import warnings

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

from promo_helpers import draws, inference

RNG = np.random.default_rng(16)
VALUES, CLUSTER = RNG.gamma(2, 3, 300), RNG.permutation(np.append(np.arange(60), RNG.integers(0, 60, 240)))


def ends(found):
    return [found["low"], found["high"]]


def test_critical_values_are_those_of_the_tables():
    assert inference.critical() == pytest.approx(1.959963985, abs=1e-9)
    assert inference.critical(inference.ROUNDED) == pytest.approx(1.96, abs=1e-12)
    assert inference.critical(0.95, 4) == pytest.approx(2.776445105, abs=1e-9)
    assert inference.critical(0.9, np.array([1, 1e9])) == pytest.approx([6.313751515, 1.644853627], abs=1e-6)


def test_an_interval_is_the_estimate_and_so_many_errors_to_both_sides():
    found = inference.interval(np.array([1.0, np.nan]), np.array([2.0, 1.0]))
    assert list(found) == ["estimate", "se", "low", "high"]
    np.testing.assert_allclose(ends(found), [[1 - 2 * 1.959963985, np.nan], [1 + 2 * 1.959963985, np.nan]])
    wide = inference.interval(1.0, 2.0, 0.99, freedom=3)
    assert ends(wide) == pytest.approx(stats.t.interval(0.99, 3, 1, 2))
    assert inference.named("gain", wide) == {"gain": 1.0, "gain_low": wide["low"], "gain_high": wide["high"]}


def test_means_are_those_of_scipy_and_a_single_value_has_no_interval():
    assert ends(inference.mean(VALUES, 0.9)) == pytest.approx(stats.norm.interval(0.9, VALUES.mean(), stats.sem(VALUES)))
    found = inference.student(pd.Series(VALUES[:5]), 0.9)
    assert ends(found) == pytest.approx(stats.t.interval(0.9, 4, VALUES[:5].mean(), stats.sem(VALUES[:5])))
    assert found["se"] == pytest.approx(stats.sem(VALUES[:5]))
    for kind in (inference.mean, inference.student):
        one = kind([3.0])
        assert one["estimate"] == 3
        assert np.isnan([one["se"], *ends(one)]).all()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert ends(inference.student(np.zeros(8))) == [0, 0]  # a policy that sends nothing
        assert ends(inference.student(np.full(8, 2.5))) == [2.5, 2.5]


def test_welch_is_that_of_scipy_and_has_an_answer_without_spread():
    one, other = VALUES[:40], VALUES[200:]
    found = inference.welch(one.mean() - other.mean(), (one.var(ddof=1), other.var(ddof=1)), (len(one), len(other)), 0.9)
    theirs = stats.ttest_ind(one, other, equal_var=False).confidence_interval(0.9)
    assert ends(found) == pytest.approx([theirs.low, theirs.high])
    assert ends(inference.welch(0.0, (0.0, 0.0), (7, 9))) == [0, 0]


def test_the_interval_of_wilson_as_published():
    assert ends(inference.share(19, 20)) == pytest.approx([0.764, 0.991], abs=1e-3)  # Brown, Cai and DasGupta (2001)


@pytest.mark.parametrize(("method", "name"), [("wilson", "wilson"), ("beta", "exact")])
def test_shares_are_those_of_scipy(method, name):
    for count, number in ((0, 9), (3, 10), (9, 9), (57, 400)):
        found = inference.share(count, number, 0.9, method)
        theirs = stats.binomtest(count, number).proportion_ci(0.9, name)
        assert found["estimate"] == count / number
        assert ends(found) == pytest.approx([theirs.low, theirs.high], abs=1e-10)
    several = inference.share(np.array([0, 3.7]), np.array([9, 10.2]), 0.9, method)
    assert [e[1] for e in ends(several)] == pytest.approx(proportion_confint(3.7, 10.2, 0.1, method))


def test_clusters_are_those_of_statsmodels():
    found = inference.mean_by_cluster(VALUES, CLUSTER)
    theirs = sm.OLS(VALUES, np.ones(300)).fit(cov_type="cluster", cov_kwds={"groups": CLUSTER})
    assert found["estimate"] == pytest.approx(theirs.params[0])
    assert found["se"] == pytest.approx(theirs.bse[0], rel=1e-12)
    assert ends(found) == pytest.approx(list(theirs.conf_int()[0]), rel=1e-12)
    names = np.char.add("c", CLUSTER.astype(str)).astype(object)
    assert inference.mean_by_cluster(VALUES, names) == pytest.approx(found)
    with pytest.raises(ValueError, match="3 customers: half-samples need four"):
        inference.mean_by_cluster(VALUES, CLUSTER % 3)


def test_a_row_to_each_cluster_gives_the_plain_error_of_a_mean():
    assert inference.mean_by_cluster(VALUES, np.arange(300))["se"] == pytest.approx(stats.sem(VALUES))
    without = inference.cluster_error(VALUES - VALUES.mean(), np.arange(300), 300, lost=0) / 300
    assert without == pytest.approx(VALUES.std(ddof=0) / np.sqrt(300))


def test_least_squares_by_cluster_is_the_sandwich():
    x = np.column_stack([np.ones(300), RNG.normal(size=300)])
    beta, cov = inference.least_squares(x, VALUES, CLUSTER, lost=2)
    bread = np.linalg.inv(x.T @ x)
    left = x * (VALUES - x @ beta)[:, None]
    sums = np.stack([left[c == CLUSTER].sum(axis=0) for c in range(60)])
    np.testing.assert_allclose(beta, bread @ x.T @ VALUES)
    np.testing.assert_allclose(cov, bread @ sums.T @ sums @ bread * 60 / 58)
    _, plain = inference.least_squares(x, VALUES, CLUSTER)
    np.testing.assert_allclose(plain * 60 / 58, cov)
    flat, held = inference.least_squares(x * [1, 0], VALUES, CLUSTER)
    np.testing.assert_allclose(flat, [VALUES.mean(), 0], atol=1e-12)
    np.testing.assert_allclose(held[1], 0, atol=1e-12)


def test_a_ratio_of_sums_with_nothing_but_ones_below_is_a_mean():
    found = inference.ratio_of_sums(VALUES, np.ones(300))
    assert found["se"] == pytest.approx(VALUES.std() / np.sqrt(300))
    doubled = inference.ratio_of_sums(2 * VALUES, VALUES)
    assert ends(doubled) == pytest.approx([2, 2])


def test_the_jackknife_of_a_mean_is_its_plain_error():
    left_out = (VALUES.sum() - VALUES) / 299
    assert inference.jackknife_error(left_out) == pytest.approx(stats.sem(VALUES))
    assert ends(inference.jackknife(VALUES.mean(), left_out)) == pytest.approx(ends(inference.student(VALUES)))
    assert ends(inference.ratio_of_means(VALUES, np.ones(300))) == pytest.approx(ends(inference.student(VALUES)))
    assert inference.jackknife_error(np.column_stack([left_out, 3 * left_out])) == pytest.approx(
        stats.sem(VALUES) * np.array([1, 3])
    )


def test_a_ratio_of_means_is_missing_where_nothing_is_below():
    assert ends(inference.ratio_of_means(2 * VALUES[:6], VALUES[:6])) == pytest.approx([2, 2])
    assert np.isnan(inference.ratio_of_means(VALUES[:2], np.array([1.0, -1.0]))["estimate"])
    single = inference.ratio_of_means(np.array([3.0]), np.array([4.0]))
    assert single["estimate"] == 0.75
    assert np.isnan(ends(single)).all()


def test_percentiles_leave_out_what_most_draws_do_not_know():
    drawn = RNG.normal(size=(200, 3))
    np.testing.assert_allclose(inference.percentiles(drawn, 0.9), np.percentile(drawn, [5, 95], axis=0))
    np.testing.assert_allclose(inference.percentiles(drawn[:, 0]), np.percentile(drawn[:, 0], [2.5, 97.5]))
    drawn[:120, 1], drawn[:50, 2] = np.nan, np.nan
    assert np.isnan(inference.percentiles(drawn)).tolist() == [[False, True, True]] * 2
    some = inference.percentiles(drawn, known=0.5)
    assert np.isnan(some[:, 1]).all()
    np.testing.assert_allclose(some[:, 2], np.percentile(drawn[50:, 2], [2.5, 97.5]))
    np.testing.assert_allclose(inference.percentiles(drawn, known=0)[:, 1], np.percentile(drawn[120:, 1], [2.5, 97.5]))
    assert np.isnan(inference.percentiles(np.full((9, 2), np.nan), known=0)).all()


def test_arrays_of_one_length():
    assert inference.same_length(one=np.zeros(3), other=np.array(["a", "b", "c"])) == 3
    with pytest.raises(ValueError, match="other has 2 rows, one 3"):
        inference.same_length(one=np.zeros(3), other=np.zeros(2))
    with pytest.raises(ValueError, match="one: 1 numbers are missing"):
        inference.same_length(one=np.array([1.0, np.nan]))


TRIALS = 400


def coverage(one_trial, truth):
    """How often `one_trial(generator)`, which answers low and high, holds the truth; in standard errors from .95."""
    rng = np.random.default_rng(7)
    held = np.mean([low <= truth <= high for low, high in (one_trial(rng) for _ in range(TRIALS))])
    return (held - 0.95) / np.sqrt(0.95 * 0.05 / TRIALS)


def clustered(rng):
    code = np.repeat(np.arange(80), 4)
    return rng.normal(2, 1, 80)[code] + rng.normal(size=320), code


def bootstrap(rng):
    values = rng.gamma(4, 0.5, 60)
    weight = draws.bootstrap(int(rng.integers(1 << 30)), "coverage", np.arange(60), n=300)
    return inference.percentiles(weight @ values / weight.sum(axis=1))


def half_samples(rng):
    values, code = clustered(rng)
    who, people = inference.customers(code)
    sums, rows = (np.bincount(who, v) for v in (values, np.ones(320)))
    halves = inference.over_half_samples(lambda inside: inside @ sums / (inside @ rows), people, 200, int(rng.integers(1 << 30)))
    return ends(inference.from_half_samples(values.mean(), halves))


def regression(rng):
    level, code = clustered(rng)
    x = np.column_stack([np.ones(320), rng.normal(size=80)[code]])
    beta, cov = inference.least_squares(x, 2 * x[:, 1] + level, code, lost=2)
    return ends(inference.interval(beta[1], np.sqrt(cov[1, 1])))


def ratio(rng):
    below = rng.gamma(4, 1, 15)
    return ends(inference.ratio_of_means(2 * below + rng.normal(size=15), below))


@pytest.mark.parametrize(
    "kind",
    [
        lambda rng: ends(inference.student(rng.normal(2, 3, 5))),
        lambda rng: ends(inference.mean_by_cluster(*clustered(rng))),
        bootstrap,
        half_samples,
        regression,
        ratio,
    ],
    ids=["student", "mean by cluster", "bootstrap", "half-samples", "regression by cluster", "ratio of means"],
)
def test_intervals_hold_the_truth_as_often_as_they_say(kind):
    assert -4.5 < coverage(kind, 2.0) < 3  # bootstraps and normal quantiles of few customers fall a little short


def test_rows_of_one_customer_are_not_independent():
    plain = coverage(lambda rng: ends(inference.mean(clustered(rng)[0])), 2.0)
    assert plain < -8  # what an interval that forgets them does


def test_a_band_holds_all_columns_at_once():
    rng, held, alone = np.random.default_rng(3), 0, 0
    for _ in range(200):
        values = rng.normal(size=(100, 12))
        weight = rng.poisson(1, (250, 100)).astype(float)
        drawn = weight @ values / weight.sum(axis=1)[:, None]
        low, high = inference.simultaneous(values.mean(axis=0), drawn)
        held += bool(((low <= 0) & (high >= 0)).all())
        low, high = inference.percentiles(drawn)
        alone += bool(((low <= 0) & (high >= 0)).all())
    assert held / 200 == pytest.approx(0.95, abs=0.06)
    assert alone / 200 < 0.75


def test_a_share_of_what_is_known():
    assert inference.share_of_known([True, False, True], [True, True, False]) == 0.5
    assert np.isnan(inference.share_of_known([True, False], [False, False]))
