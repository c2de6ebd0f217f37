"""The simulated shop: its size, its tables, its bytes, and that nothing in it gives the truth away."""

import hashlib
import importlib
import os
from datetime import datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from promo_helpers.market import BRIDGE, Parameters, Truth, parameters, simulate, truth_of
from promo_helpers.market.goods import Goods
from promo_helpers.market.people import draw_block
from promo_helpers.market.simulate import export_csv, live_block
from promo_helpers.market.streams import BLOCK
from promo_helpers.market.trips import SECOND, TRIP, WHO
from promo_helpers.shop.shop import Shop
from promo_helpers.shop.tables import TABLES


@pytest.fixture(scope="module")
def seed_shop(tmp_path_factory: pytest.TempPathFactory) -> tuple[Shop, Truth]:
    folder = tmp_path_factory.mktemp("seed")
    return simulate("seed", 1, folder / "raw", folder / "truth")


def digest(folder: Path) -> dict[str, str]:
    return {f.name: hashlib.sha256(f.read_bytes()).hexdigest() for f in sorted(folder.iterdir())}


def test_the_seed_profile_has_seed_0s_sizes(seed_shop: tuple[Shop, Truth]) -> None:
    shop, _truth = seed_shop
    assert abs(shop.rows("transactions") / 50_000 - 1) < 0.02
    assert [shop.rows(t) for t in ("customers", "products", "stores", "promotions")] == [1_000, 250, 10, 200]
    assert shop.frame("products")["category"].nunique() == 15
    assert 0.8 < len(shop.frame("contacts").dropna(subset="trial_id")) / 3_000 < 1.2


def test_the_tables_keep_their_schemas_and_keys(seed_shop: tuple[Shop, Truth]) -> None:
    shop, _truth = seed_shop
    for name, table in TABLES.items():
        frame = shop.frame(name)
        table.schema().validate(frame)
        assert not frame.duplicated(list(table.key)).any()
    lines, contacts = shop.frame("transactions"), shop.frame("contacts")
    assert (lines["list_cents"] == (lines["units"] * lines["price"] * 100).round()).all()
    assert (lines["paid_cents"] == (lines["list_cents"] * (1 - lines["discount"])).round()).all()
    assert lines["customer_id"].isin(shop.frame("customers")["customer_id"]).all()
    used = lines.dropna(subset="contact_id").merge(contacts, on="contact_id", suffixes=("", "_sent"))
    assert len(used)
    assert (used["product_id"] == used["product_id_sent"]).all()
    assert (used["customer_id"] == used["customer_id_sent"]).all()
    days = (used["time"].dt.normalize() - used["time_sent"].dt.normalize()).dt.days
    assert days.between(1, 14).all()
    np.testing.assert_allclose(used["discount"], used["arm"].astype(float) / 100)
    assert used["promotion_id"].isna().all()
    assert set(contacts.loc[contacts["redeemed"], "contact_id"]) == set(used["contact_id"])


def test_trials_are_trials(seed_shop: tuple[Shop, Truth]) -> None:
    shop, truth = seed_shop
    trial = shop.frame("contacts").dropna(subset="trial_id").sort_values(["customer_id", "time"])
    chances = dict(zip(("none", "0", "5", "10", "15", "20", "25"), truth.p.trial_probability, strict=True))
    np.testing.assert_allclose(trial["probability"], trial["arm"].map(chances).astype(float))
    counts = trial["arm"].value_counts().reindex(list(chances)).to_numpy()
    share = np.array(list(chances.values()))
    assert ((counts - len(trial) * share) ** 2 / (len(trial) * share)).sum() < 22.5  # chi squared, 6 degrees, one in a thousand
    gap = trial.groupby("customer_id")["time"].diff().dt.total_seconds() / 86400
    assert gap.min() > 55
    every = shop.frame("contacts").sort_values(["customer_id", "time"])
    after = every.groupby("customer_id")["time"].diff().dt.total_seconds() / 86400
    assert after[every["trial_id"].notna()].min() > 55  # nor does the old rule's last campaign reach into a trial
    log = shop.frame("contacts").query("trial_id.isna()")
    assert log["probability"].isna().all()
    known = truth.history.filter(like="chance_").sum(axis=1)
    np.testing.assert_allclose(known, 1)


