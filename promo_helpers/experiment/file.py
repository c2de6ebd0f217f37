"""The cells of a CSV file as text, and what is wrong with them: every problem of the file in one error."""

import csv
import difflib
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from promo_helpers import paths
from promo_helpers.experiment.experiment import Experiment, even_shares
from promo_helpers.shop.reading import read_cells

SHOWN = 3  # how many rows a message names


class ExperimentError(ValueError):
    """The file cannot be used. The message lists every problem; `problems` holds the same, one sentence each."""

    def __init__(self, path: Path, problems: Sequence[str]):
        self.problems = list(problems)
        count = f"{len(self.problems)} problem{'s' * (len(self.problems) != 1)}"
        super().__init__("\n  ".join([f"The experiment in {paths.display_path(path)} cannot be used: {count}.", *self.problems]))


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


LEVELS = 12  # text with at most so many different values becomes one column for each but the most frequent
MOSTLY = 0.9  # a column of which so much reads as numbers is meant to be one; the rest are mistakes
SAME_CORRELATION = 0.9999  # correlation


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


def is_identifier(cells: pd.Series) -> bool:
    """Whether a column of text has another value in most rows, and so names them rather than describes them."""
    text, _ = read_cells(cells, "text")
    number, _ = read_cells(cells, "number")
    return bool(number.isna().all() and len(text) >= 50 and text.nunique() > len(text) / 2)


def reveals_outcome(feature: np.ndarray, known: np.ndarray) -> bool:
    """Whether a feature says what is known later only: the same by value, or by rank, or above 0 in the same rows or the others."""
    both = ~np.isnan(feature) & ~np.isnan(known)
    a, b = feature[both], known[both]
    if len(a) < 20 or len(np.unique(a)) < 2 or len(np.unique(b)) < 2:
        return False
    if abs(np.corrcoef(a, b)[0, 1]) > SAME_CORRELATION or abs(np.corrcoef(_rank(a), _rank(b))[0, 1]) > SAME_CORRELATION:
        return True
    events = [(v > 0) if (v > 0).any() and not (v > 0).all() else v > np.median(v) for v in (a, b)]
    same = events[0] == events[1]
    return bool(events[1].sum() >= 10 and (~events[1]).sum() >= 10 and (same.all() or not same.any()))


def _rank(values: np.ndarray) -> np.ndarray:
    return pd.Series(values).rank().to_numpy(float)


LEAST = 20  # customers in an arm: with fewer neither a mean nor its error can be trusted
UNITS = ("units", "quantity")


