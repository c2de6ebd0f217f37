"""Campaigns as the log shows them: who was contacted, who redeemed, and whether the two groups were alike before."""

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from promo_helpers.shop import Shop

BEFORE = pd.Timedelta(weeks=8)  # long enough to see a rare customer, short enough for the early campaigns


def campaign_table(shop: Shop) -> pd.DataFrame:
    """One row per campaign: start, contacted, share (of the assignments), redeemed, rate (redeemed / contacted)."""
    contacts = shop.frame("contacts", ["campaign_id", "time", "arm", "redeemed"])
    group = contacts.assign(sent=contacts["arm"] != "none").groupby("campaign_id")
    table = pd.DataFrame(
        {
            "start": group["time"].min(),
            "contacted": group["sent"].sum(),
            "share": group["sent"].mean(),
            "redeemed": group["redeemed"].sum(),
        }
    )
    table["rate"] = table["redeemed"] / table["contacted"]
    return table.sort_values(["start", "contacted"]).reset_index()


def before_contact(shop: Shop, trips: pd.DataFrame) -> pd.DataFrame:
    """One row per assignment whose eight weeks before it lie in the data: campaign_id, customer_id, sent, spend, baskets (in them)."""
    contacts = shop.frame("contacts", ["campaign_id", "customer_id", "time", "arm"])
    contacts = contacts[contacts["time"] - BEFORE >= trips["time"].min().normalize()]
    rows = []
    for (campaign, start), group in contacts.groupby(["campaign_id", "time"], sort=True):
        window = trips[(trips["time"] >= start - BEFORE) & (trips["time"] < start)].groupby("customer_id")
        history = pd.DataFrame({"spend": window["spend"].sum(), "baskets": window.size()})
        known = group[["customer_id"]].assign(campaign_id=campaign, sent=group["arm"] != "none")
        rows.append(known.merge(history, on="customer_id", how="left").fillna({"spend": 0.0, "baskets": 0}))
    return (
        pd.concat(rows, ignore_index=True)
        if rows
        else pd.DataFrame(columns=["customer_id", "campaign_id", "sent", "spend", "baskets"])
    )


def mailing_predictability(history: pd.DataFrame, folds: int = 5) -> pd.DataFrame:
    """How well spending and trips before a campaign tell who was contacted: columns campaign_id, contacted, auc, outside.

    `auc` is out of fold (.5 would be a random mailing); `outside` the share of customers whose estimated chance of being contacted
    lies below .05 or above .95, where no comparison can be made. Campaigns with fewer than 50 contacted or spared are left out.
    """
    rows = []
    for campaign, group in history.groupby("campaign_id", sort=True):
        sent = group["sent"].to_numpy(dtype=bool)
        if min(sent.sum(), (~sent).sum()) < 50:
            continue
        features = np.log1p(group[["spend", "baskets"]].clip(lower=0))
        model = make_pipeline(StandardScaler(), LogisticRegression())
        chance = cross_val_predict(
            model, features, sent, cv=StratifiedKFold(folds, shuffle=True, random_state=0), method="predict_proba"
        )[:, 1]
        rows.append(
            {
                "campaign_id": campaign,
                "contacted": int(sent.sum()),
                "auc": roc_auc_score(sent, chance),
                "outside": float(np.mean((chance < 0.05) | (chance > 0.95))),
            }
        )
    return pd.DataFrame(rows, columns=["campaign_id", "contacted", "auc", "outside"])
