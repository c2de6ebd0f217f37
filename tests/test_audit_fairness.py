"""Audits: means and intervals against Fairlearn, planted rules found and fair ones not, parity within its bound, missing labels bounded."""

from itertools import product

import numpy as np
import pandas as pd
import pytest

from promo_helpers.audit import contacted, fairness, nulls
from promo_helpers.audit.fairness import Measure
from promo_helpers.decide import allocate, parity
from promo_helpers.studies import fairness_audits as study
from promo_helpers.studies import parity_markets as parity_study


@pytest.fixture
def rng():
    return np.random.default_rng(5)


def people(rng, n=600):
    return pd.DataFrame(
        {
            "gender": rng.choice(["Female", "Male"], n, p=[0.6, 0.4]),
            "age": rng.integers(18, 80, n).astype(float),
            "city": rng.choice(["Galle", "Kandy", "Matara"], n, p=[0.5, 0.46, 0.04]),
        }
    )


@pytest.mark.slow
def test_means_and_intervals_are_those_of_metric_frame(rng):
    from fairlearn.metrics import MetricFrame

    n = 400
    group, value, weight = rng.choice(["a", "b", "c"], n), rng.gamma(2, 1, n), (rng.random(n) < 0.7).astype(float)
    measure = Measure("m", value, weight)
    ours = fairness.audit([measure], pd.DataFrame({"g": group}), np.arange(n), 5, 1500, least=1).set_index("group")
    kept = weight > 0

    def mean(y_true, y_pred):
        return float(np.mean(y_pred))

    theirs = MetricFrame(
        metrics=mean, y_true=np.zeros(kept.sum()), y_pred=value[kept], sensitive_features=group[kept],
        n_boot=150, ci_quantiles=[0.025, 0.975], random_state=1,
    )  # fmt: skip
    assert np.allclose(ours["value"], theirs.by_group.loc[ours.index].astype(float))
    assert np.allclose(ours["value"], fairness.metric_frame(measure, group).by_group.loc[ours.index].astype(float))
    width = ours["value_high"] - ours["value_low"]
    for place, column in ((0, "value_low"), (1, "value_high")):
        assert (abs(ours[column] - theirs.by_group_ci[place].loc[ours.index].astype(float)) < 0.12 * width).all()


def test_differences_are_to_all_others_and_several_rows_of_a_customer_are_one(rng):
    value, customer = rng.random(300), np.repeat(np.arange(150), 2)
    group = np.repeat(rng.choice(["a", "b"], 150), 2)
    measure, labels = Measure("m", value, np.ones(300)), pd.DataFrame({"g": group})
    table = fairness.audit([measure], labels, customer, 5, 800, least=10).set_index("group")
    assert np.isclose(table.loc["a", "difference"], value[group == "a"].mean() - value[group == "b"].mean())
    assert np.isclose(table.loc["a", "ratio"], value[group == "a"].mean() / value[group == "b"].mean())
    assert table["customers"].sum() == 150
    same = fairness.audit([Measure("m", np.repeat(value[::2], 2), np.ones(300))], labels, customer, 5, 800, least=10).set_index(
        "group"
    )
    alone = fairness.audit([Measure("m", value[::2], np.ones(150))], labels[::2], customer[::2], 5, 800, least=10).set_index(
        "group"
    )
    ratio = (same["value_high"] - same["value_low"]) / (alone["value_high"] - alone["value_low"])
    assert ratio.between(0.85, 1.18).all()  # two equal rows tell no more than one


def test_small_groups_are_refused_with_their_size(rng):
    customers = people(rng)
    labels = contacted.attributes(customers)
    table = fairness.audit([Measure("contacted", rng.random(600), np.ones(600))], labels, np.arange(600), 5, 50)
    small = table[(table["attribute"] == "city") & (table["group"] == "Matara")].iloc[0]
    size = int((customers["city"] == "Matara").sum())
    assert size < 50
    assert small["note"] == f"too few to judge: {size} of 50"
    assert small[["value", "difference", "ratio_low"]].isna().all()
    assert "Matara" not in set(
        nulls.equal_shares([Measure("contacted", rng.random(600), np.ones(600))], labels, np.arange(600))["group"]
    )


