"""What is bought: shares, depths, and pairs of categories against brute force and against chance."""

import itertools
import math

import numpy as np
import pandas as pd
import pytest

from promo_helpers import explore
from promo_helpers.shop import Shop, ShopWriter
from promo_helpers.shop.loading import load_shop
from tests.shops import shop_frames, write_shop


@pytest.fixture(scope="module")
def lines():
    """The lines as typed, with category and department, read in the plainest way."""
    given = shop_frames()
    return given["transactions"].merge(given["products"][["ProductID", "Category"]], on="ProductID")


def test_category_sales_against_a_plain_sum(corner, lines):
    table = explore.category_sales(corner)
    total = lines["TotalAmount"].sum()
    assert set(table["category"]) == {"Bakery", "Dairy", "Soap", "Batteries"}
    assert table["sales"].is_monotonic_decreasing
    for row in table.itertuples():
        mine = lines[lines["Category"] == row.category]
        assert row.sales == pytest.approx(mine["TotalAmount"].sum())
        assert row.share == pytest.approx(mine["TotalAmount"].sum() / total)
        assert row.reach == mine["CustomerID"].nunique() / lines["CustomerID"].nunique()
        assert row.discount == pytest.approx(1 - mine["TotalAmount"].sum() / (mine["Quantity"] * mine["UnitPrice"]).sum())


def test_products_without_a_category_count_in_the_totals(tmp_path, out, lines):
    frames = shop_frames()
    frames["products"].loc[frames["products"]["Category"] == "Soap", "Category"] = ""
    table = explore.category_sales(load_shop(write_shop(tmp_path / "corner", frames)))
    soap = lines.loc[lines["Category"] == "Soap", "TotalAmount"].sum() / lines["TotalAmount"].sum()
    assert set(table["category"]) == {"Bakery", "Dairy", "Batteries"}
    assert table["share"].sum() == pytest.approx(1 - soap)


def tiny_shop(folder, baskets, discounts=None):
    """A shop of nothing but baskets: a list of (customer, categories); a category is a product of the same name."""
    names = sorted({c for _, categories in baskets for c in categories})
    rows = [(customer, f"B{i:05d}", name) for i, (customer, categories) in enumerate(baskets) for name in categories]
    lines = pd.DataFrame(rows, columns=["customer_id", "basket_id", "product_id"])
    lines = lines.assign(transaction_id=np.arange(len(lines)), units=1)
    if discounts is not None:
        lines["discount"] = discounts
    with ShopWriter(folder, source="tiny", currency="LKR") as writer:
        writer.append("products", pd.DataFrame({"product_id": names, "name": names, "category": names}))
        writer.append("transactions", lines)
    return Shop(folder)


def test_depths_are_counted_at_the_edges_of_steps(tmp_path):
    discounts = [0.0, 0.0, 0.01, 0.05, 0.1, 0.15, 0.149999, 0.3, 0.35, 1.0, np.nan]
    shop = tiny_shop(tmp_path / "shop", [("c", ["a"])] * len(discounts), discounts)
    table = explore.discount_depths(shop)
    np.testing.assert_allclose(table["depth"], [0, 0.05, 0.1, 0.15, 0.3, 0.35, 1.0])
    assert table["lines"].tolist() == [1, 1, 2, 1, 1, 1, 1]
    np.testing.assert_allclose(table["share"], table["lines"] / 10)  # of the ten whose discount is known


@pytest.mark.parametrize("discounts", [None, [np.nan, np.nan]])
def test_no_depths_where_no_discount_is_known(tmp_path, discounts):
    shop = tiny_shop(tmp_path / "shop", [("c", ["a"]), ("d", ["a"])], discounts)
    assert explore.discount_depths(shop).empty
    assert explore.discount_depths(shop)["share"].sum() == 0


def random_baskets(rng, n=1200, customers=150, shares=(0.3,) * 5, together=0.0):
    """Independent categories, but for a share `together` of the baskets with b, which then hold a too."""
    names = "abcdefgh"[: len(shares)]
    has = rng.random((n, len(shares))) < shares
    has[:, 0] |= has[:, 1] & (rng.random(n) < together)
    owner = rng.integers(customers, size=n)
    return [
        (f"c{o:03d}", [x for x, h in zip(names, row, strict=True) if h]) for o, row in zip(owner, has, strict=True) if row.any()
    ]


def test_pair_lift_against_brute_force(tmp_path):
    baskets = random_baskets(np.random.default_rng(1), 300, shares=(0.5, 0.4, 0.3, 0.1), together=0.3)
    table = explore.pair_lift(tiny_shop(tmp_path / "shop", baskets), 0, draws=50)
    n, c = len(baskets), 4
    assert len(table) == 6
    for row in table.itertuples():
        a, b = (sum(x in categories for _, categories in baskets) for x in (row.a, row.b))
        both = sum(row.a in categories and row.b in categories for _, categories in baskets)
        assert row.baskets == both
        assert row.support == pytest.approx(both / n)
        assert row.lift == pytest.approx((both / n) / (a / n * b / n))
        expected = 0.0
        for k in range(2, c + 1):
            alike = [set(categories) for _, categories in baskets if len(categories) == k]
            if alike:
                chance = sum(row.a in s for s in alike) * sum(row.b in s for s in alike) / len(alike)
                expected += chance * (k - 1) * c / (k * (c - 1))
        assert row.adjusted == pytest.approx(both / expected)
        assert row.low < row.adjusted < row.high
        assert row.low * row.high == pytest.approx(row.adjusted**2)  # symmetric in the logarithm
    assert table["adjusted"].is_monotonic_decreasing


