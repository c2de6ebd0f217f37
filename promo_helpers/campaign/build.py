"""One product in, one list out: the campaign as a whole, from saved models and what was asked for."""

import re
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from promo_helpers.campaign.ask import Ask
from promo_helpers.campaign.bundle import complements, not_yet
from promo_helpers.campaign.choose import Chosen, Considered, by_chance, by_gain, considered, responses_of, season
from promo_helpers.campaign.kit import OLD, Kit
from promo_helpers.campaign.people import People, contactable
from promo_helpers.campaign.reasons import drivers, facts_of, sentences
from promo_helpers.campaign.sending import days, hours
from promo_helpers.features.purchases import Purchases

UPLIFT = "uplift ranking: by what the offer is expected to earn"
RESPONSE = "response ranking: by who is likely to buy, not by whom the offer moves"
COMMON = 10.0  # percent off at which relevance is asked, where no discount is fixed


@dataclass(frozen=True)
class Campaign:
    """The list and all that is known about it.

    rows: one a chosen customer, held out ones too, the most profitable (or likeliest) first; columns as `listing.COLUMNS` are made of.
    view: everybody considered (None without a response), chosen: places in it. why: for a response ranking, why it is no uplift ranking.
    """

    ask: Ask
    date: pd.Timestamp
    item: int
    product_id: str
    name: str
    price: float
    margin: float
    rows: pd.DataFrame
    people: People
    view: Considered | None
    chosen: Chosen
    why: str
    notes: tuple[str, ...]
    currency: str

    @property
    def basis(self) -> str:
        """What the list is ranked by, as it says on its face."""
        return RESPONSE if self.why else UPLIFT

    @property
    def sent(self) -> pd.DataFrame:
        """The rows that are written to."""
        return self.rows[~self.rows["held"]]


def build(kit: Kit, ask: Ask, seed: int) -> Campaign:
    """Choose whom to write to about which product, with which discount, when and why. The same seed gives the same list.

    Raises AskError for what cannot be done, in sentences.
    """
    date, people = kit.date(ask), contactable(kit.shop, ask.channel)
    known = people.who["customer_id"].isin(kit.purchases.customers)
    people = replace(people, who=people.who[known].reset_index(drop=True))
    customer = people.who["customer_id"].to_numpy(object)
    notes = [*kit.notes, *people.notes, *_warnings(kit, ask, date, len(customer))]
    rng = np.random.default_rng(seed)
    response, why = responses_of(kit, ask)
    hour = hours(kit, customer)
    named = kit.product(ask.product) if ask.product else None
    if response is None:
        if named is None:
            named = kit.most_bought()
            notes.append(
                f"No product was named: {kit.items['name'].iloc[named]} is what most customers bought in the last 13 weeks."
            )
        chosen, chance, origin = by_chance(kit, ask, customer, named, rng)
        rows = _likely_rows(kit, named, customer, chosen, chance)
        notes.append(f"Ranked by {origin}.")
        view = None
    else:
        items = [named] if named is not None else kit.tried()
        times, said = season(kit, date)
        notes.append(said)
        partner = None
        partners = np.zeros(0, int)
        if named is not None:
            partners = complements(kit, named, seed)["partner"].to_numpy() if ask.bundle else partners
            partner = not_yet(kit, customer, partners) if len(partners) else None
        views, more = considered(kit, response, customer, hour, date, items, partner, times)
        if named is None:
            best = max(range(len(items)), key=lambda k: _gained(views[k], ask))
            named, views = items[best], [views[best]]
            notes.append(
                f"No product was named: of the {len(items)} that the trial offered, {kit.items['name'].iloc[named]} earns most."
            )
            partners = complements(kit, named, seed)["partner"].to_numpy() if ask.bundle else partners
            if len(partners):
                partner = not_yet(kit, customer, partners)
                more = considered(kit, response, customer, hour, date, [], partner, times)[1]
        view = views[0]
        if named not in kit.tried():
            notes.append(f"No trial offered {kit.items['name'].iloc[named]}: what it would do is told from other products.")
        chosen = by_gain(view, ask, rng)
        rows = _gain_rows(kit, named, view, chosen, more, partner)
    notes += _shortages(ask, rows, len(customer), why)
    if (rows["bundle_percent"] > 0).any():
        notes.append(
            "The discount on what is named beside the product is an idea for another offer: no trial tried it, and neither the budget "
            "nor any figure here holds what it would cost or earn. Leave it out to keep to the budget."
        )
    return _finished(kit, ask, date, named, rows, people, view, chosen, why, tuple(notes), hour)


def _warnings(kit: Kit, ask: Ask, date: pd.Timestamp, there: int) -> list[str]:
    said = []
    if (date - kit.end).days > OLD:
        said.append(f"The data end {(date - kit.end).days} days before the campaign begins: newer ones would tell more.")
    if ask.customers is not None and ask.customers > there:
        said.append(
            f"CUSTOMERS={ask.customers}: only {there:,} customers may be written to by {ask.channel.name}; the list cannot be longer."
        )
    return said


