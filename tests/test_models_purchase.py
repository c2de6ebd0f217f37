"""Who will buy: days that do not overlap, features that see no future, models that beat counting, and nothing that beats the truth."""

import numpy as np
import pandas as pd
import pytest

from promo_helpers.evaluate import ranking
from promo_helpers.features.panel import Panel, planned_discount
from promo_helpers.features.purchases import Purchases
from promo_helpers.market import parameters, simulate
from promo_helpers.models import purchase, saved
from promo_helpers.shop import Shop, ShopWriter


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A small market with its truth: 400 customers at full activity."""
    folder = tmp_path_factory.mktemp("world")
    shop, truth = simulate(parameters("paper", customers=400, activity=1.0), 3, folder / "shop", folder / "truth")
    return shop, truth


@pytest.fixture(scope="module")
def panel(world):
    shop, _ = world
    purchases = Purchases.of(shop)
    return Panel.of(shop, purchases, np.arange(400), np.arange(0, 250, 4))


@pytest.fixture(scope="module")
def learnt(panel):
    fit_days, tune_day, test_days = purchase.schedule(panel.purchases.days, 3, 2)
    fit, tune = purchase.sample(panel, fit_days, 20_000, 0), purchase.sample(panel, [tune_day], 10_000, 0)
    search = purchase.search_purchase_settings(fit.thinned(8_000, 0), 1)
    settings = search[search["chosen"]].set_index("method")["setting"].to_dict()
    return purchase.PurchaseModel.fit(fit, tune, settings, 1), fit, tune, test_days


@pytest.mark.parametrize("days", [200, 365, 549])
def test_windows_of_one_set_end_a_window_before_the_next_begins(days):
    fit, tune, test = purchase.schedule(days, 2, 3)
    assert fit[-1] + 2 * purchase.WINDOW <= tune
    assert tune + 2 * purchase.WINDOW <= test[0]
    assert np.diff(test).tolist() == [14]
    assert test[-1] + purchase.WINDOW == days
    assert min(np.diff(fit)) >= 14


def test_a_short_shop_has_fewer_windows_and_a_shorter_one_is_refused_with_the_days_it_takes():
    fit, _, test = purchase.schedule(200, 6, 4)
    assert (len(fit), len(test)) == (3, 2)
    assert fit[0] >= 4 * purchase.WINDOW
    fit, _, test = purchase.schedule(168, 6, 4)
    assert (len(fit), len(test), fit[0]) == (2, 2, 4 * purchase.WINDOW)
    with pytest.raises(ValueError, match=r"167 days are too few .* 168 needed"):
        purchase.schedule(167, 6, 4)


@pytest.mark.parametrize("days", [120, 400])
def test_the_model_that_is_put_to_use_knows_the_newest_window_and_nothing_later(days):
    fit, tune = purchase.latest(days, 3)
    assert tune + purchase.WINDOW == days
    assert fit[-1] + 2 * purchase.WINDOW <= tune
    assert fit[0] >= 4 * purchase.WINDOW


@pytest.mark.slow
def test_features_do_not_change_when_the_future_does(world, panel, tmp_path):
    """A planted leak: everything from the day on is bought a hundredfold and by others, and no feature may notice."""
    shop, _ = world
    day = 300
    moment = pd.Timestamp(panel.purchases.moment(day))
    with ShopWriter(tmp_path / "planted", source="planted", currency="LKR") as writer:
        for table in ("customers", "products", "stores", "promotions", "transactions", "contacts"):
            frame = shop.frame(table)
            if table in ("transactions", "contacts"):
                late = frame["time"] >= moment
                assert 0.1 < late.mean() < 0.9
                frame.loc[late, "product_id" if table == "transactions" else "arm"] = (
                    "PROD00001" if table == "transactions" else "25"
                )
                if table == "transactions":
                    frame.loc[late, ["units", "list_cents", "paid_cents"]] *= 100
                else:
                    frame.loc[late, "redeemed"] = True
            writer.append(table, frame)
    planted = Shop(tmp_path / "planted")
    other = Panel.of(planted, Purchases.of(planted), panel.who, panel.what)
    (x, names), (z, _) = panel.features(day), other.features(day)
    for k, name in enumerate(names):
        assert np.array_equal(x[:, :, k], z[:, :, k], equal_nan=True), name
    assert not np.array_equal(panel.bought(day), other.bought(day))


def test_features_are_what_plain_pandas_counts(world, panel):
    shop, _ = world
    day = 300
    lines = shop.frame("transactions")
    lines = lines[lines["time"] < panel.purchases.moment(day)]
    x, names = panel.features(day)
    who, what = panel.known(day), panel.what
    pair = lines.groupby(["customer_id", "product_id"])
    baskets, last = pair["basket_id"].nunique(), pair["time"].max()
    trips = lines.groupby("customer_id")["basket_id"].nunique()
    for i, j in ((0, 0), (5, 3), (17, 20), (100, 40)):
        key = (panel.purchases.customers[who[i]], panel.purchases.items[what[j]])
        value = dict(zip(names, x[i, j], strict=True))
        assert value["customer_frequency"] == trips[key[0]]
        if key in baskets.index:
            assert value["pair_baskets"] == baskets[key]
            age = (pd.Timestamp(panel.purchases.moment(day)) - last[key]) / pd.Timedelta(days=1)
            assert value["pair_recency"] == pytest.approx(age, abs=1e-4)
        else:
            assert np.isnan(value["pair_baskets"])
    assert not {"age", "gender", "city"} & {n.removeprefix("customer_") for n in names}


def test_planned_discounts_are_averaged_over_the_days_of_the_window():
    promotions = pd.DataFrame(
        {
            "product_id": ["a", "a", "b", "x"],
            "start_date": pd.to_datetime(["2024-01-01", "2024-01-03", "2023-12-01", "2024-01-01"]),
            "end_date": pd.to_datetime(["2024-01-03", "2024-01-05", "2023-12-31", "2024-01-09"]),
            "discount": [0.1, 0.3, 0.5, 0.5],
        }
    )
    depth = planned_discount(promotions, pd.Index(["a", "b"]), pd.Timestamp("2024-01-02"), 4)
    assert depth.tolist() == pytest.approx([(0.1 + 0.3 + 0.3 + 0.3) / 4, 0.0])


def test_samples_are_weighted_back_to_how_often_each_outcome_occurs(panel):
    day = 400
    data = purchase.sample(panel, [day], 4_000, 0)
    assert 0.3 < data.y.mean() <= 0.5
    assert np.average(data.y, weights=data.weight) == pytest.approx(panel.bought(day).mean(), rel=1e-6)


@pytest.mark.slow
def test_models_beat_counting_and_nothing_beats_the_truth(world, panel, learnt):
    _, truth = world
    model, _, _, days = learnt
    rows = []
    for day in days:
        x, names = panel.features(day)
        bought, customers = panel.bought(day), panel.purchases.customers[panel.known(day)]
        best = truth.purchases(customers, panel.purchases.moment(day - 1), purchase.WINDOW)[:, panel.what]
        scores = purchase.baselines(x, names) | model.matrices(x) | {"Bayes-optimal": best}
        for turned in (False, True):
            matrices = {n: s.T if turned else s for n, s in scores.items()}
            rows.append(
                ranking.per_date(matrices, bought.T if turned else bought, [10], 0, date=day).assign(date=day, turned=turned)
            )
        expected = model.matrices(x)["ensemble"].sum()
        assert 0.7 < expected / bought.sum() < 1.4
    values = pd.concat(rows)
    mean = values.groupby(["turned", "metric", "method"])["value"].mean()
    for turned in (False, True):
        level = mean[turned]["ndcg@10"]
        # much better than counting where customers are ranked; as good as it where products are, of which habit says nearly all
        assert level["ensemble"] - level["personal frequency"] > (0.03 if turned else -0.02)
        assert level["personal frequency"] > level["RFM"]
        assert level["Bayes-optimal"] > level["ensemble"]
    over = ranking.paired_differences(values, "Bayes-optimal", ["turned", "metric"])
    assert not (over["low"] > 0).any()


@pytest.mark.slow
def test_a_model_that_sees_the_window_is_caught_by_the_truth(world, panel, learnt):
    """A planted leak: one feature is whether the pair will be bought. Then a model beats the true chances, and the guard says so."""
    _, truth = world
    _, fit, _, days = learnt
    told = purchase.Examples(np.column_stack([fit.x, fit.y]), fit.y, fit.weight, fit.day, [*fit.names, "outcome"], fit.pair)
    leaky = purchase.fit_one("LightGBM", told, {"num_leaves": 7, "num_rounds": 20}, 1)
    rows = []
    for day in days:
        (x, _), bought = panel.features(day), panel.bought(day)
        customers = panel.purchases.customers[panel.known(day)]
        best = truth.purchases(customers, panel.purchases.moment(day - 1), purchase.WINDOW)[:, panel.what]
        flat = np.column_stack([x.reshape(-1, x.shape[2]), bought.ravel()])
        scores = {"leaky": purchase.predicted_probability(leaky, flat).reshape(bought.shape), "Bayes-optimal": best}
        rows.append(ranking.per_date(scores, bought, [10], 0, date=day).assign(date=day))
    over = ranking.paired_differences(pd.concat(rows), "Bayes-optimal", ["metric"])
    assert (over.loc[over["metric"] == "ndcg@10", "low"] > 0).all()


def test_settings_are_judged_on_a_later_day_than_they_are_fitted_on(learnt, monkeypatch):
    _, fit, _, _ = learnt
    seen = []
    monkeypatch.setattr(purchase, "fit_one", lambda name, data, setting, seed: seen.append(data.day.max()))
    monkeypatch.setattr(purchase, "predicted_probability", lambda model, x: np.arange(len(x), dtype=float))
    table = purchase.search_purchase_settings(fit, 1)
    assert max(seen) < fit.day.max()
    assert table.groupby("method")["chosen"].sum().tolist() == [1, 1, 1]
    assert len(table) == sum(np.prod([len(v) for v in grid.values()]) for grid in purchase.GRID.values())


@pytest.mark.slow
def test_the_same_seed_gives_the_same_model_and_saving_keeps_it(learnt, out):
    model, fit, tune, _ = learnt
    again = purchase.fit_one("random forest", fit, {"min_samples_leaf": 40, "max_features": 0.3}, 1)
    twin = purchase.fit_one("random forest", fit, {"min_samples_leaf": 40, "max_features": 0.3}, 1)
    assert np.array_equal(purchase.predicted_probability(again, tune.x), purchase.predicted_probability(twin, tune.x))
    facts = {"features": dict.fromkeys(model.names, "float32"), "trained_from": "", "trained_to": "", "seed": 1, "command": ""}
    facts |= {"shop": {}}
    saved.save("purchase", model.parts(), facts)
    back = purchase.PurchaseModel.of_parts(*saved.load("purchase"))
    assert np.array_equal(back.predict(tune.x)["ensemble"], model.predict(tune.x)["ensemble"])


@pytest.mark.slow
def test_the_importance_of_noise_is_nothing(learnt):
    model, _, tune, _ = learnt
    table = purchase.importances(model, tune.thinned(4_000, 0), 0).set_index("feature")["value"]
    assert table.idxmax() == "pair_expected"
    assert table["customer_morning_share"] < 0.1 * table.max()


@pytest.mark.slow
def test_a_customer_without_history_is_a_cold_start_and_gets_what_is_popular(panel, learnt):
    model, _, _, days = learnt
    early = next(c for c in range(400) if c not in panel.purchases.seen(5))
    name = panel.purchases.customers[early]
    table, note = purchase.likely(model, panel, name, 5, k=3)
    assert note == f"cold start: {name} has bought nothing before {panel.purchases.moment(5):%Y-%m-%d}"
    assert len(table) == 3
    assert table["chance"].is_monotonic_decreasing
    table, note = purchase.likely(model, panel, panel.purchases.customers[panel.known(days[0])[0]], days[0], k=1000)
    assert note == ""
    assert len(table) == len(panel.what)


@pytest.mark.parametrize(
    ("customer", "day", "k", "error", "said"),
    [
        ("NOBODY", 300, 5, KeyError, "'NOBODY' is not in this shop of 400 customers"),
        ("CUST00001", 9_999, 5, ValueError, "lies outside the data"),
        ("CUST00001", 300, 0, ValueError, "at least one item"),
    ],
)
def test_what_cannot_be_asked_is_refused(panel, learnt, customer, day, k, error, said):
    with pytest.raises(error, match=said):
        purchase.likely(learnt[0], panel, customer, day, k)


def test_pairs_that_nobody_bought_cannot_be_learnt_from(panel):
    nothing = purchase.Examples(np.zeros((4, 1)), np.zeros(4, bool), np.ones(4), np.zeros(4), ["a"], np.arange(4))
    with pytest.raises(ValueError, match="none were bought"):
        purchase.joined([nothing])
