"""Draws of predictions, audits and lists belong to customers and products: who else is there, and in what order, changes nobody's draw.

Three kinds of test. Rows in another order give the same result. Rows that are dropped leave the draws of all others as they were. Where a
result is an interval over all customers, one customer fewer moves its ends by far less than other draws would.
"""

from dataclasses import replace
from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from promo_helpers import draws, explore
from promo_helpers.audit import contacted, fairness, nulls, shapley
from promo_helpers.audit.fairness import Measure
from promo_helpers.audit.shapley import explain
from promo_helpers.campaign import choose, outcome
from promo_helpers.decide import recommenders
from promo_helpers.evaluate import customer_value, ranking, survival
from promo_helpers.evaluate import recommendation as judged
from promo_helpers.features import waiting
from promo_helpers.models import bundles, next_product, purchase, recommend, timing
from promo_helpers.plots import explanation_figures as plot
from promo_helpers.studies import explanation_noise as noise_study
from promo_helpers.studies import fairness_audits as fairness_study
from tests.baskets import purchases_of, random_purchases
from tests.test_explore_assortment import random_baskets, tiny_shop

N = 240
ID = np.array([f"CUST{k:05d}" for k in range(N)], object)
MANY = np.array([f"CUST{k:05d}" for k in range(3_000)], object)
SHUFFLED = np.random.default_rng(0).permutation(N)
FEWER = np.delete(np.arange(N), [3, 77, 200])


# --- draws ---


def test_orders_and_permutations_keep_their_order_when_others_leave():
    order, fewer = draws.order(1, "x", ID), draws.order(1, "x", ID[FEWER])
    assert ID[FEWER][fewer].tolist() == [i for i in ID[order] if i in set(ID[FEWER])]
    assert draws.order(1, "x", ID, size=5).tolist() == order[:5].tolist()


def test_shuffled_values_are_a_permutation_and_move_little():
    values = np.where(np.arange(N) % 7 == 0, np.nan, np.arange(N) % 13.0)
    dealt = draws.shuffled(values, draws.uniform(1, "x", ID))
    assert np.array_equal(np.sort(dealt), np.sort(values), equal_nan=True)
    again = draws.shuffled(values[SHUFFLED], draws.uniform(1, "x", ID[SHUFFLED]))
    assert np.array_equal(again, dealt[SHUFFLED], equal_nan=True)
    fewer = draws.shuffled(values[FEWER], draws.uniform(1, "x", ID[FEWER]))
    assert np.mean((fewer == dealt[FEWER]) | (np.isnan(fewer) & np.isnan(dealt[FEWER]))) > 0.7
    assert abs(pd.Series(dealt).corr(pd.Series(values))) < 0.3


def test_resamples_are_the_rows_of_the_bootstrap_whatever_the_blocks(monkeypatch):
    whole = draws.bootstrap(1, "x", ID, n=50)
    monkeypatch.setattr(draws, "CELLS", 7 * N)
    assert np.array_equal(np.stack(list(draws.resamples(1, "x", ID, n=50))), whole)
    assert np.array_equal(draws.bootstrap(1, "x", ID[FEWER], n=50), whole[:, FEWER])
    assert abs(whole.mean() - 1) < 4 / np.sqrt(whole.size)
    assert (draws.bootstrap(1, "x", ID[:1], n=200) > 0).all()  # never nobody


# --- purchase: pairs ---


def stub(who, items=8):
    """What `purchase.sample_day` asks of a panel: a few customers and items, with purchases that belong to the pair."""
    goods = pd.Index([f"PROD{k:03d}" for k in range(items)])
    bought = np.add.outer(np.array([int(c[4:]) for c in ID[who]]), 3 * np.arange(items)) % 5 == 0
    return SimpleNamespace(
        purchases=SimpleNamespace(customers=pd.Index(ID[who]), items=goods), what=np.arange(items), known=lambda day: np.arange(len(who)),
        bought=lambda day, window: bought,
    )  # fmt: skip


def taken(who, pairs=300):
    panel = stub(who)
    x = np.stack(
        [np.add.outer(np.array([int(c[4:]) for c in ID[who]], float), np.zeros(8)), np.tile(np.arange(8.0), (len(who), 1))], 2
    )
    return purchase.sample_day(panel, x, ["customer", "item"], 100, pairs, 1)


