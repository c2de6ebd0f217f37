"""The simulator follows its closed form in every kind of market, and a market that leaves an effect out is caught."""

from dataclasses import replace
from itertools import product

import numpy as np
import pandas as pd
import pytest

from promo_helpers.market import BRIDGE, PRESETS, Truth, parameters, replay, respond
from promo_helpers.market.law import DAY
from promo_helpers.market.truth import oracle_within_budget
from promo_helpers.studies.market_calibration import calibrate, lived, sample_after, sample_contacts

CONTACTS = 20_000  # each preset here; the replications and the notebook take 200,000


def market(**changes: object) -> Truth:
    """A small market without history at high activity, where events are many."""
    return Truth(parameters("paper", customers=2_000, activity=1.0, **changes), 11)


@pytest.fixture(scope="module")
def contacts() -> pd.DataFrame:
    return sample_contacts(market(), CONTACTS, 1, last_day=500)


@pytest.mark.slow
@pytest.mark.parametrize("preset", list(PRESETS))
def test_every_preset_follows_its_closed_form(preset: str) -> None:
    truth = lived(parameters("paper", preset, customers=2_000, activity=1.0), 11)
    contacts = sample_after(truth, CONTACTS, 2)
    chances = truth.expected(contacts.iloc[:2_000]).chances
    assert (chances["tired"] > 0).mean() > 0.5  # a history that counts
    assert (chances["notices"] == 0).mean() > 0.05  # and customers who are lost
    result = calibrate(truth, truth, contacts, 2, level=0.01 / len(PRESETS))
    assert result.holds, result.cells.sort_values("z").iloc[[0, -1]]
    assert 0.6 < result.cells["z"].std() < 1.4  # neither ignored nor inflated


@pytest.fixture(scope="module")
def history() -> tuple[Truth, pd.DataFrame]:
    """A market in which everyone got three strong contacts, and contacts that fall into their windows and weeks."""
    truth, rng = market(attention=0.9), np.random.default_rng(3)
    ids = np.array([f"CUST{i + 1:05d}" for i in range(2_000)])
    bread = truth.goods.products["product_id"].to_numpy()[truth.goods.trial]
    frames = []
    for day in (100, 109, 131):
        time = pd.Timestamp(truth.p.start) + pd.to_timedelta(np.full(2_000, 24 * day + 12), unit="h")
        frames.append(pd.DataFrame({"customer_id": ids, "product_id": rng.choice(bread[:3], 2_000), "time": time, "arm": "25"}))
    sent = pd.concat(frames, ignore_index=True).assign(contact_id=np.arange(6_000))
    after = respond(truth, sent, 3, days=0).truth
    later = sample_contacts(after, CONTACTS, 3, first_day=132, last_day=160)
    later["product_id"] = rng.choice(bread[:4], len(later))
    return after, later


@pytest.mark.slow
def test_the_closed_form_knows_the_history(history: tuple[Truth, pd.DataFrame]) -> None:
    after, later = history
    assert calibrate(after, after, later, 4).holds
    forgetful = Truth(after.p, after.seed, lost=after.lost(np.arange(2_000)))
    forgetful._blocks = after._blocks
    assert not calibrate(after, forgetful, later, 4).holds


def score(simulated: Truth, closed: Truth, contacts: pd.DataFrame, measure: str, level: str) -> float:
    """z of simulated less expected, summed over the contacts, for one measure: a targeted test of one effect.

    Each contact is lived through twice, which doubles the power without other people.
    """
    contacts = pd.concat([contacts, contacts], ignore_index=True)
    real = replay(simulated, contacts, 5)[measure].to_numpy(float)
    expected = closed.expected(contacts)
    arm = contacts["arm"].map({a: k for k, a in enumerate(("none", "0", "5", "10", "15", "20", "25"))}).to_numpy()
    gap = real - expected[level][np.arange(len(arm)), arm]
    return float(gap.mean() / gap.std() * np.sqrt(len(gap)))


