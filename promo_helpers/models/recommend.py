"""What else would they buy? Eight ways to score every item for a customer, behind one interface.

    fitted = fit("item neighbours", history(purchases, day), seed=1, neighbours=50)
    fitted.scores(who)          # [customer, item]: the higher, the sooner recommended

Everything is learnt from a history, which holds what was bought strictly before a day. Where a method cannot tell items apart (a customer
without purchases, items that none of her neighbours bought), popularity decides.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse
from sklearn.decomposition import TruncatedSVD
from threadpoolctl import threadpool_limits

from promo_helpers import draws
from promo_helpers.features.purchases import Purchases
from promo_helpers.models import saved
from promo_helpers.shop import Shop
from promo_helpers.shop.shop import find_name

TIE = 1e-6  # weight of popularity against the largest score of a customer: it breaks ties and nothing else
CHUNK = 500  # customers compared with all others at a time, to bound memory

Settings = Mapping[str, Any]
Parts = dict[str, Any]


def history(purchases: Purchases, day: int, half_life: float = 0.0) -> sparse.csr_matrix:
    """[customer, item] baskets before the day, as float32; with a half-life (days), older ones count less: 2^(-age / half_life).

    Raises ValueError for a day outside the data or before which nothing was bought.
    """
    if not 0 < day <= purchases.days:
        raise ValueError(f"day = {day}: must lie in 1 .. {purchases.days}, so that something was bought before it")
    rows = purchases.between(0, day)
    weight = np.exp2(-(day - purchases.day[rows]) / half_life) if half_life else np.ones(len(rows))
    shape = (len(purchases.customers), len(purchases.items))
    counts = sparse.csr_matrix((weight.astype(np.float32), (purchases.who[rows], purchases.what[rows])), shape=shape)
    counts.sum_duplicates()
    return counts


@dataclass(frozen=True)
class Recommender:
    """A fitted method: `counts` [customer, item] is the history it learnt from, `parts` what it learnt (arrays, sparse matrices)."""

    method: str
    counts: sparse.csr_matrix
    parts: Parts = field(default_factory=dict)

    def scores(self, who: np.ndarray) -> np.ndarray:
        """[customer of `who`, item] scores as float32, finite; ties are broken by popularity."""
        value = _SCORES[self.method](self, np.asarray(who))
        if self.method in ("random", "popularity"):
            return value
        scale = np.abs(value).max(axis=1, keepdims=True)
        return np.asarray(value + np.where(scale > 0, TIE * scale, 1) * self.popularity, np.float32)

    @property
    def popularity(self) -> np.ndarray:
        """[item] purchases by anyone, as a share of the most bought item's."""
        total = np.asarray(self.counts.sum(axis=0), np.float32).ravel()
        return total / max(total.max(initial=0), 1e-9)


def fit(method: str, counts: sparse.csr_matrix, seed: int, **settings: Any) -> Recommender:
    """Learn a method from a history. `settings` are those of `GRIDS` but for half_life; `seed` starts what is random.

    Raises KeyError for an unknown method.
    """
    if method not in _FITS:
        raise KeyError(f"no method is called '{method}'; there are: {', '.join(_FITS)}")
    return Recommender(method, counts, _FITS[method](counts, seed, **settings))


def log_counts(counts: sparse.csr_matrix) -> sparse.csr_matrix:
    """log(1 + count): the hundredth carton of milk says less about taste than the first."""
    return sparse.csr_matrix((np.log1p(counts.data), counts.indices, counts.indptr), shape=counts.shape)


def unit_rows(matrix: sparse.csr_matrix | np.ndarray) -> np.ndarray:
    """Rows as a dense array of length 1 each (rows of zeros stay zero), so that products are cosines."""
    dense = matrix if isinstance(matrix, np.ndarray) else matrix.toarray()
    return np.asarray(dense / np.maximum(np.linalg.norm(dense, axis=1, keepdims=True), 1e-9), np.float32)


def _item_neighbours(counts: sparse.csr_matrix, seed: int, neighbours: int = 50, weights: str = "cosine") -> Parts:
    """Items bought by the same customers (Deshpande and Karypis 2004): cosines of their columns of log counts.

    With the weights "tfidf" customers who buy everything say less about which items belong together.
    """
    from implicit.nearest_neighbours import ItemItemRecommender, normalize, tfidf_weight

    taste = log_counts(counts).T.tocsr()
    weighted = normalize(tfidf_weight(taste) if weights == "tfidf" else taste).T
    model = ItemItemRecommender(K=min(neighbours, counts.shape[1]), num_threads=1)
    model.fit(sparse.csr_matrix(weighted, dtype=np.float64), show_progress=False)
    return {"similarity": sparse.csr_matrix(model.similarity).astype(np.float32)}


def _als(counts: sparse.csr_matrix, seed: int, factors: int = 32, regularization: float = 10.0, alpha: float = 5.0) -> Parts:
    """Alternating least squares on log counts as confidences (Hu, Koren and Volinsky 2008).

    In single precision the solver's last digits grow to .01 % of a score on another processor, and ranks change with them.
    """
    from implicit.als import AlternatingLeastSquares

    with threadpool_limits(1, "blas"):  # the library's own advice; and the same sums everywhere
        model = AlternatingLeastSquares(
            factors=min(factors, min(counts.shape) - 1), regularization=regularization, alpha=alpha, iterations=6, random_state=seed,
            num_threads=1, use_gpu=False, dtype=np.float64,
        )  # fmt: skip
        model.fit(log_counts(counts), show_progress=False)
    return {"customer_factors": model.user_factors, "item_factors": model.item_factors}


