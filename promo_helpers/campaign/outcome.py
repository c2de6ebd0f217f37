"""What a campaign is expected to cost and to earn, beside what sending the same to everybody would: predicted, and calibrated."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from promo_helpers import draws, inference
from promo_helpers.campaign.build import Campaign
from promo_helpers.campaign.choose import Candidates
from promo_helpers.campaign.kit import Kit, trial_verdict
from promo_helpers.campaign.list_files import ResponseError, read_plan, read_responses
from promo_helpers.decide.forecast import calibrated_forecast, forecast_against_holdout
from promo_helpers.draws import rounded
from promo_helpers.experiment.gates import Gate, Gates, roi
from promo_helpers.files import written_whole
from promo_helpers.models.demand import DemandForecast

NOT_AVAILABLE = "not available"
ENDS = ("confidence_low", "confidence_high", "prediction_low", "prediction_high")
COLUMNS = ["name", "value", *ENDS, "unit", "meaning"]


def summary(campaign: Campaign, kit: Kit) -> pd.DataFrame:
    """One row a figure: name, value, confidence_low/high (of what is expected), prediction_low/high (of what will be counted),
    unit, meaning.

    The lines of `kit` say how promises were kept on average over the trial's products and months; what the model may have wrong about all
    customers of this one campaign in common is told by its jackknife, and widens the intervals. What a response ranking cannot know has
    no value, and its meaning says "not available" and why.
    """
    sent, held, money = campaign.sent, campaign.rows[campaign.rows["held_out"]], campaign.currency
    rows: list[tuple[Any, ...]] = []

    def add(name: str, value: float, unit: str, meaning: str, told: dict[str, float] | None = None) -> None:
        rows.append((name, value, *([told[k] for k in ENDS] if told else [np.nan] * 4), unit, meaning))

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
        add(
            "purchases", float(sent["probability_without"].sum()), "customers", "expected to buy within 14 days, whatever is sent"
        )
        for name in ("uplift", "discount", "revenue", "profit", "return_on_investment", "shadow_price"):
            add(name, np.nan, "", f"{NOT_AVAILABLE}: {campaign.why}")
        return pd.DataFrame(rows, columns=COLUMNS)
    lines, wide = kit.lines, _common(campaign)
    scale = sent["price"].to_numpy() ** 2 * sent["units"].to_numpy()
    held_scale = held["price"].to_numpy() ** 2 * held["units_without"].to_numpy()
    kept = "calibrated on held-out contacts of the trial"
    spend, profit = float(sent["spend"].sum()), float(sent["predicted_profit"].sum())
    add(
        "discount",
        float(sent["discount"].sum()),
        money,
        "discount expected to be given, also on units that would have been bought anyhow",
    )
    add("spend", spend, money, "spend expected, discount and messages: what a budget binds")
    add("purchases", float(sent["probability_with"].sum()), "customers", "expected to buy within 14 days, with the offer")
    add("uplift", float(sent["uplift"].sum()), "customers", "of them, who would not without it")
    add("revenue_promised", float(sent["revenue"].sum()), money, "revenue of the product in 14 days, by the model")
    if "revenue" in lines and len(sent):
        told = widened(
            calibrated_forecast(lines["revenue"], sent["revenue"].to_numpy(), scale), lines["revenue"].slope * wide["revenue"]
        )
        add("revenue", told["expected"], money, f"revenue of the product in 14 days, {kept}", told)
    add(
        "profit_promised", profit, money, "profit beyond sending nothing, by the model, which chose by the same numbers: too high"
    )
    ends = {k: np.nan for k in ENDS}
    if "profit" in lines and len(sent):
        told = forecast_against_holdout(lines["profit"], sent["predicted_profit"].to_numpy(), scale, held_scale)
        told = widened(told, lines["profit"].slope * wide["gain"])
        profit, ends = told["expected"], told
        add(
            "profit",
            profit,
            money,
            f"profit beyond sending nothing, {kept}; prediction interval: as measured against the holdout",
            told,
        )
    value, said = roi(gates_of(kit.facts), profit, spend)
    if np.isfinite(value):
        said = f"profit over spend; {said}" + ("; it cannot be distinguished from 0" if not ends["confidence_low"] > 0 else "")
        ends = {k: ends[k] / spend for k in ENDS}
    add("return_on_investment", value, "", said, ends if np.isfinite(value) else None)
    add("shadow_price", campaign.chosen.price, money, "what one more unit of the budget would earn")
    return pd.DataFrame(rows, columns=COLUMNS)


def campaign_sentence(campaign: Campaign, summary: pd.DataFrame) -> str:
    """A campaign in one sentence: how many are written to, the profit to expect with its interval, and how many are held out."""
    sent, held = len(campaign.sent), int(campaign.rows["held_out"].sum())
    profit = summary.set_index("name").reindex(["profit"]).iloc[0]
    if campaign.why:
        expected = f"ranked by who is likely to buy; what that earns is {NOT_AVAILABLE}, since {campaign.why}"
    elif not sent:
        expected = "nobody for whom an offer within these limits is expected to pay"
    elif not np.isfinite(profit["value"]):
        expected = f"the expected profit is {NOT_AVAILABLE}"
    else:
        away = profit["confidence_low"] > 0 or profit["confidence_high"] < 0
        ends = f"{profit['confidence_low']:,.0f} to {profit['confidence_high']:,.0f}"
        expected = f"expected {profit['value']:,.0f} {campaign.currency} ({ends}), which "
        expected += (
            "is above 0" if away and profit["confidence_low"] > 0 else "is below 0" if away else "cannot be distinguished from 0"
        )
    return f"{sent:,} customers; {expected}; {held:,} held out"


def widened(forecast: dict[str, float], half: float) -> dict[str, float]:
    """A forecast whose intervals also hold a further, independent error of half-width `half`."""
    out, middle = dict(forecast), forecast["expected"]
    for low, high in (("confidence_low", "confidence_high"), ("prediction_low", "prediction_high")):
        more = float(np.hypot(forecast[high] - middle, half))
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

    def sums(f: DemandForecast) -> np.ndarray:
        return np.array([f.revenue[place, arm].sum(), f.gain[place, arm].sum()])

    whole, _, high = campaign.view.between(sums, rows)
    return dict(zip(("revenue", "gain"), (high - whole).tolist(), strict=True))


def gates_of(facts: dict[str, Any]) -> Gates:
    """The verdict on the trial behind a saved response, as its facts hold it; it does not hold where they say nothing."""
    gate = Gate("trial", np.nan, np.nan, *trial_verdict(facts))
    return Gates("the trial of the saved response", "profit", (gate,), pd.DataFrame())


def strategies(campaign: Campaign, view: Candidates, seed: int) -> dict[str, np.ndarray]:
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


def strategy_table(campaign: Campaign, view: Candidates, arms: dict[str, np.ndarray]) -> pd.DataFrame:
    """One row a way of sending: strategy, contacts, messages (their cost), discount, spend, promised (profit): what the model expects,
    in the shop's currency. For the list alone there is more, see `summary`: no other promise was held against what came of it."""
    rows = []
    for name, arm in arms.items():
        told = view.forecast.of(arm)
        row = {"strategy": name, "contacts": int((arm > 0).sum()), "messages": campaign.ask.cost * int((arm > 0).sum())}
        rows.append(row | {"discount": told["discount"].sum(), "spend": told["spend"].sum(), "promised": told["gain"].sum()})
    return pd.DataFrame(rows)


