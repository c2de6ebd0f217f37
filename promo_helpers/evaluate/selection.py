"""Which effect model to use: judged on customers that no candidate was fitted on, and never without the constant effect among them.

The DR-score of a model is the mean squared difference between doubly robust effects and its predictions; it leads on held-out data
(Mahajan et al., ICLR 2024, arXiv 2211.01939), and most of 16 benchmarked models lost to the zero effect (arXiv 2410.07021).
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from promo_helpers.evaluate.halves import mean_interval, same_length
from promo_helpers.ties import rounded

CONSTANT = "constant"


def select(
    candidates: Mapping[str, np.ndarray],
    constant: np.ndarray,
    scores: np.ndarray,
    customer: np.ndarray,
    by: str = "loss",
    level: float = 0.95,
) -> tuple[str, pd.DataFrame]:
    """Name of the best candidate, and the table of all, "constant" included.

    candidates: name -> [row, arm] predicted effects against arm 0 (column 0 is 0). constant: [arm] mean effects, 0 first, estimated on
    the customers that the candidates were fitted on. scores: [row, arm] doubly robust scores of rows held out from both.
    Table: name, measure, estimate, se, low, high, chosen. measure "loss": mean over rows and offered arms of (G_j - G_0 - effect)^2
    less that of the constant (below 0 is better); "value": mean score of the arm with the greatest predicted effect less that of
    the arm that the constant gives everybody (above 0 is better). Intervals are paired and by customer. `by` says which of the two
    chooses; the constant stands where nobody is better. Raises ValueError for shapes that differ or an unknown `by`.
    """
    scores, constant = np.asarray(scores, float), np.asarray(constant, float)
    if by not in ("loss", "value"):
        raise ValueError(f"by = {by!r}: must be 'loss' or 'value'")
    if constant.shape != scores.shape[1:]:
        raise ValueError(f"constant has {constant.size} effects, scores {scores.shape[1]} arms: one for each, 0 for the control")
    same_length(scores=scores, customer=customer)
    everyone = {CONSTANT: np.broadcast_to(constant, scores.shape)} | {k: np.asarray(v, float) for k, v in candidates.items()}
    effect, rows = scores - scores[:, :1], np.arange(len(scores))
    base: dict[str, np.ndarray] = {}
    table = []
    for name, predicted in everyone.items():
        if predicted.shape != scores.shape:
            raise ValueError(f"'{name}' is {predicted.shape}, scores are {scores.shape}: they must be of one shape")
        same_length(**{f"'{name}'": predicted})
        if (predicted[:, 0] != 0).any():
            raise ValueError(f"'{name}': the effect of arm 0 must be 0, it is against the control")
        own = {
            "loss": ((effect - predicted)[:, 1:] ** 2).mean(axis=1),
            "value": scores[rows, rounded(predicted).argmax(axis=1)],
        }
        base = base or own
        table += [{"name": name, "measure": m} | mean_interval(v - base[m], customer, level) for m, v in own.items()]
    frame = pd.DataFrame(table)
    asked = rounded(frame[frame["measure"] == by]["estimate"].to_numpy())  # of equals the first, the constant before all
    chosen = list(everyone)[int(np.argmin(asked) if by == "loss" else np.argmax(asked))]
    return chosen, frame.assign(chosen=frame["name"] == chosen)
