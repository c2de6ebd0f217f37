"""A small valid shop as CSV files, and easy ways to spoil it: for the tests of everything that reads a shop.

    frames = shop_frames(); frames["transactions"].loc[5, "UnitPrice"] = -1     # row 7 of the file
    folder = write_shop(tmp_path / "corner", frames)

Forty customers, twelve products in four categories, three stores, two promotions, ten weeks from Monday 6 January 2025. Bread and butter
share baskets more often than chance; soap and batteries ignore each other. Every cell is text or a number as a person would type it.
"""

from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd

from promo_helpers.shop import TABLES

FIRST_DAY = pd.Timestamp("2025-01-06")
WEEKS = 10
CATEGORIES = {"Bakery": (1, 2, 3), "Dairy": (4, 5, 6), "Soap": (7, 8, 9), "Batteries": (10, 11, 12)}
PRICES = np.array([90, 110, 240, 180, 320, 75.5, 150, 210, 99.9, 400, 650, 120])
MARGINS = np.array([0.3, 0.25, 0.4, 0.2, 0.2, 0.15, 0.35, 0.35, 0.3, 0.45, 0.4, 0.5])


def shop_frames(seed: int = 0) -> dict[str, pd.DataFrame]:
    """The six tables with the headings of the data dictionary, fresh each time: row i of a frame is row i + 2 of its file."""
    return {name: frame.copy() for name, frame in _drawn(seed).items()}


@cache
def _drawn(seed: int) -> dict[str, pd.DataFrame]:
    rng = np.random.default_rng(seed)
    customers = [f"CUST{i:05d}" for i in range(1, 41)]
    products = [f"PROD{i:05d}" for i in range(1, 13)]
    stores = ["STORE01", "STORE02", "STORE03"]
    category = {p: name for name, numbers in CATEGORIES.items() for p in numbers}
    promotions = pd.DataFrame(
        {
            "PromotionID": ["PROMO1", "PROMO1", "PROMO2"],
            "ProductID": ["PROD00001", "PROD00002", "PROD00007"],
            "CampaignID": ["", "", "SPRING"],
            "PromotionType": ["price", "price", "coupon"],
            "StartDate": ["2025-01-20", "2025-01-20", "2025-02-10"],
            "EndDate": ["2025-02-02", "2025-02-02", "2025-02-23"],
            "Discount": ["0.1", "0.2", ""],
        }
    )
    return {
        "customers": pd.DataFrame(
            {
                "CustomerID": customers,
                "Name": [f"Customer {i}" for i in range(1, 41)],
                "Gender": rng.choice(["Female", "Male"], 40),
                "Age": rng.integers(18, 80, 40),
                "Location": rng.choice(["Colombo", "Kandy", "Galle"], 40),
                "CustomerSegment": rng.choice(["frequent", "regular", "rare"], 40),
                "RegistrationDate": [f"{FIRST_DAY - pd.Timedelta(days=int(d)):%Y-%m-%d}" for d in rng.integers(1, 900, 40)],
                "Email": [f"customer{i}@example.com" for i in range(1, 41)],
                "Consent": rng.choice(["true", "false"], 40, p=[0.8, 0.2]),
            }
        ),
        "products": pd.DataFrame(
            {
                "ProductID": products,
                "ProductName": [f"{category[i]} {i}" for i in range(1, 13)],
                "Category": [category[i] for i in range(1, 13)],
                "Brand": rng.choice(["Own", "National"], 12),
                "Price": PRICES,
                "Margin": MARGINS,
            }
        ),
        "stores": pd.DataFrame(
            {
                "StoreID": stores,
                "StoreName": ["Fort", "Lake", "Harbour"],
                "City": ["Colombo", "Kandy", "Galle"],
                "StoreType": ["Supermarket", "Supermarket", "Express"],
                "FootTraffic": [1200, 800, 450],
            }
        ),
        "promotions": promotions,
        "transactions": _transactions(rng, customers, products, stores, promotions),
        "contacts": _contacts(rng, customers),
    }