def test_attributes_bands_and_bad_input(rng):
    table = pd.DataFrame({"age": [18.0, 29, 30, 45, 60, np.nan], "gender": ["Female", None] * 3})
    labels = contacted.attributes(table)
    assert labels["age_band"].tolist()[:5] == ["under 30", "under 30", "30 to 44", "45 to 59", "60 and over"]
    assert labels["age_band"].isna().tolist() == [False] * 5 + [True]
    assert labels[contacted.GENDER_AND_AGE].isna().sum() == 3
    bands = pd.Series(["19-24", "45-54", "65+", None, "under 30", "60 and over"])
    assert fairness.two_ages(bands).fillna("?").tolist() == [
        "under 45",
        "45 and over",
        "45 and over",
        "?",
        "under 45",
        "45 and over",
    ]
    with pytest.raises(ValueError, match="no groups to compare"):
        contacted.attributes(pd.DataFrame({"customer_id": ["a"]}))
    measure = Measure("m", np.ones(3), np.ones(3))
    with pytest.raises(ValueError, match="has several labels of g"):
        fairness.audit([measure], pd.DataFrame({"g": ["x", "y", "y"]}), np.array(["a", "a", "b"]), 5, 10)
    with pytest.raises(ValueError, match="measure 'm' has 3 rows, customer 2"):
        fairness.audit([measure], pd.DataFrame({"g": ["x", "y"]}), np.array(["a", "b"]), 5, 10)


def test_offers_keep_the_two_benefits_apart():
    arm, depth = np.array([0, 1, 2]), np.array([np.nan, 0.0, 0.2])
    saving, profit = np.array([[0, 1, 2.0]] * 3), np.array([[0, -1, 5.0]] * 3)
    found = {
        m.name: (m.value * m.weight).sum() / m.weight.sum()
        for m in fairness.offer_measures(arm, depth, saving, profit, np.array([1, 1, 0]) > 0)
    }
    assert found == {"contacted": 2 / 3, "discount": 0.1, "saving": 1.0, "profit": 4 / 3, "left out": 0.5}


def test_the_permutation_test_is_a_permutation_test(rng):
    n = 300
    group, value, weight = rng.choice(["a", "b"], n, p=[0.3, 0.7]), rng.gamma(1, 1, n), np.ones(n)
    value[group == "a"] += 0.15
    p = (
        nulls.equal_shares([Measure("m", value, weight)], pd.DataFrame({"g": group}), np.arange(n))
        .set_index("group")
        .loc["a", "p"]
    )
    observed = abs(value[group == "a"].mean() - value[group == "b"].mean())
    draws = [rng.permutation(group) == "a" for _ in range(6000)]
    by_hand = np.mean([abs(value[d].mean() - value[~d].mean()) >= observed for d in draws])
    assert abs(p - by_hand) < 0.02


@pytest.mark.slow
def test_a_planted_rule_is_found_and_a_fair_one_is_not_accused():
    accused = {case: [] for case in ("fair, groups differ", "planted, 0.4")}
    for case, hits in accused.items():
        rows = study.audit_rows(case, audits=8)
        rows = rows[rows["null"] == "equal given features"]
        hits += rows["Holm"].tolist() if case.startswith("fair") else rows["gender"].tolist()
    assert sum(h > 0 for h in accused["fair, groups differ"]) <= 2
    assert sum(accused["planted, 0.4"]) == 8


