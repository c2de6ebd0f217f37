"""Facts of a customer as sentences say them: so many units, so many times, so long ago; and the earlier discounts that were used."""

from collections.abc import Mapping, Sequence
from typing import TypeVar

import numpy as np
import pandas as pd

from promo_helpers.features.contact_history import REDEEMED

Counts = TypeVar("Counts", float, pd.Series)


def counted(number: float, thing: str) -> str:
    """A number of things: 1 unit, 2 units."""
    return f"{number:.0f} {thing}{'s' * (round(number) != 1)}"


def times(number: float) -> str:
    """How often: once, twice, 3 times."""
    return {1: "once", 2: "twice"}.get(round(number), f"{number:.0f} times")


def ago(days: float) -> str:
    """How long ago, in whole days."""
    whole = int(days)
    return "within the last day" if whole < 1 else "1 day ago" if whole == 1 else f"{whole} days ago"


def used_discounts(share: Counts, sent: Counts) -> Counts:
    """How many of the earlier discounts `sent` were used, from the shrunk share of `features.contact_history`."""
    return np.rint(share * (sent + 2) - 2 * REDEEMED)


def never_used(discounts: pd.Series) -> pd.Series:
    """[row] the shrunk share of so many earlier discounts, had none been used."""
    return 2 * REDEEMED / (discounts + 2)


NAMES = {  # of the dose-response
    "age": "age", "female": "gender", "segment": "segment", "tenure": "time as a customer",
    "trips_28": "visits, last 4 weeks", "trips_90": "visits, last 90 days", "trips_180": "visits, last 180 days",
    "spend_90": "spending, last 90 days", "recency": "days since last visit", "basket": "units a visit", "unit_price": "mean price paid",
    "late_share": "share of evening visits", "hour_gap": "message against usual hour",
    "promotion_share": "share bought on promotion", "product_promotion_share": "product bought on promotion",
    "category_promotion_share": "category bought on promotion",
    "product_28": "units of product, last 4 weeks", "product_90": "units of product, last 90 days",
    "product_180": "units of product, last 180 days", "product_all": "units of product, ever",
    "product_recency": "days since product", "category_90": "units of category, last 90 days",
    "category_180": "units of category, last 180 days", "category_recency": "days since category",
    "category_share": "category's share of units", "product_share": "product's share of category",
    "response": "response to shelf promotions", "sure": "evidence on that response",
    "promotion_now": "promotion on the shelf now", "promotion_ahead": "promotion planned ahead",
    "promotion_past": "promotion in past 4 weeks", "promotion_days": "days of promotion ahead", "product_price": "price of product",
    "offers_30": "offers, last 30 days", "offers_90": "offers, last 90 days", "offers_all": "offers, ever",
    "offers_recency": "days since last offer", "discounts": "earlier discounts offered", "redeemed_share": "share of discounts used",
    "redeemed_depth": "mean discount used", "margin": "margin of product", "category_margin": "margin of category",
    "product": "which product", "hour": "hour of message", "month": "month",
}  # fmt: skip
_PAIR = {
    "baskets": "baskets with {0}", "units": "units of {0}", "spend": "spent on {0}", "recency": "days since {0}",
    "first": "days since first buying {0}",
    "promo_share": "{0} bought on promotion", "gap": "days between {0} purchases", "due": "how overdue {0} is", "rate": "rate of {0}",
    "habit": "habit: share of baskets with {0}", "expected": "habit times visits", "share": "{0}'s share of spending",
}  # fmt: skip
_CUSTOMER = {
    "recency": "days since last visit", "tenure": "time as a customer", "frequency": "visits", "trip_days": "days with a visit",
    "monetary": "total spending", "units": "units bought", "lines": "lines bought", "products": "different products bought",
    "spend_mean": "spending a visit", "spend_sd": "how spending varies", "basket_units": "units a visit", "gap_mean": "days between visits",
    "spend_30": "spending, last 30 days", "spend_trend": "trend of spending", "weekend_share": "share of weekend visits",
    "morning_share": "share of morning visits", "evening_share": "share of evening visits", "mean_hour": "usual hour",
    "discount_share": "discount on all spending", "promo_share": "share bought on promotion", "promo_depth": "depth of promotions used",
    "contacts_30": "offers, last 30 days", "contacts_all": "offers, ever", "redeemed_share": "share of offers used",
}  # fmt: skip
_ITEM = {
    "popularity": "popularity of product", "buyers": "buyers of product", "units_28": "product's sales, last 4 weeks",
    "repeat_rate": "product's repeat rate", "price_paid": "price of product", "promo_share": "product sold on promotion",
    "discount_share": "discount on product", "age": "time on sale", "planned_discount": "promotion planned ahead",
}  # fmt: skip
TOPICS = {  # what a reason can be about, and the features behind it
    "habit": ("product_28", "product_90", "product_180", "product_all", "product_recency", "product_share"),
    "category": ("category_90", "category_180", "category_recency", "category_share"),
    "offers": ("discounts", "redeemed_share", "redeemed_depth"),
    "rest": ("offers_30", "offers_90", "offers_all", "offers_recency"),
    "promotions": ("promotion_share", "product_promotion_share", "category_promotion_share"),
    "shelf": ("response", "sure"),
    "visits": ("trips_28", "trips_90", "trips_180", "recency"),
    "basket": ("basket",),
    "spending": ("spend_90",),
    "price": ("unit_price",),
    "hour": ("hour_gap", "hour", "late_share"),
    "tenure": ("tenure",),
    "product": (
        "product_price", "margin", "category_margin", "product", "month",
        "promotion_now", "promotion_ahead", "promotion_past", "promotion_days",
    ),
    "person": ("age", "female", "segment"),
}  # fmt: skip
TITLES = {
    "habit": "buying the product", "category": "buying the category", "offers": "use of earlier offers", "rest": "offers lately",
    "promotions": "buying on promotion", "shelf": "response to the shelf", "visits": "visits", "basket": "size of a visit",
    "spending": "spending", "price": "price paid", "hour": "hour of day", "tenure": "time as a customer",
    "product": "product and shelf", "person": "age, gender, segment",
}  # fmt: skip
SILENT = ("person", "product")  # never named as a reason: the first is personal, the second says nothing of the customer


