"""Recommenders and how lists are judged: against brute force and known answers, no look ahead, cold starts and bad input."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from promo_helpers.decide import recommenders
from promo_helpers.evaluate import ranking, recommendation
from promo_helpers.models import recommend
from promo_helpers.models.recommend import Suggester, customer_likeness, item_likeness, labels
from promo_helpers.shop import Shop, ShopWriter
from promo_helpers.shop.shop import find_name
from tests.baskets import purchases_of, random_purchases

SMALL = {
    "user neighbours": {"neighbours": 10},
    "item neighbours": {"neighbours": 10},
    "matrix factors (ALS)": {"factors": 4},
    "matrix factors (SVD)": {"factors": 4},
    "own, shrunk to SVD": {"factors": 4},
}


@pytest.fixture(scope="module")
def bought():
    return random_purchases(np.random.default_rng(1))


def fitted(method, purchases, day=100, seed=1):
    return recommend.fit(method, recommend.history(purchases, day), seed, **SMALL.get(method, {}))


def test_history_counts_baskets_and_lets_old_ones_fade():
    purchases = purchases_of([0, 0, 0, 1], [0, 0, 1, 1], [0, 10, 10, 30])
    np.testing.assert_array_equal(recommend.history(purchases, 20).toarray(), [[2, 1], [0, 0]])
    np.testing.assert_allclose(recommend.history(purchases, 20, 10).toarray(), [[0.25 + 0.5, 0.5], [0, 0]])


@pytest.mark.parametrize("day", [0, -1, 122])
def test_a_date_outside_the_data_is_refused(bought, day):
    with pytest.raises(ValueError, match=f"day = {day}: must lie in 1 .. 120"):
        recommend.history(bought, day)


@pytest.mark.slow
@pytest.mark.parametrize("method", recommend.METHODS)
def test_no_method_sees_the_day_or_what_follows(bought, method):
    """The future replaced by another one: not a single score moves."""
    rng = np.random.default_rng(2)
    later = bought.day >= 100
    other = replace(bought, what=np.where(later, rng.integers(20, size=len(bought.what)), bought.what).astype(np.int32))
    who = np.arange(60)
    mine = fitted(method, bought).scores(who)
    assert mine.shape == (60, 20)
    assert np.isfinite(mine).all()
    np.testing.assert_array_equal(mine, fitted(method, other).scores(who))


@pytest.mark.parametrize("method", recommend.METHODS)
def test_same_seed_same_scores_and_scores_of_a_customer_do_not_depend_on_who_else_is_asked(bought, method):
    model = fitted(method, bought)
    every = model.scores(np.arange(60))
    np.testing.assert_array_equal(every, fitted(method, bought).scores(np.arange(60)))
    if method != "random":
        np.testing.assert_allclose(model.scores(np.array([7, 3])), every[[7, 3]], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("method", [m for m in recommend.METHODS if m != "random"])
def test_a_customer_without_history_gets_popularity(bought, method):
    kept = bought.who != 5
    without = replace(bought, **{n: getattr(bought, n)[kept] for n in ("who", "what", "day", "hour", "basket", "units", "cents")})
    model = fitted(method, without)
    score = model.scores(np.array([5]))[0]
    np.testing.assert_array_equal(np.argsort(-score, kind="stable")[:3], np.argsort(-model.popularity, kind="stable")[:3])


def test_an_unknown_method_is_named(bought):
    with pytest.raises(KeyError, match="no method is called 'magic'; there are: random, popularity"):
        recommend.fit("magic", recommend.history(bought, 50), 1)


def cosine(a, b):
    return a @ b / (np.linalg.norm(a) * np.linalg.norm(b))


def test_item_neighbours_against_brute_force(bought):
    taste = np.log1p(recommend.history(bought, 100).toarray())
    similar = np.array([[cosine(taste[:, i], taste[:, j]) for j in range(20)] for i in range(20)])
    model = recommend.fit("item neighbours", recommend.history(bought, 100), 1, neighbours=20)
    np.testing.assert_allclose(model.scores(np.arange(60)), taste @ similar, rtol=1e-3)


def test_user_neighbours_against_brute_force(bought):
    taste = np.log1p(recommend.history(bought, 100).toarray())
    model = recommend.fit("user neighbours", recommend.history(bought, 100), 1, neighbours=5)
    for i in (0, 17):
        near = np.array([cosine(taste[i], taste[j]) if j != i else -1 for j in range(60)])
        best = np.argsort(-near)[:5]
        expected = near[best] @ taste[best] / near[best].sum()
        np.testing.assert_allclose(model.scores(np.array([i]))[0], expected, rtol=1e-3, atol=1e-5)


def test_a_taste_shared_by_a_group_is_recommended_within_it():
    """Two groups with ten items each; one customer lacks one item of her group: every method but the baselines puts it first."""
    rng = np.random.default_rng(3)
    rows = [
        (c, i, d) for c in range(40) for d in range(0, 60, 3) for i in range(20) if (i < 10) == (c < 20) and rng.random() < 0.5
    ]
    rows = [r for r in rows if not (r[0] == 0 and r[1] == 4)] + [(c, 19, d) for c in range(20, 40) for d in range(1, 60, 3)]
    purchases = purchases_of(*(np.array(x) for x in zip(*rows, strict=True)))
    assert np.argmax(fitted("popularity", purchases, 59).scores(np.array([0]))[0]) == 19
    for method in SMALL:
        score = fitted(method, purchases, 59).scores(np.array([0]))[0]
        score[[i for i in range(10) if i != 4]] = -np.inf  # what she has
        assert np.argmax(score) == 4, method


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(st.integers(1, 30), st.integers(1, 12), st.integers(0, 2**31))
def test_lists_are_judged_as_rankings_are(k, candidates, seed):
    rng = np.random.default_rng(seed)
    scores, relevant = rng.permuted(np.arange(6.0 * candidates)).reshape(6, candidates), rng.random((6, candidates)) < 0.4
    allowed = rng.random((6, candidates)) < 0.7
    found = recommendation.list_scores(scores, relevant, k, seed, np.arange(candidates), allowed)
    table = ranking.at_k(scores, relevant, [k], seed, np.arange(candidates), allowed)
    assert found["customers"] == len(table)
    for metric in recommendation.METRICS:
        np.testing.assert_allclose(found[metric], table[metric].mean() if len(table) else np.nan)


def test_lists_hold_only_what_is_allowed_and_no_more_than_there_is():
    scores = np.array([[3.0, 1.0, 2.0], [1.0, 1.0, 1.0]])
    np.testing.assert_array_equal(recommendation.top_items(scores, 5), [[0, 2, 1, -1, -1], [0, 1, 2, -1, -1]])
    np.testing.assert_array_equal(
        recommendation.top_items(scores, 2, np.array([[False, True, True], [False, False, False]])), [[2, 1], [-1, -1]]
    )
    with pytest.raises(ValueError, match="k = 0: at least one place"):
        recommendation.top_items(scores, 0)
    with pytest.raises(ValueError, match="1 scores are not finite"):
        recommendation.top_items(np.array([[np.nan, 1.0]]), 1)


def test_coverage_counts_different_items_on_any_list():
    scores = np.zeros((3, 10))
    scores[[0, 0, 1, 2], [1, 2, 2, 7]] = [2, 1, 3, 9]
    relevant = np.array([[True] * 10, [True] * 10, [False] * 10])  # the third row has nothing relevant, and no list
    allowed = np.ones((3, 10), bool)
    allowed[1] = np.arange(10) == 2
    assert recommendation.list_scores(scores, relevant, 2, 0, None, allowed)["coverage"] == 0.2


def test_repeats_and_new_items_are_kept_apart():
    """She bought 0 before; in the window she buys 0 and 1: own frequency finds the repeat, and 1 counts as new only."""
    purchases = purchases_of([0, 0, 0, 0, 1], [0, 0, 0, 1, 2], [0, 5, 20, 20, 1])
    own = {"own frequency": {s: {"method": "own frequency"} for s in ("repeat", "new")}}
    found = recommenders.on_date(purchases, np.array([0]), 14, own, 1, k=1).set_index(["scope", "metric"])["value"]
    assert found["repeat", "recall"] == 1
    assert found["new", "recall"] == 0  # item 2, which another customer bought, comes before 1, which nobody has
    assert found["all", "recall"] == 0.5
    assert found["repeat", "customers"] == found["new", "customers"] == 1


def test_where_everybody_has_bought_everything_new_items_are_missing_and_nothing_fails():
    who, what, day = (x.ravel() for x in np.meshgrid(range(6), range(4), range(0, 90, 2)))
    purchases = purchases_of(who, what, day)
    choice = {m: {s: {"method": m} for s in ("repeat", "new")} for m in ("popularity", "own frequency")}
    values = pd.concat([recommenders.on_date(purchases, np.arange(6), d, choice, 1, k=2).assign(date=d) for d in (50, 64)])
    summary = ranking.over_dates(values.dropna(), ["method", "scope", "metric"])
    table = recommendation.wide(summary, [("repeat", "ndcg"), ("new", "recall"), ("new", "coverage")])
    assert list(table.columns) == ["method", "repeat NDCG", "new recall", "new coverage"]
    assert table["method"].tolist() == ["popularity", "own frequency"]
    np.testing.assert_allclose(table["repeat NDCG"], 1)
    assert table[["new recall", "new coverage"]].isna().all(axis=None)
    tried, chosen = recommenders.tuned(purchases, np.arange(6), 50, {"popularity": [{"half_life": h} for h in (0.0, 9.0)]}, 1)
    assert tried.loc[tried["scope"] == "new", "ndcg"].isna().all()
    assert chosen["popularity"]["new"] == {"method": "popularity", "half_life": 0.0}


def test_a_mean_and_its_interval_as_they_are_recorded():
    row = pd.Series({"mean": -0.0003, "low": -0.02, "high": 0.01})
    assert recommendation.bounded(row) == (-0.0003, (-0.02, 0.01))
    assert recommendation.bounded(pd.Series({"share": 0.5, "low": np.nan, "high": np.nan})) == (0.5, None)


def test_only_the_scopes_asked_for_are_judged(bought):
    own = {"own frequency": {s: {"method": "own frequency"} for s in ("repeat", "new")}}
    every = recommenders.on_date(bought, np.arange(60), 80, own, 1)
    new = recommenders.on_date(bought, np.arange(60), 80, own, 1, scopes=("new",))
    assert set(every["scope"]) == set(recommendation.SCOPES)
    pd.testing.assert_frame_equal(new, every[every["scope"] == "new"].reset_index(drop=True), atol=0.05)  # ties fall otherwise


def test_next_basket_is_the_first_one_of_the_window():
    purchases = purchases_of([0, 0, 0, 1, 2], [0, 1, 2, 3, 0], [10, 12, 12, 30, 11])
    has = recommendation.next_baskets(purchases, np.array([0, 1, 2]), 11, 25)
    np.testing.assert_array_equal(has, [[0, 1, 1, 0], [0, 0, 0, 0], [1, 0, 0, 0]])
    assert not recommendation.next_baskets(purchases, np.array([0, 1]), 13, 20).any()


def test_settings_are_chosen_by_the_window_given(bought):
    """Neither the test windows nor anything after the window of the choice can move it."""
    grids = {"own frequency": [{"half_life": h} for h in (0.0, 5.0, 40.0)], "popularity": [{}]}
    table, choice = recommenders.tuned(bought, np.arange(60), 80, grids, 1)
    early = bought.day < 94
    cut = replace(bought, **{n: getattr(bought, n)[early] for n in ("who", "what", "day", "hour", "basket", "units", "cents")})
    again, same = recommenders.tuned(cut, np.arange(60), 80, grids, 1)
    pd.testing.assert_frame_equal(table, again)
    assert choice == same
    best = table[(table["method"] == "own frequency") & (table["scope"] == "repeat")].set_index("settings")["ndcg"].idxmax()
    assert recommenders.described(choice["own frequency"]["repeat"]) == best


def test_the_calendar_keeps_an_embargo_and_refuses_a_short_history():
    choosing, tests = recommendation.calendar(549, 6)
    assert tests == [465, 479, 493, 507, 521, 535]
    assert choosing + 14 + 14 == tests[0]
    assert recommendation.calendar(70, 6) == (28, [56])
    with pytest.raises(ValueError, match="the shop has 69 days: at least 70 are needed"):
        recommendation.calendar(69, 6)


def test_only_some_customers(bought):
    who = np.array([3, 9, 41])
    part = recommendation.purchases_by(bought, who)
    np.testing.assert_array_equal(part.counts(0, 120).toarray(), bought.counts(0, 120)[who].toarray())
    assert (np.diff(part.basket) >= 0).all()
    assert list(part.customers) == ["C003", "C009", "C041"]


def test_likeness_against_plain_formulas(bought):
    counts = recommend.history(bought, 120)
    n = counts.toarray().astype(float)
    expected = np.outer(n.sum(axis=1), n.sum(axis=0)) / n.sum()
    pearson = (n - expected) / np.sqrt(expected)
    np.testing.assert_allclose(item_likeness(counts, 4), [cosine(pearson[:, 4], pearson[:, j]) for j in range(20)], atol=1e-4)
    np.testing.assert_allclose(customer_likeness(counts, 8), [cosine((n - expected)[8], r) for r in n - expected], atol=1e-4)


@pytest.fixture(scope="module")
def suggester(bought):
    items = pd.DataFrame({"item": bought.items, "name": [f"Thing {i}" for i in range(20)], "category": ["a", "b"] * 10})
    counts = np.hstack([recommend.history(bought, 100).toarray(), np.zeros((60, 1), np.float32)])
    counts[59] = 0
    extended = sparse.csr_matrix(counts)
    items.loc[20] = ["P020", "Unsold", "a"]
    return Suggester(recommend.fit("item neighbours", extended, 1), bought.customers, items)


def test_a_list_leaves_out_what_she_has_and_may_be_short(suggester):
    has = suggester.recommender.counts[0].toarray()[0] > 0
    table = suggester.recommend("C000", k=100)
    assert len(table) == 21 - has.sum()
    assert not set(table["item"]) & set(suggester.items["item"][has])
    assert table["score"].is_monotonic_decreasing
    assert set(table["why"]) == {"item neighbours"}
    assert len(suggester.recommend("C000", k=100, new=False)) == 21
    with pytest.raises(ValueError, match="k = 0: at least one item"):
        suggester.recommend("C000", 0)


@pytest.mark.parametrize("customer", ["C059", "somebody else"])
def test_a_cold_start_gets_popularity_and_says_so(suggester, customer):
    table = suggester.recommend(customer, 3)
    best = np.argsort(-suggester.recommender.popularity, kind="stable")[:3]
    assert table["item"].tolist() == suggester.items["item"].iloc[best].tolist()
    assert set(table["why"]) == {"cold start: what most customers buy"}
    assert suggester.habits(customer) == []


def test_a_sentence_for_everybody(suggester):
    new = ", ".join(suggester.recommend("C000", 3)["name"])
    usual = ", ".join(suggester.habits("C000"))
    said = f"C000 buys {usual} most often; new to this customer, suggest {new} (item neighbours)."
    assert suggester.sentence("C000") == said
    assert suggester.sentence("C059").startswith("C059 is new here (a cold start): suggest what most customers buy, Thing")
    counts = sparse.csr_matrix(suggester.recommender.counts.toarray() + 1)
    everything = replace(suggester, recommender=replace(suggester.recommender, counts=counts))
    assert everything.sentence("C000") == "C000 has bought everything there is: nothing new can be suggested."


def test_unknown_names_suggest_the_nearest_and_the_unsold_has_nothing_similar(suggester):
    with pytest.raises(KeyError, match=r"no product is called 'Thnig 7'; the nearest: .*Thing 7"):
        suggester.similar_items("Thnig 7")
    with pytest.raises(KeyError, match=r"no product is called 'xyzzy'\"$"):
        find_name("xyzzy", ["Bread"])
    with pytest.raises(KeyError, match="no customer is called 'C0010'; the nearest: C010, C001"):
        suggester.similar_customers("C0010")
    with pytest.raises(ValueError, match="nobody bought Unsold"):
        suggester.similar_items("unsold")
    with pytest.raises(ValueError, match="C059 has bought nothing yet: a cold start"):
        suggester.similar_customers("C059")


def test_tables_of_the_similar(suggester):
    table = suggester.similar_items("thing 3", 4)
    assert len(table) == 4
    assert "Thing 3" not in set(table["name"])
    twins = suggester.similar_customers("C007", 3)
    assert twins["customer"].iloc[0] == "C007"
    assert twins["similarity"].is_monotonic_decreasing
    mine, other = (suggester.recommender.counts[int(c[1:])].toarray()[0] > 0 for c in twins["customer"].iloc[:2])
    assert twins["shared"].iloc[1] == (mine & other).sum()


@pytest.mark.parametrize("method", recommend.METHODS)
def test_a_saved_recommender_is_the_same(out, bought, method):
    model = fitted(method, bought)
    items = pd.DataFrame({"item": bought.items, "name": bought.items, "category": None})
    facts = {
        "shop": {},
        "features": {},
        "trained_from": "2025-01-01",
        "trained_to": "2025-04-10",
        "seed": 1,
        "command": "make paper",
    }
    Suggester(model, bought.customers, items).save("recommend", facts)
    loaded, known = Suggester.load("recommend")
    np.testing.assert_array_equal(loaded.recommender.scores(np.arange(60)), model.scores(np.arange(60)))
    assert known["method"] == method
    pd.testing.assert_frame_equal(
        loaded.recommend("C001", 5), Suggester(model, bought.customers, items).recommend("C001", 5), check_dtype=False
    )


def test_labels_of_types_take_the_most_frequent_category(tmp_path):
    products = pd.DataFrame(
        {
            "product_id": list("abcd"),
            "name": ["Red", "Red", "Red", "Red onions"],
            "category": ["Wine", "Wine", "Onions", "Onions"],
        }
    )
    with ShopWriter(tmp_path / "shop", source="x", currency="LKR") as writer:
        writer.append("products", products)
    shop = Shop(tmp_path / "shop")
    assert labels(shop, ["Red", "Red onions"], "name")["name"].tolist() == ["Red (Wine)", "Red onions"]
    assert labels(shop, ["a", "d"])[["name", "category"]].to_numpy().tolist() == [["Red", "Wine"], ["Red onions", "Onions"]]


def test_labels_of_a_shop_that_knows_ids_only(tmp_path):
    with ShopWriter(tmp_path / "shop", source="x", currency="LKR") as writer:
        writer.append("products", pd.DataFrame({"product_id": ["a", "b"]}))
    table = labels(Shop(tmp_path / "shop"), ["a", "b"])
    assert table["name"].tolist() == ["a", "b"]
    assert table["category"].isna().all()
