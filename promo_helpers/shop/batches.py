"""The rows of a file as they are read: CSV or Parquet, a bounded number at a time, under the columns' names."""

import codecs
import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from promo_helpers.shop.checks import SHOWN, Problems
from promo_helpers.shop.tables import Table

BATCH = 500_000  # rows of a Parquet file in memory at a time
BLOCK = 1 << 26  # bytes of a CSV file in memory at a time
Batches = Iterator[pd.DataFrame]


def _heading(text: str) -> str:
    """A heading as it is compared: CustomerID, customer_id and "Customer ID" are one."""
    return "".join(ch for ch in text.casefold() if ch.isalnum())


def _columns_of(headings: list[str], table: Table, problems: Problems) -> dict[str, str]:
    """Which heading holds which column: {column: heading}. Notes columns that are missing, there twice, or given in percent."""
    found: dict[str, str] = {}
    for column in table.columns:
        spellings = [_heading(s) for s in (column.heading, column.name, *column.aliases, *column.percent_aliases)]
        same = [h for s in dict.fromkeys(spellings) for h in headings if _heading(h) == s]
        if same:
            found[column.name] = same[0]
            problems.headings[table.name, column.name] = same[0].strip()
            if _heading(same[0]) in map(_heading, column.percent_aliases):
                problems.percent.add((table.name, column.name))
        elif column.need != "optional":
            also = f" (also read under {', '.join(column.aliases)})" if column.aliases else ""
            problems.file(table.name, f"the column {column.heading} is missing{also}")
        else:
            problems.headings[table.name, column.name] = column.heading
    alike = [[h.strip() for h in headings if _heading(h) == _heading(first)] for first in found.values()]
    for twice in (a for a in alike if len(a) > 1):
        if len(set(twice)) == 1:
            problems.file(table.name, f"the heading {twice[0]} stands there more than once")
        else:
            problems.file(table.name, f"the headings {' and '.join(twice)} mean the same; keep one")
        found = {c: h for c, h in found.items() if _heading(h) != _heading(twice[0])}
    return found


def csv_batches(path: Path, table: Table, problems: Problems) -> Batches:
    """The rows of a CSV file as text, under the columns' names, a bounded number at a time."""
    if path.stat().st_size == 0:
        problems.file(table.name, "the file is empty")
        return
    if bad := _not_utf8(path):
        problems.file(table.name, f"the file is not UTF-8 (row {bad:,}); save it as CSV UTF-8")
        return
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = csv.reader(file)
        headings, more = next(rows, []), next(rows, None) is not None
    if not any(h.strip() for h in headings):
        problems.file(table.name, "the first row is blank; the headings belong there")
        return
    for sign, signs in ((";", "semicolons"), ("\t", "tabs")):
        if len(headings) == 1 and sign in headings[0]:
            problems.file(table.name, f"the cells are separated by {signs}; save it with commas")
            return
    found = _columns_of(headings, table, problems)
    if not found or not more:
        return
    ragged: list[int] = []
    blank: list[int] = []
    row = 2
    try:
        for block in _open(path, headings, list(found.values()), ragged):
            frame = pa.Table.from_batches([block]).to_pandas().set_axis(list(found), axis=1)
            empty = _blank_rows(frame)
            if empty.any():  # blank lines between the rows, or below them, as a spreadsheet leaves them
                blank += (row + np.flatnonzero(empty)).tolist()
                frame = frame[~empty].reset_index(drop=True)
            row += len(empty)
            yield frame
    except pa.ArrowInvalid:
        problems.file(table.name, "the file cannot be read as CSV; is a quotation mark not closed?")
    if ragged:
        problems.skipped[table.name] = numbers = _ragged(path, len(headings))
        count = (
            f"{len(ragged):,} row{'s have' if len(ragged) > 1 else ' has'} more or fewer cells than the {len(headings)} headings"
        )
        first = ", ".join(f"row {n:,}" for n in numbers[:SHOWN])
        problems.file(table.name, f"{count}: {first}{', ...' * (len(ragged) > SHOWN)}")
    problems.skipped[table.name] = sorted([*problems.skipped.get(table.name, []), *(problems.row(table.name, n) for n in blank)])


def _blank_rows(frame: pd.DataFrame) -> np.ndarray:
    """Which rows hold nothing: the first column answers for nearly all, so that the others are seldom looked at."""
    empty = np.ones(len(frame), dtype=bool)
    for column in frame:
        if not empty.any():
            break
        empty &= (frame[column].str.strip() == "").to_numpy()
    return empty


def _open(path: Path, headings: list[str], wanted: list[str], ragged: list[int]) -> pyarrow.csv.CSVStreamingReader:
    def note(row: Any) -> str:
        ragged.append(row.actual_columns)
        return "skip"

    return pyarrow.csv.open_csv(
        path,
        read_options=pyarrow.csv.ReadOptions(block_size=BLOCK),
        parse_options=pyarrow.csv.ParseOptions(newlines_in_values=True, ignore_empty_lines=False, invalid_row_handler=note),
        convert_options=pyarrow.csv.ConvertOptions(
            include_columns=wanted, column_types=dict.fromkeys(headings, pa.string()), strings_can_be_null=False
        ),
    )


def _ragged(path: Path, width: int) -> list[int]:
    """The numbers of the rows that are wider or narrower than the heading: the fast reader tells their number only."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        return [number for number, cells in enumerate(csv.reader(file), 1) if cells and len(cells) != width]


def _not_utf8(path: Path) -> int:
    """The number of the first row that is not UTF-8, or 0."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        with path.open("rb") as file:
            while block := file.read(1 << 24):
                decoder.decode(block)
            decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        with path.open(encoding="utf-8", errors="replace", newline="") as file:
            return next((n for n, cells in enumerate(csv.reader(file), 1) if "\ufffd" in "".join(cells)), 1)
    return 0


def parquet_batches(path: Path, table: Table, problems: Problems) -> Batches:
    """The rows of a Parquet file, under the columns' names, a bounded number at a time."""
    try:
        file = pq.ParquetFile(path)
    except pa.ArrowInvalid:
        problems.file(table.name, "the file is not Parquet")
        return
    found = _columns_of(file.schema_arrow.names, table, problems)
    if not found:
        return
    for block in file.iter_batches(BATCH, columns=list(found.values())):
        yield block.to_pandas().rename(columns={h: c for c, h in found.items()})
