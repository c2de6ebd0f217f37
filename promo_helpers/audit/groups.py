"""Groups of customers, by what a shop records of them."""

import numpy as np
import pandas as pd

from promo_helpers.shop import Shop

AGES = ("under 30", "30 to 44", "45 to 59", "60 and over")
BORDERS = (30, 45, 60)
KINDS = ("gender", "age_band", "city", "segment", "income_band", "household_size")
BOTH = "gender and age"


def in_words(kind: str) -> str:
    """An attribute as a sentence names it."""
    return kind.removesuffix("_band").replace("_", " ")


def attributes(customers: pd.DataFrame) -> pd.DataFrame:
    """[customer, attribute] labels, missing where not known: those of KINDS that the table has (age becomes age_band), and gender and age.

    Ages are cut below 30, 45 and 60. Raises ValueError where the table has none of them.
    """
    out = pd.DataFrame(index=customers.index)
    for kind in KINDS:
        if kind == "age_band" and "age" in customers:
            band = np.searchsorted(BORDERS, customers["age"].to_numpy(float), side="right")
            out[kind] = pd.Series(np.array(AGES, object)[band], customers.index).where(customers["age"].notna())
        elif kind in customers and customers[kind].notna().any():
            out[kind] = customers[kind].astype(object).where(customers[kind].notna())
    if not len(out.columns):
        raise ValueError(f"the customers have none of {', '.join(KINDS)}: there are no groups to compare")
    if {"gender", "age_band"} <= set(out):
        both = out["gender"].astype(str) + ", " + out["age_band"].astype(str)
        out[BOTH] = both.astype(object).where(out["gender"].notna() & out["age_band"].notna())
    return out


def groups_of(shop: Shop, customer: pd.Series) -> pd.DataFrame:
    """[customer, attribute] labels of these ids, as `attributes` makes them; no column where the shop records none."""
    known = [c for c in (*KINDS, "age") if shop.has("customers", c)]
    frame = shop.frame("customers", ["customer_id", *known]).set_index("customer_id").reindex(customer)
    try:
        return attributes(frame.reset_index())
    except ValueError:
        return pd.DataFrame(index=customer.index)
