"""Labels as numbers and back, and what happens to one that was never seen."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd

UNKNOWN = -1


@dataclass(frozen=True)
class Labels:
    """The labels that a model knows, in the order of their numbers: part of the saved model, since a number alone means nothing."""

    names: tuple[str, ...]

    @classmethod
    def of(cls, values: Iterable[object]) -> "Labels":
        """All labels that occur, sorted; missing ones are none. Raises ValueError where there is not a single one."""
        found = sorted({str(v) for v in values if not pd.isna(v)})
        if not found:
            raise ValueError("there is no label to encode: every value is missing")
        return cls(tuple(found))

    def encode(self, values: Iterable[object]) -> np.ndarray:
        """Numbers of labels; UNKNOWN (-1) for one that was never seen and for a missing one: a model must not guess for them."""
        number = {name: i for i, name in enumerate(self.names)}
        return np.array([UNKNOWN if pd.isna(v) else number.get(str(v), UNKNOWN) for v in values], dtype=np.int64)

    def decode(self, numbers: Iterable[int]) -> list[str]:
        """Labels of numbers. Raises KeyError for a number that no label has, UNKNOWN included."""
        out = []
        for number in numbers:
            if not 0 <= number < len(self.names):
                raise KeyError(f"{number} is the number of no label; there are {len(self.names)}: {', '.join(self.names)}")
            out.append(self.names[number])
        return out

    def frame(self) -> pd.DataFrame:
        """Columns number, label: what is saved."""
        return pd.DataFrame({"number": np.arange(len(self.names)), "label": self.names})

    @classmethod
    def from_frame(cls, frame: pd.DataFrame) -> "Labels":
        """Back from what was saved."""
        return cls(tuple(str(x) for x in frame.sort_values("number")["label"]))
