"""The five feature sets in DuckDB's SQL, written by hand: the measure of what Narwhals costs, and a second opinion on every value.

Run as `python -m tests.bench_sql SHOP AS_OF FOLDER`; columns and files are those of promo_helpers.features.written.
"""

import sys
from datetime import datetime
from pathlib import Path

from promo_helpers.features.written import CUSTOMER, KEYS, PRODUCT
from promo_helpers.shop import Shop

DAY = 86_400
SQL = {
    "customer_features": """
        WITH baskets AS (
            SELECT customer_id, basket_id, min(age) AS age, min(date_trunc('day', time)) AS day, min(hour(time)) AS hour,
                min(isodow(time)) AS weekday, count(*) AS lines, sum(units) AS units, sum(list_cents) AS list,
                sum(paid_cents) AS paid, sum(units) FILTER (discount > 0) AS promo_units,
                sum(list_cents) FILTER (discount > 0) AS promo_list, sum(paid_cents) FILTER (discount > 0) AS promo_paid
            FROM past GROUP BY ALL
        ), sums AS (
            SELECT customer_id, min(age) AS last, max(age) AS first, count(*) AS n, count(DISTINCT day) AS trip_days,
                sum(lines) AS lines, sum(units) AS units, sum(list) AS list, sum(paid) AS paid, sum(paid * paid) AS square,
                sum(promo_units) AS promo_units, sum(promo_list) AS promo_list, sum(promo_paid) AS promo_paid, sum(hour) AS hours,
                coalesce(sum(paid) FILTER (age <= 30 * {DAY}), 0) AS paid_30,
                greatest(coalesce(sum(paid) FILTER (age <= 90 * {DAY}), 0), 0) AS recent,
                greatest(coalesce(sum(paid) FILTER (age > 90 * {DAY} AND age <= 180 * {DAY}), 0), 0) AS earlier,
                count(*) FILTER (weekday >= 6) AS weekend, count(*) FILTER (hour < 12) AS morning,
                count(*) FILTER (hour >= 17) AS evening
            FROM baskets GROUP BY ALL
        ), kinds AS (SELECT customer_id, count(DISTINCT product_id) AS products FROM past GROUP BY ALL
        ), made AS (
            SELECT customer_id, last / {DAY} AS recency, first / {DAY} AS tenure, n AS frequency, trip_days, paid / 100 AS monetary,
                units::BIGINT AS units, lines::BIGINT AS lines, products, paid / n / 100 AS spend_mean,
                CASE WHEN n > 1 THEN sqrt(greatest((square - paid::DOUBLE * paid / n) / (n - 1), 0)) / 100 END AS spend_sd,
                units / n AS basket_units,
                (first - last) / nullif(trip_days - 1, 0) / {DAY} AS gap_mean, paid_30 / 100 AS spend_30,
                ln(recent / 100 + 1) - ln(earlier / 100 + 1) AS spend_trend, weekend / n AS weekend_share,
                morning / n AS morning_share, evening / n AS evening_share, hours / n AS mean_hour,
                1 - paid / nullif(list, 0) AS discount_share, coalesce(promo_units, 0) / nullif(units, 0) AS promo_share,
                1 - promo_paid / nullif(promo_list, 0) AS promo_depth
            FROM sums JOIN kinds USING (customer_id)
        ), sent AS (
            SELECT customer_id, count(*) FILTER (age <= 30 * {DAY}) AS contacts_30, count(*) AS contacts_all,
                count(*) FILTER (age > 14 * {DAY} AND redeemed) / nullif(count(*) FILTER (age > 14 * {DAY}), 0) AS redeemed_share
            FROM sent_before GROUP BY ALL
        )
        SELECT {customer}, made.* EXCLUDE (customer_id) REPLACE (coalesce(frequency, 0) AS frequency),
            sent.* EXCLUDE (customer_id) REPLACE (coalesce(contacts_30, 0) AS contacts_30, coalesce(contacts_all, 0) AS contacts_all)
        FROM customers LEFT JOIN made USING (customer_id) LEFT JOIN sent USING (customer_id)""",
    "product_features": """
        WITH pairs AS (
            SELECT customer_id, product_id, count(DISTINCT basket_id) AS baskets, max(age) AS age, sum(units) AS units,
                coalesce(sum(units) FILTER (age <= 28 * {DAY}), 0) AS units_28,
                coalesce(sum(units) FILTER (discount > 0), 0) AS promo_units, sum(list_cents) AS list, sum(paid_cents) AS paid
            FROM past GROUP BY ALL
        ), sums AS (
            SELECT product_id, count(*) AS buyers, count(*) FILTER (baskets > 1) AS again, max(age) AS age, sum(baskets) AS baskets,
                sum(units) AS units, sum(units_28) AS units_28, sum(promo_units) AS promo_units, sum(list) AS list, sum(paid) AS paid
            FROM pairs GROUP BY ALL
        ), made AS (
            SELECT product_id, buyers, baskets::BIGINT AS baskets, units::BIGINT AS units, units_28::BIGINT AS units_28,
                paid / 100 AS sales, again / buyers AS repeat_rate,
                buyers / (SELECT count(DISTINCT customer_id) FROM pairs) AS popularity, list / nullif(units, 0) / 100 AS price_list,
                paid / nullif(units, 0) / 100 AS price_paid, 1 - paid / nullif(list, 0) AS discount_share,
                promo_units / nullif(units, 0) AS promo_share, age / {DAY} AS age
            FROM sums
        )
        SELECT {product}, made.* EXCLUDE (product_id) REPLACE (coalesce(buyers, 0) AS buyers)
        FROM products LEFT JOIN made USING (product_id)""",
    "customer_product_interactions": """
        SELECT customer_id, product_id, count(DISTINCT basket_id) AS baskets, sum(units)::BIGINT AS units,
            sum(paid_cents) / 100 AS spend, min(age) / {DAY} AS recency, max(age) / {DAY} AS first,
            coalesce(sum(units) FILTER (discount > 0), 0) / nullif(sum(units), 0) AS promo_share,
            (max(age) - min(age)) / nullif(count(DISTINCT basket_id) - 1, 0) / {DAY} AS gap
        FROM past GROUP BY ALL""",
    "category_purchases": """
        SELECT customer_id, category, count(DISTINCT basket_id) AS baskets, sum(units)::BIGINT AS units,
            sum(paid_cents) / 100 AS spend, min(age) / {DAY} AS recency
        FROM past JOIN products USING (product_id) WHERE category IS NOT NULL GROUP BY ALL""",
    "category_spending_pct": """
        WITH cents AS (SELECT customer_id, category, round(spend * 100)::BIGINT AS cents FROM category_purchases)
        SELECT customer_id, category, cents / nullif(sum(cents) OVER (PARTITION BY customer_id), 0) AS share,
            rank() OVER (PARTITION BY customer_id ORDER BY cents DESC) AS rank
        FROM cents""",
}


