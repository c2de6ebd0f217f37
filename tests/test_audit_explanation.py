"""Reasons: exact where the answer is known, additive always; words for every feature; counterfactuals that do flip; a floor; noise."""

from itertools import combinations
from math import factorial

import numpy as np
import pandas as pd
import pytest

from promo_helpers.audit import counterfactual, shapley, wording
from promo_helpers.audit.shapley import Attributions, explain
from promo_helpers.experiment import Experiment
from promo_helpers.experiment.contacts import OUTCOMES, Costs, contact_experiment, decision_features
from promo_helpers.features.panel import Panel
from promo_helpers.features.purchases import Purchases
from promo_helpers.market import simulate
from promo_helpers.market.parameters import parameters
from promo_helpers.models.demand import PRIOR_DISPLACEMENT, DemandResponse, DoseResponse
from promo_helpers.studies import explanation_noise as study
from promo_helpers.studies.explanation_noise import by_chance, noise_counts, noise_verdicts


def frame(rng, n=12, columns=4):
    return pd.DataFrame(rng.normal(size=(n, columns)), columns=[f"f{k}" for k in range(columns)])


def product_rule(x):
    a, b, c, d = x.to_numpy(float).T
    return np.column_stack([3 * a - b + 0 * c, np.exp(a) * np.maximum(b, 0) + d])


def test_a_linear_rule_has_the_values_that_algebra_gives():
    rng = np.random.default_rng(0)
    x, background = frame(rng), frame(rng, 7)
    found = explain(product_rule, x, background, 0)
    expected = np.array([3.0, -1.0, 0.0, 0.0]) * (x - background.mean()).to_numpy()
    assert np.allclose(found.added[..., 0], expected)
    assert np.allclose(found.base[0], product_rule(background)[:, 0].mean())


def exact_values(rule, row, background):
    """Shapley's formula, term by term, over all 2^4 sets of features."""
    value = {}
    for size in range(5):
        for kept in combinations(range(4), size):
            rows = background.to_numpy(copy=True)
            rows[:, kept] = row[list(kept)]
            value[kept] = rule(pd.DataFrame(rows, columns=list(background)))[:, 1].mean()
    out = np.zeros(4)
    for kept, v in value.items():
        for k in set(range(4)) - set(kept):
            weight = factorial(len(kept)) * factorial(3 - len(kept)) / factorial(4)
            out[k] += weight * (value[tuple(sorted((*kept, k)))] - v)
    return out


def test_values_of_a_rule_with_interactions_are_those_of_shapley_s_formula():
    rng = np.random.default_rng(1)
    x, background = frame(rng, 6), frame(rng, 10)
    many = np.mean([explain(product_rule, x, background, k).added for k in range(100)], axis=0)
    exact = np.array([exact_values(product_rule, row, background) for row in x.to_numpy()])
    assert np.allclose(many[..., 1], exact, atol=0.03)
    assert np.abs(exact).max() > 1


def test_a_product_of_two_features_is_shared_equally():
    x, background = pd.DataFrame({"a": [2.0], "b": [3.0], "idle": [9.0]}), pd.DataFrame({"a": [0.0], "b": [0.0], "idle": [0.0]})
    found = explain(lambda z: (z["a"] * z["b"]).to_numpy(), x, background, 0)
    assert found.added[0, :, 0].tolist() == [3.0, 3.0, 0.0]


def test_base_and_values_add_up_with_missing_values_and_groups():
    rng = np.random.default_rng(2)
    x, background = frame(rng), frame(rng, 5)
    x.iloc[::3, 1], background.iloc[1, 1] = np.nan, np.nan

    def rule(z):
        return np.sin(z["f0"].to_numpy()) * z["f1"].fillna(0.3).to_numpy() + z["f3"].to_numpy() ** 2

    for groups in (None, {"first": ["f0", "f2"], "second": ["f1"]}):
        found = explain(rule, x, background, 2, groups)
        assert np.allclose(found.base + found.added.sum(axis=1), rule(x)[:, None], atol=1e-12)
    assert found.players == ("first", "second", "other")


