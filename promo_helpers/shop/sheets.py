"""Tables for people who open them in a spreadsheet: no cell starts a formula, written whole or not at all, read back as they were."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from promo_helpers import paths
from promo_helpers.files import write_text, written_whole
from promo_helpers.shop.tables import TABLES, data_dictionary

RISKY = ("=", "+", "-", "@", "\t", "\r", "\n")  # a spreadsheet takes a cell that begins so for a formula


def safe(text: str) -> str:
    """Text that no spreadsheet takes for a formula: a leading apostrophe where it would."""
    return f"'{text}" if str(text).startswith(RISKY) else str(text)


def safe_phone(number: str) -> str:
    """A telephone number that no spreadsheet takes for a formula, and every gateway can dial: +94 ... becomes 0094 ..."""
    text = str(number).strip()
    return safe(f"00{text[1:].lstrip()}" if text.startswith("+") else text)


def write_sheet(frame: pd.DataFrame, path: Path, text: Sequence[str]) -> None:
    """Write a frame as CSV in UTF-8, whole or not at all. Cells of the columns `text` are made safe; a missing one is left blank.
    Numbers have at most twelve digits, whole ones no point: 10, not 10.0.

    Raises ValueError for a further column that holds text, since that would be written as it is.
    """
    rest = [c for c in frame if c not in text and not pd.api.types.is_numeric_dtype(frame[c])]
    if rest:
        raise ValueError(f"{rest[0]} holds text and is not named as such, so that its cells would not be made safe")
    out = frame.copy()
    for column in (c for c in text if c in frame):
        out[column] = [safe(cell) if pd.notna(cell) else "" for cell in frame[column]]
    with written_whole(path) as scratch:
        out.to_csv(scratch, index=False, encoding="utf-8", lineterminator="\n", float_format="%.12g")


def read_sheet(path: Path, text: Sequence[str]) -> pd.DataFrame:
    """A sheet as it was written: text as text, also where it looks like a number or says NA; a blank in another column is missing."""
    columns = pd.read_csv(path, nrows=0, encoding="utf-8").columns
    kinds = {c: str if c in text else float for c in columns}
    blank = {c: [""] for c in columns if c not in text}
    return pd.read_csv(path, dtype=kinds, keep_default_na=False, na_values=blank, encoding="utf-8")


README = """A shop of your own
==================

Fill these files and keep their names and headings; columns that are not needed may stay empty or be removed.
DataDictionary.csv says of every column what it means, whether it is needed and what is refused.

{files}

Dates are written 2025-03-31, moments 2025-03-31 17:45:00 (local time); discounts as a share, 0.15 for 15 %; amounts in one currency.
Save as CSV UTF-8, separated by commas. The project checks all files before it uses any and lists every problem at once.

Then:  make notebook N=02_shop SHOP={folder} CURRENCY=LKR
"""


def write_template(folder: Path) -> None:
    """Write one CSV file per table with nothing but its headings, DataDictionary.csv and README.txt. Keeps filled files."""
    for table in TABLES.values():
        path = folder / table.file
        if path.is_file() and len(path.read_bytes().splitlines()) > 1:
            print(f"{paths.display_path(path)} holds rows and is kept")
            continue
        write_text(path, ",".join(c.heading for c in table.columns if c.template) + "\n")
    with written_whole(folder / "DataDictionary.csv") as scratch:
        data_dictionary().to_csv(scratch, index=False)
    width = max(len(t.file) for t in TABLES.values())
    files = "\n".join(f"  {t.file:{width}}  {t.meaning}{' (may be left out)' if t.optional else ''}" for t in TABLES.values())
    write_text(folder / "README.txt", README.format(files=files, folder=paths.display_path(folder)))
