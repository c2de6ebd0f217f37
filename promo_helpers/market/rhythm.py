"""What the next contact would earn if a customer had been written to every so many days: the truth about how often is too often."""

import numpy as np
import pandas as pd

from promo_helpers.market.law import COLUMNS
from promo_helpers.market.truth import STATE, Expected, Truth

LONG = 300  # days of contacts before the next one: ten half-lives


def after_rhythm(truth: Truth, contacts: pd.DataFrame, every: int) -> Expected:
    """Expectations of `contacts` (customer_id, product_id, time; one a customer) after a steady history of contacts `every` days apart.

    The history replaces what really happened. Nobody noticed those contacts, so that nothing is left of them but fatigue.
    Raises ValueError for less than a day, or two contacts of one customer.
    """
    if every < 1:
        raise ValueError(f"every = {every}: contacts lie at least a day apart")
    who, day = truth.customer_number(contacts["customer_id"]), truth.day_of(contacts["time"])
    if len(np.unique(who)) < len(who):
        raise ValueError("customer_id: one contact a customer, since each gets a history of her own")
    before = np.arange(every, LONG + 1, every)[::-1]
    past = pd.DataFrame(np.zeros((len(who) * len(before), COLUMNS)), columns=STATE)
    past["day"] = (day[:, None] - before[None, :]).ravel()
    past["arm"] = 1.0
    past["customer"], past["contact_id"] = np.repeat(who, len(before)), np.arange(len(past)) + 1
    past = past[past["day"] >= 0].sort_values(["customer", "day"], ignore_index=True)  # as far back as the calendar reaches
    lost = truth.lost(np.arange(truth.p.customers))
    steady = Truth(truth.p, truth.seed, past, lost)
    steady.goods = truth.goods
    return steady.expected(contacts)
