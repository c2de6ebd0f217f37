"""Features as of a moment, from strictly earlier lines: five sets, written once over Narwhals, so that DuckDB and Spark both run them.

Every sum is a sum of whole numbers, and every mean the quotient of two such sums, so that two runs give the same bytes whatever
order the engine's threads add in. Nothing here reads a line, a contact or a redemption of the moment itself or later.
"""

from promo_helpers.features.customers import (
    category_purchases,
    category_spending,
    customer_features,
    interactions,
    product_features,
)

__all__ = ["category_purchases", "category_spending", "customer_features", "interactions", "product_features"]