def write(shop: Shop, as_of: datetime, folder: Path) -> list[Path]:
    """The five files, sorted on their keys."""
    folder.mkdir(parents=True, exist_ok=True)
    shop = Shop(shop.folder)  # with a connection of its own
    connection = shop.connection
    for table in ("transactions", "products", "customers", "contacts"):
        connection.read_parquet(str(shop.path(table))).create_view(table)
    age = f"date_diff('second', time, TIMESTAMP '{as_of}') AS age FROM"
    before = f"WHERE time < TIMESTAMP '{as_of}'"
    connection.sql(f"CREATE VIEW past AS SELECT *, {age} transactions {before}")
    connection.sql(f"CREATE VIEW sent_before AS SELECT *, {age} contacts {before} AND arm <> 'none'")
    described = {
        "customer": ", ".join(["customer_id", *(c for c in CUSTOMER if c in shop.lazy("customers").columns)]),
        "product": ", ".join(["product_id", *(f"products.{c}" for c in PRODUCT if c in shop.lazy("products").columns)]),
    }
    files = []
    for name, sql in SQL.items():
        files.append(folder / f"{name}.parquet")
        query = sql.format(DAY=DAY, **described)
        connection.sql(f"COPY ({query} ORDER BY {', '.join(KEYS[name])}) TO '{files[-1]}' (FORMAT parquet, COMPRESSION zstd)")
        connection.read_parquet(str(files[-1])).create_view(name)
    return files


if __name__ == "__main__":
    write(Shop(sys.argv[1]), datetime.fromisoformat(sys.argv[2]), Path(sys.argv[3]))
