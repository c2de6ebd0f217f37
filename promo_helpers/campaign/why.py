"""Why this customer: the facts that add most to what her offer is expected to earn, and the one but for which she is on no list."""

from functools import partial

import numpy as np
import pandas as pd

from promo_helpers.audit import counterfactual, words
from promo_helpers.audit.explanation import explain
from promo_helpers.audit.sentences import PERSONAL, beside, personal, reasons
from promo_helpers.campaign.choose import Chosen, Considered
from promo_helpers.decide.season import at_level
from promo_helpers.features.purchases import Purchases
from promo_helpers.models.response import Forecast

BESIDE, LEAST = 10, 5  # customers whom each is compared with
OURS = ("hour_gap",)  # set by the shop, which chooses the hour: no fact of hers
PAIRS = 20_000  # of customers that are compared, about: a long list is compared with fewer each


def why(view: Considered, chosen: Chosen, product: str, category: str, seed: int) -> pd.DataFrame:
    """Columns reason and unless, a row a chosen customer.

    Reasons are Shapley values of the expected profit of her arm in money, topic by topic, beside customers spread evenly over what the best
    offer is expected to earn of them. unless: the smallest of the changes tried (`counterfactual.changes`) after which no arm would pay for
    her at the same prices of budget and place; blank where none was found, and for who is on the list at the margin of a limit. The seed
    draws orders of topics.
    """
    x = view.features[view.asked].reset_index(drop=True)
    at = (np.cumsum(view.asked) - 1)[chosen.row]

    def told(z: pd.DataFrame) -> Forecast:
        return at_level(view.response, view.response.expected(z), z, view.times)

    def offers(z: pd.DataFrame) -> np.ndarray:
        return told(z).gain[:, 1:]

    def net(z: pd.DataFrame, place: float) -> np.ndarray:
        found = told(z)
        sent = np.arange(found.gain.shape[1]) > 0
        return (found.gain - chosen.price * found.spend - place * sent)[:, chosen.arms]

    number = int(np.clip(PAIRS // len(at), LEAST, BESIDE))
    others = beside(x, view.forecast.gain[view.asked].max(axis=1), number)
    mine = x.iloc[at]
    asked = view.customer[view.asked]
    values = explain(offers, mine, others, seed, words.topics_in(list(x)), (asked[at], asked[others.index]))
    added = values.between(chosen.arm - 1).table()
    said = reasons(mine, added, [product] * len(at), [category] * len(at), x.median().to_dict())
    personal_too = personal(added)
    out = pd.DataFrame({"reason": [f"This customer {s}.{PERSONAL * p}" for s, p in zip(said, personal_too, strict=True)]})
    out["unless"] = ""
    for place in np.unique(chosen.place):  # one for all, or one for each group that is to be even
        rule, here = partial(net, place=float(place)), np.flatnonzero(chosen.place == place)
        inside = here[rule(mine.iloc[here]).argmax(axis=1) > 0]
        names = [product] * len(inside), [category] * len(inside)
        undone = counterfactual.flips(rule, mine.iloc[inside], x, *names, leave=OURS)["words"]
        out.loc[inside, "unless"] = [f"Would not be on the list if {w}, all else the same." if w else "" for w in undone]
    return out


def of_habits(p: Purchases, customer: pd.Series, item: int, category: np.ndarray, product: str) -> list[str]:
    """[row] what is known of customers where no offer was ever tried: what they bought of the product, and of its category or how often
    they came."""
    facts = _habits(p, item, category).iloc[p.customers.get_indexer(customer)].reset_index(drop=True)
    weight = pd.DataFrame({"habit": np.ones(len(facts)), "category": 0.6 * (facts["category_90"] > 0), "visits": 0.5})
    said = reasons(facts, weight, [product] * len(facts), [named_category(category[item])] * len(facts))
    return [f"This customer {s}." for s in said]


def named_category(category: object) -> str:
    """A category as a sentence names it, one that the shop does not record too."""
    return str(category) if pd.notna(category) else "its category"


def _habits(p: Purchases, item: int, category: np.ndarray) -> pd.DataFrame:
    """[customer] product_90, product_all and category_90 (units), product_recency and recency (days), trips_28 (baskets)."""
    n, mine, late = len(p.customers), p.what == item, p.day >= p.days - 90
    kin = (category == category[item])[p.what] if pd.notna(category[item]) else np.zeros(len(p.what), bool)
    last = np.full((2, n), -np.inf)
    np.maximum.at(last[0], p.who[mine], p.day[mine].astype(float))
    np.maximum.at(last[1], p.who, p.day.astype(float))
    trip = np.append(True, np.diff(p.basket) != 0)[: len(p.basket)] & (p.day >= p.days - 28)
    return pd.DataFrame(
        {
            "product_90": np.bincount(p.who[mine & late], p.units[mine & late], n),
            "product_all": np.bincount(p.who[mine], p.units[mine], n),
            "category_90": np.bincount(p.who[kin & late], p.units[kin & late], n),
            "product_recency": np.where(np.isfinite(last[0]), p.days - 1 - last[0], np.nan),
            "recency": np.where(np.isfinite(last[1]), p.days - 1 - last[1], np.nan),
            "trips_28": np.bincount(p.who[trip], minlength=n).astype(float),
        }
    )