@pytest.mark.slow
def test_the_bytes_depend_on_the_seed_alone(tmp_path: Path) -> None:
    p = parameters("smoke", customers=BLOCK + 300, activity=0.02)
    simulate(p, 3, tmp_path / "a", tmp_path / "at", workers=1, ahead=0)
    simulate(p, 3, tmp_path / "b", tmp_path / "bt", workers=3, ahead=5)
    simulate(p, 4, tmp_path / "c", tmp_path / "ct")
    assert digest(tmp_path / "a") == digest(tmp_path / "b")
    assert digest(tmp_path / "at") == digest(tmp_path / "bt")
    assert digest(tmp_path / "a")["transactions.parquet"] != digest(tmp_path / "c")["transactions.parquet"]


@pytest.mark.slow
def test_tables_have_streams_of_their_own() -> None:
    few, many = Goods(parameters("smoke"), 1), Goods(parameters("smoke", promotions=201), 1)
    assert len(many.promotions) == len(few.promotions) + 1
    pd.testing.assert_frame_equal(few.products, many.products)
    pd.testing.assert_frame_equal(draw_block(few, 0).seen, draw_block(many, 0).seen)
    hidden = [draw_block(g, 0).hidden.drop(columns=["rate", "reach_value", "v"]) for g in (few, many)]  # scaled to the volume
    pd.testing.assert_frame_equal(*hidden)
    whole, part = (draw_block(Goods(parameters("smoke", customers=n), 1), 0).seen for n in (BLOCK + 1, BLOCK + 900))
    pd.testing.assert_frame_equal(whole, part)


@pytest.mark.slow
def test_records_do_not_reveal_the_truth() -> None:
    """Given age and segment, no column of the customers table goes with a hidden trait."""
    block = draw_block(Goods(parameters("paper", customers=BLOCK), 5), 0)
    seen, hidden = block.seen, block.hidden
    cell = seen["segment"] + pd.cut(seen["age"], [0, 30, 40, 50, 60, 99]).astype(str)
    columns = {
        "gender": seen["gender"].eq("Female").astype(float),
        "city": seen["city"].map(seen["city"].value_counts()),
        "registration": (seen["registration_date"] - pd.Timestamp("2020-01-01")).dt.days,
        "consent": seen["consent"].astype(float),
        "name": seen["name"].str.len(),
        "number": pd.Series(np.arange(len(seen))),
    }
    z = {}
    for column, values in columns.items():
        for trait in ("rate", "basket", "s", "shelf", "v", "q", "hour", "weekday", "lost"):
            x = values.groupby(cell).transform(lambda v: v.rank(pct=True) - v.rank(pct=True).mean())
            stay = (
                hidden["lost"] - hidden["begin"] if trait == "lost" else hidden[trait]
            )  # who registers later is also lost later
            y = stay.groupby(cell).transform(lambda v: v.rank(pct=True) - v.rank(pct=True).mean())
            if x.std() > 0:
                z[column, trait] = np.corrcoef(x, y)[0, 1] * np.sqrt(len(x))
    assert max(np.abs(list(z.values()))) < 3.9, z  # 54 pairs at one in two hundred together
    shop_columns = {c.name for t in TABLES.values() for c in t.columns}
    assert not shop_columns & {"s", "v", "q", "rate", "noticed", "lost"}


