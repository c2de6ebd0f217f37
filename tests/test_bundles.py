"""Bundles across categories: against brute force, planted pairs, tastes that must not look like bundles, and the error level."""

import numpy as np
import pandas as pd
import pytest
from scipy import sparse, stats

from promo_helpers.models import bundles
from tests.baskets import purchases_of

KINDS = np.repeat(np.array(list("abcd"), object), 5)


def shop_of(rng, customers=300, trips=25, items=20, tastes=0.4, planted=None, chance=0.5):
    """Baskets of large and small trips, tastes that customers share in part, and pairs (parent, child, chance) within a trip."""
    groups = rng.gamma(tastes, size=(6, items))
    share = 0.5 * groups[rng.integers(6, size=customers)] + 0.5 * rng.gamma(tastes, size=(customers, items))
    share /= share.sum(axis=1, keepdims=True)
    size = np.where(rng.random((customers, trips)) < 0.4, 6.0, 2.0)
    has = rng.random((customers, trips, items)) < 1 - np.exp(-size[:, :, None] * share[:, None, :])
    for parent, child in planted or []:
        has[:, :, child] |= has[:, :, parent] & (rng.random((customers, trips)) < chance)
    who, day, what = np.nonzero(has)
    return purchases_of(who, what, day, customers=customers, items=items)


def sparse_shop(rng, customers=500, trips=20, items=150, tastes=0.4):
    """Many items, most of them rare, and few baskets apiece; no pair belongs together."""
    popular = rng.permutation(1 / np.arange(3, items + 3) ** 0.7)
    groups = popular * rng.gamma(tastes, size=(6, items))
    share = 0.5 * groups[rng.integers(6, size=customers)] + 0.5 * popular * rng.gamma(tastes, size=(customers, items))
    share /= share.sum(axis=1, keepdims=True)
    size = np.where(rng.random((customers, trips)) < 0.4, 12.0, 4.0)
    has = rng.random((customers, trips, items), np.float32) < 1 - np.exp(-size[:, :, None] * share[:, None, :])
    who, day, what = np.nonzero(has)
    return purchases_of(who, what, day, customers=customers, items=items)


def test_counts_against_brute_force():
    rng = np.random.default_rng(1)
    has = (rng.random((30, 6)) < 0.4).astype(float)
    owner = rng.integers(4, size=30) * 7
    met, expected = bundles.counted(sparse.csr_matrix(has), owner)
    want, pairs = np.zeros((6, 6)), [(a, b) for a in range(6) for b in range(6) if a != b]
    for i in np.unique(owner):
        mine = has[owner == i]
        apart = {(a, b): sum(s[a] * t[b] for x, s in enumerate(mine) for y, t in enumerate(mine) if x != y) for a, b in pairs}
        together = sum(s[a] * s[b] for s in mine for a, b in pairs)
        for a, b in pairs:
            want[a, b] += together / sum(apart.values()) * apart[a, b]
    off = ~np.eye(6, dtype=bool)
    np.testing.assert_allclose(met[off], (has.T @ has)[off])
    np.testing.assert_allclose(expected[off], want[off])


@pytest.mark.slow
def test_lift_and_support_against_plain_counts():
    purchases = shop_of(np.random.default_rng(2))
    table = bundles.pairs(purchases, KINDS, 0)
    baskets = pd.DataFrame({"basket": purchases.basket, "what": purchases.what}).groupby("basket")["what"].agg(set)
    for row in table.iloc[[0, 50, -1]].itertuples():
        both, one, two = (sum(x <= s for s in baskets) for x in ({row.a, row.b}, {row.a}, {row.b}))
        assert row.baskets == both
        assert row.support == both / len(baskets)
        assert row.lift == pytest.approx(both * len(baskets) / (one * two))
    assert (KINDS[table["a"]] != KINDS[table["b"]]).all()
    assert (table["a"] < table["b"]).all()
    assert not table.duplicated(["a", "b"]).any()
    assert table["affinity"].is_monotonic_decreasing


@pytest.mark.slow
def test_planted_pairs_are_found_and_tastes_are_not():
    planted = {(0, 6), (7, 13), (3, 18)}
    purchases = shop_of(np.random.default_rng(3), planted=planted)
    table = bundles.pairs(purchases, KINDS, 0)
    found = bundles.pair_recovery(table, planted)
    assert found == {"found": 3.0, "right": 3.0, "precision": 1.0, "recall": 1.0}
    naive = bundles.pair_recovery(table, planted, "lift_low")
    assert naive["precision"] < 0.5  # shared tastes and large baskets look like bundles to the plain lift


@pytest.mark.slow
def test_the_error_level_is_kept():
    """Shops without any bundle, of tastes and trips of two sizes: some pair is found in no more than about 5 of 100."""
    shops, false = 10, 0
    for i in range(shops):
        rng = np.random.default_rng(100 + i)
        false += int((bundles.pairs(shop_of(rng, customers=150), KINDS, i)["low"] > 1).any())
    assert false <= stats.binom.ppf(0.999, shops, 0.05), false


