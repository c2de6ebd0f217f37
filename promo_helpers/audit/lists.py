"""The audit of a campaign's list: the customers that the file holds, against all whom it could have held, written beside it."""

from pathlib import Path

import numpy as np
import pandas as pd

from promo_helpers.audit.fairness import audit
from promo_helpers.audit.measures import LEAST, Measure
from promo_helpers.audit.nulls import ALPHA, adjusted, equal_shares
from promo_helpers.files import whole
from promo_helpers.shop.sheets import read_sheet, write_sheet


def read_list(path: Path) -> pd.DataFrame:
    """customer_id, discount (share off) and profit (expected, missing where the list has none) of those whom a list writes to.

    Rows with Holdout "yes" are not written to. Raises ValueError where the file is no list, or holds a customer twice.
    """
    header = pd.read_csv(path, nrows=0)
    given = read_sheet(path, [c for c in header if c not in ("Discount", "ExpectedProfit")])
    if lacking := [c for c in ("CustomerID", "Discount") if c not in given]:
        raise ValueError(f"{path.name} has no column {lacking[0]}: an audit needs the list's CustomerID and Discount (percent)")
    if "Holdout" in given:
        given = given[given["Holdout"] != "yes"]
    given = given.assign(CustomerID=given["CustomerID"].str.removeprefix("'"))  # which keeps a spreadsheet from a formula
    if given["CustomerID"].duplicated().any():
        raise ValueError(f"{path.name} holds {given['CustomerID'][given['CustomerID'].duplicated()].iloc[0]} twice")
    profit = given["ExpectedProfit"] if "ExpectedProfit" in given else pd.Series(np.nan, given.index)
    frame = pd.DataFrame({"customer_id": given["CustomerID"], "discount": given["Discount"] / 100, "profit": profit})
    return frame.reset_index(drop=True)


def write_list(path: Path, customer: np.ndarray, discount: np.ndarray, profit: np.ndarray) -> None:
    """Write an allocation as a list that `read_list` reads: customer ids, share off, expected profit of those who are written to."""
    frame = pd.DataFrame({"CustomerID": customer, "Discount": 100 * discount, "ExpectedProfit": profit.round(2)})
    write_sheet(frame, path, ("CustomerID",))


def measures_of(chosen: pd.DataFrame, people: pd.Series) -> list[Measure]:
    """contacted, discount (of the contacted) and, where it is known, profit a customer: of `people` [row] ids who could be on the list."""
    if (strange := ~chosen["customer_id"].isin(people)).any():
        raise ValueError(
            f"the list holds {chosen.loc[strange, 'customer_id'].iloc[0]}, who is not among those it is audited against"
        )
    at = chosen.set_index("customer_id").reindex(people)
    sent = people.isin(chosen["customer_id"]).to_numpy(float)
    out = [Measure("contacted", sent, np.ones(len(sent)))]
    if chosen["discount"].notna().all():
        out.append(Measure("discount", at["discount"].fillna(0).to_numpy(float), sent))
    if chosen["profit"].notna().all():
        out.append(Measure("profit", at["profit"].fillna(0).to_numpy(float), np.ones(len(sent))))
    return out


def audit_list(
    path: Path, people: pd.Series, labels: pd.DataFrame, rng: np.random.Generator, draws: int = 400, least: int = LEAST
) -> tuple[pd.DataFrame, Path]:
    """The audit of the list in `path`, and the file <list name>_audit.csv beside it that it is written to.

    people: [row] ids of all who could have been on the list; labels: [row, attribute] theirs. Columns as `fairness.audit`, and p and Holm
    of the null of equal shares. Whoever the list holds must be among `people`.
    """
    measures = measures_of(read_list(path), people)
    table = audit(measures, labels, people.to_numpy(object), rng, draws, least)
    tests = equal_shares(measures, labels, people.to_numpy(object), least)
    tests["Holm"] = adjusted(tests["p"])
    table = table.merge(tests.drop(columns="z"), on=["attribute", "group", "measure"], how="left")
    file = path.with_name(f"{path.stem}_audit.csv")
    with whole(file) as scratch:
        table.to_csv(scratch, index=False, float_format="%.6g")
    return table, file


def read_audit(path: Path) -> pd.DataFrame:
    """The audit of a list as `audit_list` gave it."""
    return pd.read_csv(path, dtype={"group": str}).fillna({"note": ""})


def most_unlike(audited: pd.DataFrame) -> pd.DataFrame:
    """The row (none, where no group is large enough) of the group whose share of contacts is most surely unlike that of the others."""
    judged = audited[(audited["measure"] == "contacted") & (audited["note"] == "")]
    return (
        judged.assign(size=-judged["difference"].abs()).sort_values(["Holm", "size"], kind="stable").drop(columns="size").head(1)
    )


def said(audited: pd.DataFrame) -> str:
    """The finding of an audit in a sentence."""
    judged = audited[(audited["measure"] == "contacted") & (audited["note"] == "")]
    if judged.empty:
        return "No group is large enough to be judged."
    row = most_unlike(audited).iloc[0]
    ends = f"{100 * row['difference_low']:+.1f} to {100 * row['difference_high']:+.1f}"
    text = f"{row['attribute'].replace('_', ' ')} {row['group']}, of whom {row['value']:.1%} are written to"
    text += f", {100 * row['difference']:+.1f} points beside the others ({ends})"
    if row["Holm"] >= ALPHA:
        return f"No group's share of contacts can be told from that of the others; most unlike is {text}."
    count = int((judged["Holm"] < ALPHA).sum())
    return f"Of {len(judged)} groups {count} are written to more or less than the others by more than chance; most of all {text}."
