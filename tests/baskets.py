"""Purchases made by hand or at random, for the tests of what learns from them."""

import numpy as np
import pandas as pd

from promo_helpers.features.purchases import Purchases


def purchases_of(who, what, day, customers=None, items=None) -> Purchases:
    """Purchases of numbers: one basket per customer and day, each item once in it."""
    rows = pd.DataFrame({"who": who, "day": day, "what": what}).drop_duplicates().sort_values(["who", "day", "what"])
    customers = customers or int(rows["who"].max()) + 1
    items = items or int(rows["what"].max()) + 1
    return Purchases(
        customers=pd.Index([f"C{i:03d}" for i in range(customers)]),
        items=pd.Index([f"P{i:03d}" for i in range(items)]),
        start=pd.Timestamp("2025-01-01"),
        who=rows["who"].to_numpy(np.int32),
        what=rows["what"].to_numpy(np.int32),
        day=rows["day"].to_numpy(np.int32),
        hour=np.full(len(rows), 12, np.int8),
        basket=rows.groupby(["who", "day"]).ngroup().to_numpy(np.int32),
        units=np.ones(len(rows), np.int32),
        cents=np.full(len(rows), 100),
    )


def random_purchases(rng, customers=60, items=20, days=120, trips=0.15, size=3.0, tastes=0.5) -> Purchases:
    """Customers with tastes of their own, constant in time, whose baskets are otherwise independent draws."""
    share = rng.gamma(tastes, size=(customers, items))
    share /= share.sum(axis=1, keepdims=True)
    rows = [
        (c, i, d)
        for c in range(customers)
        for d in np.flatnonzero(rng.random(days) < trips)
        for i in np.flatnonzero(rng.random(items) < 1 - np.exp(-size * share[c]))
    ]
    return purchases_of(*(np.array(x) for x in zip(*rows, strict=True)), customers=customers, items=items)