def test_examples_of_purchases_are_those_of_their_pairs():
    whole, other, fewer = (taken(rows) for rows in (np.arange(N), SHUFFLED, FEWER))
    assert set(whole.pair) == set(other.pair)
    assert len(set(whole.pair)) == 300
    left = set(whole.pair[~np.isin(whole.x[:, 0], [3, 77, 200])])
    assert left <= set(fewer.pair)
    assert set(whole.thinned(50, 2).pair) == set(other.thinned(50, 2).pair)
    kept = whole.only(np.flatnonzero(~np.isin(whole.x[:, 0], [3, 77, 200])))
    assert set(whole.thinned(50, 2).pair) & set(kept.pair) <= set(kept.thinned(50, 2).pair)


def test_pairs_have_numbers_of_their_own():
    whole, other = purchase.numbered(stub(np.arange(N)), np.arange(N), 100), purchase.numbered(stub(SHUFFLED), np.arange(N), 100)
    assert np.array_equal(whole[SHUFFLED], other)
    assert len(np.unique(whole)) == whole.size
    assert not np.isin(whole, purchase.numbered(stub(np.arange(N)), np.arange(N), 114)).any()


def test_importances_do_not_hang_on_the_order_of_examples():
    model = SimpleNamespace(names=["customer", "item"], predict=lambda x: {"ensemble": (7 * x[:, 0] + 11 * x[:, 1]) % 97})
    data = taken(np.arange(N))
    order = np.random.default_rng(1).permutation(len(data.y))
    whole, other = (purchase.importances(model, d, 1) for d in (data, data.only(order)))
    np.testing.assert_allclose(whole["value"], other["value"], atol=1e-12)
    assert (whole["value"] != purchase.importances(model, data, 2)["value"]).any()


# --- rankings and lists ---


def scored(columns=N, rows=40):
    rng = np.random.default_rng(4)
    relevant = rng.random((rows, columns)) < 0.1
    return np.round(rng.random((rows, columns)) * 3 + relevant), relevant  # many ties


def test_ties_are_broken_by_the_candidate_and_not_by_her_column():
    scores, relevant = scored()
    args = dict(seed=1, ks=[5, 20])
    whole = ranking.at_k(scores, relevant, ids=ID, **args)
    pd.testing.assert_frame_equal(ranking.at_k(scores[:, SHUFFLED], relevant[:, SHUFFLED], ids=ID[SHUFFLED], **args), whole)
    assert not whole.equals(ranking.at_k(scores[:, SHUFFLED], relevant[:, SHUFFLED], **args))  # without ids the column counts
    for name, found in (("judged", judged.list_scores), ("thinned", None)):
        if found:
            one, two = found(scores, relevant, 5, 1, ID), found(scores[:, SHUFFLED], relevant[:, SHUFFLED], 5, 1, ID[SHUFFLED])
            assert {k: one[k] for k in judged.METRICS} == {k: two[k] for k in judged.METRICS}, name


def test_a_candidate_who_leaves_changes_the_places_of_no_two_others():
    relevant = np.zeros((N, N), bool)
    relevant[np.arange(N), np.arange(N)] = (
        True  # of each row one candidate: her place among ties is the smallest k that finds her
    )
    ks = list(range(1, N + 1))

    def places(rows):
        table = ranking.at_k(np.zeros((len(rows), len(rows))), relevant[np.ix_(rows, rows)], ks, 1, ID[rows])
        return ID[rows][table.groupby("group")["hit"].sum().sort_values(ascending=False).index]

    whole, fewer = places(np.arange(N)), places(FEWER)
    assert fewer.tolist() == [i for i in whole if i in set(ID[FEWER])]


def test_scores_that_differ_in_the_last_digits_are_ties():
    scores, relevant = scored()
    nudged = scores * (1 + 1e-13 * np.random.default_rng(1).standard_normal(scores.shape))
    pd.testing.assert_frame_equal(ranking.at_k(nudged, relevant, [5], 1, ID), ranking.at_k(scores, relevant, [5], 1, ID))


