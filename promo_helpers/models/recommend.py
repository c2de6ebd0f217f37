"""What else would they buy? Eight ways to score every item for a customer, behind one interface.

    fitted = fit("item neighbours", history(purchases, day), seed=1, neighbours=50)
    fitted.scores(who)          # [customer, item]: the higher, the sooner recommended

Everything is learnt from a history, which holds what was bought strictly before a day. Where a method cannot tell items apart (a customer
without purchases, items that none of her neighbours bought), popularity decides.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from implicit.als import AlternatingLeastSquares
from implicit.nearest_neighbours import ItemItemRecommender, normalize, tfidf_weight
from scipy import sparse
from sklearn.decomposition import TruncatedSVD
from threadpoolctl import threadpool_limits

from promo_helpers import draws
from promo_helpers.features.purchases import Purchases

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


def logs(counts: sparse.csr_matrix) -> sparse.csr_matrix:
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
    taste = logs(counts).T.tocsr()
    weighted = normalize(tfidf_weight(taste) if weights == "tfidf" else taste).T
    model = ItemItemRecommender(K=min(neighbours, counts.shape[1]), num_threads=1)
    model.fit(sparse.csr_matrix(weighted, dtype=np.float64), show_progress=False)
    return {"similarity": sparse.csr_matrix(model.similarity).astype(np.float32)}


def _als(counts: sparse.csr_matrix, seed: int, factors: int = 32, regularization: float = 10.0, alpha: float = 5.0) -> Parts:
    """Alternating least squares on log counts as confidences (Hu, Koren and Volinsky 2008).

    In single precision the solver's last digits grow to .01 % of a score on another processor, and ranks change with them.
    """
    with threadpool_limits(1, "blas"):  # the library's own advice; and the same sums everywhere
        model = AlternatingLeastSquares(
            factors=min(factors, min(counts.shape) - 1), regularization=regularization, alpha=alpha, iterations=6, random_state=seed,
            num_threads=1, use_gpu=False, dtype=np.float64,
        )  # fmt: skip
        model.fit(logs(counts), show_progress=False)
    return {"customer_factors": model.user_factors, "item_factors": model.item_factors}


def _svd(counts: sparse.csr_matrix, seed: int, factors: int = 32) -> Parts:
    model = TruncatedSVD(min(factors, min(counts.shape) - 1), random_state=seed).fit(logs(counts).astype(np.float64))
    return {"components": model.components_.astype(np.float32)}


def _shrunk(counts: sparse.csr_matrix, seed: int, strength: float = 20.0, **settings: Any) -> Parts:
    return {**_svd(counts, seed, **settings), "strength": np.array(strength, np.float32)}


def _user_scores(fitted: Recommender, who: np.ndarray) -> np.ndarray:
    """Mean log count of the nearest customers by cosine, weighted by similarity; the customer herself is left out."""
    taste = logs(fitted.counts)
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
    return np.asarray(logs(fitted.counts[who]) @ components.T @ components)


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
    "item neighbours": lambda f, who: (logs(f.counts[who]) @ f.parts["similarity"].T).toarray(),
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
