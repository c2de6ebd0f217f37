"""The cross-sell list: who is on it, what is promised, and a file that is safe, whole and readable."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from promo_helpers.models import bundles
from tests.baskets import purchases_of, random_purchases

KINDS = np.array(["bakery", "dairy", "dairy", "soap"], object)


def test_candidates_buy_the_product_and_not_the_suggestion():
    purchases = purchases_of(
        #     buys both  stopped long ago  not lately  bought it half a year ago  never
        who=[0, 0, 1, 2, 2, 3, 4],
        what=[0, 1, 0, 0, 1, 0, 3],
        day=[300, 301, 100, 300, 10, 290, 300],
    )
    table = bundles.candidates(purchases, 302, 0, 1, KINDS).set_index("who")
    assert table.index.tolist() == [2, 3]
    assert table.loc[2, "ever"] == pytest.approx(np.log1p(1))
    assert table.loc[3, "ever"] == 0
    assert table.loc[3, "recency"] == pytest.approx(np.log1p(12))


def test_features_do_not_see_the_day_or_what_follows():
    rng = np.random.default_rng(0)
    base = random_purchases(rng, items=4, days=300)
    past = base.day < 250
    cut = purchases_of(base.who[past], base.what[past], base.day[past], customers=60, items=4)
    assert cut.days == 250
    pd.testing.assert_frame_equal(bundles.candidates(base, 250, 0, 1, KINDS), bundles.candidates(cut, 250, 0, 1, KINDS))


@pytest.mark.parametrize("day", [0, 400])
def test_a_date_outside_the_data_is_refused(day):
    with pytest.raises(ValueError, match=f"day = {day}: must lie in 1 .. "):
        bundles.candidates(random_purchases(np.random.default_rng(0), items=4), day, 0, 1, KINDS)


def test_a_product_nobody_bought_has_no_candidates():
    purchases = purchases_of([0, 1], [1, 1], [0, 5], items=4)
    assert bundles.candidates(purchases, 6, 0, 1, KINDS).empty
    seen = bundles.observed(purchases, [3], 0, 1, KINDS)
    assert bundles.suggestion_probability(bundles.fit_suggestion(seen), seen).shape == (0,)


def test_outcomes_are_those_of_the_window():
    purchases = purchases_of([0, 0, 1, 1, 2, 2], [0, 1, 0, 1, 0, 1], [90, 100, 90, 113, 90, 114], items=4)
    seen = bundles.observed(purchases, [100], 0, 1, KINDS)
    assert dict(zip(seen["who"], seen["buys"], strict=True)) == {0: True, 1: True, 2: False}


def drawn(rng, n):
    """Rows whose true chance is a logit in two of the features."""
    frame = pd.DataFrame(rng.normal(size=(n, len(bundles.FEATURES))), columns=list(bundles.FEATURES))
    true = 1 / (1 + np.exp(-(-2.5 + 0.8 * frame["trips"] + 0.5 * frame["ever"])))
    return frame.assign(buys=rng.random(n) < true), true.to_numpy()


def test_promises_are_kept_on_other_customers():
    rng = np.random.default_rng(1)
    model = bundles.fit_suggestion(drawn(rng, 8000)[0])
    other, true = drawn(rng, 8000)
    promised = bundles.suggestion_probability(model, other)
    assert np.abs(promised - true).mean() < 0.01
    table = bundles.suggestion_calibration(promised, other["buys"].to_numpy())
    assert len(table) == 10
    assert table["customers"].sum() == 8000
    assert ((table["low"] <= table["promised"]) & (table["promised"] <= table["high"])).sum() >= 8
    bold = bundles.suggestion_calibration(np.clip(promised * 1.6, 0, 1), other["buys"].to_numpy())
    assert ((bold["low"] <= bold["promised"]) & (bold["promised"] <= bold["high"])).sum() <= 5


def test_few_purchases_give_everybody_the_common_rate():
    seen = pd.DataFrame({f: [0.0] * 98 for f in bundles.FEATURES}).assign(buys=[True] * 9 + [False] * 89)
    np.testing.assert_allclose(bundles.suggestion_probability(bundles.fit_suggestion(seen), seen), 0.1)
    assert len(bundles.suggestion_calibration(np.full(98, 0.1), seen["buys"].to_numpy())) == 1


def test_the_level_of_promises_has_an_interval_that_keeps_a_customer_together():
    """Against a bootstrap of whole customers; taking rows for independent would be too sure."""
    rng = np.random.default_rng(2)
    who = np.repeat(np.arange(300), rng.integers(1, 8, 300))
    chance = np.repeat(rng.beta(0.3, 2, 300), np.bincount(who))  # who buys one buys the others
    buys, promised = rng.random(len(who)) < chance, np.full(len(who), 0.1)
    table = bundles.suggestion_level(promised, buys, who)
    rows = [np.flatnonzero(who == c) for c in range(300)]
    drawn = [buys[np.concatenate([rows[c] for c in rng.integers(300, size=300)])].mean() for _ in range(1000)]
    low, high = np.quantile(drawn, [0.025, 0.975])
    assert table.loc["bought", "mean"] == buys.mean()
    assert table.loc["bought", "low"] == pytest.approx(low, abs=0.004)
    assert table.loc["bought", "high"] == pytest.approx(high, abs=0.004)
    np.testing.assert_allclose(table.loc["less"] + 0.1, table.loc["bought"])
    np.testing.assert_allclose(table.loc["promised"], 0.1)
    plain = 2 * 1.96 * np.sqrt(buys.mean() * (1 - buys.mean()) / len(buys))
    assert high - low > 1.2 * plain
    assert bundles.suggestion_level(promised[:3], buys[:3], np.zeros(3, int))["low"].isna().all()


names = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\x00\r"), min_size=1, max_size=12)


@settings(max_examples=60, deadline=None)
@given(st.lists(names, min_size=1, max_size=6, unique=True), names, names)
def test_a_list_reads_back_as_it_was_written_and_starts_no_formula(tmp_path_factory, customers, bought, suggested):
    path = tmp_path_factory.mktemp("list") / "crosssell.csv"
    chances = np.linspace(0, 1, len(customers))
    rows = bundles.write_suggestions(bundles.suggestion_list(customers, bought, suggested, 2.2345678, 1.2345678, chances), path)
    pd.testing.assert_frame_equal(bundles.read_suggestions(path), rows)
    assert rows["Probability"].is_monotonic_decreasing
    assert rows["SuggestedDiscount"].isna().all()
    for column in bundles.LIST_COLUMNS[:3]:
        assert not rows[column].str.startswith(("=", "+", "-", "@", "\t", "\r", "\n")).any()


def test_names_that_a_spreadsheet_would_run_are_quoted(tmp_path):
    rows = bundles.suggestion_list(["=cmd()", "NA", "007"], "@Bread", "+Jam", 2.17, 1.35, np.array([0.1, 0.2, 0.3]))
    bundles.write_suggestions(rows, tmp_path / "c.csv")
    text = (tmp_path / "c.csv").read_text(encoding="utf-8")
    assert "007,'@Bread,'+Jam,2.17,1.35,0.3," in text
    assert bundles.read_suggestions(tmp_path / "c.csv")["CustomerID"].tolist() == ["007", "NA", "'=cmd()"]


def test_an_empty_list_has_its_columns(tmp_path):
    rows = bundles.write_suggestions(bundles.suggestion_list([], "Bread", "", 1.0, 1.0, np.array([])), tmp_path / "c.csv")
    assert (tmp_path / "c.csv").read_text().strip() == ",".join(bundles.LIST_COLUMNS)
    assert list(bundles.read_suggestions(tmp_path / "c.csv").columns) == list(rows.columns)


def test_a_bad_list_is_refused_and_nothing_is_left(tmp_path):
    rows = bundles.suggestion_list(["a", "b"], "Bread", "Jam", 2.17, 1.35, np.array([0.1, 0.2]))
    with pytest.raises(ValueError, match=r"Probability: 1 rows are not in 0\.\.1, the first b"):
        bundles.write_suggestions(rows.assign(Probability=[0.1, 1.2]), tmp_path / "c.csv")
    with pytest.raises(ValueError, match="CustomerID: a is listed twice"):
        bundles.write_suggestions(pd.concat([rows, rows]), tmp_path / "c.csv")
    with pytest.raises(ValueError, match="must be"):
        bundles.write_suggestions(rows[["CustomerID"]], tmp_path / "c.csv")
    assert list(tmp_path.iterdir()) == []
