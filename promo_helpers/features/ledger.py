"""Sums over the past of many moments at once: each group's rows in order of time, and cumulative sums between two places of it."""

from dataclasses import dataclass

import numpy as np

SPAN = 10**10  # seconds, more than any shop's data cover


@dataclass(frozen=True)
class Ledger:
    """Rows ordered by group and second, with exact cumulative sums of whole numbers.

    key: [row] group x SPAN + second, increasing. sums: name -> [row + 1] cumulative. order: [row] where each row came from.
    """

    key: np.ndarray
    sums: dict[str, np.ndarray]
    order: np.ndarray

    @classmethod
    def of(cls, group: np.ndarray, second: np.ndarray, values: dict[str, np.ndarray]) -> "Ledger":
        """From groups (whole numbers of at least 0), seconds (of at least 0) and values to sum."""
        key = group.astype(np.int64) * SPAN + second.astype(np.int64)
        order = np.argsort(key, kind="stable")
        sums = {name: np.append(np.zeros(1, v.dtype), np.cumsum(v[order])) for name, v in values.items()}
        return cls(key[order], sums, order)

    def place(self, group: np.ndarray, second: np.ndarray) -> np.ndarray:
        """[moment] the first row of the group that is not before the second: what is strictly before lies left of it."""
        return np.searchsorted(self.key, group.astype(np.int64) * SPAN + np.maximum(second, 0).astype(np.int64))

    def between(self, group: np.ndarray, since: np.ndarray, until: np.ndarray) -> dict[str, np.ndarray]:
        """Per moment, the sum of every value over the group's rows with since <= second < until; and `rows`, how many they are."""
        low, high = self.place(group, since), self.place(group, until)
        return {"rows": high - low} | {name: total[high] - total[low] for name, total in self.sums.items()}

    def last(self, group: np.ndarray, until: np.ndarray) -> np.ndarray:
        """Second of the group's last row strictly before `until`, as a float; missing where there is none."""
        before = np.append(-1, self.key)[self.place(group, until)]  # -1 belongs to no group
        return np.where(before // SPAN == group, before % SPAN, np.nan)
