"""Each command of the README, as typed, on a small shop without a trial; the simulated one has its commands in tests/test_series.py.

The runs are made once; every test asks what they left. `year_shop` is what such a shop looks like: no contacts, no promotions.
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from promo_helpers import paths
from promo_helpers.campaign import list_files
from tests.shops import year_shop

pytestmark = pytest.mark.slow

ROOT = paths.ROOT
NO_TRIAL = "the shop has no contacts about a product"


def make(*arguments: str) -> subprocess.CompletedProcess:
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("MAKE", "MFLAGS", "PROMO_"))}
    return subprocess.run(["make", *arguments], cwd=ROOT, env=environment, capture_output=True, text=True)


@pytest.fixture(scope="module")
def shop(tmp_path_factory) -> Path:
    return year_shop(tmp_path_factory.mktemp("shops") / "Corner Shop 2".replace(" ", "-"), customers=60)


@pytest.fixture(scope="module")
def typed(shop, tmp_path_factory):
    """Type a command about the shop: its results go to a folder of the test's."""
    out = tmp_path_factory.mktemp("results")

    def type_(*arguments: str) -> subprocess.CompletedProcess:
        return make(*arguments, f"SHOP={shop}", f"OUT={out}", "MARGIN=.25")

    type_.out = out
    return type_


@pytest.fixture(scope="module")
def models(typed):
    """What a campaign reads, made by asking for the notebook on campaigns."""
    done = typed("notebook", "N=18_campaign")
    assert done.returncode == 0, done.stdout + done.stderr
    return done


def ledger(out: Path, name: str) -> dict:
    return json.loads((out / "data" / "numbers" / f"{name}.json").read_text(encoding="utf-8"))


def test_a_shop_without_a_trial_has_its_notebooks_and_no_trial_is_a_sentence(models, typed):
    assert f"12_budget_own: not available: {NO_TRIAL}" in models.stdout
    numbers = {n["name"]: n["value"] for n in ledger(typed.out, "discount_own")["numbers"]}
    assert numbers["not_available"].startswith(NO_TRIAL)
    executed = json.loads((typed.out / "build" / "runs" / "own" / "12_budget_own.ipynb").read_text(encoding="utf-8"))
    assert not any("papermill-error-cell-tag" in c["metadata"].get("tags", []) for c in executed["cells"])
    assert {"purchase_own", "timing_own"} <= {p.name for p in (typed.out / "data" / "models").iterdir()}
    facts = json.loads((typed.out / "data" / "models" / "purchase_own" / "model.json").read_text(encoding="utf-8"))
    assert facts["shop"]["first_day"] <= facts["trained_from"] < facts["trained_to"] <= "2025-02-04"


@pytest.mark.parametrize("notebook", ["02_shop", "09_uplift", "16_explanation", "17_fairness"])
def test_a_notebook_runs_alone_and_trains_nothing_again(models, typed, notebook):
    model = typed.out / "data" / "models" / "purchase_own" / "model.json"
    before = model.stat().st_mtime_ns
    done = typed("notebook", f"N={notebook}")
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{notebook}_own done in" in done.stdout
    assert model.stat().st_mtime_ns == before
    assert (f"not available: {NO_TRIAL}" in done.stdout) == (notebook == "09_uplift")


def test_retrain_says_whether_the_new_model_is_better(models, typed):
    done = typed("retrain")
    assert done.returncode == 0, done.stdout + done.stderr
    names = {n["name"] for n in ledger(typed.out, "purchase_own_retrain")["numbers"]}
    assert {"top_importance", "customers"} <= names
    executed = (typed.out / "build" / "runs" / "retrain" / "03_purchase_own_retrain.ipynb").read_text(encoding="utf-8")
    assert "a window must have passed since" in executed


@pytest.fixture(scope="module")
def campaigns(models, typed):
    """The same campaign asked for twice: what make said, and the files that lay there after each."""
    made = []
    for _ in range(2):
        done = typed("campaign", "PRODUCT=item 3", "CUSTOMERS=10", "DISCOUNT=10")
        assert done.returncode == 0, done.stdout + done.stderr
        made.append((done.stdout, {p: p.read_bytes() for p in (typed.out / "data" / "campaigns").iterdir()}))
    return made


def test_a_campaign_ends_with_its_answer_and_a_second_one_keeps_the_first(campaigns, typed):
    for number, (said, files) in enumerate(campaigns, 1):
        again, last = "_2" * (number == 2), said.strip().splitlines()[-1]
        told = re.fullmatch(r"(\d+) customers; ranked by who is likely to buy; .*; (\d+) held out; the list: (\S+)", last)
        assert told, last
        path = Path(told[3])
        assert path.name == f"campaign_item_3_2025-02-04_own_asked_customers10_off10_sms{again}.csv"
        assert path in files
        assert len(list_files.read_campaign_file(path)) == int(told[1]) == 10  # written to; those held out are chosen besides
        assert int(told[2]) > 0
        run = f"own_asked_item_3_customers10_off10_sms{again}"
        assert path.name in "".join(ledger(typed.out, f"campaign_{run}")["files"])
        assert (typed.out / "build" / "runs" / "campaign" / f"18_campaign_{run}.ipynb").is_file()
    first, second = campaigns[0][1], campaigns[1][1]
    assert len(second) > len(first)
    assert {p: second[p] for p in first} == first


