"""Ranking of effects: against grf's own functions, slow loops and closed forms; ties, order of rows, coverage, and what is refused."""

import json
import time
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from promo_helpers import inference, paths
from promo_helpers.evaluate import uplift
from promo_helpers.evaluate.uplift import contrast_at_k
from promo_helpers.evaluate.value import experiment_scores
from tests.trials import trial

REFERENCE = paths.ROOT / "tests" / "reference"
TENTHS = np.arange(1, 11) / 10


def by_hand(priority: np.ndarray, effect: np.ndarray) -> tuple[np.ndarray, float, float]:
    """TOC at every i / n, AUTOC and Qini as the definitions read, ties replaced by their means."""
    effect = pd.Series(effect).groupby(priority).transform("mean").to_numpy()
    ranked = effect[np.argsort(-priority, kind="stable")]
    n = len(ranked)
    toc = np.array([ranked[: i + 1].mean() - ranked.mean() for i in range(n)])
    return toc, toc.mean(), sum((i + 1) / n * toc[i] for i in range(n)) / n


@pytest.mark.slow
@given(st.integers(0, 10_000), st.integers(4, 40), st.sampled_from([2, 5, 1000]))
@settings(max_examples=60, deadline=None)
def test_rate_is_what_its_definition_says_with_and_without_ties(seed, n, values):
    rng = np.random.default_rng(seed)
    priority, effect = rng.integers(0, values, n).astype(float), rng.normal(size=n)
    toc, autoc, qini = by_hand(priority, effect)
    rates = uplift.rate({"a": priority}, effect, np.arange(n), 0, draws=2, shares=np.arange(1, n + 1) / n)
    assert rates.table["estimate"].tolist() == pytest.approx([autoc, qini], abs=1e-12)
    assert rates.curve["toc"].to_numpy() == pytest.approx(toc, abs=1e-12)


@pytest.mark.parametrize("score", ["smooth", "tied", "constant"])
def test_rate_is_that_of_grf(score):
    data = pd.read_csv(REFERENCE / "uplift_data.csv")
    theirs = json.loads((REFERENCE / "uplift_grf.json").read_text())
    given = ({score: data[score]}, data["robust"], data["customer"])
    rates = uplift.rate(*given, 3, draws=4000, shares=TENTHS)
    for metric in ("AUTOC", "Qini"):
        wanted, mine = theirs[f"{score} {metric.upper()}"], rates.table.set_index("metric").loc[metric]
        assert mine["estimate"] == pytest.approx(wanted["estimate"], abs=1e-12)
        # 4,000 half-samples on either side: two standard deviations differ by 1.6 % (SD)
        assert mine["se"] == pytest.approx(wanted["se"], rel=0.065, abs=1e-12)
    assert rates.curve["toc"].to_numpy() == pytest.approx(wanted["toc"], abs=1e-12)


def test_toc_of_a_known_effect():
    """Effect x on x uniform: the first share q has mean 1 - q / 2, so TOC = (1 - q) / 2, AUTOC = 1 / 4, Qini = 1 / 12."""
    x = (np.arange(20_000) + 0.5) / 20_000
    rates = uplift.rate({"x": x, "backwards": -x}, x, np.arange(len(x)), 0, 2, shares=TENTHS)
    table = rates.table.set_index(["name", "metric"])["estimate"]
    assert table["x", "AUTOC"] == pytest.approx(1 / 4, abs=1e-4)
    assert table["x", "Qini"] == pytest.approx(1 / 12, abs=1e-4)
    assert table["backwards", "AUTOC"] == pytest.approx(-1 / 4, abs=1e-4)
    assert rates.curve.query("name == 'x'")["toc"].to_numpy() == pytest.approx((1 - TENTHS) / 2, abs=1e-9)


