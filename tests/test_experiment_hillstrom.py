"""Hillstrom's trial: found offline, downloaded once and checked, or not available in a sentence; the published means to the digit."""

import functools
import hashlib
import http.server
import os
import threading

import numpy as np
import pandas as pd
import pytest

from promo_helpers.evaluate.uplift import contrast_at_k
from promo_helpers.experiment import hillstrom
from promo_helpers.experiment.experiment import Experiment
from promo_helpers.experiment.gates import gates
from promo_helpers.experiment.hillstrom import FILE, NotAvailable, hillstrom_file, load_hillstrom
from promo_helpers.models.learners import LEARNERS
from promo_helpers.studies import hillstrom_learners

SMALL = """recency,history_segment,history,mens,womens,zip_code,newbie,channel,segment,visit,conversion,spend
10,2) $100 - $200,142.44,1,0,Surburban,0,Phone,Womens E-Mail,0,0,0
6,3) $200 - $350,329.08,1,1,Rural,1,Web,No E-Mail,0,0,0
7,2) $100 - $200,180.65,0,1,Surburban,1,Web,Mens E-Mail,1,1,29.99
2,1) $0 - $100,45.34,1,0,Urban,0,Multichannel,Mens E-Mail,1,0,0
"""
CHECKSUM = hashlib.sha256(SMALL.encode()).hexdigest()
NOWHERE = "http://127.0.0.1:9/file.csv"  # nobody listens there


@pytest.fixture(autouse=True)
def no_downloads(monkeypatch):
    monkeypatch.delenv("PROMO_DOWNLOADS", raising=False)


@pytest.fixture
def served(tmp_path):
    """A server on this machine with the small file; yields its address and the requests that it saw."""
    folder = tmp_path / "site"
    folder.mkdir()
    (folder / "file.csv").write_text(SMALL)
    asked = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            asked.append(self.path)

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=folder))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/file.csv", asked
    server.shutdown()
    server.server_close()


def test_downloaded_once(served, tmp_path):
    url, asked = served
    first, second = (hillstrom_file(url, CHECKSUM, tmp_path / "cache") for _ in range(2))
    assert first == second
    assert first.read_text() == SMALL
    assert len(asked) == 1


def test_a_damaged_copy_in_the_cache_is_fetched_anew(served, tmp_path):
    url, asked = served
    hillstrom_file(url, CHECKSUM, tmp_path / "cache").write_text("damaged")
    assert hillstrom_file(url, CHECKSUM, tmp_path / "cache").read_text() == SMALL
    assert len(asked) == 2


def test_another_file_at_the_address_is_not_taken(served, tmp_path):
    with pytest.raises(NotAvailable, match="another file"):
        hillstrom_file(served[0], "0" * 64, tmp_path / "cache")
    assert not list(tmp_path.glob("cache/*.csv"))


def test_without_a_network_a_sentence_says_what_to_do(tmp_path):
    with pytest.raises(NotAvailable, match=r"could not be downloaded: .* Save http.* in a folder and name it in PROMO_DOWNLOADS"):
        hillstrom_file(NOWHERE, CHECKSUM, tmp_path / "cache")


def test_the_folder_of_downloads_comes_first_and_is_checked(tmp_path, monkeypatch):
    (tmp_path / FILE).write_text(SMALL)
    monkeypatch.setenv("PROMO_DOWNLOADS", str(tmp_path))
    assert hillstrom_file(NOWHERE, CHECKSUM, tmp_path / "cache") == tmp_path / FILE
    (tmp_path / FILE).write_text(SMALL + "\n")
    with pytest.raises(ValueError, match=r"not Hillstrom's file, or was damaged"):
        hillstrom_file(NOWHERE, CHECKSUM, tmp_path / "cache")
    (tmp_path / FILE).unlink()
    with pytest.raises(NotAvailable):
        hillstrom_file(NOWHERE, CHECKSUM, tmp_path / "cache")


def test_the_small_file_cell_by_cell(tmp_path):
    path = tmp_path / "small.csv"
    path.write_text(SMALL)
    found = load_hillstrom(path)
    assert found.arms == ("No E-Mail", "Womens E-Mail", "Mens E-Mail")
    assert found.arm.tolist() == [1, 0, 2, 2]
    assert found.contact_id.tolist() == [1, 2, 3, 4]
    assert found.outcome("spend").tolist() == [0, 0, 29.99, 0]
    assert found.features["channel: Multichannel"].tolist() == [0, 0, 0, 1]
    assert found.features["zip_code: Urban"].tolist() == [0, 0, 0, 1]
    assert found.features["zip_code: Rural"].tolist() == [0, 1, 0, 0]
    assert found.features["history"].tolist() == [142.44, 329.08, 180.65, 45.34]
    assert not any("segment" in c for c in found.features)
    assert np.isnan(found.depth).all()
    np.testing.assert_allclose(found.probability, 1 / 3)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (SMALL.replace("spend", "spent"), "lacks the column spend"),
        (SMALL.replace("No E-Mail", "Nothing"), r"1 rows of no known segment, first row 3 \('Nothing'\)"),
        ("", "cannot be read"),
    ],
)
def test_a_file_of_another_form_is_refused(tmp_path, text, said):
    path = tmp_path / "small.csv"
    path.write_text(text)
    with pytest.raises(ValueError, match=said):
        load_hillstrom(path)


