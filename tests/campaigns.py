"""A small shop with contact fields, and a response made by hand: what the tests of campaigns are about."""

from pathlib import Path

import lightgbm as lgb
import numpy as np
import pandas as pd

from promo_helpers.experiment.contacts import Costs, decision_features
from promo_helpers.models.demand import DemandResponse, DoseResponse, _drivers
from promo_helpers.shop import Shop
from promo_helpers.shop.loading import load_shop
from tests.shops import shop_frames, write_shop

PERCENT = np.array([np.nan, 0.0, 0.05, 0.10, 0.15, 0.20, 0.25])
ARMS = ("none", "0", "5", "10", "15", "20", "25")
CHEAP = ["PROD00007", "PROD00001"]  # the trial's products


def shop_of(folder: Path, **customers: object) -> Shop:
    """The small shop with telephone numbers; `customers` are columns to set, None leaves one out. One name would start a formula."""
    frames = shop_frames()
    people = frames["customers"].assign(PhoneNumber=[f"+94 77 {i:06d}" for i in range(40)])
    people.loc[0, "Name"] = "=HYPERLINK(1)"
    people.loc[1, "Location"] = "Gampola, \u0d9c\u0db8\u0dca\u0db4\u0ddc\u0dbd"
    for column, values in customers.items():
        people = people.drop(columns=column) if values is None else people.assign(**{column: values})
    frames["customers"] = people
    return load_shop(write_shop(folder / "source", frames), folder=folder / "checked")


def response_of(shop: Shop, lift: float = 6.0, notice: float = 0.5) -> DemandResponse:
    """A response whose base is a small model of past units, and whose lifts are alike for everybody; three parts that differ a little."""
    ids = shop.frame("customers", ["customer_id"])["customer_id"]
    asked = pd.concat(
        [pd.DataFrame({"customer_id": ids, "product_id": p, "time": pd.Timestamp("2025-05-01 12:00")}) for p in CHEAP]
    )
    x = decision_features(shop, asked)
    doses = []
    for k in range(3):
        target = x["product_90"].to_numpy() / 6 * (1 + 0.1 * k) + 0.02
        fixed = {"objective": "poisson", "min_data_in_leaf": 5, "num_leaves": 4, "verbose": -1, "num_threads": 1, "seed": k}
        base = lgb.train(fixed, lgb.Dataset(x, target), 20)
        raw = _drivers(x, np.maximum(base.predict(x), 1e-4))
        scale = np.nanstd(raw, axis=0)
        zero = np.zeros(raw.shape[1])
        doses.append(
            DoseResponse(
                (base,), np.full(5, lift / 5 * (1 + 0.2 * k)), zero, float(np.log(notice / (1 - notice))), zero,
                np.nan_to_num(np.nanmean(raw, axis=0)), np.where(scale > 1e-9, scale, np.inf), tuple(x), PERCENT,
            )
        )  # fmt: skip
    tried = tuple(sorted(int(p) for p in x["product"].unique()))
    return DemandResponse(tuple(doses), (0.2, 0.2, 0.2), Costs(0.1), (0.0, 1.0), ARMS, tried)


def facts(shop: Shop, **more: object) -> dict[str, object]:
    """What a saved response says of itself."""
    told = {"trained_from": "2025-01-01", "trained_to": "2025-05-01", "seed": 1, "command": "make notebook N=12_budget"}
    return {**told, "shop": shop.fingerprint(), "gates": "can tell: all gates hold", "gates_hold": True, **more}
