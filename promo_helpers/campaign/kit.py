"""Whom the shop may write to: consent, and the one field that the channel needs. Nothing else of a person leaves the shop's tables."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from promo_helpers.campaign.request import CampaignRequest, Channel, RequestError, first_day, product_number
from promo_helpers.decide.forecast import Calibration
from promo_helpers.experiment.contacts import contact_experiment
from promo_helpers.experiment.gates import gates
from promo_helpers.features.purchases import Purchases
from promo_helpers.models import saved
from promo_helpers.models.demand import DemandResponse
from promo_helpers.models.purchase import PurchaseModel
from promo_helpers.models.recommend import labels
from promo_helpers.shop import Shop
from promo_helpers.shop.loading import command
from promo_helpers.shop.sheets import safe_phone


@dataclass(frozen=True)
class People:
    """who: customer_id, name, city, contact; one row each, sorted by id. left: reason, customers. notes: what the shop doesn't record."""

    who: pd.DataFrame
    left: pd.DataFrame
    notes: tuple[str, ...]


def contactable(shop: Shop, channel: Channel) -> People:
    """Customers who agreed to be contacted (and did not opt out since: that takes the consent away) and have the channel's field.

    What no table of the shop holds for anybody cannot be asked of anybody: then all stay, and a note says what to check before sending.
    Raises RequestError where nobody is left.
    """
    wanted = [c for c in ("customer_id", "name", "city", "consent", channel.column) if shop.has("customers", c)]
    people = shop.frame("customers", wanted).sort_values("customer_id", kind="stable", ignore_index=True)
    if people.empty:
        raise RequestError(["the shop has no customers: nobody can be written to"])
    out = pd.DataFrame({"customer_id": people["customer_id"].astype(str)})
    for column, given in (("name", "name"), ("city", "city"), ("contact", channel.column)):
        out[column] = people[given].astype(object).where(people[given].notna(), "") if given in people else ""
    notes, left = list[str](), list[tuple[str, int]]()
    kept = pd.Series(True, out.index)
    if "consent" in people:
        agreed = people["consent"].fillna(False).astype(bool)
        left.append(("did not agree to be contacted, or opted out", int((~agreed).sum())))
        kept &= agreed
    else:
        notes.append("The shop records no consent: nobody may be written to before it has been asked for.")
    if channel.column in people:
        has = out["contact"].astype(str).str.strip() != ""
        left.append((f"no {channel.heading}, which {channel.name} needs", int((kept & ~has).sum())))
        kept &= has
    else:
        notes.append(f"The shop records no {channel.heading}: the list holds ids alone, to be joined to addresses elsewhere.")
    if not kept.any():
        reasons = "; ".join(f"{n:,} {why}" for why, n in left if n)
        raise RequestError(
            [
                f"Nobody of {len(out):,} customers may be written to by {channel.name} ({reasons}): "
                "choose another CHANNEL, or ask for consent."
            ]
        )
    out = out[kept].reset_index(drop=True)
    if channel.column == "phone":
        out["contact"] = [safe_phone(c) if c else "" for c in out["contact"]]
    return People(out, pd.DataFrame(left, columns=["reason", "customers"]), tuple(notes))


STALE_DAYS = 28  # days after the data end from which on a warning says that they are old
RECENT = 91  # days: what is most bought in them stands in where no product is named


