"""A list whose groups are chosen alike: the limit it keeps, the prices that stand for it, what it gives up, and what it refuses."""

import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from promo_helpers.audit import contacted, counterfactual
from promo_helpers.audit.contacted import groups_of
from promo_helpers.audit.fairness import MIN_CUSTOMERS
from promo_helpers.campaign import choose, list_files
from promo_helpers.campaign.build import PARITY_NOTE, build
from promo_helpers.campaign.kit import Kit
from promo_helpers.campaign.menu import menu
from promo_helpers.campaign.outcome import summary
from promo_helpers.campaign.request import RequestError, parse_request
from promo_helpers.decide import parity
from promo_helpers.decide.allocate import Limits, Parity, allocate
from promo_helpers.decide.forecast import Calibration
from tests.campaigns import facts, response_of, shop_of

COSTS = {"SMS": 17.0, "e-mail": 0.01}  # so that an offer pays for about half
WITHIN = 0.2


def ask(kit, **more):
    return parse_request(**{"product": str(kit.items["name"].iloc[kit.tried()[0]]), "costs": COSTS, "bundle": False, **more})


def kit_of(folder, **customers):
    shop = shop_of(folder, **customers)
    response_of(shop).save("response", facts(shop))
    return Kit.load(shop)


@pytest.fixture(scope="module")
def kits(tmp_path_factory):
    """Two shops whose offers earn more with women, of which the model knows nothing; in the second the gender of four is not known."""
    folder = tmp_path_factory.mktemp("even")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PROMO_OUT", str(folder / "out"))
        plain = kit_of(folder / "plain")
        view = build(plain, ask(plain), 1).view
        best = pd.Series(view.forecast.gain.max(axis=1), view.customer)
        ids = plain.shop.frame("customers")["customer_id"]
        gender = np.where(best.reindex(ids).to_numpy() > best[view.eligible].median(), "Female", "Male").astype(object)
        some = gender.copy()
        some[np.flatnonzero(ids.isin(view.customer[view.eligible]))[:4]] = ""
        yield kit_of(folder / "known", Gender=gender), kit_of(folder / "some", Gender=some)


@pytest.fixture
def small(monkeypatch):
    """Groups of five are groups."""
    monkeypatch.setattr(choose, "MIN_CUSTOMERS", 5)


def sets(found):
    """[eligible and not held out] whether each is written to, and her gender."""
    on = np.zeros(len(found.view.customer), int)
    on[found.chosen.row] = found.chosen.arm
    rows = found.view.eligible & ~found.chosen.reserved
    return on[rows], found.groups["gender"].to_numpy(object)[rows]


def planted(seed, n=600):
    rng = np.random.default_rng(seed)
    group = rng.choice(np.array(["a", "b", "c"], object), n, p=[0.5, 0.3, 0.2])
    shift = pd.Series(group).map({"a": 2.0, "b": 0.0, "c": -2.0}).to_numpy()
    gain = np.column_stack([np.zeros(n), rng.normal(shift, 2), rng.normal(shift, 3)])
    spend = np.column_stack([np.zeros(n), rng.uniform(0.5, 1.5, n), rng.uniform(1, 3, n)])
    return gain, spend, Parity(group, 0.05), np.array([f"c{i:04d}" for i in rng.permutation(n)], object)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("budget", "number"), [(150.0, None), (None, 120), (150.0, 100), (None, None)])
def test_at_its_prices_each_rows_best_is_its_arm(seed, budget, number):
    gain, spend, groups, customer = planted(seed)
    limits = Limits(budget, number)
    free = allocate(gain, spend, limits, customer=customer)
    found = allocate(gain, spend, replace(limits, parity=groups), customer=customer)
    assert parity.share_gap(free.arm, groups.group) > 2 * groups.tolerance
    assert parity.share_gap(found.arm, groups.group) <= groups.tolerance + 1e-9
    assert found.gain <= free.bound
    assert -1e-6 <= found.gap <= 5 * np.ptp(gain, axis=1).max()
    shares = found.caps.query("cap == 'parity'")
    assert (shares["used"] <= shares["limit"] + 1e-9).all()
    assert budget is None or spend[np.arange(len(gain)), found.arm].sum() <= budget
    assert number is None or (found.arm > 0).sum() == number or (budget and (found.arm > 0).sum() < number)
    net = gain - found.price("budget") * spend - found.slot_price[:, None] * (np.arange(3) > 0)
    off = net.argmax(axis=1) != found.arm
    assert off.sum() <= 8  # those that the band or what is left of the budget lets in one by one
    assert np.abs(net[off].max(axis=1) - net[off, found.arm[off]]).max(initial=0.0) < (
        1.5 if budget and number else 0.5
    )  # or have a cheaper arm
    by_group = pd.Series(found.slot_price).groupby(groups.group).unique()
    assert by_group.map(len).eq(1).all()
    assert by_group["a"][0] > by_group["c"][0]  # who brings more has to bring more
    assert set(groups.group[found.added_for_parity]) in ({"c"}, {"b", "c"})
    assert (found.arm[found.added_for_parity] > 0).all()


