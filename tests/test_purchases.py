"""Purchases by day: against plain pandas, on the small shop, on a simulated one, and at the edges."""

from datetime import datetime

import numpy as np
import pandas as pd
import pytest

from promo_helpers.features.purchases import Purchases, item_lines
from promo_helpers.market import parameters, simulate
from promo_helpers.shop import Shop, ShopWriter
from promo_helpers.shop.loading import load_shop
from tests.shops import shop_frames, write_shop


@pytest.fixture(scope="module")
def simulated(tmp_path_factory):
    folder = tmp_path_factory.mktemp("market")
    simulate(parameters("seed", customers=60), 1, folder / "shop", folder / "truth")
    return Shop(folder / "shop")


@pytest.fixture
def load(tmp_path):
    """A function that loads a shop from frames."""
    return lambda frames: load_shop(write_shop(tmp_path / "source", frames), folder=tmp_path / "checked")


def plain(shop, item="product_id", least=1):
    """The same in pandas: one row per customer, item and basket, in the promised order, with names for numbers."""
    lines = shop.frame("transactions")
    lines = lines[lines["units"] > 0]
    if item != "product_id":
        names = shop.frame("products").set_index("product_id")[item]
        lines = lines.assign(product_id=lines["product_id"].map(names))
    lines = lines.dropna(subset="product_id")
    buyers = lines.groupby("product_id")["customer_id"].nunique()
    rows = lines.groupby(["customer_id", "basket_id", "product_id"], as_index=False).agg(
        time=("time", "min"), units=("units", "sum"), cents=("paid_cents", "sum")
    )
    rows = rows[rows["product_id"].map(buyers) >= least]
    start = lines["time"].min().normalize()
    rows["day"], rows["hour"] = (rows["time"].dt.normalize() - start).dt.days, rows["time"].dt.hour
    return rows.sort_values(["customer_id", "time", "basket_id", "product_id"], ignore_index=True)


def agree(purchases, rows):
    assert purchases.customers[purchases.who].tolist() == rows["customer_id"].tolist()
    assert purchases.items[purchases.what].tolist() == rows["product_id"].tolist()
    for column in ("day", "hour", "units", "cents"):
        np.testing.assert_array_equal(getattr(purchases, column), rows[column], column)
    new = rows["basket_id"].ne(rows["basket_id"].shift())
    np.testing.assert_array_equal(purchases.basket, new.cumsum() - 1)
    assert new.sum() == rows["basket_id"].nunique()  # a basket's rows lie together


@pytest.mark.parametrize(
    ("item", "least"), [("product_id", 1), ("product_id", 25), ("name", 1), ("category", 1), ("category", 38)]
)
def test_the_small_shop_against_pandas(corner, item, least):
    rows, purchases = plain(corner, item, least), Purchases.of(corner, item, least)
    assert len(rows) > 100
    agree(purchases, rows)
    assert purchases.customers.tolist() == sorted(corner.frame("customers")["customer_id"])
    assert purchases.items.tolist() == sorted(rows["product_id"].unique())


@pytest.mark.parametrize(("item", "least"), [("product_id", 1), ("product_id", 20), ("name", 1), ("category", 5)])
def test_a_simulated_shop_against_pandas(simulated, item, least):
    agree(Purchases.of(simulated, item, least), plain(simulated, item, least))


def test_least_leaves_out_items_by_their_buyers(corner):
    every = Purchases.of(corner)
    buyers = {every.items[i]: len(set(every.who[every.what == i])) for i in range(len(every.items))}
    middle = sorted(buyers.values())[6]
    some = Purchases.of(corner, least=middle)
    assert set(some.items) == {i for i, n in buyers.items() if n >= middle}
    assert 0 < len(some.items) < len(every.items)
    assert some.start == every.start  # days are counted from the same day, whatever is left out


def test_what_comes_later_chooses_no_items(corner):
    every = Purchases.of(corner)
    early = every.day < 20
    buyers = {every.items[i]: len(set(every.who[early & (every.what == i)])) for i in range(len(every.items))}
    middle = sorted(buyers.values())[6]
    some = Purchases.of(corner, least=middle, before=20)
    assert set(some.items) == {i for i, n in buyers.items() if n >= middle}
    assert 0 < len(some.items) < len(Purchases.of(corner, least=middle).items)  # all days would have let in more
    assert some.day.max() == every.day.max()  # the later purchases of the items that stay are there
    same = Purchases.of(corner, least=middle, before=every.moment(20))
    assert list(same.items) == list(some.items)
    np.testing.assert_array_equal(same.what, some.what)
    assert not len(Purchases.of(corner, before=0).items)


@pytest.mark.slow
def test_returns_are_left_out(load):
    frames = shop_frames()
    lines = frames["transactions"]
    at = lines.index[(lines["CustomerID"] == "CUST00001") & (lines["Quantity"] > 0)][:5]
    lines.loc[at, "Quantity"] *= -1
    lines.loc[at, "TotalAmount"] *= -1
    purchases = Purchases.of(shop := load(frames))
    agree(purchases, plain(shop))
    assert (purchases.units > 0).all()
    pairs = lines[lines["Quantity"] > 0].drop_duplicates(["BasketID", "ProductID"])
    assert len(purchases.who) == len(pairs)
    assert item_lines(shop).collect("pandas").to_native()["units"].min() > 0