@dataclass(frozen=True)
class Kit:
    """shop, purchases; items: columns item, name, category (in the order of purchases.items), price, margin (missing where unknown).

    response: the saved response to offers, and its facts; None where `why` says in a sentence that it cannot be told. timing, purchase:
    saved models or None; notes: which are missing, and the command that makes them.
    """

    shop: Shop
    item: str
    purchases: Purchases
    items: pd.DataFrame
    response: DemandResponse | None
    facts: dict[str, Any]
    why: str
    timing: dict[str, Any] | None
    purchase: PurchaseModel | None
    purchase_facts: dict[str, Any]
    notes: tuple[str, ...]

    @classmethod
    def load(cls, shop: Shop, item: str = "product_id", data: str = "simulated") -> "Kit":
        """Open the saved models of a shop; `data` names its data set, such as completejourney.

        Raises FileNotFoundError, with the command, where the shop's trial could tell a response and nobody has learnt it yet, and
        OtherShop for a model that was trained on another shop.
        """
        purchases = Purchases.of(shop, item)
        if not len(purchases.who):
            raise RequestError(["the shop has no purchases: there is nothing to tell who might buy"])
        response, facts, why = _response(shop, item, data)
        notes = list[str]()
        timing, purchase, purchase_facts = None, None, dict[str, Any]()
        try:
            parts, timing_facts = saved.load_made("timing", data, shop)
            timing = {**parts, "settings": timing_facts["settings"]}
        except FileNotFoundError as error:
            notes.append(f"{error}; until then everybody is sent to at the shop's mean hour of purchases, on the first day.")
        try:  # also beside a response, which need not know a discount that is asked for
            parts, purchase_facts = saved.load_made("purchase", data, shop)
            purchase = PurchaseModel.of_parts(parts, purchase_facts)
            age = (pd.Timestamp(purchases.moment(purchases.days)) - pd.Timestamp(purchase_facts["trained_to"])).days
            if age > STALE_DAYS:
                again = command(saved.MAKERS["purchase"], shop)
                notes.append(f"The saved purchase model knows nothing of the last {age} days; {again} trains it anew.")
            if purchase_facts.get("item", item) != item:
                purchase = None
                notes.append(f"The saved purchase model is about {purchase_facts['item']}, not {item}: past frequency stands in.")
        except FileNotFoundError as error:
            if response is None:
                notes.append(f"{error}; until then past frequency stands in.")
        return cls(
            shop,
            item,
            purchases,
            _items(shop, purchases, item),
            response,
            facts,
            why,
            timing,
            purchase,
            purchase_facts,
            tuple(notes),
        )

    @property
    def end(self) -> pd.Timestamp:
        """The first midnight after the data."""
        return pd.Timestamp(self.purchases.moment(self.purchases.days))

    def date(self, ask: CampaignRequest) -> pd.Timestamp:
        """The first day of sending: as asked, or the day after the data end. Raises RequestError for one before that."""
        return first_day(ask, self.end)

    def product(self, named: str) -> int:
        """Number of an item by name or id, whatever its capitals. Raises RequestError that suggests the nearest names."""
        return product_number(named, self.items, "item")

    @property
    def lines(self) -> dict[str, Calibration]:
        """How promises were kept on held-out contacts of the trial, as 12_budget saves it with the response: profit, revenue, buys."""
        return {
            name: Calibration.of_facts(f)
            for name, f in self.facts.get("forecast", {}).items()
            if isinstance(f, dict) and "slope" in f
        }

    def most_bought(self) -> int:
        """Number of the item that most customers bought lately."""
        p = self.purchases
        rows = p.between(p.days - RECENT, p.days)
        pairs = np.unique(p.who[rows].astype(np.int64) * len(p.items) + p.what[rows])
        return int(np.bincount(pairs % len(p.items), minlength=len(p.items)).argmax())

    def tried(self) -> list[int]:
        """Numbers of the items that the trial offered."""
        ids = self.shop.frame("products", ["product_id"])["product_id"].sort_values().to_numpy(object)
        wanted = [] if self.response is None else list(self.response.tried)
        return [int(n) for n in self.purchases.items.get_indexer(ids[wanted]) if n >= 0]


def _response(shop: Shop, item: str, data: str) -> tuple[DemandResponse | None, dict[str, Any], str]:
    """The saved response and its facts, or a sentence that says why nobody can tell one."""
    if item != "product_id" or not shop.has("contacts", "product_id", "trial_id"):
        return None, {}, "the shop has had no trial: no offer of a product was ever drawn by chance"
    for column in ("price", "margin"):
        if not shop.has("products", column):
            return (
                None,
                {},
                f"the products have no {column}, without which no profit can be told (a margin may be given as MARGIN=.25)",
            )
    try:
        response, facts = DemandResponse.load(saved.name_of("response", data), shop)
    except FileNotFoundError:
        trial = gates(contact_experiment(shop, "trial"), "profit")
        if trial.holds:
            raise
        return None, {}, trial.verdict
    holds, verdict = trial_verdict(facts)
    return (response, facts, "") if holds else (None, facts, verdict)


def trial_verdict(facts: dict[str, Any]) -> tuple[bool, str]:
    """Whether the trial behind a saved response can tell its effects (False where not said), and a sentence."""
    return bool(facts.get("gates_hold", False)), str(
        facts.get("gates") or "the saved response does not say whether its trial can tell"
    )


def _items(shop: Shop, purchases: Purchases, item: str) -> pd.DataFrame:
    items = labels(shop, purchases.items, item)
    known = [c for c in ("price", "margin") if shop.has("products", c)]
    given = shop.frame("products", list(dict.fromkeys(["product_id", item, *known]))).groupby(item)
    for column in ("price", "margin"):
        items[column] = items["item"].map(given[column].mean()) if column in known else np.nan
    if "price" not in known:  # what was paid for a unit stands in
        cents = np.bincount(purchases.what, purchases.cents, len(items))
        units = np.bincount(purchases.what, purchases.units, len(items))
        items["price"] = np.divide(cents / 100, units, out=np.full(len(items), np.nan), where=units > 0)
    return items.astype({"price": float, "margin": float})


def with_interpolated_arm(response: DemandResponse, percent: float) -> DemandResponse:
    """The response with one more arm between two of the trial's: the lift of the depths about it, joined by a straight line.

    As it is where the arm is there already. Raises ValueError beyond the trial's deepest discount: how people answer there is unknown.
    """
    depth = np.nan_to_num(response.doses[0].depth)
    off = percent / 100
    if off > depth.max() + 1e-9:
        raise ValueError(f"{percent:g} % is deeper than the trial's deepest discount, {depth.max():.0%}")
    arm = f"{percent:g}"
    if arm in response.arms:
        return response
    place = int(np.searchsorted(depth[1:], off)) + 1  # in order after the control
    deep = np.append(0.0, depth[depth > 0])
    doses = []
    for dose in response.doses:
        lift = np.append(0.0, np.cumsum(dose.steps))
        both = np.unique(np.append(deep, off))  # a reminder adds no step: only a discount lifts
        doses.append(replace(dose, depth=np.insert(dose.depth, place, off), steps=np.diff(np.interp(both, deep, lift))))
    arms = (*response.arms[:place], arm, *response.arms[place:])
    return replace(response, doses=tuple(doses), arms=arms)
