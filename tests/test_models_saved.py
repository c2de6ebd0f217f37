"""Saved models: what was saved predicts the same, and a file that could run code is refused."""

import pickle
import zipfile

import lightgbm as lgb
import numpy as np
import pandas as pd
import pytest
import skops.io
from scipy import sparse
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression

from promo_helpers.models import saved
from promo_helpers.shop.loading import load_shop, same_shop
from tests.shops import shop_frames, write_shop

FACTS = {"features": {"a": "float32"}, "trained_from": "2024-01-01", "trained_to": "2024-02-01", "seed": 1, "command": "make x"}
FACTS |= {"shop": {"name": "corner"}}


class Evil:
    def __reduce__(self):
        return (print, ("this must never run",))


def test_every_kind_of_part_comes_back_as_it_was(out):
    rng = np.random.default_rng(0)
    x = rng.random((300, 3)).astype(np.float32)
    y = x[:, 0] > 0.5
    parts = {
        "booster": lgb.train({"objective": "binary", "verbose": -1}, lgb.Dataset(x, y), 5),
        "forest": RandomForestClassifier(5, random_state=0).fit(x, y),
        "line": LogisticRegression().fit(x, y),
        "factors": rng.random((4, 2)),
        "labels": saved.label_encoder(["b", "a", None]),
        "counts": sparse.csr_matrix(np.eye(3)),
        "frame": pd.DataFrame({"item": ["a", "b"], "n": [1, 2]}),
    }
    folder = saved.save("m", parts, FACTS)
    back, facts = saved.load("m")
    assert np.array_equal(back["booster"].predict(x), parts["booster"].predict(x))
    for name in ("forest", "line"):
        assert np.array_equal(back[name].predict_proba(x), parts[name].predict_proba(x))
    assert np.array_equal(back["factors"], parts["factors"])
    assert saved.encoded(back["labels"], ["a", "b", "c", None]).tolist() == [0, 1, saved.UNKNOWN, saved.UNKNOWN]
    assert (back["counts"] != parts["counts"]).nnz == 0
    pd.testing.assert_frame_equal(back["frame"], parts["frame"], check_dtype=False)
    assert facts["seed"] == 1
    assert facts["versions"]["lightgbm"] == lgb.__version__
    assert not [p for p in folder.iterdir() if p.suffix in {".pkl", ".joblib"}]


def test_a_model_that_is_not_there_says_which_command_makes_it(out):
    with pytest.raises(FileNotFoundError, match="make notebook N=03_purchase makes it"):
        saved.load("purchase", "make notebook N=03_purchase")


def test_a_file_with_a_type_of_its_own_is_refused(out):
    folder = saved.save("m", {"line": LogisticRegression().fit([[0.0], [1.0]], [0, 1])}, FACTS)
    skops.io.dump(Evil(), folder / "line.skops")
    with pytest.raises(skops.io.exceptions.UntrustedTypesFoundException):
        saved.load("m")


def test_an_array_that_hides_a_pickle_is_refused(out, capsys):
    folder = saved.save("m", {"factors": np.ones(3)}, FACTS)
    with zipfile.ZipFile(folder / "factors.npz", "w") as file:
        header = b"\x93NUMPY\x01\x00v\x00{'descr': '|O', 'fortran_order': False, 'shape': (), }"
        file.writestr("array.npy", header.ljust(127, b" ") + b"\n" + pickle.dumps(Evil()))
    with pytest.raises(ValueError, match="allow_pickle=False"):
        saved.load("m")
    assert "must never run" not in capsys.readouterr().out


def test_a_part_without_a_safe_format_and_a_missing_fact_are_refused_and_nothing_is_left(out):
    with pytest.raises(TypeError, match="the part 'secret' is a Evil"):
        saved.save("m", {"secret": Evil()}, FACTS)
    with pytest.raises(KeyError, match="lack 'trained_to'"):
        saved.save("m", {}, {k: v for k, v in FACTS.items() if k != "trained_to"})
    assert not list(saved.folder_of("m").parent.glob("*"))
    assert not list(saved.folder_of("m").parent.glob(".*"))


def test_saving_again_replaces_the_whole_model(out):
    saved.save("m", {"old": np.ones(1)}, FACTS)
    folder = saved.save("m", {"new": np.ones(1)}, FACTS)
    assert sorted(p.name for p in folder.iterdir()) == ["model.json", "new.npz"]


@pytest.mark.slow
def test_a_model_of_another_shop_is_refused_by_name_and_one_of_its_own_with_later_data_is_taken(out, tmp_path):
    made = {}
    for name, seed, until in (("ours", 0, "2025-03-01"), ("theirs", 1, "2025-12-31"), ("later", 0, "2025-12-31")):
        frames = shop_frames(seed)
        frames["transactions"] = frames["transactions"][lambda t, until=until: t["TransactionDate"] < until]
        made[name] = load_shop(write_shop(tmp_path / name, frames), folder=tmp_path / f"{name} checked")
    saved.save("purchase_own", {"line": np.ones(1)}, FACTS | {"shop": made["ours"].fingerprint()})
    for name in ("ours", "later"):
        assert saved.load("purchase_own", "03_purchase", made[name])[1]["shop"]["name"] == "ours"
    with pytest.raises(saved.OtherShop) as refused:
        saved.load("purchase_own", "03_purchase", made["theirs"])
    said = str(refused.value)
    assert "was trained on the shop 'ours' (2025-01-06 to 2025-02-28), not on 'theirs' (2025-01-06 to 2025-03-16); " in said
    assert f"make notebook N=03_purchase SHOP={tmp_path / 'theirs'} OUT={out} trains one for it" in said
    assert "\n" not in said
    saved.save("purchase_own", {"line": np.ones(1)}, FACTS | {"shop": None})
    with pytest.raises(saved.OtherShop, match="was trained on a shop that it does not name"):
        saved.load("purchase_own", "03_purchase", made["ours"])


def test_a_shop_is_known_by_its_weeks_and_not_by_its_name(corner):
    ours = corner.fingerprint()
    assert (ours["customers"], ours["lines"]) == (40, corner.rows("transactions"))
    assert len(ours["weeks"]) == 10
    renamed = ours | {"name": "other", "customers": 1}
    assert same_shop(ours, renamed)
    weeks = list(ours["weeks"])
    assert same_shop(ours, ours | {"weeks": {w: ours["weeks"][w] for w in weeks[4:]}})  # the oldest weeks are gone
    assert same_shop(ours, ours | {"weeks": ours["weeks"] | {weeks[3]: "1 1"}})  # a week was corrected
    assert not same_shop(ours, ours | {"weeks": dict.fromkeys(weeks, "1 1")})
    assert not same_shop(ours, ours | {"weeks": {"2031-01-06": "1 1"}})  # no week in common
