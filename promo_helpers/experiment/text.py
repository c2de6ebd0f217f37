"""The cells of a CSV file as text, and what is wrong with them: every problem of the file in one error."""

import csv
import difflib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from promo_helpers import paths

SHOWN = 3  # how many rows a message names


class ExperimentError(ValueError):
    """The file cannot be used. The message lists every problem; `problems` holds the same, one sentence each."""

    def __init__(self, path: Path, problems: Sequence[str]):
        self.problems = list(problems)
        count = f"{len(self.problems)} problem{'s' * (len(self.problems) != 1)}"
        super().__init__("\n  ".join([f"The experiment in {paths.shown(path)} cannot be used: {count}.", *self.problems]))


class FileProblems:
    """What is wrong with a file, one sentence each. `row` [row] are the numbers that a spreadsheet shows for them."""

    def __init__(self, path: Path, row: np.ndarray):
        self.path, self.row, self.found = path, row, list[str]()

    def add(self, wrong: str) -> None:
        self.found.append(f"{self.path.name}: {wrong}")

    def rows(self, column: str, wrong: str, where: pd.Series, cells: pd.Series) -> None:
        """Cells of a column that break a rule."""
        at = np.flatnonzero(where)
        if len(at):
            first = ", ".join(f"row {self.row[i]:,} ({str(cells.iloc[i]) or 'blank'!r})" for i in at[:SHOWN])
            rows = f"{len(at):,} row{'s' * (len(at) != 1)}"
            self.add(f"{column} {wrong} in {rows}: {first}{', ...' * (len(at) > SHOWN)}")

    def stop(self) -> None:
        """Raise what was found, if anything was."""
        if self.found:
            raise ExperimentError(self.path, self.found)


def read_text(path: Path, wanted: Sequence[str]) -> tuple[pd.DataFrame, np.ndarray]:
    """The wanted columns as text, and the number of each row. What hinders reading itself is raised at once: nothing else can be said."""
    problems = FileProblems(path, np.zeros(0, int))
    if not path.is_file():
        problems.add("there is no such file")
    elif path.stat().st_size == 0:
        problems.add("the file is empty")
    problems.stop()
    rows, row = list[list[str]](), list[int]()
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            for number, line in enumerate(csv.reader(file, strict=True), 1):
                if any(cell.strip() for cell in line):
                    rows.append(line)
                    row.append(number)
    except UnicodeDecodeError:
        problems.add("the file is not UTF-8; save it as CSV UTF-8")
    except csv.Error:
        problems.add("the file cannot be read as CSV; is a quotation mark not closed?")
    problems.stop()
    headings = [h.strip() for h in rows[0]] if rows else []
    for sign, signs in ((";", "semicolons"), ("\t", "tabs")):
        if len(headings) == 1 and sign in headings[0]:
            problems.add(f"the cells are separated by {signs}; save it with commas")
    problems.stop()
    for column in dict.fromkeys(wanted):
        if column not in headings:
            near = difflib.get_close_matches(column, headings, 1, 0.7)
            problems.add(f"the column {column} is missing" + f" (is it {near[0]}?)" * bool(near))
        elif headings.count(column) > 1:
            problems.add(f"the heading {column} stands there more than once")
    numbered = zip(row[1:], rows[1:], strict=True)
    if ragged := [n for n, line in numbered if len(line) != len(headings)]:
        count = (
            f"{len(ragged):,} row{'s have' if len(ragged) > 1 else ' has'} more or fewer cells than the {len(headings)} headings"
        )
        problems.add(f"{count}: {', '.join(f'row {n:,}' for n in ragged[:SHOWN])}{', ...' * (len(ragged) > SHOWN)}")
    if len(rows) == 1:
        problems.add("the file holds no rows")
    problems.stop()
    places = {c: headings.index(c) for c in dict.fromkeys(wanted)}
    return pd.DataFrame({c: pd.Series([line[i] for line in rows[1:]], dtype="str") for c, i in places.items()}), np.array(row[1:])