FEW = 10  # buyers in a group: with fewer it does not know its own spread


def holdout_difference(
    y: np.ndarray, sent: np.ndarray, forecast: np.ndarray | None = None, few: bool = False, level: float = 0.95
) -> dict[str, float]:  # fmt: skip
    """estimate, se, low, high of mean(y | sent) - mean(y | held out), the forecast [row] of y without the offer taken out where given.

    Its coefficient is the pooled one within the two groups (Deng et al. 2013); the variance adds those of the two groups' residuals, and
    the quantile is Student's with Welch's degrees of freedom. With `few` buyers a group says little of its own spread (seven customers
    who all bought nothing have none), so the spread of both together is the least that either is given. Missing with fewer than two
    rows in a group.
    """
    if min(sent.sum(), (~sent).sum()) < 2:
        return dict.fromkeys(("estimate", "se", "low", "high"), np.nan)
    left = y.astype(float)
    if forecast is not None:
        x = forecast.astype(float)
        inside = x - np.where(sent, x[sent].mean(), x[~sent].mean())
        total = float(inside @ inside)
        slope = float(inside @ y) / total if total > 1e-12 else 0.0
        left = y - slope * (x - x.mean())
    spread = [float(left[g].var(ddof=1)) for g in (sent, ~sent)]
    if few:
        both = float(np.average(spread, weights=[sent.sum() - 1, (~sent).sum() - 1]))
        spread = [max(v, both) for v in spread]
    difference = float(left[sent].mean() - left[~sent].mean())
    return inference.welch(difference, spread, (sent.sum(), (~sent).sum()), level)


