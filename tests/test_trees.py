"""Boosted trees: the same digits from the same seed, whoever fits them; bins made once; names, weights and changes that arrive."""

import numpy as np
import pandas as pd
import pytest

from promo_helpers.trees import binned, boosted, regressor

RNG = np.random.default_rng(0)
X = pd.DataFrame(RNG.normal(size=(800, 4)), columns=["a", "b", "c", "d"])
Y = np.where(X["a"] > 0, 2.0, 0.0) + X["b"].to_numpy() + RNG.normal(size=800)
SMALL = {"num_leaves": 7, "min_data_in_leaf": 20}


def test_a_seed_is_a_model():
    def trees(seed):
        return boosted(X, Y, seed, 20, objective="l2", feature_fraction=0.5, **SMALL).model_to_string()

    assert trees(1) == trees(1)
    assert trees(1) != trees(2)


def test_bins_made_once_give_the_same_trees():
    data, plain = binned(X, max_bin=63), [boosted(X, y, 1, 20, objective="l2", max_bin=63, **SMALL) for y in (Y, -3 * Y)]
    for y, model in zip((Y, -3 * Y), plain, strict=True):
        again = boosted(data, y, 1, 20, objective="l2", max_bin=63, **SMALL)
        np.testing.assert_array_equal(again.predict(X), model.predict(X))
    assert boosted(data, Y, 1, 20).feature_name() == list(X)


def test_an_estimator_fits_the_same_trees_on_one_thread():
    model = regressor(3, n_estimators=20, num_leaves=7)
    plain = boosted(X, Y, 3, 20, objective="l2", num_leaves=7)
    np.testing.assert_array_equal(model.fit(X, Y).predict(X), plain.predict(X))
    assert model.get_params()["n_jobs"] == 1


def test_names_weights_and_changes_arrive():
    weight = np.where(X["a"] > 0, 0.0, 1.0)
    some = boosted(X.to_numpy(), Y, 1, 40, weight=weight, names=list(X), objective="l2", **SMALL)
    assert some.feature_name() == ["a", "b", "c", "d"]
    high = X[X["a"] > 0.5]
    assert some.predict(high.to_numpy()).mean() < boosted(X, Y, 1, 40, objective="l2", **SMALL).predict(high).mean() - 1
    columns = boosted(X, Y, 1, 20, objective="l2", force_row_wise=False, force_col_wise=True, **SMALL)
    assert columns.predict(X) == pytest.approx(boosted(X, Y, 1, 20, objective="l2", **SMALL).predict(X))