def test_rankings_of_a_date_and_of_a_smaller_crowd_belong_to_the_candidates():
    scores, relevant = scored()
    args = dict(seed=1, date=5)
    for found in (
        lambda s, r, i: ranking.per_date({"a": s, "b": -s}, r, [5], ids=i, **args),
        lambda s, r, i: ranking.precision_by_candidates(s, r, 5, [0.2, 0.6], ids=i, **args),
    ):
        whole = found(scores, relevant, ID)
        pd.testing.assert_frame_equal(found(scores[:, SHUFFLED], relevant[:, SHUFFLED], ID[SHUFFLED]), whole)
    one, two = (ranking.per_date({"a": np.zeros_like(scores)}, relevant, [5], 1, ID, day)["value"] for day in (5, 19))
    assert (one != two).any()  # dates break ties anew


def small(full, some, share=0.015):
    """Whether the ends of an interval (low, high) moved by less than a share of its width, on average over those who left."""
    width = full[1] - full[0]
    return np.mean([np.abs(np.subtract(s, full)).mean() / width for s in some]) < share


LEAVING = [[k] for k in (10, 50, 90, 130, 170)]


def test_a_newer_model_is_compared_on_the_same_resamples():
    rng, n = np.random.default_rng(3), len(MANY)
    bought = np.zeros((n, 12), bool)
    bought[np.arange(n), rng.integers(0, 12, n)] = True
    both = {"saved": rng.random((n, 12)) + 0.2 * bought, "new": rng.random((n, 12)) + 0.3 * bought}

    def ends(rows):
        found = ranking.compare_with_saved(
            {n: s[rows] for n, s in both.items()}, bought[rows], 1, MANY[rows], np.arange(12), draws=300
        )
        return found["low"], found["high"]

    np.testing.assert_allclose(ends(rng.permutation(n)), ends(np.arange(n)))
    assert small(ends(np.arange(n)), [ends(np.delete(np.arange(n), k)) for k in LEAVING])


def test_recommendations_are_judged_alike_whoever_is_asked_first():
    bought = random_purchases(np.random.default_rng(1))
    choice = {m: {scope: {"method": m} for scope in ("repeat", "new")} for m in ("own frequency", "popularity")}
    one, two = (recommenders.on_date(bought, who, 80, choice, 1, k=3) for who in (np.arange(60), np.arange(60)[::-1]))
    pd.testing.assert_frame_equal(one, two)
    random = recommend.fit("random", recommend.history(bought, 80), 1)
    assert np.array_equal(random.scores(np.array([7, 3])), random.scores(np.arange(60))[[7, 3]])


# --- lifetime and waiting ---


@pytest.mark.slow
@pytest.mark.parametrize("what", ["compare", "targeted", "off_points"])
def test_intervals_hang_on_customers_and_not_on_draws_of_others(what):
    rng, n = np.random.default_rng(2), len(MANY)
    actual, score = rng.gamma(1, 1, n), rng.normal(size=n)
    chance = rng.uniform(0.1, 0.9, n)
    rows = pd.DataFrame({"wait": np.where(rng.random(n) < chance, 3, 50), "seen": True})
    curves = np.tile(chance[:, None], (1, 28))

    def found(part):
        if what == "compare":
            scores = {"score": (score + actual)[part], "other": score[part]}
            table = customer_value.compare(customer_value.gini, actual[part], scores, "other", MANY[part], 1, 200)
        elif what == "targeted":
            table = customer_value.targeting_gain(
                actual[part] - 1, {"score": np.round(score)[part]}, np.array([0.3, 1]), MANY[part], 1, 200
            )
        else:
            forecast = {"one": waiting.of_curve(curves[part]), "base": waiting.of_curve(curves[part] ** 2)}
            table = survival.calibration_error(forecast, rows.iloc[part], "base", MANY[part], 1, draws=200)
        return table.loc[0, ["low", "high"]].to_numpy(float)

    whole = found(np.arange(n))
    np.testing.assert_allclose(found(rng.permutation(n)), whole, rtol=1e-9)
    assert small(whole, [found(np.delete(np.arange(n), k)) for k in LEAVING])


def test_equal_scores_fall_into_tenths_by_customer():
    actual = np.random.default_rng(2).gamma(1, 1, N)
    one = customer_value.deciles(actual, {"none": np.zeros(N)}, ID, 1)
    two = customer_value.deciles(actual[SHUFFLED], {"none": np.zeros(N)}, ID[SHUFFLED], 1)
    np.testing.assert_allclose(one["share"], two["share"])


