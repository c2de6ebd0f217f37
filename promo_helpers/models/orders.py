"""A small table of customers and their orders, with cells as people leave them: made, read, cleaned, and learnt from.

Its columns are those of a table that is often used to teach "next purchase" models: the shortest time between orders as what is to
be foretold, and a next product that follows by a rule from what is owned. Both are what `lowest_by_orders` and `next_by_rule` show.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from promo_helpers import draws
from promo_helpers.files import whole

NUMBERS = ("Order_Frequency", "Average_Time_Between_Orders", "Lowest_Time_Between_Orders")
OWNED = ("has_peak", "has_knife", "has_pivot")
COLUMNS = ("Customer_ID", "Name", *NUMBERS, *OWNED)
OFFERED = ("pivot", "knife", "peak")  # the order in which the shop offers its products
NOTHING = "nothing left"
MISSING = {"", "n/a", "na", "nan", "none", "null", "-", "?"}
YES, NO = {"yes", "y", "true", "1", "1.0"}, {"no", "n", "false", "0", "0.0"}


def generate(seed: int, customers: int = 1500, dirty: float = 0.04) -> pd.DataFrame:
    """The table as text, a share `dirty` of its cells spoilt: "N/A", blanks, words in number columns.

    Each customer has a mean time between orders (log-normal about 20 days) and orders as a Poisson process with it; the number of
    orders is independent of that. Names are made up and look it. Draws are keyed by the customer's number: the first rows of a larger
    table are a smaller one.
    """
    who = np.arange(1, customers + 1)
    orders = 1 + draws.geometric(seed, "orders of a customer", who, chance=0.12)
    habit = 20 * np.exp(0.5 * draws.normal(seed, "habit of a customer", who))
    waits = -np.log1p(-draws.uniform(seed, "times between orders", who, n=int(orders.max()) - 1))
    gaps = [m * wait[: n - 1] for m, wait, n in zip(habit, waits, orders, strict=True)]
    table = pd.DataFrame(
        {
            "Customer_ID": [f"C{i:05d}" for i in who],
            "Name": [f"Made-up Person {i}" for i in who],
            "Order_Frequency": [str(n) for n in orders],
            "Average_Time_Between_Orders": [f"{g.mean():.2f}" for g in gaps],
            "Lowest_Time_Between_Orders": [f"{max(g.min(), 0.01):.2f}" for g in gaps],
        }
    )
    for column, share in zip(OWNED, (0.35, 0.45, 0.55), strict=True):
        table[column] = np.where(draws.uniform(seed, column, who) < share, "Yes", "No")
    for column in (*NUMBERS, *OWNED):
        spoilt = ["N/A", "", "n/a", "unknown"] if column in OWNED else ["N/A", "", "twelve", "-1", "12 days"]
        text = np.array(spoilt, object)[draws.parts(seed, f"text of a spoilt {column}", who, number=len(spoilt))]
        table[column] = np.where(draws.uniform(seed, f"spoilt {column}", who) < dirty, text, table[column])
    return table


def write(table: pd.DataFrame, path: Path) -> Path:
    """Write the table as CSV, whole or not at all."""
    with whole(path) as scratch:
        table.to_csv(scratch, index=False)
    return path


def read(path: Path | str) -> pd.DataFrame:
    """The table as text, nothing interpreted. Raises ValueError that names every column that is missing, or an empty file."""
    table = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    lacking = [c for c in COLUMNS if c not in table]
    if lacking:
        raise ValueError(f"{path} lacks the column{'s' * (len(lacking) > 1)} {', '.join(lacking)}; it needs {', '.join(COLUMNS)}")
    if table.empty:
        raise ValueError(f"{path} has headings and no rows")
    return table


def clean(table: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Numbers as numbers, ownership as 1, 0 or missing; and what was done: column, problem, rows, first (its row in the file).

    Nothing is guessed: what is not a positive number, not yes and not no, becomes missing. A shortest time above the average one
    is impossible, and both become missing. Of customers that occur twice the first row is kept.
    """
    out, done = table[list(COLUMNS)].copy(), []

    def note(column: str, problem: str, rows: np.ndarray) -> None:
        if rows.any():
            done.append((column, problem, int(rows.sum()), int(np.flatnonzero(rows)[0]) + 2))

    for column in (*NUMBERS, *OWNED):
        text = out[column].astype(str).str.strip()
        blank = text.str.lower().isin(MISSING).to_numpy()
        note(column, "missing", blank)
        if column in OWNED:
            value = text.str.lower().map(dict.fromkeys(YES, 1.0) | dict.fromkeys(NO, 0.0)).astype(float)
            note(column, "neither yes nor no", value.isna().to_numpy() & ~blank)
        else:
            value = pd.to_numeric(text, errors="coerce").astype(float)
            note(column, "not a number", value.isna().to_numpy() & ~blank)
            value = value.where(np.isfinite(value))
            wrong = (value <= 0) | ((value % 1 != 0) & value.notna() if column == "Order_Frequency" else False)
            note(column, "not positive" if column != "Order_Frequency" else "not a positive whole number", wrong.to_numpy(bool))
            value = value.mask(wrong)
        out[column] = value
    impossible = out[NUMBERS[2]].gt(out[NUMBERS[1]] + 0.005).to_numpy()
    note(NUMBERS[2], "longer than the average", impossible)
    out.loc[impossible, [NUMBERS[1], NUMBERS[2]]] = np.nan
    again = out["Customer_ID"].duplicated().to_numpy()
    note("Customer_ID", "occurs again", again)
    return out[~again].reset_index(drop=True), pd.DataFrame(done, columns=["column", "problem", "rows", "first"])


def next_by_rule(owned: pd.DataFrame) -> pd.Series:
    """The next product of each row: the first of OFFERED that is not owned (owned once, not again); NOTHING where all are.

    Missing where it hangs on a cell that is missing: whether an earlier product of the order is owned.
    """
    answer = pd.Series(NOTHING, index=owned.index, dtype=object)
    for product in reversed(OFFERED):
        has = owned[f"has_{product}"]
        answer = answer.mask(has == 0, product).mask(has.isna(), np.nan)
    return answer


def lowest_by_orders(
    seed: int, orders: tuple[int, ...] = (2, 3, 5, 9, 17, 33), mean: float = 20.0, customers: int = 2000
) -> pd.DataFrame:
    """Customers with one and the same habit (a Poisson process, `mean` days), who differ only in how often they have ordered.

    Columns orders, lowest (mean of the shortest time so far, days), error (its standard error), next (mean time to the next
    order), expected (mean / (orders - 1): the mean of the least of so many exponential times).
    """
    rows = []
    for n in orders:
        gaps = -mean * np.log1p(-draws.uniform(seed, f"gaps of {n} orders", np.arange(customers), n=n))
        least = gaps[:, : n - 1].min(axis=1)
        error = least.std(ddof=1) / np.sqrt(customers)
        rows.append((n, least.mean(), error, gaps[:, n - 1].mean(), mean / (n - 1)))
    return pd.DataFrame(rows, columns=["orders", "lowest", "error", "next", "expected"])
