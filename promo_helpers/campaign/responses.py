"""After the campaign: a CSV of responses goes in, and what the offers really earned comes out, beside what was promised.

    python -m promo_helpers.campaign.responses data/campaigns/campaign_white_bread_2026-01-01_responses.csv

Who was held out was drawn at random from the chosen, so the contacted less the held out is what the offers changed. The forecast made
beforehand takes out what was known of each customer: that lowers the variance and biases next to nothing (Deng et al. 2013, CUPED).
"""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from promo_helpers.campaign.forms import ResponseError, read_responses
from promo_helpers.files import whole

FEW = 10  # buyers in a group: with fewer it does not know its own spread


def contrast(
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
    a, b = spread[0] / sent.sum(), spread[1] / (~sent).sum()
    estimate, se = float(left[sent].mean() - left[~sent].mean()), float(np.sqrt(a + b))
    freedom = (a + b) ** 2 / (a**2 / (sent.sum() - 1) + b**2 / ((~sent).sum() - 1)) if a + b > 0 else np.inf
    half = float(stats.t.ppf((1 + level) / 2, freedom)) * se
    return {"estimate": estimate, "se": se, "low": estimate - half, "high": estimate + half}


def measured(responses: pd.DataFrame, plan: pd.DataFrame) -> pd.DataFrame:
    """What the campaign changed, for all who were written to: one row a figure with promised, plain, estimate, low, high.

    Figures: buyers, units, revenue of the product, and profit: its margin less message, the share of each unit that other sales pay for
    and the loss by opting out, both as the plan took them. plain is the difference without the forecast. A response ranking promised
    nothing, and has buyers, units and revenue alone.
    """
    sent = ~plan["held"].to_numpy(bool)
    n = int(sent.sum())
    units, paid = responses["units"].to_numpy(float), responses["paid"].to_numpy(float)
    promised_buyers = (plan["with_it"] - plan["without"]).to_numpy()
    figures: dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]] = {
        "buyers": ((units > 0).astype(float), plan["without"].to_numpy(float), promised_buyers),
        "units": (units, plan["units_none"].to_numpy(float), (plan["units"] - plan["units_none"]).to_numpy(float)),
        "revenue": (paid, plan["revenue_none"].to_numpy(float), (plan["revenue"] - plan["revenue_none"]).to_numpy(float)),
    }
    if plan["gain"].notna().any():
        lost = (plan["message"] + plan["leaving"]).to_numpy() * sent
        keeps = (plan["price"] * (1 - plan["margin"]) + plan["tied"]).to_numpy()
        without = (plan["revenue_none"] - plan["units_none"] * keeps).to_numpy(float)
        figures["profit"] = (paid - units * keeps - lost, without, plan["gain"].to_numpy(float))
    few = min(int((units[g] > 0).sum()) for g in (sent, ~sent)) < FEW
    rows = []
    for name, (y, forecast, promise) in figures.items():
        usable = forecast if np.isfinite(forecast).all() else plan["without"].to_numpy(float)
        plain, told = contrast(y, sent, few=few), contrast(y, sent, usable, few)
        rows.append({"figure": name, "promised": promise[sent].sum(), "plain": plain["estimate"] * n, "plain_se": plain["se"] * n}
                    | {k: told[k] * n for k in ("estimate", "low", "high", "se")})  # fmt: skip
    return pd.DataFrame(rows)


def measurable(plan: pd.DataFrame, units: np.ndarray, revenue: np.ndarray) -> float:
    """The expectation of the measured profit, where units and revenue of the sent are known: [sent, with and without the offer]."""
    sent = plan[~plan["held"]]
    keeps = (sent["price"] * (1 - sent["margin"]) + sent["tied"]).to_numpy()[:, None]
    worth = revenue - keeps * units
    return float((worth[:, 0] - worth[:, 1] - (sent["message"] + sent["leaving"]).to_numpy()).sum())


