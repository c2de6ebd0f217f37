"""The shop: six observable tables, their rules, and the sources that they are read from."""

from promo_helpers.shop.shop import Shop, ShopWriter
from promo_helpers.shop.tables import TABLES, data_dictionary

__all__ = ["TABLES", "Shop", "ShopWriter", "data_dictionary"]