def test_who_falls_below_the_price_of_her_groups_places_loses_hers():
    """In a group whose share the band sets, against allocations that are made anew."""
    gain, spend, groups, customer = planted(3)
    limits = Limits(parity=groups)
    found = allocate(gain, spend, limits, customer=customer)
    mine = np.flatnonzero((groups.group == "c") & (found.arm > 0))
    worth, place = gain[:, 1:].max(axis=1), found.slot_price[mine[0]]
    assert place < 0 < len(mine)
    for row in mine[::9]:
        lower = gain.copy()
        lower[row, 1:] -= worth[row] - place + 0.01
        assert allocate(lower, spend, limits, customer=customer).arm[row] == 0


@pytest.mark.parametrize("limit", [50, 200, 400])
def test_rows_that_are_alike_are_let_in_one_by_one(limit):
    rng = np.random.default_rng(0)
    group = rng.choice(np.array(["a", "b", "c"], object), 600, p=[0.5, 0.3, 0.2])
    gain = np.column_stack([np.zeros(600), rng.integers(-2, 4, 600) + (group == "a")]).astype(float)
    spend = np.column_stack([np.zeros(600), np.ones(600)])
    found = allocate(gain, spend, Limits(float(limit), parity=Parity(group, 0.05)))
    assert (found.arm > 0).sum() == limit or limit == 400  # where what is left earns nothing
    assert (found.arm > 0).sum() <= limit
    assert parity.share_gap(found.arm, group) <= 0.05 + 1e-9
    assert found.bound - found.gain <= gain.max()


def test_the_order_of_the_rows_makes_no_difference():
    gain, spend, groups, customer = planted(1)
    gain, spend = np.round(gain), np.round(spend)  # with ties
    mixed = np.random.default_rng(0).permutation(len(gain))
    other = Parity(groups.group[mixed], 0.05)
    held = np.random.default_rng(1).random(len(gain)) < 0.2
    for limits in (Limits(150.0), Limits(150.0, 100)):
        one = allocate(gain, spend, replace(limits, parity=groups), customer=customer, held_out=held)
        two = allocate(gain[mixed], spend[mixed], replace(limits, parity=other), customer=customer[mixed], held_out=held[mixed])
        assert one.arm[mixed].tolist() == two.arm.tolist()


def test_what_is_even_as_it_is_stays_as_it_is():
    gain, spend, groups, customer = planted(2)
    found, free = (
        allocate(gain, spend, Limits(150.0, parity=Parity(groups.group, 1.0)), customer=customer),
        allocate(gain, spend, Limits(150.0), customer=customer),
    )
    assert found.arm.tolist() == free.arm.tolist()
    assert found.price("budget") == free.price("budget")
    assert not found.added_for_parity.any()


def test_who_is_in_no_group_is_held_to_no_share():
    gain, spend, groups, customer = planted(4)
    groups.group[:100] = None
    found = allocate(gain, spend, Limits(parity=groups), customer=customer)
    assert ((found.arm > 0) == (gain.max(axis=1) > 0))[:100].all()
    assert parity.share_gap(found.arm, groups.group) <= 0.05 + 1e-9
    assert not found.added_for_parity[:100].any()