STRONG = {"attention": 0.9, "sensitivity": 1.5}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("effect", "strong", "dropped", "measure"),
    [
        ("complements", {"complements": 8.0}, {"complements": 0.0}, "value"),
        ("pull-forward", {"pull_forward": 0.9, "pull_decay": 0.95}, {"pull_forward": 0.0}, "units"),
        ("switching", {"switching": 0.9, "sensitivity": 0.8, "sensitivity_spread": 0.2}, {"switching": 0.0}, "units"),
        ("hour", {"hour_pull": 3.0}, {"hour_pull": 0.0}, "units"),
        ("sleeping dogs", {"contact_effect": -0.6}, {"contact_effect": 0.0}, "value"),
        ("depth", {"heterogeneity": 0.0}, {"depth_scale": 0.9}, "units"),
        ("losing customers", {"lifetime": 40.0}, {"lifetime": 5_000.0}, "units"),
    ],
)
def test_a_dropped_effect_is_caught(
    effect: str, strong: dict[str, float], dropped: dict[str, float], measure: str, contacts: pd.DataFrame
) -> None:
    there = np.full(2_000, 10_000)  # everyone is there when contacted
    full = Truth(replace(market().p, **(STRONG | strong)), 11, lost=there)
    crippled = Truth(replace(full.p, **dropped), 11, lost=there)
    # the same people: traits are drawn from the seed, and only the law changes
    folk = {b: full.block(b) for b in range(1)}
    crippled.block = lambda number: _with_law(folk[number], full, crippled)  # type: ignore[method-assign]
    some = contacts[contacts["arm"].isin(["15", "20", "25"])].reset_index(drop=True)
    if effect != "depth":  # the weakest, z of 6.5 on all of them; the others have 7.6 to 20 on half
        some = some.iloc[: len(some) // 2]
    assert abs(score(full, full, some, measure, measure)) < 3.5
    assert abs(score(full, crippled, some, measure, measure)) > 5, f"{effect} is not seen"


def _with_law(block, full: Truth, crippled: Truth):  # type: ignore[no-untyped-def]
    """The block's people, whose trait v changes where the contact effect is what is dropped."""
    change = crippled.p.contact_effect - full.p.contact_effect
    return (
        block if not change else type(block)(block.first, block.seen, block.hidden, block.folk._replace(v=block.folk.v + change))
    )


@pytest.mark.slow
def test_forgotten_fatigue_is_caught() -> None:
    p = parameters("paper", customers=2_000, activity=1.0, fatigue=2.0, half_life=200.0, sensitivity=1.5, attention=0.9)
    fresh = Truth(p, 11)
    early = sample_contacts(fresh, 4_000, 6, last_day=100).assign(arm="0").sort_values("time")
    tired = respond(fresh, early.assign(contact_id=np.arange(len(early))), 6, days=0).truth
    late = sample_contacts(tired, CONTACTS, 7, first_day=200, last_day=260).assign(arm="25")
    assert abs(score(tired, tired, late, "units", "units")) < 3.5
    restless = tired.gone_on(tired.history.iloc[:0], tired.lost(np.arange(2_000)))
    restless.p = replace(p, fatigue=0.0)
    assert abs(score(tired, restless, late, "units", "units")) > 5


@pytest.mark.slow
def test_purchases_and_future_agree_with_simulated_lives() -> None:
    truth = market()
    who = np.repeat([f"CUST{i + 1:05d}" for i in range(40)], 250)
    time = pd.Timestamp(truth.p.start) + pd.Timedelta(days=60, hours=12)
    there = truth.lost(truth.customer_number(who)) > 61
    rows = pd.DataFrame({"customer_id": who, "product_id": "PROD00001", "time": time, "arm": "none"})[there]
    lives = replay(truth, rows.reset_index(drop=True), 7)
    buys = truth.purchases(rows["customer_id"].to_numpy(), time, 14)[:, 0]
    gap = lives["bought"].to_numpy(float) - buys
    assert abs(gap.mean() / gap.std() * np.sqrt(len(gap))) < 4
    margin = truth.future(rows["customer_id"].to_numpy(), time, 56)["margin"].to_numpy()
    gap = lives["value"].to_numpy() - margin
    assert abs(gap.mean() / gap.std() * np.sqrt(len(gap))) < 4
    np.testing.assert_allclose(truth.expected(rows.iloc[:500])["value"][:, 0], margin[:500])
    np.testing.assert_allclose(truth.expected(rows.iloc[:500])["buys"][:, 0], buys[:500])


def test_the_bridge_adds_up_and_none_changes_nothing(contacts: pd.DataFrame) -> None:
    expected = market().expected(contacts.iloc[:500])
    np.testing.assert_allclose(sum(expected[b] for b in BRIDGE), expected["gain"], atol=1e-9)
    np.testing.assert_allclose(expected["value"] - expected["value"][:, :1], expected["gain"], atol=1e-8)
    assert not expected["gain"][:, 0].any()
    assert not expected["spend"][:, 0].any()
    assert (np.diff(expected["units"][:, 1:], axis=1) > -1e-12).all()  # deeper never sells less
    assert len(expected.frame()) == 3_500


def test_null_and_breakeven_earn_nothing(contacts: pd.DataFrame) -> None:
    null = Truth(parameters("paper", "null", customers=2_000, activity=1.0), 11).expected(contacts.iloc[:2_000])
    assert (null["gain"][:, 1:] < 0).all()
    assert not null.best_arm.any()
    even = Truth(parameters("paper", "breakeven", customers=2_000, activity=1.0), 11).expected(contacts.iloc[:2_000])
    np.testing.assert_allclose(even["gain"], 0, atol=1e-9)


def test_breakeven_refuses_products_without_margin() -> None:
    with pytest.raises(ValueError, match=r"margin = 0\.9 leaves PROD\d+ \(Fresh Milk\) a margin of 0\.252.*at least 0\.26"):
        Truth(parameters("paper", "breakeven", customers=10, margin=0.9), 1)
    truth = Truth(parameters("paper", "breakeven", customers=10), 1)
    products = truth.goods.products
    thin = products["product_id"][products["name"] == "Samba Rice"].item()
    row = {"customer_id": ["CUST00001"], "product_id": [thin], "time": [pd.Timestamp("2025-01-01 12:00")], "arm": ["25"]}
    contact = pd.DataFrame(row)
    with pytest.raises(ValueError, match=r"\(Samba Rice\).*break even"):
        truth.expected(contact)
    with pytest.raises(ValueError, match=r"\(Samba Rice\).*break even"):
        replay(truth, contact, 0)
    assert len(replay(truth, contact.assign(arm="none"), 0)) == 1
    assert len(Truth(parameters("paper", customers=10, margin=0.5), 1).expected(contact)["gain"]) == 1  # other forms do not ask


def test_the_oracle_keeps_its_budget_and_finds_the_optimum() -> None:
    rng = np.random.default_rng(8)
    for _ in range(30):
        gain, spend = (
            np.hstack([np.zeros((5, 1)), rng.normal(1, 3, (5, 3))]),
            np.hstack([np.zeros((5, 1)), rng.uniform(0.1, 4, (5, 3))]),
        )
        budget = float(rng.uniform(0, 10))
        arms, price = oracle_within_budget(gain, spend, budget)
        rows = np.arange(5)
        assert spend[rows, arms].sum() <= budget + 1e-9
        options = [np.array(c) for c in product(range(4), repeat=5)]
        best = max(gain[rows, c].sum() for c in options if spend[rows, c].sum() <= budget)
        dual = (gain - price * spend).max(axis=1).sum() + price * budget
        assert gain[rows, arms].sum() <= best + 1e-9 <= dual + 1e-6
        assert best - gain[rows, arms].sum() <= np.abs(gain).max() * 2
    with pytest.raises(ValueError, match="budget = -1"):
        oracle_within_budget(gain, spend, -1)


def test_expected_refuses_what_it_does_not_know() -> None:
    truth = market()
    row = pd.DataFrame(
        {"customer_id": ["CUST00001"], "product_id": ["PROD00001"], "time": [pd.Timestamp("2025-01-01 12:00")], "arm": ["10"]}
    )
    with pytest.raises(KeyError, match="CUST99999"):
        truth.expected(row.assign(customer_id="CUST99999"))
    with pytest.raises(KeyError, match="PROD99999"):
        truth.expected(row.assign(product_id="PROD99999"))
    with pytest.raises(ValueError, match="time"):
        truth.expected(row.assign(time=pd.Timestamp("2019-01-01")))
    with pytest.raises(ValueError, match="arm = '30'"):
        replay(truth, row.assign(arm="30"), 0)


def test_respond_continues_and_remembers() -> None:
    truth = market(opt_out=2.0)
    sent = sample_contacts(truth, 400, 9, first_day=500, last_day=520).drop_duplicates("customer_id")
    sent = sent.assign(contact_id=[f"C{i}" for i in range(len(sent))], arm="20")
    response = respond(truth, sent, 9)
    lines = response.transactions
    assert lines["transaction_id"].is_unique
    assert set(lines["contact_id"].dropna()) <= set(sent["contact_id"])
    assert set(lines["contact_id"].dropna()) == set(response.contacts.loc[response.contacts["redeemed"], "contact_id"])
    assert len(response.truth.history) == len(sent)
    assert (response.truth.state[:, DAY] >= 500).all()
    assert response.contacts["opted_out"].mean() > 0.5
    gone = response.contacts[response.contacts["opted_out"]].iloc[:1].drop(columns=["redeemed", "opted_out"])
    with pytest.raises(ValueError, match="has opted out"):
        respond(response.truth, gone.assign(time=gone["time"] + pd.Timedelta(days=60)), 9)
    with pytest.raises(ValueError, match="before one"):
        respond(response.truth, gone.assign(time=gone["time"] - pd.Timedelta(days=60)), 9)


def test_who_has_opted_out_is_sent_nothing_more() -> None:
    truth = market(attention=0.95, sensitivity=1.5)
    object.__setattr__(truth.p, "opt_out", 50.0)  # more than a market may have: everyone opts out
    ids = np.array([f"CUST{i + 1:05d}" for i in range(2_000)])
    ids = ids[(truth.lost(np.arange(2_000)) > 200) & (truth.begins(np.arange(2_000)) < 100)]
    item = truth.goods.products["product_id"].to_numpy()[truth.goods.trial[:2]]

    def offer(day: int, product: str) -> pd.DataFrame:
        time = pd.Timestamp(truth.p.start) + pd.Timedelta(days=day, hours=12)
        frame = pd.DataFrame({"customer_id": ids, "product_id": product, "time": time, "arm": "25"})
        return frame.assign(contact_id=[f"{day}-{i}" for i in ids])

    one, two = offer(100, item[0]), pd.concat([offer(100, item[0]), offer(104, item[1])], ignore_index=True)
    alone = respond(truth, one, 12, days=60)
    both = respond(truth, two, 12, days=56)
    pd.testing.assert_frame_equal(alone.transactions, both.transactions)
    pd.testing.assert_frame_equal(alone.truth.history, both.truth.history)
    first, second = both.contacts.iloc[: len(ids)], both.contacts.iloc[len(ids) :]
    assert first["sent"].all()
    assert first["opted_out"].all()
    assert not second[["sent", "redeemed", "opted_out"]].to_numpy().any()
    assert (second["arm"] == "none").all()


@pytest.mark.slow
def test_who_is_not_there_notices_nothing() -> None:
    """Lost customers, and those who have not begun: the contact costs, no more; trips start with the first day."""
    truth = market(opt_out=1.0, joins=1.0, lifetime=200.0)
    who = np.arange(2_000)
    ids = np.array([f"CUST{i + 1:05d}" for i in who])
    day = 250
    row = {"customer_id": ids, "product_id": truth.goods.products["product_id"][truth.goods.trial[0]], "arm": "25"}
    contacts = pd.DataFrame(row).assign(time=pd.Timestamp(truth.p.start) + pd.Timedelta(days=day, hours=12))
    begin, lost = truth.begins(who), truth.lost(who)
    absent = (begin > day + 1) | (lost <= day + 1)
    soon = (begin > day + 5) & (begin < day + 40)
    assert min(absent.sum(), (~absent).sum(), soon.sum()) > 50
    sent = respond(truth, contacts.assign(contact_id=who), 13, days=0)
    assert sent.contacts["sent"].all()
    assert not sent.contacts["opted_out"][absent].any()
    assert sent.contacts["opted_out"][~absent].mean() > 0.5
    assert not sent.truth.history["noticed"].to_numpy()[absent[sent.truth.history["customer"]]].any()
    expected = truth.expected(contacts)
    assert not expected.chances.loc[absent, ["notices", "opts_out"]].to_numpy().any()
    np.testing.assert_allclose(expected["gain"][absent, 1:], -truth.p.contact_cost)
    assert not expected["units"][begin > day + 14].any()
    assert (expected["value"][soon, 0] > 0).all()
    many = contacts[soon].loc[lambda frame: frame.index.repeat(150)].reset_index(drop=True)
    lives, closed = replay(truth, many, 13), truth.expected(many)
    future = truth.future(many["customer_id"], many["time"].iloc[0], 56)["margin"].to_numpy()
    np.testing.assert_allclose(closed["value"][:, 0], future)
    buys = truth.purchases(ids[soon], contacts["time"].iloc[0], 14)[:, truth.goods.trial[0]]
    np.testing.assert_allclose(expected["buys"][soon, 0], buys, atol=1e-12)
    for measure, name in (("value", "value"), ("units", "units"), ("bought", "buys")):
        gap = lives[measure].to_numpy(float) - closed[name][:, -1]
        assert abs(gap.mean() / gap.std() * np.sqrt(len(gap))) < 4, measure
    assert not lives[["noticed", "opted_out"]].to_numpy().any()


def _offers(truth: Truth, customers: np.ndarray, arm: str = "20") -> pd.DataFrame:
    """An offer of bread to each of these customers, on days of their own."""
    day = 300 + customers % 7
    return pd.DataFrame(
        {
            "contact_id": [f"C{i}" for i in customers],
            "customer_id": [f"CUST{i + 1:05d}" for i in customers],
            "product_id": truth.goods.products["product_id"].to_numpy()[truth.goods.trial[0]],
            "time": pd.Timestamp(truth.p.start) + pd.to_timedelta(24 * day + 12, unit="h"),
            "arm": arm,
        }
    )


def _there(truth: Truth) -> np.ndarray:
    who = np.arange(400)
    return who[(truth.lost(who) > 310) & (truth.begins(who) < 290)]


def _lives(after: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Lines of each customer, without the numbers that count through a response."""
    plain = after.drop(columns=["transaction_id", "basket_id"])
    return {who: part.reset_index(drop=True) for who, part in plain.groupby("customer_id")}


@pytest.mark.slow
def test_who_else_is_contacted_changes_nobodys_life() -> None:
    """Dropping customers, adding one before all others and another order leave everybody else's lines, to the second."""
    truth = market(attention=0.9)
    who = _there(truth)
    few, many = who[5::2], np.concatenate([who[-1:], who[:-1]])
    some, more = (respond(truth, _offers(truth, part), 5, days=30) for part in (few, many))
    one, other = _lives(some.transactions), _lives(more.transactions)
    last = {f"CUST{i + 1:05d}" for i in few[few % 7 == 6]}  # all live to the same last day
    assert len(one) > 100
    assert set(one) <= set(other)
    assert last & set(one)
    for customer, lines in one.items():
        pd.testing.assert_frame_equal(lines, other[customer])
    columns = ["redeemed", "opted_out", "sent"]
    shared = more.contacts.set_index("contact_id").loc[some.contacts["contact_id"], columns]
    pd.testing.assert_frame_equal(some.contacts.set_index("contact_id")[columns], shared)


def test_another_seed_and_another_time_is_another_life() -> None:
    truth = market(attention=0.9)
    who = _there(truth)
    lives = [respond(truth, _offers(truth, who), seed, days=30).transactions for seed in (5, 6)]
    assert len(lives[0]) != len(lives[1]) or not lives[0]["time"].equals(lives[1]["time"])
    later = _offers(truth, who).assign(time=lambda frame: frame["time"] + pd.Timedelta(days=60))
    shifted = respond(truth, later, 5, days=30).transactions
    gaps = [set((part["time"] - part["time"].min()).dt.total_seconds()) for part in (lives[0], shifted)]
    assert len(gaps[0] & gaps[1]) < 0.1 * len(gaps[0])


def test_rows_of_a_replay_belong_to_themselves() -> None:
    """A row keeps its outcome in another order and company; rows that are alike in all but their number are drawn apart."""
    truth = market(attention=0.9)
    contacts = sample_contacts(truth, 2_000, 3, first_day=100, last_day=500)
    whole = replay(truth, contacts, 8)
    some = np.random.default_rng(0).permutation(2_000)[:700]
    pd.testing.assert_frame_equal(replay(truth, contacts.iloc[some], 8), whole.iloc[some].reset_index(drop=True))
    same = contacts.iloc[[0] * 400].reset_index(drop=True)
    assert replay(truth, same, 8)["value"].nunique() > 100
    named = same.assign(contact_id=np.arange(400))
    pd.testing.assert_frame_equal(replay(truth, named[::-1], 8), replay(truth, named, 8)[::-1].reset_index(drop=True))
