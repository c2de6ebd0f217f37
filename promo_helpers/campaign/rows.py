"""The rows of a list: all that is known of each chosen customer, as an uplift ranking or a response ranking knows it."""

import numpy as np
import pandas as pd

from promo_helpers.campaign.choose import Chosen, Considered
from promo_helpers.campaign.kit import Kit
from promo_helpers.campaign.why import named_category, of_habits, why
from promo_helpers.decide.forecast import Line, foretold

COMMON = 10.0  # percent off at which relevance is asked, where no discount is fixed


def as_kept(line: Line, gain: np.ndarray) -> float:
    """What customers with these promised gains [customer] are expected to earn in all, as such promises were kept (`decide.forecast`)."""
    return foretold(line, gain, np.zeros(len(gain)))["expected"]  # the scale is of its intervals only


def by_gain_rows(
    kit: Kit, item: int, view: Considered, chosen: Chosen, more: Considered | None, partner: np.ndarray | None, seed: int
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
    kept = 1.0 if line is None else as_kept(line, to.to_numpy()) / float(to.sum())
    rows["profit"] = kept * rows["gain"]  # what the forecast says of all who are written to, shared out as the model promises it
    for column in ("units", "revenue"):
        rows[column], rows[f"{column}_none"] = with_it[column], none[column]
    rows = rows.assign(discount=with_it["discount"], spend=with_it["spend"], price=price, margin=margin, held=chosen.held)
    rows["tied"] = response.tied[0] * price * (margin - shelf)  # that other sales pay for each unit
    rows["leaving"] = response.costs.of(features) - response.costs.message
    common = int(np.abs(view.percent[1:] - COMMON).argmin()) + 1  # the same discount for all, so that customers are compared
    used = pd.Series(view.forecast.redeemed[:, common]).rank(pct=True, method="average").to_numpy()
    rows["relevance"] = 100 * used[chosen.row]
    told = why(view, chosen, kit.items["name"].iloc[item], named_category(kit.items["category"].iloc[item]), seed)
    rows = rows.assign(reason=told["reason"], unless=told["unless"])
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
    text = ("customer_id", "arm", "reason", "unless", "bundle")
    number = (
        "percent", "with_it", "without", "uplift", "low", "high", "gain", "profit", "units", "units_none", "revenue", "revenue_none",
        "discount", "spend", "price", "margin", "tied", "leaving", "relevance", "bundle_percent",
    )  # fmt: skip
    frame = pd.DataFrame({c: pd.Series(dtype=object) for c in text} | {c: pd.Series(dtype=float) for c in number})
    return frame.assign(held=np.zeros(0, bool))


def by_chance_rows(kit: Kit, item: int, customer: np.ndarray, chosen: Chosen, chance: np.ndarray) -> pd.DataFrame:
    """One row a chosen customer with what a response ranking knows: nothing of what the offer changes."""
    rows = pd.DataFrame({"customer_id": customer[chosen.row], "without": chance[chosen.row]})
    rows = rows.reindex(columns=list(_blank()))
    rows["relevance"] = 100 * pd.Series(chance).rank(pct=True).to_numpy()[chosen.row]
    rows["reason"] = of_habits(
        kit.purchases, rows["customer_id"], item, kit.items["category"].to_numpy(object), kit.items["name"].iloc[item]
    )
    return rows.assign(
        held=chosen.held, bundle="", unless="", price=kit.items["price"].iloc[item], margin=kit.items["margin"].iloc[item]
    )