def test_equal_shares_and_equal_given_are_different_claims():
    features, labels, sent = study.population(1, True, 0.0)
    measure, who = [Measure("contacted", sent.astype(float), np.ones(len(sent)))], np.arange(len(sent))
    shares, given = (
        nulls.equal_shares(measure, labels, who),
        nulls.equal_given_features(measure, labels, who, features, 1, folds=3),
    )
    ages = shares["attribute"] == "age_band"
    assert shares.loc[ages, "p"].min() < 1e-6 < given.loc[given["attribute"] == "age_band", "p"].min()


def test_adjusted_against_the_definitions():
    p = pd.Series([0.01, np.nan, 0.04, 0.03, 0.005])
    assert np.allclose(nulls.adjusted_p(p).dropna(), [0.03, 0.06, 0.06, 0.02])
    assert np.allclose(nulls.adjusted_p(p, "BH").dropna(), [0.02, 0.04, 0.04, 0.02])
    assert nulls.adjusted_p(p).isna().tolist() == [False, True, False, False, False]
    assert nulls.rejections(pd.DataFrame({"p": p})) == {"tests": 4, "below": 4, "by_chance": 0.2, "Holm": 2, "BH": 4}
    with pytest.raises(ValueError, match="Holm or BH"):
        nulls.adjusted_p(p, "none")


def offers(rng, n=800):
    group = rng.choice(["a", "b", "c"], n, p=[0.5, 0.3, 0.2])
    gain = np.column_stack([np.zeros(n), rng.normal(-1, 2, (n, 3)) + np.where(group == "a", 1.5, 0)[:, None]])
    spend = np.column_stack([np.zeros(n), rng.gamma(2, 1, (n, 3))])
    return group, gain, spend


@pytest.mark.parametrize("allowed", [0.0, 0.03, 0.1, 1.0])
def test_parity_keeps_its_bound_and_earns_no_more_than_the_free_allocation(rng, allowed):
    group, gain, spend = offers(rng)
    for money in (None, 300.0, 60.0):
        free = allocate.allocate(gain, spend, allocate.Limits(money))
        found = allocate.allocate(gain, spend, allocate.Limits(money, parity=allocate.Parity(group, allowed)))
        assert parity.share_gap(found.arm, group) <= max(allowed, 1 / pd.Series(group).value_counts().min()) + 1e-9
        assert found.spend <= (np.inf if money is None else money)
        assert found.gain <= free.bound + 1e-9
        assert (
            found.gain <= found.bound + 1e-9 or parity.share_gap(found.arm, group) > allowed
        )  # shares of whole rows cannot be quite equal
        assert found.bound - found.gain <= 6 * gain.max()  # a few rows' worth
        if allowed == 1:
            assert found.gain >= 0.99 * free.gain


def test_parity_is_the_best_there_is_on_a_small_case(rng):
    group, gain = np.array(list("aaabbb")), np.column_stack([np.zeros(6), rng.normal(0, 2, 6)])
    spend = np.column_stack([np.zeros(6), np.zeros(6)])
    for _ in range(20):
        gain[:, 1] = rng.normal(0, 2, 6)
        found = allocate.allocate(gain, spend, allocate.Limits(parity=allocate.Parity(group, 1 / 3)))
        best = max(
            gain[np.arange(6), arm].sum()
            for arm in map(np.array, product((0, 1), repeat=6))
            if parity.share_gap(arm, group) <= 1 / 3 + 1e-9
        )
        assert np.isclose(found.gain, best)
        assert found.bound >= best - 1e-9


def test_parity_refuses_bad_input(rng):
    group, gain, spend = offers(rng, 20)
    for message, budget, label, tolerance in [
        ("all labels are missing", None, np.full(20, None), 0.1),
        ("tolerance = 2", None, group, 2),
        ("budget = -1", -1, group, 0.1),
        (r"group of parity is \(19,\)", None, group[1:], 0.1),
    ]:
        with pytest.raises(ValueError, match=message):
            allocate.allocate(gain, spend, allocate.Limits(budget, parity=allocate.Parity(label, tolerance)))