def test_groups_of_a_search_are_those_of_the_customers():
    rows = pd.DataFrame({"date": np.repeat([1, 2, 3, 4], N)})
    who = np.tile(np.arange(N), 4)

    def scored_of(kept):
        part = np.isin(who, kept)
        pairs = timing.folds(rows[part], ID[who[part]], 1)
        return [set(ID[who[part]][scored]) for _, scored in pairs]

    whole, fewer = scored_of(np.arange(N)), scored_of(FEWER)
    assert [s & set(ID[FEWER]) for s in whole] == fewer
    assert [s & set(ID[FEWER]) for s in whole] != scored_of(FEWER)[::-1]


def test_a_search_takes_the_same_rows_and_folds(monkeypatch):
    class Recorded:
        best_params_, best_estimator_ = dict.fromkeys(timing.GRID, 1), None

        def __init__(self, model, grid, cv, **rest):
            self.cv, self.rows = cv, None
            self.cv_results_ = {f"param_{n}": np.ones(1) for n in timing.GRID} | {"mean_test_score": [0], "std_test_score": [0]}
            seen.append(self)

        def fit(self, x, y):
            self.rows = np.asarray(x)[:, 0].astype(int)

    seen: list[Recorded] = []
    monkeypatch.setattr(timing, "GridSearchCV", Recorded)
    monkeypatch.setattr(next_product, "GridSearchCV", Recorded)
    rows = pd.DataFrame({"date": np.repeat([1, 2], N), "number": np.tile(np.arange(N), 2).astype(float)})
    for kept in (np.arange(N), FEWER):
        part = rows[np.isin(rows["number"], kept)].reset_index(drop=True)
        who = ID[part["number"].astype(int)]
        timing.search_wait_forest(None, part, part["number"].to_numpy(), "x", who, 1, ["number"], most=100)
    assert set(seen[0].rows) - {3, 77, 200} <= set(seen[1].rows)
    table = next_product.clean(next_product.generate(1, N))[0].dropna().reset_index(drop=True)
    for kept in (table, table.drop([5, 60]).reset_index(drop=True)):
        next_product.shortest_forest(kept, 1)
    folds = [
        dict(zip(t["Customer_ID"], s.cv.test_fold, strict=True))
        for t, s in zip((table, table.drop([5, 60])), seen[2:], strict=True)
    ]
    assert folds[1].items() <= folds[0].items()


def test_a_class_of_a_basket_is_drawn_for_the_basket():
    lines = np.random.default_rng(1).poisson(1.0, (N, 5)) + 0.1
    whole = next_product.draw(lines, 1, ID, np.full(N, 4))
    assert np.array_equal(next_product.draw(lines[SHUFFLED], 1, ID[SHUFFLED], np.full(N, 4)), whole[SHUFFLED])
    assert np.array_equal(next_product.draw(lines[FEWER], 1, ID[FEWER], np.full(len(FEWER), 4)), whole[FEWER])


def test_a_larger_table_of_orders_begins_with_the_smaller_one():
    pd.testing.assert_frame_equal(next_product.generate(1, 60), next_product.generate(1, 200).head(60))
    pd.testing.assert_frame_equal(
        next_product.lowest_by_orders(1, (5,), customers=50),
        next_product.lowest_by_orders(1, (2, 5), customers=50)[1:].reset_index(drop=True),
    )


# --- bundles and baskets ---


@pytest.mark.slow
def test_customers_who_buy_nothing_change_no_bundle():
    rng = np.random.default_rng(3)
    has = rng.random((120, 25, 12)) < 0.3
    has[::2, :, 5] = has[::2, :, 0]  # what half of the customers always buy together: groups of customers differ
    who, day, what = np.nonzero(has)
    kinds = np.repeat(np.array(list("abc"), object), 4)
    plain = purchases_of(who, what, day, customers=120, items=12)
    more = replace(plain, customers=plain.customers.insert(0, "A"), who=plain.who + 1)
    table = bundles.pairs(plain, kinds, 1)
    assert len(table)
    pd.testing.assert_frame_equal(bundles.pairs(more, kinds, 1), table)