KINDS = {
    "pair": "her purchases of the product", "category": "her purchases of the category", "customer": "her visits and spending",
    "item": "the product itself",
}  # fmt: skip


def kinds_in(columns: Sequence[str]) -> dict[str, list[str]]:
    """The columns of the purchase model by KINDS, in words: switched as a whole, no kind contradicts itself."""
    found = {said: [c for c in columns if c.partition("_")[0] == kind] for kind, said in KINDS.items()}
    return {said: members for said, members in found.items() if members}


def name_of(feature: str) -> str:
    """A feature of the dose-response or of the purchase model in a few words. Raises KeyError for one that has none yet."""
    if feature in NAMES:
        return NAMES[feature]
    kind, _, rest = feature.partition("_")
    table = {"pair": _PAIR, "category": _PAIR, "customer": _CUSTOMER, "item": _ITEM}.get(kind, {})
    if rest not in table:
        raise KeyError(f"the feature '{feature}' has no words yet; promo_helpers/audit/wording.py wants a name for it")
    return table[rest].format({"pair": "product"}.get(kind, kind))


def topics_in(columns: Sequence[str]) -> dict[str, list[str]]:
    """The topics that have a column here, with those that they have. Raises KeyError for a column in no topic."""
    known = {c for members in TOPICS.values() for c in members}
    if strange := [c for c in columns if c not in known]:
        raise KeyError(f"the feature '{strange[0]}' is in no topic; promo_helpers/audit/wording.py wants it in TOPICS")
    return {t: [c for c in members if c in columns] for t, members in TOPICS.items() if any(c in columns for c in members)}


