"""The products of a shop by name: what a campaign can be about."""

import pandas as pd

from promo_helpers.campaign.ask import AskError
from promo_helpers.shop import Shop
from promo_helpers.shop.nearest import find


def products(shop: Shop) -> pd.DataFrame:
    """Columns product_id, name and, where the shop has them, category and price: the products in most baskets first."""
    known = [c for c in ("product_id", "name", "category", "price") if shop.has("products", c)]
    frame = shop.frame("products", known)
    file = str(shop.path("transactions")).replace("'", "''")
    counts = shop.connection.sql(f"SELECT product_id, count(*) FROM read_parquet('{file}') WHERE units > 0 GROUP BY product_id")
    frame["lines"] = frame["product_id"].map(dict(counts.fetchall())).fillna(0)
    if "name" not in frame:
        frame.insert(1, "name", frame["product_id"].astype(str))
    order = frame.sort_values(["lines", "product_id"], ascending=[False, True])
    return order.drop(columns="lines").reset_index(drop=True)


def number_of_product(named: str, items: pd.DataFrame, key: str = "product_id") -> int:
    """Row of an item by name or id (column `key`), whatever its capitals. Raises AskError that suggests the nearest names."""
    ids = [str(i).lower() for i in items[key]]
    if named.lower() in ids:
        return ids.index(named.lower())
    try:
        return find(named, items["name"].astype(str).tolist())
    except KeyError as error:
        raise AskError([f"PRODUCT={named}: {error.args[0]}; name one of the shop's products, or its id"]) from None