def test_lifts_of_categories_are_resampled_by_customer(tmp_path):
    baskets = random_baskets(np.random.default_rng(1), 1200)
    gone = [b for b in baskets if b[0] != baskets[5][0]]
    whole, fewer = (
        explore.pair_lift(tiny_shop(tmp_path / name, b), 1, draws=200).set_index(["a", "b"])
        for name, b in (("a", baskets), ("b", gone))
    )
    fewer = fewer.loc[whole.index]
    spread = [np.log(t["high"] / t["adjusted"]) / np.log(whole["high"] / whole["adjusted"]) for t in (whole, fewer)]
    assert np.abs(np.subtract(*spread)).mean() < 0.03


def test_contacted_and_spared_have_folds_of_their_own(monkeypatch):
    seen = []

    def recorded(model, x, y, cv, method):
        seen.append(cv.test_fold)
        return np.tile([0.5, 0.5], (len(y), 1))

    monkeypatch.setattr(explore, "cross_val_predict", recorded)
    rng = np.random.default_rng(1)
    history = pd.DataFrame(
        {"customer_id": ID, "campaign_id": "K", "sent": rng.random(N) < 0.5, "spend": rng.gamma(1, 1, N), "baskets": 1.0}
    )
    for rows in (np.arange(N), FEWER):
        explore.contacted_against_spared(history.iloc[rows])
    assert np.array_equal(seen[0][FEWER], seen[1])


# --- audits ---


def rule_of(x):
    return np.asarray(np.sin(x["a"]) * x["b"] * x["c"] + x["c"] * x["a"])  # of two features a pair of orders is exact


def people(n=N):
    return pd.DataFrame(np.random.default_rng(5).normal(size=(n, 3)), columns=list("abc"))


def test_a_row_is_explained_alike_whoever_else_is():
    x, background, ids = people().head(20), people(30).tail(6), (ID[:20], ID[20:26])
    whole = explain(rule_of, x, background, 1, ids=ids)
    some = np.array([11, 4, 15])
    part = explain(rule_of, x.iloc[some], background.iloc[::-1], 1, ids=(ids[0][some], ids[1][::-1]))
    np.testing.assert_allclose(part.added, whole.added[some], atol=1e-12)
    like = x.copy()
    like.loc[0, "a"] = background.iloc[0]["a"]  # fewer features differ in row 0: no draw of row 1 may move
    other = explain(rule_of, like, background, 1, ids=ids)
    np.testing.assert_array_equal(other.added[1:], whole.added[1:])
    assert np.abs(explain(rule_of, x, background, 2, ids=ids).added - whole.added).max() > 1e-6


def test_the_index_stands_for_ids_that_are_not_given():
    x, background = people().head(20), people(30).tail(6)
    whole = explain(rule_of, x, background, 1)
    part = explain(rule_of, x.loc[[11, 4]], background, 1)
    np.testing.assert_array_equal(part.added, whole.added[[11, 4]])


def test_hybrids_change_only_where_a_row_that_left_was_part():
    x = people()
    whole = shapley.hybrids(x, 2_000, 1, ID)
    pd.testing.assert_frame_equal(shapley.hybrids(x.iloc[SHUFFLED], 2_000, 1, ID[SHUFFLED]), whole)
    gone = np.isin(whole.to_numpy(), x.to_numpy()[[3, 77, 200]]).any(axis=1)
    fewer = shapley.hybrids(x.iloc[FEWER], 2_000, 1, ID[FEWER])
    changed = (fewer.to_numpy() != whole.to_numpy()).any(axis=1)
    assert np.array_equal(changed, gone)
    counts = pd.Series(whole["a"]).value_counts()  # every row is used, and none much more than others
    assert len(counts) == N
    assert counts.max() < 4 * counts.mean()


def test_importances_alike_and_places_settled_go_by_row():
    rng = np.random.default_rng(6)
    one, other = rng.random((2, N, 6)) * np.arange(1, 7)
    whole = shapley.importance_agreement(one, other, ID, 1)
    np.testing.assert_allclose(shapley.importance_agreement(one[SHUFFLED], other[SHUFFLED], ID[SHUFFLED], 1), whole)
    empty = np.vstack([np.zeros((1, 6)), one]), np.vstack([np.zeros((1, 6)), other])
    np.testing.assert_allclose(
        shapley.importance_agreement(*empty, np.append("NEW", ID), 1), whole
    )  # a row of nothing, and nobody's draw moves
    plane, chosen = rng.normal(size=(N, 2)), rng.random(N) < 0.4
    assert shapley.plane_purity(plane, chosen, ID, 1) == shapley.plane_purity(plane[SHUFFLED], chosen[SHUFFLED], ID[SHUFFLED], 1)


