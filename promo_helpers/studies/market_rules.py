"""How hard is the market: what easy rules earn against the oracle, and against what behaviour could tell at best."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from promo_helpers import draws
from promo_helpers.evaluate.cost_curves import apply_rule, best_one_variable_rule
from promo_helpers.inference import ratio_of_means
from promo_helpers.market import trips
from promo_helpers.market.law import ARM, DAY, OPTED, PRODUCT, REDEEMED
from promo_helpers.market.parameters import ARMS, DEPTHS, SEGMENTS, Parameters, parameters
from promo_helpers.market.people import customer_ids
from promo_helpers.market.simulate import Lived, live_block
from promo_helpers.market.streams import BLOCK
from promo_helpers.market.truth import BRIDGE, Expected, Truth
from promo_helpers.studies.market_calibration import sample_contacts
from promo_helpers.trees import Booster, boosted

LOOK_BACK = 180  # days in which a decision's customer has bought in the category, and of the recent habits
TOP = 0.2  # share of customers that the ranking rules contact
TRAIN_SEED = 9_000  # markets that the stand-in learns from, never among those that are valued
TRAIN = 80  # markets that the stand-in learns from; the last doubling, from 40, gained 1.7 %
# of the kept table: customers of a market, seeds of those that nothing was tuned on, markets that the stand-in learns from
REPLICATED = {"default": (3_000, range(500, 520), TRAIN), "probe": (600, range(500, 501), 2)}
TREES: dict[str, Any] = {"objective": "l2", "num_leaves": 31, "learning_rate": 0.06, "min_data_in_leaf": 120}
ROUNDS = 250
Rule = tuple[str, np.ndarray, np.ndarray]  # of `cost_curves.best_one_variable_rule`: variable, edges, arms


@dataclass(frozen=True)
class Decisions:
    """Decisions of one market at the end of its calendar: what could be seen (`seen`), and what is true (`expected`)."""

    seen: pd.DataFrame
    expected: Expected
    customer: np.ndarray


def decisions(p: Parameters, seed: int) -> Decisions:
    """One decision per reachable customer of one block: a trial product of a category that she has bought in lately.

    The market is lived through, contacts and all; the decision falls on the last day of the calendar.
    """
    truth = Truth(replace(p, customers=min(p.customers, BLOCK)), seed)
    lived = live_block(truth.goods, 0)
    truth.keep(0, lived.block)
    truth = truth.gone_on(lived.history(), truth.lost(np.arange(truth.p.customers)))
    seen = observe(truth, lived, seed)
    return Decisions(
        seen.drop(columns=["customer_id", "product_id", "time"]),
        truth.expected(seen[["customer_id", "product_id", "time"]]),
        seen["customer_id"].to_numpy(object),
    )


def observe(truth: Truth, lived: Lived, seed: int) -> pd.DataFrame:
    """What the shop's tables show of each customer and a product she is likely to be offered; plain features of past behaviour."""
    p, shelf, x, n = truth.p, truth.goods.shelf, lived.lines, len(lived.block.seen)
    today = p.days - 1
    who, item, day, units = x[:, trips.WHO], x[:, trips.ITEM], x[:, trips.SECOND] // 86400, x[:, trips.UNITS].astype(float)
    late, promo, category = day > today - LOOK_BACK, x[:, trips.PROMO] >= 0, shelf.category[item]
    bought = (
        np.bincount(who[late] * 15 + category[late], minlength=n * 15).reshape(n, 15)[:, shelf.category[truth.goods.trial]] > 0
    )
    opted_out = np.isin(np.arange(n), lived.customer[lived.contacts[:, OPTED] > 0])
    reach = bought.any(axis=1) & lived.block.seen["consent"].to_numpy(bool) & ~opted_out
    product = truth.goods.trial[
        np.argmax(draws.uniform(seed, "product of a decision", np.arange(n), n=bought.shape[1]) * bought, axis=1)
    ]

    def count(where: np.ndarray, weight: np.ndarray = units) -> np.ndarray:
        return np.bincount(who[where], weight[where], minlength=n)

    everything, own, kin = np.ones(len(who), bool), item == product[who], category == shelf.category[product][who]
    first_line = np.append(True, np.diff(x[:, trips.TRIP]) != 0)[: len(x)]
    visits, ever = count(late & first_line, np.ones(len(who))), count(everything)
    contacts, mine = lived.contacts, lived.customer
    sent, deep = contacts[:, ARM] > 0, contacts[:, ARM] > 1
    used = np.bincount(mine, contacts[:, REDEEMED], minlength=n)  # offers redeemed
    last_sent = np.full(n, -200.0)
    np.maximum.at(last_sent, mine[sent], contacts[sent, DAY])
    per_trip = count(everything, units * shelf.price[item])
    ids = customer_ids(0, n)
    frame = pd.DataFrame(
        {
            "customer_id": ids,
            "product_id": truth.goods.products["product_id"].to_numpy()[product],
            "time": pd.Timestamp(p.start) + pd.Timedelta(days=today, hours=18),
            "age": lived.block.seen["age"].to_numpy(),
            "female": (lived.block.seen["gender"] == "Female").to_numpy(int),
            "segment": lived.block.seen["segment"].map(SEGMENTS.index).to_numpy(int),
            "recency": today - np.maximum(pd.Series(day).groupby(who).max().reindex(range(n)).fillna(-200).to_numpy(), -200),
            "visits": visits,
            "spend": count(late, units * shelf.price[item]),
            "basket": count(late) / np.maximum(visits, 1),
            "unit_price": per_trip / np.maximum(ever, 1),
            "product_units": count(late & own),
            "category_units": count(late & kin),
            "product_share": count(own) / np.maximum(count(kin), 1),
            "category_share": count(kin) / np.maximum(ever, 1),
            "promotion_share": (count(promo) + 0.08 * 20) / (ever + 20),  # towards the shop's share where little was bought
            "category_promotion_share": (count(promo & kin) + 0.08 * 5) / (count(kin) + 5),
            "product_promotion_share": (count(promo & own) + 0.08 * 5) / (count(own) + 5),
            "usual_hour": count(first_line, (x[:, trips.SECOND] % 86400) / 3600)
            / np.maximum(count(first_line, np.ones(len(who))), 1),
            "contacts": np.bincount(mine[sent], minlength=n),
            "since_contact": today - last_sent,
            "redeemed_share": (used + 0.15 * 2) / (np.bincount(mine[deep], minlength=n) + 2),
            "redeemed_product": np.bincount(mine, contacts[:, REDEEMED] * (contacts[:, PRODUCT] == product[mine]), minlength=n),
            "product_price": shelf.price[product],
            "product_margin": shelf.margin[product],
            "product": product,
        }
    )
    return frame[reach].reset_index(drop=True)


