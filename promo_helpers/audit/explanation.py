"""What each feature adds to a prediction: interventional Shapley values of any function, the whole decision in rupees included.

Interventional: a feature that is left out is drawn from other customers, whatever the rest of the row says, so the function is asked
about rows that nobody is like, and only what the function *uses* is credited (Janzing, Minorics and Bloebaum 2020). Observational
values leave a feature out by what the others tell of it; then a feature that the function never reads has a share as well. Both add up.

The sampler is that of Castro, Gomez and Tejada (2009) in antithetic pairs (Mitchell et al. 2022): for each row and each row of the
background, features are switched from one to the other in a random order and in its reverse. The sum over features telescopes, so that
base and values add up to the prediction exactly, for any number of draws. shap's own permutation explainer takes one order for all of
the background, and compiles for nine seconds in every process; tests hold this one against shap's exact explainers.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from promo_helpers import draws

Function = Callable[[pd.DataFrame], np.ndarray]  # features -> [row] or [row, output]
CHUNK = 60_000  # rows asked of a function at a time
TOLERANCE = 1e-8  # of the spread of the predictions
ALONE = 5  # rows asked one by one, to see whether that matters


@dataclass(frozen=True)
class Attributions:
    """base [output], added [row, player, output], predicted [row, output]; x: the rows explained; players: names of the features, or
    of the groups of features that are switched together."""

    base: np.ndarray
    added: np.ndarray
    predicted: np.ndarray
    x: pd.DataFrame
    players: tuple[str, ...]

    def between(self, first: np.ndarray, second: np.ndarray | None = None) -> "Attributions":
        """Each row's output number `first` less number `second` (-1 or None: less nothing), as the only output; base is then [row, 1].
        Shapley values are linear, so a contrast of two arms needs no further sampling."""
        rows = np.arange(len(self.predicted))
        wide = [np.concatenate([a, np.zeros_like(a[..., :1])], axis=-1) for a in (self.base, self.added, self.predicted)]
        second = np.full(len(rows), -1) if second is None else second
        values, predicted = (a[rows, ..., first] - a[rows, ..., second] for a in wide[1:])
        base = wide[0][first] - wide[0][second]
        return replace(self, base=base[:, None], added=values[..., None], predicted=predicted[:, None])

    def gap(self) -> float:
        """Largest |base + sum of values - prediction|, as a share of the spread of the predictions."""
        total = self.base + self.added.sum(axis=1)
        return float(np.abs(total - self.predicted).max() / max(float(self.predicted.std()), 1e-12))

    def checked(self) -> "Attributions":
        """These, once it is sure that they add up. Raises ValueError where they do not: then they explain something else."""
        if not self.gap() <= TOLERANCE:
            raise ValueError(
                f"base and values miss the prediction by {self.gap():.2g} of its spread (at most {TOLERANCE:g} may be)"
            )
        return self

    def table(self, output: int = 0) -> pd.DataFrame:
        """[row, player] values of one output."""
        return pd.DataFrame(self.added[..., output], columns=list(self.players), index=self.x.index)

    def importance(self, output: int = 0) -> pd.Series:
        """Mean absolute value by player, largest first."""
        return self.table(output).abs().mean().sort_values(ascending=False, kind="stable")

    def grouped(self, groups: Mapping[str, Sequence[str]]) -> "Attributions":
        """Sums over groups of players. A player in no group is one of "other"."""
        place = {p: name for name, members in groups.items() for p in members}
        names = [*groups, *(["other"] if any(p not in place for p in self.players) else [])]
        member = np.array([[place.get(p, "other") == n for p in self.players] for n in names], float)
        return replace(self, added=np.einsum("gp,rpo->rgo", member, self.added), players=tuple(names))


def explain(
    function: Function, x: pd.DataFrame, background: pd.DataFrame, seed: int,
    groups: Mapping[str, Sequence[str]] | None = None, ids: tuple[Any, Any] | None = None,
) -> Attributions:  # fmt: skip
    """Interventional Shapley values of `function` for the rows of x, beside its mean over the rows of the background.

    groups: players are groups of columns, switched together; columns in no group form "other". Their values are the Shapley values of
    the game between groups, not sums of those of their columns. What a row has in common with a background row costs nothing.
    ids: of the rows of x and of those of the background, such as customers; without them their index. Each pair of them has orders of
    its own, whichever others are explained and whatever the two have in common.
    Raises ValueError for a background without rows, for columns that differ, and for a function whose answer to a row depends on the
    other rows it is asked with: its values would add up, to nothing that the row was ever told.
    """
    columns = list(x)
    if background.empty or list(background) != columns:
        raise ValueError("the background needs rows, and the columns of the rows to explain, in their order")
    member = (
        dict.fromkeys(columns, "other") | {c: g for g, cs in groups.items() for c in cs} if groups else {c: c for c in columns}
    )
    players = tuple(dict.fromkeys([*(groups or columns), *(member[c] for c in columns)]))
    player = np.array([players.index(member[c]) for c in columns])
    rows, others = x.to_numpy(float), background.to_numpy(float)
    predicted, start = (_ask(function, part, columns) for part in (rows, others))
    alone = np.concatenate([_ask(function, rows[k : k + 1], columns) for k in range(min(len(rows), ALONE))])
    if not np.allclose(alone, predicted[: len(alone)], rtol=0, atol=TOLERANCE * max(float(predicted.std()), 1e-12)):
        raise ValueError("the function answers a row asked alone otherwise than among others: it cannot be explained row by row")
    numbers = [draws.words(0, "row of an explanation", names) for names in (ids or (x.index, background.index))]
    values = np.zeros((len(rows), len(players), predicted.shape[1]))
    states: list[np.ndarray] = []
    walks: list[tuple[int, int, np.ndarray]] = []

    def settle() -> None:
        answers = _ask(function, np.concatenate(states), columns) if states else np.empty((0, values.shape[2]))
        at = 0
        for i, b, order in walks:
            length = max(len(order) - 1, 0)
            path = np.concatenate([start[b : b + 1], answers[at : at + length], predicted[i : i + 1]])
            values[i, order] += np.diff(path, axis=0) / (2 * len(others))
            at += length
        states.clear()
        walks.clear()

    for i, row in enumerate(rows):
        pair = np.full(len(others), numbers[0][i]), numbers[1]
        orders = np.argsort(draws.uniform(seed, "orders of features", *pair, n=len(players)), axis=1)
        for b, other in enumerate(others):
            differs = np.zeros(len(players), bool)
            differs[player[~((row == other) | (np.isnan(row) & np.isnan(other)))]] = True
            order = orders[b, differs[orders[b]]]
            for way in (order, order[::-1]):
                if not len(way):
                    continue
                rank = np.full(len(players), len(way))
                rank[way] = np.arange(len(way))
                switched = rank[player] < np.arange(1, len(way))[:, None]
                states.append(np.where(switched, row, other))
                walks.append((i, b, way))
        if sum(map(len, states)) > CHUNK:
            settle()
    settle()
    return Attributions(start.mean(axis=0), values, predicted, x, players).checked()


def _ask(function: Function, rows: np.ndarray, columns: list[str]) -> np.ndarray:
    parts = np.array_split(rows, -(-len(rows) // CHUNK) or 1)
    found = np.concatenate([np.asarray(function(pd.DataFrame(p, columns=columns)), float) for p in parts])
    return found.reshape(len(rows), -1)