def test_groups_too_small_to_judge_and_unknown_ones_are_left_aside():
    label = pd.Series(
        ["one"] * MIN_CUSTOMERS + ["two"] * MIN_CUSTOMERS + ["small"] * (MIN_CUSTOMERS - 1) + [None] + ["three"] * MIN_CUSTOMERS,
        dtype=object,
    )
    may = np.arange(len(label)) < 3 * MIN_CUSTOMERS
    groups = pd.DataFrame({"city": label})
    found = choose.parity_groups(parse_request(even="city").parity, groups, may)
    assert pd.isna(found.group[may]).sum() == MIN_CUSTOMERS
    assert pd.Series(found.group).value_counts().to_dict() == {"one": MIN_CUSTOMERS, "two": MIN_CUSTOMERS}
    with pytest.raises(
        RequestError,
        match=rf"EVEN=city: at least two groups need {MIN_CUSTOMERS} customers whom .* there are: one {MIN_CUSTOMERS}, two 9;",
    ):
        choose.parity_groups(parse_request(even="city").parity, groups, np.arange(len(label)) < MIN_CUSTOMERS + 9)
    assert choose.parity_groups(None, groups, may) is None


@pytest.mark.slow
@pytest.mark.parametrize(
    "limit", [{"budget": "400"}, {"customers": "8"}, {"budget": "400", "customers": "7"}, {"discount": "10"}, {}]
)
def test_the_list_is_as_even_as_it_was_asked_to_be(kits, small, limit):
    kit = kits[0]
    found, free = build(kit, ask(kit, even="gender 20", **limit), 1), build(kit, ask(kit, **limit), 1)
    assert parity.share_gap(*sets(free)) > 1.5 * WITHIN
    assert parity.share_gap(*sets(found)) <= WITHIN + 1e-9
    assert len(found.sent) > 4
    if "budget" in limit:
        assert found.sent["spend"].sum() <= float(limit["budget"]) * (1 + 1e-9)
    if "customers" in limit:
        assert len(found.sent) == 8 if "budget" not in limit else len(found.sent) <= 7
    if "discount" in limit:
        assert set(found.rows["percent"]) == {10.0}
    [note] = [n for n in found.notes if n.startswith("Alike by gender: ")]
    told = re.search(r"by at most ([\d.]+) points, and by ([\d.]+) if that is not asked", note)
    assert [float(t) for t in told.groups()] == pytest.approx(
        [100 * parity.share_gap(*sets(f)) for f in (found, free)], abs=0.051
    )
    promised = re.search(r"predicts (-?[\d,]+) LKR instead of (-?[\d,]+)\.", note)
    assert [float(t.replace(",", "")) for t in promised.groups()] == pytest.approx(
        [found.sent["predicted_profit"].sum(), free.sent["predicted_profit"].sum()], abs=0.51
    )
    owed = found.sent["reason"].str.endswith(PARITY_NOTE.format("gender"))
    assert owed.any()
    assert set(found.groups["gender"][found.people.who["customer_id"].isin(found.sent.loc[owed, "customer_id"])]) == {"Male"}
    lose = int((found.sent["predicted_profit"] < 0).sum())
    more = f"; with {lose:,} of them the offer is expected to lose money." if lose else "."
    assert note.endswith(f"{owed.sum():,} of {len(found.sent):,} are written to only so that groups are alike{more}")
    assert not [n for n in free.notes if n.startswith("Alike by")]


@pytest.mark.slow
def test_with_the_line_of_promises_the_note_gives_what_the_summary_gives(kits, small, monkeypatch):
    kit = kits[0]
    line = Calibration(-0.1, 0.6, ((0.01, 0.0), (0.0, 0.01)), 0.1)
    monkeypatch.setattr(Kit, "lines", {"profit": line})
    found, free = build(kit, ask(kit, even="gender 20", budget="400"), 1), build(kit, ask(kit, budget="400"), 1)
    [note] = [n for n in found.notes if n.startswith("Alike by gender: ")]
    told = re.search(r"on held-out contacts, (-?[\d,]+) instead of (-?[\d,]+)\.", note)
    wanted = [summary(f, kit).set_index("name").loc["profit", "value"] for f in (found, free)]
    assert [float(t.replace(",", "")) for t in told.groups()] == pytest.approx(wanted, abs=0.51)