def test_an_audit_is_untouched_by_a_customer_of_no_group_and_no_weight(tmp_path):
    rng = np.random.default_rng(7)
    labels = pd.DataFrame({"g": rng.choice(["x", "y", "z"], N).astype(object)})
    values, weight = rng.random(N), np.ones(N)
    more = pd.concat([pd.DataFrame({"g": [None]}, dtype=object), labels], ignore_index=True)
    ids = np.append("NEW", ID).astype(object)
    longer = [Measure("m", np.append(9.0, values), np.append(0.0, weight))]
    for found in (fairness.audit, fairness.gaps):
        whole = found([Measure("m", values, weight)], labels, ID, 1, 100, 10)
        added = found(longer, more, ids, 1, 100, 10)
        pd.testing.assert_frame_equal(
            added.drop(columns="by_chance", errors="ignore"), whole.drop(columns="by_chance", errors="ignore"), check_dtype=False
        )
        again = found(
            [Measure("m", values[SHUFFLED], weight)], labels.iloc[SHUFFLED].reset_index(drop=True), ID[SHUFFLED], 1, 100, 10
        )
        pd.testing.assert_frame_equal(again, whole)
        if "by_chance" in whole:
            assert added["by_chance"].iloc[0] == pytest.approx(whole["by_chance"].iloc[0], rel=0.05)
    file = tmp_path / "list.csv"
    contacted.write_list(file, ID[:80], np.full(80, 0.1), np.ones(80), np.ones(80))
    one, _ = contacted.audit_list(file, pd.Series(ID), labels, 1, 50, 10)
    two, _ = contacted.audit_list(file, pd.Series(ID[SHUFFLED]), labels.iloc[SHUFFLED].reset_index(drop=True), 1, 50, 10)
    pd.testing.assert_frame_equal(one, two)


def test_folds_of_the_null_are_those_of_the_customers(monkeypatch):
    seen = []

    def recorded(x, y, part, seed):
        seen.append(dict(zip(x[:, 0], part, strict=True)))
        return np.zeros(len(y))

    monkeypatch.setattr(nulls, "_cross_fit", recorded)
    monkeypatch.setattr(nulls, "SMALLEST", 5)
    rng = np.random.default_rng(8)
    x, labels, value = pd.DataFrame({"n": np.arange(N) * 1.0}), pd.DataFrame({"g": rng.choice(["x", "y"], N)}), rng.random(N)
    for rows in (np.arange(N), SHUFFLED, FEWER):
        measure = [Measure("m", value[rows], np.ones(len(rows)))]
        nulls.equal_given_features(
            measure, labels.iloc[rows].reset_index(drop=True), ID[rows], x.iloc[rows].reset_index(drop=True), 1, least=10
        )
    assert seen[0] == seen[1]
    assert seen[2].items() <= seen[0].items()


@pytest.mark.slow
def test_customers_of_an_audit_and_thresholds_at_random():
    def asked(rows):
        shop = SimpleNamespace(frame=lambda table: pd.DataFrame({"customer_id": ID[rows]}))
        known = SimpleNamespace(customers=pd.Index(ID[rows]), seen=lambda day: np.arange(len(rows)))
        return set(contacted.audited_customers(shop, known, 5, 60, 1)["customer_id"])

    assert asked(np.arange(N)) == asked(SHUFFLED)
    assert asked(np.arange(N)) & set(ID[FEWER]) <= asked(FEWER)
    rng = np.random.default_rng(9)
    group, chances = rng.choice(["x", "y"], N), rng.random(N)
    label, fit = rng.random(N) < chances, rng.random(N) < 0.5
    whole = contacted.threshold_rules(chances, label, group, fit, ID, 1)
    other = contacted.threshold_rules(*(v[SHUFFLED] for v in (chances, label, group, fit, ID)), 1)
    for name in whole:
        assert np.array_equal(other[name], whole[name][SHUFFLED]), name
    everybody = contacted.fit_threshold_rules(chances, label, group, fit, np.ones(N, bool), ID, 1)
    assert all(np.array_equal(everybody[n], whole[n]) for n in whole)