def test_lines_follow_the_traits_of_time() -> None:
    """Season, weekday and hour patterns are in the lines, and a customer's preferred hour is hers."""
    lived = live_block(Goods(parameters("paper", customers=1_500), 2), 0)
    first = lived.lines[np.append(True, np.diff(lived.lines[:, TRIP]) != 0)]
    day, hour = first[:, SECOND] // 86400, first[:, SECOND] % 86400 // 3600
    assert hour.min() >= 8
    assert hour.max() <= 21
    own = np.cos(2 * np.pi * (hour - lived.block.folk.hour[first[:, WHO]] - 8) / 24)
    assert own.mean() > 0.7
    month = (pd.Timestamp("2024-07-01") + pd.to_timedelta(np.arange(549), unit="D")).month
    daily = np.bincount(day, minlength=549)
    assert daily[month == 12].mean() > 1.2 * daily[(month != 12) & (month != 4)].mean()
    weekday = (np.arange(549)) % 7  # the calendar starts on a Monday
    assert daily[weekday == 5].mean() > 1.2 * daily[weekday == 0].mean()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"segment_share": (0.5, 0.5, 0.5, 0.5)}, "segment_share.*must sum to 1, sums to 2"),
        ({"segment_trips": (12.0, -6.0, 3.0, 1.0)}, "segment_trips.*must lie in 0.01"),
        ({"attention": 1.2}, "attention = 1.2: must lie in 0"),
        ({"trial_probability": (1.0, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1)}, "trial_probability.*must sum to 1"),
        ({"trial_probability": (0.4, 0.1, 0.1, 0.1, 0.1, 0.2)}, "trial_probability.*needs 7 numbers, has 6"),
        ({"days": 100}, "days = 100"),
        ({"lifetime": float("nan")}, "lifetime = nan: must be a finite number"),
        ({"form": "magic"}, "form = 'magic': must be one of"),
        ({"main_trips": 0.6}, "main_size = 2.3: must lie below"),
        ({"customers": 0}, "customers = 0"),
        ({"customers": 2.5}, r"customers = 2\.5: must be a whole number"),
        ({"days": 300.5}, r"days = 300\.5: must be a whole number"),
        ({"promotions": 3.5}, r"promotions = 3\.5: must be a whole number"),
        ({"send_hours": (9, 12.5)}, r"send_hours = \(9, 12\.5\): must be whole numbers"),
        ({"lines": "many"}, "lines = 'many': must be a finite number"),
        ({"start": "yesterday"}, "start = 'yesterday': must be a date"),
        ({"start": datetime(2024, 7, 1, 12)}, "start = .*: must be a date"),
        ({"form": 3}, "form = 3: must be one of"),
        ({"send_hours": ()}, r"send_hours = \(\): must be a tuple of at least one number"),
        ({"trial_frequency": ()}, r"trial_frequency = \(\): must be a tuple of at least one number"),
        ({"trial_frequency": (0, 0)}, r"trial_frequency = \(0, 0\): must have a positive total"),
        ({"weekday": [1.0] * 7}, r"weekday = \[1.0.*: must be a tuple"),
        ({"main_trips": (0.3,)}, r"main_trips = \(0\.3,\): must be a finite number"),
    ],
)
def test_impossible_parameters_are_refused(changes: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Parameters(**changes)  # type: ignore[arg-type]


def test_unknown_names_and_seeds_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="profile = 'huge'"):
        simulate("huge", 1, tmp_path / "a", tmp_path / "b")
    with pytest.raises(ValueError, match="preset = 'easy'"):
        simulate("smoke", 1, tmp_path / "a", tmp_path / "b", preset="easy")
    for seed in (None, -1, 1.5):
        with pytest.raises(ValueError, match="seed"):
            simulate("smoke", seed, tmp_path / "a", tmp_path / "b")  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())


