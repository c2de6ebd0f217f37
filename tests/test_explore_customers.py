"""Customers: baskets, pauses, spending, and RFM from strictly earlier baskets only."""

import numpy as np
import pandas as pd
import pytest

from promo_helpers import explore
from tests.shops import shop_frames

AS_OF = pd.Timestamp("2025-03-01")


@pytest.fixture
def trips(corner):
    return explore.baskets(corner)


def test_baskets_are_the_lines_added_up(trips):
    lines = shop_frames()["transactions"]
    expected = {}
    for basket, group in lines.groupby("BasketID"):
        [customer], [time] = set(group["CustomerID"]), set(group["TransactionDate"])
        cents = sum(round(float(p) * 100) for p in group["TotalAmount"])
        expected[basket] = (customer, pd.Timestamp(time), len(group), int(group["Quantity"].sum()), cents / 100)
    assert trips.columns.tolist() == ["basket_id", "customer_id", "time", "lines", "units", "spend"]
    assert {b: tuple(row) for b, *row in trips.itertuples(index=False)} == expected
    assert trips[["customer_id", "time", "basket_id"]].apply(tuple, axis=1).is_monotonic_increasing


def test_gaps_count_days_and_not_baskets():
    times = [
        "2025-01-01 09:00",
        "2025-01-01 18:00",
        "2025-01-04 08:00",
        "2025-01-05 23:00",
        "2025-01-02 07:00",
        "2025-02-01 07:00",
    ]
    trips = pd.DataFrame({"customer_id": list("aaaabb"), "time": pd.to_datetime(times)})
    assert explore.gaps(trips).tolist() == [3, 1, 30]
    assert explore.gaps(trips.iloc[:2]).empty


def test_concentration_by_hand():
    curve = explore.concentration(pd.Series([10.0, 60.0, 0.0, 30.0]))
    np.testing.assert_allclose(curve["customers"], [0, 0.25, 0.5, 0.75, 1])
    np.testing.assert_allclose(curve["spend"], [0, 0.6, 0.9, 1.0, 1.0])
    assert explore.top_share(curve, 0.25) == pytest.approx(0.6)
    assert explore.top_share(curve, 0.375) == pytest.approx(0.75)  # half-way to the second customer


def test_rfm_against_a_plain_count(trips):
    table = explore.rfm(trips, AS_OF).set_index("customer_id")
    past = [t for t in trips.itertuples() if t.time < AS_OF]
    assert set(table.index) == {t.customer_id for t in past}
    for customer, row in table.iterrows():
        mine = [t for t in past if t.customer_id == customer]
        assert row["frequency"] == len(mine)
        assert row["monetary"] == pytest.approx(sum(t.spend for t in mine))
        assert row["recency"] == pytest.approx((AS_OF - max(t.time for t in mine)) / pd.Timedelta(days=1))
    for score, column, sign in (("r", "recency", -1), ("f", "frequency", 1), ("m", "monetary", 1)):
        values = (sign * table[column]).tolist()
        # the fifth of the customers that a value falls in: how many are no better, ties in one fifth
        assert table[score].tolist() == [int(np.ceil(5 * sum(o <= v for o in values) / len(values))) for v in values]


def test_rfm_ignores_what_comes_later(trips):
    """A basket at the moment itself, and one far in the future, of a known and of a new customer, change nothing."""
    planted = pd.DataFrame(
        {
            "basket_id": ["X1", "X2", "X3"],
            "customer_id": [trips["customer_id"].iloc[0], trips["customer_id"].iloc[1], "NEW"],
            "time": [AS_OF, AS_OF + pd.Timedelta(weeks=1), AS_OF + pd.Timedelta(seconds=1)],
            "lines": 1,
            "units": 1,
            "spend": 1e9,
        }
    )
    before = explore.rfm(trips[trips["time"] < AS_OF], AS_OF)
    pd.testing.assert_frame_equal(explore.rfm(pd.concat([trips, planted], ignore_index=True), AS_OF), before)
    moment_later = explore.rfm(pd.concat([trips, planted], ignore_index=True), AS_OF + pd.Timedelta(microseconds=1))
    assert moment_later["monetary"].max() >= 1e9  # so that the plant is one that shows


@pytest.mark.parametrize(
    ("r", "f", "m", "segment"),
    [
        (5, 5, 5, "champions"),
        (4, 4, 4, "champions"),
        (4, 3, 4, "loyal"),
        (3, 3, 3, "loyal"),
        (5, 1, 1, "new or rising"),
        (3, 1, 1, "fading"),
        (2, 5, 5, "at risk"),
        (1, 3, 3, "at risk"),
        (2, 2, 2, "fading"),
        (1, 2, 3, "lost"),
        (1, 1, 1, "lost"),
    ],
)
def test_segments_follow_the_rules(monkeypatch, r, f, m, segment):
    scores = iter([r, f, m])
    monkeypatch.setattr(explore, "_fifths", lambda values: pd.Series(next(scores), index=values.index))
    trips = pd.DataFrame({"customer_id": ["a"], "time": [AS_OF - pd.Timedelta(days=1)], "spend": [1.0]})
    assert explore.rfm(trips, AS_OF)["segment"].tolist() == [segment]


def test_segment_table_adds_up(trips):
    scores = explore.rfm(trips, AS_OF)
    table = explore.segment_table(scores)
    assert table["customers"].sum() == len(scores)
    assert table["share"].sum() == pytest.approx(1)
    assert table["spend share"].sum() == pytest.approx(1)
    order = list(explore.SEGMENTS)
    assert [order.index(s) for s in table["segment"]] == sorted(order.index(s) for s in table["segment"])
    for row in table.to_dict("records"):
        mine = scores[scores["segment"] == row["segment"]]
        assert row["customers"] == len(mine)
        assert row["spend share"] == pytest.approx(mine["monetary"].sum() / scores["monetary"].sum())
        medians = (np.median(mine["recency"]), np.median(mine["frequency"]), np.median(mine["monetary"]))
        assert (row["recency"], row["baskets"], row["spend"]) == pytest.approx(medians)
