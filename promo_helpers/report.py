"""The report: the one way in which a notebook's numbers, figures and tables reach the paper.

A run is one notebook on one data set; its ledger is `data/numbers/<run>.json`. The paper writes \\val{run.name} for a number,
\\interval{run.name} for its interval, and the same names for figures and tables. A cell of a table that was saved with a key is a number
as well: \\val{run.table/row/column}. What is NaN, such as the truth of a real shop, prints "not available".
"""

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from IPython import get_ipython
from IPython.display import Image, display
from matplotlib.figure import Figure
from threadpoolctl import threadpool_info

from promo_helpers import paths
from promo_helpers.files import write_text, written_whole

NAME = re.compile(r"[a-z][a-z0-9_]*")
SHARES = ("%", "points")  # units of numbers that are kept as shares
NORMAL = 1.959964  # standard errors to either side of a 95 % interval
NOT_AVAILABLE = "not available"  # what a number that is NaN prints
ENDS = (("low", "high"), ("confidence_low", "confidence_high"))  # columns of an interval
UNCITED = re.compile(r"[\\{}%#~^$&]")  # what LaTeX does not take in a name
Cell = tuple[str, Any, str]  # of a saved table: its name, the row's first cell (or a tuple of its first cells), the column
LATEX = {"\\": r"\textbackslash{}", **{c: "\\" + c for c in "&%$#_{}"}, "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
PICTURE = {"pdf": {"CreationDate": None, "ModDate": None}, "png": {"Software": None}}  # no time of day: same figure, same bytes


class Ended(Exception):
    """A notebook ends here, on purpose: the sentence says what is not available. A run that ends so has succeeded."""

    def _render_traceback_(self) -> list[str]:
        return [f"not available: {self}"]  # all that JupyterLab shows


class Report:
    """What one run says: `Report("shop", data="completejourney", seed=1)`.

    The ledger starts empty and is written anew at each call, so that a run which stops half-way leaves what it had.
    """

    def __init__(self, noun: str, *, data: str | None = None, seed: int | None = None, **settings: Any):
        """`noun` is the notebook's (02_shop: "shop"); `data` the data set, left out for the default one; `settings` are kept.

        `before` holds the files that an earlier execution of this run wrote: only these may it replace where people keep files too.
        """
        self.run = _named(f"{noun}_{data}" if data else noun)
        self.before = _files_of(paths.ledger(self.run))
        self.ledger: dict[str, Any] = {
            "run": self.run,
            "notebook": noun,
            "kernels": kernels(),
            "seed": seed,
            "settings": settings,
            "numbers": [],
            "keys": {},
            "cells": [],
            "figures": [],
            "tables": [],
            "files": [],
            "claims": [],
        }
        self._write()

    def record(
        self,
        name: str,
        value: Any,
        *,
        meaning: str,
        unit: str = "",
        digits: int | None = None,
        interval: tuple[float, float] | None = None,
        difference: tuple[str | Cell, str | Cell] | None = None,
    ) -> None:
        """Record a number, text or date under a name that is used once; NaN is "not available", in an interval too.

        `value` may be an estimate with its interval: a mapping or Series with `estimate`, low and high, as `inference` returns them.
        `unit` is printed behind it; "%" takes a share, "points" a difference of shares, and both print
        a hundredfold. With `digits` the number is an estimate and is rounded; without, it is a setting or a count and printed
        exactly. `interval` is in the unit of `value`. A value that is the `difference` a - b of two others cites them, each by the name of
        a number recorded before or as a cell (table, row, column) of a table saved before; `make check` compares.
        Raises ValueError for a name used twice, for infinity, for an interval that is upside down, for a difference of what
        has not been recorded, and for one of shares that is not in points.
        """
        self._add(name, value, meaning, unit, digits, interval, difference)
        self._write()

    def _add(
        self,
        name: str,
        value: Any,
        meaning: str,
        unit: str,
        digits: int | None,
        interval: tuple[float, float] | None = None,
        difference: tuple[str | Cell, str | Cell] | None = None,
        **more: Any,
    ) -> None:
        """Enter a number into the ledger without writing it; `more` are further keys of its entry."""
        _named(name)
        if isinstance(value, (Mapping, pd.Series)):
            ends = next((e for e in ENDS if all(c in value for c in e)), None)
            interval = interval or ((value[ends[0]], value[ends[1]]) if ends else None)
            value = value["estimate"]
        if self._number(name):
            raise ValueError(f"'{name}' is recorded twice in the run {self.run}")
        cited = [self._cited(name, unit, part) for part in difference or ()]
        entry = _entry(name, value, interval, unit, digits) | {"meaning": meaning} | more
        if cited:
            entry["difference"] = cited
        self.ledger["numbers"].append(entry)

    def record_all(self, meaning: str, unit: str = "", digits: int | None = None, /, **numbers: Any) -> None:
        """Record several numbers of one kind, unit and format by their names; the meaning of each ends in its name."""
        for name, value in numbers.items():
            self._add(name, value, f"{meaning}: {name.replace('_', ' ')}", unit, digits)
        self._write()

    def record_cells(
        self, table: str, column: str, meaning: str, /, *, digits: int | None = None, unit: str | None = None, **rows: Any
    ) -> None:
        """Give cells of a table saved with a key short names of their own: name=row, a row by its key (a tuple of several).

        Value and interval are those of the cell, and so are unit and digits where they are left out. `make check` compares the two.
        Raises ValueError for a cell that has not been saved.
        """
        for name, row in rows.items():
            key = _row_of(row)
            at = [table, key, column]
            cell = next((c for c in self.ledger["cells"] if c["cell"] == at), None)
            if cell is None:
                raise ValueError(f"'{name}' is {_cell_name(table, key, column)}, a cell that the run {self.run} has not saved")
            unit_, digits_ = (cell["unit"] if unit is None else unit), (cell["digits"] if digits is None else digits)
            self._add(name, cell["value"], f"{meaning}: {', '.join(key)}", unit_, digits_, cell["interval"], cell=at)
        self._write()

    def claim(
        self,
        name: str,
        text: str,
        value: float | str | None = None,
        *,
        above: float | None = None,
        below: float | None = None,
        between: tuple[float, float] | None = None,
        holds: bool | None = None,
        se: float | None = None,
        unit: str = "",
        basis: str = "this run",
        distinguishable: bool = False,
        single_draw: bool = False,
    ) -> bool | None:
        """Record what the paper says, whether this run shows it, and by how much; the build goes on either way.

        `value` is held against one bound: it should lie `above` or `below` a number, or `between` two. The margin is its distance from
        the bound, positive where the claim holds, in standard errors where `se` is given and in the unit of `value` otherwise. A claim
        without a statistic takes `holds` instead. `basis` says what it rests on, such as "20 markets". A value or bound that is None, NaN
        or infinite is not available: the claim then neither holds nor fails. Returns whether it holds.
        `value` may name a number recorded before, whose value, unit and interval are taken. `distinguishable`: the claim holds only
        where its margin exceeds 1.96 standard errors, so that a 95 % interval excludes the bound ("level" means: within the bounds
        of `between`, distinguishably); without a standard error it is then not available.
        `single_draw`: what one trial or one list happens to show, with no standard error and no other market to hold it against. Such a
        finding is counted and listed apart, and words of the paper follow it (`\\ifclaim`); no sentence may rest on it (`\\claim`).
        Raises ValueError for a name used twice, for no bound or more than one, for a standard error below 0, and for a value that
        names no number of this run.
        """
        if isinstance(value, str):
            number = self._number(value)
            if number is None:
                raise ValueError(f"'{name}' claims something of '{value}', which the run {self.run} has not recorded")
            value, unit = number["value"], unit or number["unit"]
            se = standard_error(*number["interval"]) if se is None and number["interval"] and not single_draw else se
        _named(name)
        if name in (c["name"] for c in self.ledger["claims"]):
            raise ValueError(f"'{name}' is claimed twice in the run {self.run}")
        given = [b is not None for b in (above, below, between, holds)]
        if sum(given) != 1:
            raise ValueError(f"'{name}': a claim needs exactly one of above, below, between, holds; {sum(given)} are given")
        if se is not None and se < 0:
            raise ValueError(f"'{name}': se = {se}: a standard error is at least 0")
        if single_draw and se is not None:
            raise ValueError(f"'{name}' has a standard error: record it as a claim, not as the finding of a single draw")
        value, se = _finite(value), _finite(se)
        bounds = [_finite(b) for b in (between or [b for b in (above, below) if b is not None])]
        distance = None
        if holds is None and value is not None and None not in bounds:
            low, high = between if between else (-math.inf if above is None else above, math.inf if below is None else below)
            distance = min(float(value) - low, high - float(value))
        if distinguishable and se is None:
            distance = None
        in_errors = distance is not None and se is not None and se > 0
        least = NORMAL * se if distinguishable and in_errors else 0.0  # type: ignore[operator]
        entry: dict[str, Any] = {
            "name": name,
            "text": text,
            "holds": (None if distance is None else bool(distance > least)) if holds is None or pd.isna(holds) else bool(holds),
            "value": value,
            "bound": [] if None in bounds else bounds,
            "side": ""
            if None in bounds
            else "between"
            if between
            else "above"
            if above is not None
            else "below"
            if bounds
            else "",
            "margin": distance if distance is None or not in_errors else distance / se,  # type: ignore[operator]
            "margin_unit": "SE" if in_errors else unit,
            "unit": unit,
            "basis": basis,
            "distinguishable": distinguishable,
            "single_draw": single_draw,
        }
        self.ledger["claims"].append(entry)
        self._write()
        return entry["holds"]

    def save_figure(self, figure: Figure, name: str) -> None:
        """Save a figure as PDF for the paper and PNG for people: figures/<run>_<name>.pdf and .png. A notebook then shows the PNG.

        Its parts are laid out once, by the widths of the words in the PDF. The notebook draws it no third time.
        """
        stem, layout = self._new("figures", name), figure.get_layout_engine()
        for ending, metadata in PICTURE.items():
            with written_whole(paths.figures() / f"{stem}.{ending}") as scratch:
                figure.savefig(scratch, metadata=metadata)
            figure.set_layout_engine("none")
        figure.set_layout_engine(layout)
        if _in_a_notebook():
            display(Image(paths.figures() / f"{stem}.png", width=round(figure.get_figwidth() * figure.dpi)))
            plt.close(figure)

    @contextmanager
    def figure(self, name: str, *shape: Any, **settings: Any) -> Iterator[Any]:
        """Axes to draw on, as plt.subplots(*shape, **settings) makes them; the figure is saved at the end of the block."""
        figure, axes = plt.subplots(*shape, **settings)
        try:
            yield axes
            self.save_figure(figure, name)
        finally:
            plt.close(figure)

    def save_table(
        self,
        table: pd.DataFrame,
        name: str,
        *,
        key: str | Sequence[str] = (),
        units: Mapping[str, str] | None = None,
        digits: Mapping[str, int] | int | None = None,
        percent: tuple[str, ...] = (),
    ) -> pd.DataFrame:
        """Save a table for the paper (booktabs, rounded) and for people (CSV, unrounded): data/tables/<run>_<name>.tex and .csv.

        `key` names the column or columns that tell the rows apart: each other cell is then a number of the paper,
        \\val{run.table/row/column}, with several keys \\val{run.table/key, key/column}. Its interval comes from the columns low and high
        (or confidence_low and _high) behind it, or from <column>_low and _high. `units` and `digits` (decimals; 0 where not named; one
        number for all columns that are not whole) are given once a column; columns in `percent`, and those with the unit "%" or
        "points", hold shares and are printed a hundredfold.
        A missing cell is an en dash in the table and "not available" where it is cited.
        Returns the table as the paper prints it, to look at. Raises ValueError for a key that two rows share.
        """
        stem = self._new("tables", name)
        units = dict.fromkeys(percent, "%") | dict(units or {})
        if isinstance(digits, int):
            digits = {c: digits for c in table if pd.api.types.is_float_dtype(table[c])}
        shown = table.copy()
        for column in (c for c, unit in units.items() if unit in SHARES and c in shown):
            shown[column] = shown[column] * 100
        write_text(paths.data("tables", f"{stem}.tex"), latex_table(shown, digits))
        with written_whole(paths.data("tables", f"{stem}.csv")) as scratch:
            table.to_csv(scratch, index=False)
        if key:
            self.ledger["keys"][name] = keys = [key] if isinstance(key, str) else list(key)
            self.ledger["cells"] += _cells(table, name, keys, units, digits or {})
            self._write()
        return shown.round({c: (digits or {}).get(c, 0) for c in shown.select_dtypes("float")})

    def wrote(self, path: Path | str) -> None:
        """Note a further output of the run, a file or a folder with its files, so that the run is made again where one is missing.

        Raises FileNotFoundError where there is none, ValueError where it lies elsewhere than what runs write.
        """
        path = Path(path).resolve()
        below = next((folder for folder in (paths.writing(), paths.out()) if path.is_relative_to(folder)), None)
        if below is None:
            raise ValueError(f"{paths.display_path(path)} does not lie below {paths.out()}, where runs write")
        files = [f for f in path.rglob("*") if f.is_file() and not f.name.startswith(".")] if path.is_dir() else [path]
        if not path.exists() or not files:
            raise FileNotFoundError(f"{paths.display_path(path)} is not there or empty, so the run {self.run} did not write it")
        names = {f.relative_to(below).as_posix() for f in files}
        self.ledger["files"] = sorted(names.union(self.ledger["files"]))
        self._write()

    @contextmanager
    def ends_on(self, error: type[Exception]) -> Iterator[None]:
        """End the notebook, and well, where the block raises such an error: its sentence is recorded as what is not available."""
        try:
            yield
        except error as why:
            self.record("not_available", str(why), meaning="why this run has no results")
            raise Ended(str(why)) from None

    def summary(self) -> pd.DataFrame:
        """Everything recorded so far, as a reader sees it: name, number, interval, meaning."""
        rows = [
            {
                "name": n["name"],
                "number": plain_text(n["text"]),
                "interval": plain_text(interval_text(n)) if n["interval"] else "",
                "meaning": n["meaning"],
            }
            for n in self.ledger["numbers"]
        ]
        return pd.DataFrame(rows).set_index("name")

    def _number(self, name: str) -> dict[str, Any] | None:
        return next((n for n in self.ledger["numbers"] if n["name"] == name), None)

    def _cited(self, name: str, unit: str, part: str | Cell) -> str | list[Any]:
        """One of the two things that a difference cites, as the ledger keeps it."""
        if isinstance(part, str):
            number = self._number(part)
            if number is None:
                raise ValueError(f"'{name}' is a difference of '{part}', which the run {self.run} has not recorded")
            if number["unit"] in SHARES and unit != "points":
                raise ValueError(f"'{name}' is a difference of shares ('{part}'): its unit is points, and not '{unit}'")
            return part
        table, row, column = part
        if f"{self.run}_{table}" not in self.ledger["tables"]:
            raise ValueError(f"'{name}' is a difference of a cell of '{table}', a table that the run {self.run} has not saved")
        return [table, [_plain(r) for r in row] if isinstance(row, tuple) else [_plain(row)], column]

    def _new(self, kind: str, name: str) -> str:
        stem = f"{self.run}_{_named(name)}"
        if stem in self.ledger[kind]:
            raise ValueError(f"'{name}' is saved twice in the run {self.run}")
        self.ledger[kind].append(stem)
        self._write()
        return stem

    def _write(self) -> None:
        text = json.dumps(self.ledger, indent=1, ensure_ascii=False, sort_keys=True, allow_nan=False)
        write_text(paths.data("numbers", f"{self.run}.json"), text + "\n")


def kernels() -> list[str]:
    """Kernels of BLAS that this process computes with, such as SkylakeX: they are the processor's, and so are last digits."""
    return sorted({str(i.get("architecture", "unknown")) for i in threadpool_info() if i["user_api"] == "blas"})


def latex_table(table: pd.DataFrame, digits: Mapping[str, int] | None = None) -> str:
    """A frame as a booktabs tabular: numbers to the right with thousands separated, text to the left, headings capitalised."""
    numeric = [c for c in table if pd.api.types.is_numeric_dtype(table[c]) and not pd.api.types.is_bool_dtype(table[c])]
    dates = [c for c in table if pd.api.types.is_datetime64_dtype(table[c])]
    formats: dict[Any, Any] = {c: f"{{:,.{(digits or {}).get(c, 0)}f}}" for c in numeric} | dict.fromkeys(dates, "{:%Y-%m-%d}")
    shown = table.rename(columns=lambda c: c[:1].upper() + c[1:])
    formats = {c[:1].upper() + c[1:]: f for c, f in formats.items()}
    style = shown.style.format(formats, escape="latex", na_rep="--").format_index(escape="latex", axis=1).hide(axis="index")
    return style.to_latex(hrules=True, column_format="".join("r" if c in numeric else "l" for c in table))


def formatted(value: Any, *, unit: str = "", digits: int | None = None) -> str:
    """A value as LaTeX text: 1234567 -> 1,234,567; (.123, "%", 1) -> 12.3\\,\\%; a date as 1 January 2017; text escaped."""
    if pd.isna(value):
        return NOT_AVAILABLE
    if isinstance(value, (pd.Timestamp, date)):
        return f"{value.day} {value:%B %Y}"
    if isinstance(value, str):
        return escaped(value)
    number = value * 100 if unit in SHARES else value
    if digits is not None:
        text = f"{number:,.{digits}f}"
    elif isinstance(value, (int, np.integer)) and unit not in SHARES:
        text = f"{number:,d}"
    else:
        text = f"{float(f'{number:.12g}'):,}".removesuffix(".0")
    if not any(c in "123456789" for c in text):
        text = text.removeprefix("-")  # what rounds to zero has no sign
    text = text.replace("-", r"\ensuremath{-}")
    return text + (rf"\,{escaped(unit)}" if unit else "")


def interval_text(entry: Mapping[str, Any]) -> str:
    """The interval of a recorded number as LaTeX text, such as 1.2 to 3.4\\,\\%."""
    if any(pd.isna(b) for b in entry["interval"]):
        return NOT_AVAILABLE
    low, high = (formatted(b, unit=entry["unit"], digits=entry["digits"]) for b in entry["interval"])
    tail = rf"\,{escaped(entry['unit'])}" if entry["unit"] else ""
    return f"{low.removesuffix(tail)} to {high}"


def standard_error(low: float, high: float) -> float | None:
    """The standard error behind a 95 % interval: half its width over 1.96; None where an end is not known.

    A Student interval over few dates gives more than the plain standard error, so that "1.96 of them" still means the interval's end.
    """
    return None if pd.isna(low) or pd.isna(high) else float(high - low) / 2 / NORMAL


def escaped(text: str) -> str:
    """Text with the characters that LaTeX keeps for itself escaped."""
    return "".join(LATEX.get(c, c) for c in text)


def plain_text(latex: str) -> str:
    """The few LaTeX commands of `formatted` as plain text."""
    return latex.replace(r"\ensuremath{-}", "\N{MINUS SIGN}").replace(r"\,", "\N{NO-BREAK SPACE}").replace("\\", "")


def _entry(name: str, value: Any, interval: Any, unit: str, digits: int | None) -> dict[str, Any]:
    """A number as the ledger keeps it; what is NaN is None, and its text says that it is not available."""
    words = isinstance(value, (str, date)) and not pd.isna(value)
    interval = interval and tuple(math.nan if pd.isna(end) else end for end in interval)
    for number in (*(() if words else (value,)), *(interval or ())):
        if not pd.isna(number) and not math.isfinite(number):
            raise ValueError(f"'{name}' is {number}: only a finite number can be recorded, or NaN for what is not known")
        if unit == "points" and not pd.isna(number) and abs(number) > 1:
            raise ValueError(
                f"'{name}' is {number} points: a difference of shares lies between -1 and 1, and prints a hundredfold"
            )
    if interval and interval[0] > interval[1]:
        raise ValueError(f"the interval of '{name}' runs from {interval[0]} to {interval[1]}")
    return {
        "name": name,
        "value": _plain(value) if words else _finite(value),
        "interval": [_finite(b) for b in interval] if interval else None,
        "unit": unit,
        "digits": digits,
        "text": formatted(value, unit=unit, digits=digits),
    }


def _cells(
    table: pd.DataFrame, name: str, key: list[str], units: Mapping[str, str], digits: Mapping[str, int]
) -> list[dict[str, Any]]:
    """Every cell beside the key as a number: its entry, and `cell` with the table, the row's key and the column."""
    rows = [[str(_plain(part)) for part in parts] for parts in table[key].itertuples(index=False)]
    twice = pd.Series([", ".join(row) for row in rows], dtype=object)
    if twice.duplicated().any():
        raise ValueError(f"two rows of the table '{name}' have the key {twice[twice.duplicated()].iloc[0]!r}")
    entries = []
    for column in (c for c in table if c not in key):
        ends, numeric = _ends_of(table, column), pd.api.types.is_float_dtype(table[column])
        intervals = table[list(ends)].astype(float).itertuples(index=False, name=None) if ends else [None] * len(table)
        for row, value, interval in zip(rows, table[column], intervals, strict=True):
            value = str(value) if isinstance(value, (bool, np.bool_)) else value
            places = digits.get(column, 0) if numeric else None
            if not isinstance(value, (str, date, int, float, np.number)) and not pd.isna(value):
                value = str(value)
            entry = _entry(_cell_name(name, row, column), value, interval, units.get(column, ""), places)
            entries.append(entry | {"cell": [name, row, column]})
    return entries


def _ends_of(table: pd.DataFrame, column: str) -> tuple[str, str] | None:
    """The columns of a column's interval, or None: <column>_low and _high, or low and high where they follow it, `se` aside."""
    if {f"{column}_low", f"{column}_high"} <= set(table):
        return f"{column}_low", f"{column}_high"
    ends = next((e for e in ENDS if set(e) <= set(table)), None)
    before = [c for c in table.columns[: table.columns.get_loc(ends[0])] if c != "se"] if ends else []
    return ends if before and before[-1] == column and pd.api.types.is_numeric_dtype(table[column]) else None


def _row_of(row: Any) -> list[str]:
    return [str(_plain(part)) for part in (row if isinstance(row, tuple) else (row,))]


def _cell_name(table: str, row: Sequence[str], column: str) -> str:
    """How the paper cites a cell: table/row/column, without the characters that LaTeX takes for its own."""
    return UNCITED.sub("", f"{table}/{', '.join(row)}/{column}")


def _files_of(ledger: Path) -> set[Path]:
    """The files that the run of a ledger wrote besides figures and tables; none where there is no ledger."""
    try:
        files = json.loads(ledger.read_text(encoding="utf-8"))["files"]
        return {place / f for f in files for place in (paths.out(), paths.writing())}
    except (OSError, ValueError, KeyError, TypeError):
        return set()


def _named(name: str) -> str:
    if not NAME.fullmatch(name):
        raise ValueError(f"'{name}' is no name: small letters, digits and underscores, a letter first")
    return name


def _finite(value: Any) -> float | int | None:
    """The number as JSON keeps it; None for what is missing or infinite."""
    return None if value is None or pd.isna(value) or not math.isfinite(value) else _plain(value)


def _plain(value: Any) -> Any:
    if isinstance(value, (pd.Timestamp, date)):
        return value.isoformat()
    return value.item() if isinstance(value, np.generic) else value


def _in_a_notebook() -> bool:
    """Whether a kernel runs this, which shows what it is given."""
    return hasattr(get_ipython(), "kernel")