def test_a_pair_is_counted_once_a_basket_and_returns_are_no_purchase(corner, lines):
    table = explore.pair_lift(corner, 0, draws=20).set_index(["a", "b"])
    bought = lines[lines["Quantity"] > 0].groupby("BasketID")["Category"].agg(set)
    for a, b in itertools.combinations(sorted(set(lines["Category"])), 2):
        row = table.loc[(a, b)] if (a, b) in table.index else table.loc[(b, a)]
        assert row["baskets"] == sum({a, b} <= basket for basket in bought)


def test_the_planted_affinity_is_found(corner):
    table = explore.pair_lift(corner, 0)
    assert {table["a"].iloc[0], table["b"].iloc[0]} == {"Bakery", "Dairy"}
    assert table["low"].iloc[0] > 1
    assert (table["low"].iloc[1:] < 1).all()


@pytest.mark.slow
def test_intervals_hold_for_all_pairs_at_once(tmp_path):
    """Categories that are independent and alike: all ten intervals cover 1 together in about 95 of 100 shops."""
    rng, covered, shops = np.random.default_rng(7), 0, 60
    for i in range(shops):
        shop = tiny_shop(tmp_path / f"shop{i}", random_baskets(rng, 800))
        table = explore.pair_lift(shop, i, draws=150)
        covered += ((table["low"] <= 1) & (table["high"] >= 1)).all()
    chance = [math.comb(shops, k) * 0.95**k * 0.05 ** (shops - k) for k in range(shops + 1)]
    least = next(k for k in range(shops + 1) if sum(chance[: k + 1]) > 0.001)
    assert covered >= least, (covered, least)


def test_the_critical_value_is_that_of_the_largest_of_all_pairs(tmp_path):
    """From level .5 to .95 the largest of ten |z| grows by about half; a single one would triple."""
    shop = tiny_shop(tmp_path / "shop", random_baskets(np.random.default_rng(2)))
    half, most = (explore.pair_lift(shop, 0, level=level) for level in (0.5, 0.95))
    growth = np.log(most["high"] / most["low"]) / np.log(half["high"] / half["low"])
    assert ((growth > 1.35) & (growth < 1.75)).all()


def test_one_category_is_refused(tmp_path):
    shop = tiny_shop(tmp_path / "shop", [("c", ["a"])] * 5)
    with pytest.raises(ValueError, match="1 category in all: two are the least that can share a basket"):
        explore.pair_lift(shop, 0)


def test_only_the_categories_in_most_baskets(tmp_path):
    baskets = [("c1", ["a", "b", "z"]), ("c2", ["a", "b"]), ("c3", ["b", "c"]), ("c4", ["c", "b"]), ("c5", ["a", "c"])]
    table = explore.pair_lift(tiny_shop(tmp_path / "shop", baskets), 0, categories=3, draws=20, least=1)
    assert {frozenset(pair) for pair in zip(table["a"], table["b"], strict=True)} == {
        frozenset(pair) for pair in ("ab", "bc", "ac")
    }
    assert table["support"].max() == 2 / 5  # of all baskets


def frames_of(shop):
    """Everything that is explored, in one list."""
    trips = explore.baskets(shop)
    daily = explore.daily_sales(shop)
    history = explore.before_contact(shop, trips)
    return [
        trips,
        daily,
        explore.table_sizes(shop),
        explore.week_hours(shop),
        explore.weekly_sales(daily),
        explore.gaps(trips).to_frame(),
        explore.rfm(trips, pd.Timestamp("2025-03-01")),
        explore.category_sales(shop),
        explore.discount_depths(shop),
        explore.pair_lift(shop, 1, draws=50),
        explore.campaign_table(shop, daily["day"].iloc[0], daily["day"].iloc[-1]),
        history,
    ]


def hashes(shop):
    return [int(pd.util.hash_pandas_object(f).sum() % 2**63) for f in frames_of(shop)]


@pytest.mark.slow
def test_the_order_of_rows_changes_nothing(corner, tmp_path):
    """Threads hand over rows in any order: the same lines shuffled, in many row groups, give the same bytes; so do two runs."""
    lines = corner.frame("transactions").sample(frac=1, random_state=0)
    with ShopWriter(tmp_path / "shuffled", source="corner", currency="LKR") as writer:
        for table in ("customers", "products", "stores", "promotions", "contacts"):
            writer.append(table, corner.frame(table))
        for part in np.array_split(np.arange(len(lines)), 40):
            writer.append("transactions", lines.iloc[part])
    shuffled = hashes(Shop(tmp_path / "shuffled"))
    assert shuffled == hashes(Shop(corner.folder)) == hashes(Shop(corner.folder))
