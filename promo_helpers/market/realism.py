"""Is the simulated shop like a real one? The same questions put to two shops, and the distances between the answers."""

import duckdb
import numpy as np
import pandas as pd
from scipy import stats

from promo_helpers.shop.shop import Shop

YEAR, MONTH = 365, 28  # days: the last year of each shop is compared; repeats are asked of its last 28 days
SHAPES = {  # measure: unit
    "days between trips": "days",
    "units a basket": "units",
    "units a customer and month": "units",
    "spending against the mean": "ratio",
    "spending on the five largest kinds": "share",
}


def answers(shop: Shop, product: str = "product_id") -> dict[str, np.ndarray]:
    """Per measure of SHAPES a sample of its values, and single numbers: discount share, repeat share and others; of the last year.

    `product` names the column that says what was bought: where a shop's product is a bar code, its category (some 300) is what
    the other's product is (250).
    """
    connection = duckdb.connect()
    connection.execute("SET memory_limit='2GB'; SET threads=2; SET enable_progress_bar=false")
    lines, products = shop.path("transactions"), shop.path("products")
    connection.execute(
        f"CREATE TABLE line AS SELECT customer_id, {product} AS product, basket_id, time::DATE AS day, units, "
        f"list_cents, paid_cents FROM '{lines}' LEFT JOIN '{products}' USING (product_id) "
        f"WHERE units > 0 AND time > (SELECT max(time) FROM '{lines}') - INTERVAL {YEAR} DAY"
    )

    def column(query: str) -> np.ndarray:
        return connection.execute(query).df().iloc[:, 0].to_numpy(float)

    trips = "SELECT DISTINCT customer_id, day FROM line"
    gaps = f"SELECT date_diff('day', lag(day) OVER (PARTITION BY customer_id ORDER BY day), day) AS gap FROM ({trips})"
    spend = column("SELECT sum(paid_cents) FROM line GROUP BY customer_id ORDER BY customer_id")
    kinds = (
        "SELECT customer_id, spend, row_number() OVER (PARTITION BY customer_id ORDER BY spend DESC, product) AS place FROM "
        "(SELECT customer_id, product, sum(paid_cents) AS spend FROM line GROUP BY ALL)"
    )
    late = f"(SELECT max(day) FROM line) - INTERVAL {MONTH} DAY"
    pairs = f"SELECT customer_id, product, min(day) <= {late} AS known FROM line GROUP BY ALL HAVING max(day) > {late}"
    return {
        "days between trips": column(f"SELECT gap FROM ({gaps}) WHERE gap IS NOT NULL ORDER BY gap"),
        "units a basket": column("SELECT sum(units) FROM line GROUP BY basket_id ORDER BY basket_id"),
        "units a customer and month": column("SELECT sum(units) / 12.0 FROM line GROUP BY customer_id ORDER BY customer_id"),
        "spending against the mean": spend / spend.mean(),
        "spending on the five largest kinds": column(
            f"SELECT sum(spend) FILTER (place <= 5) / sum(spend) FROM ({kinds}) GROUP BY customer_id HAVING sum(spend) > 0 "
            "ORDER BY customer_id"
        ),
        "trips a customer and month": column(f"SELECT count(*) / 12.0 / count(DISTINCT customer_id) FROM ({trips})"),
        "taken off by discounts": column("SELECT 1 - sum(paid_cents) / sum(list_cents) FROM line"),
        "lines at a discount": column("SELECT avg((paid_cents < list_cents)::INT) FROM line"),
        "products bought before": column(f"SELECT avg(known::INT) FROM ({pairs})"),
        "spending of the top fifth": np.array([np.sort(spend)[-len(spend) // 5 :].sum() / spend.sum()]),
        "weekend trips": column("SELECT avg((dayofweek(day) IN (0, 6))::INT) FROM (SELECT DISTINCT basket_id, day FROM line)"),
    }


def distances(simulated: dict[str, np.ndarray], real: dict[str, np.ndarray]) -> pd.DataFrame:
    """Per measure: the simulated and the real value (medians of samples), and their distance.

    For samples the distance is Kolmogorov and Smirnov's (largest gap of the two distribution functions, 0 to 1); for single
    numbers it is the difference in units of the real one.
    """
    rows = []
    for name, value in simulated.items():
        ours, theirs = float(np.median(value)), float(np.median(real[name]))
        gap = stats.ks_2samp(value, real[name]).statistic if name in SHAPES else abs(ours / theirs - 1)
        rows.append((name, ours, theirs, float(gap), "distribution" if name in SHAPES else "relative"))
    return pd.DataFrame(rows, columns=["measure", "simulated", "real", "distance", "kind"])
