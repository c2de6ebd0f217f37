"""The report: the one way in which a notebook's numbers, figures and tables reach the paper.

A run is one notebook on one data set; its ledger is `data/numbers/<run>.json`. The paper writes \\val{run.name} for a number,
\\interval{run.name} for its interval, and the same names for figures and tables.
"""

import json
import math
import re
from collections.abc import Iterator, Mapping
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
            "figures": [],
            "tables": [],
            "files": [],
            "claims": [],
        }
        self._write()

    def record(
        self,
        name: str,
        value: float | int | str | date,
        *,
        meaning: str,
        unit: str = "",
        digits: int | None = None,
        interval: tuple[float, float] | None = None,
        difference: tuple[str | Cell, str | Cell] | None = None,
    ) -> None:
        """Record a number under a name that is used once.

        `unit` is printed behind it; "%" takes a share, "points" a difference of shares, and both print
        a hundredfold. With `digits` the number is an estimate and is rounded; without, it is a setting or a count and printed
        exactly. `interval` is in the unit of `value`. A value that is the `difference` a - b of two others cites them, each by the name of
        a number recorded before or as a cell (table, row, column) of a table saved before; `make check` compares.
        Raises ValueError for a name used twice, for NaN or infinity, for an interval that is upside down, for a difference of what
        has not been recorded, and for one of shares that is not in points.
        """
        _named(name)
        if name in (n["name"] for n in self.ledger["numbers"]):
            raise ValueError(f"'{name}' is recorded twice in the run {self.run}")
        if unit == "points" and any(not isinstance(b, (str, date)) and abs(b) > 1 for b in (value, *(interval or ()))):
            raise ValueError(
                f"'{name}' is {value} points: a difference of shares lies between -1 and 1, and prints a hundredfold"
            )
        for number in (value, *(interval or ())):
            if not isinstance(number, (str, date)) and (pd.isna(number) or not math.isfinite(number)):
                raise ValueError(f"'{name}' is {number}: only a finite number can be recorded; what is not known has no number")
        if interval and interval[0] > interval[1]:
            raise ValueError(f"the interval of '{name}' runs from {interval[0]} to {interval[1]}")
        cited = [self._cited(name, unit, part) for part in difference or ()]
        entry: dict[str, Any] = {
            "name": name,
            "value": _plain(value),
            "interval": [_plain(b) for b in interval] if interval else None,
            "unit": unit,
            "digits": digits,
            "text": formatted(value, unit=unit, digits=digits),
            "meaning": meaning,
        }
        if cited:
            entry["difference"] = cited
        self.ledger["numbers"].append(entry)
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

    def save_table(
        self,
        table: pd.DataFrame,
        name: str,
        *,
        digits: Mapping[str, int] | None = None,
        percent: tuple[str, ...] = (),
    ) -> None:
        """Save a table for the paper (booktabs, rounded) and for people (CSV, unrounded): data/tables/<run>_<name>.tex and .csv.

        `digits` are decimals by column (0 where not named); columns in `percent` hold shares and are printed a hundredfold.
        A missing cell is printed as an en dash.
        """
        stem = self._new("tables", name)
        shown = table.copy()
        for column in percent:
            shown[column] = shown[column] * 100
        write_text(paths.data("tables", f"{stem}.tex"), latex_table(shown, digits))
        with written_whole(paths.data("tables", f"{stem}.csv")) as scratch:
            table.to_csv(scratch, index=False)

    def wrote(self, path: Path | str) -> None:
        """Note a further output of the run, a file or a folder with its files, so that the run is made again where one is missing.

        Raises FileNotFoundError where there is none, ValueError where it lies elsewhere than what runs write.
        """
        path = Path(path).resolve()
        below = next((folder for folder in (paths.writing(), paths.out()) if path.is_relative_to(folder)), None)
        if below is None:
            raise ValueError(f"{paths.shown(path)} does not lie below {paths.out()}, where runs write")
        files = [f for f in path.rglob("*") if f.is_file() and not f.name.startswith(".")] if path.is_dir() else [path]
        if not path.exists() or not files:
            raise FileNotFoundError(f"{paths.shown(path)} is not there or empty, so the run {self.run} did not write it")
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
