"""Policies side by side: what each costs, promises, seems to earn on customers held out, and truly earns where that is known."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from promo_helpers.evaluate.halves import mean_interval
from promo_helpers.evaluate.value import given, value
from promo_helpers.experiment import Experiment
from promo_helpers.experiment.gates import Gates, roi
from promo_helpers.models.response import Forecast

THOUSAND = 1000  # decisions: the unit of every sum here
TERMS = ("gross bump", "baseline discount", "other sales", "opting out", "messages")
NET = "net"


def side_by_side(
    policies: Mapping[str, np.ndarray], found: Forecast, scores: Mapping[str, np.ndarray], customer: np.ndarray, message: float,
    gates: Gates, truth: Mapping[str, np.ndarray] | None = None,
) -> pd.DataFrame:  # fmt: skip
    """One row a policy; money and counts are for a thousand decisions.

    contacted, saved (what the messages cost that broadcast would send beyond), discount and promised (by the model), estimated with low and
    high (doubly robust, see `value.shop_profit`), conversion (buyers among the contacted, doubly robust), revenue per discount (the
    contacted's revenue over their discount, the older project's return; by the model) and roi (estimated profit over expected
    spend; NaN where a gate fails). With `truth` (gain, spend, discount, buys, revenue [row, arm]) also true, true_spend, true_conversion,
    true_per_discount and true_roi. scores: [row, arm] doubly robust, of profit and bought.
    """
    rows = []
    for name, arm in policies.items():
        n, sent = np.arange(len(arm)), arm > 0
        said, guess = found.of(arm), value(scores["profit"], arm, customer)
        discount, spend = said["discount"].mean(), said["spend"].mean()
        row: dict[str, str | float] = {"policy": name}
        row |= {"contacted": float(THOUSAND * sent.mean()), "saved": THOUSAND * (1 - sent.mean()) * message}
        row |= {"discount": THOUSAND * discount, "promised": THOUSAND * said["gain"].mean()}
        row |= {"estimated": THOUSAND * guess["estimate"], "low": THOUSAND * guess["low"], "high": THOUSAND * guess["high"]}
        row["conversion"] = float(scores["bought"][n, arm][sent].mean()) if sent.any() else np.nan
        row["per_discount"] = ratio(said["revenue"][sent].sum(), said["discount"][sent].sum())
        row["roi"] = roi(gates, guess["estimate"], spend)[0]
        if truth is not None:
            own = {k: truth[k][n, arm] for k in ("gain", "spend", "discount", "buys", "revenue")}
            row |= {"true": THOUSAND * own["gain"].mean(), "true_spend": THOUSAND * own["spend"].mean()}
            row["true_conversion"] = float(own["buys"][sent].mean()) if sent.any() else np.nan
            row["true_per_discount"] = ratio(own["revenue"][sent].sum(), own["discount"][sent].sum())
            row["true_roi"] = ratio(own["gain"].mean(), own["spend"].mean())
        rows.append(row)
    return pd.DataFrame(rows)


def ratio(above: float, below: float) -> float:
    """above / below, missing where nothing is below."""
    return float(above / below) if below > 0 else np.nan


def bridge(
    policies: Mapping[str, np.ndarray], experiment: Experiment, scores: Mapping[str, np.ndarray], tied: np.ndarray, leaving: np.ndarray,
    message: float,
) -> pd.DataFrame:  # fmt: skip
    """Tidy: policy, term, value, low, high: from the bump of one product to the shop's profit, LKR for a thousand decisions, estimated.

    Terms: gross bump (margin of the additional units, at the price they were sold for), baseline discount (given on units that would have
    been bought anyway), other sales (substitutes and the weeks after: the share `tied` [row] of the additional units' undiscounted
    margin), opting out (`leaving` [row] a contact), messages, net. scores: [row, arm] doubly robust, of money (price x units) and used
    (price x units under the offer); what is known of a row, such as its margin, may multiply its score.
    """
    x, n = experiment.features, np.arange(len(experiment))
    shelf = x["promotion_ahead"].to_numpy(float)
    margin, rows = x["margin"].to_numpy(float) - shelf, []
    for name, arm in policies.items():
        sent = arm > 0
        off = np.maximum(np.nan_to_num(experiment.depth)[arm] - shelf, 0)
        more, used = given(scores["money"], arm), scores["used"][n, arm]
        anyway = off * (used - more) * sent  # what was redeemed, less what is sold beyond what would have been sold
        terms = {
            "gross bump": margin * more - off * used * sent + anyway,
            "baseline discount": -anyway,
            "other sales": -tied * margin * more,
            "opting out": -leaving * sent,
            "messages": -message * sent,
        }
        terms[NET] = np.sum(list(terms.values()), axis=0)
        for term, each in terms.items():
            found = mean_interval(each, experiment.customer)
            rows.append((name, term, *(THOUSAND * found[k] for k in ("estimate", "low", "high"))))
    return pd.DataFrame(rows, columns=["policy", "term", "value", "low", "high"])


def true_bridge(policies: Mapping[str, np.ndarray], parts: Mapping[str, np.ndarray]) -> pd.DataFrame:
    """Tidy: policy, term, value: each part [row, arm] of the true gain under each policy, for a thousand decisions, and their sum."""
    rows = []
    for name, arm in policies.items():
        n = np.arange(len(arm))
        values = {term: THOUSAND * float(part[n, arm].mean()) for term, part in parts.items()}
        rows += [(name, term, v) for term, v in (values | {NET: sum(values.values())}).items()]
    return pd.DataFrame(rows, columns=["policy", "term", "value"])
