"""Decisions that nobody has taken yet, described as the contacts of a trial are: what is known of a customer and a product at a moment."""

import numpy as np
import pandas as pd

from promo_helpers.experiment.contacts import CONTROL, HOLDS, _slice, _slices, _span
from promo_helpers.shop import Shop

NEEDED = ("customer_id", "product_id", "time")


def decision_features(shop: Shop, decisions: pd.DataFrame) -> pd.DataFrame:
    """[row, feature] of decisions with the columns customer_id, product_id and time, in their order; the features are those of
    `contact_experiment`, from strictly before each moment.

    Raises ValueError for ids that the shop does not have, for a shop without prices or margins, and for a missing column.
    """
    if lacking := [c for c in NEEDED if c not in decisions]:
        raise ValueError(f"decisions lack the column {lacking[0]}; needed are {', '.join(NEEDED)}")
    for column in ("price", "margin"):
        if not shop.has("products", column):
            raise ValueError(f"the products have no {column}: without it no profit can be told")
    products = shop.frame("products").sort_values("product_id", kind="stable", ignore_index=True)
    customers = shop.frame("customers").sort_values("customer_id", kind="stable", ignore_index=True)
    for column, known in (("customer_id", customers["customer_id"]), ("product_id", products["product_id"])):
        if (strange := ~decisions[column].isin(known)).any():
            first = decisions.loc[strange, column].iloc[0]
            raise ValueError(f"{column} {first!r} is not in the shop ({int(strange.sum()):,} such decisions)")
    if "segment" in customers:
        customers["segment"] = pd.Categorical(customers["segment"])  # a slice need not hold all of them
    asked = decisions[list(NEEDED)].reset_index(drop=True).assign(arm=CONTROL, redeemed=False)
    asked["contact_id"] = -1 - np.arange(len(asked))
    past = shop.frame("contacts") if shop.has("contacts", "product_id") else asked.iloc[:0]
    past = past[past["product_id"].notna() & (past["arm"] != "unknown")].sort_values("contact_id", kind="stable")
    kept = [c for c in asked if c in past]
    given = pd.concat([past[kept].astype({"contact_id": object}), asked.astype({"contact_id": object})], ignore_index=True)
    ours = pd.Series(np.arange(len(given)) >= len(past))
    start, end = _span(shop, given)
    parts = [
        _slice(shop, customers.iloc[rows].reset_index(drop=True), products, given, ours, start, end, 0.0)
        for rows in _slices(len(customers), shop.rows("transactions"))
    ]
    frame = pd.concat([p for p in parts if len(p)]).sort_index()
    return frame.drop(columns=list(HOLDS)).reset_index(drop=True)