def read_experiment(
    path: Path | str, *, arm: str, outcome: str | Sequence[str], control: str | float, features: Sequence[str],
    probability: str | None = None, price: str | None = None, margin: str | None = None, customer: str | None = None,
    contact_id: str | None = None, cost: float = 0.0, currency: str = "",
) -> Experiment:  # fmt: skip
    """The experiment in a CSV file (UTF-8, commas, one row a contact), by the names of its columns.

    `arm` holds the arm of each row, among them `control`; where the others are numbers they are discounts in percent (see
    coding.depths). `outcome` names one column or several: numbers, or yes and no. NA means that nobody knows it; a blank is refused,
    since it may mean 0. `features` are as of the contact; text is coded (coding.code_feature). `probability` is the chance with which
    a row got its arm; where it is the same throughout each arm and the chances add up to 1, these are the planned shares too.
    With `price` (per unit, before the discount) and `margin` (share of the price) the outcome profit is added,
    units x price x (margin - depth of the arm) - `cost` of a contact (in every arm but the control), where units is the outcome of
    that name (or quantity), or the first. Without `customer` each row is another customer; without `contact_id` its number is its id.
    Raises ExperimentError, a ValueError, which lists every problem of the file with column, rule, number of rows and the first.
    """
    path = Path(path).expanduser()
    outcomes = [outcome] if isinstance(outcome, str) else list(outcome)
    named = {
        "arm": arm,
        "probability": probability,
        "price": price,
        "margin": margin,
        "customer": customer,
        "contact_id": contact_id,
    }
    roles = {role: column for role, column in named.items() if column is not None}
    cells, row = read_text(path, [*roles.values(), *outcomes, *features])
    problems = FileProblems(path, row)
    given = {role: cells[column] for role, column in roles.items()}

    texts = {role: cells.str.strip() for role, cells in given.items() if role in ("arm", "customer", "contact_id")}
    for role, text in texts.items():
        problems.rows(roles[role], "is blank", text == "", text)
    ids = texts.get("contact_id", pd.Series(np.arange(1, len(cells) + 1)))
    problems.rows(roles.get("contact_id", ""), "repeats an earlier row", ids.duplicated() & (ids != ""), ids)
    people = texts.get("customer", ids)
    numbers, arms = _arms(texts["arm"], arm_name(str(control)), people, arm, problems)
    depth = depths(arms)

    results = pd.DataFrame({name: _outcome(name, cells[name], problems) for name in outcomes})
    amounts = {role: _number(roles[role], given[role], problems) for role in ("probability", "price", "margin") if role in roles}
    if "probability" in amounts:
        p = amounts["probability"]
        problems.rows(
            roles["probability"], "is a chance that is not above 0 and at most 1", (p <= 0) | (p > 1), given["probability"]
        )
    if ("price" in roles) != ("margin" in roles):
        problems.add("price and margin belong together: give both columns, or neither")
    elif "price" in roles:
        problems.rows(roles["price"], "is negative", amounts["price"] < 0, given["price"])
        outside = (amounts["margin"] < 0) | (amounts["margin"] > 1)
        problems.rows(roles["margin"], "is a share outside 0..1", outside, given["margin"])
        if "profit" in results:
            problems.add("profit is a column already, so that it is not worked out: leave out price and margin")
        units = next((o for o in outcomes if o.casefold() in UNITS), outcomes[0])
        off, sent = np.nan_to_num(depth)[numbers], (numbers > 0) * cost
        results["profit"] = results[units] * amounts["price"] * (amounts["margin"] - off) - sent

    columns: dict[str, np.ndarray] = {}
    later = {**{o: results[o].to_numpy(float) for o in outcomes}, arm: numbers.astype(float)}
    for name in features:
        if name in later or name in roles.values():
            problems.add(f"{name} is named as a feature, and as {'an outcome' if name in outcomes else 'something else'} as well")
            continue
        if is_identifier(cells[name]):
            problems.add(f"{name} has another text in most rows: it names the rows, and is no feature")
            continue
        coded, wrong = code_feature(name, cells[name])
        problems.rows(name, "is not a number", pd.Series(wrong), cells[name])
        for known, values in later.items():
            if any(reveals_outcome(column, values) for column in coded.values()):
                problems.add(f"{name} tells {known} in every row: it is not known before the contact, and is no feature")
        columns |= coded
    problems.stop()
    chance = amounts["probability"].to_numpy(float) if "probability" in amounts else None
    return Experiment(
        name=path.stem,
        contact_id=ids.to_numpy(object if "contact_id" in roles else None),
        customer=people.to_numpy(object if "customer" in roles or "contact_id" in roles else None),
        features=pd.DataFrame(columns, index=pd.RangeIndex(len(cells))),
        arm=numbers,
        arms=arms,
        depth=depth,
        outcomes=results,
        probability=chance,
        planned=None if chance is None else even_shares(numbers, chance, len(arms)),
        currency=currency,
    )


def _arms(
    text: pd.Series, control: str, people: pd.Series, column: str, problems: FileProblems
) -> tuple[np.ndarray, tuple[str, ...]]:
    """[row] number of the arm, and the names of the arms: the control, then the others by number, or by name."""
    names = {cell: arm_name(cell) for cell in text.unique() if cell}
    spelled = {name.casefold(): name for name in reversed(sorted(names.values()))}
    folded = text.map({cell: name.casefold() for cell, name in names.items()})
    numeric = all(name.replace(".", "", 1).isdigit() for name in spelled if name != control.casefold())
    others = sorted(set(spelled) - {control.casefold()}, key=float if numeric else str)
    if control.casefold() not in spelled:
        problems.add(
            f"{column} has no control group: no row says {control!r} (it says {', '.join(sorted(spelled.values())[:10])})"
        )
    elif not others:
        problems.add(f"{column} has one arm only, {spelled[control.casefold()]}: there is nothing to compare it with")
    order = [control.casefold(), *others]
    for name in order:
        if 0 < (n := people[folded == name].nunique()) < LEAST:
            problems.add(f"{column}: the arm {spelled[name]} has {n} customer{'s' * (n != 1)}; {LEAST} are the least")
    number = folded.map({name: i for i, name in enumerate(order)}).fillna(0).to_numpy(np.int64)
    return number, tuple(spelled.get(name, control) for name in order)


def _outcome(name: str, cells: pd.Series, problems: FileProblems) -> pd.Series:
    """[row] an outcome as a number, yes and no as 1 and 0."""
    blank = cells.str.strip() == ""
    problems.rows(name, "is blank (write 0 where nothing came of it, NA where nobody knows)", blank, cells)
    flag, strange = read_cells(cells, "flag")
    value = flag.astype("Float64") if not strange.any() else _number(name, cells, problems, missing=True)
    values = value.astype("float64")
    if values.notna().any() and values.nunique() < 2 and not blank.any():
        problems.add(f"{name} is {values.dropna().iloc[0]:g} in every row: an outcome that never varies has nothing to tell")
    return values


def _number(name: str, cells: pd.Series, problems: FileProblems, missing: bool = False) -> pd.Series:
    """[row] numbers, with a problem for each cell that is none and, unless they may be missing, for those that are."""
    value, wrong = read_cells(cells, "number")
    problems.rows(name, "is not a number", wrong, cells)
    if not missing:
        problems.rows(name, "is missing", value.isna() & ~wrong, cells)
    return value
