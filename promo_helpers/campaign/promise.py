"""What a campaign is expected to cost and to earn, beside what sending the same to everybody would: promised, and as promises were kept."""

from typing import Any

import numpy as np
import pandas as pd

from promo_helpers import draws
from promo_helpers.campaign.build import Campaign
from promo_helpers.campaign.choose import Considered
from promo_helpers.campaign.kit import Kit
from promo_helpers.decide.forecast import foretold, foretold_against_holdout
from promo_helpers.experiment.gates import CANNOT, Gates, roi
from promo_helpers.experiment.judge import Gate
from promo_helpers.models.response import Forecast
from promo_helpers.ties import rounded

NOT = "not available"
COLUMNS = ["name", "value", "low", "high", "least", "most", "unit", "meaning"]


def summary(campaign: Campaign, kit: Kit) -> pd.DataFrame:
    """One row a figure: name, value, low and high (of what is expected), least and most (of what will be realised), unit, meaning.

    The lines of `kit` say how promises were kept on average over the trial's products and months; what the model may have wrong about all
    customers of this one campaign in common is told by its jackknife, and widens the intervals. What a response ranking cannot know has
    no value, and its meaning says "not available" and why.
    """
    sent, held, money = campaign.sent, campaign.rows[campaign.rows["held"]], campaign.currency
    rows: list[tuple[Any, ...]] = []

    def add(name: str, value: float, unit: str, meaning: str, told: dict[str, float] | None = None) -> None:
        rows.append(
            (name, value, *([told[k] for k in ("low", "high", "least", "most")] if told else [np.nan] * 4), unit, meaning)
        )

    add("contacts", len(sent), "customers", "to be written to")
    add(
        "holdout",
        len(held),
        "customers",
        "chosen too, drawn at random, and not written to: what they buy shows what the offer changed",
    )
    for number, note in enumerate((campaign.basis, *campaign.notes)):
        add(f"note_{number}", np.nan, "", note)
    add("messages", campaign.ask.cost * len(sent), money, f"cost of the messages by {campaign.ask.channel.name}")
    if campaign.why:
        add("purchases", float(sent["without"].sum()), "customers", "expected to buy within 14 days, whatever is sent")
        for name in ("uplift", "discount", "revenue", "profit", "return_on_investment", "shadow_price"):
            add(name, np.nan, "", f"{NOT}: {campaign.why}")
        return pd.DataFrame(rows, columns=COLUMNS)
    lines, wide = kit.lines, _common(campaign)
    scale = sent["price"].to_numpy() ** 2 * sent["units"].to_numpy()
    held_scale = held["price"].to_numpy() ** 2 * held["units_none"].to_numpy()
    kept = "as such promises were kept on held-out contacts of the trial"
    spend, profit = float(sent["spend"].sum()), float(sent["gain"].sum())
    add(
        "discount",
        float(sent["discount"].sum()),
        money,
        "discount expected to be given, also on units that would have been bought anyhow",
    )
    add("spend", spend, money, "spend expected, discount and messages: what a budget binds")
    add("purchases", float(sent["with_it"].sum()), "customers", "expected to buy within 14 days, with the offer")
    add("uplift", float(sent["uplift"].sum()), "customers", "of them, who would not without it")
    add("revenue_promised", float(sent["revenue"].sum()), money, "revenue of the product in 14 days, by the model")
    if "revenue" in lines and len(sent):
        told = widened(foretold(lines["revenue"], sent["revenue"].to_numpy(), scale), lines["revenue"].slope * wide["revenue"])
        add("revenue", told["expected"], money, f"revenue of the product in 14 days, {kept}", told)
    add(
        "profit_promised", profit, money, "profit beyond sending nothing, by the model, which chose by the same numbers: too high"
    )
    ends = {k: np.nan for k in ("low", "high", "least", "most")}
    if "profit" in lines and len(sent):
        told = foretold_against_holdout(lines["profit"], sent["gain"].to_numpy(), scale, held_scale)
        told = widened(told, lines["profit"].slope * wide["gain"])
        profit, ends = told["expected"], told
        add(
            "profit",
            profit,
            money,
            f"profit beyond sending nothing, {kept}; least and most: as measured against the holdout",
            told,
        )
    value, said = roi(gates_of(kit.facts), profit, spend)
    if np.isfinite(value):
        said = f"profit over spend; {said}" + ("; it cannot be told from 0" if not ends["low"] > 0 else "")
        ends = {k: ends[k] / spend for k in ("low", "high", "least", "most")}
    add("return_on_investment", value, "", said, ends if np.isfinite(value) else None)
    add("shadow_price", campaign.chosen.price, money, "what one more unit of the budget would earn")
    return pd.DataFrame(rows, columns=COLUMNS)