REAL = os.environ.get("PROMO_DOWNLOADS", "")


@pytest.mark.skipif(not os.path.isfile(os.path.join(REAL, FILE)), reason="PROMO_DOWNLOADS names no folder with the file")
def test_the_published_means_to_the_digit(monkeypatch):
    monkeypatch.setenv("PROMO_DOWNLOADS", REAL)
    monkeypatch.setattr(hillstrom.pooch, "retrieve", lambda *_, **__: pytest.fail("looked for it elsewhere"))
    found = load_hillstrom()
    assert len(found) == 64_000
    published = {
        ("Womens E-Mail", "visit"): (0.0452, 4, 0.0032),
        ("Womens E-Mail", "conversion"): (0.0031, 4, 0.0008),
        ("Womens E-Mail", "spend"): (0.424, 3, 0.130),
        ("Mens E-Mail", "visit"): (0.0766, 4, None),
        ("Mens E-Mail", "conversion"): (0.0068, 4, None),
        ("Mens E-Mail", "spend"): (0.770, 3, None),
    }
    for (arm, outcome), (mean, digits, error) in published.items():
        y, number = found.outcome(outcome), found.arms.index(arm)
        a, c = y[found.arm == number], y[found.arm == 0]
        assert round(a.mean() - c.mean(), digits) == mean
        if error is not None:
            assert round(float(np.sqrt(a.var(ddof=1) / len(a) + c.var(ddof=1) / len(c))), digits) == error
    judged = gates(found, "visit", worth=0.01, seed=0)
    assert judged.holds
    seen = judged.arms.set_index("arm")["error"]
    assert round(seen["Womens E-Mail"], 4) == 0.0032


@pytest.mark.skipif(not os.path.isfile(os.path.join(REAL, FILE)), reason="PROMO_DOWNLOADS names no folder with the file")
def test_uplift_at_30_percent_of_the_womens_email_by_the_chances_of_two_arms(monkeypatch):
    monkeypatch.setenv("PROMO_DOWNLOADS", REAL)
    first, rest = load_hillstrom().folds([0.5, 0.5], 1)
    ranking = LEARNERS["X-learner"](first, "visit", None, 1).effects
    found = contrast_at_k(rest, "Womens E-Mail", "visit", {"X-learner": lambda x: ranking(x)[:, 1]}, [0.3], 1).set_index("method")
    robust, plain = found.loc["doubly robust"], found.loc["difference in means"]
    assert 0.06 < plain["estimate"] < 0.1
    assert abs(robust["estimate"] - plain["estimate"]) < 0.5 * plain["se"]
    assert robust["se"] == pytest.approx(plain["se"], rel=0.1)


def test_where_the_trial_cannot_be_had_its_tables_say_so():
    assert hillstrom_learners.means(None, 1).to_dict("list") == {"trial": ["not available"]}
    compared = hillstrom_learners.compare_learners(None, "Womens E-Mail", "visit", 1, 20)
    assert compared.top.to_dict("list") == {"trial": ["not available"]}
    assert compared.apart == "not available"


def test_learners_are_compared_on_the_other_half():
    rng, rows = np.random.default_rng(1), 3_000
    x = pd.DataFrame({"a": rng.normal(size=rows), "b": rng.normal(size=rows)})
    arm = rng.integers(0, 3, rows)
    visit = (rng.random(rows) < 0.2 + 0.15 * (arm == 1)).astype(float)
    small = Experiment(
        name="a small trial",
        contact_id=np.arange(rows),
        customer=np.arange(rows),
        features=x,
        arm=arm,
        arms=hillstrom.ARMS,
        depth=np.full(3, np.nan),
        outcomes=pd.DataFrame({"visit": visit}),
        probability=np.full(rows, 1 / 3),
        planned=np.full(3, 1 / 3),
        currency="USD",
    )
    means = hillstrom_learners.means(small, 1).set_index("e-mail")
    assert means.loc["Womens E-Mail", "effect"] == pytest.approx(visit[arm == 1].mean() - visit[arm == 0].mean())
    assert means.loc["Womens E-Mail", "low"] > 0 > means.loc["Mens E-Mail", "low"]
    compared = hillstrom_learners.compare_learners(small, "Womens E-Mail", "visit", 1, 20)
    assert set(compared.top["learner"]) == set(hillstrom_learners.COMPARED)
    assert compared.apart.endswith("of 3")
