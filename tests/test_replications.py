"""The kept simulations: made by the code that is here, resumable, and equal to what the code makes again."""

import numpy as np
import pandas as pd
import pytest

from promo_helpers import paths, replications
from promo_helpers.market import parameters
from promo_helpers.market.hardness import REPLICATED_SEEDS, decisions
from promo_helpers.studies import effect
from promo_helpers.studies import purchase as study


@pytest.mark.parametrize("noun", replications.JOBS)
def test_the_kept_results_were_made_by_this_code(noun):
    assert replications.kept_code(noun) == replications.JOBS[noun].code(), "make replications makes them anew"


def test_the_kept_rules_are_what_the_code_makes_again():
    """Constant arms and the oracle of two of the twenty markets, made again from nothing."""
    kept = replications.read("market_rules").set_index(["seed", "policy"])["gain"]
    for seed in (REPLICATED_SEEDS[0], REPLICATED_SEEDS[-1]):
        gain = decisions(parameters("paper", customers=3_000), seed).expected["gain"]
        for policy, value in (
            ("everybody 10", gain[:, 3].mean()),
            ("everybody 25", gain[:, 6].mean()),
            ("oracle", gain.max(axis=1).mean()),
        ):
            assert kept[seed, policy] == pytest.approx(value, rel=1e-5)


def test_the_kept_comparison_covers_every_preset_and_holds():
    cells = replications.read("market_calibration")
    assert list(dict.fromkeys(cells["case"])) == list(replications.PRESETS)
    assert (cells.groupby("case")["n"].max() > 20_000).all()  # 200,000 contacts over seven arms
    assert (cells["z"].abs() <= cells["bound"]).all()


def test_a_kept_market_of_purchases_is_what_the_code_makes_again():
    kept = replications.read("purchase_markets")
    assert set(kept["case"]) == {"paper", "seed"}
    assert (kept.groupby(["case", "question", "metric", "method"])["seed"].nunique() == len(study.SEEDS)).all()
    kept = kept[(kept["case"] == "seed") & (kept["seed"] == study.SEEDS[0])].set_index(["question", "metric", "method"])["value"]
    made = study.one_market("seed", study.SEEDS[0]).set_index(["question", "metric", "method"])["value"]
    for method in ("Bayes-optimal", "personal frequency"):
        for key in (("customers", "precision@100"), ("products", "ndcg@10")):
            assert kept[(*key, method)] == pytest.approx(made[(*key, method)], rel=1e-5)
    assert kept["products", "ndcg@10", "ensemble"] == pytest.approx(made["products", "ndcg@10", "ensemble"], rel=0.02)


def test_kept_effects_and_their_errors_are_what_the_code_makes_again():
    kept = replications.read("effect_coverage")
    seeds = effect.MARKETS["coverage"]
    assert (kept.groupby(["source", "outcome", "method"])["seed"].nunique() == len(seeds)).all()
    key = ["source", "outcome", "method"]
    made = effect.covered(seeds[-1]).set_index(key)
    kept = kept[kept["seed"] == seeds[-1]].set_index(key)
    for column in ("effect", "error", "truth"):
        assert np.allclose(kept.loc[made.index, column], made[column], rtol=2e-3), column


def test_kept_alarms_are_what_the_code_makes_again():
    kept = replications.read("effect_refuters")
    seeds = effect.MARKETS["refuters"]
    assert set(kept["case"]) == set(effect.PRESETS)
    assert (kept.groupby(["case", "refuter"])["seed"].nunique() == len(seeds)).all()
    made = effect.refuted(seeds[0], "hidden").set_index("refuter")
    kept = kept[(kept["case"] == "hidden") & (kept["seed"] == seeds[0])].set_index("refuter")
    assert (kept.loc[made.index, ["alarm", "missed"]] == made[["alarm", "missed"]]).all(axis=None)
    assert kept["effect"].iloc[0] == pytest.approx(made["effect"].iloc[0], rel=1e-4)


def test_the_kept_dial_is_what_the_code_makes_again():
    kept = replications.read("effect_dial")
    seeds = effect.MARKETS["dial"]
    assert kept["case"].nunique() == len(effect.DIAL) == len(effect.OVERLAPS) * len(effect.CONFOUNDINGS)
    assert list(effect.DIAL) == list(replications.JOBS["effect_dial"].cases)
    assert (kept.groupby(["case", "method"])["seed"].nunique() == len(seeds)).all()
    made = effect.turned(seeds[-1], 4.0, 1.5).set_index("method")["effect"]
    kept = kept[(kept["overlap"] == 4) & (kept["confounding"] == 1.5) & (kept["seed"] == seeds[-1])].set_index("method")["effect"]
    assert np.allclose(kept.loc[made.index], made, rtol=2e-3)


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project of one job with two cases, and a list of the cases that were computed."""
    computed = []

    def function(case: str) -> pd.DataFrame:
        computed.append(case)
        if computed == ["a", "b"]:
            raise KeyboardInterrupt
        return pd.DataFrame({"x": np.arange(3) + ord(case)})

    job = replications.Job("promo_helpers.files", "function", ("a", "b"))
    monkeypatch.setattr(replications, "JOBS", {"toy": job})
    monkeypatch.setattr(replications.Job, "load", lambda self: function)
    code = job.code()
    monkeypatch.setattr(replications.Job, "code", lambda self: code)
    monkeypatch.setattr(paths, "ROOT", tmp_path)
    return computed


def test_a_stopped_run_goes_on_where_it_was(project, capsys):
    with pytest.raises(FileNotFoundError, match=r"data/replications/toy.csv is missing; `make replications` makes it"):
        replications.read("toy")
    with pytest.raises(KeyboardInterrupt):
        replications.make("toy")
    assert not replications.file("toy").exists()
    replications.make("toy")
    assert project == ["a", "b", "b"]
    assert replications.read("toy")["x"].tolist() == [97, 98, 99, 98, 99, 100]
    capsys.readouterr()
    replications.make("toy")
    assert capsys.readouterr().out == "toy: up to date\n"


def test_results_of_earlier_code_are_read_and_said_to_be(project, monkeypatch, capsys):
    project.append("already interrupted once")
    replications.make("toy")
    monkeypatch.setattr(replications.Job, "code", lambda self: "other")
    capsys.readouterr()
    assert len(replications.read("toy")) == 6
    assert "was made by earlier code; `make replications` makes it anew" in capsys.readouterr().out
