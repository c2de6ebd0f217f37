"""Campaigns as the log shows them: counts, what lay before a contact, and whether the mailing can be predicted."""

import numpy as np
import pandas as pd
import pytest

from promo_helpers import explore
from tests.shops import shop_frames

FIRST, LAST = pd.Timestamp("2025-01-06"), pd.Timestamp("2025-03-16")


def test_campaigns_are_counted(corner):
    given = shop_frames()["contacts"]
    table = explore.campaign_table(corner, FIRST, LAST).set_index("campaign_id")
    assert table.index.tolist() == ["SPRING", "SUMMER"]  # by their start
    for name, row in table.iterrows():
        mine = given[given["CampaignID"] == name]
        sent = mine[mine["Arm"] != "none"]
        assert row["start"] == pd.Timestamp(mine["ContactTime"].iloc[0])
        assert (row["contacted"], row["redeemed"]) == (len(sent), (mine["Redeemed"] == "true").sum())
        assert row["share"] == pytest.approx(len(sent) / len(mine))
        assert row["rate"] == pytest.approx(row["redeemed"] / len(sent))
    assert table.loc["SPRING", "end"] == pd.Timestamp("2025-02-23")
    assert table["seen"].tolist() == [True, False]  # no promotion says when SUMMER ends


@pytest.mark.parametrize(
    ("first", "last", "seen"),
    [(FIRST, LAST, True), (FIRST, "2025-02-22", False), (FIRST, "2025-02-23", True), ("2025-02-11", LAST, False)],
)
def test_a_campaign_is_seen_where_all_of_it_lies_in_the_data(corner, first, last, seen):
    table = explore.campaign_table(corner, pd.Timestamp(first), pd.Timestamp(last)).set_index("campaign_id")
    assert table.loc["SPRING", "seen"] == seen


def test_what_lay_before_a_contact(corner):
    trips = explore.baskets(corner)
    history = explore.before_contact(corner, trips)
    assert set(history["campaign_id"]) == {"SUMMER"}  # SPRING has five weeks before it
    contacts = shop_frames()["contacts"]
    contacts = contacts[contacts["CampaignID"] == "SUMMER"].set_index("CustomerID")
    assert sorted(history["customer_id"]) == sorted(contacts.index)
    start = pd.Timestamp("2025-03-10 09:00")
    for row in history.itertuples():
        mine = [
            t for t in trips.itertuples() if t.customer_id == row.customer_id and start - pd.Timedelta(days=56) <= t.time < start
        ]
        assert row.baskets == len(mine)
        assert row.spend == pytest.approx(sum(t.spend for t in mine))
        assert row.sent == (contacts.loc[row.customer_id, "Arm"] != "none")


def test_nothing_from_the_contact_on_counts(corner):
    trips = explore.baskets(corner)
    planted = trips.head(1).assign(spend=1e9, time=pd.Timestamp("2025-03-10 09:00"))
    before = explore.before_contact(corner, trips)
    pd.testing.assert_frame_equal(explore.before_contact(corner, pd.concat([trips, planted], ignore_index=True)), before)
    planted["time"] -= pd.Timedelta(microseconds=1)
    moved = explore.before_contact(corner, pd.concat([trips, planted], ignore_index=True))
    assert moved["spend"].max() >= 1e9  # so that the plant is one that shows


def test_no_campaign_with_weeks_before_it(corner):
    late = explore.baskets(corner)
    history = explore.before_contact(corner, late[late["time"] >= "2025-02-01"])
    assert history.empty
    assert set(history.columns) == {"campaign_id", "customer_id", "sent", "spend", "baskets"}
    assert explore.contacted_against_spared(history).empty


def history_of(rng, n, pull):
    """A campaign that mails by spending as hard as `pull` says."""
    level = rng.normal(size=n)
    return pd.DataFrame(
        {
            "campaign_id": "C",
            "customer_id": [f"c{i}" for i in range(n)],
            "sent": rng.random(n) < 1 / (1 + np.exp(-pull * level)),
            "spend": np.expm1(3 + 0.5 * level),
            "baskets": rng.poisson(3, n),
        }
    )


def test_a_mailing_by_chance_and_one_by_spending():
    rng = np.random.default_rng(3)
    tables = {pull: explore.contacted_against_spared(history_of(rng, 3000, pull)).iloc[0] for pull in (0.0, 2.0)}
    assert tables[0.0]["auc"] == pytest.approx(0.5, abs=0.04)  # twice the standard error of 3,000, and a little
    assert abs(tables[0.0]["difference"]) < 0.11  # three standard errors
    assert tables[0.0]["ratio"] == pytest.approx(1, abs=0.07)
    assert tables[2.0]["auc"] > 0.75
    assert tables[2.0]["difference"] > 0.8
    assert tables[2.0]["ratio"] > 1.4


def test_contacted_against_spared_by_hand():
    history = history_of(np.random.default_rng(4), 400, 1.0)
    row = explore.contacted_against_spared(history).iloc[0]
    sent, spared = history[history["sent"]], history[~history["sent"]]
    assert row["contacted"] == len(sent)
    assert row["ratio"] == pytest.approx(sent["spend"].mean() / spared["spend"].mean())
    a, b = np.log1p(sent["spend"]), np.log1p(spared["spend"])
    assert row["difference"] == pytest.approx((a.mean() - b.mean()) / np.sqrt((a.var() + b.var()) / 2))


def test_campaigns_with_few_of_either_are_left_out():
    history = history_of(np.random.default_rng(4), 120, 0.0)
    history["sent"] = np.arange(120) < 49
    assert explore.contacted_against_spared(history).empty
    history["sent"] = np.arange(120) < 71
    assert explore.contacted_against_spared(history).empty
    history["sent"] = np.arange(120) < 50
    assert len(explore.contacted_against_spared(history)) == 1


def test_trials_are_told_from_what_a_rule_chose(monkeypatch):
    apart = pd.DataFrame({"campaign_id": ["t1", "r1", "r2"], "auc": [0.5, 0.7, 0.8]})

    class Marked:
        def has(self, *_):
            return True

        def frame(self, *_):
            return pd.DataFrame({"campaign_id": ["t1", "r1", "r2", None], "trial_id": ["t", None, None, "u"]})

    kinds = explore.apart_by_kind(Marked(), apart)
    assert kinds.loc["rule"].tolist() == pytest.approx([2, 0.75, 0.05, 0.7, 0.8])
    assert kinds.loc["trial", ["campaigns", "estimate", "low", "high"]].tolist() == [1, 0.5, 0.5, 0.5]
    assert np.isnan(kinds.loc["trial", "se"])
    rules = explore.apart_by_kind(Marked(), apart[1:])
    assert rules.loc["trial", "campaigns"] == 0
    assert rules.loc["trial", ["estimate", "low", "high"]].isna().all()
    assert explore.apart_by_kind(Marked(), apart[:0]).empty
    monkeypatch.setattr(Marked, "has", lambda *_: False)
    assert explore.apart_by_kind(Marked(), apart).empty
