"""Cells as people type them, read as what a column holds: text, whole numbers, numbers, dates, yes and no."""

import pandas as pd

BLANK = {"", "na", "n/a", "nan", "null", "none", "-"}
YES, NO = {"true", "yes", "y", "1", "1.0"}, {"false", "no", "n", "0", "0.0"}
MOMENT = r"\d{4}-\d{2}-\d{2}(?:[ T]\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?)?"
WRONG = {
    "whole": "is not a whole number",
    "number": "is not a number",
    "date": "is not a date such as 2025-03-31",
    "time": "is not a moment such as 2025-03-31 17:45:00",
    "flag": "is neither true nor false",
}


def read_cells(cells: pd.Series, kind: str, keep_none: bool = False) -> tuple[pd.Series, pd.Series]:
    """Read one column: (values, unreadable), both as long as `cells`; `unreadable` marks cells that are not of the kind.

    Blanks, "N/A" and the like become missing; `keep_none` spares the word "none", which is the name of an arm.
    Numbers that are numbers already, and dates that are dates, pass through.
    """
    if kind in ("key", "id", "text"):
        if pd.api.types.is_integer_dtype(cells) and kind == "key":
            return cells, pd.Series(False, index=cells.index)
        text = _text(cells, keep_none)
        return text, pd.Series(False, index=cells.index)
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
    value = value.where(value.abs() < float("inf"))
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