def test_a_run_that_stops_leaves_nothing(tmp_path: Path) -> None:
    def stop(_customers: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        simulate("smoke", 1, tmp_path / "raw", tmp_path / "truth", progress=stop)
    assert not list(tmp_path.iterdir())


def test_a_seed_has_no_default(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="seed"):
        simulate("smoke", shop=tmp_path / "raw", truth=tmp_path / "truth")  # type: ignore[call-arg]


@pytest.mark.slow
def test_a_truth_knows_its_shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that is cut off between the two folders leaves both whole, no scratch, and a pair that is refused."""
    shop, truth = tmp_path / "raw", tmp_path / "truth"
    p = parameters("smoke", customers=50)
    first = simulate(p, 1, shop, truth)[1]
    assert Truth.read(truth, shop).run == first.run
    before = digest(truth)

    def stop(new: Path, final: Path) -> None:
        assert {f.name for f in new.iterdir()} == {"contacts.parquet", "truth.json"}
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(importlib.import_module("promo_helpers.market.simulate"), "replace_folder", stop)
        with pytest.raises(KeyboardInterrupt):
            simulate(p, 2, shop, truth)
    assert {f.name for f in tmp_path.iterdir()} == {"raw", "truth"}
    assert digest(truth) == before
    with pytest.raises(ValueError, match="simulate both again"):
        Truth.read(truth, shop)
    assert Truth.read(truth).seed == 1
    killed = tmp_path / f".truth.{2**22 + os.getpid()}.part"  # what a process that is no more left behind
    killed.mkdir()
    simulate(p, 2, shop, truth)
    assert not killed.exists()
    assert Truth.read(truth, shop).run != first.run


@pytest.mark.slow
def test_csv_files_have_seed_0s_names_and_headings(seed_shop: tuple[Shop, Truth], tmp_path: Path) -> None:
    shop, _truth = seed_shop
    export_csv(shop, tmp_path / "csv")
    assert {f.name for f in (tmp_path / "csv").iterdir()} == {t.file for t in TABLES.values()}
    customers = pd.read_csv(tmp_path / "csv" / "Customers.csv")
    assert customers.columns[0] == "CustomerID"
    assert "CUST00148" in set(customers["CustomerID"])
    lines = pd.read_csv(tmp_path / "csv" / "Transactions.csv")
    assert len(lines) == shop.rows("transactions")
    assert round(100 * lines["TotalAmount"].sum()) == shop.frame("transactions")["paid_cents"].sum()


def test_only_scoring_functions_may_import_the_market() -> None:
    root = Path(__file__).resolve().parents[1] / "promo_helpers"
    for part in ("features.py", "features", "models", "decide", "audit", "experiment.py", "campaign.py"):
        place = root / part
        for file in [place] if place.is_file() else place.rglob("*.py"):
            assert "promo_helpers.market" not in file.read_text(encoding="utf-8"), f"{file} imports the truth"


def test_a_shop_without_a_simulator_has_a_truth_that_is_not_known(tmp_path: Path) -> None:
    truth = truth_of(tmp_path / "own", ("none", "5", "10"))
    assert not truth
    contacts = pd.DataFrame(
        {"customer_id": ["a", "b"], "product_id": ["p", "p"], "time": pd.Timestamp("2025-01-01")}, index=[7, 3]
    )
    expected = truth.expected(contacts)
    known = {"buys", "units", "revenue", "discount", "spend", "window_profit", "value", "gain", *BRIDGE}
    assert set(expected.values) == known
    assert all(expected[name].shape == (2, 3) and np.isnan(expected[name]).all() for name in known)
    assert expected.chances.isna().all(axis=None)
    assert len(expected.chances) == 2
    assert np.isnan(truth.purchases(["a", "b"], "2025-01-01")).all()
    assert truth.future(["a", "b"], "2025-01-01").set_index("customer_id").isna().all(axis=None)


@pytest.mark.slow
def test_the_simulated_shop_has_its_truth(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROMO_OUT", str(tmp_path))
    shop = tmp_path / "data" / "raw" / "simulated"
    simulate(parameters("smoke", customers=50), 1, shop, tmp_path / "data" / "truth")
    truth = truth_of(shop)
    assert isinstance(truth, Truth)
    known = set(truth.expected(truth_contacts(truth)).values)
    assert set(truth_of(tmp_path / "own").expected(truth_contacts(truth)).values) == known


def truth_contacts(truth: Truth) -> pd.DataFrame:
    when = pd.Timestamp(truth.p.start) + pd.Timedelta(days=200)
    return pd.DataFrame({"customer_id": ["CUST00001"], "product_id": [truth.goods.products["product_id"].iloc[0]], "time": when})
