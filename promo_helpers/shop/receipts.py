"""Numbers of receipts that are used again, as by tills that restart each day: a basket is a number, a store, a day and a customer."""

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from promo_helpers.shop.shop import ShopWriter

WHOSE = ("store_id", "time", "customer_id")


def part_receipts(writer: ShopWriter) -> None:
    """Give each store, day and customer of a number that several share a basket of its own, and note the lines among the treatments."""
    shop = writer.preview()
    if not shop.has("transactions", "basket_id", *WHOSE):
        return
    path = shop.path("transactions")
    differ = "min(customer_id) <> max(customer_id) OR min(store_id) <> max(store_id) OR min(time)::DATE <> max(time)::DATE"
    file = str(path).replace("'", "''")
    shared = shop.connection.sql(f"SELECT basket_id::VARCHAR FROM read_parquet('{file}') GROUP BY basket_id HAVING {differ}")
    numbers = pa.array([row[0] for row in shared.fetchall()], pa.string())
    if not len(numbers):
        return
    parted, lines = path.with_suffix(".parted"), 0
    source = pq.ParquetFile(path)
    place = source.schema_arrow.get_field_index("basket_id")
    with pq.ParquetWriter(
        parted,
        source.schema_arrow.set(place, pa.field("basket_id", pa.string())),
        compression="zstd",
        compression_level=1,
        store_schema=False,
    ) as out:
        for number in range(source.num_row_groups):
            group = source.read_row_group(number)
            basket, store, customer = (group[c].cast(pa.string()) for c in ("basket_id", "store_id", "customer_id"))
            mine = pc.is_in(basket, value_set=numbers)
            day = pc.strftime(group["time"], format="%Y-%m-%d")
            group = group.set_column(
                place, "basket_id", pc.if_else(mine, pc.binary_join_element_wise(basket, store, day, customer, " "), basket)
            )
            out.write_table(group, row_group_size=max(group.num_rows, 1))
            lines += pc.sum(mine).as_py() or 0
    parted.replace(path)
    writer.treated(
        "lines of receipts that several share", lines, "a basket is taken as a number of a receipt, a store, a day and a customer"
    )
