"""Cells as people type them, read as what a column holds: text, whole numbers, numbers, dates, yes and no."""

import codecs
import csv
import re
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

BLANK = {"", "na", "n/a", "nan", "null", "none", "-"}
YES, NO = {"true", "yes", "y", "1", "1.0"}, {"false", "no", "n", "0", "0.0"}
MOMENT = r"\d{4}-\d{2}-\d{2}(?:[ T]\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?)?"
LARGEST = 2**53  # beyond it a floating point number no longer tells one whole number from the next, and no amount is meant
WRONG = {
    "whole": "is not a whole number",
    "number": "is not a number",
    "date": "is not a date such as 2025-03-31",
    "time": "is not a moment such as 2025-03-31 17:45:00",
    "flag": "is neither true nor false",
}


def read_cells(cells: pd.Series, kind: str, keep_none: bool = False) -> tuple[pd.Series, pd.Series]:
    """Read one column: (values, unreadable), both as long as `cells`; `unreadable` marks cells that are not of the kind.

    Blanks, "N/A" and the like become missing; `keep_none` is for arms: it spares the word "none", which is the name of one, and
    writes each arm in one way.
    Numbers that are numbers already, and dates that are dates, pass through. Text that comes as codes (a pandas category) leaves as
    codes: each different cell is read once.
    """
    if isinstance(cells.dtype, pd.CategoricalDtype):
        values, unreadable = read_cells(pd.Series(cells.cat.categories), kind, keep_none)
        codes = cells.cat.codes.to_numpy()
        if isinstance(values.dtype, pd.StringDtype):
            numbers, names = pd.factorize(values)  # two cells may be read as one name, and a blank as none
            category = pd.Categorical.from_codes(np.append(numbers, -1)[codes], names)
            return pd.Series(category, cells.index), pd.Series(False, index=cells.index)
        return values.reindex(codes).set_axis(cells.index), unreadable.reindex(codes, fill_value=False).set_axis(cells.index)
    if kind in ("key", "id", "text"):
        if pd.api.types.is_float_dtype(cells) and (cells.dropna() % 1 == 0).all():
            cells = cells.astype("Int64")  # numbers with gaps: the name is 12, not 12.0
        if pd.api.types.is_integer_dtype(cells) and kind == "key":
            return cells, pd.Series(False, index=cells.index)
        text = _text(cells, keep_none)
        return _arms(text) if keep_none else text, pd.Series(False, index=cells.index)
    if kind in ("date", "time"):
        if pd.api.types.is_datetime64_dtype(cells):
            return cells.astype("datetime64[us]"), pd.Series(False, index=cells.index)
        text = _text(cells)
        value = pd.to_datetime(text.where(text.str.fullmatch(MOMENT)), format="ISO8601", errors="coerce").astype("datetime64[us]")
        return value, text.notna() & value.isna()
    if kind == "flag":
        if pd.api.types.is_bool_dtype(cells):
            return cells.astype("boolean"), pd.Series(False, index=cells.index)
        text = _text(cells).str.lower()
        value = pd.Series(pd.NA, index=cells.index, dtype="boolean").mask(text.isin(YES), True).mask(text.isin(NO), False)
        return value, text.notna() & value.isna()
    if pd.api.types.is_numeric_dtype(cells):
        value, given = cells, cells.notna()
    else:
        text = _text(cells)
        value, given = pd.to_numeric(text, errors="coerce"), text.notna()
    value = value.where(value.abs() <= LARGEST)
    unreadable = given & value.isna()
    if kind == "whole":
        fraction = value.notna() & (value % 1 != 0)
        return value.where(~fraction).astype("Int64"), unreadable | fraction
    return value.astype("float64"), unreadable


def _text(cells: pd.Series, keep_none: bool = False) -> pd.Series:
    if not isinstance(cells.dtype, pd.StringDtype):
        cells = cells.astype("Int64").astype("str") if pd.api.types.is_integer_dtype(cells) else cells.astype("str")
    text = cells.str.strip()
    blank = BLANK - {"none"} if keep_none else BLANK
    short = text.str.len() <= max(map(len, blank))  # most cells are longer, and lowering them all would be the slow part
    return text.mask(short & text.str.lower().isin(blank)) if short.any() else text


def _arms(text: pd.Series) -> pd.Series:
    """One spelling for each arm: "None" and "none" are one, and so are 15.0 and 15, which would otherwise count as two."""
    text = text.str.lower()
    spelled = {arm: f"{float(arm):.10g}" for arm in text.dropna().unique() if re.fullmatch(r"\d+(\.\d+)?", arm)}
    return text.map(spelled).astype(text.dtype).fillna(text)


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


def complete_lines(lines: pd.DataFrame) -> pd.DataFrame:
    """Add what follows from a line's own cells: amounts in cents, the discount where the amount paid tells it, returns, baskets.

    list = units x price; paid is taken as given, else list x (1 - discount). A discount that is not given follows from paid / list
    (a price per unit is rounded, so that paid may exceed list by half a cent a unit: that is no discount, nor is it an error).
    """
    if not {"units", "price"} <= set(lines):
        return lines
    lines = lines.copy(deep=False)
    listed = np.rint((lines["units"].astype("float64") * lines["price"] * 100).fillna(0))
    paid = np.rint(listed * (1 - lines["discount"].fillna(0))) if "discount" in lines else listed
    if "paid" in lines:
        given = np.rint(lines.pop("paid") * 100)
        paid = given.fillna(paid)
        share = 1 - given / listed.where((listed != 0) & (lines["price"] >= 0))
        share = share.mask((share < 0) & ((given - listed).abs() <= lines["units"].abs().astype("float64") / 2), 0)
        lines["discount"] = (lines["discount"].fillna(share) if "discount" in lines else share).astype("float64")
    lines["list_cents"], lines["paid_cents"] = listed.astype("int64"), paid.astype("int64")
    lines["is_return"] = (lines["units"] < 0).fillna(False).astype("bool")
    if {"customer_id", "store_id", "time"} <= set(lines):
        if "basket_id" not in lines:
            lines["basket_id"] = _basket(lines)
        elif lines["basket_id"].isna().any():
            lines["basket_id"] = lines["basket_id"].astype("str").where(lines["basket_id"].notna(), _basket(lines))
    return lines


def check_paid(lines_read: pd.DataFrame, lines: pd.DataFrame, row: int, problems: Problems) -> pd.DataFrame:
    """Where the discount follows from the amount paid, it is that amount which can be wrong, and the message names it."""
    if "paid" not in lines_read or "paid" in lines:
        return lines
    follows = lines_read["discount"].isna() if "discount" in lines_read else pd.Series(True, index=lines.index)
    wrong = follows & lines["discount"].notna() & ~lines["discount"].between(0, 1)
    if not wrong.any():
        return lines
    units, price = (problems.headings.get(("transactions", c), c) for c in ("units", "price"))
    at = np.flatnonzero(wrong)
    found = [(row + int(i), float(lines_read["paid"].iloc[i])) for i in at[:SHOWN]]
    problems.rows("transactions", "paid", f"is not between 0 and {units} x {price}", found, len(at))
    return lines.assign(discount=lines["discount"].mask(wrong))


def _basket(lines: pd.DataFrame) -> pd.Series:
    """What one customer bought in one store at one moment is one basket."""
    customer, store, time = (lines[c].astype("str") for c in ("customer_id", "store_id", "time"))
    return customer + " " + store + " " + time
