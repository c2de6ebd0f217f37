"""Cells as people type them, read as what a column holds: text, whole numbers, numbers, dates, yes and no."""

import re

import numpy as np
import pandas as pd

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
