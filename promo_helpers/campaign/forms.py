"""What comes back of a campaign: the filled form of responses, checked as a whole, or the same read from a shop's transactions."""

from pathlib import Path

import numpy as np
import pandas as pd

from promo_helpers import paths
from promo_helpers.campaign.ask import number_of

WINDOW = 14  # days after the day of sending
NEEDED = ("Units", "Paid")
SHOWN = 3


class ResponseError(ValueError):
    """The file of responses cannot be used; the message lists every problem."""

    def __init__(self, path: Path, problems: list[str]):
        self.problems = problems
        count = f"{len(problems)} problem{'s' * (len(problems) != 1)}"
        super().__init__("\n  ".join([f"The responses in {paths.shown(path)} cannot be used: {count}.", *problems]))


def read_responses(path: Path, plan: pd.DataFrame) -> pd.DataFrame:
    """Responses of a campaign: one row a contact of the plan, in its order; columns contact_id, units, paid, redeemed, given.

    The file has ContactID or CustomerID, Units, Paid and, where the till knows, Redeemed (units). A contact without a row, and a blank
    cell, is nothing bought (redeemed: unknown); `given` says which had a row. Raises ResponseError, which lists every problem at once.
    """
    path, problems = Path(path), list[str]()
    if not path.is_file():
        raise ResponseError(path, ["there is no such file; the form beside the list, ..._responses.csv, is one to fill"])
    try:
        cells = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    except pd.errors.EmptyDataError:
        raise ResponseError(path, ["the file is empty; fill the form beside the list, ..._responses.csv"]) from None
    except UnicodeDecodeError:
        raise ResponseError(path, ["the file is not UTF-8; save it as CSV UTF-8"]) from None
    except pd.errors.ParserError as error:
        raise ResponseError(path, [f"the file cannot be read as CSV ({error}); save it with commas"]) from None
    cells.columns = [str(c).strip() for c in cells.columns]
    key = next((k for k in ("ContactID", "CustomerID") if k in cells), None)
    if key is None:
        problems.append("a column ContactID or CustomerID is missing; keep the one that the form has, and save with commas")
    problems += [f"the column {c} is missing; keep the headings of the form" for c in NEEDED if c not in cells]
    if problems:
        raise ResponseError(path, problems)
    assert key is not None
    cells = cells[(cells != "").any(axis=1)]
    row = cells.index.to_numpy() + 2
    if not len(cells):
        raise ResponseError(path, ["the file holds no rows; fill the form beside the list, ..._responses.csv"])
    ids = cells[key].str.strip().str.removeprefix("'")
    of_plan = plan["contact_id" if key == "ContactID" else "customer_id"].astype(str)
    _note(
        problems,
        f"{key} is not of this campaign; leave out what was not on the list or in the holdout",
        ~ids.isin(of_plan),
        ids,
        row,
    )
    _note(problems, f"{key} stands there twice; add its purchases up in one row", ids.duplicated(), ids, row)
    found = {}
    for column in (*NEEDED, "Redeemed"):
        if column not in cells:
            continue
        text = cells[column].str.strip().map(number_of)
        flag = (
            text.str.lower().map({"yes": "1", "true": "1", "no": "0", "false": "0"})
            if column == "Redeemed"
            else pd.Series(dtype=str)
        )
        number = pd.to_numeric(flag.reindex(text.index).fillna(text), errors="coerce")
        blank = text == ""
        _note(
            problems,
            f"{column} is not a number; write 2 or 12.50, or leave it blank for nothing",
            number.isna() & ~blank,
            text,
            row,
        )
        _note(problems, f"{column} is negative; take returns off what was bought, and write 0 at least", number < 0, text, row)
        if column == "Units":
            _note(problems, "Units is not whole; write whole units", number.notna() & (number % 1 != 0), text, row)
        found[column] = number.where(~blank, np.nan if column == "Redeemed" else 0.0)
    if "Redeemed" in found:
        _note(
            problems, "Redeemed is more than Units; both are units of the product", found["Redeemed"] > found["Units"], ids, row
        )
    if not problems and not cells[[c for c in (*NEEDED, "Redeemed") if c in cells]].apply(lambda c: c.str.strip() != "").any(
        axis=None
    ):
        problems.append("no row says anything; fill in what was bought, or 0")
    if problems:
        raise ResponseError(path, problems)
    frame = pd.DataFrame({"units": found["Units"], "paid": found["Paid"], "redeemed": found.get("Redeemed", np.nan)})
    frame = frame.set_axis(pd.Index(ids)).reindex(of_plan)
    given = frame["units"].notna().to_numpy()
    frame = frame.fillna({"units": 0.0, "paid": 0.0}).reset_index(drop=True)
    return frame.assign(contact_id=plan["contact_id"].to_numpy(), given=given)


def _note(problems: list[str], wrong: str, where: pd.Series, cells: pd.Series, row: np.ndarray) -> None:
    at = np.flatnonzero(where.to_numpy(bool))
    if len(at):
        rows = ", ".join(f"row {row[i]:,} ({cells.iloc[i]!r})" for i in at[:SHOWN]) + ", ..." * (len(at) > SHOWN)
        problems.append(f"{wrong}: {len(at):,} row{'s' * (len(at) != 1)}, {rows}")


def from_lines(lines: pd.DataFrame, plan: pd.DataFrame) -> pd.DataFrame:
    """The responses that a shop's transactions hold (customer_id, product_id, time, units, paid_cents, contact_id): of each contact of the
    plan what was bought of its product in the 14 days after the day of sending; columns as a form has them."""
    mine = lines[(lines["product_id"].astype(str) == plan["product_id"].iloc[0]) & (lines["units"] > 0)]
    both = mine.merge(plan[["contact_id", "customer_id", "send"]], on="customer_id", suffixes=("_used", ""))
    after = (both["time"].dt.normalize() - both["send"].dt.normalize()).dt.days
    both = both[after.between(1, WINDOW)]
    both["own"] = both["units"].where(both["contact_id_used"] == both["contact_id"], 0)
    sums = both.groupby("contact_id").agg(Units=("units", "sum"), Paid=("paid_cents", "sum"), Redeemed=("own", "sum"))
    sums["Paid"] /= 100
    frame = plan[["contact_id", "customer_id"]].set_axis(["ContactID", "CustomerID"], axis=1)
    return frame.join(sums.reindex(plan["contact_id"]).fillna(0).reset_index(drop=True))
