"""The sentence a marketer reads, and the saved models behind it: there and back, a cold start, a date outside the data."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

from promo_helpers.features import baskets, waiting
from promo_helpers.features.purchases import Purchases
from promo_helpers.models import next_product, outlook, saved, send_time, timing
from promo_helpers.models.saved import label_encoder

THURSDAY = pd.Timestamp("2025-06-05")
VIEW = outlook.Outlook("CUST00148", False, THURSDAY, 7, 5, 10, 28, 0.9, "Bread", 0.2, 6, 19)


def test_the_sentence_word_by_word():
    assert outlook.sentence(VIEW) == (
        "Send CUST00148 a bread offer on Tuesday 10 June in the evening; expected back in about 6 days (4 to 9)."
    )
    assert outlook.reasons(VIEW) == (
        "CUST00148 is expected back by Wednesday 11 June 2025 with a chance of one half, within 28 days with a chance of 90%; "
        "a product of the next basket is from Bread with a chance of 20%."
    )


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"what": "Eggs"}, "an eggs offer"),
        ({"hour": 9}, "in the morning;"),
        ({"hour": 13}, "in the afternoon;"),
        ({"hour": 2}, "on Tuesday 10 June at night;"),
        ({"send": 1, "low": 1, "middle": 2, "high": 3}, "on Thursday 5 June in the evening; expected back tomorrow (0 to 2)"),
        ({"send": 1, "low": 1, "middle": 1, "high": 2}, "on Thursday 5 June in the evening; expected back today (0 to 1)"),
        ({"send": 28, "middle": 28}, "on Wednesday 2 July in the evening; expected back in about 27 days"),
        ({"high": 29}, "(4 to 28 or more)"),
        ({"customer": "148"}, "Send customer 148 a bread offer"),
        ({"cold": True}, "CUST00148 (cold start: no history, so what others do after a first visit)"),
        (
            {"middle": 29, "high": 29, "back": 0.04},
            "Do not time an offer to CUST00148: the chance of coming within 28 days is 4%",
        ),
    ],
)
def test_what_the_sentence_says(changes, said):
    assert said in outlook.sentence(dataclasses.replace(VIEW, **changes))


def test_an_offer_never_leaves_after_the_expected_visit():
    rng = np.random.default_rng(0)
    for _ in range(300):
        curve = np.cumsum(rng.dirichlet(np.full(29, 0.3)))[:28]
        forecast = waiting.of_curve(curve[None, :])
        low, middle = int(forecast.low[0]), int(forecast.middle[0])
        if middle > 28:
            continue
        send = outlook.sending_day(curve, low, middle)
        assert low <= send <= middle
        hazard = np.diff(curve, prepend=0) / (1 - np.append(0, curve[:-1]))
        assert hazard[send - 1] >= hazard[low - 1 : middle].max() - 1e-8
        view = dataclasses.replace(VIEW, send=send, low=low, middle=middle, high=int(forecast.high[0]))
        date = THURSDAY + pd.Timedelta(days=send - 1)
        assert f"on {date:%A} {date.day} {date:%B} in the evening" in outlook.sentence(view)


def test_the_sending_day_follows_the_weekday_of_the_curve_and_not_beyond_the_middle():
    hazard = np.full(28, 0.05)
    hazard[[2, 9, 16]] = 0.3  # one weekday of three weeks
    curve = 1 - np.cumprod(1 - hazard)
    assert outlook.sending_day(curve, 1, 8) == 3
    assert outlook.sending_day(curve, 4, 12) == 10
    assert outlook.sending_day(curve, 4, 8) == 8  # all alike: the latest before she is expected
    assert outlook.sending_day(curve, 4, 29) == 17
    with pytest.raises(ValueError, match="low = 9, middle = 8: must be 1 <= low <= middle"):
        outlook.sending_day(curve, 9, 8)


def test_whom_to_show_where_a_shop_has_neither():
    def made(low, middle, high):
        return waiting.WaitForecast(np.array(middle, float), np.array(low, float), np.array(high, float))

    assert outlook.pick(made([1, 2, 3], [2, 7, 8], [3, 9, 9]), 28) == {"regular": 2}  # nobody is silent
    assert outlook.pick(made([1, 9], [2, 29], [3, 29]), 28) == {"regular": 0, "silent": 1}  # nobody is due in four days or more
    assert outlook.pick(made([9, 9], [29, 29], [29, 29]), 28) == {"silent": 0}


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
    lines = baskets.next_baskets(classes, fit, 14)[1]
    hours = send_time.visits(purchases, 0, 49)[0]
    when = {
        "daily": timing.fit_daily(fit, days.weekday(fit["date"].to_numpy()), 14, columns, 1),
        "newcomers": timing.after_first(*waiting.newcomers(days, np.arange(30), 0, 49)[:2], 14),
        "hours": outlook.habit_frame(send_time.fit_habit(hours, {1.0: send_time.hour_kernel(1.0)})),
    }
    what = {"labels": label_encoder(classes.classes), "prior": next_product.popularity_shares(lines, 1)[0]}
    settings = (
        {"horizon": 14, "columns": columns, "hour_method": "her busiest hour", "hour_for_all": 18.2},
        {"weight": 10.0, "durable": []},
    )
    return purchases, classes, (when, settings[0]), (what, settings[1])


def view(fitted, customer, moment=56, **changes):
    purchases, classes, when, what = fitted
    return outlook.outlook(
        customer, moment, purchases, classes, {**when[0], "settings": when[1]}, {**what[0], "settings": {**what[1], **changes}}
    )


def test_saved_models_say_the_same_as_before(fitted, out):
    purchases, classes, when, what = fitted
    facts = {
        "shop": {},
        "features": {},
        "trained_from": "2025-01-06",
        "trained_to": "2025-02-24",
        "seed": 1,
        "command": "make paper",
    }
    loaded = []
    for name, (parts, settings) in (("timing_corner", when), ("next_product_corner", what)):
        saved.save(name, parts, {**facts, "settings": settings})
        back, known = saved.load(name)
        loaded.append({**back, "settings": known["settings"]})
    for customer in ("CUST00036", "CUST00001", "nobody"):
        assert outlook.outlook(customer, 56, purchases, classes, *loaded) == view(fitted, customer)


def test_a_saved_forest_has_the_same_bytes_twice(fitted, out):
    """Names of its parts are addresses in memory, and its files bear the time of day, unless that is seen to."""
    facts = {"shop": {}, "features": {}, "trained_from": "", "trained_to": "", "seed": 1, "command": ""}
    features = np.random.default_rng(0).random((80, 3))
    files, models = [], []
    for name in ("a", "b"):
        model = next_product.fit_class_forest(
            features, (features[:, 0] > 0.5).astype(int), {"n_estimators": 4, "max_depth": 3}, 1
        )
        files.append((saved.save(name, {"forest": model}, facts) / "forest.skops").read_bytes())
        models.append(model)
    assert files[0] == files[1]
    back = saved.load("a")[0]["forest"]
    np.testing.assert_array_equal(back.predict_proba(features), models[0].predict_proba(features))


def test_a_customer_without_history_is_a_cold_start_and_gets_everybodys(fitted):
    cold = view(fitted, "nobody at all")
    assert cold.cold
    assert "cold start" in outlook.sentence(cold)
    shares = pd.Series(fitted[3][0]["prior"], fitted[3][0]["labels"].categories_[0])
    assert cold.what == shares.idxmax()
    assert cold.chance == pytest.approx(shares.max())
    curve = fitted[2][0]["newcomers"]
    assert cold.back == curve[-1]
    assert cold.middle == 1 + (curve < 0.5).sum()
    known = view(fitted, "CUST00001")
    assert not known.cold
    assert known.low <= known.middle <= known.high
    assert known.send <= min(known.middle, 14)


def test_the_hour_is_told_by_the_method_that_was_chosen(fitted):
    purchases, _, (parts, settings), _ = fitted
    who = purchases.customers.get_loc("CUST00001")
    hours = send_time.visits(purchases, 0, 56)[0]
    assert hours[who].sum() > 3
    for method in ("her busiest hour", "her most frequent hour", "one hour for all"):
        when = (parts, {**settings, "hour_method": method})
        said = view((*fitted[:2], when, fitted[3]), "CUST00001").hour
        one = hours[[who]]
        plain = {
            "her most frequent hour": one[0].argmax(),
            "one hour for all": 18,
            "her busiest hour": send_time.window(
                send_time.fit_habit(send_time.visits(purchases, 0, 49)[0], {1.0: send_time.hour_kernel(1.0)}).foretold(one)
            )[0].argmax(),
        }
        assert said == plain[method]
    cold = (parts, {**settings, "hour_method": "mean of her hours"})
    assert view((*fitted[:2], cold, fitted[3]), "nobody").hour == 18


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
    assert stranger.chance == pytest.approx(what[0]["prior"].max())  # nothing of hers is known to the model


def test_a_model_of_an_older_version_is_refused_in_a_sentence(fitted):
    purchases, classes, when, what = fitted
    older = ({"labels": pd.DataFrame({"number": [0], "label": ["a"], "share": [1.0]})}, what[1])
    with pytest.raises(ValueError, match="written by an older version: run 05_timing anew"):
        view((purchases, classes, when, older), "CUST00001")