def test_contrasts_and_sums_of_groups_add_up_too():
    rng = np.random.default_rng(3)
    found = explain(product_rule, frame(rng), frame(rng, 5), 3)
    first, second = np.arange(12) % 2, 1 - np.arange(12) % 2
    apart = found.between(first, second).checked()
    assert np.allclose(apart.predicted[:, 0], np.where(first == 0, -1, 1) * (found.predicted[:, 1] - found.predicted[:, 0]))
    assert np.array_equal(found.between(first, np.full(12, -1)).added[0, :, 0], found.added[0, :, 0])
    assert found.grouped({"left": ["f0"]}).checked().players == ("left", "other")


def test_what_does_not_add_up_is_refused():
    rng = np.random.default_rng(4)
    found = explain(product_rule, frame(rng), frame(rng, 5), 3)
    with pytest.raises(ValueError, match="miss the prediction by"):
        Attributions(found.base, found.added * 1.001, found.predicted, found.x, found.players).checked()
    with pytest.raises(ValueError, match="asked alone otherwise"):
        explain(lambda z: z["f0"].to_numpy() - z["f0"].mean(), frame(rng), frame(rng, 5), 3)
    with pytest.raises(ValueError, match="the background needs rows"):
        explain(product_rule, frame(rng), frame(rng, 0), 3)


def test_the_jackknife_is_efron_s_and_the_spread_holds_both_errors():
    parts = np.array([[1.0], [2.0], [4.0]])
    model, _ = shapley.jackknife_error(np.array([2.0]), parts)
    assert model[0] == pytest.approx(np.sqrt(2 / 3 * ((parts - parts.mean()) ** 2).sum()))
    added = pd.DataFrame({"a": [1.0, -3.0, 2.0]})
    table = shapley.spread(added, parts)
    drawn = np.std([1, 3, 2], ddof=1) / np.sqrt(3)
    assert table["high"][0] - 2 == pytest.approx(1.96 * np.hypot(model[0] / (7 / 3) * 2, drawn))


def test_the_partner_of_a_feature_is_the_one_it_acts_with():
    rng = np.random.default_rng(5)
    x = frame(rng, 400)
    values = pd.DataFrame({"f0": x["f0"] * x["f2"].clip(0, None) + 3 * x["f0"]})
    x["f0"] = x["f0"].abs()
    assert shapley.partner("f0", x, values.assign(f0=x["f0"] * (2 + x["f2"])))[0] == "f2"


def rule_of(x):
    return 5 * np.tanh(x["f0"].to_numpy()) + 3 * x["f1"].to_numpy()


def test_trees_that_stand_for_a_rule_pass_the_floor_and_a_stump_does_not():
    rng = np.random.default_rng(6)
    x, later = frame(rng, 1500), frame(rng, 400)
    trees = shapley.distil(rule_of, x, 1, 3000)
    good = shapley.fidelity(rule_of(later), trees.predict(later))
    poor = shapley.fidelity(rule_of(later), shapley.one_tree(rule_of, x, 1, leaves=2).predict(later))
    assert good.enough
    assert good.r2 > 0.95
    assert not poor.enough
    assert not shapley.Fidelity(0.79, 0.99, 100).enough
    assert not shapley.Fidelity(0.99, 0.89, 100).enough
    with pytest.raises(ValueError, match="too few to judge"):
        shapley.fidelity(np.zeros(5), np.zeros(5))


def test_values_of_trees_add_up_and_interventional_ones_are_the_sampler_s():
    rng = np.random.default_rng(7)
    x = frame(rng, 800)
    trees = shapley.distil(rule_of, x, 1, 500)
    inner, outer = x[:15], x[-10:].reset_index(drop=True)
    exact = shapley.of_trees(trees, inner, outer)
    assert exact.gap() < 1e-6
    sampled = explain(lambda z: np.asarray(trees.predict(z)), inner, outer, 7)
    assert np.allclose(exact.added, sampled.added, atol=0.35)
    assert np.corrcoef(exact.added.ravel(), sampled.added.ravel())[0, 1] > 0.995
    assert shapley.of_trees(trees, inner).gap() < 1e-6


def test_observational_values_credit_a_copy_that_the_rule_never_reads():
    rng = np.random.default_rng(8)
    x = frame(rng, 600, 2)
    x["f1"] = x["f0"]
    found = explain(lambda z: z["f0"].to_numpy(), x[:20], x[-20:].reset_index(drop=True), 8)
    assert np.abs(found.added[:, 1]).max() == 0  # interventional: only what the rule uses


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    folder = tmp_path_factory.mktemp("explained")
    return simulate(parameters("smoke", "default", customers=60), 3, folder / "shop", folder / "truth", workers=1)[0]


