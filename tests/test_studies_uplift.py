"""The tables that the kept studies of uplift become, against plain arithmetic; and labels by expected profit."""

import numpy as np
import pandas as pd
import pytest

from promo_helpers.evaluate.uplift import customer_types
from promo_helpers.kept import read_study
from promo_helpers.studies.uplift_markets import gain_over, shares_of_attainable
from promo_helpers.studies.uplift_nothing import false_claims


def kept(values, attainable, omniscient):
    rows = {
        "case": "default",
        "contacts": 5000,
        "learner": "a",
        "seed": range(len(values)),
        "value": values,
        "attainable": attainable,
    }
    rest = dict.fromkeys(("events", "spend", "contacted", "error", "correlation"), 1.0)
    return pd.DataFrame(rows | rest | {"omniscient": omniscient})


def test_a_share_is_the_ratio_of_means_over_markets_not_the_mean_of_ratios():
    row = shares_of_attainable(kept([1.0, 6.0], [4.0, 6.0], [10.0, 10.0])).iloc[0]
    assert row["share"] == pytest.approx(0.7)  # the mean of ratios would be .625
    assert row["of_all"] == pytest.approx(0.35)
    assert row["low"] < 0.7 < row["high"]


def test_the_interval_of_a_share_is_the_jackknife_over_markets():
    rng = np.random.default_rng(0)
    value, whole = rng.normal(2, 0.3, 12), rng.normal(3, 0.2, 12)
    row = shares_of_attainable(kept(value, whole, whole)).iloc[0]
    out = np.array([np.delete(value, k).mean() / np.delete(whole, k).mean() for k in range(12)])
    error = np.sqrt(11 / 12 * ((out - out.mean()) ** 2).sum())
    assert (row["high"] - row["low"]) / 2 == pytest.approx(2.2009852 * error, rel=1e-6)  # t with 11 degrees, 97.5 %


def test_a_claim_is_a_bound_above_zero_and_a_promise_is_one_of_the_model():
    rows = pd.DataFrame(
        {"case": "null", "learner": "a", "promised": [1, 2, -1, 3], "estimated": [0.5, -1, 0, 0.1], "bound": [0.1, -2, -1, -1]}
    )
    row = false_claims(rows).iloc[0]
    assert (row["trials"], row["claims"], row["promises"]) == (4, 0.25, 0.75)
    assert row["low"] == pytest.approx(0.04559, abs=1e-4)  # Wilson's interval for 1 of 4
    assert row["high"] == pytest.approx(0.69936, abs=1e-4)


def test_labels_go_by_the_sign_of_the_best_arm_and_then_by_the_chance_of_buying():
    gain = np.array([[0, -1, 2], [0, -1, -2], [0, -1, -1]])
    assert customer_types(gain, np.array([0.9, 0.3, 0.1])).tolist() == ["persuadable", "sure thing", "lost cause"]


@pytest.mark.parametrize("noun", ["uplift_markets", "uplift_nothing"])
def test_no_policy_of_the_kept_studies_beats_the_truth(noun):
    frame = read_study(noun)
    if noun == "uplift_markets":
        assert (frame["value"] <= frame["omniscient"] + 1e-6).all()
        assert (frame["attainable"] <= frame["informed"] + 1e-6).all()
        assert (frame["informed"] <= frame["omniscient"]).all()
    else:
        assert (frame["bound"] <= frame["estimated"]).all()  # equal where the policy contacts nobody


def test_a_gain_is_paired_by_market():
    a, b = kept([3.0, 5.0, 1.0], [4.0] * 3, [9.0] * 3), kept([1.0, 2.0, 2.0], [4.0] * 3, [9.0] * 3)
    found = gain_over(pd.concat([a, b.assign(learner="b", contacts=0)]), "a", 5000, "b")
    gap = np.array([2.0, 3.0, -1.0])
    assert (found["estimate"], found["wins"], found["markets"]) == (pytest.approx(4 / 3), 2, 3)
    assert found["high"] - found["estimate"] == pytest.approx(4.3026527 * gap.std(ddof=1) / np.sqrt(3))