def beside(table: pd.DataFrame, forecast: pd.Series, true: Mapping[str, float]) -> pd.DataFrame:
    """Columns what, value, low, high: the profit promised, foretold (a row of `promise.summary`, least to most), measured, and true."""
    row = table.set_index("figure").loc["profit"]
    half = 1.96 * row["plain_se"]
    rows = [
        ("promised by the model", row["promised"], np.nan, np.nan),
        ("forecast of the measured", forecast["value"], forecast["least"], forecast["most"]),
        ("measured, plain", row["plain"], row["plain"] - half, row["plain"] + half),
        ("measured, adjusted", row["estimate"], row["low"], row["high"]),
        *((name, value, np.nan, np.nan) for name, value in true.items()),
    ]
    return pd.DataFrame(rows, columns=["what", "value", "low", "high"]).dropna(subset="value")


def precision_recall(chance: np.ndarray, bought: np.ndarray, level: float = 0.95) -> pd.DataFrame:
    """Columns recall, precision, low, high (Wilson's interval), number: of the first 1, 2, ... customers by chance; at most 200 rows."""
    order = np.argsort(-chance, kind="stable")
    hits, number = np.cumsum(bought[order]), np.arange(1, len(order) + 1)
    shown = np.unique(np.linspace(0, len(order) - 1, min(len(order), 200)).astype(int))
    rows = []
    for k in shown:
        ends = stats.binomtest(int(hits[k]), int(number[k])).proportion_ci(level, method="wilson")
        rows.append((hits[k] / max(hits[-1], 1), hits[k] / number[k], ends.low, ends.high, int(number[k])))
    return pd.DataFrame(rows, columns=["recall", "precision", "low", "high", "number"])


def said(table: pd.DataFrame, plan: pd.DataFrame, responses: pd.DataFrame) -> str:
    """The result in sentences."""
    row = table.set_index("figure").loc["profit" if "profit" in set(table["figure"]) else "revenue"]
    n, held, currency = int((~plan["held"]).sum()), int(plan["held"].sum()), plan["currency"].iloc[0]
    if not np.isfinite(row["estimate"]):
        return f"With {held} held out and {n} written to nothing can be told: two of each are needed, and some hundreds help."
    verdict = "surely earned" if row["low"] > 0 else "surely lost" if row["high"] < 0 else "cannot be told from nothing"
    what = "profit" if row.name == "profit" else "revenue"
    between = f"95 % interval {row['low']:,.0f} to {row['high']:,.0f}"
    text = f"The campaign's {what} beyond the holdout's: {row['estimate']:,.0f} {currency}, {between}"
    text += f" ({n:,} written to, {held:,} held out): {verdict}."
    if np.isfinite(row["promised"]):
        text += f" Promised were {row['promised']:,.0f}."
    silent = int((~responses["given"]).sum()) if "given" in responses else 0
    return text + (f" {silent:,} contacts have no row and count as nothing bought." if silent else "")


def evaluate(path: Path) -> tuple[pd.DataFrame, str]:
    """Read a filled form, hold it against the plan that lies beside it, and write ..._measured.csv. Raises ResponseError."""
    path = Path(path)
    beside = path.with_name(path.name.replace("_responses.csv", "_plan.parquet"))
    if not beside.is_file() or beside == path:
        raise ResponseError(
            path, ["no plan lies beside it; put the filled form where the list was written, under its name ..._responses.csv"]
        )
    plan = pd.read_parquet(beside)
    responses = read_responses(path, plan)
    table = measured(responses, plan)
    with whole(path.with_name(path.name.replace("_responses.csv", "_measured.csv"))) as scratch:
        table.to_csv(scratch, index=False)
    return table, said(table, plan, responses)


def main(arguments: list[str]) -> Any:
    """The command line; see the module's first lines."""
    if len(arguments) != 1:
        sys.exit("Which file? As in: make responses FILE=data/campaigns/campaign_white_bread_2026-01-01_responses.csv")
    try:
        table, sentence = evaluate(Path(arguments[0]))
    except ResponseError as error:
        sys.exit(str(error))
    print(table.drop(columns=["plain_se", "se"]).round(1).to_string(index=False, na_rep="not available"), sentence, sep="\n")


if __name__ == "__main__":
    main(sys.argv[1:])