@pytest.fixture(scope="module")
def decisions(shop):
    contacts = shop.frame("contacts").dropna(subset=["product_id"])
    asked = contacts[["customer_id", "product_id", "time"]].drop_duplicates("customer_id").reset_index(drop=True)
    return decision_features(shop, asked)


@pytest.mark.slow
def test_every_feature_of_the_models_has_words_and_a_topic(shop, decisions):
    known = Purchases.of(shop, "product_id")
    _, names = Panel.of(shop, known, np.arange(20), np.arange(10)).features(known.days)
    for feature in [*decisions, *names]:
        said = wording.name_of(feature)
        assert said
        assert "_" not in said
    trial = contact_experiment(shop, "trial").features
    assert {c for t in wording.topics_in(list(trial)).values() for c in t} == set(trial)
    assert wording.topics_in(list(trial)).keys() == wording.TITLES.keys()


def test_a_feature_without_words_is_named():
    for known in ("shoe_size", "pair_shoes", "item_"):
        with pytest.raises(KeyError, match="has no words yet"):
            wording.name_of(known)
    with pytest.raises(KeyError, match="in no topic"):
        wording.topics_in(["age", "shoe_size"])


def test_every_topic_but_the_silent_ones_has_a_clause_for_any_customer(decisions):
    for row in decisions.to_dict("records"):
        for topic in wording.TOPICS:
            if topic in wording.SILENT:
                with pytest.raises(KeyError):
                    wording.clause(topic, row, "Bread", "Bakery")
            else:
                said = wording.clause(topic, row, "Bread", "Bakery")
                assert said
                assert "nan" not in said
                assert "_" not in said


def response(decisions):
    """A dose-response set by hand: whoever takes more on promotion answers more; nothing else matters but the base."""
    columns = tuple(decisions)
    drivers = len(columns) + 1
    answer = np.zeros(drivers)
    answer[columns.index("promotion_share")] = 1.0
    trees = shapley.boosted(decisions, 0.3 + 0.2 * decisions["product_90"].to_numpy(), 1)
    raw = np.nan_to_num(np.column_stack([np.arcsinh(decisions.to_numpy(float)), np.zeros(len(decisions))]))
    scale = raw.std(axis=0)
    dose = DoseResponse(
        (trees,), np.array([1.0, 0.8, 0.5]), answer, 1.0, np.zeros(drivers), raw.mean(axis=0),
        np.where(scale > 1e-9, scale, np.inf), columns, np.array([np.nan, 0.0, 0.05, 0.1, 0.2]),
    )  # fmt: skip
    tried = tuple(sorted({int(p) for p in decisions["product"]}))
    return DemandResponse((dose,), (PRIOR_DISPLACEMENT,), Costs(), (0.0, 1.0), ("none", "0", "5", "10", "20"), tried)


def test_the_rupees_that_are_explained_are_those_of_the_decision(decisions):
    made = response(decisions)
    money = shapley.profit_over_none(made, decisions)
    assert np.allclose(money(decisions), made.expected(decisions).gain[:, 1:])
    assert np.allclose(money(decisions[:1]), money(decisions)[:1])  # whoever else is asked about
    both = shapley.rupees_and_lift(made, decisions)(decisions)
    units = made.expected(decisions).units
    assert np.allclose(both[:, 4:], np.log(units[:, 1:] / units[:, :1]))
    rule, offers = shapley.decision_margin(money), money(decisions)
    wide = np.sort(np.hstack([np.zeros((len(offers), 1)), offers]), axis=1)
    chosen = offers.max(axis=1) > 0
    assert np.allclose(rule(decisions)[chosen], (wide[:, -1] - wide[:, -2])[chosen])
    assert (rule(decisions)[~chosen] <= 0).all()
    assert np.allclose(shapley.best_offer(money)(decisions), offers.max(axis=1))


def test_features_of_a_shop_are_consistent_and_broken_ones_are_not(decisions):
    assert counterfactual.consistent(decisions).all()
    assert not counterfactual.consistent(decisions.assign(product_28=decisions["product_all"] + 1)).any()
    assert not counterfactual.consistent(decisions.assign(recency=999.0)[decisions["trips_28"] > 0]).any()
    for change in counterfactual.changes(decisions)[:4]:
        new, applies = change.move(decisions)
        assert counterfactual.consistent(new)[applies].all(), change.name


