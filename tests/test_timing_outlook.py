"""The sentence a marketer reads, and the saved models behind it: there and back, a cold start, a date outside the data."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

from promo_helpers.features import baskets, waiting
from promo_helpers.features.purchases import Purchases
from promo_helpers.models import daily, next_product, outlook, saved, send_time, timing
from promo_helpers.models.labels import Labels

THURSDAY = pd.Timestamp("2025-06-05")
VIEW = outlook.Outlook("CUST00148", False, THURSDAY, 7, 5, 10, 28, 0.9, "Bread", 0.2, 3, 19)


def test_the_sentence_word_by_word():
    assert outlook.sentence(VIEW) == "Send CUST00148 a bread offer on Thursday evening, about 7 days from now (4 to 9)."
    assert outlook.reasons(VIEW) == (
        "CUST00148 is expected back by Wednesday 11 June 2025 with a chance of one half, within 28 days with a chance of 90%; "
        "a product of the next basket is from Bread with a chance of 20%."
    )


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"what": "Eggs"}, "an eggs offer"),
        ({"hour": 9}, "Thursday morning"),
        ({"hour": 13}, "Thursday afternoon"),
        ({"hour": 2}, "Thursday night"),
        ({"weekday": 4, "low": 1, "middle": 2, "high": 3}, "on Friday evening, tomorrow (0 to 2)"),
        ({"low": 1, "middle": 1, "high": 2}, "on Thursday evening, today (0 to 1)"),
        (
            {"weekday": 0, "low": 2, "middle": 3, "high": 4},
            "on Saturday evening, about 2 days from now (1 to 3)",
        ),  # no Monday in it
        ({"high": 29}, "(4 to 28 or more)"),
        ({"customer": "148"}, "Send customer 148 a bread offer"),
        ({"cold": True}, "CUST00148 (cold start: no history, so everybody's habits)"),
        (
            {"middle": 29, "high": 29, "back": 0.04},
            "Do not time an offer to CUST00148: the chance of coming within 28 days is 4%",
        ),
    ],
)
def test_what_the_sentence_says(changes, said):
    assert said in outlook.sentence(dataclasses.replace(VIEW, **changes))


def test_weekday_and_number_of_days_always_agree():
    rng = np.random.default_rng(0)
    for _ in range(200):
        low = int(rng.integers(1, 20))
        middle = low + int(rng.integers(0, 5))
        view = dataclasses.replace(
            VIEW, low=low, middle=middle, high=middle + int(rng.integers(0, 9)), weekday=int(rng.integers(7))
        )
        day = outlook.sending_day(view)
        assert low - 1 <= day <= min(view.high, 28) - 1
        name = f"{THURSDAY + pd.Timedelta(days=day):%A}"
        assert f"on {name} evening" in outlook.sentence(view)


def test_an_hour_that_no_day_has():
    with pytest.raises(ValueError, match=r"hour = 24: must lie in 0 .. 23"):
        outlook.part_of_day(24)


@pytest.fixture(scope="module")
def fitted(corner):
    """Small models of the corner shop with the first thirty customers, as they are before saving."""
    purchases = Purchases.of(corner)
    days = waiting.ShoppingDays.of(purchases)
    fit = waiting.moments(days, [25, 35], np.arange(30), 49)
    columns = timing.usable(fit)
    kinds = corner.frame("products", ["product_id", "category"]).set_index("product_id")["category"]
    classes = baskets.ClassDays.of(purchases, kinds, before=49)
    table, lines = baskets.next_baskets(classes, fit, 14)
    traits = list(baskets.features_of(table))
    forest = next_product.forest(
        table[traits].to_numpy(float), next_product.draw(lines, np.random.default_rng(0)), {"n_estimators": 5}, 1
    )
    hours, weekdays = send_time.visits(purchases, 0, 49)
    when = {
        "daily": daily.fit_daily(fit, days.weekday(fit["date"].to_numpy()), 14, columns, 1),
        "everybody": (timing.cut_waits(fit, 14)[:, None] <= np.arange(1, 15)).mean(axis=0),
        "hours": outlook.habit_frame(send_time.fit_habit(hours, {1.0: send_time.hour_kernel(1.0)})),
        "weekdays": outlook.habit_frame(send_time.fit_habit(weekdays, {2.0: send_time.day_kernel(2.0)})),
    }
    labels = Labels.of(classes.classes).frame().assign(share=next_product.popular(lines, 1)[0])
    what = {"forest": forest, "labels": labels}
    settings = {"horizon": 14, "columns": columns}, {"weight": 10.0, "durable": []}
    return purchases, classes, (when, settings[0]), (what, settings[1])


def view(fitted, customer, moment=56, **changes):
    purchases, classes, when, what = fitted
    return outlook.outlook(
        customer, moment, purchases, classes, {**when[0], "settings": when[1]}, {**what[0], "settings": {**what[1], **changes}}
    )


def test_saved_models_say_the_same_as_before(fitted, out):
    purchases, classes, when, what = fitted
    facts = {"features": {}, "trained_from": "2025-01-06", "trained_to": "2025-02-24", "seed": 1, "command": "make paper"}
    loaded = []
    for name, (parts, settings) in (("timing_corner", when), ("next_product_corner", what)):
        saved.save(name, parts, {**facts, "settings": settings})
        back, known = saved.load(name)
        loaded.append({**back, "settings": known["settings"]})
    for customer in ("CUST00036", "CUST00001", "nobody"):
        assert outlook.outlook(customer, 56, purchases, classes, *loaded) == view(fitted, customer)
    assert loaded[1]["forest"].classes_.tolist() == what[0]["forest"].classes_.tolist()


def test_a_saved_forest_has_the_same_bytes_twice(fitted, out):
    """Names of its parts are addresses in memory, and its files bear the time of day, unless that is seen to."""
    facts = {"features": {}, "trained_from": "", "trained_to": "", "seed": 1, "command": ""}
    features = np.random.default_rng(0).random((80, 3))
    files, models = [], []
    for name in ("a", "b"):
        model = next_product.forest(features, (features[:, 0] > 0.5).astype(int), {"n_estimators": 4, "max_depth": 3}, 1)
        files.append((saved.save(name, {"forest": model}, facts) / "forest.skops").read_bytes())
        models.append(model)
    assert files[0] == files[1]
    back = saved.load("a")[0]["forest"]
    np.testing.assert_array_equal(back.predict_proba(features), models[0].predict_proba(features))


def test_a_customer_without_history_is_a_cold_start_and_gets_everybodys(fitted):
    cold = view(fitted, "nobody at all")
    assert cold.cold
    assert "cold start" in outlook.sentence(cold)
    shares = fitted[3][0]["labels"].set_index("label")["share"]
    assert cold.what == shares.idxmax()
    assert cold.chance == pytest.approx(shares.max())
    known = view(fitted, "CUST00001")
    assert not known.cold
    assert known.low <= known.middle <= known.high


def test_the_outlook_is_blind_to_the_future(fitted):
    purchases, classes, when, what = fitted
    rows = purchases.day < 56
    arrays = {n: getattr(purchases, n)[rows] for n in ("who", "what", "day", "hour", "basket", "units", "cents")}
    past = dataclasses.replace(purchases, **arrays)
    early = classes.day < 56
    less = dataclasses.replace(classes, **{n: getattr(classes, n)[early] for n in ("who", "day", "what", "lines")})
    for customer in ("CUST00001", "CUST00020"):
        assert view((past, less, when, what), customer) == view(fitted, customer)


def test_a_date_outside_the_data_is_refused(fitted):
    with pytest.raises(ValueError, match=r"moment = 500: must lie in 1 .. 70"):
        view(fitted, "CUST00001", 500)


def test_what_is_owned_once_is_not_offered_again(fitted):
    plain = view(fitted, "CUST00001")
    again = view(fitted, "CUST00001", durable=[plain.what])
    assert again.what != plain.what


def test_a_class_that_the_model_never_saw_is_passed_over(fitted):
    purchases, classes, when, what = fitted
    renamed = dataclasses.replace(classes, classes=pd.Index([f"new {c}" for c in classes.classes], dtype=object))
    stranger = view((purchases, renamed, when, what), "CUST00001")
    assert stranger.chance == pytest.approx(what[0]["labels"]["share"].max())  # nothing of hers is known to the model
