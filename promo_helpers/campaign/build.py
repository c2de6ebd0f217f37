"""One product in, one list out: the campaign as a whole, from saved models and what was asked for."""

import re
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from promo_helpers.audit import parity
from promo_helpers.audit.groups import groups_of
from promo_helpers.campaign import evenly
from promo_helpers.campaign.ask import Ask
from promo_helpers.campaign.bundle import complements, not_yet
from promo_helpers.campaign.choose import Chosen, Considered, by_chance, by_gain, considered, responses_of, season
from promo_helpers.campaign.kit import OLD, Kit
from promo_helpers.campaign.people import People, contactable
from promo_helpers.campaign.rows import as_kept, by_chance_rows, by_gain_rows
from promo_helpers.campaign.sending import days, hours
from promo_helpers.ties import rounded

OWED = " On the list so that customers are chosen alike by {}: without that, others would come first."
UPLIFT = "uplift ranking: by what the offer is expected to earn"
RESPONSE = "response ranking: by who is likely to buy, not by whom the offer moves"


@dataclass(frozen=True)
class Campaign:
    """The list and all that is known about it.

    rows: one a chosen customer, held out ones too, the most profitable (or likeliest) first; columns as `listing.COLUMNS` are made of.
    view: everybody considered (None without a response), chosen: places in it. why: for a response ranking, why it is no uplift ranking.
    groups: [row of people.who, attribute] for the audit, without columns where the shop records none.
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
    groups: pd.DataFrame
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
    response, why = responses_of(kit, ask)
    hour = hours(kit, customer)
    named = kit.product(ask.product) if ask.product else None
    groups = groups_of(kit.shop, people.who["customer_id"])
    evenly.refuse(ask.even, groups, why)
    if response is None:
        if named is None:
            named = kit.most_bought()
            notes.append(
                f"No product was named: {kit.items['name'].iloc[named]} is what most customers bought in the last 13 weeks."
            )
        chosen, chance, origin = by_chance(kit, ask, customer, named, seed, _name(kit, named, date))
        rows = by_chance_rows(kit, named, customer, chosen, chance)
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
            best = max(range(len(items)), key=lambda k: _gained(views[k], ask, groups))
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
        alike = evenly.judged(ask.even, groups, view.asked)
        name = _name(kit, named, date)
        chosen = by_gain(view, ask, seed, alike, name)
        notes += _given_up(kit, view, ask, chosen, alike, seed, name)
        rows = by_gain_rows(kit, named, view, chosen, more, partner, seed)
        if ask.even is not None:
            rows.loc[chosen.owed, "reason"] += OWED.format(ask.even.name)
    notes += _shortages(ask, rows, len(customer), why, view, chosen)
    if (rows["bundle_percent"] > 0).any():
        notes.append(
            "The discount on what is named beside the product is an idea for another offer: no trial tried it, and neither the budget "
            "nor any figure here holds what it would cost or earn. Leave it out to keep to the budget."
        )
    return _finished(kit, ask, date, named, rows, people, groups, view, chosen, why, tuple(notes), hour)


def _warnings(kit: Kit, ask: Ask, date: pd.Timestamp, there: int) -> list[str]:
    said = []
    if (date - kit.end).days > OLD:
        said.append(f"The data end {(date - kit.end).days} days before the campaign begins: newer ones would tell more.")
    if ask.customers is not None and ask.customers > there:
        said.append(
            f"CUSTOMERS={ask.customers}: only {there:,} customers may be written to by {ask.channel.name}; the list cannot be longer."
        )
    return said


def _shortages(ask: Ask, rows: pd.DataFrame, there: int, why: str, view: Considered | None, chosen: Chosen) -> list[str]:
    sent = int((~rows["held"]).sum())
    if why or view is None or (ask.customers is None and sent):
        return []
    if not sent and (view.forecast.gain[view.asked][:, chosen.arms] > 0).any():
        limits = [f"{n}=" for n, v in (("BUDGET", ask.budget), ("CUSTOMERS", ask.customers), ("EVEN", ask.even)) if v is not None]
        return [
            f"The list is empty: {' and '.join(limits)} leave room for nobody, though some offers are expected to pay; loosen them."
        ]
    if not sent:
        return [
            f"No offer is expected to pay for any of {there:,} customers: the list is empty, and sending nothing is the best."
        ]
    if ask.customers is not None and ask.even is not None and sent < min(ask.customers, there):
        return [f"CUSTOMERS={ask.customers}: the list holds {sent:,}; more would not be even by {ask.even.name}, or not pay."]
    if ask.customers is not None and sent < min(ask.customers, there) and ask.budget is None:
        return [
            f"CUSTOMERS={ask.customers}: an offer is expected to pay for no more than {sent:,}, and the list holds only these."
        ]
    return []


def _name(kit: Kit, item: int, date: pd.Timestamp) -> str:
    """What tells a campaign from others, so that it is not always the same customers who are held out."""
    return f"{kit.items['item'].iloc[item]} {date:%Y-%m-%d}"


def _gained(view: Considered, ask: Ask, groups: pd.DataFrame) -> float:
    """What a product is expected to earn, nobody held out."""
    plain = replace(ask, holdout=0.0)
    found = by_gain(view, plain, 0, evenly.judged(ask.even, groups, view.asked))
    return float(view.forecast.gain[found.row, found.arm].sum())


def _given_up(
    kit: Kit, view: Considered, ask: Ask, chosen: Chosen, groups: evenly.Groups | None, seed: int, name: str
) -> list[str]:
    """How even the list is, and what it gives up, beside the one that only earns most; in sentences."""
    if groups is None or ask.even is None:
        return []
    free = by_gain(view, ask, seed, name=name)
    every, money = np.arange(len(groups.label)), kit.shop.currency
    rows = chosen.row, free.row, chosen.row[~chosen.held]
    even, plain, sent = (f"{100 * parity.gap(np.isin(every, r), groups.label):.1f}" for r in rows)
    said = [
        f"Alike by {ask.even.name}: of those whom the offer may go to (who bought in its category within 180 days), the shares chosen "
        f"differ between groups by at most {even} points, and by {plain} if that is not asked; counting only who is written to, by {sent}."
    ]
    if groups.aside:
        said.append(
            f"{groups.aside:,} of them are held to no share: their group is not known, or has fewer than {evenly.LEAST} of them."
        )
    gain, other = (view.forecast.gain[c.row, c.arm][~c.held] for c in (chosen, free))
    less = gain.sum() < other.sum()
    told = f"The model promises {gain.sum():,.0f} {money}" + (
        f" instead of {other.sum():,.0f}" if less else ", no less than without it"
    )
    if less and "profit" in kit.lines:
        kept = [as_kept(kit.lines["profit"], g) for g in (gain, other)]
        told += f"; as such promises were kept on held-out contacts, {kept[0]:,.0f} instead of {kept[1]:,.0f}"
    said.append(f"{told}. What it costs in truth depends on how right the model is about these groups.")
    if owed := int(chosen.owed[~chosen.held].sum()):
        lose = int((gain < 0).sum())
        said.append(
            f"{owed:,} of {len(gain):,} are written to only so that groups are alike"
            + (f"; with {lose:,} of them the offer is expected to lose money." if lose else ".")
        )
    return [" ".join(said)]


def _finished(
    kit: Kit, ask: Ask, date: pd.Timestamp, item: int, rows: pd.DataFrame, people: People, groups: pd.DataFrame,
    view: Considered | None, chosen: Chosen, why: str, notes: tuple[str, ...], hour: np.ndarray,
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
    order = np.lexsort((rows["customer_id"].astype(str), -rounded(score)))
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
        groups,
        view,
        chosen,
        why,
        notes,
        kit.shop.currency,
    )
