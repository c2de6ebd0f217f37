"""One sentence for each customer on a list: the two strongest reasons, and what would have kept her off it."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from promo_helpers.audit.words import SILENT, clause

PERSONAL = " Age, gender or segment weighs more than either."
ENDS = (" in the last 90 days", " in the last four weeks")
NONE_FOUND = "no single fact that we tried would have changed the choice"


def beside(x: pd.DataFrame, worth: np.ndarray, number: int) -> pd.DataFrame:
    """So many rows of x, spread evenly over `worth` [row]: whom each customer is compared with.

    Reasons beside ten such rows are about as near to those beside everybody as reasons beside twenty or forty random ones.
    """
    place = ((np.arange(number) + 0.5) / number * len(x)).astype(int)
    return x.iloc[np.argsort(worth, kind="stable")[place]]


def reasons(
    facts: pd.DataFrame, added: pd.DataFrame, products: Sequence[str], categories: Sequence[str],
    usual: Mapping[str, float] | None = None, most: int = 2,
) -> list[str]:  # fmt: skip
    """[row] the end of "this customer ...": facts about the topics that add most, those that take away left out; at least one.

    facts: the features; usual: those of the middle customer; added: [row, topic] what each topic adds. Personal topics and that of the
    product itself are never named. A topic is switched as a whole, and told by one fact of it.
    """
    told = []
    for i, (row, topics) in enumerate(zip(facts.to_dict("records"), _strongest(added, most), strict=True)):
        said = [clause(t, row, products[i], categories[i], usual) for t in topics]
        if all(s.startswith("bought ") for s in said):
            said[1:] = [s.removeprefix("bought ") for s in said[1:]]
        for end in ENDS:
            if len(said) > 1 and all(s.endswith(end) for s in said):
                said[:-1] = [s.removesuffix(end) for s in said[:-1]]
        told.append(" and ".join(said))
    return told


def personal(added: pd.DataFrame) -> list[bool]:
    """[row] whether age, gender or segment adds more than any reason that may be given."""
    if "person" not in added:
        return [False] * len(added)
    named = added[[c for c in added if c not in SILENT]].max(axis=1)
    return (added["person"] > named).tolist()


def sentences(
    facts: pd.DataFrame, added: pd.DataFrame, offers: Sequence[str], products: Sequence[str], categories: Sequence[str],
    undone: Sequence[str], usual: Mapping[str, float] | None = None,
) -> list[str]:  # fmt: skip
    """[row] a sentence: the offer (as in "15% off"), the reasons, and what undoes the choice (in words, "" for nothing found).

    Where age, gender or segment adds more than the reasons given, a second sentence says so.
    """
    said, more = reasons(facts, added, products, categories, usual), personal(added)
    told = []
    for i, reason in enumerate(said):
        unless = (
            f"would not have been chosen if {undone[i]}, all else and the budget's price the same" if undone[i] else NONE_FOUND
        )
        told.append(f"{offers[i]} {products[i]}: this customer {reason}; {unless}.{PERSONAL * more[i]}")
    return told


def _strongest(added: pd.DataFrame, most: int) -> list[list[str]]:
    kept = added[[c for c in added if c not in SILENT]]
    values = kept.to_numpy(float)
    order = np.argsort(-values, axis=1, kind="stable")[:, :most]
    return [[kept.columns[k] for n, k in enumerate(row) if n == 0 or values[i, k] > 0] for i, row in enumerate(order)]
