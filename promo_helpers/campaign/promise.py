"""What a campaign is expected to cost and to earn, beside what sending the same to everybody would: promised, and as promises were kept."""

from typing import Any

import numpy as np
import pandas as pd

from promo_helpers.campaign.build import Campaign
from promo_helpers.campaign.choose import Considered
from promo_helpers.decide.forecast import Line, foretold, foretold_against_holdout
from promo_helpers.experiment.gates import Gates, roi
from promo_helpers.experiment.judge import Gate

NOT = "not available"
COLUMNS = ["name", "value", "low", "high", "least", "most", "unit", "meaning"]


def lines_of(facts: dict[str, Any]) -> dict[str, Line]:
    """The lines between promise and what came of it, as 09_discount keeps them with the response: revenue and profit, where there."""
    return {name: Line.of_facts(f) for name, f in facts.get("forecast", {}).items() if isinstance(f, dict) and "slope" in f}


def summary(campaign: Campaign, facts: dict[str, Any]) -> pd.DataFrame:
    """One row a figure: name, value, low and high (of what is expected), least and most (of what will be realised), unit, meaning.

    facts: of the saved response. What a response ranking cannot know has no value, and its meaning says "not available" and why.
    """
    sent, held, money = campaign.sent, campaign.rows[campaign.rows["held"]], campaign.currency
    rows: list[tuple[Any, ...]] = []

    def add(name: str, value: float, unit: str, meaning: str, told: dict[str, float] | None = None) -> None:
        rows.append((name, value, *([told[k] for k in ("low", "high", "least", "most")] if told else [np.nan] * 4), unit, meaning))

    add("contacts", len(sent), "customers", "to be written to")
    add("holdout", len(held), "customers", "chosen too, drawn at random, and not written to: what they buy shows what the offer changed")
    add("messages", campaign.ask.cost * len(sent), money, f"cost of the messages by {campaign.ask.channel.name}")
    if campaign.why:
        add("purchases", float(sent["without"].sum()), "customers", "expected to buy within 14 days, whatever is sent")
        for name in ("uplift", "discount", "revenue", "profit", "return_on_investment", "shadow_price"):
            add(name, np.nan, "", f"{NOT}: {campaign.why}")
        return pd.DataFrame(rows, columns=COLUMNS)
    lines = lines_of(facts)
    scale = sent["price"].to_numpy() ** 2 * sent["units"].to_numpy()
    held_scale = held["price"].to_numpy() ** 2 * held["units_none"].to_numpy()
    plain = "as the model promises; how far such promises were kept is not known"
    kept = "as such promises were kept on held-out contacts of the trial"
    add("discount", float(sent["discount"].sum()), money, "expected to be given, on units that would have been bought anyhow too")
    add("spend", float(sent["spend"].sum()), money, "expected, discount and messages; a budget binds this sum")
    add("purchases", float(sent["with_it"].sum()), "customers", "expected to buy within 14 days, with the offer")
    add("uplift", float(sent["uplift"].sum()), "customers", "of them, who would not without it")
    add("revenue_promised", float(sent["revenue"].sum()), money, "of the product in 14 days, by the model")
    if "revenue" in lines and len(sent):
        told = foretold(lines["revenue"], sent["revenue"].to_numpy(), scale)
        add("revenue", told["expected"], money, f"of the product in 14 days, {kept}", told)
    add("profit_promised", float(sent["gain"].sum()), money, f"beyond sending nothing, for the whole shop, {plain}")
    profit = float(sent["gain"].sum())
    if "profit" in lines and len(sent):
        told = foretold_against_holdout(lines["profit"], sent["gain"].to_numpy(), scale, held_scale)
        profit = told["expected"]
        add("profit", profit, money, f"beyond sending nothing, {kept}; least and most: as measured against the holdout", told)
    value, said = roi(gates_of(facts), profit, float(sent["spend"].sum()))
    add("return_on_investment", value, "", said)
    add("shadow_price", campaign.chosen.price, money, "what one more unit of the budget would earn")
    return pd.DataFrame(rows, columns=COLUMNS)


def gates_of(facts: dict[str, Any]) -> Gates:
    """The gates that the trial behind a saved response went through, as its facts hold them; none hold where they say nothing."""
    rows = tuple(Gate(**g) for g in facts.get("gates", []))
    unsaid = (Gate("known", 0.0, 1.0, False, "The saved response does not say what the gates said of its trial."),)
    return Gates(str(facts.get("experiment", "the trial of the saved response")), "profit", rows or unsaid, pd.DataFrame())


def strategies(campaign: Campaign, view: Considered, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """[considered] arm by each way of sending: this list; everybody at its most frequent discount; as many, with that discount, of the
    likeliest buyers; and as many drawn at random. Who is held out counts as not sent to, in the list and among the likeliest."""
    size = len(view.customer)
    mine = np.zeros(size, int)
    sent = campaign.chosen.row[~campaign.chosen.held]
    mine[sent] = campaign.chosen.arm[~campaign.chosen.held]
    common = int(np.bincount(campaign.chosen.arm).argmax()) if len(campaign.chosen.arm) else 1
    likely = np.argsort(-view.forecast.buys[:, 0], kind="stable")[: len(sent)]
    drawn = rng.permutation(size)[: len(sent)]
    found = {"this list": mine, "everybody": np.full(size, common)}
    for name, rows in (("likeliest buyers", likely), ("at random", drawn)):
        found[name] = np.zeros(size, int)
        found[name][rows] = common
    return found


def compared(campaign: Campaign, view: Considered, arms: dict[str, np.ndarray], facts: dict[str, Any]) -> pd.DataFrame:
    """One row a way of sending: contacts, messages (cost), discount, spend, promised, profit with low and high, by the lines of `facts`
    (missing where there are none). Everything is expected, in the shop's currency."""
    line = lines_of(facts).get("profit")
    rows = []
    for name, arm in arms.items():
        told = view.forecast.of(arm)
        sent = (arm > 0).to_numpy() if isinstance(arm, pd.Series) else arm > 0
        row = {"strategy": name, "contacts": int(sent.sum()), "messages": campaign.ask.cost * int(sent.sum())}
        row |= {"discount": told["discount"].sum(), "spend": told["spend"].sum(), "promised": told["gain"].sum()}
        row |= dict.fromkeys(("profit", "low", "high"), np.nan)
        if line is not None and sent.any():
            scale = view.features["product_price"].to_numpy()[sent] ** 2 * told["units"].to_numpy()[sent]
            found = foretold(line, told["gain"].to_numpy()[sent], scale)
            row |= {"profit": found["expected"], "low": found["low"], "high": found["high"]}
        rows.append(row)
    return pd.DataFrame(rows)
