"""Next products: labels, baskets by class against loops, forecasts and scores by hand, ownership."""

import numpy as np
import pandas as pd
import pytest

from promo_helpers.features import baskets, waiting
from promo_helpers.features.purchases import Purchases
from promo_helpers.models import next_product
from promo_helpers.models.saved import UNKNOWN, encoded, label_encoder


@pytest.fixture(scope="module")
def purchases(corner):
    return Purchases.of(corner)


@pytest.fixture(scope="module")
def kinds(corner):
    return corner.frame("products", ["product_id", "category"]).set_index("product_id")["category"]


def test_labels_go_there_and_back_and_a_new_one_is_unknown():
    labels = label_encoder(["knife", "peak", None, "pivot", "peak", float("nan")])
    assert labels.categories_[0].tolist() == ["knife", "peak", "pivot"]
    assert encoded(labels, ["pivot", "knife"]).tolist() == [2, 0]
    assert labels.inverse_transform([[2], [0]]).ravel().tolist() == ["pivot", "knife"]
    assert encoded(labels, ["spoon", None, float("nan")]).tolist() == [UNKNOWN] * 3
    assert encoded(label_encoder([10, 9]), ["9", 10]).tolist() == [1, 0]  # labels are text
    with pytest.raises(ValueError, match="every value is missing"):
        label_encoder([None, float("nan")])


def test_class_days_against_a_plain_count(purchases, kinds):
    days = baskets.ClassDays.of(purchases, kinds)
    plain = pd.DataFrame({"who": purchases.who, "day": purchases.day, "what": kinds[purchases.items[purchases.what]].to_numpy()})
    counts = plain.value_counts().to_dict()
    assert list(days.classes) == sorted(kinds.unique())
    assert days.covered == 1
    assert len(days.who) == len(counts)
    for who, day, what, lines in zip(days.who, days.day, days.what, days.lines, strict=True):
        assert counts[(who, day, days.classes[what])] == lines


def test_only_the_largest_classes_by_what_was_known(purchases, kinds):
    days = baskets.ClassDays.of(purchases, kinds, most=2, before=20)
    early = purchases.day < 20
    sizes = kinds[purchases.items[purchases.what[early]]].value_counts()
    assert set(days.classes) == set(sizes.index[:2])
    assert 0 < days.covered < 1
    nothing = baskets.ClassDays.of(purchases, kinds.where(kinds != "Soap"))
    assert "Soap" not in nothing.classes


def test_habits_are_blind_to_the_future_and_next_lines_are_the_next_day(purchases, kinds):
    days = baskets.ClassDays.of(purchases, kinds)
    shopping = waiting.ShoppingDays.of(purchases)
    rows = waiting.moments(shopping, [30, 45])
    table, lines = baskets.next_baskets(days, rows, 20)
    for place in (0, 7, len(table) - 1):
        who, date, wait = (int(table.loc[place, c]) for c in ("customer", "date", "wait"))
        mine = days.who == who
        day = days.day[mine & (days.day >= date)].min()
        assert day == date + wait - 1
        for i, name in enumerate(days.classes):
            here = mine & (days.what == i)
            assert lines[place, i] == days.lines[here & (days.day == day)].sum()
            assert table.loc[place, f"all:{name}"] == days.lines[here & (days.day < date)].sum()
            before = days.day[here & (days.day < date)]
            last = table.loc[place, f"last:{name}"]
            assert np.isnan(last) if not len(before) else last == date - before[-1]
    with pytest.raises(ValueError, match="nobody came back within 20 days"):
        baskets.next_baskets(days, rows.assign(seen=False), 20)


def test_of_customers_keeps_their_numbers(purchases, kinds):
    days = baskets.ClassDays.of(purchases, kinds)
    some = np.array([3, 11])
    few = days.of_customers(some)
    np.testing.assert_array_equal(few.counts(0, 50, some), days.counts(0, 50, np.arange(40))[some])


def test_own_shares_and_their_weight():
    past, prior = np.array([[8.0, 2.0], [0.0, 0.0]]), np.array([0.5, 0.5])
    np.testing.assert_allclose(next_product.personal_share(past, prior, 10.0), [[13 / 20, 7 / 20], [0.5, 0.5]])
    rng = np.random.default_rng(0)
    for total in (5.0, 200.0):  # customers of a Dirichlet with that total: the weight that foretells best
        taste = rng.dirichlet(np.full(4, total / 4), 3000)
        past = np.stack([rng.multinomial(20, t) for t in taste]).astype(float)
        ahead = np.stack([rng.multinomial(10, t) for t in taste]).astype(float)
        assert next_product.best_weight(past, np.full(4, 0.25), ahead) == pytest.approx(total, rel=0.35)


def test_scores_by_hand():
    lines = np.array([[3.0, 1, 0], [0, 0, 2]])
    chance = np.array([[0.5, 0.3, 0.2], [0.5, 0.3, 0.2]])
    np.testing.assert_allclose(next_product.top_k_probability(chance, lines, 1), [0.75, 0])
    np.testing.assert_allclose(next_product.top_k_probability(chance, lines, 2), [1, 0])
    np.testing.assert_allclose(next_product.log_loss(chance, lines), [-0.75 * np.log(0.5) - 0.25 * np.log(0.3), -np.log(0.2)])
    table = next_product.next_product_scores({"a": chance}, lines, np.array([1, 1]), ks=(1,)).set_index("metric")["value"]
    assert table["accuracy@1"] == 0.375
    assert table["hit@1"] == 0.5
    with pytest.raises(ValueError, match=r"k = 4: must lie in 1 .. 3"):
        next_product.top_k_probability(chance, lines, 4)


def test_a_drawn_product_has_the_shares_of_the_basket():
    drawn = next_product.draw(np.tile([3.0, 0, 1], (20_000, 1)), 0, np.arange(20_000))
    np.testing.assert_allclose(np.bincount(drawn, minlength=3) / 20_000, [0.75, 0, 0.25], atol=0.015)


def test_the_forest_learns_a_taste_and_gives_an_unseen_class_a_chance():
    rng = np.random.default_rng(0)
    features = rng.random((600, 2))
    taste = (features[:, 0] > 0.5).astype(int)
    model = next_product.fit_class_forest(features, taste, {"n_estimators": 20, "max_depth": 3}, 1)
    chance = next_product.chances(model, features, 3, np.full(3, 1 / 3))
    np.testing.assert_allclose(chance.sum(axis=1), 1)
    assert (chance.argmax(axis=1) == taste).mean() > 0.97
    assert (chance[:, 2] > 0).all()


def test_what_is_owned_once_is_not_offered_again():
    chance = np.array([[0.5, 0.3, 0.2], [0.5, 0.3, 0.2], [0.6, 0.4, 0.0]])
    owned = np.array([[True, True, False], [False, False, False], [True, True, True]])
    left = next_product.without_owned(chance, owned, np.array([True, False, False]))
    np.testing.assert_allclose(left, [[0, 0.6, 0.4], [0.5, 0.3, 0.2], [0, 1, 0]])
    assert np.isnan(next_product.without_owned(chance, np.ones((3, 3), bool), np.ones(3, bool))).all()


def test_popularity_is_the_mean_share_and_leaves_no_class_at_zero():
    chance = next_product.popularity_shares(np.array([[3.0, 1, 0], [0, 1, 0]]), 4)
    assert chance.shape == (4, 3)
    np.testing.assert_allclose(chance[0], np.array([1.25, 1.75, 0.5]) / 3.5)