def test_the_cost_of_parity_is_paired():
    gain = np.column_stack([np.zeros(500), np.full(500, 2.0), np.full(500, 1.0)])
    found = parity.cost(gain, np.full(500, 2), np.full(500, 1), np.arange(500), 0, 50)
    assert (found["estimate"], found["low"], found["high"]) == (0.5, 0.5, 0.5)


def test_bounds_hold_the_truth_and_are_sharp(rng):
    for _ in range(30):
        group, selected = rng.choice(["a", "b", "c"], 60), rng.random(60) < 0.4
        hidden = rng.random(60) < np.where(selected, 0.2, 0.7)  # being known goes with being selected
        label = np.where(hidden, None, group.astype(object))
        for row in fairness.bounds(selected, label).itertuples():
            mine = group == row.group
            true = selected[mine].mean() - selected[~mine].mean()
            assert row.low - 1e-12 <= true <= row.high + 1e-12
            assert row.low <= row.mix_low <= row.mix_high <= row.high
    label, selected = np.array(["a", "a", "b", "b", None, None, None], object), np.array([1, 0, 1, 0, 1, 0, 1]) > 0
    ends = []
    for filled in product("ab", repeat=3):
        whole = np.array([*label[:4], *filled])
        ends.append(selected[whole == "a"].mean() - selected[whole == "b"].mean())
    row = fairness.bounds(selected, label).iloc[0]
    assert np.allclose([row["low"], row["high"]], [min(ends), max(ends)])
    with pytest.raises(ValueError, match="no label is known"):
        fairness.bounds(selected, np.full(7, None))


def test_nothing_missing_nothing_open(rng):
    group, selected = rng.choice(["a", "b"], 100), rng.random(100) < 0.4
    table = fairness.bounds(selected, group)
    assert np.allclose(table[["low", "high", "mix_low", "mix_high"]], table[["difference"]])


def test_thresholds_by_group_even_out_what_they_promise(rng):
    n = 6000
    group = rng.choice(["old", "young"], n)
    chance = np.clip(rng.beta(2, 4, n) + np.where(group == "old", 0.15, 0), 0, 1)
    label, fit, known = rng.random(n) < chance, rng.random(n) < 0.5, np.append(np.zeros(10, bool), np.ones(n - 10, bool))
    found = contacted.fit_threshold_rules(chance, label, group, fit, known, np.arange(n), 1)
    assert not any(way[:10].any() for way in found.values())
    judged = ~fit

    def gap(way, rows):
        return abs(way[rows & (group == "old")].mean() - way[rows & (group == "young")].mean())

    assert gap(found["one threshold"], judged) > 0.15
    assert gap(found["demographic parity"], judged) < 0.06
    assert all(gap(found["equalised odds"], judged & (label == y)) < 0.08 for y in (True, False))
    with pytest.raises(ValueError, match="'young' has buyers only, or none"):
        contacted.threshold_rules(chance, label & (group == "old"), group, fit, np.arange(n), 1)


def test_the_audited_list_is_the_allocation(rng, tmp_path):
    customers = people(rng).assign(customer_id=[f"CUST{k:05d}" for k in range(600)])
    labels, ids = contacted.attributes(customers), customers["customer_id"]
    gain = np.column_stack([np.zeros(600), rng.normal(0, 1, (600, 2))])
    plan = allocate.allocate(gain, np.abs(gain), allocate.Limits(60.0))
    chosen = plan.arm > 0
    percent = np.array([0, 5, 10])[plan.arm]
    file = tmp_path / "campaign_tea.csv"
    mine = gain[np.arange(600), plan.arm][chosen]
    contacted.write_list(file, ids[chosen].to_numpy(object), percent[chosen] / 100, np.abs(mine), mine)
    back = contacted.read_list(file)
    assert back["customer_id"].tolist() == ids[chosen].tolist()
    assert np.allclose(back["discount"], percent[chosen] / 100)
    table, beside = contacted.audit_list(file, ids, labels, 5, 50, least=20)
    assert beside == tmp_path / "campaign_tea_audit.csv"
    women = (customers["gender"] == "Female").to_numpy()
    row = table.query("group == 'Female' and measure == 'contacted'").iloc[0]
    assert np.isclose(row["value"], chosen[women].mean())
    depth = table.query("group == 'Female' and measure == 'discount'").iloc[0]
    assert np.isclose(depth["value"], percent[women & chosen].mean() / 100)
    assert pd.read_csv(beside)["value"].notna().any()
    profit = table.query("group == 'Female' and measure == 'predicted profit'").iloc[0]
    assert np.isclose(profit["value"], mine[women[chosen]].sum().round(2) / women.sum(), atol=0.01)
    assert "can be told from that of the others" in contacted.audit_sentence(table)  # gains are drawn alike for all
    far = table[(table["measure"] == "contacted") & (table["note"] == "")]
    assert abs(contacted.largest_difference(table)["difference"].item()) == far["difference"].abs().max()


