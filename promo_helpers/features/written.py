"""The five feature sets as files, made inside DuckDB so that fifty million lines never need to be in memory."""

from datetime import datetime
from pathlib import Path

import narwhals.stable.v2 as nw

from promo_helpers.features.customers import contact_features, customer_features
from promo_helpers.features.pairs import category_purchases, category_spending, interactions
from promo_helpers.features.point_in_time import Frame
from promo_helpers.features.products import product_features
from promo_helpers.files import remove, replace_folder, scratch_beside
from promo_helpers.shop import Shop

KEYS = {  # file -> what its rows are unique and sorted by
    "customer_features": ["customer_id"],
    "product_features": ["product_id"],
    "customer_product_interactions": ["customer_id", "product_id"],
    "category_purchases": ["customer_id", "category"],
    "category_spending_pct": ["customer_id", "category"],
}
CUSTOMER = ("gender", "age", "age_band", "city", "segment", "income_band", "household_size", "registration_date")
PRODUCT = ("category", "brand", "price", "margin")


def write_features(shop: Shop, as_of: datetime, folder: Path | str, csv: bool = False) -> list[Path]:
    """Write the features of a shop as of a moment (lines strictly before it) to `folder`, one Parquet file a set; with `csv` also CSV.

    Every customer and every product of the shop has a row, with what the shop records of it: without a line before the moment its
    features are missing, and `frequency` or `buyers` is 0. Rows are sorted on their key, nothing is rounded, and two runs give the
    same bytes. The folder is replaced whole or not at all. Returns the files. Raises ValueError for a moment with a time zone.
    """
    folder = Path(folder)
    scratch = scratch_beside(folder)
    lines, products = shop.lazy("transactions"), shop.lazy("products")
    if "discount" not in lines.columns:  # nothing was said of discounts, and then the amounts show none
        lines = lines.with_columns(discount=nw.lit(None, nw.Float64))
    try:
        scratch.mkdir()

        def write(name: str, frame: Frame) -> Frame:
            frame.sort(KEYS[name]).to_native().write_parquet(str(scratch / f"{name}.parquet"), compression="zstd")
            written: Frame = nw.from_native(shop.connection.read_parquet(str(scratch / f"{name}.parquet")))
            if csv:
                written.sort(KEYS[name]).to_native().write_csv(str(scratch / f"{name}.csv"), header=True)
            return written

        write("customer_features", _customers(shop, lines, as_of))
        bought = product_features(lines, as_of)
        write("product_features", _described(products, PRODUCT, bought, "product_id", "buyers"))
        write("customer_product_interactions", interactions(lines, as_of))
        purchases = write("category_purchases", category_purchases(lines, products, as_of))
        write("category_spending_pct", category_spending(purchases))
        replace_folder(scratch, folder)
    finally:
        remove(scratch)
    return [folder / f"{name}.{kind}" for kind in ("parquet", "csv")[: 1 + csv] for name in KEYS]


def _customers(shop: Shop, lines: Frame, as_of: datetime) -> Frame:
    """All customers, described, with their features, and with the offers sent to them, whether or not they bought."""
    frame = _described(shop.lazy("customers"), CUSTOMER, customer_features(lines, as_of), "customer_id", "frequency")
    if not shop.has("contacts"):
        return frame
    contacts, known = shop.lazy("contacts"), shop.has("contacts", "redeemed")
    sent = contact_features(contacts if known else contacts.with_columns(redeemed=nw.lit(False)), as_of)
    sent = sent if known else sent.drop("redeemed_share")
    return frame.join(sent, on="customer_id", how="left").with_columns(nw.col("contacts_30", "contacts_all").fill_null(0))


def _described(table: Frame, columns: tuple[str, ...], made: Frame, key: str, count: str) -> Frame:
    """What the shop records of each customer or product, and beside it the features; a count without a line is 0."""
    known = table.select(key, *(c for c in columns if c in table.columns))
    return known.join(made, on=key, how="left").with_columns(nw.col(count).fill_null(0))
