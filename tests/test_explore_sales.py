"""Sales over time: against plain sums, and series whose parts are known."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

from promo_helpers import explore
from promo_helpers.shop.loading import load_shop
from tests.shops import shop_frames, write_shop


@pytest.fixture(scope="module")
def daily(corner):
    return explore.daily_sales(corner)


def test_sizes(corner):
    table = explore.table_sizes(corner).set_index("table")
    given = shop_frames()
    assert table["rows"].to_dict() == {name: len(frame) for name, frame in given.items()}
    derived = {"transactions": 3 - 1}  # list and paid cents and is_return; the amount paid is held as cents
    assert table["columns"].to_dict() == {n: f.shape[1] + derived.get(n, 0) for n, f in given.items()}
    days = given["transactions"]["TransactionDate"].str[:10]
    assert table.loc["transactions", ["first", "last"]].tolist() == [days.min(), days.max()]
    assert table.loc["contacts", ["first", "last"]].tolist() == ["2025-02-10", "2025-03-10"]
    assert table.loc[["customers", "products", "stores"], ["first", "last"]].isna().all(axis=None)


def test_daily_sales_against_a_plain_sum(daily):
    lines = shop_frames()["transactions"]
    lines["day"] = lines["TransactionDate"].str[:10]
    days = dict(iter(lines.groupby("day")))
    assert daily["day"].tolist() == pd.date_range(min(days), max(days)).tolist()
    for row in daily.itertuples():
        mine = days.get(f"{row.day:%Y-%m-%d}", lines.iloc[:0])
        assert row.sales == pytest.approx(mine["TotalAmount"].sum())
        assert row.listed == pytest.approx((mine["Quantity"] * mine["UnitPrice"]).sum())
        assert (row.units, row.baskets, row.customers) == (
            mine["Quantity"].sum(),
            mine["BasketID"].nunique(),
            mine["CustomerID"].nunique(),
        )


def test_a_day_without_a_sale_has_its_row(tmp_path, out):
    frames = shop_frames()
    lines = frames["transactions"]
    frames["transactions"] = lines[~lines["TransactionDate"].str.startswith("2025-02-05")]
    daily = explore.daily_sales(load_shop(write_shop(tmp_path / "corner", frames))).set_index("day")
    assert daily.loc["2025-02-05"].tolist() == [0, 0, 0, 0, 0]
    assert len(daily) == 70


def test_weeks_are_whole_and_start_on_monday():
    days = pd.date_range("2025-01-04", "2025-01-21")  # Saturday to Tuesday: two whole weeks between
    daily = pd.DataFrame({"day": days, "sales": 1.0, "listed": 2.0, "units": 3, "baskets": 4, "customers": 5})
    daily.loc[daily["day"] == "2025-01-08", "sales"] = 11.0
    weeks = explore.weekly_sales(daily)
    assert weeks["week"].tolist() == [pd.Timestamp("2025-01-06"), pd.Timestamp("2025-01-13")]
    assert weeks["week"].dt.day_name().tolist() == ["Monday", "Monday"]
    assert weeks[["sales", "listed", "units", "baskets"]].to_numpy().tolist() == [[17, 14, 21, 28], [7, 14, 21, 28]]


def test_hours_of_the_week(corner):
    times = pd.to_datetime(shop_frames()["transactions"].drop_duplicates("BasketID")["TransactionDate"])
    table = explore.week_hours(corner)
    assert table.index.tolist() == ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]
    assert table.columns.tolist() == list(range(24))
    counts = np.zeros((7, 24))
    for time in times:
        counts[time.weekday(), time.hour] += 1
    np.testing.assert_allclose(table.to_numpy(), counts / len(times))


def known_series(days=200, noise=1.0):
    rng = np.random.default_rng(5)
    time = np.arange(days)
    week = np.tile([-8.0, -6, -3, 0, 2, 6, 9], days // 7 + 1)[:days]
    trend = 100 + 0.1 * time
    return pd.DataFrame({"day": pd.date_range("2025-01-06", periods=days), "sales": trend + week + rng.normal(0, noise, days)}), (
        trend,
        week,
    )


def test_decompose_finds_the_parts_that_were_put_in():
    daily, (trend, week) = known_series()
    parts = explore.decompose(daily)
    assert parts.columns.tolist() == ["day", "observed", "trend", "week", "rest"]
    np.testing.assert_allclose(parts["trend"] + parts["week"] + parts["rest"], daily["sales"])
    assert np.abs(parts["trend"] - trend).max() < 1.0
    assert np.abs(parts["week"] - week).max() < 1.5
    assert parts["rest"].std() == pytest.approx(1, abs=0.2)


def test_decompose_leaves_a_holiday_in_the_rest():
    daily, _ = known_series()
    spoilt = daily.copy()
    spoilt.loc[100, "sales"] += 300
    quiet, loud = explore.decompose(daily), explore.decompose(spoilt)
    assert loud["rest"][100] - quiet["rest"][100] == pytest.approx(300, abs=3)
    assert np.abs(loud["trend"] - quiet["trend"]).max() < 1


def test_decompose_refuses_a_short_series():
    daily, _ = known_series(27)
    with pytest.raises(ValueError, match="27 days") as error:
        explore.decompose(daily)
    assert str(error.value) == "27 days are too few to tell a trend from a week; four weeks are the least"
    assert len(explore.decompose(known_series(28)[0])) == 28


def test_decompose_of_another_measure(daily):
    np.testing.assert_allclose(explore.decompose(daily, "units")["observed"], daily["units"])


def test_strength_by_hand():
    parts = pd.DataFrame({"week": [1.0, -1, 1, -1], "trend": [0.0, 0, 0, 0], "rest": [1.0, 1, -1, -1]})
    assert explore.strength(parts, "week") == pytest.approx(0.5)  # variances 4/3 of the rest, 8/3 of both
    assert explore.strength(parts, "trend") == 0
    assert explore.strength(parts.assign(week=-0.5 * parts["rest"]), "week") == 0  # never below nothing


def test_autocorrelation_by_hand():
    values = np.random.default_rng(2).normal(size=90).cumsum()
    table = explore.autocorrelation(pd.Series(values), lags=30)
    centred = values - values.mean()
    expected = [centred[k:] @ centred[:-k] / (centred @ centred) for k in range(1, 31)]
    assert table["lag"].tolist() == list(range(1, 31))
    np.testing.assert_allclose(table["correlation"], expected, atol=1e-12)
    np.testing.assert_allclose(table["band"], norm.ppf(1 - 0.05 / 60) / np.sqrt(90))
    assert len(explore.autocorrelation(pd.Series(values[:20]), lags=60)) == 9  # half of a short series


@pytest.mark.slow
def test_the_band_holds_all_lags_at_once():
    """White noise leaves the band somewhere in about one series of twenty, and never in more than chance allows."""
    rng = np.random.default_rng(0)
    tables = [explore.autocorrelation(pd.Series(rng.normal(size=300)), lags=40) for _ in range(300)]
    left = sum((t["correlation"].abs() > t["band"]).any() for t in tables)
    assert 2 <= left <= 27  # Bonferroni's band is cautious; 27 of 300 is the 99.9 % point of 5 %


def test_two_holidays_make_no_peak_when_capped():
    values = pd.Series(np.random.default_rng(1).normal(size=300))
    values[[100, 130]] = 40.0
    loud, capped = explore.autocorrelation(values), explore.autocorrelation(values, cap=0.01)
    peak = loud["lag"] == 30
    assert loud.loc[peak, "correlation"].item() > loud.loc[peak, "band"].item() > abs(capped.loc[peak, "correlation"].item())
