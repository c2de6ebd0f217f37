"""What the truth looks like: response curves, kinds of customers, anchors from the literature, and when personalising pays."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from promo_helpers.market.calibration import sample_contacts
from promo_helpers.market.parameters import ARMS, DEPTHS, Parameters
from promo_helpers.market.truth import BRIDGE, Expected, Truth

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
