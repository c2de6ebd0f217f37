"""Contacts as an experiment: features and outcomes against a slow loop written from the docstrings, blind to what comes later."""

import shutil
from functools import cache

import numpy as np
import pandas as pd
import pytest

from promo_helpers.experiment import contacts as module
from promo_helpers.experiment.contacts import contact_experiment
from promo_helpers.features import contact_history as features_module
from promo_helpers.features.contact_history import PrefixSums
from promo_helpers.market import parameters, simulate
from promo_helpers.shop import Shop
from promo_helpers.shop.loading import load_shop
from tests.shops import FIRST_DAY, shop_frames, write_shop

DAYS = pd.Timedelta(days=1)
COST = 1.5


def hand_frames() -> dict[str, pd.DataFrame]:
    return {name: frame.copy() for name, frame in _hand_frames().items()}


@cache
def _hand_frames() -> dict[str, pd.DataFrame]:
    """The corner shop with contacts of all kinds: trials, a log, campaigns, unknown arms; some redeemed; and what is missing, missing."""
    frames, rng, n = shop_frames(), np.random.default_rng(5), 240
    people, lines = frames["customers"], frames["transactions"]
    people["Age"] = people["Age"].astype(object)
    people.loc[[3, 8], "Age"], people.loc[[2, 3], "Gender"], people.loc[5, "CustomerSegment"] = "", "", ""
    people.loc[7, "RegistrationDate"] = ""
    people.loc[40] = people.loc[39].to_dict() | {"CustomerID": "CUST00041", "CustomerSegment": "new"}  # who never bought
    frames["products"].loc[[4, 9], "Category"] = ""
    frames["promotions"].loc[3] = ["PROMO3", "PROD00003", "", "coupon", "2025-01-10", "2025-03-01", "0.3"]  # for no shelf
    frames["promotions"].loc[4] = ["PROMO4", "PROD00002", "", "price", "2025-01-30", "2025-02-20", "0.15"]  # overlaps with PROMO1
    hours, who = rng.integers(0, 68 * 24, n), rng.choice(people["CustomerID"][[*range(8), 20, 40]], n)
    who[:27], hours[:27] = people["CustomerID"][8:35], hours[:27] % (18 * 24)  # contacted once, and seen for eight weeks
    who[30:33], hours[31:33] = ["CUST00003", *people["CustomerID"][36:38]], [24 * 55 + 9, 24 * 56 + 9]  # the data end on day 69
    seconds = pd.to_timedelta(hours * 3600 + 1800 * rng.integers(0, 2, n), unit="s")
    arm = rng.choice(["none", "0", "5", "10", "25", "unknown"], n, p=[0.2, 0.15, 0.2, 0.2, 0.2, 0.05])
    drawn = (rng.random(n) < 0.5) & (arm != "unknown")
    contacts = pd.DataFrame(
        {
            "ContactID": [f"C{i:04d}" for i in range(n)],
            "CustomerID": who,
            "ProductID": rng.choice([*frames["products"]["ProductID"], ""], n),
            "ContactTime": [f"{FIRST_DAY + s:%Y-%m-%d %H:%M:%S}" for s in seconds],
            "Channel": np.where(arm == "none", "", "SMS"),
            "Arm": arm,
            "Probability": np.where(drawn, "0.2", ""),
            "TrialID": np.where(drawn, "TRIAL1", ""),
            "Redeemed": "false",
        }
    )
    lines["ContactID"], lines["Discount"] = "", lines["Discount"].astype(float)
    day = pd.to_datetime(lines["TransactionDate"]).dt.normalize()
    for i, row in contacts[contacts["Arm"].isin(["5", "10", "25"])].iterrows():
        age = day - pd.Timestamp(row["ContactTime"]).normalize()
        free = (lines["CustomerID"] == row["CustomerID"]) & (lines["ProductID"] == row["ProductID"]) & (lines["ContactID"] == "")
        for at in lines.index[free & age.between(DAYS, 14 * DAYS) & (lines["Quantity"] > 0)][:2]:
            off = float(row["Arm"]) / 100
            lines.loc[at, ["ContactID", "PromotionID", "Discount"]] = [row["ContactID"], "", off]
            lines.loc[at, "TotalAmount"] = round(lines.loc[at, "Quantity"] * lines.loc[at, "UnitPrice"] * (1 - off), 2)
            contacts.loc[i, "Redeemed"] = "true"
    same = lines.loc[lines["CustomerID"] == who[30], "TransactionDate"]
    contacts.loc[30, "ContactTime"] = same.iloc[len(same) // 2]  # the very second of a purchase
    return frames | {"contacts": contacts}


def loaded(folder, frames: dict[str, pd.DataFrame]) -> Shop:
    return load_shop(write_shop(folder / "source", frames), folder=folder / "checked")


@pytest.fixture(scope="module")
def hand(tmp_path_factory):
    return loaded(tmp_path_factory.mktemp("hand"), hand_frames())


@pytest.fixture(scope="module")
def market(tmp_path_factory):
    folder = tmp_path_factory.mktemp("market")
    return simulate(parameters("paper", customers=60), 3, folder / "raw", folder / "truth", workers=1)[0]


class Slowly:
    """Features and outcomes of one contact after the other, from the tables as they are."""

    def __init__(self, shop: Shop):
        self.lines = shop.frame("transactions").query("units > 0")
        self.products = shop.frame("products").sort_values("product_id").set_index("product_id")
        self.kind = self.products["category"].astype(object).where(self.products["category"].notna(), "?")
        self.people = shop.frame("customers").set_index("customer_id")
        self.promotions = shop.frame("promotions").query("kind == 'price' and discount == discount")
        given = shop.frame("contacts")
        self.known = given[given["product_id"].notna() & (given["arm"] != "unknown")].set_index("contact_id")
        self.first = min(shop.frame("transactions")["time"].min(), self.known["time"].min()).normalize()
        self.last = shop.frame("transactions")["time"].max().normalize()
        self.depths: dict[str, dict[int, float]] = {str(p): {} for p in self.products.index}
        for row in self.promotions.itertuples():
            for on in range((row.start_date - self.first).days, (row.end_date - self.first).days + 1):
                self.depths[row.product_id][on] = max(self.depths[row.product_id].get(on, 0.0), row.discount)

    def ran(self, product: str, days: range) -> np.ndarray:
        return np.array([self.depths[product].get(day, 0.0) for day in days])

    def features(self, contact: object) -> dict[str, float]:
        c = self.known.loc[contact]
        mine = self.lines[(self.lines["customer_id"] == c["customer_id"]) & (self.lines["time"] < c["time"])]
        kinds = mine["product_id"].map(self.kind)
        product, category = mine[mine["product_id"] == c["product_id"]], mine[kinds == self.kind[c["product_id"]]]
        trips = mine.drop_duplicates("basket_id")
        today = c["time"].normalize()
        hours = (trips["time"] - trips["time"].dt.normalize()) / pd.Timedelta(hours=1)
        out = {f"trips_{d}": (trips["time"] >= c["time"] - d * DAYS).sum() for d in (28, 90, 180)}
        out["spend_90"] = mine.loc[mine["time"] >= c["time"] - 90 * DAYS, "paid_cents"].sum() / 100
        units = mine["units"].sum()
        out["basket"] = units / len(trips) if len(trips) else np.nan
        out["unit_price"] = mine["paid_cents"].sum() / 100 / units if units else np.nan
        out["late_share"] = (hours >= 17).mean()
        for name, part, weight in (("", mine, 20), ("product_", product, 5), ("category_", category, 5)):
            in_store = part["contact_id"].isna() & (part["discount"] > 0)
            out[f"{name}promotion_share"] = (part.loc[in_store, "units"].sum() + weight * 0.08) / (part["units"].sum() + weight)
            out[f"{name}recency"] = (c["time"] - part["time"].max()) / DAYS
        out |= {f"product_{d}": product.loc[product["time"] >= c["time"] - d * DAYS, "units"].sum() for d in (28, 90, 180)}
        out |= {f"category_{d}": category.loc[category["time"] >= c["time"] - d * DAYS, "units"].sum() for d in (90, 180)}
        out["product_all"] = product["units"].sum()
        out["category_share"] = category["units"].sum() / units if units else np.nan
        out["product_share"] = product["units"].sum() / category["units"].sum() if len(category) else np.nan
        now = (today - self.first).days
        score = known = 0.0
        for item, bought in mine.groupby("product_id"):
            ran = self.ran(str(item), range(max(now, 1)))
            under = np.where(bought["contact_id"].isna(), bought["discount"], 0)
            score += (bought["units"] * (under - ran.mean())).sum()
            known += bought["units"].sum() * ran.var()
        out["response"], out["sure"] = (score + 0.7) / (known + 0.33), known
        ahead, past = (self.ran(c["product_id"], range(now + a, now + b)) for a, b in ((1, 15), (-28, 0)))
        out |= {"promotion_now": self.depths[c["product_id"]].get(now, 0.0), "promotion_ahead": ahead.mean()}
        out |= {"promotion_days": (ahead > 0).mean(), "promotion_past": past.mean()}
        out["product_price"], out["margin"] = self.products.loc[c["product_id"], ["price", "margin"]]
        out["category_margin"] = self.products.loc[self.kind == self.kind[c["product_id"]], "margin"].mean()
        out["product"] = sorted(self.products.index).index(c["product_id"])
        out["hour"], out["month"] = c["time"].hour, c["time"].month
        return out | self._described(c) | self._offers(c)

    def _described(self, c: pd.Series) -> dict[str, float]:
        who = self.people.loc[c["customer_id"]]
        segments = sorted(self.people["segment"].dropna().unique())
        return {
            "age": float(who["age"]),
            "female": np.nan if pd.isna(who["gender"]) else float(who["gender"] == "Female"),
            "segment": np.nan if pd.isna(who["segment"]) else segments.index(who["segment"]),
            "tenure": (c["time"] - who["registration_date"]) / DAYS,
        }

    def _offers(self, c: pd.Series) -> dict[str, float]:
        hers = self.known[(self.known["customer_id"] == c["customer_id"]) & (self.known["arm"] != "none")]
        sent = hers[hers["time"] < c["time"]]
        out = {f"offers_{d}": (sent["time"] >= c["time"] - d * DAYS).sum() for d in (30, 90)}
        out |= {"offers_all": len(sent), "offers_recency": (c["time"] - sent["time"].max()) / DAYS}
        ended = sent[(sent["time"].dt.normalize() + 15 * DAYS <= c["time"]) & (sent["arm"].astype(float) > 0)]
        used = ended[ended["redeemed"].astype(bool)]
        out |= {"discounts": len(ended), "redeemed_share": (len(used) + 0.2) / (len(ended) + 2)}
        return out | {"redeemed_depth": used["arm"].astype(float).mean() / 100}

    def hour_gap(self, contact: object) -> tuple[float, float]:
        """Hours between the contact and the mean direction of her trips, and how far rounding sine and cosine to 1/1000 may move it."""
        c = self.known.loc[contact]
        mine = self.lines[(self.lines["customer_id"] == c["customer_id"]) & (self.lines["time"] < c["time"])]
        trips = mine.drop_duplicates("basket_id")["time"]
        if trips.empty:
            return np.nan, 0.0
        clock = np.exp(2j * np.pi * ((trips - trips.dt.normalize()) / DAYS).to_numpy()).sum()
        gap = np.angle(np.exp(2j * np.pi * ((c["time"] - c["time"].normalize()) / DAYS)) / clock)
        return abs(gap) * 12 / np.pi, np.arcsin(min(0.00071 * len(trips) / abs(clock), 1)) * 12 / np.pi + 1e-9

    def outcomes(self, contact: object) -> dict[str, float]:
        c = self.known.loc[contact]
        day, own = c["time"].normalize(), self.known.loc[contact, "product_id"]
        mine = self.lines[self.lines["customer_id"] == c["customer_id"]]
        date = mine["time"].dt.normalize()
        margin = mine["paid_cents"] - mine["list_cents"] * (1 - mine["product_id"].map(self.products["margin"]))
        margin = np.rint(margin) / 100
        kinds, same = mine["product_id"].map(self.kind), mine["product_id"] == own
        near = (kinds == self.kind[own]) & ~same
        window, after = date.between(day + DAYS, day + 14 * DAYS), date.between(day + 15 * DAYS, day + 56 * DAYS)
        under = mine[mine["contact_id"] == contact]
        cost = COST * (c["arm"] != "none")
        discount = (under["list_cents"] - under["paid_cents"]).sum() / 100
        out = {
            "bought": float((window & same).any()),
            "units": mine.loc[window & same, "units"].sum(),
            "redeemed": under["units"].sum(),
            "revenue": mine.loc[window & same, "paid_cents"].sum() / 100,
            "discount": discount,
            "spend": discount + cost,
            "profit": margin[window & same].sum() - cost,
            "substitutes": margin[window & near].sum(),
            "rest": margin[window & ~same & ~near].sum(),
            "product_after": margin[after & same].sum(),
            "after": margin[after].sum(),
            "whole": margin[window | after].sum() - cost,
        }
        hers = self.known[(self.known["customer_id"] == c["customer_id"]) & (self.known["time"] > c["time"])]
        for last, names in ((14, list(out)), (56, ["product_after", "after", "whole"])):
            acts = hers["time"].dt.normalize() + DAYS <= day + last * DAYS  # from the day after it
            if acts.any() or day + last * DAYS > self.last:
                out |= dict.fromkeys(names, np.nan)
        return out


def check(shop: Shop, kind: str, many: int) -> None:
    """Some contacts' features and outcomes, all of them, against the slow loop."""
    experiment, slow = contact_experiment(shop, kind, COST), Slowly(shop)
    rows = np.sort(np.random.default_rng(0).permutation(len(experiment))[:many])
    assert len(rows) == many
    ids = experiment.contact_id[rows]
    found = experiment.features.iloc[rows].reset_index(drop=True)
    expected = pd.DataFrame([slow.features(i) for i in ids]).astype(float)
    assert set(found) == set(expected) | {"hour_gap"}
    pd.testing.assert_frame_equal(found[list(expected)], expected, rtol=1e-9, atol=1e-9, check_dtype=False)
    gap, slack = np.array([slow.hour_gap(i) for i in ids]).T
    assert (np.isnan(found["hour_gap"]) == np.isnan(gap)).all()
    assert (np.nan_to_num(np.abs(found["hour_gap"] - gap)) <= slack).all()
    outcomes = pd.DataFrame([slow.outcomes(i) for i in ids]).astype(float)
    pd.testing.assert_frame_equal(experiment.outcomes.iloc[rows].reset_index(drop=True), outcomes, rtol=1e-9, atol=1e-9)
    assert (experiment.customer[rows] == slow.known.loc[ids, "customer_id"]).all()
    assert [experiment.arms[a] for a in experiment.arm[rows]] == slow.known.loc[ids, "arm"].tolist()


@pytest.mark.slow
def test_a_shop_made_by_hand_against_the_slow_loop(hand):
    check(hand, "both", 80)


@pytest.mark.slow
def test_a_simulated_market_against_the_slow_loop(market):
    check(market, "both", 30)


def test_trial_and_log_are_the_two_parts_of_both(hand):
    both, trial, log = (contact_experiment(hand, kind, COST) for kind in ("both", "trial", "log"))
    drawn = hand.frame("contacts").set_index("contact_id").loc[both.contact_id, "trial_id"].notna().to_numpy()
    for part, rows in ((trial, drawn), (log, ~drawn)):
        assert 0 < len(part) < len(both)
        np.testing.assert_array_equal(part.contact_id, both.contact_id[rows])
        pd.testing.assert_frame_equal(part.features, both.features[rows].reset_index(drop=True))
        pd.testing.assert_frame_equal(part.outcomes, both.outcomes[rows].reset_index(drop=True))


def test_the_shops_hold_the_cases_that_matter(hand, market):
    both = contact_experiment(hand, "both")
    x, y = both.features, both.outcomes
    for name in ("age", "female", "segment", "tenure", "recency", "product_share"):
        assert 0 < x[name].isna().mean() < 1, name
    assert x["redeemed_depth"].notna().any()
    assert (x["promotion_ahead"] > 0).any()
    assert (y["redeemed"] > 0).any()
    ends = y["bought"][np.isin(both.contact_id, ["C0031", "C0032"])]
    assert ends.isna().tolist() == [False, True]
    assert 0 < y["bought"].notna().sum() < len(y)
    assert 0 < y["whole"].notna().sum() < y["bought"].notna().sum()
    assert both.arms == ("none", "0", "5", "10", "25")
    np.testing.assert_equal(both.depth, [np.nan, 0, 0.05, 0.1, 0.25])
    assert both.planned is None
    assert both.probability is None
    trial = contact_experiment(market, "trial")
    chosen = market.frame("contacts").dropna(subset=["trial_id"]).sort_values("contact_id")
    np.testing.assert_array_equal(trial.contact_id, chosen["contact_id"])
    np.testing.assert_allclose(trial.probability, chosen["probability"])
    np.testing.assert_allclose(trial.planned[trial.arm], chosen["probability"], rtol=1e-6)
    assert (trial.strata == chosen["trial_id"]).all()


def compared(folder, frames: dict[str, pd.DataFrame], kept: list[str]) -> pd.DataFrame:
    """Features by contact of a changed shop, for those that both have."""
    experiment = contact_experiment(loaded(folder, frames), "both", COST)
    return experiment.features.set_index(pd.Index(experiment.contact_id)).loc[kept]


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_what_comes_at_or_after_a_contact_changes_no_feature(hand, tmp_path, seed):
    frames, rng = hand_frames(), np.random.default_rng(seed)
    known = contact_experiment(hand, "both", COST)
    times = frames["contacts"].set_index("ContactID").loc[known.contact_id, "ContactTime"]
    moment = str(rng.choice(np.sort(times)[20:-20]))
    kept = times.index[times <= moment].tolist()
    lines = frames["transactions"]
    late = lines["TransactionDate"] >= moment
    if seed:  # other purchases, many more of them, some at the very moment
        new = lines.sample(400, random_state=seed, replace=True).assign(
            TransactionID=[f"N{i}" for i in range(400)], BasketID=[f"NB{i}" for i in range(400)], ContactID="", Quantity=9
        )
        new["CustomerID"] = rng.choice(frames["contacts"]["CustomerID"], 400)
        new["TransactionDate"] = [moment] * 50 + ["2025-03-20 12:00:00"] * 350
        new["TotalAmount"] = (new["Quantity"] * new["UnitPrice"] * (1 - new["Discount"])).round(2)
        frames["transactions"] = pd.concat([lines, new], ignore_index=True)
        running = frames["contacts"]["ContactTime"].str[:10] > f"{pd.Timestamp(moment) - 15 * DAYS:%Y-%m-%d}"
        frames["contacts"].loc[running, "Redeemed"] = "true"  # known once the window is over
    else:  # none
        frames["transactions"] = lines[~late]
        frames["contacts"] = frames["contacts"][frames["contacts"]["ContactTime"] <= moment]
    before = known.features.set_index(pd.Index(known.contact_id)).loc[kept]
    pd.testing.assert_frame_equal(compared(tmp_path, frames, kept), before)


def test_a_purchase_just_before_the_contact_counts(hand, tmp_path):
    """So that the test above can fail: one second earlier and the features change."""
    frames = hand_frames()
    contact = frames["contacts"].query("ContactID == 'C0044'").iloc[0]
    before = Slowly(hand).features("C0044")
    line = frames["transactions"].iloc[0].to_dict() | {
        "TransactionID": "N",
        "BasketID": "NB",
        "CustomerID": contact["CustomerID"],
    }
    line["TransactionDate"] = str(pd.Timestamp(contact["ContactTime"]) - pd.Timedelta(seconds=1))
    frames["transactions"] = pd.concat([frames["transactions"], pd.DataFrame([line])], ignore_index=True)
    after = compared(tmp_path, frames, ["C0044"]).iloc[0]
    assert after["trips_28"] == before["trips_28"] + 1
    assert after["recency"] == pytest.approx(1 / 86_400)


def test_another_customer_and_the_order_of_the_files_change_nothing(hand, tmp_path):
    frames, known = hand_frames(), contact_experiment(hand, "both", COST)
    others = frames["contacts"]["CustomerID"] != "CUST00001"
    frames = {name: frame.sample(frac=1, random_state=7) for name, frame in frames.items()}
    frames["contacts"] = frames["contacts"][others.reindex(frames["contacts"].index)]
    changed = contact_experiment(loaded(tmp_path, frames), "both", COST)
    kept = known.only(known.customer != "CUST00001")
    assert 0 < len(kept) < len(known)
    np.testing.assert_array_equal(changed.contact_id, kept.contact_id)
    pd.testing.assert_frame_equal(changed.features, kept.features)
    pd.testing.assert_frame_equal(changed.outcomes, kept.outcomes)
    np.testing.assert_array_equal(changed.arm, kept.arm)


@pytest.mark.slow
@pytest.mark.parametrize("lines", [1200, 1])
def test_slices_of_customers_give_what_one_gives(hand, monkeypatch, lines):
    whole = contact_experiment(hand, "both", COST)
    monkeypatch.setattr(module, "LINES", lines)
    monkeypatch.setattr(features_module, "EXPANDED", 50)
    assert len(module._slices(41, hand.rows("transactions"))) == (41 if lines == 1 else 3)
    parts = contact_experiment(hand, "both", COST)
    pd.testing.assert_frame_equal(parts.features, whole.features)
    pd.testing.assert_frame_equal(parts.outcomes, whole.outcomes)
    np.testing.assert_array_equal(parts.contact_id, whole.contact_id)


def test_what_a_shop_does_not_record_is_left_out(tmp_path):
    frames = hand_frames()
    frames["customers"] = frames["customers"][["CustomerID"]]
    frames["promotions"] = frames["promotions"].drop(columns="Discount")
    frames["contacts"] = frames["contacts"].drop(columns=["TrialID", "Probability", "Redeemed"])
    shop = loaded(tmp_path, frames)
    log = contact_experiment(shop, "log", COST)
    assert not {"age", "female", "segment", "tenure"} & set(log.features)
    assert (log.features[["promotion_now", "promotion_ahead"]] == 0).all().all()
    assert log.features["redeemed_depth"].isna().all()
    with pytest.raises(ValueError, match="no contacts of this kind: trial"):
        contact_experiment(shop, "trial")


def test_arms_are_numbers_and_a_gift_gives_the_whole_price(tmp_path):
    frames = hand_frames()
    frames["contacts"]["Arm"] = frames["contacts"]["Arm"].replace({"10": "5.0", "25": "100"})
    lines, redeemed = frames["transactions"], frames["transactions"]["ContactID"] != ""
    lines.loc[redeemed, ["Discount", "TotalAmount"]] = [1.0, 0.0]
    both = contact_experiment(loaded(tmp_path, frames), "both", COST)
    assert both.arms == ("none", "0", "5", "100")
    assert both.counts.tolist()[2] == frames["contacts"].query("Arm in ('5', '5.0') and ProductID != ''").shape[0]
    full = (lines["Quantity"] * lines["UnitPrice"])[redeemed].groupby(lines["ContactID"]).sum()
    known = np.isfinite(both.outcome("discount"))
    given = pd.Series(both.contact_id[known]).map(full).fillna(0)
    assert (given > 0).any()
    np.testing.assert_allclose(both.outcome("discount")[known], given, atol=0.01)


def test_shops_without_what_it_takes_are_refused(hand, tmp_path):
    def refused(name: str, table: str, frame: pd.DataFrame | None) -> Shop:
        shutil.copytree(hand.folder, tmp_path / name)
        shop = Shop(tmp_path / name)
        shop.path(table).unlink() if frame is None else frame.to_parquet(shop.path(table), index=False)
        return shop

    products, contacts = hand.frame("products"), hand.frame("contacts")
    with pytest.raises(ValueError, match="no contacts about a product"):
        contact_experiment(refused("a", "contacts", None))
    with pytest.raises(ValueError, match="no contacts about a product"):
        contact_experiment(
            refused("b", "contacts", contacts.assign(product_id=contacts["product_id"].mask(contacts["time"].notna())))
        )
    with pytest.raises(ValueError, match=r"no margin.*MARGIN=\.25"):
        contact_experiment(refused("c", "products", products.drop(columns="margin")))
    with pytest.raises(ValueError, match=r"no price.*column Price"):
        contact_experiment(refused("d", "products", products.drop(columns="price")))
    some = products.assign(margin=products["margin"].where(~products["product_id"].isin(["PROD00002", "PROD00003"])))
    with pytest.raises(ValueError, match="2 of 12 products have no margin, such as PROD00002"):
        contact_experiment(refused("e", "products", some))
    with pytest.raises(ValueError, match="no contacts of this kind: log"):
        contact_experiment(refused("f", "contacts", contacts.assign(trial_id="T")), "log")


@pytest.mark.parametrize("rows", [0, 1, 400])
def test_the_ledger_sums_as_a_loop_does(rows):
    rng = np.random.default_rng(rows)
    group, second, units = rng.integers(0, 9, rows), rng.integers(0, 50, rows), rng.integers(-3, 9, rows)
    ledger = PrefixSums.of(group, second, {"units": units})
    asked, since, until = rng.integers(0, 11, 300), rng.integers(-9, 60, 300), rng.integers(-9, 60, 300)
    until = np.maximum(since, until)
    got, last = ledger.between(asked, since, until), ledger.last(asked, until)
    for i, (g, a, b) in enumerate(zip(asked, since, until, strict=True)):
        inside = (group == g) & (second >= a) & (second < b)
        assert (got["rows"][i], got["units"][i]) == (inside.sum(), units[inside].sum())
        earlier = second[(group == g) & (second < b)]
        np.testing.assert_equal(last[i], float(earlier.max()) if len(earlier) else np.nan)
    np.testing.assert_array_equal(ledger.order[np.lexsort((np.arange(rows), second, group)).argsort()], np.arange(rows))
