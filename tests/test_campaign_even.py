"""A list whose groups are chosen alike: the limit it keeps, the prices that stand for it, what it gives up, and what it refuses."""

import re

import numpy as np
import pandas as pd
import pytest

from promo_helpers.audit import parity
from promo_helpers.audit.measures import LEAST
from promo_helpers.campaign import evenly, listing
from promo_helpers.campaign.ask import AskError, asked
from promo_helpers.campaign.build import build
from promo_helpers.campaign.kit import Kit
from promo_helpers.campaign.menu import menu
from promo_helpers.shop.sheets import read_sheet
from tests.campaigns import facts, response_of, shop_of

COSTS = {"SMS": 0.1, "e-mail": 0.01}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A shop whose trial has a saved response; tests only read it."""
    folder = tmp_path_factory.mktemp("even")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PROMO_OUT", str(folder / "out"))
        shop = shop_of(folder)
        response_of(shop).save("response", facts())
        yield Kit.load(shop)


@pytest.fixture
def small(monkeypatch):
    """Groups of three are groups."""
    monkeypatch.setattr(evenly, "LEAST", 3)


def ask(kit, **more):
    return asked(**{"product": str(kit.items["name"].iloc[kit.tried()[0]]), "costs": COSTS, "bundle": False, **more})


def planted(seed, n=600):
    rng = np.random.default_rng(seed)
    group = rng.choice(np.array(["a", "b", "c"], object), n, p=[0.5, 0.3, 0.2])
    shift = pd.Series(group).map({"a": 2.0, "b": 0.0, "c": -2.0}).to_numpy()
    gain = np.column_stack([np.zeros(n), rng.normal(shift, 2), rng.normal(shift, 3)])
    spend = np.column_stack([np.zeros(n), rng.uniform(0.5, 1.5, n), rng.uniform(1, 3, n)])
    return gain, spend, group, np.array([f"c{i:04d}" for i in rng.permutation(n)], object)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("budget", "number"), [(150.0, None), (None, 120), (None, None)])
def test_at_its_prices_each_rows_best_is_hers(seed, budget, number):
    gain, spend, group, customer = planted(seed)
    arm, price, place = evenly.allocate_evenly(gain, spend, budget, number, customer, group, 0.05)
    assert parity.gap(arm, group) <= 0.05 + 1e-9
    assert budget is None or spend[np.arange(len(arm)), arm].sum() <= budget
    assert number is None or number - 3 <= (arm > 0).sum() <= number
    net = gain - price * spend - place[:, None] * (np.arange(3) > 0)
    best = net.argmax(axis=1)
    strict = np.abs(net[:, 1:].max(axis=1)) > 1e-9  # the first that is left out, or the last that is not, is on the border
    assert (best == arm)[strict].all()
    assert (~strict).sum() <= 4  # one in each group, and the one who brought the budget's price to rest
    assert len(np.unique(place)) <= 3
    assert place[group == "a"][0] > place[group == "c"][0]  # who brings more has to bring more


def test_the_order_of_the_rows_makes_no_difference():
    gain, spend, group, customer = planted(1)
    gain, spend = np.round(gain), np.round(spend)  # with ties
    mixed = np.random.default_rng(0).permutation(len(gain))
    one = evenly.allocate_evenly(gain, spend, 150.0, None, customer, group, 0.05)[0]
    two = evenly.allocate_evenly(gain[mixed], spend[mixed], 150.0, None, customer[mixed], group[mixed], 0.05)[0]
    assert one[mixed].tolist() == two.tolist()


def test_groups_too_small_to_judge_and_unknown_ones_are_one():
    label = pd.Series(["big"] * LEAST + ["small"] * (LEAST - 1) + [None] + ["asked elsewhere"] * LEAST, dtype=object)
    asked_ = np.arange(len(label)) < 2 * LEAST
    found = evenly.grouped(label, asked_)
    assert found[:LEAST].tolist() == ["big"] * LEAST
    assert set(found[LEAST:]) == {evenly.OTHERS}


@pytest.mark.parametrize("limit", [{"budget": "6"}, {"customers": "5"}, {"discount": "10"}, {}])
@pytest.mark.parametrize("even", ["gender 10", "city 20"])
def test_the_list_is_as_even_as_it_was_asked_to_be(made, small, limit, even):
    wanted = ask(made, even=even, **limit)
    found, free = build(made, wanted, 1), build(made, ask(made, **limit), 1)
    group, view = evenly.grouped(found.groups[wanted.even.kind], found.view.asked), found.view
    arm = np.zeros(len(group), int)
    arm[found.chosen.row] = found.chosen.arm
    sizes = pd.Series(group[view.asked]).value_counts()
    assert parity.gap(arm[view.asked], group[view.asked]) <= max(wanted.even.apart, 2 / sizes.min()) + 1e-9  # whole customers
    assert not arm[~view.asked].any()
    if "budget" in limit:
        assert found.sent["spend"].sum() <= 6 * (1 + 1e-9)
    if "customers" in limit:
        assert len(found.sent) <= 5
    [note] = [n for n in found.notes if n.startswith(f"Even by {wanted.even.name}, within {100 * wanted.even.apart:g} points")]
    promised = [float(x.replace(",", "")) for x in re.search(r"promises ([-\d,]+) LKR instead of ([-\d,]+)", note).groups()]
    assert promised == pytest.approx([found.sent["gain"].sum(), free.sent["gain"].sum()], abs=0.51)
    assert (found.rows["reason"] != "").all()
    assert not [n for n in free.notes if n.startswith("Even by")]


def test_an_audit_lies_beside_it_and_the_note_is_in_the_summary_of_the_menu(made, small, tmp_path):
    box = menu(made, tmp_path, costs=COSTS, holdout=0.0, seed=1)
    parts = box.parts
    assert [name for name, _ in parts["even"].options] == [
        "as it earns most", "alike by gender", "alike by age", "alike by city", "alike by segment", "alike by gender and age"
    ]  # fmt: skip
    assert parts["apart"].disabled
    parts["product"].value, parts["even"].value = ask(made).product, "gender"
    assert not parts["apart"].disabled
    parts["apart"].value = 10
    parts["button"].click()
    assert "are to be written to" in parts["state"].value
    [file] = tmp_path.glob("*_audit.csv")
    rows = read_sheet(file, ("attribute", "group", "measure", "note"))
    assert {"gender", "age_band"} <= set(rows["attribute"])
    assert len(listing.read(file.with_name(file.name.replace("_audit", "")))) > 0


def test_what_cannot_be_even_is_refused(made, tmp_path, monkeypatch):
    with pytest.raises(
        AskError, match="EVEN=income: the shop records no income of its customers; it records gender, age, city, segm"
    ):
        build(made, ask(made, even="income"), 1)
    with pytest.raises(
        AskError, match=r"EVEN=age: what a list gives up .* only where a trial tells what offers earn: 60 % is deeper"
    ):
        build(made, ask(made, even="age", discount="60"), 1)
    bare = shop_of(tmp_path, Gender=None, Age=None, Location=None, CustomerSegment=None)
    assert evenly.groups_of(bare, bare.frame("customers")["customer_id"]).empty
