"""What a customer buys on a day, by class: the past as features, and the next day of shopping as what is to be told."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from promo_helpers.features.purchases import Purchases
from promo_helpers.shop import Shop

LATELY = 84  # days
LEAST = 3  # categories: with fewer there is hardly anything to foretell


def kinds(shop: Shop) -> pd.Series:
    """product_id -> category; each product is a kind of its own, by name, where the shop tells fewer than three categories apart."""
    products = shop.frame("products", [c for c in ("product_id", "name", "category") if shop.has("products", c)])
    products = products.set_index("product_id")
    if "category" in products and products["category"].nunique() >= LEAST:
        return products["category"]
    by_name = "name" in products and products["name"].notna().all()
    return products["name"] if by_name else pd.Series(products.index.astype(str), products.index)


@dataclass(frozen=True)
class ClassDays:
    """Products bought by each customer, day and class: arrays of equal length, ordered by customer and day.

    what: number into `classes`. lines: different products of the class in the baskets of the day.
    """

    classes: pd.Index
    who: np.ndarray
    day: np.ndarray
    what: np.ndarray
    lines: np.ndarray
    covered: float  # share of all lines whose class is among `classes`

    @classmethod
    def of(cls, purchases: Purchases, class_of: pd.Series, most: int = 25, before: int | None = None) -> "ClassDays":
        """The `most` classes with most lines, by name; `class_of` gives each item's class and is missing where it has none.

        Which classes are large is judged by the days before `before`, so that the choice knows nothing of the future.
        """
        names = pd.Index(np.sort(class_of.dropna().astype(str).unique().astype(object)))
        place = names.get_indexer(class_of.reindex(purchases.items).astype(object).to_numpy())
        what = place[purchases.what]
        early = (what >= 0) & (purchases.day < (before if before is not None else purchases.days))
        size = np.bincount(what[early], minlength=len(names))
        kept = np.sort(np.argsort(-size, kind="stable")[:most])
        kept = kept[size[kept] > 0]
        number = np.full(len(names) + 1, -1)
        number[kept] = np.arange(len(kept))
        what = number[what]
        rows = what >= 0
        who, day, what = purchases.who[rows].astype(np.int64), purchases.day[rows].astype(np.int64), what[rows]
        key, lines = np.unique((who * (purchases.days + 1) + day) * len(kept) + what, return_counts=True)
        moment = key // max(len(kept), 1)
        return cls(
            classes=names[kept],
            who=moment // (purchases.days + 1),
            day=moment % (purchases.days + 1),
            what=key % max(len(kept), 1),
            lines=lines,
            covered=float(rows.mean()) if len(rows) else 0.0,
        )

    def of_customers(self, customers: np.ndarray) -> "ClassDays":
        """The same of these customers only, which keep their numbers."""
        rows = np.isin(self.who, customers)
        return replace(self, who=self.who[rows], day=self.day[rows], what=self.what[rows], lines=self.lines[rows])

    def counts(self, first: int, stop: int, customers: np.ndarray) -> np.ndarray:
        """[customer, class] lines in the days first .. stop - 1, for the customers named by number."""
        place = self._place(customers)
        rows = np.flatnonzero((self.day >= first) & (self.day < stop) & (place[self.who] >= 0))
        key = place[self.who[rows]] * len(self.classes) + self.what[rows]
        shape = (len(customers), len(self.classes))
        return np.bincount(key, self.lines[rows], minlength=shape[0] * shape[1]).reshape(shape)

    def last(self, stop: int, customers: np.ndarray) -> np.ndarray:
        """[customer, class] days since each class was last bought before day `stop`; missing where never."""
        out, place = np.full((len(customers), len(self.classes)), np.nan), self._place(customers)
        rows = np.flatnonzero((self.day < stop) & (place[self.who] >= 0))
        out[place[self.who[rows]], self.what[rows]] = stop - self.day[rows]  # in the order of days: the last one stays
        return out

    def _place(self, customers: np.ndarray) -> np.ndarray:
        place = np.full(max(self.who.max(initial=0), np.max(customers, initial=0)) + 1, -1, dtype=np.int64)
        place[customers] = np.arange(len(customers))
        return place


def habits(days: ClassDays, moment: int, customers: np.ndarray) -> pd.DataFrame:
    """Features as of the midnight that begins day `moment`, one row for each of the customers (different numbers).

    Per class: all:<class> (lines so far), share:<class> (of her lines in the last 84 days), last:<class> (days since, missing for
    never); and lines (all).
    """
    ever, lately = (days.counts(first, moment, customers) for first in (0, moment - LATELY))
    share = lately / np.maximum(lately.sum(axis=1, keepdims=True), 1)
    table = {"lines": ever.sum(axis=1).astype(float)}
    for name, values in (("all", ever), ("share", share), ("last", days.last(moment, customers))):
        table |= {f"{name}:{c}": values[:, i].astype(float) for i, c in enumerate(days.classes)}
    return pd.DataFrame(table)


def next_lines(days: ClassDays, customers: np.ndarray, moment: int, wait: np.ndarray) -> np.ndarray:
    """[row, class] different products by class on the day of shopping that comes after `wait` days (1: the day of the moment)."""
    width = int(days.day.max(initial=0)) + 2
    key = days.who * width + days.day
    wanted = np.asarray(customers, np.int64) * width + moment + wait - 1
    low, high = np.searchsorted(key, wanted), np.searchsorted(key, wanted, side="right")
    out = np.zeros((len(customers), len(days.classes)))
    for step in range(int((high - low).max(initial=0))):
        rows = np.flatnonzero(low + step < high)
        out[rows, days.what[low[rows] + step]] = days.lines[low[rows] + step]
    return out


def next_baskets(days: ClassDays, rows: pd.DataFrame, horizon: int) -> tuple[pd.DataFrame, np.ndarray]:
    """For rows of `waiting.moments`: those who came within the horizon and bought of a class, with `habits`; and `next_lines`."""
    frames: list[pd.DataFrame] = []
    lines: list[np.ndarray] = []
    for date, part in rows[rows["seen"] & (rows["wait"] <= horizon)].groupby("date", sort=True):
        customers = part["customer"].to_numpy()
        bought = next_lines(days, customers, int(date), part["wait"].to_numpy())
        some = bought.sum(axis=1) > 0
        keys = part.loc[some, ["customer", "date", "wait"]].reset_index(drop=True)
        known = habits(days, int(date), customers[some])
        frames.append(pd.concat([keys, known], axis=1))
        lines.append(bought[some])
    if not frames:
        raise ValueError(f"nobody came back within {horizon} days of any of the dates: there is no next basket to foretell")
    return pd.concat(frames, ignore_index=True), np.concatenate(lines)


def features_of(frame: pd.DataFrame) -> Sequence[str]:
    """The columns of `habits` in a frame."""
    return [c for c in frame if c == "lines" or c.split(":")[0] in ("all", "share", "last")]
