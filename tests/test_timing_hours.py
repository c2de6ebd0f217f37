"""Hours and weekdays: the habits of a known world are found, the clock has no ends, and few visits are drawn towards everybody's."""

import numpy as np
import pytest

from promo_helpers.features.purchases import Purchases
from promo_helpers.models import send_time as st


def world(rng, customers, visits, pull=2.0):
    """Visits [customer, hour] of customers with a preferred hour, in a shop that is open from 8 to 22."""
    base = np.zeros(24)
    base[8:22] = rng.uniform(0.5, 2, 14)
    hers = rng.integers(8, 22, customers)
    shares = base * st.hour_kernel(pull)[hers]
    shares /= shares.sum(axis=1, keepdims=True)
    return hers, np.stack([rng.multinomial(n, s) for n, s in zip(np.broadcast_to(visits, customers), shares, strict=True)])


@pytest.fixture(scope="module")
def known():
    rng = np.random.default_rng(0)
    hers, counts = world(rng, 1500, rng.integers(1, 60, 1500))
    return hers, counts, st.fit_habit(counts, {s: st.hour_kernel(s) for s in st.PULLS})


def test_the_strength_and_the_hours_of_a_world_are_found(known):
    hers, counts, habit = known
    assert habit.strength == 2.0
    own = st.circular_mean(habit.weights(counts))
    many = counts.sum(axis=1) >= 30
    gap = np.abs((own - hers + 12) % 24 - 12)
    assert gap[many].mean() < 1
    assert gap.mean() < np.abs(st.circular_mean(counts) - hers).mean()  # the raw mean is drawn to the shop's busy hours
    np.testing.assert_allclose(habit.shares.sum(axis=1), 1)
    np.testing.assert_allclose(habit.foretold(counts).sum(axis=1), 1)


def test_no_preference_is_found_where_there_is_none():
    rng = np.random.default_rng(1)
    counts = rng.multinomial(20, np.full(7, 1 / 7), 2000)
    assert st.fit_habit(counts, {s: st.day_kernel(s) for s in st.LIFTS}).strength <= 1.25
    hers = rng.integers(0, 7, 2000)
    tilted = np.where(np.eye(7, dtype=bool), 3.0, 1.0)[hers] / 9
    counts = np.stack([rng.multinomial(20, t) for t in tilted])
    habit = st.fit_habit(counts, {s: st.day_kernel(s) for s in st.LIFTS})
    assert habit.strength == 3.0
    assert (habit.weights(counts).argmax(axis=1) == hers).mean() > 0.8


def test_without_visits_a_customer_has_everybodys_habit(known):
    habit = known[2]
    nobody = habit.weights(np.zeros((1, 24)))
    np.testing.assert_allclose(nobody[0], habit.prior, atol=1e-12)
    one = np.zeros((1, 24))
    one[0, 20] = 1
    drawn = st.circular_mean(habit.weights(one))[0]
    assert st.circular_mean(nobody)[0] < drawn < 20  # between everybody's and the one visit
    with pytest.raises(ValueError, match="no visits"):
        st.fit_habit(np.zeros((5, 24)), {1.0: st.hour_kernel(1.0)})


def test_without_any_habit_the_hour_is_the_shops():
    rng = np.random.default_rng(2)
    counts = np.zeros((300, 24), int)
    counts[:, 9:13] = rng.multinomial(3, np.full(4, 0.25), 300)
    flat = st.fit_habit(counts, {0.0: st.hour_kernel(0.0)})
    np.testing.assert_allclose(st.personal_hours(flat, counts), 10.5, atol=0.2)
    assert (flat.prior[counts.sum(axis=0) == 0] < 1e-12).all()  # nobody prefers an hour at which the shop is closed
    tilted = st.fit_habit(counts, {2.0: st.hour_kernel(2.0)})
    assert (np.abs(st.personal_hours(tilted, counts) - 10.5) <= 2).all()


def test_the_clock_has_no_ends():
    night = np.zeros((1, 24))
    night[0, [23, 1]] = 5
    assert st.circular_mean(night)[0] % 24 == pytest.approx(0, abs=1e-9)
    assert st.near(np.array([23.5]), night)[0] == 1
    assert st.window(night)[0, 0] == 10
    before, after = (st.notice_factor(np.array([h]), np.array([1.0]), 0.8)[0] for h in (23.0, 3.0))
    assert before == pytest.approx(after)
    assert before < 1


def test_the_method_is_chosen_by_later_visits(known):
    """Two rushes: her own hour lies between her visits' hours; with no rush at all every method of hers does."""
    rng = np.random.default_rng(4)
    base = np.zeros(24)
    base[[8, 20]] = 1
    shares = base * st.hour_kernel(1.0)[rng.integers(8, 21, 400)]
    shares /= shares.sum(axis=1, keepdims=True)
    before, after = (np.stack([rng.multinomial(12, s) for s in shares]) for _ in range(2))
    method, table = st.best_method(before, after)
    by = table.set_index("method")["mean"]
    assert method in ("her busiest hour", "her most frequent hour")
    assert by[method] == by.max() > by["mean of her hours"]
    habit = st.fit_habit(before, {p: st.hour_kernel(p) for p in st.PULLS})
    assert by["her own hour"] == pytest.approx(np.nanmean(st.near(st.personal_hours(habit, before), after)))
    given = st.best_hours(habit, np.zeros((1, 24)), 13.5)
    assert given["one hour for all"][0] == given["mean of her hours"][0] == 13.5


def test_noticing_and_shares_by_hand():
    assert st.notice_factor(np.array([6.0, 18.0]), np.array([6.0, 6.0]), 0.8).tolist() == pytest.approx([1, np.exp(-1.6)])
    later = np.array([[1, 0, 3, 0, 0, 0, 0], [0] * 7])
    share = st.on_day(np.array([2, 2]), later)
    assert share[0] == 0.75
    assert np.isnan(share[1])
    table = st.over_customers({"a": np.array([1.0, np.nan, 3.0])})
    assert table.loc[0, "mean"] == 2
    assert table.loc[0, "customers"] == 2
    assert table.loc[0, "high"] == pytest.approx(2 + 1.96 * np.sqrt(2) / np.sqrt(2))


def test_visits_are_baskets_counted_once(corner):
    purchases = Purchases.of(corner)
    hours, weekdays = st.visits(purchases, 10, 40)
    lines = corner.frame("transactions", ["customer_id", "basket_id", "time", "units"])
    lines = lines[lines["units"] > 0].drop_duplicates("basket_id")
    day = (lines["time"].dt.normalize() - purchases.start).dt.days
    lines = lines[(day >= 10) & (day < 40)]
    plain = lines.groupby(["customer_id", lines["time"].dt.hour]).size()
    for (customer, hour), n in plain.items():
        assert hours[purchases.customers.get_loc(customer), hour] == n
    assert hours.sum() == weekdays.sum() == len(lines)
    np.testing.assert_array_equal(weekdays.sum(axis=0), np.bincount(lines["time"].dt.weekday, minlength=7))


def test_by_count_names_its_bins():
    values = {"a": np.arange(6.0), "b": np.zeros(6)}
    table = st.by_count(values, np.array([0, 0, 1, 2, 60, 70]), ["a"])
    assert table["visits"].tolist() == ["0", "1-2", "51+"]
    assert table["mean"].tolist() == [0.5, 2.5, 4.5]