def test_the_form_of_a_campaign_comes_back(campaigns, typed):
    form = next((typed.out / "data" / "campaigns").glob("campaign_item_3_*_sms_2_responses.csv"))
    pd.read_csv(form, dtype=str).assign(Units="1", Paid="100").to_csv(form, index=False)
    done = make("responses", f"FILE={form}")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "revenue beyond the holdout's" in done.stdout


@pytest.mark.parametrize(
    ("asked", "answer"),
    [
        ([], 'Which product? As in PRODUCT="'),
        (["PRODUCT=Itm 3"], "PRODUCT=Itm 3: no product is called 'Itm 3'; the nearest: Item 3"),
        (["PRODUCT=Item 3", "BUDGET=abc"], "BUDGET=abc: a budget is an amount above 0"),
        (["PRODUCT=Item 3", "CUSTOMERS=fifty"], "CUSTOMERS=fifty: a number of customers"),
        (["PRODUCT=Item 3", "DISCOUNT=200"], "DISCOUNT=200: a discount is given in percent"),
        (["PRODUCT=Item 3", "CHANNEL=fax"], "CHANNEL=fax: the channels are SMS and e-mail"),
        (["PRODUCT=Item 3", "DATE=2024-05-01"], "DATE=2024-05-01: the data end on 2025-02-03"),
        (["PRODUCT=Item 3", "EVEN=foo"], "EVEN=foo: name what makes the groups"),
    ],
)
def test_what_cannot_be_asked_is_answered_before_a_kernel_starts(typed, asked, answer):
    done = typed("campaign", *asked)
    assert done.returncode != 0
    assert not re.search(r"^  18_campaign", done.stdout, re.M)
    said = [line for line in done.stderr.splitlines() if not line.startswith("make")]
    assert len(said) == 1
    assert said[0].startswith(answer)
    assert asked or "make products SHOP=" in said[0]


def test_the_products_are_listed_by_name(typed):
    done = typed("products")
    assert done.returncode == 0, done.stderr
    assert len(re.findall(r"\bItem \d+\b", done.stdout)) == 40


def test_models_of_another_shop_are_refused_by_name(models, typed, tmp_path):
    other = year_shop(tmp_path / "other", customers=40, start="2029-06-23", seed=1)
    done = make("campaign", f"SHOP={other}", f"OUT={typed.out}", "PRODUCT=Item 3", "CUSTOMERS=10")
    assert done.returncode != 0
    told = r"The saved model \S+/(?:purchase|timing)_own was trained on the shop '[^']+' \(2024-01-01 to 2025-02-0\d\), not on 'other' "
    assert re.search(told + rf"\(.*\); make notebook N=0\d_\w+ SHOP={other} .* trains one for it", done.stderr), done.stderr


def test_each_shop_has_a_folder_of_results(tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "ROOT", tmp_path)
    (tmp_path / "notebooks" / "profiles").mkdir(parents=True)
    (tmp_path / "notebooks" / "profiles" / "seed.yml").touch()
    for name in ("a/My Shop", "b/My Shop", "a/seed", "a/\u0d9a"):
        (tmp_path / name).mkdir(parents=True)
    assert paths.mark_shop(str(tmp_path / "a" / "My Shop"), "LKR") == "build/my-shop"
    second = paths.mark_shop("b/My Shop", "LKR")
    assert re.fullmatch(r"build/my-shop-[0-9a-f]{6}", second)
    assert paths.mark_shop("a/My Shop", "LKR") == "build/my-shop"
    assert paths.mark_shop("b/My Shop/", "LKR") == second
    assert re.fullmatch(r"build/seed-[0-9a-f]{6}", paths.mark_shop("a/seed", "LKR"))
    assert re.fullmatch(r"build/shop-[0-9a-f]{6}", paths.mark_shop("a/\u0d9a", "LKR"))
    mark = tmp_path / "build" / "my-shop" / paths.MARK
    before = mark.stat().st_mtime_ns
    paths.mark_shop("a/My Shop", "LKR")
    assert mark.stat().st_mtime_ns == before
    paths.mark_shop("a/My Shop", "LKR .25")
    assert mark.stat().st_mtime_ns > before
    assert paths.mark_shop("nowhere/my-shop", "LKR") != "build/my-shop"
    assert not (tmp_path / "build" / "nowhere").exists()


def test_a_shop_named_like_a_folder_of_the_project_below_build_has_another():
    """The names are searched for in the code, so that a new one cannot be forgotten."""
    texts = [f.read_text(encoding="utf-8") for f in (paths.ROOT / "promo_helpers").rglob("*.py")]
    texts += [f.read_text(encoding="utf-8").replace('\\"', '"') for f in paths.notebooks().glob("*.ipynb")]
    used = set(re.findall(r'"build" / "([a-z]+)"', "".join(texts)))
    assert used >= {"runs", "running", "replications", "twin", "explore", "html", "ipython", "latex"}
    for name in used:
        assert re.fullmatch(rf"build/{name}-[0-9a-f]{{6}}", paths.folder_of_shop(f"/nowhere/{name.title()}")), name


def test_the_other_commands(tmp_path):
    for wanted in ("template", "check"):
        planned = make("-n", wanted)
        assert planned.returncode == 0, planned.stderr
    done = subprocess.run([sys.executable, "-m", "promo_helpers", "template", str(tmp_path / "mine")], cwd=ROOT)
    assert done.returncode == 0
    assert (tmp_path / "mine" / "Transactions.csv").is_file()