def _transactions(rng, customers, products, stores, promotions):
    start, end = promotions["StartDate"].tolist(), promotions["EndDate"].tolist()
    offers = {("PROD00001"): (start[0], end[0], "PROMO1", 0.1), ("PROD00002"): (start[1], end[1], "PROMO1", 0.2)}
    rows = []
    for basket in range(1, 1_101):
        day = FIRST_DAY + pd.Timedelta(days=int(rng.integers(0, 7 * WEEKS)))
        time = day + pd.Timedelta(minutes=int(rng.integers(8 * 60, 21 * 60)))
        customer, store = customers[int(40 * rng.random() ** 2)], stores[int(rng.integers(3))]
        wanted = rng.random(4) < (0.45, 0.0, 0.4, 0.35)
        wanted[1] = rng.random() < (0.8 if wanted[0] else 0.2)  # butter goes with bread
        if not wanted.any():
            wanted[int(rng.integers(4))] = True
        for numbers in (n for n, w in zip(CATEGORIES.values(), wanted, strict=True) if w):
            for number in rng.choice(numbers, int(rng.integers(1, 3)), replace=False):
                product = products[number - 1]
                since, until, promotion, discount = offers.get(product, ("9999", "0000", "", 0.0))
                on = since <= f"{day:%Y-%m-%d}" <= until
                units, price = int(rng.integers(1, 4)), PRICES[number - 1]
                if rng.random() < 0.01:
                    units = -units
                off = discount if on else 0.0
                rows.append(
                    {
                        "TransactionID": f"T{len(rows) + 1:06d}",
                        "BasketID": f"B{basket:05d}",
                        "CustomerID": customer,
                        "ProductID": product,
                        "StoreID": store,
                        "TransactionDate": f"{time:%Y-%m-%d %H:%M:%S}",
                        "Quantity": units,
                        "UnitPrice": price,
                        "Discount": off,
                        "PromotionID": promotion if on else "",
                        "TotalAmount": round(units * price * (1 - off), 2),
                    }
                )
    return pd.DataFrame(rows)


def _contacts(rng, customers):
    arms = rng.choice(["none", "0", "5", "10", "15", "20", "25", "unknown"], 80)
    drawn = arms != "unknown"
    return pd.DataFrame(
        {
            "ContactID": [f"C{i:04d}" for i in range(1, 81)],
            "CustomerID": customers * 2,
            "ProductID": "PROD00007",
            "CampaignID": ["SPRING"] * 40 + ["SUMMER"] * 40,
            "ContactTime": ["2025-02-10 09:00:00"] * 40 + ["2025-03-10 09:00:00"] * 40,
            "Channel": np.where(arms == "none", "", "SMS"),
            "Arm": arms,
            "Probability": np.where(drawn, "0.125", ""),
            "TrialID": np.where(drawn, "TRIAL1", ""),
            "Redeemed": np.where((arms != "none") & (rng.random(80) < 0.3), "true", "false"),
        }
    )


