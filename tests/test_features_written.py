"""Feature files: their rows, order and bytes, against the functions they are made from and against SQL written by hand."""

import hashlib
from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest

from promo_helpers import features
from promo_helpers.features import written
from promo_helpers.features.written import KEYS, write_features
from promo_helpers.shop.loading import load_shop
from tests import bench_sql
from tests.shops import FIRST_DAY, shop_frames, write_shop

AS_OF = datetime(2025, 3, 1)


@pytest.fixture(scope="module")
def made(corner, tmp_path_factory):
    folder = tmp_path_factory.mktemp("features") / "processed"
    return folder, write_features(corner, AS_OF, folder, csv=True)


def read(folder, name):
    return pd.read_parquet(folder / f"{name}.parquet")


@pytest.fixture
def load(tmp_path):
    """A function that loads a shop from frames."""
    return lambda frames, **text: load_shop(write_shop(tmp_path / "source", frames, **text), folder=tmp_path / "checked")


def digests(files):
    return {f.name: hashlib.sha256(f.read_bytes()).hexdigest() for f in files}


def test_five_files_of_each_kind_and_nothing_else(made):
    folder, files = made
    assert files == [folder / f"{name}.{kind}" for kind in ("parquet", "csv") for name in KEYS]
    assert sorted(folder.iterdir()) == sorted(files)
    assert [p.name for p in folder.parent.iterdir()] == [folder.name]


@pytest.mark.parametrize("name", KEYS)
def test_keys_are_unique_and_rows_lie_in_their_order(made, name):
    keys = read(made[0], name)[KEYS[name]]
    assert len(keys)
    assert not keys.isna().any(axis=None)
    rows = [tuple(r) for r in keys.itertuples(index=False)]
    assert rows == sorted(set(rows))


@pytest.mark.parametrize("name", KEYS)
def test_values_are_those_of_sql_by_hand(made, corner, tmp_path, name):
    bench_sql.write(corner, AS_OF, tmp_path / "sql")
    pd.testing.assert_frame_equal(read(made[0], name), read(tmp_path / "sql", name), rtol=1e-12)


def test_features_stand_unrounded_beside_what_the_shop_records(made, corner):
    customers, table = read(made[0], "customer_features"), corner.frame("customers").set_index("customer_id")
    own = features.customer_features(corner.lazy("transactions"), AS_OF, corner.lazy("contacts")).collect("pandas").to_native()
    own = own.set_index("customer_id").reindex(customers["customer_id"])
    described = ["gender", "age", "city", "segment", "registration_date"]
    assert list(customers) == ["customer_id", *described, *own]
    for column in described:
        assert customers[column].astype(str).tolist() == table.loc[customers["customer_id"], column].astype(str).tolist(), column
    bought = own["recency"].notna().to_numpy()
    for column in own:
        np.testing.assert_array_equal(customers[column][bought].to_numpy(float), own[column][bought].to_numpy(float), column)
    products, table = read(made[0], "product_features"), corner.frame("products").set_index("product_id")
    assert list(products)[:5] == ["product_id", "category", "brand", "price", "margin"]
    assert products["margin"].tolist() == table.loc[products["product_id"], "margin"].tolist()


@pytest.mark.slow
@pytest.mark.parametrize("lines", [1_000, 8_000_000])
def test_the_same_bytes_twice(made, corner, tmp_path, monkeypatch, lines):
    monkeypatch.setattr(written, "LINES", lines)  # four slices of customers, or one
    one = write_features(corner, AS_OF, tmp_path / "one", csv=True)
    assert digests(one) == digests(write_features(corner, AS_OF, tmp_path / "two", csv=True))
    for name in KEYS:
        pd.testing.assert_frame_equal(read(tmp_path / "one", name), read(made[0], name))


@pytest.mark.parametrize("name", KEYS)
def test_csv_reads_back_to_the_same_values(made, name):
    frame = read(made[0], name)
    dates = ["registration_date"] if "registration_date" in frame else []
    again = pd.read_csv(made[0] / f"{name}.csv", parse_dates=dates, float_precision="round_trip")
    pd.testing.assert_frame_equal(again, frame, check_dtype=False, rtol=0, atol=0)


