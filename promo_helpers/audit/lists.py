"""The audit of a campaign's list: the customers that the file holds, against all whom it could have held, written beside it."""

from pathlib import Path

import numpy as np
import pandas as pd

from promo_helpers.audit.fairness import audit
from promo_helpers.audit.measures import LEAST, Measure
from promo_helpers.audit.nulls import adjusted, equal_shares
from promo_helpers.files import whole
from promo_helpers.shop.sheets import read_sheet


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


def campaign_lists(folder: Path, people: pd.Series) -> list[Path]:
    """Files of a folder that are campaigns' lists about these customers: campaign_*.csv with a column of discounts; but those that
    somebody asked for (`make campaign`), on which no result of the study may depend."""
    out = []
    for path in sorted(p for p in folder.glob("campaign_*.csv") if "_asked_" not in p.name):
        head = pd.read_csv(path, dtype={"CustomerID": str})
        if {"CustomerID", "Discount"} <= set(head) and len(head) and head["CustomerID"].str.removeprefix("'").isin(people).all():
            out.append(path)
    return out


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
    """The audit of the list in `path`, and the file audit_<list name>.csv beside it that it is written to.

    people: [row] ids of all who could have been on the list; labels: [row, attribute] theirs. Columns as `fairness.audit`, and p and Holm
    of the null of equal shares. Whoever the list holds must be among `people`.
    """
    measures = measures_of(read_list(path), people)
    table = audit(measures, labels, people.to_numpy(object), rng, draws, least)
    tests = equal_shares(measures, labels, people.to_numpy(object), least)
    tests["Holm"] = adjusted(tests["p"])
    table = table.merge(tests.drop(columns="z"), on=["attribute", "group", "measure"], how="left")
    file = path.with_name(f"audit_{path.name}")
    with whole(file) as scratch:
        table.to_csv(scratch, index=False, float_format="%.6g")
    return table, file