def joined(train: Sequence[Decisions]) -> tuple[pd.DataFrame, np.ndarray]:
    """What could be seen [row, feature] and the true gain [row, arm] of the decisions of several markets."""
    return pd.concat([d.seen for d in train], ignore_index=True), np.vstack([d.expected["gain"] for d in train])


def fit_behaviour_model(x: pd.DataFrame, gain: np.ndarray) -> list[Booster]:
    """One LightGBM per arm but none, fitted to the true gain given what could be seen: what a model could reach at best."""
    return [boosted(x, gain[:, a], 0, ROUNDS, **TREES) for a in range(1, len(ARMS))]


def policies(d: Decisions, models: list[Booster], rule: Rule, seed: int) -> dict[str, np.ndarray]:
    """One arm per decision for every rule of the table. The ranking rules send the arm that pays them best in truth."""
    gain, buys, n = d.expected["gain"], d.expected["buys"][:, 0], len(d.seen)
    out = {"nobody": np.zeros(n, int)} | {f"everybody {a}": np.full(n, k) for k, a in enumerate(ARMS) if k}
    rfm = stats.rankdata(d.seen["visits"]) + stats.rankdata(d.seen["spend"]) - stats.rankdata(d.seen["recency"])
    picks: dict[str, np.ndarray] = {
        "random": draws.uniform(seed, "random policy", d.customer),
        "RFM": rfm,
        "top by purchase probability": buys,
        "bottom by purchase probability": -buys,
    }
    for name, score in picks.items():
        chosen = score >= np.quantile(score, 1 - TOP)
        out[name] = np.where(chosen, gain[chosen].sum(axis=0).argmax(), 0)
    out["best rule on one variable"] = apply_rule(rule, d.seen)
    told = np.maximum(gain, 0).sum(axis=0).argmax()  # one depth for everybody whom it pays: what is whom worth, what is how deep?
    out["one depth, told whom"] = np.where(gain[:, told] > 0, told, 0)
    predicted = np.column_stack([np.zeros(n)] + [m.predict(d.seen) for m in models])
    return out | {"model on behaviour": predicted.argmax(axis=1), "oracle": gain.argmax(axis=1)}