@pytest.mark.slow
def test_customers_without_lines_and_products_nobody_bought(load):
    frames = shop_frames()
    lines = frames["transactions"]
    first = lines.loc[lines["CustomerID"] == "CUST00002", "TransactionDate"].min()
    frames["transactions"] = lines[~lines["CustomerID"].isin(["CUST00001", "CUST00040"]) & (lines["ProductID"] != "PROD00003")]
    frames["contacts"].loc[0, ["Arm", "Redeemed"]] = ["20", "true"]
    shop = load(frames)
    folder = shop.folder.parent / "features"
    write_features(shop, AS_OF, folder)
    customers = read(folder, "customer_features").set_index("customer_id")
    assert len(customers) == 40
    quiet = customers.loc["CUST00001"]
    assert (quiet["frequency"], quiet["contacts_30"], quiet["contacts_all"], quiet["redeemed_share"]) == (0, 1, 1, 1.0)
    assert quiet["age"] == frames["customers"]["Age"][0]
    assert quiet[["recency", "monetary", "products", "promo_share"]].isna().all()
    products = read(folder, "product_features").set_index("product_id")
    assert len(products) == 12
    assert products.loc["PROD00003", ["buyers", "category"]].tolist() == [0, "Bakery"]
    assert products.loc["PROD00003", ["units", "sales", "popularity", "age"]].isna().all()
    assert (products.drop("PROD00003")["buyers"] > 0).all()
    write_features(shop, datetime.fromisoformat(first), folder)  # at the moment of a first line, that line is not yet known
    assert read(folder, "customer_features").set_index("customer_id").loc["CUST00002", "frequency"] == 0
    write_features(shop, FIRST_DAY.to_pydatetime(), folder)  # before every line
    assert (read(folder, "customer_features")["frequency"] == 0).all()
    assert [len(read(folder, name)) for name in KEYS] == [40, 12, 0, 0, 0]


@pytest.mark.slow
def test_a_shop_without_contacts_and_discounts(load):
    frames = shop_frames()
    for table, columns in {"transactions": ["Discount", "TotalAmount"], "products": ["Brand", "Margin"]}.items():
        frames[table] = frames[table].drop(columns=columns)
    shop = load(frames, contacts=None)
    write_features(shop, AS_OF, shop.folder.parent / "features")
    customers = read(shop.folder.parent / "features", "customer_features")
    assert not [c for c in customers if c.startswith(("contacts", "redeemed"))]
    assert set(customers["promo_share"].dropna()) == {0}
    assert list(read(shop.folder.parent / "features", "product_features"))[:4] == ["product_id", "category", "price", "buyers"]


@pytest.mark.slow
def test_contacts_of_which_nobody_knows_whether_they_were_redeemed(load):
    frames = shop_frames()
    frames["contacts"]["Redeemed"] = ""
    shop = load(frames)
    write_features(shop, AS_OF, shop.folder.parent / "features")
    customers = read(shop.folder.parent / "features", "customer_features")
    assert customers["contacts_all"].sum() == (frames["contacts"]["Arm"][:40] != "none").sum()
    assert "redeemed_share" not in customers


@pytest.mark.slow
def test_all_files_or_none(made, corner, tmp_path, monkeypatch):
    files = write_features(corner, AS_OF, tmp_path / "features")
    before = digests(files)

    def broken(purchases):
        raise RuntimeError("the fourth set fails")

    monkeypatch.setattr(written, "category_spending", broken)
    with pytest.raises(RuntimeError, match="the fourth set fails"):
        write_features(corner, datetime(2025, 2, 1), tmp_path / "features")
    assert digests(files) == before
    assert [p.name for p in tmp_path.iterdir()] == ["features"]
    with pytest.raises(ValueError, match="give the shop's local time, without a time zone"):
        write_features(corner, AS_OF.replace(tzinfo=UTC), tmp_path / "features")