def _shortages(ask: Ask, rows: pd.DataFrame, there: int, why: str) -> list[str]:
    sent = int((~rows["held"]).sum())
    if why or (ask.customers is None and sent):
        return []
    if not sent:
        return [
            f"No offer is expected to pay for any of {there:,} customers: the list is empty, and sending nothing is the best."
        ]
    if ask.customers is not None and sent < min(ask.customers, there) and ask.budget is None:
        return [
            f"CUSTOMERS={ask.customers}: an offer is expected to pay for no more than {sent:,}, and the list holds only these."
        ]
    return []


def _gained(view: Considered, ask: Ask) -> float:
    """What a product is expected to earn, nobody held out."""
    plain = replace(ask, holdout=0.0)
    found = by_gain(view, plain, np.random.default_rng(0))
    return float(view.forecast.gain[found.row, found.arm].sum())


def _gain_rows(
    kit: Kit, item: int, view: Considered, chosen: Chosen, more: Considered | None, partner: np.ndarray | None
) -> pd.DataFrame:  # fmt: skip
    """One row a chosen customer with all that an uplift ranking knows."""
    features = view.features.iloc[chosen.row].reset_index(drop=True)
    arm, place = chosen.arm, np.arange(len(chosen.row))
    if not len(arm):
        return _blank()
    response = view.response
    with_it, none = view.forecast.only(chosen.row).of(arm), view.forecast.only(chosen.row).of(np.zeros(len(arm), int))
    uplift, low, high = view.between(lambda f: f.buys[place, arm] - f.buys[:, 0], chosen.row)
    price, margin, shelf = (features[c].to_numpy(float) for c in ("product_price", "margin", "promotion_ahead"))
    rows = pd.DataFrame(
        {"customer_id": view.customer[chosen.row], "percent": view.percent[arm], "arm": np.array(response.arms)[arm]}
    )
    rows = rows.assign(without=none["buys"], gain=with_it["gain"])
    if (line := kit.lines.get("buys")) is not None:  # as such promises were kept, in the mean; the spread is that of the model
        uplift, low, high = (line.intercept + line.slope * v for v in (uplift, low, high))
    rows = rows.assign(
        with_it=np.clip(none["buys"] + uplift, 0, 1), uplift=uplift, low=np.minimum(low, high), high=np.maximum(low, high)
    )
    line, to = kit.lines.get("profit"), rows["gain"][~chosen.held] if (~chosen.held).any() else rows["gain"]
    kept = 1.0 if line is None else line.slope + line.intercept * len(to) / float(to.sum())
    rows["profit"] = kept * rows["gain"]  # what the forecast says of all who are written to, shared out as the model promises it
    for column in ("units", "revenue"):
        rows[column], rows[f"{column}_none"] = with_it[column], none[column]
    rows = rows.assign(discount=with_it["discount"], spend=with_it["spend"], price=price, margin=margin, held=chosen.held)
    rows["tied"] = response.tied[0] * price * (margin - shelf)  # that other sales pay for each unit
    rows["leaving"] = response.costs.of(features) - response.costs.message
    common = int(np.abs(view.percent[1:] - COMMON).argmin()) + 1  # the same discount for all, so that customers are compared
    used = pd.Series(view.forecast.redeemed[:, common]).rank(pct=True, method="average").to_numpy()
    rows["relevance"] = 100 * used[chosen.row]
    category = kit.items["category"].iloc[item]
    usual = float(view.features["promotion_share"].mean())
    weight = drivers(response.doses[0], view.features[view.asked].reset_index(drop=True))
    at = (np.cumsum(view.asked) - 1)[chosen.row]
    rows["reason"] = sentences(facts_of(features), weight.iloc[at], kit.items["name"].iloc[item], category, usual)
    return _bundled(kit, rows, more, partner, view, chosen)


def _bundled(
    kit: Kit, rows: pd.DataFrame, more: Considered | None, partner: np.ndarray | None, view: Considered, chosen: Chosen
) -> pd.DataFrame:  # fmt: skip
    rows["bundle"], rows["bundle_percent"] = "", np.nan
    if more is None or partner is None or not len(more.customer):
        return rows
    names = kit.items["name"].to_numpy(object)
    best = more.forecast.gain.argmax(axis=1)
    off = pd.Series(np.where(best > 0, more.percent[best], 0.0), more.customer)
    mine = partner[chosen.row]
    rows["bundle"] = np.where(mine >= 0, names[np.maximum(mine, 0)], "")
    rows["bundle_percent"] = np.where(mine >= 0, off.reindex(rows["customer_id"]).to_numpy(), np.nan)
    return rows