def _svd(counts: sparse.csr_matrix, seed: int, factors: int = 32) -> Parts:
    model = TruncatedSVD(min(factors, min(counts.shape) - 1), random_state=seed).fit(log_counts(counts).astype(np.float64))
    return {"components": model.components_.astype(np.float32)}


def _shrunk(counts: sparse.csr_matrix, seed: int, strength: float = 20.0, **settings: Any) -> Parts:
    return {**_svd(counts, seed, **settings), "strength": np.array(strength, np.float32)}


def _user_scores(fitted: Recommender, who: np.ndarray) -> np.ndarray:
    """Mean log count of the nearest customers by cosine, weighted by similarity; the customer herself is left out."""
    taste = log_counts(fitted.counts)
    directions, nearest = unit_rows(taste), int(fitted.parts["neighbours"])
    out = np.zeros((len(who), taste.shape[1]), np.float32)
    for first in range(0, len(who), CHUNK):
        part = who[first : first + CHUNK]
        near = directions[part] @ directions.T
        near[np.arange(len(part)), part] = 0
        few = min(nearest, near.shape[1] - 1)
        order = np.argpartition(-near, few, axis=1)[:, :few]
        weight = np.take_along_axis(near, order, axis=1)
        rows = np.repeat(np.arange(len(part)), few)
        chosen = sparse.csr_matrix((weight.ravel(), (rows, order.ravel())), shape=near.shape)
        out[first : first + CHUNK] = (chosen @ taste).toarray() / np.maximum(weight.sum(axis=1, keepdims=True), 1e-9)
    return out


def _svd_scores(fitted: Recommender, who: np.ndarray) -> np.ndarray:
    components = fitted.parts["components"]
    return np.asarray(log_counts(fitted.counts[who]) @ components.T @ components)


def _shrunk_scores(fitted: Recommender, who: np.ndarray) -> np.ndarray:
    """Her own counts plus `strength` imagined purchases spread as the factors say: the mean of a Dirichlet, but for a constant."""
    prior = np.maximum(_svd_scores(fitted, who), 0)
    prior /= np.maximum(prior.sum(axis=1, keepdims=True), 1e-9)
    return np.asarray(fitted.counts[who].toarray() + fitted.parts["strength"] * prior)


_FITS: dict[str, Callable[..., Parts]] = {
    "random": lambda counts, seed: {"seed": np.array(seed)},
    "popularity": lambda counts, seed: {},
    "own frequency": lambda counts, seed: {},
    "user neighbours": lambda counts, seed, neighbours=200: {"neighbours": np.array(neighbours)},
    "item neighbours": _item_neighbours,
    "matrix factors (ALS)": _als,
    "matrix factors (SVD)": _svd,
    "own, shrunk to SVD": _shrunk,
}
_SCORES: dict[str, Callable[[Recommender, np.ndarray], np.ndarray]] = {
    # keyed by the numbers of customer and item in the history, which holds no other ids
    "random": lambda f, who: draws.uniform(int(f.parts["seed"]), "random scores", who, n=f.counts.shape[1]).astype(np.float32),
    "popularity": lambda f, who: np.tile(f.popularity, (len(who), 1)),
    "own frequency": lambda f, who: f.counts[who].toarray(),
    "user neighbours": _user_scores,
    "item neighbours": lambda f, who: (log_counts(f.counts[who]) @ f.parts["similarity"].T).toarray(),
    "matrix factors (ALS)": lambda f, who: f.parts["customer_factors"][who] @ f.parts["item_factors"].T,
    "matrix factors (SVD)": _svd_scores,
    "own, shrunk to SVD": _shrunk_scores,
}
METHODS = tuple(_FITS)
SHORT = dict(
    zip(METHODS, ("random", "popularity", "own", "users", "items", "als", "svd", "shrunk"), strict=True)
)  # for names of numbers
GRIDS: dict[str, list[dict[str, Any]]] = {  # what is tried on earlier weeks; half_life is that of the history
    "random": [{}],
    "popularity": [{"half_life": h} for h in (0.0, 30.0, 90.0)],
    "own frequency": [{"half_life": h} for h in (0.0, 120.0)],
    "user neighbours": [{"neighbours": n, "half_life": h} for n in (20, 50) for h in (0.0, 120.0)],
    "item neighbours": [{"neighbours": n, "weights": w} for n in (20, 100) for w in ("cosine", "tfidf")],
    "matrix factors (ALS)": [
        {"factors": f, "regularization": r, "alpha": a}
        for f, r, a in ((16, 10.0, 1.0), (16, 50.0, 5.0), (48, 50.0, 1.0), (48, 50.0, 5.0))
    ],
    "matrix factors (SVD)": [{"factors": f, "half_life": h} for f in (8, 16, 64) for h in (0.0, 120.0)],
    "own, shrunk to SVD": [{"factors": 8, "strength": s, "half_life": h} for s in (5.0, 20.0, 80.0, 320.0) for h in (0.0, 120.0)],
}


SHORT_NAME = 16  # letters of a type's name that may need its category to be understood


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
        category is None
        or len(name) > SHORT_NAME
        or set(re.findall(r"\w+", name.lower())) & set(re.findall(r"\w+", category.lower()))
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
        number = find_name(name, self.items["name"].tolist())
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
        number = find_name(customer, self.customers.tolist(), "customer")
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