def test_an_audit_in_words_names_what_is_furthest_off_and_tells_no_nonsense(rng, tmp_path):
    ids = pd.Series([f"c{k}" for k in range(600)])
    one_city, lopsided = pd.DataFrame({"city": ["Galle"] * 600}), pd.DataFrame({"gender": ["F"] * 570 + ["M"] * 30})
    sent, file = ids.to_numpy(object)[:100], tmp_path / "l.csv"
    contacted.write_list(file, sent, np.full(100, 0.1), np.ones(100), np.ones(100))
    for labels in (one_city, lopsided):
        table, _ = contacted.audit_list(file, ids, labels, 5, 30)
        assert (table["note"] != "").all()
        assert (
            contacted.audit_sentence(contacted.read_audit(tmp_path / "l_audit.csv")) == "No group is large enough to be judged."
        )
    halves = pd.DataFrame({"band": ["young"] * 300 + ["old"] * 300})
    table, _ = contacted.audit_list(file, ids, halves, 5, 30)
    assert "band old, of whom 0.0% are written to" in contacted.audit_sentence(
        table
    ) or "band young, of whom 33.3%" in contacted.audit_sentence(table)
    none = table.query("group == 'old' and measure == 'contacted'").iloc[0]
    assert none["value_high"] == pytest.approx(1.96**2 / (300 + 1.96**2), rel=1e-3)  # Wilson's, since no resample differs


def test_a_list_that_is_none_is_refused_and_the_held_out_are_not_contacted(rng, tmp_path):
    file = tmp_path / "campaign_x.csv"
    pd.DataFrame({"CustomerID": ["a", "b"], "Discount": [5, 5], "Holdout": ["no", "yes"]}).to_csv(file, index=False)
    assert contacted.read_list(file)["customer_id"].tolist() == ["a"]
    pd.DataFrame({"CustomerID": ["a", "a"], "Discount": [5, 5]}).to_csv(file, index=False)
    with pytest.raises(ValueError, match="holds a twice"):
        contacted.read_list(file)
    pd.DataFrame({"CustomerID": ["a"]}).to_csv(file, index=False)
    with pytest.raises(ValueError, match="no column Discount"):
        contacted.read_list(file)
    pd.DataFrame({"CustomerID": ["z"], "Discount": [5]}).to_csv(file, index=False)
    with pytest.raises(ValueError, match="holds z, who is not among those"):
        contacted.audit_list(file, pd.Series(["a", "b"]), pd.DataFrame({"g": ["x", "y"]}), 5)


def test_gaps_stand_beside_chance_and_change_is_paired(rng):
    n = 2000
    group = rng.choice(["a", "b", "c", "d"], n)
    labels, who = pd.DataFrame({"g": group}), np.arange(n)
    sent = rng.random(n) < 0.2
    plain, twice = ([Measure("contacted", s.astype(float), np.ones(n))] for s in (sent, sent & (group != "a")))
    row = fairness.gaps(plain, labels, who, 5, 200, other=twice).iloc[0]
    assert row["gap"] < 3 * row["by_chance"]
    assert 0 < row["change_low"] <= row["change"] <= row["change_high"]
    none = fairness.gaps(plain, labels, who, 5, 50, other=plain).iloc[0]
    assert none["change"] == none["change_low"] == none["change_high"] == 0