def hardness(p: Parameters, seeds: Sequence[int], train: int = TRAIN) -> pd.DataFrame:
    """Tidy: seed, policy, gain (LKR a decision), contacted (share), and once a seed the rank correlation as its own policy row.

    The stand-in and the one-variable rule learn from `train` other markets; each is valued by the truth of the seed's market.
    """
    with ThreadPoolExecutor(2) as pool:  # the compiled loops release the lock
        learnt = list(pool.map(partial(decisions, p), range(TRAIN_SEED, TRAIN_SEED + train)))
        valued = list(pool.map(partial(decisions, p), seeds))
    x, gain_of = joined(learnt)
    models, rule = fit_behaviour_model(x, gain_of), best_one_variable_rule(x, gain_of)
    rows: list[tuple[int, str, float, float]] = []
    for seed, d in zip(seeds, valued, strict=True):
        gain = d.expected["gain"]
        for name, arm in policies(d, models, rule, seed).items():
            rows.append((seed, name, float(gain[np.arange(len(arm)), arm].mean()), float((arm > 0).mean())))
        best_offer = gain[:, 1:].max(axis=1)
        rows.append((seed, "rank correlation", float(stats.spearmanr(d.expected["buys"][:, 0], best_offer).statistic), np.nan))
    frame = pd.DataFrame(rows, columns=["seed", "policy", "gain", "contacted"])
    frame.attrs["variable"] = rule[0]
    return frame


def shares(table: pd.DataFrame, against: str = "model on behaviour") -> pd.DataFrame:
    """Per policy: mean gain, share of `against` as a ratio of means over seeds, and its 95 % interval (jackknife over seeds)."""
    wide = table[table["policy"] != "rank correlation"].pivot(index="seed", columns="policy", values="gain")
    ratios = pd.DataFrame({p: ratio_of_means(wide[p].to_numpy(), wide[against].to_numpy()) for p in wide}).T
    order = list(dict.fromkeys(table["policy"]))
    out = pd.DataFrame({"gain": wide.mean(), "share": ratios["estimate"], "low": ratios["low"], "high": ratios["high"]})
    out["contacted"] = table.groupby("policy")["contacted"].mean()
    return out.reindex([o for o in order if o in out.index]).rename_axis("policy").reset_index()


def rule_rows(case: str) -> pd.DataFrame:
    """The kept table (`replications`): `hardness` over twenty markets of 3,000 customers, with the best variable."""
    customers, seeds, train = REPLICATED[case]
    table = hardness(parameters("paper", customers=customers), seeds, train)
    return table.assign(variable=table.attrs["variable"])


SURE = 0.25  # chance of buying in the two weeks without an offer from which a customer counts as sure: twice the mean and more


def response_curves(expected: Expected, group: pd.Series) -> pd.DataFrame:
    """Tidy: group, arm, depth (share), units (ratio to none), gain (LKR a contact) and its standard error."""
    rows = []
    for name in pd.unique(group):
        mine = (group == name).to_numpy()
        units, gain = expected["units"][mine], expected["gain"][mine]
        for a, arm in enumerate(ARMS[1:], 1):
            error = gain[:, a].std() / np.sqrt(mine.sum())
            rows.append((name, arm, DEPTHS[a], units[:, a].sum() / units[:, 0].sum(), gain[:, a].mean(), error))
    return pd.DataFrame(rows, columns=["group", "arm", "depth", "units", "gain", "error"])