def measured_effects(responses: pd.DataFrame, plan: pd.DataFrame) -> pd.DataFrame:
    """What the campaign changed, for all who were written to: one row a figure with predicted, unadjusted, adjusted,
    confidence_low and _high.

    Figures: buyers, units, revenue of the product, and profit: its margin less message, the share of each unit that other sales pay for
    and the loss by opting out, both as the plan took them. unadjusted is the difference of means, without the forecast. A
    response ranking promised
    nothing, and has buyers, units and revenue alone.
    """
    sent = ~plan["held_out"].to_numpy(bool)
    n = int(sent.sum())
    units, paid = responses["units"].to_numpy(float), responses["paid"].to_numpy(float)
    promised_buyers = (plan["probability_with"] - plan["probability_without"]).to_numpy()
    figures: dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]] = {
        "buyers": ((units > 0).astype(float), plan["probability_without"].to_numpy(float), promised_buyers),
        "units": (units, plan["units_without"].to_numpy(float), (plan["units"] - plan["units_without"]).to_numpy(float)),
        "revenue": (paid, plan["revenue_without"].to_numpy(float), (plan["revenue"] - plan["revenue_without"]).to_numpy(float)),
    }
    if plan["predicted_profit"].notna().any():
        lost = (plan["message"] + plan["opt_out_loss"]).to_numpy() * sent
        keeps = (plan["price"] * (1 - plan["margin"]) + plan["displacement"]).to_numpy()
        without = (plan["revenue_without"] - plan["units_without"] * keeps).to_numpy(float)
        figures["profit"] = (paid - units * keeps - lost, without, plan["predicted_profit"].to_numpy(float))
    few = min(int((units[g] > 0).sum()) for g in (sent, ~sent)) < FEW
    rows = []
    for name, (y, forecast, promise) in figures.items():
        usable = forecast if np.isfinite(forecast).all() else plan["probability_without"].to_numpy(float)
        plain, told = holdout_difference(y, sent, few=few), holdout_difference(y, sent, usable, few)
        rows.append(
            {
                "figure": name,
                "predicted": promise[sent].sum(),
                "unadjusted": plain["estimate"] * n,
                "unadjusted_se": plain["se"] * n,
            }
            | {
                c: told[k] * n
                for c, k in (("adjusted", "estimate"), ("confidence_low", "low"), ("confidence_high", "high"), ("se", "se"))
            }
        )
    return pd.DataFrame(rows)


def expected_measured_profit(plan: pd.DataFrame, units: np.ndarray, revenue: np.ndarray) -> float:
    """The expectation of the measured profit, where units and revenue of the sent are known: [sent, with and without the offer]."""
    sent = plan[~plan["held_out"]]
    keeps = (sent["price"] * (1 - sent["margin"]) + sent["displacement"]).to_numpy()[:, None]
    worth = revenue - keeps * units
    return float((worth[:, 0] - worth[:, 1] - (sent["message"] + sent["opt_out_loss"]).to_numpy()).sum())


