"""From the cells of a CSV file to arms and features: numbers, and text coded under names that can be read."""

import re

import numpy as np
import pandas as pd

from promo_helpers.shop.cells import read_cells

LEVELS = 12  # text with at most so many different values becomes one column for each but the most frequent
MOSTLY = 0.9  # a column of which so much reads as numbers is meant to be one; the rest are mistakes
ALIKE = 0.9999  # correlation


def arm_name(cell: str) -> str:
    """One spelling for each arm: 15.0 and 15 are one."""
    cell = cell.strip()
    return f"{float(cell):.10g}" if re.fullmatch(r"\d+(\.\d+)?", cell) else cell


def depths(arms: tuple[str, ...]) -> np.ndarray:
    """[arm] the discount in an arm's name as a share, NaN for the control (the first) and where there is none.

    "15 %" and "SAVE 15%" are .15. Bare numbers are taken as percent where all arms but the control are numbers and the largest is
    at least 5 (0 is then a reminder), as shares where one lies between 0 and 1; so a flag (1) or the codes 1, 2, 3 are none.
    """
    found = np.full(len(arms), np.nan)
    for i, name in enumerate(arms[1:], 1):
        if sign := re.search(r"(\d+(?:\.\d+)?)\s*%", name):
            found[i] = float(sign[1]) / 100
    if arms[1:] and all(re.fullmatch(r"\d+(\.\d+)?", a) for a in arms[1:]):
        numbers = np.array([float(a) for a in arms[1:]])
        if numbers.max() >= 5 or ((numbers > 0) & (numbers < 1)).any():
            found[1:] = numbers / (100 if numbers.max() > 1 else 1)
    return np.where(found <= 1, found, np.nan)


def code_feature(name: str, cells: pd.Series) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """({column: values}, unreadable) of one feature, both by row; what is missing stays missing (NaN) in each of its columns.

    Numbers stay; yes and no (or true and false) become 1 and 0; text with up to 12 levels becomes a column "name: level" of 0 and 1
    for each level but the most frequent, which is where the others are 0; other text its place in alphabetical order, as
    "name (code)": a date such as 2025-03-31 then keeps its order. Cells that are no numbers in a column of numbers are unreadable.
    """
    number, wrong = read_cells(cells, "number")
    given = int(number.notna().sum() + wrong.sum())
    if given == 0 or wrong.sum() <= (1 - MOSTLY) * given:
        return {name: number.to_numpy(float)}, wrong.to_numpy(bool)
    none = np.zeros(len(cells), bool)
    flag, strange = read_cells(cells, "flag")
    if not strange.any():
        return {name: flag.astype("Float64").to_numpy(float, na_value=np.nan)}, none
    text, _ = read_cells(cells, "text")
    code, levels = pd.factorize(text, sort=True)
    if len(levels) > LEVELS:
        return {f"{name} (code)": np.where(code < 0, np.nan, code).astype(float)}, none
    base = int(np.bincount(code[code >= 0]).argmax())
    shown = {f"{name}: {level}": np.where(code < 0, np.nan, code == i) for i, level in enumerate(levels) if i != base}
    return shown or {name: np.where(code < 0, np.nan, 0.0)}, none


def names_rows(cells: pd.Series) -> bool:
    """Whether a column of text has another value in most rows, and so names them rather than describes them."""
    text, _ = read_cells(cells, "text")
    number, _ = read_cells(cells, "number")
    return bool(number.isna().all() and len(text) >= 50 and text.nunique() > len(text) / 2)


def tells(feature: np.ndarray, known: np.ndarray) -> bool:
    """Whether a feature says what is known later only: the same by value, or by rank, or above 0 in the same rows or the others."""
    both = ~np.isnan(feature) & ~np.isnan(known)
    a, b = feature[both], known[both]
    if len(a) < 20 or len(np.unique(a)) < 2 or len(np.unique(b)) < 2:
        return False
    if abs(np.corrcoef(a, b)[0, 1]) > ALIKE or abs(np.corrcoef(_rank(a), _rank(b))[0, 1]) > ALIKE:
        return True
    events = [(v > 0) if (v > 0).any() and not (v > 0).all() else v > np.median(v) for v in (a, b)]
    same = events[0] == events[1]
    return bool(events[1].sum() >= 10 and (~events[1]).sum() >= 10 and (same.all() or not same.any()))


def _rank(values: np.ndarray) -> np.ndarray:
    return pd.Series(values).rank().to_numpy(float)