def clause(topic: str, row: Mapping[str, float], product: str, category: str, usual: Mapping[str, float] | None = None) -> str:
    """What a topic says of a customer, as the end of "this customer ...": a fact of hers, no number of a model.

    usual: the same facts of the middle customer; what is less is told as "only" so much, since that may be why it speaks for an offer.
    """
    middle = usual or {}

    def fact(name: str) -> float:
        return float(row.get(name, np.nan))

    def only(name: str) -> str:
        return "only " if fact(name) < middle.get(name, -np.inf) else ""

    if topic == "habit":
        if fact("product_90") > 0:
            return f"bought {only('product_90')}{counted(fact('product_90'), 'unit')} of {product} in the last 90 days"
        if fact("product_all") > 0:
            return f"last bought {product} {ago(fact('product_recency'))}"
        return f"never bought {product} yet"
    if topic == "category":
        if fact("category_90") > 0:
            return f"bought {only('category_90')}{counted(fact('category_90'), 'unit')} from {category} in the last 90 days"
        return f"bought nothing from {category} in the last 90 days"
    if topic == "offers":
        given, used = fact("discounts"), used_discounts(fact("redeemed_share"), fact("discounts"))
        if not given > 0:
            return "was never offered a discount before"
        if given == 1:
            return "used the one earlier discount" if used >= 1 else "did not use the one earlier discount"
        return f"used {'none' if used < 1 else 'all' if used >= given else f'{used:.0f}'} of {given:.0f} earlier discounts"
    if topic == "rest":
        return f"had the last offer {ago(fact('offers_recency'))}" if fact("offers_all") > 0 else "has had no offer so far"
    if topic == "promotions":
        return f"buys {only('promotion_share')}{fact('promotion_share'):.0%} of all units on price promotion"
    if topic == "shelf":
        if not np.isfinite(fact("response")):
            return "has hardly met a promotion on the shelf yet"
        return f"bought {'less' if only('response') else 'more'} than most when there were promotions on the shelf"
    if topic == "visits":
        seen = fact("trips_28")
        return f"came {only('trips_28')}{times(seen)} in the last four weeks" if seen > 0 else f"last came {ago(fact('recency'))}"
    if topic == "basket":
        return f"buys {only('basket')}{fact('basket'):.1f} units a visit"
    if topic == "spending":
        spent = fact("spend_90")
        return f"spent {only('spend_90')}{spent:,.0f} in the last 90 days" if spent > 0 else "spent nothing in the last 90 days"
    if topic == "price":
        return f"pays {only('unit_price')}{fact('unit_price'):,.0f} a unit on average"
    if topic == "hour":
        gap = fact("hour_gap")
        near = "shops at about the hour of the message"
        return near if gap < 2 else f"usually shops {gap:.0f} hours from the hour of the message"
    if topic == "tenure":
        return f"has been a customer for {only('tenure')}{counted(max(fact('tenure') / 30.4, 1), 'month')}"
    raise KeyError(f"the topic '{topic}' has no clause; {', '.join(SILENT)} are never given as a reason")


PERSONAL_NOTE = " Age, gender or segment weighs more than either."
ENDS = (" in the last 90 days", " in the last four weeks")
NONE_FOUND = "no single fact that we tried would have changed the choice"


def background_rows(x: pd.DataFrame, worth: np.ndarray, number: int) -> pd.DataFrame:
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


def personal_dominates(added: pd.DataFrame) -> list[bool]:
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
    said, more = reasons(facts, added, products, categories, usual), personal_dominates(added)
    told = []
    for i, reason in enumerate(said):
        unless = (
            f"would not have been chosen if {undone[i]}, all else and the budget's price the same" if undone[i] else NONE_FOUND
        )
        told.append(f"{offers[i]} {products[i]}: this customer {reason}; {unless}.{PERSONAL_NOTE * more[i]}")
    return told


def _strongest(added: pd.DataFrame, most: int) -> list[list[str]]:
    kept = added[[c for c in added if c not in SILENT]]
    values = kept.to_numpy(float)
    order = np.argsort(-values, axis=1, kind="stable")[:, :most]
    return [[kept.columns[k] for n, k in enumerate(row) if n == 0 or values[i, k] > 0] for i, row in enumerate(order)]
