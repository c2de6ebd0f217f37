"""Features: against plain pandas, blind to the future, the same bytes twice, and the same on Spark."""

import hashlib
import os
import shutil
from datetime import UTC, datetime

import duckdb
import narwhals.stable.v2 as nw
import numpy as np
import pandas as pd
import pytest

from promo_helpers import features

AS_OF = datetime(2025, 3, 1)
SETS = {
    "customers": (lambda t: features.customer_features(t["lines"], AS_OF, t["contacts"]), ["customer_id"]),
    "products": (lambda t: features.product_features(t["lines"], AS_OF), ["product_id"]),
    "interactions": (lambda t: features.interactions(t["lines"], AS_OF), ["customer_id", "product_id"]),
    "category_purchases": (
        lambda t: features.category_purchases(t["lines"], t["products"], AS_OF),
        ["customer_id", "category"],
    ),
    "category_spending": (
        lambda t: features.category_spending(features.category_purchases(t["lines"], t["products"], AS_OF)),
        ["customer_id", "category"],
    ),
}


def small_shop(seed: int = 0, lines: int = 4_000) -> dict[str, pd.DataFrame]:
    """Lines, contacts and products of 60 customers, half of the time on either side of AS_OF."""
    rng = np.random.default_rng(seed)
    baskets = rng.integers(1, lines // 3, lines)
    moment = pd.Timestamp("2024-06-01") + pd.to_timedelta(rng.integers(0, 500 * 86_400, lines // 3), unit="s")
    owner, product = rng.integers(0, 60, lines // 3), rng.integers(0, 20, lines)
    units, price = rng.integers(1, 4, lines), np.array([100 + 7 * p for p in product])
    discount = rng.choice([0, 0, 0.1, 0.25], lines)
    frame = pd.DataFrame(
        {
            "basket_id": baskets,
            "customer_id": [f"C{o:02d}" for o in owner[baskets]],
            "product_id": [f"P{p:02d}" for p in product],
            "time": moment[baskets].astype("datetime64[us]"),
            "units": units,
            "discount": discount,
            "list_cents": units * price * 100,
            "paid_cents": np.rint(units * price * 100 * (1 - discount)).astype("int64"),
        }
    ).drop_duplicates(["basket_id", "product_id"], ignore_index=True)
    contacts = pd.DataFrame(
        {
            "customer_id": [f"C{c:02d}" for c in rng.integers(0, 60, 400)],
            "time": (pd.Timestamp("2024-06-01") + pd.to_timedelta(rng.integers(0, 500, 400), unit="D")).astype("datetime64[us]"),
            "arm": rng.choice(["none", "0", "10", "25"], 400),
            "redeemed": rng.random(400) < 0.3,
        }
    )
    products = pd.DataFrame(
        {"product_id": [f"P{p:02d}" for p in range(20)], "category": [f"K{p % 5}" if p else None for p in range(20)]}
    )
    return {"lines": frame, "contacts": contacts, "products": products}


def on_duckdb(tables: dict[str, pd.DataFrame]) -> dict:
    connection = duckdb.connect()
    return {name: nw.from_native(connection.from_df(frame)) for name, frame in tables.items()}


def computed(tables: dict[str, pd.DataFrame], which: str) -> pd.DataFrame:
    make, key = SETS[which]
    frame = make(on_duckdb(tables)).collect("pandas").to_native()
    return frame.sort_values(key, ignore_index=True)


@pytest.fixture(scope="module")
def shop():
    return small_shop()


@pytest.mark.slow
@pytest.mark.parametrize("which", SETS)
def test_what_comes_later_changes_nothing(shop, which):
    """The planted leak: a future in which everyone buys everything, at the moment itself and after it."""
    before = computed(shop, which)
    lines = shop["lines"]
    later = lines.assign(
        time=pd.Timestamp(AS_OF) + pd.to_timedelta(np.arange(len(lines)) % 30, unit="D"), basket_id=lines["basket_id"] + 10**6
    )
    contacts = shop["contacts"].assign(time=pd.Timestamp(AS_OF), redeemed=True)
    leaky = shop | {"lines": pd.concat([lines, later]), "contacts": pd.concat([shop["contacts"], contacts])}
    pd.testing.assert_frame_equal(before, computed(leaky, which))
    past = shop | {"lines": lines[lines["time"] < AS_OF], "contacts": shop["contacts"][shop["contacts"]["time"] < AS_OF]}
    pd.testing.assert_frame_equal(before, computed(past, which))


def test_the_leak_would_be_seen(shop):
    """The same future, one second earlier than the moment of another day, does change the features: the test above can fail."""
    lines = shop["lines"]
    earlier = lines.assign(time=pd.Timestamp(AS_OF) - pd.Timedelta(seconds=1), basket_id=lines["basket_id"] + 10**6)
    assert not computed(shop, "customers").equals(computed(shop | {"lines": pd.concat([lines, earlier])}, "customers"))


def test_customer_features_against_pandas(shop):
    made = computed(shop, "customers").set_index("customer_id")
    lines = shop["lines"][shop["lines"]["time"] < AS_OF]
    age = (pd.Timestamp(AS_OF) - lines["time"]).dt.total_seconds() / 86_400
    by = lines.assign(age=age, promo=lines["discount"] > 0).groupby("customer_id")
    baskets = (
        lines.assign(age=age)
        .groupby(["customer_id", "basket_id"])
        .agg(paid=("paid_cents", "sum"), time=("time", "min"), age=("age", "min"), units=("units", "sum"))
    )
    per = baskets.groupby("customer_id")
    days = baskets.assign(day=baskets["time"].dt.normalize()).groupby("customer_id")["day"].nunique()
    old, new = baskets["age"].between(90, 180, inclusive="right"), baskets["age"] <= 90
    trend = np.log1p((baskets["paid"] / 100).where(new, 0).groupby("customer_id").sum())
    trend -= np.log1p((baskets["paid"] / 100).where(old, 0).groupby("customer_id").sum())
    promo = lines[lines["discount"] > 0].groupby("customer_id")
    wanted = {
        "recency": by["age"].min(),
        "tenure": by["age"].max(),
        "frequency": per.size(),
        "trip_days": days,
        "monetary": by["paid_cents"].sum() / 100,
        "units": by["units"].sum(),
        "lines": by.size(),
        "products": by["product_id"].nunique(),
        "spend_mean": per["paid"].mean() / 100,
        "spend_sd": per["paid"].std() / 100,
        "basket_units": per["units"].mean(),
        "gap_mean": (by["age"].max() - by["age"].min()) / (days - 1),
        "spend_30": (baskets["paid"] / 100).where(baskets["age"] <= 30, 0).groupby("customer_id").sum(),
        "spend_trend": trend,
        "weekend_share": (baskets["time"].dt.weekday >= 5).groupby("customer_id").mean(),
        "morning_share": (baskets["time"].dt.hour < 12).groupby("customer_id").mean(),
        "evening_share": (baskets["time"].dt.hour >= 17).groupby("customer_id").mean(),
        "mean_hour": baskets["time"].dt.hour.groupby("customer_id").mean(),
        "discount_share": 1 - by["paid_cents"].sum() / by["list_cents"].sum(),
        "promo_share": promo["units"].sum() / by["units"].sum(),
        "promo_depth": 1 - promo["paid_cents"].sum() / promo["list_cents"].sum(),
    }
    for name, series in wanted.items():
        np.testing.assert_allclose(
            made[name].to_numpy(float), series.reindex(made.index).to_numpy(float), rtol=1e-9, err_msg=name
        )
    sent = shop["contacts"][(shop["contacts"]["time"] < AS_OF) & (shop["contacts"]["arm"] != "none")]
    young = pd.Timestamp(AS_OF) - sent["time"]
    counts = sent.groupby("customer_id").size().reindex(made.index, fill_value=0)
    np.testing.assert_array_equal(made["contacts_all"], counts)
    recent = sent[young <= pd.Timedelta(days=30)].groupby("customer_id").size().reindex(made.index, fill_value=0)
    np.testing.assert_array_equal(made["contacts_30"], recent)
    share = sent[young > pd.Timedelta(days=14)].groupby("customer_id")["redeemed"].mean().reindex(made.index)
    np.testing.assert_allclose(made["redeemed_share"].to_numpy(float), share.to_numpy(float))


def test_product_features_and_pairs_against_pandas(shop):
    lines = shop["lines"][shop["lines"]["time"] < AS_OF]
    made, by = computed(shop, "products").set_index("product_id"), lines.groupby("product_id")
    twice = lines.groupby(["product_id", "customer_id"])["basket_id"].nunique().gt(1).groupby("product_id").mean()
    for name, series in {
        "buyers": by["customer_id"].nunique(),
        "units": by["units"].sum(),
        "repeat_rate": twice,
        "popularity": by["customer_id"].nunique() / lines["customer_id"].nunique(),
        "price_paid": by["paid_cents"].sum() / by["units"].sum() / 100,
        "discount_share": 1 - by["paid_cents"].sum() / by["list_cents"].sum(),
    }.items():
        np.testing.assert_allclose(
            made[name].to_numpy(float), series.reindex(made.index).to_numpy(float), rtol=1e-9, err_msg=name
        )
    pairs, by = (
        computed(shop, "interactions").set_index(["customer_id", "product_id"]),
        lines.groupby(["customer_id", "product_id"]),
    )
    assert len(pairs) == by.ngroups
    np.testing.assert_array_equal(pairs["baskets"], by["basket_id"].nunique().reindex(pairs.index))
    first, last = by["time"].min(), by["time"].max()
    gap = ((last - first).dt.total_seconds() / 86_400 / (by["basket_id"].nunique() - 1).replace(0, np.nan)).reindex(pairs.index)
    np.testing.assert_allclose(pairs["gap"].to_numpy(float), gap.to_numpy(float))


def test_category_shares_sum_to_one_and_ranks_start_at_one(shop):
    shares = computed(shop, "category_spending")
    by = shares.groupby("customer_id")
    np.testing.assert_allclose(by["share"].sum(), 1)
    assert (by["rank"].min() == 1).all()
    top = shares.sort_values(["customer_id", "share"], ascending=[True, False]).groupby("customer_id").first()
    assert (top["rank"] == 1).all()
    assert set(shares["category"]) == {"K0", "K1", "K2", "K3", "K4"}


@pytest.mark.parametrize("which", SETS)
def test_two_runs_give_the_same_bytes_whatever_the_order_of_rows(shop, which):
    digests = set()
    for seed in range(3):
        shuffled = {name: frame.sample(frac=1, random_state=seed) for name, frame in shop.items()}
        digests.add(hashlib.sha256(computed(shuffled, which).to_csv().encode()).hexdigest())
    assert len(digests) == 1


def test_a_moment_with_a_time_zone_is_refused(shop):
    with pytest.raises(ValueError, match="give the shop's local time, without a time zone"):
        features.customer_features(on_duckdb(shop)["lines"], AS_OF.replace(tzinfo=UTC))


@pytest.mark.filterwarnings("ignore::pandas.errors.Pandas4Warning")  # pyspark's own, in its conversion to pandas
@pytest.mark.skipif(not shutil.which("java"), reason="Spark needs Java; the extra [spark] is for clusters")
@pytest.mark.parametrize("which", SETS)
def test_spark_gives_the_same(shop, which, spark):
    make, key = SETS[which]
    tables = {name: nw.from_native(spark.createDataFrame(frame)) for name, frame in shop.items()}
    there = make(tables).collect("pandas").to_native().sort_values(key, ignore_index=True)
    here = computed(shop, which)
    assert list(there) == list(here)
    for column in here:
        if pd.api.types.is_numeric_dtype(here[column]):
            np.testing.assert_allclose(there[column].to_numpy(float), here[column].to_numpy(float), rtol=1e-11, err_msg=column)
        else:
            assert there[column].astype(str).tolist() == here[column].astype(str).tolist()


@pytest.fixture(scope="module")
def spark(tmp_path_factory):
    pyspark = pytest.importorskip("pyspark.sql", reason="the extra [spark] is not installed")
    os.environ.setdefault("PYARROW_IGNORE_TIMEZONE", "1")
    settings = {
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.ui.enabled": "false",
        "spark.sql.shuffle.partitions": "2",
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.warehouse.dir": str(tmp_path_factory.mktemp("spark")),
    }
    builder = pyspark.SparkSession.builder.master("local[2]").appName("features")
    for name, value in settings.items():
        builder = builder.config(name, value)
    session = builder.getOrCreate()
    session.sparkContext.setLogLevel("ERROR")
    yield session
    session.stop()