def forecast_and_measured(table: pd.DataFrame, forecast: pd.Series, true: Mapping[str, float]) -> pd.DataFrame:
    """Columns what, value, low, high: the profit predicted, forecast (a row of `summary`, prediction interval), measured, and true."""
    row = table.set_index("figure").loc["profit"]
    plain = inference.interval(row["unadjusted"], row["unadjusted_se"], inference.ROUNDED)
    rows = [
        ("predicted by the model", row["predicted"], np.nan, np.nan),
        ("forecast of the measured", forecast["value"], forecast["prediction_low"], forecast["prediction_high"]),
        ("measured, plain", row["unadjusted"], plain["low"], plain["high"]),
        ("measured, adjusted", row["adjusted"], row["confidence_low"], row["confidence_high"]),
        *((name, value, np.nan, np.nan) for name, value in true.items()),
    ]
    return pd.DataFrame(rows, columns=["figure", "value", "low", "high"]).dropna(subset="value")


def precision_recall(chance: np.ndarray, bought: np.ndarray, level: float = 0.95) -> pd.DataFrame:
    """Columns recall, precision, low, high (Wilson's interval), number: of the first 1, 2, ... customers by chance; at most 200 rows."""
    order = np.argsort(-chance, kind="stable")
    hits, number = np.cumsum(bought[order]), np.arange(1, len(order) + 1)
    shown = np.unique(np.linspace(0, len(order) - 1, min(len(order), 200)).astype(int))
    ends = inference.share(hits[shown], number[shown], level)
    columns = {"recall": hits[shown] / max(hits[-1], 1), "precision": ends["estimate"], "low": ends["low"], "high": ends["high"]}
    return pd.DataFrame(columns | {"number": number[shown]})


def measured_sentence(table: pd.DataFrame, plan: pd.DataFrame, responses: pd.DataFrame) -> str:
    """The result in sentences."""
    row = table.set_index("figure").loc["profit" if "profit" in set(table["figure"]) else "revenue"]
    n, held, currency = int((~plan["held_out"]).sum()), int(plan["held_out"].sum()), plan["currency"].iloc[0]
    if not np.isfinite(row["adjusted"]):
        return (
            f"With {held} held out and {n} written to no effect can be estimated: two of each are needed, and some hundreds help."
        )
    verdict = (
        "earned, distinguishably from 0"
        if row["confidence_low"] > 0
        else "lost, distinguishably from 0"
        if row["confidence_high"] < 0
        else "cannot be distinguished from 0"
    )
    what = "profit" if row.name == "profit" else "revenue"
    between = f"95 % interval {row['confidence_low']:,.0f} to {row['confidence_high']:,.0f}"
    text = f"The campaign's {what} beyond the holdout's: {row['adjusted']:,.0f} {currency}, {between}"
    text += f" ({n:,} written to, {held:,} held out): {verdict}."
    if np.isfinite(row["predicted"]):
        text += f" Predicted: {row['predicted']:,.0f}."
    silent = int((~responses["given"]).sum()) if "given" in responses else 0
    return text + (f" {silent:,} contacts have no row and count as nothing bought." if silent else "")


def evaluate_responses(path: Path) -> tuple[pd.DataFrame, str]:
    """Read a filled form, hold it against the plan that lies beside it, and write ..._measured.csv. Raises ResponseError."""
    path = Path(path)
    beside = path.with_name(path.name.replace("_responses.csv", "_plan.parquet"))
    if not beside.is_file() or beside == path:
        raise ResponseError(
            path, ["no plan lies beside it; put the filled form where the list was written, under its name ..._responses.csv"]
        )
    plan = read_plan(beside)
    responses = read_responses(path, plan)
    table = measured_effects(responses, plan)
    with written_whole(path.with_name(path.name.replace("_responses.csv", "_measured.csv"))) as scratch:
        table.to_csv(scratch, index=False)
    return table, measured_sentence(table, plan, responses)


def print_outcome(path: Path) -> None:
    """Print what a campaign earned, by the filled form at `path`. Exits with a sentence where the form cannot be used."""
    try:
        table, sentence = evaluate_responses(path)
    except ResponseError as error:
        sys.exit(str(error))
    print(table.drop(columns=["unadjusted_se", "se"]).round(1).to_string(index=False, na_rep="not available"), sentence, sep="\n")
