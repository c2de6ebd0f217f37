"""An experiment from a CSV file of one's own: one row a contact, the columns named. All that is wrong is said at once."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from promo_helpers.experiment.coding import arm_name, code_feature, depths, names_rows, tells
from promo_helpers.experiment.experiment import Experiment, even_shares
from promo_helpers.experiment.text import FileProblems, read_text
from promo_helpers.shop.cells import read_cells

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
        if names_rows(cells[name]):
            problems.add(f"{name} has another text in most rows: it names the rows, and is no feature")
            continue
        coded, wrong = code_feature(name, cells[name])
        problems.rows(name, "is not a number", pd.Series(wrong), cells[name])
        for known, values in later.items():
            if any(tells(column, values) for column in coded.values()):
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