def test_the_page_says_what_is_found():
    features, labels, sent = study.population(5, True, 0.4)
    measure, who = [Measure("contacted", sent.astype(float), np.ones(len(sent)))], np.arange(len(sent))
    table = fairness.audit(measure, labels, who, 5, 50)
    sheet = contacted.audit_page(
        table,
        nulls.equal_shares(measure, labels, who),
        nulls.equal_given_features(measure, labels, who, features, 1),
        ("contacted",),
    )
    women = sheet.set_index("group").loc["women"]
    assert (women["equal shares"], women["given features"]) == ("fewer", "fewer")
    assert women["contacted, %"].startswith(f"{100 * sent[labels['gender'] == 'women'].mean():.1f} [")
    assert (sheet["by"] != "").sum() == 3


def test_what_parity_costs_is_told_over_markets():
    rows = []
    for seed, (full, blind, even) in enumerate([(2.0, 1.0, 3.0), (4.0, 2.0, 5.0)]):
        for policy, worth, age in (
            (parity_study.FULL, full, 0.3),
            (parity_study.AGELESS, full, 0.3),
            (parity_study.BLIND, blind, 0.1),
            (parity_study.WITH_PARITY, even, 0.05),
        ):
            row = dict.fromkeys(("promised", "value", "spend"), worth) | dict.fromkeys(("gender", "segment", "left_out"), 0.2)
            rows.append({"case": "c", "seed": seed, "policy": policy, "age": age, "believed": 3.0 + seed, "true": 3.5, **row})
    kept = pd.DataFrame(rows)
    told = parity_study.differences_from_full(kept).set_index("policy")
    assert told.loc[parity_study.BLIND, "value"] == pytest.approx(-0.5)  # (-1 - 2) / (2 + 4)
    assert told.loc[parity_study.WITH_PARITY, "value"] == pytest.approx(1 / 3)
    assert told["wins"].tolist() == [2, 0, 0]
    half = 12.706 * np.std([-1 / 3, -2 / 3], ddof=1) / np.sqrt(2)
    assert told.loc[parity_study.BLIND, "value_high"] == pytest.approx(-0.5 + half, rel=1e-3)
    assert told["age"].tolist() == pytest.approx([-0.25, 0, -0.2])
    seen = parity_study.gaps(kept).iloc[0]
    assert (seen["steeper"], seen["markets"]) == (1, 2)
    assert seen["age"] == pytest.approx(0.3)


@pytest.mark.slow
def test_a_market_of_the_study_spends_one_budget_and_keeps_its_parity():
    table = parity_study._market(parity_study.ParityCase(600), 1_499).set_index("policy")
    assert table.loc[parity_study.WITH_PARITY, "age"] <= parity_study.TOLERANCE + 0.01
    assert table.loc[parity_study.WITH_PARITY, "promised"] <= table.loc[parity_study.FULL, "promised"] + 0.01
    assert (table["contacted"] > 0).all()


def test_figures_with_their_ends_are_text_in_per_cent():
    table = pd.DataFrame({"value": [-0.0313], "value_low": [-0.0438], "value_high": [-0.0187]})
    assert contacted.with_ends(table, {"value": "true, %"})["true, %"].tolist() == ["-3.1 [-4.4, -1.9]"]


def test_gaps_of_groups_that_are_too_small_to_judge_are_an_empty_table():
    labels = pd.DataFrame({"age": ["young", "old"] * 3})
    none = fairness.gaps([fairness.Measure("contacted", np.ones(6), np.ones(6))], labels, np.arange(6), 1, 20, least=20)
    assert none.empty
    assert {"measure", "gap", "low", "high"} <= set(none)
