"""Ways of targeting, each as one arm a decision: the rules that a sceptic names, the scores that shops rank by, and predicted profit."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from promo_helpers import draws
from promo_helpers.draws import rounded
from promo_helpers.evaluate.cost_curves import apply_rule, best_one_variable_rule
from promo_helpers.evaluate.value import policy_scores, policy_value
from promo_helpers.experiment import Experiment
from promo_helpers.experiment.gates import Gates, roi
from promo_helpers.inference import mean_by_cluster
from promo_helpers.models.demand import DemandForecast

NOBODY = "nobody"


def everybody(rows: int, arms: tuple[str, ...]) -> dict[str, np.ndarray]:
    """One policy an arm but the control: everybody gets it."""
    names = {a: "everybody, reminder" if a == "0" else f"everybody, {a} %" for a in arms[1:]}
    return {name: np.full(rows, k) for k, name in enumerate(names.values(), 1)}


def top(score: np.ndarray, share: float, arm: int) -> np.ndarray:
    """The share of decisions with the highest score gets the arm, all others none. Missing scores are lowest, ties (in nine digits) go to
    the first rows.

    Raises ValueError for a share outside 0..1.
    """
    if not 0 <= share <= 1:
        raise ValueError(f"share = {share}: must lie in 0 .. 1")
    chosen = np.zeros(len(score), int)
    order = np.argsort(-rounded(np.nan_to_num(score, nan=-np.inf)), kind="stable")
    chosen[order[: round(share * len(score))]] = arm
    return chosen


def rfm(features: pd.DataFrame) -> np.ndarray:
    """[row] sum of the ranks of recency (lately is high), frequency (trips of 90 days) and money (spending of 90 days)."""
    ranked = features[["trips_90", "spend_90"]].rank().sum(axis=1) + (-features["recency"]).rank().fillna(0)
    return ranked.to_numpy(float)


def ranked(
    features: pd.DataFrame, forecast: DemandForecast, arm: int, taste: np.ndarray | None, contact_id: np.ndarray, seed: int
) -> dict[str, np.ndarray]:
    """[row] scores that shops rank customers by: drawn at random (by seed and contact), RFM, purchase probability and its inverse,
    collaborative filtering (`taste`, where given) and the uplift of the purchase probability by `arm`."""
    buys = forecast.buys[:, 0]
    scores = {"random": draws.uniform(seed, "random ranking", contact_id), "RFM": rfm(features), "purchase probability": buys}
    scores |= {"inverse probability": -buys}
    scores |= {} if taste is None else {"collaborative filtering": taste}
    return scores | {"uplift": forecast.buys[:, arm] - buys}


def one_variable_rule(features: pd.DataFrame, scores: np.ndarray, part: np.ndarray) -> np.ndarray:
    """The best rule on one variable as a trial can find it: an arm for each tenth of the variable whose tenths' best arms add up to most.

    scores: [row, arm] doubly robust. Each part of the customers follows the rule that the others' scores chose.
    """
    arm = np.zeros(len(features), int)
    effect = scores - scores[:, :1]
    for k in np.unique(part):
        mine = part == k
        arm[mine] = apply_rule(best_one_variable_rule(features[~mine], effect[~mine]), features[mine])
    return arm


def best_constant(scores: np.ndarray, part: np.ndarray) -> np.ndarray:
    """The best arm for everybody, none included: each part gets what was best by the doubly robust scores of the others."""
    arm = np.zeros(len(scores), int)
    for k in np.unique(part):
        arm[part == k] = int(rounded((scores - scores[:, :1])[part != k].mean(axis=0)).argmax())
    return arm


def profit_policy(forecast: DemandForecast) -> np.ndarray:
    """[row] the arm of largest expected profit; none where no offer is expected to pay."""
    return np.asarray(rounded(forecast.gain).argmax(axis=1))


def contacted_share(policies: Mapping[str, np.ndarray]) -> pd.Series:
    """Share of decisions that each policy contacts."""
    return pd.Series({name: float((arm > 0).mean()) for name, arm in policies.items()})


THOUSAND = 1000  # decisions: the unit of every sum here
TERMS = ("gross bump", "baseline discount", "other sales", "opting out", "messages")
NET = "net"


def policy_table(
    policies: Mapping[str, np.ndarray], forecast: DemandForecast, scores: Mapping[str, np.ndarray], customer: np.ndarray, message: float,
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
        said, guess = forecast.of(arm), policy_value(scores["profit"], arm, customer)
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


def profit_bridge(
    policies: Mapping[str, np.ndarray],
    experiment: Experiment,
    scores: Mapping[str, np.ndarray],
    displacement: np.ndarray,
    opt_out_loss: np.ndarray,
    message: float,
) -> pd.DataFrame:
    """Tidy: policy, term, value, low, high: from the bump of one product to the shop's profit, LKR for a thousand decisions, estimated.

    Terms: gross bump (margin of the additional units, at the price they were sold for), baseline discount (given on units that would have
    been bought anyway), other sales (substitutes and the weeks after: the share `displacement` [row] of the additional units' undiscounted
    margin), opting out (`leaving` [row] a contact), messages, net. scores: [row, arm] doubly robust, of money (price x units) and used
    (price x units under the offer); what is known of a row, such as its margin, may multiply its score.
    """
    x, n = experiment.features, np.arange(len(experiment))
    shelf = x["promotion_ahead"].to_numpy(float)
    margin, rows = x["margin"].to_numpy(float) - shelf, []
    for name, arm in policies.items():
        sent = arm > 0
        off = np.maximum(np.nan_to_num(experiment.depth)[arm] - shelf, 0)
        more, used = policy_scores(scores["money"], arm), scores["used"][n, arm]
        anyway = off * (used - more) * sent  # what was redeemed, less what is sold beyond what would have been sold
        terms = {
            "gross bump": margin * more - off * used * sent + anyway,
            "baseline discount": -anyway,
            "other sales": -displacement * margin * more,
            "opting out": -opt_out_loss * sent,
            "messages": -message * sent,
        }
        terms[NET] = np.sum(list(terms.values()), axis=0)
        for term, each in terms.items():
            found = mean_by_cluster(each, experiment.customer)
            rows.append((name, term, *(THOUSAND * found[k] for k in ("estimate", "low", "high"))))
    return pd.DataFrame(rows, columns=["policy", "term", "value", "low", "high"])


def true_profit_bridge(policies: Mapping[str, np.ndarray], parts: Mapping[str, np.ndarray]) -> pd.DataFrame:
    """Tidy: policy, term, value: each part [row, arm] of the true gain under each policy, for a thousand decisions, and their sum."""
    rows = []
    for name, arm in policies.items():
        n = np.arange(len(arm))
        values = {term: THOUSAND * float(part[n, arm].mean()) for term, part in parts.items()}
        rows += [(name, term, v) for term, v in (values | {NET: sum(values.values())}).items()]
    return pd.DataFrame(rows, columns=["policy", "term", "value"])