@pytest.mark.slow
def test_two_lines_of_one_product_in_one_basket_are_one_purchase(load):
    frames = shop_frames()
    lines = frames["transactions"]
    line = lines[lines["Quantity"] > 0].iloc[10]
    frames["transactions"] = pd.concat([lines, line.to_frame().T.assign(TransactionID="T999999")], ignore_index=True)
    shop = load(frames)
    purchases, before = Purchases.of(shop), len(lines[lines["Quantity"] > 0])
    agree(purchases, plain(shop))
    assert len(purchases.who) == before
    assert purchases.units.sum() == lines.loc[lines["Quantity"] > 0, "Quantity"].sum() + line["Quantity"]
    assert purchases.counts(0, purchases.days).sum() == before


def test_a_category_counts_once_a_basket(corner):
    purchases = Purchases.of(corner, "category")
    assert purchases.items.tolist() == ["Bakery", "Batteries", "Dairy", "Soap"]
    assert len(purchases.who) < len(Purchases.of(corner).who)
    assert pd.DataFrame({"b": purchases.basket, "i": purchases.what}).duplicated().sum() == 0


@pytest.mark.slow
def test_products_without_the_name_asked_for_are_left_out(load):
    frames = shop_frames()
    frames["products"].loc[frames["products"]["Category"] == "Soap", "Category"] = ""
    shop = load(frames)
    purchases = Purchases.of(shop, "category")
    agree(purchases, plain(shop, "category"))
    assert purchases.items.tolist() == ["Bakery", "Batteries", "Dairy"]


@pytest.mark.slow
def test_numbered_and_named_baskets_are_the_same(load, corner, tmp_path):
    frames = shop_frames()
    frames["transactions"]["BasketID"] = frames["transactions"]["BasketID"].str.slice(1).astype(int)
    folder = write_shop(tmp_path / "csv", frames)
    lines = corner.frame("transactions").assign(basket_id=frames["transactions"]["BasketID"])
    with ShopWriter(tmp_path / "numbered", source="test", currency="LKR") as writer:
        for table in ("customers", "products", "stores"):
            writer.append(table, corner.frame(table))
        writer.append("transactions", lines)
    named, numbered = Purchases.of(load_shop(folder, folder=tmp_path / "named")), Purchases.of(Shop(tmp_path / "numbered"))
    assert corner.frame("transactions")["basket_id"].dtype == "str"
    for one in (named, numbered):
        for column in ("who", "what", "day", "hour", "basket", "units", "cents"):
            np.testing.assert_array_equal(getattr(one, column), getattr(Purchases.of(corner), column), column)


def test_counts_are_baskets_of_a_window(corner):
    purchases, rows = Purchases.of(corner), plain(corner)
    for first, stop in [(0, purchases.days), (10, 24), (69, 70), (24, 24)]:
        counts = purchases.counts(first, stop)
        assert counts.shape == (40, 12)
        assert counts.dtype == np.float32
        window = rows[(rows["day"] >= first) & (rows["day"] < stop)]
        wanted = pd.crosstab(window["customer_id"], window["product_id"])
        wanted = wanted.reindex(index=purchases.customers, columns=purchases.items, fill_value=0)
        np.testing.assert_array_equal(counts.toarray(), wanted.to_numpy())
        assert purchases.between(first, stop).tolist() == window.index.tolist()
    seen = rows.loc[rows["day"] < 5, "customer_id"].unique()
    assert purchases.customers[purchases.seen(5)].tolist() == sorted(seen)


def test_days_and_moments_go_there_and_back(corner):
    purchases = Purchases.of(corner)
    assert purchases.moment(0) == datetime(2025, 1, 6)
    assert purchases.days == 70
    for day in (0, 33, 70):  # 70 is the day after the last, at which everything is known
        assert purchases.number(purchases.moment(day)) == day
    assert purchases.number("2025-01-07 23:59") == 1
    for outside in ("2025-01-05", "2025-03-18", datetime(2030, 1, 1)):
        with pytest.raises(ValueError, match="lies outside the data, 2025-01-06 to 2025-03-16"):
            purchases.number(outside)


@pytest.mark.slow
@pytest.mark.parametrize("why", ["nobody buys it so widely", "only returns"])
def test_an_empty_result_keeps_its_shape(corner, load, why):
    shop, least = corner, 41
    if why == "only returns":
        frames = shop_frames()
        lines = frames["transactions"]
        sign = np.where(lines["Quantity"] > 0, -1, 1)
        frames["transactions"] = lines.assign(Quantity=lines["Quantity"] * sign, TotalAmount=lines["TotalAmount"] * sign)
        shop, least = load(frames), 1
    purchases = Purchases.of(shop, least=least)
    for column in ("who", "what", "day", "hour", "basket", "units", "cents"):
        assert len(getattr(purchases, column)) == 0, column
    assert (len(purchases.customers), len(purchases.items), purchases.days) == (40, 0, 0)
    assert purchases.counts(0, 14).shape == (40, 0)
    assert len(purchases.seen(10)) == len(purchases.between(0, 10)) == 0
    with pytest.raises(ValueError, match="nothing was bought"):
        purchases.number("2030-01-01")
