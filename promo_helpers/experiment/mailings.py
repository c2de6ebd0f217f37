"""Campaign mailings as an Experiment: who was mailed, what they had spent before, and what they spent in the weeks after.

A mailing is about no single product, so that the whole of what a customer spends is its outcome. Who was mailed was chosen by somebody
for reasons that the tables do not hold: the gates come first, and where they fail nothing is estimated.
"""

import numpy as np
import pandas as pd

from promo_helpers.experiment.experiment import Experiment
from promo_helpers.experiment.gates import gates
from promo_helpers.features.contact_history import PrefixSums
from promo_helpers.inference import ROUNDED, interval
from promo_helpers.shop import Shop

BEFORE, AFTER = 56, 28  # days: of the features, as in `explore`; and of the outcome, as long as a campaign runs
RECENT = 28  # days before that change is measured against
ARMS = ("not mailed", "mailed")
DAY = 86_400


def mailing_experiment(shop: Shop) -> Experiment:
    """One row per campaign and customer whose eight weeks before and four weeks after lie in the data; strata are the campaigns.

    Features, strictly before the day of the mailing: spend and baskets of 56 and of 28 days, recency (days, 56 where none), mailings
    (of the 56 days before). Outcomes of the 28 days from the mailing's: spend, baskets; and change, spend less that of the 28 days
    before. Money in the shop's currency. Raises ValueError where the shop has no contacts, or none with so much data around it.
    """
    if not shop.has("contacts"):
        raise ValueError("the shop has no contacts: nobody knows who was offered what")
    contacts = shop.frame("contacts", ["contact_id", "customer_id", "campaign_id", "time", "arm"])
    lines = shop.frame("transactions", ["customer_id", "basket_id", "time", "paid_cents"])
    start = min(lines["time"].min(), contacts["time"].min()).normalize()
    names = pd.Index(np.sort(contacts["customer_id"].unique()))
    lines = lines[lines["customer_id"].isin(names)]
    baskets = (
        lines.groupby(["customer_id", "basket_id"], sort=True).agg(time=("time", "min"), paid=("paid_cents", "sum")).reset_index()
    )
    first, last = ((lines["time"].agg(end).normalize() - start).days for end in ("min", "max"))
    trips = PrefixSums.of(
        names.get_indexer(baskets["customer_id"]), _second(baskets["time"], start), {"paid": baskets["paid"].to_numpy()}
    )
    who, day = names.get_indexer(contacts["customer_id"]), _second(contacts["time"], start) // DAY
    sent = (contacts["arm"] != "none").to_numpy()
    inside = (day - BEFORE >= first) & (day + AFTER <= last + 1)
    if not inside.any():
        raise ValueError(f"no mailing has {BEFORE} days of data before it and {AFTER} from it on")
    order = np.flatnonzero(inside)[np.argsort(contacts["contact_id"].to_numpy(object)[inside], kind="stable")]
    mailed = PrefixSums.of(who[sent], day[sent] * DAY, {})
    who, day = who[order], day[order]

    def between(since: int, until: int) -> dict[str, np.ndarray]:
        return trips.between(who, (day + since) * DAY, (day + until) * DAY)

    long, recent, after = between(-BEFORE, 0), between(-RECENT, 0), between(0, AFTER)
    recency = np.minimum(np.nan_to_num((day * DAY - trips.last(who, day * DAY)) / DAY, nan=BEFORE), BEFORE)
    features = {
        "spend_56": long["paid"] / 100,
        "baskets_56": long["rows"],
        "spend_28": recent["paid"] / 100,
        "baskets_28": recent["rows"],
    }
    features |= {"recency": recency, "mailings": mailed.between(who, (day - BEFORE) * DAY, day * DAY)["rows"]}
    outcomes = {"spend": after["paid"] / 100, "baskets": after["rows"], "change": (after["paid"] - recent["paid"]) / 100}
    return Experiment(
        name=f"mailings of {shop.info['source']}",
        contact_id=contacts["contact_id"].to_numpy(object)[order],
        customer=names.to_numpy(object)[who],
        features=pd.DataFrame(features).astype(float),
        arm=sent[order].astype(int),
        arms=ARMS,
        depth=np.array([np.nan, np.nan]),
        outcomes=pd.DataFrame(outcomes).astype(float),
        strata=contacts["campaign_id"].to_numpy(object)[order],
        currency=shop.currency,
    )


def difference_in_differences(experiment: Experiment, least: int = 50) -> pd.DataFrame:
    """Which way difference-in-differences points, campaign by campaign: columns campaign, direction (up, down), sure.

    The mailed's change in spend less that of the others, where both are at least `least`; sure where it is more than 1.96 errors
    from nothing. Its size is not given: campaigns that point both ways say that the two groups were moving apart anyway.
    """
    assert experiment.strata is not None
    rows, change = [], experiment.outcome("change")
    for campaign in sorted(set(experiment.strata), key=str):
        here = experiment.strata == campaign
        sides = [change[here & (experiment.arm == arm)] for arm in (0, 1)]
        if min(map(len, sides)) < least:
            continue
        error = np.sqrt(sum(s.var(ddof=1) / len(s) for s in sides))
        change_of = interval(sides[1].mean() - sides[0].mean(), error, ROUNDED)
        sure = change_of["low"] > 0 or change_of["high"] < 0
        rows.append((campaign, "up" if change_of["estimate"] > 0 else "down", sure))
    return pd.DataFrame(rows, columns=["campaign", "direction", "sure"])


def campaign_gates(experiment: Experiment, seed: int, least: int = 50) -> pd.DataFrame:
    """One row per campaign with `least` customers on both sides: campaign, mailed, outside, difference, holds.

    outside is the share of customers who were next to certain to be mailed, or not; difference the largest standardised one before
    the mailing; holds whether every gate holds for spend.
    """
    assert experiment.strata is not None
    rows = []
    for campaign in sorted(set(experiment.strata), key=str):
        part = experiment.only(experiment.strata == campaign)
        if part.counts.min() >= least:
            found = gates(part, "spend", seed=seed)
            rows.append((campaign, part.counts[1], found.arms["outside"].max(), found.arms["d"].max(), found.holds))
    return pd.DataFrame(rows, columns=["campaign", "mailed", "outside", "difference", "holds"])


def _second(time: pd.Series, start: pd.Timestamp) -> np.ndarray:
    return (time - start).dt.total_seconds().to_numpy(np.int64)
