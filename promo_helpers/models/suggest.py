"""A recommender with the names of customers and items: one customer's list, what is similar to what, and the saved model."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse

from promo_helpers.models import saved
from promo_helpers.models.recommend import Recommender
from promo_helpers.shop import Shop
from promo_helpers.shop.nearest import find

SHORT = 16  # letters of a type's name that may need its category to be understood


def labels(shop: Shop, items: Sequence[Any], item: str = "product_id") -> pd.DataFrame:
    """Columns item, name, category of items in their order; a type with products of several categories gets the most frequent one.

    The name of a type that is short and shares no word with its category has it in brackets, up to a comma: "Red" is nothing to a reader.
    """
    known = [c for c in dict.fromkeys(["product_id", item, "name", "category"]) if shop.has("products", c)]
    products = shop.frame("products", known).dropna(subset=[item])
    given = products.sort_values("product_id").groupby(item)
    name = given["name"].first() if "name" in products and item != "name" else pd.Series(dtype=object)
    frame = pd.DataFrame({"item": list(items)}).astype(object)
    frame["name"] = frame["item"].map(name).astype(object).fillna(frame["item"]).astype(str)
    most = pd.Series(dtype=object)
    if "category" in products:
        most = given["category"].agg(lambda c: c.value_counts(sort=False).sort_index().idxmax() if c.notna().any() else None)
    frame["category"] = frame["item"].map(most.astype(object)).astype(object).where(lambda c: c.notna(), None)
    if item == "name":
        frame["name"] = [_told(n, c) for n, c in zip(frame["name"], frame["category"], strict=True)]
    return frame


def _told(name: str, category: str | None) -> str:
    known = (
        category is None or len(name) > SHORT or set(re.findall(r"\w+", name.lower())) & set(re.findall(r"\w+", category.lower()))
    )
    return name if known else f"{name} ({str(category).split(',')[0]})"


def item_likeness(counts: sparse.csr_matrix, number: int) -> np.ndarray:
    """[item] cosine of each item with one, between columns of (count - expected) / sqrt(expected), customer by customer.

    Expected is her baskets' total times the item's share of all: so an item is like another one where the same customers buy more of
    both than they would of anything; without that, the most popular items would be like everything (Greenacre 1984, chi-squared metric).
    Zero for items that nobody bought.
    """
    rows, columns, total = _margins(counts)
    scaled = (
        sparse.diags(1 / np.sqrt(np.maximum(rows, 1e-9))) @ counts @ sparse.diags(1 / np.sqrt(np.maximum(columns, 1e-9)))
    ).tocsc()
    usual = np.sqrt(columns / total)
    dot = np.asarray((scaled.T @ scaled[:, [number]]).todense()).ravel() - usual * usual[number]
    length = np.sqrt(np.maximum(np.asarray(scaled.multiply(scaled).sum(axis=0)).ravel() - usual**2, 0))
    return np.where(length > 1e-9, dot / np.maximum(length * length[number], 1e-18), 0.0)


def customer_likeness(counts: sparse.csr_matrix, number: int) -> np.ndarray:
    """[customer] cosine of each customer with one, between rows of count - expected (as above, so that size does not matter)."""
    rows, columns, total = _margins(counts)
    share = columns / total
    one = counts[number].toarray()[0] - rows[number] * share
    dot = counts @ one - rows * (share @ one)
    square = np.asarray(counts.multiply(counts).sum(axis=1)).ravel() - 2 * rows * (counts @ share) + rows**2 * (share @ share)
    return np.asarray(dot / np.maximum(np.sqrt(np.maximum(square, 0)) * np.linalg.norm(one), 1e-9))


def _margins(counts: sparse.csr_matrix) -> tuple[np.ndarray, np.ndarray, float]:
    rows = np.asarray(counts.sum(axis=1), float).ravel()
    return rows, np.asarray(counts.sum(axis=0), float).ravel(), float(rows.sum())


@dataclass(frozen=True)
class Suggester:
    """A fitted recommender with the ids of its customers, and `items` (columns item, name, category)."""

    recommender: Recommender
    customers: pd.Index
    items: pd.DataFrame

    def recommend(self, customer: str, k: int = 10, new: bool = True) -> pd.DataFrame:
        """The best k items for a customer, best first: rank, item, name, category, score, why. Fewer where fewer are left.

        With `new`, what she bought before is left out. Who has no purchases, or is not known at all, gets what most customers buy, and
        `why` says that it is a cold start. Raises ValueError for k < 1.
        """
        if k < 1:
            raise ValueError(f"k = {k}: at least one item must be asked for")
        number = int(self.customers.get_indexer([customer])[0])
        own = self.recommender.counts[number].toarray()[0] if number >= 0 else np.zeros(len(self.items), np.float32)
        cold = not own.any()
        scores = self.recommender.popularity if cold else self.recommender.scores(np.array([number]))[0]
        order = np.argsort(-scores, kind="stable")
        order = order[own[order] == 0][:k] if new else order[:k]
        table = self.items.iloc[order].reset_index(drop=True).assign(score=scores[order].astype(float))
        table.insert(0, "rank", np.arange(1, len(order) + 1))
        return table.assign(why="cold start: what most customers buy" if cold else self.recommender.method)

    def habits(self, customer: str, k: int = 3) -> list[str]:
        """Names of what a customer has bought most often, most often first; none for who is not known."""
        number = int(self.customers.get_indexer([customer])[0])
        own = self.recommender.counts[number].toarray()[0] if number >= 0 else np.zeros(len(self.items))
        order = np.argsort(-own, kind="stable")[:k]
        return [str(self.items["name"].iloc[i]) for i in order if own[i] > 0]

    def sentence(self, customer: str, k: int = 3) -> str:
        """What a customer buys and what to suggest, as a person would say it."""
        new, usual = self.recommend(customer, k), self.habits(customer)
        if not len(new):
            return f"{customer} has bought everything there is: nothing new can be suggested."
        suggested = ", ".join(new["name"])
        if not usual:
            return f"{customer} is new here (a cold start): suggest what most customers buy, {suggested}."
        return f"{customer} buys {', '.join(usual)} most often; new to this customer, suggest {suggested} ({new['why'].iloc[0]})."

    def similar_items(self, name: str, k: int = 8) -> pd.DataFrame:
        """Items bought by the same customers as the named one: name, category, similarity (`item_likeness`), customers.

        Raises KeyError for an unknown name, with the nearest ones, and ValueError for an item that nobody has bought.
        """
        number = find(name, self.items["name"].tolist())
        value = item_likeness(self.recommender.counts, number)
        if not self.recommender.popularity[number]:
            raise ValueError(
                f"nobody bought {self.items['name'].iloc[number]} in the time the model knows: nothing is similar to it"
            )
        buyers = np.asarray((self.recommender.counts > 0).sum(axis=0)).ravel()
        order = np.argsort(-value, kind="stable")
        order = order[order != number][:k]
        table = self.items.iloc[order][["name", "category"]].reset_index(drop=True)
        return table.assign(similarity=value[order].astype(float), customers=buyers[order])

    def similar_customers(self, customer: str, k: int = 5) -> pd.DataFrame:
        """Customers who buy the same, after the customer herself: customer, similarity (`customer_likeness`), shared items, favourites.

        `favourites` are the categories of which most of her purchases are, against what is usual. Raises KeyError for an unknown id and
        ValueError for a customer without purchases: nobody can be called similar to her.
        """
        number = find(customer, self.customers.tolist(), "customer")
        if not self.recommender.counts[number].nnz:
            raise ValueError(f"{customer} has bought nothing yet: a cold start, to whom nobody can be called similar")
        value = customer_likeness(self.recommender.counts, number)
        value[number] = np.inf
        order = np.argsort(-value, kind="stable")[: k + 1]
        bought = self.recommender.counts[order].toarray() > 0
        kinds = pd.Categorical(self.items["category"].fillna("other"))
        of = np.eye(len(kinds.categories))[kinds.codes]  # [item, category]
        usual = np.asarray(self.recommender.counts.sum(axis=0)).ravel() @ of
        mine = self.recommender.counts[order] @ of
        against = (mine / mine.sum(axis=1, keepdims=True)) / np.maximum(usual / usual.sum(), 1e-12)
        best = np.argsort(-np.where(mine >= 3, against, 0), axis=1, kind="stable")[:, :3]
        return pd.DataFrame(
            {
                "customer": self.customers[order],
                "similarity": np.append(1.0, value[order[1:]]),
                "shared": (bought & bought[0]).sum(axis=1),
                "favourites": [", ".join(kinds.categories[row]) for row in best],
            }
        )

    def save(self, name: str, facts: dict[str, Any]) -> Path:
        """Save as `data/models/<name>/`; see `saved.save` for the facts, to which the method is added."""
        parts = {"counts": self.recommender.counts, **{f"part_{k}": v for k, v in self.recommender.parts.items()}}
        parts |= {"customers": pd.DataFrame({"customer": self.customers.astype(str)}), "items": self.items.astype({"item": str})}
        return saved.save(name, parts, {"method": self.recommender.method, **facts})

    @classmethod
    def load(cls, name: str) -> tuple["Suggester", dict[str, Any]]:
        """A saved recommender and its facts. Raises FileNotFoundError that says how it is made."""
        parts, facts = saved.load(name)
        learnt = {k.removeprefix("part_"): v for k, v in parts.items() if k.startswith("part_")}
        customers = pd.Index(parts["customers"]["customer"].to_numpy(object))
        return cls(Recommender(facts["method"], parts["counts"], learnt), customers, parts["items"]), facts