@pytest.mark.slow
def test_a_counterfactual_flips_the_choice_and_is_the_smallest_of_those_tried(decisions):
    made = response(decisions)
    net = shapley.net_profit(made, decisions, 0.2)
    chosen = decisions[net(decisions).argmax(axis=1) > 0]
    assert 5 < len(chosen) < len(decisions)
    goods, kinds = ["Bread"] * len(chosen), ["Bakery"] * len(chosen)
    found = counterfactual.smallest_flips(net, chosen, decisions, goods, kinds)
    assert (found["words"] != "").sum() > 3
    assert (found.loc[found["words"] != "", "net"] <= 0).all()
    named = {c.name: c for c in counterfactual.changes(decisions) if c.name not in counterfactual.SINGLE}
    for k, row in enumerate(found.itertuples()):
        if row.change in named:
            new, _ = named[row.change].move(chosen.iloc[[k]])
            assert net(new).argmax() == 0
    moved = found[found["change"] == "promotion_share"]
    for i in moved.index:  # by hand: the value in the words is one that flips, and the rest stays
        said = float(moved.loc[i, "words"].split("%")[0]) / 100
        near = [v for v in np.unique(decisions["promotion_share"]) if abs(v - said) < 0.006]
        assert any(net(chosen.loc[[i]].assign(promotion_share=v)).argmax() == 0 for v in near)
    ranks = {c: np.sort(decisions[c].dropna().to_numpy(float)) for c in decisions}
    for k in range(4):  # by brute force, one customer and one change at a time
        one, least = chosen.iloc[[k]], np.inf
        for change in counterfactual.changes(decisions):
            new, applies = change.move(one)
            if applies[0] and counterfactual.consistent(new)[0] and net(new).argmax() == 0:
                least = min(least, float(counterfactual._size(one, new, ranks)[0]))
        assert (found["words"].iloc[k] == "") == np.isinf(least)
        if np.isfinite(least):
            assert found["size"].iloc[k] == pytest.approx(least)
    for text in found["words"]:  # the old and the new value never read alike
        numbers = [w.rstrip("%.") for w in text.split() if w[0].isdigit()]
        assert len(set(numbers)) == len(numbers) or "last" in text, text
    with pytest.raises(ValueError, match="not chosen as they are"):
        counterfactual.smallest_flips(net, decisions, decisions, ["Bread"] * len(decisions), ["Bakery"] * len(decisions))


def test_a_sentence_has_two_reasons_and_says_where_a_person_weighs_more(decisions):
    facts = decisions[:2].assign(
        product_90=[3.0, 0.0], product_all=[5.0, 0.0], category_90=[4.0, 2.0], promotion_share=[0.3, 0.1]
    )
    added = pd.DataFrame(
        {"habit": [9.0, -2.0], "category": [4.0, 3.0], "promotions": [1.0, 2.0], "person": [2.0, 8.0], "product": [99.0, 99.0]}
    )
    one, other = wording.sentences(facts, added, ["10% off"] * 2, ["Bread"] * 2, ["Bakery"] * 2, ["the sky were green", ""])
    assert one == (
        "10% off Bread: this customer bought 3 units of Bread and 4 units from Bakery in the last 90 days; would not have been chosen"
        " if the sky were green, all else and the budget's price the same."
    )
    assert other.endswith(f"buys 10% of all units on price promotion; {wording.NONE_FOUND}.{wording.PERSONAL_NOTE}")


def test_a_choice_that_a_plane_settles_and_one_that_it_does_not():
    rng = np.random.default_rng(3)
    plane = rng.normal(size=(20_000, 2))
    right, missed = shapley.plane_purity(plane, plane.sum(axis=1) > 0, np.arange(20_000), 3)
    assert right > 0.95
    assert missed < 0.05
    right, missed = shapley.plane_purity(plane, rng.random(20_000) < 0.2, np.arange(20_000), 3)
    assert right == pytest.approx(0.8, abs=0.05)
    assert missed > 0.8


