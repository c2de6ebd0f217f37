"""What a marketer types: read, or refused in sentences; and the ways it comes in."""

import re

import numpy as np
import pandas as pd
import pytest

from promo_helpers import campaign_command as command
from promo_helpers import paths, series
from promo_helpers.campaign.build import build
from promo_helpers.campaign.choose import buying_probabilities
from promo_helpers.campaign.kit import Kit
from promo_helpers.campaign.request import RequestError, number_of, parse_request
from promo_helpers.models.demand import DemandResponse
from promo_helpers.series import margin_of
from promo_helpers.shop.loading import load_shop
from promo_helpers.shop.shop import Shop, ShopWriter
from tests.campaigns import facts, response_of, shop_of
from tests.shops import shop_frames, write_shop


def test_what_was_typed_is_read():
    found = parse_request(" White Bread ", "50,000", "50", "10 %", "2026-02-01", "email")
    assert (found.product, found.budget, found.customers, found.discount) == ("White Bread", 50_000.0, 50, 10.0)
    assert (found.date, found.channel.heading, found.cost) == (pd.Timestamp("2026-02-01"), "Email", 0.1)
    open_ = parse_request()
    assert (open_.budget, open_.customers, open_.discount, open_.date) == (None, None, None, None)


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ({"budget": "0"}, "BUDGET=0: a budget is an amount above 0"),
        ({"budget": "-5"}, "BUDGET=-5: a budget is an amount above 0"),
        ({"budget": "much"}, "BUDGET=much: a budget is an amount above 0"),
        ({"customers": "0"}, "CUSTOMERS=0: a number of customers is a whole number from 1 on"),
        ({"customers": "2.5"}, "CUSTOMERS=2.5: a number of customers is a whole number"),
        ({"discount": "0.1"}, "DISCOUNT=0.1: a discount is given in percent"),
        ({"discount": "120"}, "DISCOUNT=120: a discount is given in percent"),
        ({"date": "1.2.2026"}, "DATE=1.2.2026: a date is written 2026-01-31"),
        ({"channel": "pigeon"}, "CHANNEL=pigeon: the channels are SMS and e-mail"),
        ({"holdout": 0.9}, "holdout = 0.9: the share that gets nothing must be from 0 to 0.5"),
        (
            {"even": "shoe size"},
            "EVEN=shoe size: name what makes the groups (gender, age, city, segment, income, household size, gender and age)",
        ),
        ({"even": "age 101"}, "EVEN=age 101: name what makes the groups"),
        *(({"even": t}, f"EVEN={t}: name what makes the groups") for t in ("age -5", "age 0,5", "10 age", "age 5,5", "age 5 6")),
        ({"even": "5"}, "EVEN=5: name what makes the groups"),
    ],
)
def test_what_cannot_be_is_refused_with_the_rule_and_what_to_do(typed, said):
    with pytest.raises(RequestError, match=re.escape(said)):
        parse_request(**typed)


def test_parity_may_stand_with_a_budget_and_a_number_of_customers():
    request = parse_request(even="age", budget="5", customers="7")
    assert (request.parity.attribute, request.budget, request.customers) == ("age_band", 5, 7)


def test_all_problems_are_said_at_once():
    with pytest.raises(RequestError) as told:
        parse_request(budget="0", customers="x", channel="fax")
    assert len(told.value.problems) == 3


@pytest.fixture
def kit(tmp_path, out):
    shop = shop_of(tmp_path)
    response_of(shop).save("response", facts(shop))
    return Kit.load(shop)


