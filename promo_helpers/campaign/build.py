"""The rows of a list: all that is known of each chosen customer, as an uplift ranking or a response ranking knows it."""

import re
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import pandas as pd

from promo_helpers.audit import counterfactual, wording
from promo_helpers.audit.contacted import groups_of
from promo_helpers.audit.shapley import explain
from promo_helpers.audit.wording import PERSONAL_NOTE, background_rows, personal_dominates, reasons
from promo_helpers.campaign import choose
from promo_helpers.campaign.choose import (
    Candidates,
    Selection,
    campaign_season,
    complements,
    days,
    hours,
    partner_not_bought,
    predict_candidates,
    responses_of,
    select_by_gain,
    select_by_probability,
)
from promo_helpers.campaign.kit import STALE_DAYS, Kit, People, contactable
from promo_helpers.campaign.request import CampaignRequest
from promo_helpers.decide.allocate import Parity
from promo_helpers.decide.forecast import Calibration, at_level, calibrated_forecast
from promo_helpers.decide.parity import share_gap
from promo_helpers.draws import rounded
from promo_helpers.features.purchases import Purchases
from promo_helpers.models.demand import DemandForecast

COMMON = 10.0  # percent off at which relevance is asked, where no discount is fixed


def calibrated_profit(line: Calibration, gain: np.ndarray) -> float:
    """What customers with these promised gains [customer] are expected to earn in all, as such promises were kept (`decide.forecast`)."""
    return calibrated_forecast(line, gain, np.zeros(len(gain)))["expected"]  # the scale is of its intervals only