def _blank() -> pd.DataFrame:
    """No rows, with every column that a row has."""
    text = ("customer_id", "arm", "reason", "bundle")
    number = (
        "percent", "with_it", "without", "uplift", "low", "high", "gain", "profit", "units", "units_none", "revenue", "revenue_none",
        "discount", "spend", "price", "margin", "tied", "leaving", "relevance", "bundle_percent",
    )  # fmt: skip
    frame = pd.DataFrame({c: pd.Series(dtype=object) for c in text} | {c: pd.Series(dtype=float) for c in number})
    return frame.assign(held=np.zeros(0, bool))


def _likely_rows(kit: Kit, item: int, customer: np.ndarray, chosen: Chosen, chance: np.ndarray) -> pd.DataFrame:
    """One row a chosen customer with what a response ranking knows: nothing of what the offer changes."""
    rows = pd.DataFrame({"customer_id": customer[chosen.row], "without": chance[chosen.row]})
    rows = rows.reindex(columns=list(_blank()))
    facts = _habits(kit.purchases, item, kit.items["category"].to_numpy(object))
    rows["relevance"] = 100 * pd.Series(chance).rank(pct=True).to_numpy()[chosen.row]
    facts = facts.iloc[kit.purchases.customers.get_indexer(rows["customer_id"])].reset_index(drop=True)
    weight = pd.DataFrame({"habit": np.ones(len(rows)), "category": 0.6, "visits": 0.5})
    name, category = kit.items["name"].iloc[item], kit.items["category"].iloc[item]
    rows["reason"] = sentences(facts, weight, name, category, 1.0)
    return rows.assign(held=chosen.held, bundle="", price=kit.items["price"].iloc[item], margin=kit.items["margin"].iloc[item])


def _habits(p: Purchases, item: int, category: np.ndarray) -> pd.DataFrame:
    """[customer] product_90 and category_90 (units of the last 90 days), product_recency (days), trips_28 (baskets)."""
    n, mine, late = len(p.customers), p.what == item, p.day >= p.days - 90
    kin = (category == category[item])[p.what] if pd.notna(category[item]) else np.zeros(len(p.what), bool)
    last = np.full(n, -np.inf)
    np.maximum.at(last, p.who[mine], p.day[mine].astype(float))
    trip = np.append(True, np.diff(p.basket) != 0)[: len(p.basket)] & (p.day >= p.days - 28)
    return pd.DataFrame(
        {
            "product_90": np.bincount(p.who[mine & late], p.units[mine & late], n),
            "category_90": np.bincount(p.who[kin & late], p.units[kin & late], n),
            "product_recency": np.where(np.isfinite(last), p.days - 1 - last, np.nan),
            "trips_28": np.bincount(p.who[trip], minlength=n).astype(float),
        }
    )


def _finished(
    kit: Kit, ask: Ask, date: pd.Timestamp, item: int, rows: pd.DataFrame, people: People, view: Considered | None, chosen: Chosen,
    why: str, notes: tuple[str, ...], hour: np.ndarray,
) -> Campaign:  # fmt: skip
    """Add who they are, when to write and the priority; the best first; and warn of a discount above the margin."""
    about = kit.items.iloc[item]
    place = pd.Index(people.who["customer_id"]).get_indexer(rows["customer_id"])
    for column in ("name", "city", "contact"):
        rows[column] = people.who[column].to_numpy(object)[place]
    if why:
        rows["percent"] = float(ask.discount or 0)
        rows["arm"] = f"{ask.discount:g}" if ask.discount is not None else "0"
    rows["send"] = days(kit, rows["customer_id"].to_numpy(object), date) + hour[place].astype("timedelta64[h]")
    score = rows["without" if why else "gain"].to_numpy(float)
    order = np.lexsort((rows["customer_id"].astype(str), -score))
    rows, score = rows.iloc[order].reset_index(drop=True), score[order]
    before = np.cumsum(score) - score
    rows["priority"] = np.where(before < score.sum() / 2, "high", "medium")
    rows["contact_id"] = [f"{date:%Y%m%d}-{re.sub(r'[^A-Za-z0-9]+', '_', str(about['item']))}-{c}" for c in rows["customer_id"]]
    deepest = rows["percent"].max() / 100 if len(rows) else 0.0
    margin = float(about["margin"])
    if margin == margin and max(deepest, (ask.discount or 0) / 100) >= margin:
        off = max(deepest, (ask.discount or 0) / 100)
        what = f"the margin of {about['name']}, {margin:.0%}: each unit sold with it loses money"
        notes += (f"Warning: a discount of {off:.0%} is not below {what}.",)
    return Campaign(
        ask,
        date,
        item,
        str(about["item"]),
        str(about["name"]),
        float(about["price"]),
        margin,
        rows,
        people,
        view,
        chosen,
        why,
        notes,
        kit.shop.currency,
    )
