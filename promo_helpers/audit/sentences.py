"""One sentence for each customer on a list: the two strongest reasons, and what would have kept her off it."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from promo_helpers.audit.words import SILENT, clause

PERSONAL = " Age, gender or segment weighs more than either."
ENDS = (" in the last 90 days", " in the last four weeks")
NONE_FOUND = "no single fact that we tried would have changed the choice"


def sentences(
    facts: pd.DataFrame, added: pd.DataFrame, offers: Sequence[str], products: Sequence[str], categories: Sequence[str],
    undone: Sequence[str], most: int = 2,
) -> list[str]:  # fmt: skip
    """[row] a sentence. facts: the features; added: [row, topic] what each topic adds to the rupees; offers: as in "15% off"; undone: the
    change that undoes the choice, in words, "" for none.

    Reasons are the topics that add most, personal ones and those of the product itself left out: where age, gender or segment adds more
    than the reasons given, a second sentence says so.
    """
    told = []
    columns = list(added)
    for i, (row, values) in enumerate(zip(facts.to_dict("records"), added.to_numpy(float), strict=True)):
        ranked = [columns[k] for k in np.argsort(-values, kind="stable")]
        reasons = [t for t in ranked if t not in SILENT][:most]
        said = [clause(t, row, products[i], categories[i]) for t in reasons]
        if all(s.startswith("bought ") for s in said):
            said[1:] = [s.removeprefix("bought ") for s in said[1:]]
        for end in ENDS:
            if len(said) > 1 and all(s.endswith(end) for s in said):
                said[:-1] = [s.removesuffix(end) for s in said[:-1]]
        weight = values[[columns.index(t) for t in reasons]].max()
        personal = "person" in columns and values[columns.index("person")] > weight
        unless = (
            f"would not have been chosen if {undone[i]}, all else and the budget's price the same" if undone[i] else NONE_FOUND
        )
        sentence = f"{offers[i]} {products[i]}: this customer {' and '.join(said)}; {unless}."
        told.append(sentence + (PERSONAL if personal else ""))
    return told