def bridge(expected: Expected, arm: str = "15") -> pd.DataFrame:
    """Rows of the profit bridge of sending `arm` to everybody: term and LKR a contact; the last row is the net."""
    a = ARMS.index(arm)
    rows = [(term.replace("_", " "), float(expected[term][:, a].mean())) for term in BRIDGE]
    return pd.DataFrame([*rows, ("net", float(expected["gain"][:, a].mean()))], columns=["term", "value"])


def kinds(expected: Expected) -> pd.DataFrame:
    """Kinds of customers by expectation (pairs of outcomes are nobody's to know): share of the contacts, chance of buying, gain.

    Sleeping dogs lose trips by a reminder; persuadables gain by their best offer; of the others, sure things would buy anyway.
    """
    best, buys = expected["gain"].max(axis=1), expected["buys"][:, 0]
    asleep = (expected["rest_of_basket"][:, 1] < 0) & (best <= 0)
    kind = np.select([asleep, best > 0, buys >= SURE], ["sleeping dog", "persuadable", "sure thing"], "lost cause")
    frame = pd.DataFrame({"kind": kind, "buys": buys, "best gain": best, "gain at 10": expected["gain"][:, ARMS.index("10")]})
    table = frame.groupby("kind").mean()
    table.insert(0, "share", frame["kind"].value_counts(normalize=True))
    return table.reindex(["persuadable", "sure thing", "lost cause", "sleeping dog"]).reset_index()


def anchors(expected: Expected) -> pd.DataFrame:
    """Published retail facts beside the market's: columns fact, market, published, source. Elasticities are linear: lift / depth."""
    twenty = ARMS.index("20")
    more = expected["units"][:, twenty].sum() - expected["units"][:, 0].sum()
    lift = more / expected["units"][:, 0].sum()
    noticed = (expected.chances["notices"].to_numpy() * expected["units"][:, 0]).sum() / expected["units"][:, 0].sum()
    lost = {name: -expected[name][:, twenty].sum() for name in ("switched", "brought_forward")}
    bump = (
        lift * expected["window_profit"][:, 0].sum()
    )  # the added units at their undiscounted margin, as the studies count units
    both = "van Heerde 2004; Leeflang 2008"
    rows = [
        ("lift of units at 20 % off, all who are contacted", lift, "0.52 to 0.73", "Bijmolt 2005"),
        ("price elasticity, all who are contacted", -lift / 0.2, "-3.6 to -2.6", "Bijmolt 2005"),
        ("price elasticity, those who notice", -lift / noticed / 0.2, "not available", ""),
        ("share of the bump switched within the shop", lost["switched"] / bump, "0.22 to 0.33", both),
        ("share of the bump brought forward", lost["brought_forward"] / bump, "0.06 to 0.33", both),
    ]
    return pd.DataFrame(rows, columns=["fact", "market", "published", "source"])


def phase(
    p: Parameters, margins: Sequence[float], effects: Sequence[float], spreads: Sequence[float], seed: int, n: int
) -> pd.DataFrame:
    """When personalising pays. Tidy: margin, effect, heterogeneity (dials), broadcast and personal (LKR a contact).

    Broadcast is the best constant arm (nobody at worst); personal what the oracle earns beyond it. `n` contacts a point.
    """
    rows = []
    for spread in spreads:
        for effect in effects:
            for margin in margins:
                truth = Truth(p, seed).with_parameters(margin=margin, effect=effect, heterogeneity=spread, customers=n)
                gain = truth.expected(sample_contacts(truth, n, seed, last_day=p.days - 1))["gain"]
                constant = max(0.0, float(gain.mean(axis=0).max()))
                rows.append((margin, effect, spread, constant, float(gain.max(axis=1).mean()) - constant))
    return pd.DataFrame(rows, columns=["margin", "effect", "heterogeneity", "broadcast", "personal"])
