"""The campaign's list: whom it holds, what it says, and files that are safe, whole and read back as they were."""

import csv
import itertools
from dataclasses import replace

import lightgbm as lgb
import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator
from sklearn.linear_model import LogisticRegression

from promo_helpers.audit import contacted, counterfactual, wording
from promo_helpers.audit.fairness import MIN_CUSTOMERS
from promo_helpers.audit.wording import background_rows
from promo_helpers.campaign import list_files
from promo_helpers.campaign.build import RESPONSE, UPLIFT, build, explain_selection
from promo_helpers.campaign.choose import select_by_gain
from promo_helpers.campaign.kit import Kit, contactable, with_interpolated_arm
from promo_helpers.campaign.menu import menu
from promo_helpers.campaign.outcome import strategies, strategy_table, summary, widened
from promo_helpers.campaign.request import CHANNELS, RequestError, parse_request
from promo_helpers.decide.forecast import Calibration, at_level
from promo_helpers.shop.sheets import RISKY, read_sheet, safe, safe_phone, write_sheet
from tests.campaigns import facts, response_of, shop_of

COSTS = {"SMS": 0.1, "e-mail": 0.01}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A shop whose trial has a saved response; tests only read it."""
    folder = tmp_path_factory.mktemp("campaign")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PROMO_OUT", str(folder / "out"))
        shop = shop_of(folder)
        response_of(shop).save("response", facts(shop))
        yield Kit.load(shop)


def ask(**more):
    return parse_request(**{"costs": COSTS, "bundle": False, **more})


def offered(kit):
    return str(kit.items["name"].iloc[kit.tried()[0]])


@pytest.mark.slow
def test_nothing_is_fitted(made, monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("a campaign trains no model")

    monkeypatch.setattr(lgb, "train", refuse)
    monkeypatch.setattr(LogisticRegression, "fit", refuse)
    monkeypatch.setattr(BaseEstimator, "fit", refuse, raising=False)
    found = build(Kit.load(made.shop), ask(product=offered(made)), 1)
    assert len(found.rows)
    assert len(build(replace(made, response=None, why="no trial"), ask(product=offered(made)), 1).rows)


@pytest.mark.slow
def test_who_did_not_consent_or_cannot_be_reached_is_left_out(made):
    found = build(made, ask(product=offered(made)), 1)
    people = made.shop.frame("customers").set_index("customer_id")
    assert people.loc[found.rows["customer_id"], "consent"].all()
    assert found.rows["customer_id"].is_unique
    assert int(found.people.left["customers"].iloc[0]) == int((~people["consent"]).sum())


def test_a_customer_without_the_channels_field_is_left_out(tmp_path):
    mail = [f"c{i}@example.com" if i % 2 else "" for i in range(40)]
    shop = shop_of(tmp_path, Email=mail, Consent="true")
    assert len(contactable(shop, CHANNELS["e-mail"]).who) == 20
    assert len(contactable(shop, CHANNELS["SMS"]).who) == 40


def test_a_shop_without_consent_and_addresses_gets_ids_and_is_told_so(tmp_path):
    people = contactable(shop_of(tmp_path, Consent=None, PhoneNumber=None), CHANNELS["SMS"])
    assert len(people.who) == 40
    assert (people.who["contact"] == "").all()
    assert [n.split(":")[0] for n in people.notes] == ["The shop records no consent", "The shop records no PhoneNumber"]


def test_all_customers_opted_out(tmp_path):
    with pytest.raises(RequestError, match=r"Nobody of 40 customers may be written to by SMS \(40 did not agree"):
        contactable(shop_of(tmp_path, Consent="false"), CHANNELS["SMS"])


@pytest.mark.slow
def test_only_the_channels_address_leaves_the_shop(made, tmp_path):
    for channel, heading, other in (("SMS", "PhoneNumber", "Email"), ("e-mail", "Email", "PhoneNumber")):
        files = list_files.write_campaign(build(made, ask(product=offered(made), channel=channel), 1), tmp_path)
        frame = list_files.read_campaign_file(files["list"])
        assert heading in frame
        assert other not in frame
        assert (frame[heading] != "").all()
        for part in ("holdout", "responses"):
            assert not {"Email", "PhoneNumber", "Name"} & set(list_files.read_campaign_file(files[part]))


@pytest.mark.slow
def test_files_are_safe_whole_and_read_back(made, tmp_path):
    found = build(made, ask(product=offered(made), holdout=0.0), 1)
    files = list_files.write_campaign(found, tmp_path)
    pd.testing.assert_frame_equal(list_files.read_campaign_file(files["list"]), list_files.list_table(found))
    for file in files.values():
        if file.suffix == ".csv":
            cells = [c for row in csv.reader(file.open(encoding="utf-8", newline="")) for c in row]
            assert not [c for c in cells if c.startswith(RISKY) and not c.lstrip("-").replace(".", "").isdigit()], file
    assert not list(tmp_path.glob(".*"))
    text = files["list"].read_text(encoding="utf-8")
    assert "\u0d9c\u0db8\u0dca\u0db4\u0ddc\u0dbd" in text or "CUST00002" not in set(found.rows["customer_id"].astype(str))


@pytest.mark.slow
def test_a_form_that_was_filled_is_never_overwritten(made, tmp_path):
    found = build(made, ask(product=offered(made)), 1)
    files = list_files.write_campaign(found, tmp_path)
    list_files.write_campaign(found, tmp_path, replaceable=files.values())  # a blank form of this run is made anew
    form = list_files.read_campaign_file(files["responses"]).assign(Units=0.0)
    write_sheet(form, files["responses"], list_files.TEXT)
    files["list"].write_text("sent")
    with pytest.raises(RequestError, match="holds responses, so this campaign was sent; choose another DATE"):
        list_files.write_campaign(found, tmp_path, replaceable=files.values())
    assert files["list"].read_text() == "sent"
    pd.testing.assert_frame_equal(list_files.read_campaign_file(files["responses"]), form)


@pytest.mark.slow
def test_a_run_finds_a_filled_form_among_the_results(made, tmp_path, monkeypatch):
    found = build(made, ask(product=offered(made)), 1)
    files = list_files.write_campaign(found, tmp_path / "data" / "campaigns")
    write_sheet(list_files.read_campaign_file(files["responses"]).assign(Units=0.0), files["responses"], list_files.TEXT)
    own = tmp_path / "build" / "running" / "18_campaign.1"
    monkeypatch.setenv("PROMO_OUT", str(tmp_path))
    monkeypatch.setenv("PROMO_WRITE", str(own))
    with pytest.raises(RequestError, match="holds responses, so this campaign was sent"):
        list_files.write_campaign(found, own / "data" / "campaigns", replaceable=files.values())
    assert not own.exists()


@pytest.mark.slow
def test_a_second_campaign_of_the_same_request_gets_a_number_and_overwrites_nothing(made, tmp_path):
    found = build(made, ask(product=offered(made)), 1)
    first = list_files.write_campaign(found, tmp_path, summary=summary(found, made))
    before = {f: f.read_bytes() for f in tmp_path.iterdir()}
    second = list_files.write_campaign(found, tmp_path, summary=summary(found, made))
    third = list_files.write_campaign(found, tmp_path, replaceable=second.values())
    assert {f: f.read_bytes() for f in before} == before
    assert second["list"].name == first["list"].name.replace(".csv", "_2.csv")
    assert third["list"] == second["list"]
    assert {f.name for f in second.values()} <= {f.name for f in tmp_path.iterdir()}
    assert len(list(tmp_path.iterdir())) == 2 * len(before)
    second["list"].unlink()  # one file of a campaign is enough to keep its name
    assert list_files.unused(tmp_path, first["list"].stem) == f"{first['list'].stem}_3"


def test_a_write_that_breaks_off_leaves_the_old_file(tmp_path):
    path = tmp_path / "sheet.csv"
    write_sheet(pd.DataFrame({"a": ["x"], "b": [10.0], "c": [0.125]}), path, ("a",))
    assert path.read_text() == "a,b,c\nx,10,0.125\n"
    with pytest.raises(ValueError, match="b holds text and is not named as such"):
        write_sheet(pd.DataFrame({"a": ["y"], "b": ["=1+1"]}), path, ("a",))
    assert read_sheet(path, ("a",))["a"].tolist() == ["x"]


@pytest.mark.parametrize(
    ("given", "wanted"), [("=1", "'=1"), ("+94 77 1", "0094 77 1"), ("@x", "'@x"), ("-2", "'-2"), ("077", "077")]
)
def test_cells_that_would_be_formulas(given, wanted):
    assert (safe_phone(given) if given[0] in "+0" else safe(given)) == wanted


@pytest.mark.slow
def test_the_holdout_is_apart_random_and_of_the_size_asked_for(made, tmp_path):
    found = build(made, ask(product=offered(made), holdout=0.5), 1)
    again, other = (build(made, ask(product=offered(made), holdout=0.5), s) for s in (1, 2))
    held = set(found.rows.loc[found.rows["held_out"], "customer_id"])
    assert 0.25 < len(held) / len(found.rows) < 0.75
    assert held == set(again.rows.loc[again.rows["held_out"], "customer_id"])
    assert held != set(other.rows.loc[other.rows["held_out"], "customer_id"])
    files = list_files.write_campaign(found, tmp_path)
    sent, out = list_files.read_campaign_file(files["list"]), list_files.read_campaign_file(files["holdout"])
    assert set(sent["Holdout"]) == {"no"}
    assert set(out["Holdout"]) == {"yes"}
    assert set(out["CustomerID"]) == {str(c) for c in held}
    assert not set(sent["CustomerID"]) & set(out["CustomerID"])


@pytest.mark.slow
def test_a_budget_binds_what_is_spent_and_more_never_earns_less(made):
    gains = []
    for budget in ("3", "6", "12", "24", ""):
        for share in (0.3, 0.0):
            found = build(made, ask(product=offered(made), budget=budget, holdout=share), 1)
            if budget:
                assert found.sent["spend"].sum() <= float(budget) * (1 + 1e-9)
        gains.append(found.rows["predicted_profit"].sum())
    assert all(a <= b + 1e-9 for a, b in itertools.pairwise(gains))
    assert gains[0] < gains[-1]


@pytest.mark.slow
def test_a_number_of_customers_is_the_number_that_is_written_to(made):
    found = build(made, ask(product=offered(made), customers="5", holdout=0.2), 1)
    assert len(found.sent) == 5
    best = build(made, ask(product=offered(made), holdout=0.0), 1).rows["customer_id"]
    assert set(found.rows["customer_id"]) == set(best.head(len(found.rows)))


@pytest.mark.slow
def test_the_list_does_not_depend_on_the_order_of_the_customers(made):
    view = build(made, ask(product=offered(made)), 1).view
    order = np.random.default_rng(0).permutation(len(view.customer))
    mixed = replace(
        view,
        customer=view.customer[order],
        features=view.features.iloc[order],
        forecast=view.forecast.only(order),
        eligible=view.eligible[order],
    )
    for limit in ({"budget": "6"}, {"customers": "4"}):
        one, two = (select_by_gain(v, ask(**limit), 1) for v in (view, mixed))
        told = [set(zip(v.customer[c.row], c.arm.tolist(), c.held.tolist(), strict=True)) for v, c in ((view, one), (mixed, two))]
        assert told[0] == told[1]


@pytest.mark.slow
def test_a_fixed_discount_is_every_offers(made):
    assert set(build(made, ask(product=offered(made), discount="15"), 1).rows["percent"]) == {15.0}
    assert set(build(made, ask(product=offered(made), discount="12"), 1).rows["percent"]) <= {12.0}


@pytest.mark.slow
def test_an_arm_between_two_lies_between_them(made):
    features = build(made, ask(product=offered(made)), 1).view.features
    old, new = made.response.expected(features), with_interpolated_arm(made.response, 12).expected(features)
    assert with_interpolated_arm(made.response, 12).arms == ("none", "0", "5", "10", "12", "15", "20", "25")
    assert np.allclose(new.units[:, [0, 1, 2, 3, 5, 6, 7]], old.units)
    assert np.allclose(new.units[:, 4], old.units[:, 3] + 0.4 * (old.units[:, 4] - old.units[:, 3]))
    assert with_interpolated_arm(made.response, 10) is made.response
    with pytest.raises(ValueError, match=r"40 % is deeper than the trial's deepest discount, 25%"):
        with_interpolated_arm(made.response, 40)


def test_a_discount_that_no_trial_tried_gives_a_response_ranking_and_a_warning(made):
    found = build(made, ask(product=offered(made), discount="60"), 1)
    assert found.basis == RESPONSE
    assert "60 % is deeper than the trial's deepest" in found.why
    assert any(n.startswith("Warning: a discount of 60% is not below the margin") for n in found.notes)
    assert set(list_files.list_table(found)["Discount"]) == {60.0}


def test_a_response_ranking_says_so_and_promises_nothing(made):
    kit = replace(made, response=None, why="the shop has had no trial")
    found = build(kit, ask(product=offered(made), customers="6"), 1)
    frame = list_files.list_table(found)
    assert set(frame["RankedBy"]) == {RESPONSE}
    assert len(found.sent) == 6
    for column in ("ProbabilityWithOffer", "Uplift", "UpliftConfidenceLow", "UpliftConfidenceHigh", "ExpectedProfit"):
        assert frame[column].isna().all()
    assert set(frame["Discount"]) == {0.0}
    chance = frame["ProbabilityWithoutOffer"]
    assert chance.is_monotonic_decreasing
    told = summary(found, kit).set_index("name")
    for name in ("uplift", "profit", "return_on_investment", "revenue"):
        assert np.isnan(told.loc[name, "value"])
        assert told.loc[name, "meaning"] == "not available: the shop has had no trial"


@pytest.mark.slow
def test_an_uplift_ranking_says_so_and_adds_up(made):
    found = build(made, ask(product=offered(made)), 1)
    frame = list_files.list_table(found)
    assert set(frame["RankedBy"]) == {UPLIFT}
    assert np.allclose(frame["ProbabilityWithOffer"] - frame["ProbabilityWithoutOffer"], frame["Uplift"], atol=2e-4)
    assert (frame["UpliftConfidenceLow"] <= frame["Uplift"]).all()
    assert (frame["Uplift"] <= frame["UpliftConfidenceHigh"]).all()
    assert frame["ExpectedProfit"].is_monotonic_decreasing
    assert frame["RedemptionPercentile"].between(0, 100).all()
    high = frame["Priority"] == "high"
    assert frame.loc[high, "ExpectedProfit"].min() >= frame.loc[~high, "ExpectedProfit"].max()
    assert frame.loc[high, "ExpectedProfit"].iloc[:-1].sum() <= frame["ExpectedProfit"].sum() / 2
    assert pd.to_datetime(frame["SendDay"]).between(found.date, found.date + pd.Timedelta(days=6)).all()
    assert frame["SendHour"].between(8, 21).all()


def test_promises_are_told_as_they_were_kept(made):
    cov = ((0.01, 0.0), (0.0, 0.01))
    kept = {n: Calibration(-0.1, 0.5, cov, 1.0).facts() for n in ("profit", "revenue", "buys")}
    kit = replace(made, facts=facts(made.shop, forecast=kept))
    found, plain = (build(k, ask(product=offered(made)), 1) for k in (kit, made))
    gain = found.sent["predicted_profit"]
    assert found.sent["profit"].sum() == pytest.approx((0.5 * gain - 0.1).sum())  # what the forecast says of all
    assert np.allclose(
        found.rows["profit"] / found.rows["predicted_profit"], found.sent["profit"].sum() / gain.sum()
    )  # as promised
    assert np.allclose(found.rows["uplift"], 0.5 * plain.rows["uplift"] - 0.1)
    told = summary(found, kit).set_index("name")
    assert told.loc["profit", "value"] == pytest.approx(found.sent["profit"].sum())
    for name in ("profit", "revenue"):
        low, high, least, most = told.loc[name, ["confidence_low", "confidence_high", "prediction_low", "prediction_high"]]
        assert least < low < told.loc[name, "value"] < high < most
    assert told.loc["return_on_investment", "value"] == pytest.approx(found.sent["profit"].sum() / found.sent["spend"].sum())
    unsaid = summary(found, replace(kit, facts={"forecast": kept})).set_index("name")
    assert np.isnan(unsaid.loc["return_on_investment", "value"])
    assert "not said by the saved response" not in unsaid.loc["profit", "meaning"]
    assert "no return on investment is given" in unsaid.loc["return_on_investment", "meaning"]
    ends = {"expected": 1.0, "confidence_low": -2.0, "confidence_high": 4.0, "prediction_low": -3.0, "prediction_high": 5.0}
    assert widened(ends, 4.0)["confidence_high"] == pytest.approx(6.0)


def test_ways_of_sending_spend_what_the_list_spends(made):
    found = build(made, ask(product=offered(made), budget="8"), 1)
    arms = strategies(found, found.view, 1)
    table = strategy_table(found, found.view, arms).set_index("strategy")
    assert table.loc["this list", "contacts"] == len(found.sent)
    assert table.loc["everybody", "contacts"] == len(found.view.customer)
    for name in ("likeliest buyers, same spend", "at random, same spend"):
        assert table.loc[name, "spend"] <= table.loc["this list", "spend"] + 1e-9
    assert table.loc["this list", "promised"] == pytest.approx(found.sent["predicted_profit"].sum())


@pytest.mark.slow
def test_reasons_add_most_and_what_undoes_a_choice_undoes_it(made):
    found = build(made, ask(product=offered(made), budget="60", holdout=0.0), 1)
    rows, view, chosen = found.rows, found.view, found.chosen
    assert rows["reason"].str.match(r"This customer .*[a-z]\.( Age, gender or segment weighs more than either\.)?$").all()
    assert not rows["reason"].str.contains(r"[a-z]_[a-z0-9]").any()
    assert (rows["unless"] == "").mean() < 1
    assert chosen.price > 0  # so that what undoes a choice is told at a price
    place = {c: i for i, c in enumerate(view.customer)}
    bought = rows[rows["unless"].str.contains("had not been bought in the last 90 days")]
    assert len(bought)
    for customer in bought["customer_id"]:
        x = view.features.iloc[[place[customer]]]
        assert x["product_90"].item() > 0
        new, _ = counterfactual._not_bought(x)
        told = view.response.expected(new)
        assert (told.gain - chosen.price * told.spend)[0, chosen.arms].argmax() == 0


@pytest.mark.slow
def test_reasons_are_the_topics_that_add_most(made):
    found = build(made, ask(product=offered(made), budget="60", holdout=0.0), 1)
    view, chosen = found.view, found.chosen
    x = view.features[view.eligible].reset_index(drop=True)
    others = background_rows(x, view.forecast.gain[view.eligible].max(axis=1), 10)
    told = explain_selection(view, chosen, "Tea", "Drinks", 1)
    groups = wording.topics_in(list(x))
    for i, row in enumerate(chosen.row):
        mine = view.features.iloc[[row]]

        def earned(switched, mine=mine, arm=chosen.arm[i]):  # mean over the others, with some topics taken from her
            z = others.copy()
            for topic in switched:
                z[groups[topic]] = mine[groups[topic]].to_numpy()[0]
            f = at_level(view.response, view.response.expected(z), z, view.season_level)
            return f.gain[:, arm].mean()

        first = {t: earned([t]) - earned([]) for t in groups if t not in wording.SILENT}
        last = {t: earned(list(groups)) - earned([g for g in groups if g != t]) for t in first}
        both = pd.Series(first).add(pd.Series(last)) / 2  # not Shapley's value, but near it where topics hardly interact
        named = wording.clause(both.idxmax(), mine.iloc[0], "Tea", "Drinks", x.median().to_dict())
        assert named.removeprefix("bought ").split(" in the")[0] in told["reason"].iloc[i]


@pytest.mark.slow
def test_a_place_on_the_list_has_a_price(made):
    free = build(made, ask(product=offered(made), holdout=0.0), 1)
    few = build(made, ask(product=offered(made), customers="3", holdout=0.0), 1)
    assert set(free.chosen.slot_price) == {0.0}
    assert len(set(few.chosen.slot_price)) == 1
    assert few.chosen.slot_price[0] > 0
    assert few.chosen.arms.tolist() == list(range(len(free.view.response.arms)))


def test_where_nothing_was_tried_reasons_are_habits(made):
    found = build(replace(made, response=None, why="no trial"), ask(product=offered(made)), 1)
    assert found.rows["reason"].str.startswith("This customer ").all()
    assert (found.rows["unless"] == "").all()


@pytest.mark.slow
def test_a_list_has_its_audit_beside_it(made, tmp_path):
    found = build(made, ask(product=offered(made)), 1)
    files = list_files.write_campaign(found, tmp_path)
    table = contacted.read_audit(files["audit"])
    assert files["audit"].name == files["list"].name.replace(".csv", "_audit.csv")
    row = table.query("attribute == 'gender' and measure == 'contacted'").set_index("group")
    people = made.shop.frame("customers").set_index("customer_id")["gender"]
    reachable = people[found.people.who["customer_id"]]
    assert row["customers"].sum() == len(reachable)
    assert row["note"].str.startswith("too few to judge").all() == (reachable.value_counts() < MIN_CUSTOMERS).all()
    assert "No group is large enough" in contacted.audit_sentence(table)
    sent = list_files.read_campaign_file(files["list"]).set_index("CustomerID")
    ids = found.people.who["customer_id"]
    table, _ = contacted.audit_list(files["list"], ids, found.groups, 1, 20, least=1)
    judged = table.query("attribute == 'gender'").set_index(["group", "measure"])["value"]
    for gender, mine in ids.groupby(reachable.to_numpy()):
        on = sent.reindex(mine[mine.isin(sent.index)])
        assert judged[gender, "contacted"] == pytest.approx(len(on) / len(mine))
        assert judged[gender, "predicted profit"] == pytest.approx(on["ExpectedProfit"].sum() / len(mine))
        assert judged[gender, "predicted saving"] == pytest.approx(on["ExpectedDiscount"].sum() / len(mine))
    bare = replace(found, groups=found.groups[[]])
    assert "audit" not in list_files.write_campaign(bare, tmp_path, "_bare")


@pytest.mark.slow
def test_the_menu_does_nothing_before_the_button_and_then_writes_the_list(made, tmp_path):
    calls = []

    def make(kit, wanted, seed):
        calls.append(wanted)
        return build(kit, wanted, seed)

    box = menu(made, tmp_path, costs=COSTS, holdout=0.1, seed=1, make=make)
    assert not calls
    assert not list(tmp_path.iterdir())
    box.parts["product"].value, box.parts["depth"].value, box.parts["number"].value = offered(made), (10, 10), "4"
    box.parts["button"].click()
    assert (calls[0].discount, calls[0].customers) == (10.0, 4)
    assert "<b>4 customers; the expected profit is not available" in box.parts["state"].value
    assert (
        len(
            list_files.read_campaign_file(
                next(p for p in tmp_path.glob("*.csv") if p.stem.count("_") == 2 or p.stem[-1].isdigit())
            )
        )
        == 4
    )
    box.parts["product"].value = "Bakry 1"
    box.parts["button"].click()
    assert "the nearest" in box.parts["state"].value
    assert not box.parts["button"].disabled
