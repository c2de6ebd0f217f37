"""What goes with the product and she does not buy yet: the second line of a message."""

import numpy as np
import pandas as pd

from promo_helpers import draws
from promo_helpers.campaign.kit import Kit
from promo_helpers.evaluate import lists
from promo_helpers.models import bundles

QUIET = 182  # days: who bought a thing in them buys it already
SAMPLE = 4000  # customers whose baskets tell which things go together; with so many all planted pairs are found


def complements(kit: Kit, item: int, seed: int) -> pd.DataFrame:
    """Columns partner (number), lift, affinity: what is found to go with an item in the baskets so far, the closest first; may be empty."""
    p, kind = kit.purchases, kit.items["category"].to_numpy(object)
    if len(pd.unique(kind[pd.notna(kind)])) < 2:
        return pd.DataFrame({"partner": np.zeros(0, int), "lift": np.zeros(0), "affinity": np.zeros(0)})
    some = lists.only(p, draws.sample(seed, "customers whose baskets are counted", p.customers, size=SAMPLE))
    return bundles.partners(bundles.pairs(some, kind, seed), item)


def not_yet(kit: Kit, customers: np.ndarray, partners: np.ndarray) -> np.ndarray:
    """[customer id] number of the first partner that she has not bought in the last QUIET days; -1 where she buys all of them."""
    p = kit.purchases
    found = np.full(len(customers), -1)
    number = p.customers.get_indexer(customers)
    rows = p.between(p.days - QUIET, p.days)
    for partner in partners[::-1]:
        buys = np.zeros(len(p.customers), bool)
        buys[p.who[rows][p.what[rows] == partner]] = True
        found[~buys[number]] = partner
    return found
