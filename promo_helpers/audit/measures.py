"""What an audit takes means of, summed by customer."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

LEAST = 50  # customers of a group that a mean is taken over


@dataclass(frozen=True)
class Measure:
    """A mean over customers: the sum of value x weight over that of weight; both [row]."""

    name: str
    value: np.ndarray
    weight: np.ndarray


def by_customer(measures: Sequence[Measure], customer: np.ndarray) -> tuple[pd.Index, np.ndarray, np.ndarray]:
    """Customers in the order of their first rows; [customer, measure] sums of value x weight, and of weight."""
    code, people = pd.factorize(np.asarray(customer))
    for m in measures:
        if len(m.value) != len(customer) or len(m.weight) != len(customer):
            raise ValueError(f"measure '{m.name}' has {len(m.value):,} rows, customer {len(customer):,}")
        if not (np.isfinite(m.value).all() and np.isfinite(m.weight).all() and (m.weight >= 0).all()):
            raise ValueError(f"measure '{m.name}': values and weights must be numbers, weights at least 0")
    num = [np.bincount(code, m.weight * m.value, minlength=len(people)) for m in measures]
    den = [np.bincount(code, m.weight, minlength=len(people)) for m in measures]
    return pd.Index(people), np.column_stack(num), np.column_stack(den)


def one_label(labels: pd.DataFrame, customer: np.ndarray) -> pd.DataFrame:
    """Labels of each customer once, in the order of their first rows. Raises ValueError for a customer with two."""
    code = pd.factorize(np.asarray(customer))[0]
    place = np.unique(code, return_index=True)[1]
    for attribute in labels:
        label = pd.factorize(labels[attribute])[0]
        wrong = label != label[place][code]
        if wrong.any():
            who = np.asarray(customer)[np.argmax(wrong)]
            raise ValueError(f"customer {who!r} has several labels of {attribute}: give one a customer")
    return labels.iloc[place].reset_index(drop=True)