@pytest.mark.slow
def test_products_dates_and_numbers(kit):
    with pytest.raises(RequestError, match="PRODUCT=Bakry 1: no product is called 'Bakry 1'; the nearest: Bakery 1"):
        build(kit, parse_request("Bakry 1"), 1)
    name = str(kit.items["name"].iloc[0])
    assert kit.product(name.upper()) == kit.product(str(kit.items["item"].iloc[0])) == 0
    last = kit.end - pd.Timedelta(days=1)
    with pytest.raises(RequestError, match=f"the data end on {last:%Y-%m-%d}, and a list made for a day within them"):
        build(kit, parse_request(name, date=f"{last:%Y-%m-%d}"), 1)
    found = build(kit, parse_request(name, customers="5000", costs={"SMS": 0.1}), 1)
    assert any(n.startswith("CUSTOMERS=5000: only 30 customers may be written to by SMS") for n in found.notes)
    late = build(kit, parse_request(name, date=f"{kit.end + pd.Timedelta(days=60):%Y-%m-%d}", costs={"SMS": 0.1}), 1)
    assert any(n.startswith("The data end 60 days before") for n in late.notes)


@pytest.mark.slow
def test_without_a_name_the_best_of_the_trials_products_is_taken(kit):
    tried = [str(kit.items["name"].iloc[n]) for n in kit.tried()]
    best = build(kit, parse_request(costs={"SMS": 0.1}, holdout=0.0), 1)
    each = [build(kit, parse_request(n, costs={"SMS": 0.1}, holdout=0.0), 1).rows["predicted_profit"].sum() for n in tried]
    assert len(set(np.round(each, 6))) == 2
    assert best.name == tried[int(np.argmax(each))]
    assert best.rows["predicted_profit"].sum() == pytest.approx(max(each))


@pytest.mark.slow
def test_a_shop_with_a_trial_and_no_saved_response_names_the_command_or_says_that_it_cannot_tell(tmp_path, out):
    shop = shop_of(tmp_path)  # eighty contacts: the gates refuse
    found = Kit.load(shop)
    assert found.response is None
    assert found.why.startswith("cannot tell: trial of")
    with pytest.raises(FileNotFoundError, match="make notebook N=12_budget makes it"):
        DemandResponse.load("response")
    response_of(shop).save("response", facts(shop, gates="cannot tell: the trial fails for profit at balance", gates_hold=False))
    assert Kit.load(shop).why == "cannot tell: the trial fails for profit at balance"


@pytest.mark.slow
def test_a_shop_without_a_trial_ranks_by_past_frequency_and_says_so(tmp_path, out):
    frames = shop_frames()
    frames.pop("contacts")
    kit = Kit.load(load_shop(write_shop(tmp_path / "s", frames, contacts=None), folder=tmp_path / "c"))
    assert "no trial" in kit.why
    assert any(
        "makes it; until then past frequency stands in" in n and "make notebook N=03_purchase SHOP=" in n for n in kit.notes
    )
    chance, origin = buying_probabilities(kit, kit.purchases.customers.to_numpy(object), 0)
    assert origin == "past frequency of buying"
    often = np.bincount(kit.purchases.who[kit.purchases.what == 0], minlength=40)
    assert pd.Series(chance).corr(pd.Series(often), method="spearman") > 0.8
    assert ((chance > 0) & (chance < 1)).all()
    found = build(kit, parse_request(channel="e-mail", budget="5", costs={"e-mail": 1.0}), 1)
    assert len(found.sent) == 5
    assert any("is what most customers bought in the last 13 weeks" in n for n in found.notes)


@pytest.mark.slow
def test_a_margin_given_for_a_whole_shop(tmp_path):
    frames = shop_frames()
    frames["products"] = frames["products"].assign(Margin=["" if i % 2 else "0.4" for i in range(12)])
    bare = {**frames, "products": frames["products"].drop(columns="Margin")}
    part, none = write_shop(tmp_path / "part", frames), write_shop(tmp_path / "none", bare)
    shop = load_shop(part, folder=tmp_path / "a", margin=0.25)
    assert shop.frame("products")["margin"].tolist() == [0.4, 0.25] * 6
    assert shop.treatments["rows"].tolist()[:1] == [6]
    assert load_shop(none, folder=tmp_path / "b", margin=0.3).frame("products")["margin"].tolist() == [0.3] * 12
    assert not load_shop(none, folder=tmp_path / "b").has("products", "margin")  # made anew: nothing is invented
    with pytest.raises(ValueError, match=r"MARGIN=25: the margin is a share of the price between 0 and 1, such as \.25"):
        load_shop(part, folder=tmp_path / "d", margin=25)
    for wrong in ("25", "a third", "0"):
        with pytest.raises(SystemExit, match=f"MARGIN={wrong}: the margin is a share of the price between 0 and 1"):
            margin_of(wrong)
    assert (margin_of(""), margin_of(".25")) == (0, 0.25)