def test_a_constant_score_is_worth_nothing_and_says_so_exactly():
    rng = np.random.default_rng(0)
    table = uplift.rate({"same": np.ones(500)}, rng.normal(size=500), np.arange(500) // 2, 0, 50).table
    assert table[["estimate", "se"]].abs().to_numpy().max() < 1e-12


def test_the_order_of_the_rows_does_not_matter():
    rng = np.random.default_rng(1)
    priority, effect, customer = rng.integers(0, 9, 300).astype(float), rng.normal(size=300), rng.integers(0, 80, 300)
    shuffle = rng.permutation(300)
    one, two = (uplift.rate({"a": priority[r]}, effect[r], customer[r], 0, 20) for r in (np.arange(300), shuffle))
    assert one.table["estimate"].to_numpy() == pytest.approx(two.table["estimate"].to_numpy(), abs=1e-12)
    assert one.curve["toc"].to_numpy() == pytest.approx(two.curve["toc"].to_numpy(), abs=1e-12)


def test_blocks_change_the_spread_of_half_samples_by_less_than_a_hundredth(monkeypatch):
    rng = np.random.default_rng(2)
    x = rng.normal(size=6000)
    effect, customer = x + rng.normal(size=6000) * 4, rng.integers(0, 2500, 6000)
    found = []
    for blocks in (2000, 10**9):
        monkeypatch.setattr(inference.Ranking, "BLOCKS", blocks)
        found.append(uplift.rate({"x": x}, effect, customer, 0, 100).table)
    assert found[0]["se"].to_numpy() == pytest.approx(found[1]["se"].to_numpy(), rel=0.01)
    assert found[0]["se"].tolist() != found[1]["se"].tolist()
    assert found[0]["estimate"].tolist() == found[1]["estimate"].tolist()


def test_half_samples_spread_as_the_standard_error_of_a_mean_by_customer():
    rng = np.random.default_rng(3)
    customer = np.repeat(np.arange(200), rng.integers(1, 6, 200))
    values = rng.normal(size=200)[customer] + rng.normal(size=len(customer))
    code, people = inference.customers(customer)
    sums, rows = np.bincount(code, values), np.bincount(code)
    means = inference.over_half_samples(lambda inside: inside @ sums / (inside @ rows), people, 4000, 0)
    assert np.std(means) == pytest.approx(inference.mean_by_cluster(values, customer)["se"], rel=0.06)
    assert np.std(means) > 1.3 * values.std() / np.sqrt(len(values))  # rows of a customer are not independent


def covered(share: int, of: int, level: float = 0.95) -> None:
    """That many intervals of a right method could have held the truth: a binomial bound that fails it once in 1,000 times."""
    low, high = stats.binom.ppf([0.0005, 0.9995], of, level)
    assert low <= share <= high, f"{share} of {of}"


@pytest.mark.slow
def test_intervals_hold_the_truth_as_often_as_they_say():
    """Effect and score are x in [0, 1], two rows a customer: AUTOC 1 / 4, Qini 1 / 12, TOC(.2) .4, mean of the first fifth .9."""
    rng, n, held = np.random.default_rng(4), 100, np.zeros(4, int)
    for k in range(n):
        customer = np.repeat(np.arange(300), 2)
        x = rng.random(600)
        effect = x + rng.normal(size=300)[customer] + rng.normal(size=600)
        rates = uplift.rate({"x": x}, effect, customer, k, 80, shares=np.array([0.2]))
        ends = [*rates.table[["low", "high"]].to_numpy(), *rates.curve[["low", "high"]].to_numpy()]
        half = np.full(600, 0.5)
        at = uplift.uplift_at_k(x, effect, rng.integers(0, 2, 600), half, effect, customer, [0.2], k, 80)
        ends.append(at[at["method"] == "doubly robust"][["low", "high"]].to_numpy()[0])
        held += [low <= true <= high for (low, high), true in zip(ends, (1 / 4, 1 / 12, 0.4, 0.9), strict=True)]
    for count in held:
        covered(int(count), n)


def test_a_difference_is_paired():
    rng = np.random.default_rng(5)
    x, customer = rng.normal(size=2000), np.arange(2000)
    effect = x + rng.normal(size=2000) * 3
    scores = {"a": x, "b": x + 0.1 * rng.normal(size=2000), "same": 5 * x - 2}
    rates = uplift.rate(scores, effect, customer, 0, 100, against="a")
    gap = rates.against.set_index(["name", "metric"])
    level = rates.table.set_index(["name", "metric"])
    assert gap.loc[("b", "AUTOC"), "estimate"] == pytest.approx(
        level.loc[("b", "AUTOC"), "estimate"] - level.loc[("a", "AUTOC"), "estimate"]
    )
    assert gap.loc[("b", "AUTOC"), "se"] < level.loc[("a", "AUTOC"), "se"] / 3
    assert gap.loc[("same", "Qini"), ["estimate", "se"]].abs().max() < 1e-12


def test_uplift_at_k_is_the_difference_of_two_means_among_the_first():
    rng = np.random.default_rng(6)
    priority, y, treated, effect = rng.normal(size=400), rng.normal(size=400), rng.integers(0, 2, 400), rng.normal(size=400)
    table = uplift.uplift_at_k(priority, y, treated, np.full(400, 0.5), effect, np.arange(400), [0.25, 1.0], 0, 20)
    top = np.argsort(-priority)[:100]
    expected = {}
    for share, rows in ((0.25, top), (1.0, np.arange(400))):
        expected[share, "difference in means"] = y[rows][treated[rows] == 1].mean() - y[rows][treated[rows] == 0].mean()
        expected[share, "doubly robust"] = effect[rows].mean()
    found = table.set_index(["share", "method"])["estimate"]
    for key, value in expected.items():
        assert found[key] == pytest.approx(value)


def test_uplift_at_k_weights_by_the_chance_of_the_arm():
    """Buyers are treated more often: the plain difference is wrong by a lot, the weighted one is not."""
    rng = np.random.default_rng(7)
    strong = rng.random(40_000) < 0.5
    chance = np.where(strong, 0.8, 0.2)
    treated = (rng.random(40_000) < chance).astype(int)
    y = 5.0 * strong + 1.0 * treated + rng.normal(size=40_000)
    own = np.where(treated == 1, chance, 1 - chance)
    table = uplift.uplift_at_k(rng.normal(size=40_000), y, treated, own, np.zeros(40_000), np.arange(40_000), [0.5], 0, 50)
    row = table.iloc[0]
    assert row["low"] < 1 < row["high"]
    assert y[treated == 1].mean() - y[treated == 0].mean() > 3


def test_calibration_and_slope_against_statsmodels():
    import statsmodels.api as sm

    rng = np.random.default_rng(8)
    customer = rng.integers(0, 300, 2000)
    predicted = rng.normal(size=2000)
    effect = 0.5 + 0.7 * predicted + rng.normal(size=300)[customer] + rng.normal(size=2000)
    mine = uplift.best_linear_predictor(predicted, effect, customer).set_index("term")
    design = sm.add_constant(predicted - predicted.mean())
    theirs = sm.OLS(effect, design).fit(cov_type="cluster", cov_kwds={"groups": customer, "use_correction": False})
    people = len(np.unique(customer))
    assert mine["estimate"].to_numpy() == pytest.approx(theirs.params)
    assert mine["se"].to_numpy() == pytest.approx(theirs.bse * np.sqrt(people / (people - 1)))
    groups = uplift.by_decile(predicted, effect, customer)
    cut = pd.qcut(predicted, 10, labels=False)
    assert groups["rows"].tolist() == np.bincount(cut).tolist()
    assert groups["estimate"].to_numpy() == pytest.approx(pd.Series(effect).groupby(cut).mean().to_numpy())


def test_calibration_of_few_values_and_of_one():
    rng = np.random.default_rng(9)
    effect, customer = rng.normal(size=200), np.arange(200)
    two = uplift.by_decile(np.repeat([1.0, 2.0], [150, 50]), effect, customer)
    assert two[["predicted", "rows"]].to_numpy().tolist() == [[1, 150], [2, 50]]
    one = uplift.by_decile(np.full(200, 0.3), effect, customer)
    assert one["rows"].tolist() == [200]
    line = uplift.best_linear_predictor(np.full(200, 0.3), effect, customer).set_index("term")
    assert np.isnan(line.loc["slope", ["estimate", "se"]].to_numpy(float)).all()
    assert line.loc["mean", "estimate"] == pytest.approx(effect.mean())


def test_what_is_refused_is_named():
    x, who = np.arange(10.0), np.arange(10)
    with pytest.raises(ValueError, match="priority 'short' has 9 rows, effect 10"):
        uplift.rate({"short": x[:9]}, x, who, 0)
    with pytest.raises(ValueError, match="effect: 1 numbers are missing"):
        uplift.rate({"a": x}, np.where(x == 3, np.nan, x), who, 0)
    with pytest.raises(ValueError, match="3 customers: half-samples need four"):
        uplift.rate({"a": x}, x, who % 3, 0)
    with pytest.raises(KeyError, match="no ranking 'b'"):
        uplift.rate({"a": x}, x, who, 0, against="b")
    with pytest.raises(ValueError, match="shares must lie above 0"):
        uplift.rate({"a": x}, x, who, 0, shares=np.array([0.0]))
    with pytest.raises(ValueError, match="draws = 1"):
        uplift.rate({"a": x}, x, who, 0, draws=1)
    with pytest.raises(ValueError, match="without a control"):
        uplift.uplift_at_k(x, x, np.ones(10, int), np.full(10, 0.5), x, who, [0.5], 0)
    with pytest.raises(ValueError, match="effect has no rows"):
        uplift.rate({"a": x[:0]}, x[:0], who[:0], 0)


def test_a_rate_of_5000_rows_is_quick():
    rng = np.random.default_rng(0)
    x = rng.normal(size=5000)
    given = ({"x": x}, x + rng.normal(size=5000), rng.integers(0, 2500, 5000))
    seconds = []
    for _ in range(3):
        start = time.process_time()
        uplift.rate(*given, 0, 200)
        seconds.append(time.process_time() - start)
    assert min(seconds) < 0.3


def test_uplift_of_one_arm_of_three_counts_the_two_arms_with_their_own_chances():
    e = trial(np.random.default_rng(4), n=30_000, shares=(1 / 3, 1 / 3, 1 / 3), effect=0.08, repeats=1)
    two = e.contrast("five")
    true = float(two.outcome("bought")[two.arm == 1].mean() - two.outcome("bought")[two.arm == 0].mean())
    found = contrast_at_k(e, "five", "bought", {"as it comes": lambda x: np.arange(len(x)) % 7}, [1.0], 1, 50)
    assert list(found["method"]) == ["difference in means", "doubly robust"]
    assert found["estimate"].iloc[0] == pytest.approx(true, abs=1e-9)
    assert abs(found["estimate"].iloc[1] - true) < 0.3 * found["se"].iloc[1]
    # the chances of three arms on the rows of two weigh every surprise half as much again
    thirds = experiment_scores(replace(two, probability=np.full(len(two), 1 / 3)), "bought", 1)
    assert (thirds[:, 1] - thirds[:, 0]).std() / np.sqrt(len(two)) > 1.3 * found["se"].iloc[1]


def test_policies_against_the_truth_and_against_none():
    gain = np.array([[0.0, 2.0, -1.0], [0.0, -3.0, 1.0], [0.0, 1.0, 4.0]])
    effects = {"oracle": gain, "blind": np.zeros((3, 3)), "one": np.array([[0.0, 1.0, 0.0]] * 3)}
    table = uplift.true_values(effects, gain, 1)
    assert table["value"].to_dict() == {"oracle": pytest.approx(7 / 3), "blind": 0.0, "one": pytest.approx(0.0)}
    assert table["contacted"].to_dict() == {"oracle": 1.0, "blind": 0.0, "one": 1.0}
    assert table.loc["oracle", ["error", "correlation"]].tolist() == [0.0, 1.0]
    assert table.loc["one", "error"] == pytest.approx(np.sqrt((1 + 16 + 0) / 3))
    assert table.loc["one", "promised"] == 1.0
    unknown = uplift.true_values(effects, np.full((3, 3), np.nan), 1)
    assert unknown[["value", "error", "correlation"]].isna().all(axis=None)
    assert unknown["contacted"].equals(table["contacted"])


def test_nobody_is_labelled_by_a_gain_that_is_not_known():
    gain = np.array([[0.0, 1.0], [0.0, -1.0], [0.0, -1.0], [np.nan, np.nan]])
    kinds = uplift.customer_types(gain, np.array([0.1, 0.5, 0.1, 0.1]))
    assert kinds.tolist() == ["persuadable", "sure thing", "lost cause", "not available"]
