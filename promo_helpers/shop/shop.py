"""A shop on disk: Parquet files with lazy frames over them, so that fifty million lines never need to be in memory."""

import difflib
import json
import shutil
import tempfile
import weakref
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import duckdb
import narwhals.stable.v2 as nw
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from promo_helpers.files import remove, replace_folder, scratch_beside
from promo_helpers.shop.tables import ARROW_TYPES, TABLES, Column

MEMORY_LIMIT = "3GB"  # what DuckDB may hold before it spills to disk; the project's budget is 4 GiB in all


class Shop:
    """The observable tables of a retailer, read from a folder that holds `<table>.parquet` files and a `shop.json`.

    Nothing is loaded until it is asked for: `lazy` gives a Narwhals frame over DuckDB, `frame` a pandas frame of a table (meant
    for small tables, or for a few columns of a large one).
    """

    def __init__(self, folder: Path | str):
        """Open a folder that `ShopWriter` wrote. Raises FileNotFoundError where there is none."""
        self.folder = Path(folder)
        described = self.folder / "shop.json"
        if not described.is_file():
            raise FileNotFoundError(f"{self.folder} holds no shop (no shop.json); the notebooks of `make paper` write one")
        self.info: dict[str, Any] = json.loads(described.read_text(encoding="utf-8"))

    @cached_property
    def connection(self) -> duckdb.DuckDBPyConnection:
        """A DuckDB connection with bounded memory. Row order is not kept by it: sort on a key before writing."""
        connection = duckdb.connect(":memory:")
        spill = tempfile.mkdtemp(prefix="promo-duckdb-")  # a lazy frame may outlive its shop, but not the connection
        weakref.finalize(connection, shutil.rmtree, spill, ignore_errors=True)
        connection.execute(f"SET memory_limit='{MEMORY_LIMIT}'; SET preserve_insertion_order=false")
        connection.execute(f"SET temp_directory='{spill}'")
        connection.execute("SET enable_progress_bar=false")
        return connection

    def path(self, table: str) -> Path:
        """The Parquet file of a table. Raises KeyError for a name that is not one of the six."""
        return self.folder / f"{TABLES[table].name}.parquet"

    def has(self, table: str, *columns: str) -> bool:
        """Whether the shop has the table, with a value in each of these columns: what is missing, or left blank, is never invented."""
        if not self.path(table).is_file():
            return False
        metadata = pq.read_metadata(self.path(table))
        place = {name: i for i, name in enumerate(metadata.schema.names)}
        return all(c in place and _filled(metadata, place[c]) for c in columns)

    def rows(self, table: str) -> int:
        """Number of rows of a table, read from the file's footer."""
        return int(pq.read_metadata(self.path(table)).num_rows)

    def lazy(self, table: str) -> nw.LazyFrame[Any]:
        """A lazy frame over the table: rows in no particular order, nothing read yet."""
        return nw.from_native(self.connection.read_parquet(str(self.path(table))))

    def frame(self, table: str, columns: list[str] | None = None) -> pd.DataFrame:
        """The table in memory, in the order of the file, strings as Arrow strings."""
        return pq.read_table(self.path(table), columns=columns).to_pandas(types_mapper=_pandas_type)

    def fingerprint(self) -> dict[str, Any]:
        """By what a saved model knows its shop: name, first_day, last_day, customers, lines, and weeks, Monday -> "lines cents" sold."""
        file = str(self.path("transactions")).replace("'", "''")
        weeks = self.connection.sql(
            "SELECT date_trunc('week', time)::DATE AS week, count(*), sum(paid_cents)::BIGINT, min(time)::DATE, max(time)::DATE "
            f"FROM read_parquet('{file}') GROUP BY week ORDER BY week"
        ).fetchall()
        return {
            "name": str(self.info["source"]),
            "first_day": str(weeks[0][3]) if weeks else "",
            "last_day": str(weeks[-1][4]) if weeks else "",
            "customers": self.rows("customers"),
            "lines": sum(w[1] for w in weeks),
            "weeks": {str(week): f"{lines} {cents}" for week, lines, cents, *_ in weeks},
        }

    @property
    def currency(self) -> str:
        """The currency of every price, such as LKR."""
        return str(self.info["currency"])

    @property
    def treatments(self) -> pd.DataFrame:
        """What was done to the source on the way in: columns treatment, rows, reason."""
        return pd.DataFrame(self.info["treatments"], columns=["treatment", "rows", "reason"])


