"""The audit of a campaign's list: the customers that the file holds, against all whom it could have held, written beside it."""

from pathlib import Path

import numpy as np
import pandas as pd

from promo_helpers.audit.fairness import audit, varying
from promo_helpers.audit.measures import LEAST, Measure
from promo_helpers.audit.nulls import ALPHA, adjusted, equal_shares
from promo_helpers.files import whole
from promo_helpers.shop.sheets import read_sheet, write_sheet

NUMBERS = ("Discount", "ExpectedDiscount", "ExpectedProfit")


def read_list(path: Path) -> pd.DataFrame:
    """customer_id, discount (share off), saving and profit (expected, missing where the list has none) of those whom a list writes to.

    Rows with Holdout "yes" are not written to. Raises ValueError where the file is no list, or holds a customer twice.
    """
    header = pd.read_csv(path, nrows=0)
    given = read_sheet(path, [c for c in header if c not in NUMBERS])
    if lacking := [c for c in ("CustomerID", "Discount") if c not in given]:
        raise ValueError(f"{path.name} has no column {lacking[0]}: an audit needs the list's CustomerID and Discount (percent)")
    if "Holdout" in given:
        given = given[given["Holdout"] != "yes"]
    given = given.assign(CustomerID=given["CustomerID"].str.removeprefix("'"))  # which keeps a spreadsheet from a formula
    if given["CustomerID"].duplicated().any():
        raise ValueError(f"{path.name} holds {given['CustomerID'][given['CustomerID'].duplicated()].iloc[0]} twice")
    frame = pd.DataFrame({"customer_id": given["CustomerID"], "discount": given["Discount"] / 100})
    for name, column in (("saving", "ExpectedDiscount"), ("profit", "ExpectedProfit")):
        frame[name] = given.get(column, np.nan)
    return frame.reset_index(drop=True)


def write_list(path: Path, customer: np.ndarray, discount: np.ndarray, saving: np.ndarray, profit: np.ndarray) -> None:
    """Write an allocation as a list that `read_list` reads: ids of those who are written to, share off, expected saving and profit."""
    frame = pd.DataFrame({"CustomerID": customer, "Discount": 100 * discount})
    frame = frame.assign(ExpectedDiscount=saving.round(2), ExpectedProfit=profit.round(2))
    write_sheet(frame, path, ("CustomerID",))


def measures_of(chosen: pd.DataFrame, people: pd.Series) -> list[Measure]:
    """contacted, discount (of the contacted) and, where the list promises them, promised saving and profit a customer, contacted
    or not: of `people` [row] ids who could be on the list."""
    if (strange := ~chosen["customer_id"].isin(people)).any():
        raise ValueError(
            f"the list holds {chosen.loc[strange, 'customer_id'].iloc[0]}, who is not among those it is audited against"
        )
    at = chosen.set_index("customer_id").reindex(people)
    sent = people.isin(chosen["customer_id"]).to_numpy(float)
    out = [Measure("contacted", sent, np.ones(len(sent)))]
    if chosen["discount"].notna().all():
        out.append(Measure("discount", at["discount"].fillna(0).to_numpy(float), sent))
    for name in ("saving", "profit"):
        if chosen[name].notna().all():
            out.append(Measure(f"promised {name}", at[name].fillna(0).to_numpy(float), np.ones(len(sent))))
    return out


def audit_list(
    path: Path, people: pd.Series, labels: pd.DataFrame, seed: int, draws: int = 400, least: int = LEAST
) -> tuple[pd.DataFrame, Path]:
    """The audit of the list in `path`, and the file <list name>_audit.csv beside it that it is written to.

    people: [row] ids of all who could have been on the list; labels: [row, attribute] theirs. Columns as `fairness.audit`, and p and Holm
    of the null of equal shares. Whoever the list holds must be among `people`.
    """
    measures = measures_of(read_list(path), people)
    table = audit(measures, labels, people.to_numpy(object), seed, draws, least)
    tests = equal_shares(varying(measures), labels, people.to_numpy(object), least)
    tests["Holm"] = adjusted(tests["p"])
    table = table.round(12).merge(tests.drop(columns="z"), on=["attribute", "group", "measure"], how="left")
    file = path.with_name(f"{path.stem}_audit.csv")
    with whole(file) as scratch:
        table.to_csv(scratch, index=False, float_format="%.6g")
    return table, file


def read_audit(path: Path) -> pd.DataFrame:
    """The audit of a list as `audit_list` gave it."""
    return pd.read_csv(path, dtype={"group": str}).fillna({"note": ""})


def most_unlike(audited: pd.DataFrame) -> pd.DataFrame:
    """The row (or none) of the group whose share of contacts lies furthest from that of the others: of those that Holm leaves, where it
    leaves any."""
    judged = _judged(audited)
    sure = judged[judged["Holm"] < ALPHA]
    rows = sure if len(sure) else judged
    return rows.loc[rows["difference"].abs().sort_values(ascending=False, kind="stable").index[:1]]


def said(audited: pd.DataFrame) -> str:
    """The finding of an audit in a sentence."""
    judged = _judged(audited)
    if judged.empty:
        return "No group is large enough to be judged."
    sure = judged[judged["Holm"] < ALPHA]
    if sure.empty:
        return f"No group's share of contacts can be told from that of the others ({len(judged)} groups)."
    row = most_unlike(audited).iloc[0]
    kinds = [k.replace("_", " ") for k in dict.fromkeys(sure["attribute"])]
    ends = f"{100 * row['difference_low']:+.1f} to {100 * row['difference_high']:+.1f}"
    text = f"Groups by {', '.join(kinds)} are written to more or less often than others, by more than chance. Furthest off: "
    text += f"{row['attribute'].replace('_', ' ')} {row['group']}, of whom {row['value']:.1%} are written to"
    return text + f", {100 * row['difference']:+.1f} points beside the others ({ends})."


def _judged(audited: pd.DataFrame) -> pd.DataFrame:
    return audited[(audited["measure"] == "contacted") & (audited["note"] == "") & audited["Holm"].notna()]