def answer(campaign: Campaign, told: pd.DataFrame) -> str:
    """A campaign in one sentence: how many are written to, the profit to expect with its interval, and how many are held out."""
    sent, held = len(campaign.sent), int(campaign.rows["held"].sum())
    profit = told.set_index("name").reindex(["profit"]).iloc[0]
    if campaign.why:
        expected = f"ranked by who is likely to buy; what that earns is {NOT}, since {campaign.why}"
    elif not sent:
        expected = "nobody for whom an offer within these limits is expected to pay"
    elif not np.isfinite(profit["value"]):
        expected = f"the expected profit is {NOT}"
    else:
        away = profit["low"] > 0 or profit["high"] < 0
        expected = f"expected {profit['value']:,.0f} {campaign.currency} ({profit['low']:,.0f} to {profit['high']:,.0f}), which "
        expected += "is above 0" if away and profit["low"] > 0 else "is below 0" if away else "cannot be distinguished from 0"
    return f"{sent:,} customers; {expected}; {held:,} held out"


def widened(told: dict[str, float], half: float) -> dict[str, float]:
    """A forecast whose intervals also hold a further, independent error of half-width `half`."""
    out, middle = dict(told), told["expected"]
    for low, high in (("low", "high"), ("least", "most")):
        more = float(np.hypot(told[high] - middle, half))
        out[low], out[high] = middle - more, middle + more
    return out


def _common(campaign: Campaign) -> dict[str, float]:
    """Half-widths of the jackknife intervals of the sent customers' sums of revenue and gain."""
    assert campaign.view is not None
    kept = ~campaign.chosen.held
    rows, arm = campaign.chosen.row[kept], campaign.chosen.arm[kept]
    if not len(rows):
        return {"revenue": 0.0, "gain": 0.0}
    place = np.arange(len(rows))

    def sums(f: Forecast) -> np.ndarray:
        return np.array([f.revenue[place, arm].sum(), f.gain[place, arm].sum()])

    whole, _, high = campaign.view.between(sums, rows)
    return dict(zip(("revenue", "gain"), (high - whole).tolist(), strict=True))


def gates_of(facts: dict[str, Any]) -> Gates:
    """The verdict on the trial behind a saved response, as its facts hold it; it does not hold where they say nothing."""
    verdict = str(facts.get("gates", ""))
    gate = Gate(
        "trial", np.nan, np.nan, bool(verdict) and not verdict.startswith(CANNOT), verdict or "not said by the saved response"
    )
    return Gates("the trial of the saved response", "profit", (gate,), pd.DataFrame())


def strategies(campaign: Campaign, view: Considered, seed: int) -> dict[str, np.ndarray]:
    """[considered] arm by each way of sending: this list; everybody at its most frequent discount; and with that discount, for the same
    expected spend as the list, the likeliest buyers, and customers drawn at random. Who is held out counts as not sent to."""
    size, sent = len(view.customer), ~campaign.chosen.held
    mine = np.zeros(size, int)
    mine[campaign.chosen.row[sent]] = campaign.chosen.arm[sent]
    common = int(np.bincount(campaign.chosen.arm).argmax()) if len(campaign.chosen.arm) else 1
    spend, limit = view.forecast.spend[:, common], float(view.forecast.spend[np.arange(size), mine].sum())
    found = {"this list": mine, "everybody": np.full(size, common)}
    orders = {
        "likeliest buyers, same spend": np.lexsort((view.customer.astype(str), -rounded(view.forecast.buys[:, 0]))),
        "at random, same spend": draws.order(seed, "customers written to at random", view.customer),
    }
    for name, order in orders.items():
        found[name] = np.zeros(size, int)
        found[name][order[: int(np.searchsorted(np.cumsum(spend[order]), limit, side="right"))]] = common
    return found


def compared(campaign: Campaign, view: Considered, arms: dict[str, np.ndarray]) -> pd.DataFrame:
    """One row a way of sending: strategy, contacts, messages (their cost), discount, spend, promised (profit): what the model expects,
    in the shop's currency. For the list alone there is more, see `summary`: no other promise was held against what came of it."""
    rows = []
    for name, arm in arms.items():
        told = view.forecast.of(arm)
        row = {"strategy": name, "contacts": int((arm > 0).sum()), "messages": campaign.ask.cost * int((arm > 0).sum())}
        rows.append(row | {"discount": told["discount"].sum(), "spend": told["spend"].sum(), "promised": told["gain"].sum()})
    return pd.DataFrame(rows)
