"""The audit on one page, and the customers that an audit is about."""

import numpy as np
import pandas as pd

from promo_helpers import draws
from promo_helpers.audit.nulls import ALPHA, adjusted
from promo_helpers.features.purchases import Purchases
from promo_helpers.shop import Shop

SHARES = ("contacted", "discount", "left out", "buyers contacted", "others contacted")


def page(table: pd.DataFrame, shares: pd.DataFrame, given: pd.DataFrame | None, measures: tuple[str, ...]) -> pd.DataFrame:
    """The audit as text: a row a group, its customers, each measure with its interval (shares in per cent), and what is found of contacts.

    table: `fairness.audit`; shares, given: `nulls.equal_shares` and `nulls.equal_given`. Their columns say more or fewer where Holm, over
    all rows of that test, leaves the difference to the other customers; blank where it does not, n/a where it is not tested.
    """
    rows = []
    known = {"equal shares": _said(shares)} | ({} if given is None else {"given features": _said(given)})
    for (attribute, group), part in table.groupby(["attribute", "group"], sort=False):
        part = part.set_index("measure")
        row = {"by": attribute, "group": group, "customers": int(part.loc["contacted", "customers"])}
        for name in measures:
            cell = part.loc[name]
            unit = 100 if name in SHARES else 1
            shown = [f"{unit * cell[c]:.1f}" for c in ("value", "value_low", "value_high")]
            row[f"{name}, %" if name in SHARES else name] = (
                f"{shown[0]} [{shown[1]}, {shown[2]}]" if not cell["note"] else "too few"
            )
        rows.append(row | {null: said.get((attribute, group), "n/a") for null, said in known.items()})
    out = pd.DataFrame(rows)
    return out.assign(by=out["by"].where(~out["by"].duplicated(), "").str.replace("_", " "))


def with_ends(table: pd.DataFrame, names: dict[str, str]) -> pd.DataFrame:
    """Columns of a table, by their new names, as text in per cent: "-3.1 [-4.4, -1.9]", the ends those of name_low and name_high."""
    return pd.DataFrame(
        {
            new: [
                f"{100 * v:.1f} [{100 * low:.1f}, {100 * high:.1f}]"
                for v, low, high in table[[old, f"{old}_low", f"{old}_high"]].to_numpy()
            ]
            for old, new in names.items()
        },
        index=table.index,
    )


def _said(tests: pd.DataFrame) -> dict[tuple[str, str], str]:
    holm = adjusted(tests["p"]) < ALPHA
    words = np.where(holm, np.where(tests["z"] > 0, "more", "fewer"), "")
    mine = tests["measure"] == "contacted"
    return {(a, g): str(w) for a, g, w in zip(tests["attribute"][mine], tests["group"][mine], words[mine], strict=True)}


def who(shop: Shop, purchases: Purchases, day: int, size: int, seed: int) -> pd.DataFrame:
    """Rows of customers, sorted by id: those with a purchase before the day who agreed to be contacted (all, where no consent is
    recorded); at most `size`, drawn at random."""
    people = shop.frame("customers").sort_values("customer_id", kind="stable", ignore_index=True)
    kept = people["customer_id"].isin(purchases.customers[purchases.seen(day)])
    if "consent" in people:
        kept &= people["consent"].fillna(False).astype(bool)
    rows = np.flatnonzero(kept)
    some = rows[draws.sample(seed, "customers of an audit", people["customer_id"].iloc[rows], size=size)]
    return people.iloc[some].reset_index(drop=True)


def item_of(shop: Shop, purchases: Purchases, item: str, product: str) -> int:
    """Number of an item by its id or name; "" is the one bought most. Raises KeyError for one that the shop does not sell."""
    if not product:
        return int(np.bincount(purchases.what, minlength=len(purchases.items)).argmax())
    asked = product
    if item == "product_id" and shop.has("products", "name"):
        names = shop.frame("products", ["product_id", "name"])
        same = names.loc[names["name"] == product, "product_id"].sort_values()
        asked = same.iloc[0] if len(same) else product
    place = int(purchases.items.get_indexer([asked])[0])
    if place < 0:
        raise KeyError(f"product {product!r} is not sold in this shop; give the name or id of one, or leave it empty")
    return place