@pytest.mark.slow
def test_the_error_level_is_kept_where_items_are_many_and_baskets_few():
    """As in a shop of product types: most items are rare and have few partners, so that what is usual for them is itself uncertain."""
    shops, false, few, spreads = 6, 0, 0, []
    for i in range(shops):
        rng = np.random.default_rng(700 + i)
        table = bundles.pairs(sparse_shop(rng), np.repeat(np.array(list("abcde"), object), 30), i)
        false += int((table["low"] > 1).any())
        few += (np.bincount(np.append(table["a"], table["b"]), minlength=150) < 20).sum()
        logarithm, critical = np.log(table["affinity"]), stats.t.ppf(1 - 0.05 / 2 / len(table), bundles.GROUPS - 1)
        met = table["baskets"] > 10
        spreads.append((logarithm / (np.log(table["high"]) - logarithm) * critical)[met].std())
    assert few > 30 * shops
    assert 0.75 < np.mean(spreads) < 1  # the intervals are as wide as the logarithms vary, and rather wider than that
    assert false <= stats.binom.ppf(0.999, shops, 0.05), false


@pytest.mark.slow
def test_only_baskets_before_a_day_count():
    purchases = shop_of(np.random.default_rng(3), planted={(0, 6)})
    early = purchases.day < 15
    cut = purchases_of(purchases.who[early], purchases.what[early], purchases.day[early], customers=300, items=20)
    table = bundles.pairs(purchases, KINDS, 0, before=15)
    assert len(table)
    pd.testing.assert_frame_equal(table, bundles.pairs(cut, KINDS, 0))


@pytest.mark.slow
def test_items_of_one_season_look_like_a_bundle_unless_the_season_is_taken_out():
    """Two items that are bought at the same time of the year and never for each other's sake."""
    rng = np.random.default_rng(6)
    has = rng.random((300, 84, 20)) < 0.05
    has[:, :28, [0, 6]] |= rng.random((300, 28, 2)) < 0.4
    has &= rng.random((300, 84, 1)) < 0.4
    who, day, what = np.nonzero(has)
    purchases = purchases_of(who, what, day, customers=300, items=20)
    found = [
        bundles.pair_recovery(bundles.pairs(purchases, KINDS, 0, season=season), {(0, 6)}) for season in (bundles.SEASON, 28)
    ]
    assert [f["found"] for f in found] == [1, 0]


@pytest.mark.slow
def test_a_pair_that_one_customer_makes_is_left_out():
    rng = np.random.default_rng(4)
    base = shop_of(rng, customers=200, trips=30)
    lone = [(0, i, d) for d in range(100, 400) for i in ((20, 25) if d % 2 else (21,))]
    who, what, day = (np.append(x, y) for x, y in zip((base.who, base.what, base.day), np.array(lone).T, strict=True))
    kinds = np.append(KINDS, np.array(list("eeeeff"), object))
    table = bundles.pairs(purchases_of(who, what, day, customers=200, items=26), kinds, 4)
    assert len(table)
    assert not ((table["a"] == 20) & (table["b"] == 25)).any()


def test_partners_are_the_found_ones_on_either_side():
    columns = ["a", "b", "lift", "affinity", "low"]
    table = pd.DataFrame([(1, 4, 3.0, 2.0, 1.5), (0, 1, 9.0, 1.8, 1.1), (1, 3, 1.0, 1.2, 0.9), (2, 3, 5, 4, 3)], columns=columns)
    assert bundles.partners(table, 1).to_numpy().tolist() == [[4, 3.0, 2.0], [0, 9.0, 1.8]]
    assert len(bundles.partners(table, 1, most=1)) == 1
    assert bundles.partners(table, 7).empty


@pytest.mark.slow
def test_one_category_is_refused_and_items_without_one_are_left_out():
    purchases = shop_of(np.random.default_rng(5))
    with pytest.raises(ValueError, match="1 category in all: a bundle across categories needs two"):
        bundles.pairs(purchases, np.array(["a"] * 20, object), 0)
    kinds = KINDS.copy()
    kinds[:3] = None
    table = bundles.pairs(purchases, kinds, 0)
    assert len(table)
    assert (table[["a", "b"]] >= 3).all(axis=None)


@pytest.mark.slow
def test_too_few_baskets_give_no_pairs():
    purchases = purchases_of([0, 0, 1], [0, 6, 7], [0, 0, 3], items=20)
    assert bundles.pairs(purchases, KINDS, 0).empty
    assert bundles.pair_recovery(pd.DataFrame({"a": [], "b": [], "low": []}), {(0, 1)})["found"] == 0
