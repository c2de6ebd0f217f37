"""What makes a shop unusable: every problem of every file at once, each with its table, column, rule, count and first rows."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd
import pandera.pandas as pa

from promo_helpers.shop.shop import Shop
from promo_helpers.shop.tables import TABLES, Table

BLANK = "blank"
SHOWN = 3  # how many offending rows a message names: enough to recognise the pattern


class ShopError(Exception):
    """The shop cannot be used. The message lists every problem; `problems` holds the same, one sentence each."""

    def __init__(self, source: str, problems: Sequence[str]):
        self.problems = list(problems)
        count = f"{len(self.problems)} problem{'s' * (len(self.problems) != 1)}"
        super().__init__("\n  ".join([f"The shop in {source} cannot be used: {count}, and nothing was written.", *self.problems]))


class Misplaced(ValueError):
    """The shop lies where its checked copy would replace it; the message says where to."""


@dataclass
class Problems:
    """The problems found so far. Rows are numbered as a spreadsheet shows them: the heading is row 1."""

    files: dict[str, str]  # table -> name of its file, for the message
    headings: dict[tuple[str, str], str] = field(default_factory=dict)  # (table, column) -> heading in the file
    percent: set[tuple[str, str]] = field(default_factory=set)  # (table, column) that the file gives as a hundredfold
    skipped: dict[str, list[int]] = field(default_factory=dict)  # table -> rows of the file, sorted, that no reader passes on
    whole: list[tuple[str, str]] = field(default_factory=list)
    cells: dict[tuple[str, str, str], list[tuple[int, Any]]] = field(default_factory=dict)
    counts: dict[tuple[str, str, str], int] = field(default_factory=dict)

    def file(self, table: str, wrong: str) -> None:
        """A problem of a whole file, such as a missing column."""
        self.whole.append((table, wrong))

    def rows(self, table: str, column: str, wrong: str, cells: Sequence[tuple[int, Any]], count: int | None = None) -> None:
        """A problem of `cells`: (row, value), the first of `count`. Rows count as if those in `skipped` were not there."""
        case = (table, column, wrong)
        self.counts[case] = self.counts.get(case, 0) + (len(cells) if count is None else count)
        kept = self.cells.setdefault(case, [])
        kept += list(cells)[: SHOWN - len(kept)]

    def broken(self, table: str, column: str | None = None) -> bool:
        """Whether the table as a whole (or this column of it) has a problem already, so that a rule across tables would repeat it."""
        return any(t == table for t, _ in self.whole) or any((t, c) == (table, column) for t, c, _ in self.counts)

    def row(self, table: str, row: int) -> int:
        """The number that a spreadsheet shows for a row: blank and ragged rows, which are passed over, count there."""
        for number in self.skipped.get(table, ()):
            if number > row:
                break
            row += 1
        return row

    def sentences(self) -> list[str]:
        """One sentence a problem, in the order of the tables."""
        order = list(TABLES)
        said = [(order.index(t), f"{t} ({self.files[t]}): {wrong}") for t, wrong in self.whole]
        for (t, column, wrong), count in self.counts.items():
            heading = self.headings.get((t, column), column)
            first = ", ".join(f"row {self.row(t, row):,} ({_shown(value)})" for row, value in self.cells[t, column, wrong])
            where = f"{count:,} row{'s' * (count != 1)}: {first}{', ...' * (count > SHOWN)}"
            said.append((order.index(t), f"{t} ({self.files[t]}): {heading} {wrong} in {where}"))
        return [sentence for _, sentence in sorted(said, key=lambda s: s[0])]


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.12g}"
    if isinstance(value, tuple):
        return " + ".join(str(v) for v in value)
    return f"'{value}'" if isinstance(value, str) and value is not BLANK else str(value)


def check_batch(table: Table, frame: pd.DataFrame, first_row: int, problems: Problems) -> None:
    """The rules of single cells, by pandera: values that must be there, ranges, patterns.

    `frame` has columns named as in `Table.columns` and a fresh index; `first_row` is the row number of its first row.
    """
    try:
        table.schema().validate(frame, lazy=True, inplace=True)
    except pa.errors.SchemaErrors as error:
        cases = error.failure_cases
        for (column, check), group in cases.groupby(["column", "check"], sort=False):
            wrong = "is empty" if check == "not_nullable" else str(check)
            found = [(first_row + int(i), v) for i, v in zip(group["index"][:SHOWN], group["failure_case"][:SHOWN], strict=True)]
            if wrong == "is empty":
                found = [(row, BLANK) for row, _ in found]
            elif (table.name, column) in problems.percent:
                wrong, found = wrong.replace("0..1", "0..100"), [(row, value * 100) for row, value in found]
            problems.rows(table.name, str(column), wrong, found, len(group))


def check_keys(shop: Shop, problems: Problems) -> None:
    """The rules across rows and tables, by DuckDB on the files: keys are unique, an id that is named exists, time runs forward."""
    for table in TABLES.values():
        if not shop.has(table.name):
            continue
        for column, wrong, found, count in [
            *_duplicates(shop, table),
            *_strangers(shop, table, problems),
            *_backwards(shop, table, problems),
        ]:
            problems.rows(table.name, column, wrong, found, count)


Found = tuple[str, str, list[tuple[int, Any]], int]  # column, what is wrong, first rows, count


def _source(shop: Shop, table: str) -> str:
    return f"read_parquet('{str(shop.path(table)).replace(chr(39), chr(39) * 2)}', file_row_number=true)"


def _duplicates(shop: Shop, table: Table) -> Iterator[Found]:
    if not shop.has(table.name, *table.key):
        return
    key = ", ".join(table.key)
    filled = " AND ".join(f"{k} IS NOT NULL" for k in table.key)
    twice = (
        f"SELECT {key}, min(file_row_number) AS first, count(*) AS n FROM {_source(shop, table.name)} WHERE {filled} "
        f"GROUP BY {key} HAVING n > 1"
    )
    total = shop.connection.sql(f"SELECT coalesce(sum(n - 1), 0)::BIGINT FROM ({twice})").fetchall()[0]
    if total[0]:
        columns = ", ".join(f"s.{k}" for k in table.key)
        again = shop.connection.sql(
            f"SELECT file_row_number, {columns} FROM {_source(shop, table.name)} s JOIN ({twice}) t USING ({key}) "
            f"WHERE file_row_number > first ORDER BY file_row_number LIMIT {SHOWN}"
        ).fetchall()
        column = table.key[-1] if len(table.key) == 1 else " + ".join(table[k].heading for k in table.key)
        yield (
            column,
            "repeats an earlier row",
            [(row + 2, key[0] if len(key) == 1 else tuple(key)) for row, *key in again],
            total[0],
        )


def _strangers(shop: Shop, table: Table, problems: Problems) -> Iterator[Found]:
    for column in table.columns:
        other = column.refers_to
        if other is None or not shop.has(table.name, column.name) or problems.broken(other, column.name):
            continue
        lost = f"FROM {_source(shop, table.name)}"
        if shop.has(other):  # a table without rows has no file, and then every id is unknown
            lost += f" ANTI JOIN (SELECT DISTINCT {column.name} FROM {_source(shop, other)}) USING ({column.name})"
        lost += f" WHERE {column.name} IS NOT NULL"
        total = shop.connection.sql(f"SELECT count(*) {lost}").fetchall()[0]
        if total[0]:
            first = shop.connection.sql(f"SELECT file_row_number + 2, {column.name} {lost} ORDER BY 1 LIMIT {SHOWN}").fetchall()
            yield column.name, f"is unknown to {problems.files[other]}", first, total[0]


def _backwards(shop: Shop, table: Table, problems: Problems) -> Iterator[Found]:
    if not shop.has(table.name, "start_date", "end_date"):
        return
    start = problems.headings.get((table.name, "start_date"), "start_date")
    wrong = f"FROM {_source(shop, table.name)} WHERE end_date < start_date AND end_date > 'epoch'"  # where unreadable, it is 1970
    total = shop.connection.sql(f"SELECT count(*) {wrong}").fetchall()[0]
    if total[0]:
        first = shop.connection.sql(f"SELECT file_row_number + 2, end_date::DATE::VARCHAR {wrong} ORDER BY 1 LIMIT {SHOWN}")
        yield "end_date", f"is before {start}", first.fetchall(), total[0]
