"""The five feature sets as files, made inside DuckDB some customers at a time, so that fifty million lines never need to be in memory."""

import itertools
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import narwhals.stable.v2 as nw
import pyarrow as pa
import pyarrow.parquet as pq

from promo_helpers.features.customers import (
    Frame,
    category_purchases,
    category_spending,
    contact_features,
    customer_features,
    interactions_of,
    pair_sums,
    product_features_of,
)
from promo_helpers.features.purchases import with_discount
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
LINES = 8_000_000  # in memory at a time: customers are taken in slices with about so many lines, else groups spill to disk


def write_features(shop: Shop, as_of: datetime, folder: Path | str, csv: bool = False) -> list[Path]:
    """Write the features of a shop as of a moment (lines strictly before it) to `folder`, one Parquet file a set; with `csv` also CSV.

    Every customer and every product of the shop has a row, with what the shop records of it: without a line before the moment its
    features are missing, and `frequency` or `buyers` is 0. Rows are sorted on their key, nothing is rounded, and two runs give the
    same bytes. The folder is replaced whole or not at all. Returns the files. Raises ValueError for a moment with a time zone.
    """
    folder = Path(folder)
    scratch = scratch_beside(folder)
    products, writers = shop.lazy("products"), dict[str, pq.ParquetWriter]()

    def write(name: str, frame: Frame) -> Frame:
        """Add sorted rows to a file, and hand them back as they are now: computed."""
        rows: pa.Table = (frame.sort(KEYS[name]) if name in KEYS else frame).collect("pyarrow").to_native()
        if name not in writers:
            writers[name] = pq.ParquetWriter(scratch / f"{name}.parquet", rows.schema, compression="zstd", compression_level=1)
        writers[name].write_table(rows, row_group_size=max(len(rows), 1))
        return nw.from_native(shop.connection.from_arrow(rows))

    try:
        scratch.mkdir()
        for cut in _slices(shop):
            lines = cut(with_discount(shop.lazy("transactions")))
            write("customer_features", _customers(shop, cut, lines, as_of))
            write("customer_product_interactions", interactions_of(write("pairs", pair_sums(lines, as_of))))
            purchases = write("category_purchases", category_purchases(lines, products, as_of))
            write("category_spending_pct", category_spending(purchases))
        writers["pairs"].close()
        pairs: Frame = nw.from_native(shop.connection.read_parquet(str(scratch / "pairs.parquet")))
        write("product_features", _described(products, PRODUCT, product_features_of(pairs), "product_id", "buyers"))
        remove(scratch / "pairs.parquet")
        for name, writer in writers.items():
            writer.close()
            if csv and name in KEYS:
                written = shop.connection.read_parquet(str(scratch / f"{name}.parquet"))
                written.order(", ".join(KEYS[name])).write_csv(str(scratch / f"{name}.csv"), header=True)
        replace_folder(scratch, folder)
    finally:
        remove(scratch)
    return [folder / f"{name}.{kind}" for kind in ("parquet", "csv")[: 1 + csv] for name in KEYS]


def _slices(shop: Shop) -> list[Callable[[Frame], Frame]]:
    """Filters that split a shop by customer, in the order of their names; one filter for a shop that is small enough."""
    names = shop.frame("customers", ["customer_id"])["customer_id"].sort_values().tolist()
    size = -(-len(names) // max(-(-shop.rows("transactions") // LINES), 1))

    def between(first: str, stop: str | None) -> Callable[[Frame], Frame]:
        name = nw.col("customer_id")
        return lambda frame: frame.filter(name >= first, *([name < stop] if stop is not None else []))

    return [between(first, stop) for first, stop in itertools.pairwise([*names[::size], None])]


def _customers(shop: Shop, cut: Callable[[Frame], Frame], lines: Frame, as_of: datetime) -> Frame:
    """All customers, described, with their features, and with the offers sent to them, whether or not they bought."""
    frame = _described(cut(shop.lazy("customers")), CUSTOMER, customer_features(lines, as_of), "customer_id", "frequency")
    if not shop.has("contacts"):
        return frame
    contacts, known = cut(shop.lazy("contacts")), shop.has("contacts", "redeemed")
    sent = contact_features(contacts if known else contacts.with_columns(redeemed=nw.lit(False)), as_of)
    sent = sent if known else sent.drop("redeemed_share")
    return frame.join(sent, on="customer_id", how="left").with_columns(nw.col("contacts_30", "contacts_all").fill_null(0))


def _described(table: Frame, columns: tuple[str, ...], made: Frame, key: str, count: str) -> Frame:
    """What the shop records of each customer or product, and beside it the features; a count without a line is 0."""
    known = table.select(key, *(c for c in columns if c in table.columns))
    return known.join(made, on=key, how="left").with_columns(nw.col(count).fill_null(0))