def _filled(metadata: pq.FileMetaData, column: int) -> bool:
    """Whether any row has a value there, by the counts in the file's footer."""
    groups = (metadata.row_group(i) for i in range(metadata.num_row_groups))
    counts = ((g.num_rows, g.column(column).statistics) for g in groups)
    return any(known is None or not known.has_null_count or known.null_count < rows for rows, known in counts)


def _pandas_type(kind: pa.DataType) -> Any:
    """Pandas dtypes that keep a missing cell missing: Arrow strings, nullable integers and booleans where they are needed."""
    return pd.StringDtype("pyarrow", na_value=float("nan")) if pa.types.is_string(kind) else None


class ShopWriter:
    """Write a shop whole or not at all: tables go to a scratch folder that takes the real name when the block ends well.

    with ShopWriter(folder, source="...", currency="LKR") as writer:
        writer.append("customers", frame)       # as often as one likes: each call is one row group of the file
    """

    def __init__(self, folder: Path | str, *, source: str, currency: str, **facts: Any):
        self.folder = Path(folder)
        self.info: dict[str, Any] = {"source": source, "currency": currency, "treatments": [], **facts}
        self._writers: dict[str, pq.ParquetWriter] = {}

    def __enter__(self) -> Self:
        self.scratch = scratch_beside(self.folder)
        self.scratch.mkdir()
        return self

    def treated(self, treatment: str, rows: int, reason: str) -> None:
        """Note a treatment of the source, with the number of rows it touched."""
        self.info["treatments"].append({"treatment": treatment, "rows": int(rows), "reason": reason})

    def append(self, table: str, frame: pd.DataFrame | pa.Table) -> None:
        """Add rows to a table. Columns that the dictionary does not know are left out; the first call fixes which ones there are."""
        given = pa.Table.from_pandas(frame, preserve_index=False) if isinstance(frame, pd.DataFrame) else frame
        if table not in self._writers:
            fields = [pa.field(c.name, _arrow_type(c, given)) for c in TABLES[table].columns if c.name in given.column_names]
            self._writers[table] = pq.ParquetWriter(
                self.scratch / f"{table}.parquet",
                pa.schema(fields),
                compression="zstd",
                compression_level=1,  # level 3 is 6 % smaller and takes twice as long
                store_schema=False,  # so that text which came as codes (a dictionary) is read back as text
            )
        schema = self._writers[table].schema
        self._writers[table].write_table(given.select(schema.names).cast(schema), row_group_size=max(given.num_rows, 1))

    def preview(self) -> Shop:
        """Close the tables and open them as the shop they will be, to check what only whole tables can tell."""
        for writer in self._writers.values():
            writer.close()
        (self.scratch / "shop.json").write_text(json.dumps(self.info, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        return Shop(self.scratch)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        try:
            self.preview()
            if kind is None:
                replace_folder(self.scratch, self.folder)
        finally:
            remove(self.scratch)


def _arrow_type(column: Column, given: pa.Table) -> pa.DataType:
    if pa.types.is_dictionary(given.schema.field(column.name).type):
        return pa.dictionary(pa.int32(), pa.string())  # text as codes is written as codes: ten times as fast
    if column.kind == "key":
        return pa.int64() if pa.types.is_integer(given.schema.field(column.name).type) else pa.string()
    return ARROW_TYPES[column.kind]


def find_name(name: str, names: Sequence[str], kind: str = "product") -> int:
    """Place of a name, whatever its capitals. Raises KeyError that suggests the nearest names where there is none."""
    small = [str(n).lower() for n in names]
    if str(name).lower() in small:
        return small.index(str(name).lower())
    near = difflib.get_close_matches(str(name).lower(), small, n=3, cutoff=0.5)
    hint = f"; the nearest: {', '.join(str(names[small.index(n)]) for n in near)}" if near else ""
    raise KeyError(f"no {kind} is called '{name}'{hint}")
