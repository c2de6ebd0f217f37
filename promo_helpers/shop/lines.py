"""What follows from the cells of a line: amounts in cents, the discount where the amount paid tells it, returns, baskets."""

import numpy as np
import pandas as pd

from promo_helpers.shop.checks import SHOWN, Problems


def complete_lines(lines: pd.DataFrame) -> pd.DataFrame:
    """Add what follows from a line's own cells: amounts in cents, the discount where the amount paid tells it, returns, baskets.

    list = units x price; paid is taken as given, else list x (1 - discount). A discount that is not given follows from paid / list
    (a price per unit is rounded, so that paid may exceed list by half a cent a unit: that is no discount, nor is it an error).
    """
    if not {"units", "price"} <= set(lines):
        return lines
    lines = lines.copy(deep=False)
    listed = np.rint((lines["units"].astype("float64") * lines["price"] * 100).fillna(0))
    paid = np.rint(listed * (1 - lines["discount"].fillna(0))) if "discount" in lines else listed
    if "paid" in lines:
        given = np.rint(lines.pop("paid") * 100)
        paid = given.fillna(paid)
        share = 1 - given / listed.where((listed != 0) & (lines["price"] >= 0))
        share = share.mask((share < 0) & ((given - listed).abs() <= lines["units"].abs().astype("float64") / 2), 0)
        lines["discount"] = (lines["discount"].fillna(share) if "discount" in lines else share).astype("float64")
    lines["list_cents"], lines["paid_cents"] = listed.astype("int64"), paid.astype("int64")
    lines["is_return"] = (lines["units"] < 0).fillna(False).astype("bool")
    if {"customer_id", "store_id", "time"} <= set(lines):
        if "basket_id" not in lines:
            lines["basket_id"] = _basket(lines)
        elif lines["basket_id"].isna().any():
            lines["basket_id"] = lines["basket_id"].astype("str").where(lines["basket_id"].notna(), _basket(lines))
    return lines


def check_paid(given: pd.DataFrame, lines: pd.DataFrame, row: int, problems: Problems) -> pd.DataFrame:
    """Where the discount follows from the amount paid, it is that amount which can be wrong, and the message names it."""
    if "paid" not in given or "paid" in lines:
        return lines
    follows = given["discount"].isna() if "discount" in given else pd.Series(True, index=lines.index)
    wrong = follows & lines["discount"].notna() & ~lines["discount"].between(0, 1)
    if not wrong.any():
        return lines
    units, price = (problems.headings.get(("transactions", c), c) for c in ("units", "price"))
    at = np.flatnonzero(wrong)
    found = [(row + int(i), float(given["paid"].iloc[i])) for i in at[:SHOWN]]
    problems.rows("transactions", "paid", f"is not between 0 and {units} x {price}", found, len(at))
    return lines.assign(discount=lines["discount"].mask(wrong))


def _basket(lines: pd.DataFrame) -> pd.Series:
    """What one customer bought in one store at one moment is one basket."""
    customer, store, time = (lines[c].astype("str") for c in ("customer_id", "store_id", "time"))
    return customer + " " + store + " " + time