def test_noise_of_a_study_belongs_to_the_contact_and_made_up_people_to_their_number():
    x = people()
    whole, fewer = noise_study.planted(x, ID, 1), noise_study.planted(x.iloc[FEWER], ID[FEWER], 1)
    noise = [c for c in whole if c.startswith("noise_")]
    assert len(noise) == 5
    pd.testing.assert_frame_equal(fewer[noise], whole.iloc[FEWER][noise])
    other = noise_study.planted(x.iloc[SHUFFLED], ID[SHUFFLED], 1)
    pd.testing.assert_frame_equal(other, whole.iloc[SHUFFLED])
    assert whole.corr().abs().to_numpy()[np.triu_indices(whole.shape[1], 1)].max() < 0.4
    small_one, large = (fairness_study.population(1, True, 0.2, "case", n) for n in (50, 300))
    pd.testing.assert_frame_equal(small_one[0], large[0].head(50))
    pd.testing.assert_frame_equal(small_one[1], large[1].head(50))


def test_dots_of_a_picture_keep_their_place():
    x = people(40)
    sides = []
    for rows in (np.arange(40), np.random.default_rng(1).permutation(40)):
        figure, axis = plt.subplots()
        plot.beeswarm(x.iloc[rows], x.iloc[rows], axis, "unit", 1)
        dots = np.concatenate([c.get_offsets() for c in axis.collections if len(c.get_offsets())])
        sides.append(sorted(map(tuple, np.round(np.asarray(dots), 9))))
        plt.close(figure)
    assert sides[0] == sides[1]


# --- campaign ---


def test_customers_taken_together_and_asked_for_bundles_stay_so(monkeypatch):
    parts = []

    class Panel:
        @staticmethod
        def of(shop, p, who, items, item):
            parts.append([who, p.customers[who]])
            return SimpleNamespace(features=lambda day: (np.zeros((len(who), 1, 1)), ["f"]), known=lambda day: who)

    monkeypatch.setattr(choose, "Panel", Panel)
    model = SimpleNamespace(names=["f"], predict=lambda x: {"ensemble": np.zeros(len(x))})
    groups = []
    for ids in (ID, ID[1:]):
        p = SimpleNamespace(customers=pd.Index(ids), days=9, seen=dict.fromkeys([9], np.arange(len(ids))).get)
        kit = SimpleNamespace(purchases=p, purchase=model, purchase_facts={"customers": 60}, shop=None, item="product_id")
        choose.buying_probabilities(kit, ids, 0)
        groups.append({c: k for k, (_, names) in enumerate(parts) for c in names})
        parts.clear()
    assert groups[1].items() <= groups[0].items()
    assert len(set(groups[0].values())) == 4

    kept = []
    monkeypatch.setattr(choose, "SAMPLE", 50)
    monkeypatch.setattr(choose.recommendation, "purchases_by", lambda p, who: kept.append(set(p.customers[who])))
    monkeypatch.setattr(choose.bundles, "pairs", lambda *given: None)
    monkeypatch.setattr(choose.bundles, "partners", lambda *given: None)
    items = pd.DataFrame({"category": ["a", "b"]})
    for rows in (np.arange(N), SHUFFLED, FEWER):
        choose.complements(SimpleNamespace(purchases=SimpleNamespace(customers=pd.Index(ID[rows])), items=items), 0, 1)
    assert kept[0] == kept[1]
    assert kept[0] & set(ID[FEWER]) <= kept[2]


def test_ways_of_sending_draw_by_customer():
    buys = np.round(np.random.default_rng(1).random(N), 1)

    def sent(rows):
        forecast = SimpleNamespace(spend=np.tile([0.0, 1.0, 1.0], (len(rows), 1)), buys=buys[rows, None])
        first = np.flatnonzero(np.isin(rows, np.arange(40)))
        chosen = SimpleNamespace(held=np.zeros(len(first), bool), row=first, arm=np.ones(len(first), int))
        arms = outcome.strategies(SimpleNamespace(chosen=chosen), SimpleNamespace(customer=ID[rows], forecast=forecast), 1)
        return {name: set(ID[rows][arm > 0]) for name, arm in arms.items()}

    assert sent(np.arange(N)) == sent(SHUFFLED)
    assert len(sent(np.arange(N))["at random, same spend"]) == 40
