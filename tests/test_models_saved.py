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

FACTS = {"features": {"a": "float32"}, "trained_from": "2024-01-01", "trained_to": "2024-02-01", "seed": 1, "command": "make x"}


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
        "counts": sparse.csr_matrix(np.eye(3)),
        "frame": pd.DataFrame({"item": ["a", "b"], "n": [1, 2]}),
    }
    folder = saved.save("m", parts, FACTS)
    back, facts = saved.load("m")
    assert np.array_equal(back["booster"].predict(x), parts["booster"].predict(x))
    for name in ("forest", "line"):
        assert np.array_equal(back[name].predict_proba(x), parts[name].predict_proba(x))
    assert np.array_equal(back["factors"], parts["factors"])
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