def write_shop(folder: Path, frames: dict[str, pd.DataFrame] | None = None, **text: str | bytes | None) -> Path:
    """Write a shop as CSV and return its folder. `transactions="..."` puts that text (or bytes) in a file; None leaves the file out."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, frame in (frames or shop_frames()).items():
        if name not in text:
            frame.to_csv(folder / TABLES[name].file, index=False)
    for name, content in text.items():
        if content is not None:
            (folder / TABLES[name].file).write_bytes(content.encode() if isinstance(content, str) else content)
    return folder


def spoilt(table: str, column: str, *cells: tuple[int, object]) -> dict[str, pd.DataFrame]:
    """The small shop with some cells of one column replaced: `cells` are (row as a spreadsheet numbers it, value)."""
    frames = shop_frames()
    frames[table][column] = frames[table][column].astype(object)
    for row, value in cells:
        frames[table].loc[row - 2, column] = value
    return frames


def year_shop(folder: Path, *, customers: int = 150, start: str = "2024-01-01", trial: bool = False, seed: int = 0) -> Path:
    """Write a shop of 400 days that the models can learn from, and return its folder: 40 products in five categories, two stores.

    A customer comes every 3 to 24 days for one to four of eight favourites. `trial`: each was offered one of six products five times,
    by chance nothing or a discount; an offer doubles what is bought of the product in the two weeks after it.
    """
    rng = np.random.default_rng(seed)
    first = pd.Timestamp(start)
    people, products = [f"C{i:04d}" for i in range(1, customers + 1)], [f"P{i:03d}" for i in range(1, 41)]
    price = np.round(rng.uniform(60, 700, 40), 0)
    rows, contacts, tried = [], [], rng.choice(40, 6, replace=False)
    favourites = np.array([rng.choice(40, 8, replace=False) for _ in people])
    favourites[:, :2] = tried[np.arange(customers)[:, None] % 6 + np.array([0, 1]) - 6 * (np.arange(customers)[:, None] % 6 == 5)]
    for i, customer in enumerate(people):
        offers = {}
        for k in range(5 if trial else 0):
            moment, arm = first + pd.Timedelta(days=120 + 50 * k + int(rng.integers(20))), rng.choice(["none", "0", "10", "20"])
            product = products[favourites[i, k % 2]]
            contact = f"K{i:04d}{k}"
            contacts.append((contact, customer, product, f"{moment:%Y-%m-%d} 09:00:00", "" if arm == "none" else "SMS", arm))
            offers[product, moment] = arm
        day, every = int(rng.integers(20)), float(rng.uniform(3, 24))
        while day < 400:
            time = first + pd.Timedelta(days=day, minutes=int(rng.integers(8 * 60, 20 * 60)))
            wanted = set(rng.choice(favourites[i], int(rng.integers(1, 5)), replace=False))
            on = {
                p: int(a)
                for (p, m), a in offers.items()
                if a != "none" and m.normalize() < time.normalize() <= m + pd.Timedelta(days=14)
            }
            wanted |= {products.index(p) for p in on if rng.random() < 0.5}
            for p in sorted(wanted):
                off, units = on.get(products[p], 0) / 100, int(rng.integers(1, 4))
                paid = round(units * price[p] * (1 - off), 2)
                rows.append(
                    (
                        f"B{len(rows):06d}",
                        customer,
                        products[p],
                        f"S{i % 2}",
                        f"{time:%Y-%m-%d %H:%M:%S}",
                        units,
                        price[p],
                        off,
                        paid,
                    )
                )
            for row in range(len(rows) - len(wanted), len(rows)):
                rows[row] = (f"B{i:04d}-{day}", *rows[row][1:])
            day += max(1, int(rng.exponential(every)))
    headings = [
        "BasketID",
        "CustomerID",
        "ProductID",
        "StoreID",
        "TransactionDate",
        "Quantity",
        "UnitPrice",
        "Discount",
        "TotalAmount",
    ]
    frames = {
        "customers": pd.DataFrame(
            {
                "CustomerID": people,
                "Name": [f"Customer {i}" for i in range(1, customers + 1)],
                "Gender": rng.choice(["Female", "Male"], customers),
                "Age": rng.integers(18, 80, customers),
                "PhoneNumber": [f"+94 77 {i:06d}" for i in range(customers)],
                "Consent": "true",
            }
        ),
        "products": pd.DataFrame(
            {
                "ProductID": products,
                "ProductName": [f"Item {i}" for i in range(1, 41)],
                "Category": [f"Category {i % 5 + 1}" for i in range(40)],
                "Price": price,
                "Margin": 0.4,
            }
        ),
        "stores": pd.DataFrame({"StoreID": ["S0", "S1"], "StoreName": ["Fort", "Lake"], "City": ["Colombo", "Kandy"]}),
        "promotions": pd.DataFrame(columns=["PromotionID", "ProductID", "PromotionType", "StartDate", "EndDate", "Discount"]),
        "transactions": pd.DataFrame(rows, columns=headings).assign(TransactionID=[f"T{i:06d}" for i in range(len(rows))]),
    }
    if trial:
        named = ["ContactID", "CustomerID", "ProductID", "ContactTime", "Channel", "Arm"]
        frames["contacts"] = pd.DataFrame(contacts, columns=named).assign(Probability=0.25, TrialID="TRIAL1")
    return write_shop(folder, frames)