def uplift_rows(
    kit: Kit, item: int, view: Candidates, chosen: Selection, more: Candidates | None, partner: np.ndarray | None, seed: int
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
    rows = rows.assign(probability_without=none["buys"], predicted_profit=with_it["gain"])
    if (line := kit.lines.get("buys")) is not None:  # as such promises were kept, in the mean; the spread is that of the model
        uplift, low, high = (line.intercept + line.slope * v for v in (uplift, low, high))
    rows = rows.assign(
        probability_with=np.clip(none["buys"] + uplift, 0, 1),
        uplift=uplift,
        low=np.minimum(low, high),
        high=np.maximum(low, high),
    )
    line, to = (
        kit.lines.get("profit"),
        rows["predicted_profit"][~chosen.held] if (~chosen.held).any() else rows["predicted_profit"],
    )
    kept = 1.0 if line is None else calibrated_profit(line, to.to_numpy()) / float(to.sum())
    rows["profit"] = (
        kept * rows["predicted_profit"]
    )  # what the forecast says of all who are written to, shared out as the model promises it
    for column in ("units", "revenue"):
        rows[column], rows[f"{column}_without"] = with_it[column], none[column]
    rows = rows.assign(discount=with_it["discount"], spend=with_it["spend"], price=price, margin=margin, held_out=chosen.held)
    rows["displacement"] = response.tied[0] * price * (margin - shelf)  # that other sales pay for each unit
    rows["opt_out_loss"] = response.costs.of(features) - response.costs.message
    common = int(np.abs(view.percent[1:] - COMMON).argmin()) + 1  # the same discount for all, so that customers are compared
    used = pd.Series(view.forecast.redeemed[:, common]).rank(pct=True, method="average").to_numpy()
    rows["relevance"] = 100 * used[chosen.row]
    told = explain_selection(view, chosen, kit.items["name"].iloc[item], named_category(kit.items["category"].iloc[item]), seed)
    rows = rows.assign(reason=told["reason"], unless=told["unless"])
    return _bundled(kit, rows, more, partner, view, chosen)


def _bundled(
    kit: Kit, rows: pd.DataFrame, more: Candidates | None, partner: np.ndarray | None, view: Candidates, chosen: Selection
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
    text = ("customer_id", "arm", "reason", "unless", "bundle")
    number = (
        "percent",
        "probability_with",
        "probability_without",
        "uplift",
        "low",
        "high",
        "predicted_profit",
        "profit",
        "units",
        "units_without",
        "revenue",
        "revenue_without",
        "discount",
        "spend",
        "price",
        "margin",
        "displacement",
        "opt_out_loss",
        "relevance",
        "bundle_percent",
    )
    frame = pd.DataFrame({c: pd.Series(dtype=object) for c in text} | {c: pd.Series(dtype=float) for c in number})
    return frame.assign(held_out=np.zeros(0, bool))


def response_rows(kit: Kit, item: int, customer: np.ndarray, chosen: Selection, chance: np.ndarray) -> pd.DataFrame:
    """One row a chosen customer with what a response ranking knows: nothing of what the offer changes."""
    rows = pd.DataFrame({"customer_id": customer[chosen.row], "probability_without": chance[chosen.row]})
    rows = rows.reindex(columns=list(_blank()))
    rows["relevance"] = 100 * pd.Series(chance).rank(pct=True).to_numpy()[chosen.row]
    rows["reason"] = of_habits(
        kit.purchases, rows["customer_id"], item, kit.items["category"].to_numpy(object), kit.items["name"].iloc[item]
    )
    return rows.assign(
        held_out=chosen.held, bundle="", unless="", price=kit.items["price"].iloc[item], margin=kit.items["margin"].iloc[item]
    )


BACKGROUND_ROWS, LEAST = 10, 5  # customers whom each is compared with
NOT_CUSTOMER_FACTS = ("hour_gap",)  # depends on the hour that the shop chooses
PAIRS = 20_000  # of customers that are compared, about: a long list is compared with fewer each


def explain_selection(view: Candidates, chosen: Selection, product: str, category: str, seed: int) -> pd.DataFrame:
    """Columns reason and unless, a row a chosen customer.

    Reasons are Shapley values of the expected profit of her arm in money, topic by topic, beside customers spread evenly over what the best
    offer is expected to earn of them. unless: the smallest of the changes tried (`counterfactual.changes`) after which no arm would pay for
    her at the same prices of budget and contacts; blank where none was found, and for who is on the list at the margin of a limit. The seed
    draws orders of topics.
    """
    x = view.features[view.eligible].reset_index(drop=True)
    at = (np.cumsum(view.eligible) - 1)[chosen.row]

    def told(z: pd.DataFrame) -> DemandForecast:
        return at_level(view.response, view.response.expected(z), z, view.season_level)

    def offers(z: pd.DataFrame) -> np.ndarray:
        return told(z).gain[:, 1:]

    def net(z: pd.DataFrame, slot_price: float) -> np.ndarray:
        found = told(z)
        sent = np.arange(found.gain.shape[1]) > 0
        return (found.gain - chosen.price * found.spend - slot_price * sent)[:, chosen.arms]

    number = int(np.clip(PAIRS // len(at), LEAST, BACKGROUND_ROWS))
    others = background_rows(x, view.forecast.gain[view.eligible].max(axis=1), number)
    mine = x.iloc[at]
    asked = view.customer[view.eligible]
    values = explain(offers, mine, others, seed, wording.topics_in(list(x)), (asked[at], asked[others.index]))
    added = values.between(chosen.arm - 1).table()
    said = reasons(mine, added, [product] * len(at), [category] * len(at), x.median().to_dict())
    personal_too = personal_dominates(added)
    out = pd.DataFrame({"reason": [f"This customer {s}.{PERSONAL_NOTE * p}" for s, p in zip(said, personal_too, strict=True)]})
    out["unless"] = ""
    for price in np.unique(chosen.slot_price):  # one for all, or with parity one for each group
        rule, rows = partial(net, slot_price=float(price)), np.flatnonzero(chosen.slot_price == price)
        inside = rows[rule(mine.iloc[rows]).argmax(axis=1) > 0]
        names = [product] * len(inside), [category] * len(inside)
        undone = counterfactual.smallest_flips(rule, mine.iloc[inside], x, *names, excluded=NOT_CUSTOMER_FACTS)["words"]
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


PARITY_NOTE = " On the list so that customers are chosen alike by {}: without that, others would come first."
UPLIFT = "uplift ranking: by what the offer is expected to earn"
RESPONSE = "response ranking: by who is likely to buy, not by whom the offer moves"


@dataclass(frozen=True)
class Campaign:
    """The list and all that is known about it.

    rows: one a chosen customer, held out ones too, the most profitable (or likeliest) first; columns as `list_files.list_table` takes.
    view: everybody considered (None without a response), chosen: places in it. why: for a response ranking, why it is no uplift ranking.
    groups: [row of people.who, attribute] for the audit, without columns where the shop records none.
    """

    ask: CampaignRequest
    date: pd.Timestamp
    item: int
    product_id: str
    name: str
    price: float
    margin: float
    rows: pd.DataFrame
    people: People
    groups: pd.DataFrame
    view: Candidates | None
    chosen: Selection
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
        return self.rows[~self.rows["held_out"]]


def build(kit: Kit, ask: CampaignRequest, seed: int) -> Campaign:
    """Choose whom to write to about which product, with which discount, when and why. The same seed gives the same list.

    Raises RequestError for what cannot be done, in sentences.
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
    choose.check_parity_request(ask.parity, groups, why)
    if response is None:
        if named is None:
            named = kit.most_bought()
            notes.append(
                f"No product was named: {kit.items['name'].iloc[named]} is what most customers bought in the last 13 weeks."
            )
        chosen, chance, origin = select_by_probability(kit, ask, customer, named, seed, _name(kit, named, date))
        rows = response_rows(kit, named, customer, chosen, chance)
        notes.append(f"Ranked by {origin}.")
        view = None
    else:
        items = [named] if named is not None else kit.tried()
        season_level, said = campaign_season(kit, date)
        notes.append(said)
        partner = None
        partners = np.zeros(0, int)
        if named is not None:
            partners = complements(kit, named, seed)["partner"].to_numpy() if ask.bundle else partners
            partner = partner_not_bought(kit, customer, partners) if len(partners) else None
        views, more = predict_candidates(kit, response, customer, hour, date, items, partner, season_level)
        if named is None:
            best = max(range(len(items)), key=lambda k: _gained(views[k], ask, groups))
            named, views = items[best], [views[best]]
            notes.append(
                f"No product was named: of the {len(items)} that the trial offered, {kit.items['name'].iloc[named]} earns most."
            )
            partners = complements(kit, named, seed)["partner"].to_numpy() if ask.bundle else partners
            if len(partners):
                partner = partner_not_bought(kit, customer, partners)
                more = predict_candidates(kit, response, customer, hour, date, [], partner, season_level)[1]
        view = views[0]
        if named not in kit.tried():
            notes.append(f"No trial offered {kit.items['name'].iloc[named]}: its effect is predicted from other products.")
        parity = choose.parity_groups(ask.parity, groups, view.eligible)
        name = _name(kit, named, date)
        chosen = select_by_gain(view, ask, seed, parity, name)
        notes += _given_up(kit, view, ask, chosen, parity, seed, name)
        rows = uplift_rows(kit, named, view, chosen, more, partner, seed)
        if ask.parity is not None:
            rows.loc[chosen.added_for_parity, "reason"] += PARITY_NOTE.format(ask.parity.name)
    notes += _shortages(ask, rows, len(customer), why, view, chosen)
    if (rows["bundle_percent"] > 0).any():
        notes.append(
            "The discount on what is named beside the product is an idea for another offer: no trial tried it, and neither the budget "
            "nor any figure here holds what it would cost or earn. Leave it out to keep to the budget."
        )
    return _finished(kit, ask, date, named, rows, people, groups, view, chosen, why, tuple(notes), hour)


def _warnings(kit: Kit, ask: CampaignRequest, date: pd.Timestamp, there: int) -> list[str]:
    said = []
    if (date - kit.end).days > STALE_DAYS:
        said.append(f"The data end {(date - kit.end).days} days before the campaign begins: newer data would be better.")
    if ask.customers is not None and ask.customers > there:
        said.append(
            f"CUSTOMERS={ask.customers}: only {there:,} customers may be written to by {ask.channel.name}; the list cannot be longer."
        )
    return said


def _shortages(
    ask: CampaignRequest, rows: pd.DataFrame, there: int, why: str, view: Candidates | None, chosen: Selection
) -> list[str]:
    sent = int((~rows["held_out"]).sum())
    if why or view is None or (ask.customers is None and sent):
        return []
    if not sent and (view.forecast.gain[view.eligible][:, chosen.arms] > 0).any():
        limits = [
            f"{n}=" for n, v in (("BUDGET", ask.budget), ("CUSTOMERS", ask.customers), ("EVEN", ask.parity)) if v is not None
        ]
        return [
            f"The list is empty: {' and '.join(limits)} leave room for nobody, though some offers are expected to pay; loosen them."
        ]
    if not sent:
        return [
            f"No offer is expected to pay for any of {there:,} customers: the list is empty, and sending nothing is the best."
        ]
    if ask.customers is not None and ask.parity is not None and sent < min(ask.customers, there):
        return [f"CUSTOMERS={ask.customers}: the list holds {sent:,}; more would not be even by {ask.parity.name}, or not pay."]
    if ask.customers is not None and sent < min(ask.customers, there) and ask.budget is None:
        return [
            f"CUSTOMERS={ask.customers}: an offer is expected to pay for no more than {sent:,}, and the list holds only these."
        ]
    return []


def _name(kit: Kit, item: int, date: pd.Timestamp) -> str:
    """What tells a campaign from others, so that it is not always the same customers who are held out."""
    return f"{kit.items['item'].iloc[item]} {date:%Y-%m-%d}"


def _gained(view: Candidates, ask: CampaignRequest, groups: pd.DataFrame) -> float:
    """What a product is expected to earn, nobody held out."""
    plain = replace(ask, holdout=0.0)
    found = select_by_gain(view, plain, 0, choose.parity_groups(ask.parity, groups, view.eligible))
    return float(view.forecast.gain[found.row, found.arm].sum())


def _given_up(
    kit: Kit, view: Candidates, ask: CampaignRequest, chosen: Selection, parity: Parity | None, seed: int, name: str
) -> list[str]:
    """How even the list is, and what it gives up, beside the one that only earns most; in sentences."""
    if parity is None or ask.parity is None:
        return []
    free = select_by_gain(view, ask, seed, name=name)
    every, money = np.arange(len(parity.group)), kit.shop.currency
    written = pd.Series(parity.group, dtype=object).where(~chosen.reserved, None).to_numpy(object)
    even, plain, both = (
        f"{100 * share_gap(np.isin(every, rows), group):.1f}"
        for rows, group in ((chosen.row, written), (free.row, written), (chosen.row, parity.group))
    )
    said = [
        f"Alike by {ask.parity.name}: of those whom the offer may go to (who bought in its category within 180 days) and who are not held "
        f"out, the shares written to differ between groups by at most {even} points, and by {plain} if that is not asked; counting the "
        f"held out and who of them would be written to, by {both}."
    ]
    if ungrouped := int((view.eligible & pd.isna(parity.group)).sum()):
        said.append(
            f"{ungrouped:,} of them are in no group: their group is not known, or has fewer than {choose.MIN_CUSTOMERS} of them."
        )
    gain, other = (view.forecast.gain[c.row, c.arm][~c.held] for c in (chosen, free))
    less = gain.sum() < other.sum()
    told = f"The model predicts {gain.sum():,.0f} {money}" + (
        f" instead of {other.sum():,.0f}" if less else ", no less than without it"
    )
    if less and "profit" in kit.lines:
        kept = [calibrated_profit(kit.lines["profit"], g) for g in (gain, other)]
        told += f"; calibrated on held-out contacts, {kept[0]:,.0f} instead of {kept[1]:,.0f}"
    said.append(f"{told}. What it costs in truth depends on how right the model is about these groups.")
    if added := int(chosen.added_for_parity[~chosen.held].sum()):
        lose = int((gain < 0).sum())
        said.append(
            f"{added:,} of {len(gain):,} are written to only so that groups are alike"
            + (f"; with {lose:,} of them the offer is expected to lose money." if lose else ".")
        )
    return [" ".join(said)]


def _finished(
    kit: Kit,
    ask: CampaignRequest,
    date: pd.Timestamp,
    item: int,
    rows: pd.DataFrame,
    people: People,
    groups: pd.DataFrame,
    view: Candidates | None,
    chosen: Selection,
    why: str,
    notes: tuple[str, ...],
    hour: np.ndarray,
) -> Campaign:
    """Add who they are, when to write and the priority; the best first; and warn of a discount above the margin."""
    about = kit.items.iloc[item]
    place = pd.Index(people.who["customer_id"]).get_indexer(rows["customer_id"])
    for column in ("name", "city", "contact"):
        rows[column] = people.who[column].to_numpy(object)[place]
    if why:
        rows["percent"] = float(ask.discount or 0)
        rows["arm"] = f"{ask.discount:g}" if ask.discount is not None else "0"
    rows["send"] = days(kit, rows["customer_id"].to_numpy(object), date) + hour[place].astype("timedelta64[h]")
    score = rows["probability_without" if why else "predicted_profit"].to_numpy(float)
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
