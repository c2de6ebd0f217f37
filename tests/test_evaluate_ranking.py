"""Rankings: against slow loops and scikit-learn, ties at random, intervals that cover, and what is refused."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import ndcg_score, roc_auc_score

from promo_helpers.evaluate import ranking


def some(seed: int = 0, groups: int = 40, candidates: int = 30) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.random((groups, candidates)), rng.random((groups, candidates)) < 0.15


def by_hand(scores: np.ndarray, relevant: np.ndarray, k: int) -> tuple[float, float, float, float]:
    """Precision, recall, NDCG and hit of one row, as the definitions read."""
    order = sorted(range(len(scores)), key=lambda j: -scores[j])[:k]
    hits = [j for j in order if relevant[j]]
    gain = sum(1 / math.log2(place + 2) for place, j in enumerate(order) if relevant[j])
    best = sum(1 / math.log2(place + 2) for place in range(min(k, int(relevant.sum()))))
    return len(hits) / k, len(hits) / relevant.sum(), gain / best, float(bool(hits))


@pytest.mark.slow
@given(st.integers(0, 10_000), st.sampled_from([1, 3, 10, 30, 50]))
@settings(max_examples=40, deadline=None)
def test_metrics_at_k_are_what_their_definitions_say(seed, k):
    scores, relevant = some(seed, groups=5)
    table = ranking.at_k(scores, relevant, [k], 0).set_index("group")
    for row in np.flatnonzero(relevant.any(axis=1)):
        expected = by_hand(scores[row], relevant[row], k)
        assert table.loc[row, ["precision", "recall", "ndcg", "hit"]].tolist() == pytest.approx(expected)
    assert set(table.index) == set(np.flatnonzero(relevant.any(axis=1)))


def test_ndcg_and_auc_agree_with_scikit_learn():
    scores, relevant = some(1)
    kept = relevant.any(axis=1)
    ours = ranking.at_k(scores, relevant, [10], 0)["ndcg"].mean()
    assert ours == pytest.approx(ndcg_score(relevant[kept].astype(float), scores[kept], k=10))
    each = ranking.auc_by_group(np.round(scores, 1), relevant)
    for row in np.flatnonzero(kept):
        assert each[row] == pytest.approx(roc_auc_score(relevant[row], np.round(scores[row], 1)))
    assert np.isnan(each[~kept]).all()


def test_ties_are_broken_at_random_and_not_in_favour_of_whoever_comes_first():
    relevant = np.zeros((1, 100), bool)
    relevant[0, :10] = True
    found = [ranking.at_k(np.zeros((1, 100)), relevant, [10], s)["precision"].item() for s in range(300)]
    assert np.mean(found) == pytest.approx(0.1, abs=4 * np.std(found) / math.sqrt(300))


def test_candidates_that_are_not_allowed_neither_count_nor_take_a_place():
    scores, relevant = np.array([[3.0, 2.0, 1.0]]), np.array([[True, False, True]])
    table = ranking.at_k(scores, relevant, [1], 0, allowed=np.array([[False, True, True]]))
    assert table[["precision", "recall"]].to_numpy().tolist() == [[0.0, 0.0]]


@pytest.mark.parametrize(
    ("scores", "ks", "said"),
    [
        (np.zeros((2, 3)), [5], "must be of one shape"),
        (np.full((2, 4), np.nan), [5], "8 scores are not finite"),
        (np.zeros((2, 4)), [0], "at least one place"),
    ],
)
def test_what_cannot_be_ranked_is_refused(scores, ks, said):
    with pytest.raises(ValueError, match=said):
        ranking.at_k(scores, np.zeros((2, 4), bool), ks, 0)


def test_more_places_than_candidates_are_empty_places():
    table = ranking.at_k(np.ones((1, 4)), np.ones((1, 4), bool), [8], 0)
    assert table[["precision", "recall", "ndcg"]].to_numpy().tolist() == [[0.5, 1.0, 1.0]]


def test_intervals_over_dates_cover_the_mean_as_often_as_they_say():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"method": np.repeat(np.arange(2000), 6), "value": rng.normal(3, 1, 12_000)})
    out = ranking.over_dates(frame, ["method"])
    covered = ((out["low"] < 3) & (out["high"] > 3)).mean()
    assert abs(covered - 0.95) < 4 * math.sqrt(0.95 * 0.05 / 2000)
    assert ranking.over_dates(frame.head(1), ["method"])[["low", "high"]].isna().all(axis=None)


def test_differences_are_paired_by_date():
    frame = pd.DataFrame(
        {"date": [1, 2, 3] * 2, "method": ["a"] * 3 + ["b"] * 3, "metric": "m", "value": [1.0, 5.0, 9.0, 1.5, 5.5, 9.5]}
    )
    row = ranking.paired_differences(frame, "a", ["metric"]).iloc[0]
    assert (row["method"], row["mean"], row["low"], row["high"]) == ("b", 0.5, 0.5, 0.5)


@pytest.mark.slow
def test_a_share_is_a_ratio_of_means_with_the_interval_of_a_ratio():
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(200):
        best = rng.normal(2, 0.2, 8)
        frame = pd.DataFrame(
            {
                "date": np.tile(np.arange(8), 2),
                "method": np.repeat(["best", "mine"], 8),
                "metric": "m",
                "value": np.concatenate([best, 0.8 * best + rng.normal(0, 0.05, 8)]),
            }
        )
        row = ranking.share_of(frame, "best", ["metric"]).set_index("method").loc["mine"]
        covered += row["low"] < 0.8 < row["high"]
    assert abs(covered / 200 - 0.95) < 4 * math.sqrt(0.95 * 0.05 / 200)


def test_a_share_of_the_way_begins_at_the_floor():
    frame = pd.DataFrame({"date": [1, 2] * 3, "method": ["best"] * 2 + ["mine"] * 2 + ["count"] * 2, "metric": "m"})
    frame["value"] = [10.0, 12.0, 7.0, 9.0, 6.0, 8.0]
    table = ranking.share_of(frame, "best", ["metric"], "count").set_index("method")["share"]
    assert table.to_dict() == {"best": 1.0, "count": 0.0, "mine": pytest.approx(1 / 4)}


def test_calibration_finds_chances_that_are_right_and_chances_that_are_not():
    rng = np.random.default_rng(0)
    chance = rng.beta(0.3, 5, 60_000)
    bought, date = rng.random(60_000) < chance, np.tile(np.arange(6), 10_000)
    right = ranking.calibration_curve(chance, bought, date)
    assert ((right["low"] <= right["predicted"]) & (right["predicted"] <= right["high"])).sum() >= 8
    doubled = ranking.calibration_curve(np.minimum(2 * chance, 1), bought, date)
    assert (doubled["high"] < doubled["predicted"]).sum() >= 9
    assert right["pairs"].sum() == 60_000


def test_precision_and_recall_of_a_perfect_and_of_a_useless_score():
    bought = np.arange(1000) < 100
    table = ranking.precision_recall({"perfect": bought.astype(float), "useless": np.zeros(1000)}, bought)
    means = table.groupby("method")["precision"].mean()
    assert means["perfect"] == pytest.approx(1)
    assert means["useless"] < 0.6


def test_fewer_buyers_make_precision_at_k_small_for_the_very_same_score():
    rng = np.random.default_rng(0)
    chance = rng.beta(0.3, 5, (30, 2000))
    bought = rng.random(chance.shape) < chance
    table = ranking.precision_by_candidates(chance, bought, 100, [0.05, 1.0], 0)
    assert table["buyers"].iloc[1] == pytest.approx(bought.sum(axis=1).mean())
    assert table["value"].iloc[1] == pytest.approx(ranking.at_k(chance, bought, [100], 0)["precision"].mean())
    assert table["value"].iloc[0] < 0.6 * table["value"].iloc[1]
    assert (table["value"] <= table["ceiling"] + 1e-12).all()


@pytest.mark.parametrize(("edge", "said"), [(0.3, "is better"), (-0.3, "is worse"), (0.0, "cannot be told")])
def test_a_newer_model_is_told_from_the_saved_one(edge, said):
    rng = np.random.default_rng(0)
    bought = rng.random((400, 50)) < 0.1
    noise = rng.random((2, 400, 50))
    verdict = ranking.compare_with_saved(
        {"saved": noise[0], "new": noise[0 if edge == 0 else 1] + edge * bought}, bought, 0, np.arange(400), np.arange(50)
    )
    assert said in verdict["sentence"]
    assert verdict["low"] <= verdict["mean"] <= verdict["high"]
