"""Campaigns as the log shows them: who was contacted, who redeemed, and whether the two groups were alike before."""

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import PredefinedSplit, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from promo_helpers import draws
from promo_helpers.features.ledger import Ledger
from promo_helpers.shop import Shop

BEFORE = pd.Timedelta(weeks=8)  # long enough to see a rare customer, short enough for the early campaigns


def campaign_table(shop: Shop, first_day: pd.Timestamp, last_day: pd.Timestamp) -> pd.DataFrame:
    """One row per campaign: start, end, contacted, share (of the assignments), redeemed, rate (redeemed / contacted), seen.

    `seen` says whether the whole campaign lies in the data: a rate of one that does not is too low.
    """
    contacts = shop.frame("contacts", ["campaign_id", "time", "arm", "redeemed"])
    ends = shop.frame("promotions", ["campaign_id", "end_date"]).groupby("campaign_id")["end_date"].max()
    group = contacts.assign(sent=contacts["arm"] != "none").groupby("campaign_id")
    table = pd.DataFrame({"start": group["time"].min(), "contacted": group["sent"].sum(), "share": group["sent"].mean()})
    table.insert(1, "end", ends.reindex(table.index))
    table["redeemed"] = group["redeemed"].sum().astype("int64")
    table["rate"] = table["redeemed"] / table["contacted"]
    table["seen"] = (table["start"] >= first_day) & (table["end"] <= last_day)
    return table.sort_values(["start", "contacted"]).reset_index()


def before_contact(shop: Shop, trips: pd.DataFrame) -> pd.DataFrame:
    """One row per assignment whose eight weeks before it lie in the data: campaign_id, customer_id, sent, spend, baskets (in them)."""
    contacts = shop.frame("contacts", ["campaign_id", "customer_id", "time", "arm"])
    first = trips["time"].min().normalize()
    contacts = contacts[contacts["time"] - BEFORE >= first].sort_values(["campaign_id", "time"], kind="stable")
    names = pd.Index(trips["customer_id"].unique())
    cents = np.rint(trips["spend"].to_numpy() * 100).astype(np.int64)
    known = Ledger.of(names.get_indexer(trips["customer_id"]), _second(trips["time"], first), {"cents": cents})
    until = _second(contacts["time"], first)
    before = known.between(names.get_indexer(contacts["customer_id"]), until - int(BEFORE.total_seconds()), until)
    return pd.DataFrame(
        {
            "customer_id": contacts["customer_id"].to_numpy(),
            "campaign_id": contacts["campaign_id"].to_numpy(),
            "sent": (contacts["arm"] != "none").to_numpy(),
            "spend": before["cents"] / 100,
            "baskets": before["rows"].astype(float),
        }
    )


def contacted_against_spared(history: pd.DataFrame, folds: int = 5, least: int = 50) -> pd.DataFrame:
    """How the contacted of each campaign differed from the spared before it. One row per campaign with `least` of both.

    Columns campaign_id, contacted, ratio (of mean spending, contacted to spared), difference (of mean log spending, in standard
    deviations) and auc: how well spending and trips tell the two apart, out of fold; .5 would be a mailing by chance.
    """
    rows = []
    for campaign, group in history.groupby("campaign_id", sort=True):
        sent = group["sent"].to_numpy(dtype=bool)
        if min(sent.sum(), (~sent).sum()) < least:
            continue
        spend, logs = group["spend"].to_numpy(), np.log1p(group[["spend", "baskets"]].clip(lower=0))
        level = logs["spend"].to_numpy()
        model = make_pipeline(StandardScaler(), LogisticRegression())
        cut = PredefinedSplit(draws.folds(0, f"contacted or spared, {campaign}", group["customer_id"], number=folds))
        chance = cross_val_predict(model, logs, sent, cv=cut, method="predict_proba")[:, 1]
        scale = np.sqrt((level[sent].var(ddof=1) + level[~sent].var(ddof=1)) / 2)
        rows.append(
            {
                "campaign_id": campaign,
                "contacted": int(sent.sum()),
                "ratio": spend[sent].mean() / spend[~sent].mean(),
                "difference": (level[sent].mean() - level[~sent].mean()) / scale,
                "auc": roc_auc_score(sent, chance),
            }
        )
    return pd.DataFrame(rows, columns=["campaign_id", "contacted", "ratio", "difference", "auc"])


def _second(time: pd.Series, start: pd.Timestamp) -> np.ndarray:
    return (time - start).dt.total_seconds().to_numpy(np.int64)
