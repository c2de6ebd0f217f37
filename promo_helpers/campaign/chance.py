"""How likely is a purchase? What a list is ranked by where no trial tells what an offer would change."""

import numpy as np

from promo_helpers import draws
from promo_helpers.campaign.kit import Kit
from promo_helpers.features.panel import Panel

ALIKE = 1200  # customers taken together: as many as the saved model learnt from, since features of a product count buyers
WINDOW, PAST = 14, 182  # days


def chances(kit: Kit, customers: np.ndarray, item: int) -> tuple[np.ndarray, str]:
    """([customer id] chance of buying the item within two weeks, where it comes from in words).

    By the saved purchase model; where there is none, by how many of the last half year's fortnights had a purchase of hers, drawn
    towards everybody's as if she had been seen for two more.
    """
    p = kit.purchases
    number = p.customers.get_indexer(customers)
    if kit.purchase is None:
        return _frequency(kit, item)[number], "past frequency of buying"
    found = np.full(len(p.customers), np.nan)
    seen = p.seen(p.days)
    groups = max(round(len(seen) / int(kit.purchase_facts.get("customers", ALIKE))), 1)
    together = draws.parts(0, "customers taken together", p.customers[seen], number=groups)
    for group in np.unique(together):
        panel = Panel.of(kit.shop, p, seen[together == group], np.array([item]), kit.item)
        x, names = panel.features(p.days)
        place = [names.index(n) for n in kit.purchase.names]
        found[panel.known(p.days)] = kit.purchase.predict(x[:, 0, place])["ensemble"]
    found[np.isnan(found)] = np.nanmin(found)  # who never bought anything is no likelier than the least likely
    return found[number], "chance of buying by the saved purchase model"


def _frequency(kit: Kit, item: int) -> np.ndarray:
    p = kit.purchases
    length = min(PAST, p.days)
    rows = p.between(p.days - length, p.days)
    rows = rows[p.what[rows] == item]
    count = max(length // WINDOW, 1)
    window = np.minimum((p.days - 1 - p.day[rows]) // WINDOW, count - 1)
    bought = np.unique(p.who[rows].astype(np.int64) * count + window) // count
    times = np.bincount(bought, minlength=len(p.customers))
    return np.asarray((times + 2 * times.mean() / count) / (count + 2))