def test_reasons_named_again_are_counted():
    one = pd.DataFrame({"a": [3.0, 3, 3], "b": [2.0, 2, 2], "c": [1.0, 1, 1], "d": 0.0, "e": -1.0, "silent": 9.0})
    other = pd.DataFrame(
        {"a": [3.0, 1, -9], "b": [2.0, 2, 5], "c": [1.0, 3, 4], "d": [0.0, 4, 3], "e": [-1.0, 0, 2], "silent": 0.0}
    )
    assert shapley.topic_agreement(one, other, ("silent",)) == (1 / 3, 2 / 3)


def test_others_are_spread_over_what_an_offer_earns():
    x = pd.DataFrame({"f": np.arange(100)})
    assert wording.background_rows(x, -x["f"].to_numpy(float), 4)["f"].tolist() == [87, 62, 37, 12]


def test_true_types():
    gain = np.array([[0, 1, 2], [0, -1, -1], [0, -1, -1], [0, -1, -1]], float)
    buys, units = np.array([[0.1], [0.5], [0.1], [0.5]]), np.array([[1, 1.0], [1, 1.1], [1, 1.1], [1, 0.9]])
    assert shapley.true_types(gain, buys, units).tolist() == ["persuadable", "sure thing", "lost cause", "sleeping dog"]


def test_planted_noise_is_told_from_a_strong_feature():
    rng = np.random.default_rng(9)
    n = 6000
    x = pd.DataFrame(
        {"promotion_share": rng.beta(2, 8, n), "product_90": rng.poisson(2.0, n) * 1.0, "age": rng.normal(40, 10, n)}
    )
    x = x.assign(spend_90=100.0, margin=0.4, product_price=200.0, promotion_ahead=0.0)
    arm = rng.integers(0, 4, n)
    depth = np.array([np.nan, 0.05, 0.15, 0.25])
    base = 0.1 + 0.3 * x["product_90"].to_numpy()
    seen = rng.random(n) < 0.5
    lift = 1 + 3 * np.nan_to_num(depth)[arm] * np.exp(8 * (x["promotion_share"].to_numpy() - 0.2))
    units = rng.poisson(np.where((arm > 0) & seen, base * lift, base)).astype(float)
    outcomes = pd.DataFrame({"units": units, "redeemed": np.where((arm > 0) & seen, units, 0.0)})
    trial = Experiment(
        "made",
        np.arange(n),
        np.arange(n),
        x,
        arm,
        ("none", "5", "15", "25"),
        depth,
        outcomes,
        np.full(n, 0.25),
        None,
        np.full(4, 0.25),
    )
    table = study.attributed(trial, 1, explained=25, beside=5)
    value = table.set_index("feature")["rupees"]
    noise = value[table["kind"].to_numpy() == "noise"]
    assert len(noise) == 5
    assert (table["kind"] == "permuted").sum() == x.shape[1]
    assert value["promotion_share"] > 3 * noise.max()
    assert value["product_90"] > noise.max()


def test_the_verdict_counts_what_it_says():
    rows = [(1, f"permuted_{k}", "permuted", k / 20) for k in range(21)]
    rows += [
        (1, "noise_a", "noise", 0.5),
        (1, "noise_b", "noise", 0.99),
        (1, "response", "real", 2.0),
        (1, "discounts", "real", 0.6),
    ]
    kept = pd.DataFrame(rows, columns=["seed", "feature", "kind", "rupees"])
    [row] = noise_verdicts(kept).to_dict("records")
    assert row["bar"] == pytest.approx(0.95)
    assert (row["below"], row["all_below"], row["mean_below"]) == (1, False, True)
    assert row["price sensitivity, best"]
    assert not row["attention, best"]
    table = noise_counts(noise_verdicts(kept).assign(contacts="few")).set_index("key")
    assert table.loc["below", ["held", "of"]].tolist() == [1, 2]


def test_held_outcomes_are_no_features(decisions):
    assert not set(decisions) & set(OUTCOMES)


def test_what_chance_gives_below_a_bar_of_copies():
    rng = np.random.default_rng(10)
    drawn = rng.random((20_000, 50))
    below = drawn[:, 45:] < np.quantile(drawn[:, :45], 0.95, axis=1)[:, None]
    assert by_chance(45, 1) == pytest.approx(below.mean(), abs=0.005)
    assert by_chance(45, 5) == pytest.approx(below.all(axis=1).mean(), abs=0.015)