def test_parameters_typed_on_the_command_line_are_of_the_notebooks_kinds():
    notebook = paths.notebooks() / "18_campaign.ipynb"
    found = series.typed_parameters(notebook, ["budget=500", "holdout=0.2", "bundle=False", "product=Tea = good"])
    assert found == {"budget": "500", "holdout": 0.2, "bundle": False, "product": "Tea = good"}
    for wrong, said in (("size=3", "has no parameter `size`"), ("holdout=many", "holdout=many: the parameter `holdout`")):
        with pytest.raises(SystemExit, match=said):
            series.typed_parameters(notebook, [wrong])


def test_a_parameter_by_its_earlier_name_is_understood_with_a_sentence(capsys):
    for stem, names in series.RENAMED.items():
        notebook = paths.notebooks() / f"{stem}.ipynb"
        own = series.parameters_of(notebook)
        for old, new in names.items():
            assert new in own
            assert old not in own
    assert series.typed_parameters(notebook, ["allowed=0.1"]) == {"tolerance": 0.1}
    assert "the parameter allowed is called tolerance now" in capsys.readouterr().out
    assert series.typed_parameters(notebook, ["tolerance=0.1"]) == {"tolerance": 0.1}
    assert not capsys.readouterr().out


@pytest.mark.parametrize("typed", ["50,5", "1,23", "12,50", "1,2345"])
def test_a_decimal_comma_is_no_thousand(typed):
    with pytest.raises(RequestError, match="BUDGET"):
        parse_request(budget=typed)
    assert number_of(typed) == typed


def test_commas_between_thousands_are_read_and_files_are_named_for_what_was_asked():
    found = parse_request(budget="50,000", customers="1,200", discount="10%", channel="e-mail")
    assert (found.budget, found.customers, found.discount) == (50_000, 1_200, 10)
    assert found.slug == "budget50000_customers1200_off10_email"


@pytest.mark.parametrize(
    ("typed", "attribute", "tolerance"),
    [
        ("age", "age_band", 0.05),
        ("Age band 10", "age_band", 0.1),
        ("gender 0", "gender", 0.0),
        ("household_size 2.5 points", "household_size", 0.025),
        ("gender and age 7%", "gender and age", 0.07),
        ("income band", "income_band", 0.05),
        ("age .5", "age_band", 0.005),
        ("Location", "city", 0.05),
        ("age and gender 3", "gender and age", 0.03),
    ],
)
def test_groups_to_choose_alike_are_read_as_they_are_typed(typed, attribute, tolerance):
    found = parse_request(even=typed)
    assert (found.parity.attribute, found.parity.tolerance) == (attribute, pytest.approx(tolerance))
    assert found.slug.startswith(f"even_{found.parity.name.replace(' ', '_')}{100 * tolerance:g}")
    assert parse_request(even=" ").parity is None


def test_a_shop_without_products_is_a_sentence_and_a_fault_of_the_code_is_not(tmp_path, out, monkeypatch):
    folder = write_shop(tmp_path / "whole")
    whole = load_shop(folder)
    with ShopWriter(tmp_path / "empty", source="empty", currency="LKR") as writer:
        for table in ("products", "transactions"):
            writer.append(table, whole.frame(table).iloc[:0])
    for product in ("", "Bread"):
        with pytest.raises(RequestError, match="The shop has no products"):
            command._check(parse_request(product), Shop(tmp_path / "empty"), "")
    with pytest.raises(SystemExit, match="Which product"):
        command.make_campaign({}, str(folder))
    monkeypatch.setattr(command, "parse_request", lambda **typed: int("a fault"))
    with pytest.raises(ValueError, match="a fault"):
        command.make_campaign({}, str(folder))