@pytest.mark.slow
def test_what_undoes_a_choice_undoes_it_at_the_price_of_her_group(kits, small, monkeypatch):
    kit, seen, flips = kits[0], [], counterfactual.smallest_flips

    def spied(net, x, *more, **named):
        seen.append((net(x), x))
        return flips(net, x, *more, **named)

    monkeypatch.setattr(counterfactual, "smallest_flips", spied)
    found = build(kit, ask(kit, even="gender 20", budget="400", holdout=0.0), 1)
    view, chosen = found.view, found.chosen
    assert len(set(chosen.slot_price)) == 2
    assert (found.rows["unless"] != "").any()
    alone = [tuple(row) for row in view.features.iloc[chosen.row].fillna(-1.0).to_numpy(float)]
    assert len(set(alone)) == len(alone)
    for net, x in seen:
        told = view.response.expected(x)
        at = [alone.index(tuple(row)) for row in x.fillna(-1.0).to_numpy(float)]
        gain = (told.gain - chosen.price * told.spend)[:, chosen.arms] - chosen.slot_price[at][:, None] * (chosen.arms > 0)
        assert net == pytest.approx(gain)
    assert sum(len(x) for _, x in seen) >= len(chosen.row) - 2  # but for the last of a group


@pytest.mark.slow
def test_customers_without_a_group_are_counted_and_bound_by_nothing(kits, small):
    kit = kits[1]
    found = build(kit, ask(kit, even="gender 20"), 1)
    [note] = [n for n in found.notes if n.startswith("Alike by gender: ")]
    assert "4 of them are in no group" in note
    on, gender = sets(found)
    assert pd.isna(found.groups["gender"][found.view.eligible]).sum() == 4
    assert parity.share_gap(on, gender) <= WITHIN + 1e-9


@pytest.mark.slow
def test_without_a_name_the_product_is_the_one_that_earns_most_evenly(kits, small):
    kit = kits[0]
    best = build(kit, ask(kit, product="", even="gender 20", budget="400", holdout=0.0), 1)
    each = [
        build(kit, ask(kit, product=str(kit.items["name"].iloc[i]), even="gender 20", budget="400", holdout=0.0), 1)
        .rows["predicted_profit"]
        .sum()
        for i in kit.tried()
    ]
    assert best.rows["predicted_profit"].sum() == pytest.approx(max(each))


def test_an_empty_list_says_whether_it_is_the_offers_or_the_limits(kits, small):
    kit = kits[0]
    tight = build(kit, ask(kit, budget="5"), 1)
    assert [n for n in tight.notes if n.startswith("The list is empty: BUDGET= leave room for nobody, though some offers")]
    assert not [n for n in tight.notes if n.startswith("No offer is expected to pay")]


@pytest.mark.slow
def test_the_menu_offers_what_the_shop_records_and_asks_for_it(kits, small, tmp_path):
    seen = []

    def make(kit, wanted, seed):
        seen.append(build(kit, wanted, seed))
        return seen[-1]

    parts = menu(kits[0], tmp_path, costs=COSTS, holdout=0.0, seed=1, make=make).parts
    assert [name for name, _ in parts["even"].options] == [
        "as it earns most", "alike by gender", "alike by age", "alike by city", "alike by segment", "alike by gender and age"
    ]  # fmt: skip
    assert parts["apart"].disabled
    parts["product"].value, parts["even"].value = ask(kits[0]).product, "gender"
    assert not parts["apart"].disabled
    parts["apart"].value = 20
    parts["button"].click()
    assert " held out.</b> The list: " in parts["state"].value
    assert (seen[0].ask.parity.attribute, seen[0].ask.parity.tolerance) == ("gender", 0.2)
    assert [n for n in seen[0].notes if n.startswith("Alike by gender: ")]
    [file] = tmp_path.glob("*_audit.csv")
    assert "gender" in set(contacted.read_audit(file)["attribute"])
    assert len(list_files.read_campaign_file(file.with_name(file.name.replace("_audit", "")))) == len(seen[0].sent)


@pytest.mark.slow
def test_what_cannot_be_even_is_refused(kits, tmp_path):
    kit = kits[0]
    with pytest.raises(
        RequestError, match="EVEN=income: the shop records no income of its customers; it records gender, age, city, segm"
    ):
        build(kit, ask(kit, even="income"), 1)
    with pytest.raises(
        RequestError, match=r"EVEN=age: what a list gives up .* only where a trial tells what offers earn: 60 % is deeper"
    ):
        build(kit, ask(kit, even="age", discount="60"), 1)
    with pytest.raises(RequestError, match=rf"EVEN=gender: at least two groups need {MIN_CUSTOMERS} customers"):
        build(kit, ask(kit, even="gender"), 1)
    bare = shop_of(tmp_path, Gender=None, Age=None, Location=None, CustomerSegment=None)
    assert groups_of(bare, bare.frame("customers")["customer_id"]).empty
