"""The table of orders: cells as people leave them, the rule of ownership, and why its two questions teach nothing."""

import numpy as np
import pandas as pd
import pytest

from promo_helpers.models import next_product
from promo_helpers.models.saved import encoded


def row(**cells):
    """One row as text, with cells replaced."""
    plain = {
        "Customer_ID": "C1", "Name": "x", "Order_Frequency": "5", "Average_Time_Between_Orders": "10", "Lowest_Time_Between_Orders": "2",
        "has_peak": "Yes", "has_knife": "No", "has_pivot": "Yes",
    }  # fmt: skip
    return {**plain, **cells}


@pytest.mark.parametrize(
    ("column", "cell", "value", "problem"),
    [
        ("Order_Frequency", " 7 ", 7, None),
        ("Order_Frequency", "N/A", np.nan, "missing"),
        ("Order_Frequency", "2.5", np.nan, "not a positive whole number"),
        ("Average_Time_Between_Orders", "", np.nan, "missing"),
        ("Average_Time_Between_Orders", "twelve", np.nan, "not a number"),
        ("Average_Time_Between_Orders", "12 days", np.nan, "not a number"),
        ("Average_Time_Between_Orders", "inf", np.nan, None),
        ("Lowest_Time_Between_Orders", "-1", np.nan, "not positive"),
        ("Lowest_Time_Between_Orders", "0", np.nan, "not positive"),
        ("has_peak", "y", 1, None),
        ("has_peak", "0", 0, None),
        ("has_peak", "n/a", np.nan, "missing"),
        ("has_peak", "perhaps", np.nan, "neither yes nor no"),
    ],
)
def test_a_cell_is_read_or_becomes_missing_and_is_listed(column, cell, value, problem):
    table, done = next_product.clean(pd.DataFrame([row(), row(Customer_ID="C2", **{column: cell})]))
    found = table.loc[1, column]
    assert np.isnan(found) if np.isnan(value) else found == value
    assert done[["column", "problem"]].to_numpy().tolist() == ([[column, problem]] if problem else [])
    if problem:
        assert done.loc[0, "first"] == 3  # its row in the file, under the headings


def test_the_impossible_and_the_repeated():
    table, done = next_product.clean(pd.DataFrame([row(Lowest_Time_Between_Orders="11"), row(), row(Customer_ID="C2")]))
    assert table["Customer_ID"].tolist() == ["C1", "C2"]
    assert table.loc[0, ["Average_Time_Between_Orders", "Lowest_Time_Between_Orders"]].isna().all()
    assert done["problem"].tolist() == ["longer than the average", "occurs again"]


def test_the_generated_table_goes_to_a_file_and_back_the_same_twice(tmp_path):
    made = [next_product.generate(3, 400) for _ in range(2)]
    files = [next_product.write_orders(t, tmp_path / f"{i}.csv") for i, t in enumerate(made)]
    assert files[0].read_bytes() == files[1].read_bytes()
    back = next_product.read_orders(files[0])
    assert tuple(back) == next_product.COLUMNS
    assert (back == "N/A").any().sum() >= 5
    clean, done = next_product.clean(back)
    assert {"missing", "not a number", "not positive", "neither yes nor no"} <= set(done["problem"])
    known = clean.dropna()
    assert (known["Lowest_Time_Between_Orders"] <= known["Average_Time_Between_Orders"] + 0.01).all()
    assert back["Name"].str.startswith("Made-up Person").all()


def test_a_file_that_lacks_columns_or_rows_is_refused(tmp_path):
    file = tmp_path / "orders.csv"
    pd.DataFrame([row()]).drop(columns=["has_knife", "Name"]).to_csv(file, index=False)
    with pytest.raises(ValueError, match="lacks the columns Name, has_knife"):
        next_product.read_orders(file)
    pd.DataFrame([row()]).head(0).to_csv(file, index=False)
    with pytest.raises(ValueError, match="headings and no rows"):
        next_product.read_orders(file)


def test_the_next_product_is_the_first_that_is_not_owned():
    owned = pd.DataFrame(
        [(1, 1, 1), (1, 1, 0), (0, 0, 0), (0, 1, 1), (1, np.nan, 1), (1, np.nan, 0), (1, 0, np.nan)],
        columns=["has_peak", "has_knife", "has_pivot"],
    )
    answer = next_product.next_by_rule(owned).tolist()
    assert answer[:4] == [next_product.NOTHING, "pivot", "pivot", "peak"]
    assert pd.isna(answer[4])  # whether the knife is next hangs on the missing cell
    assert answer[5] == "pivot"  # here it does not
    assert pd.isna(answer[6])


@pytest.mark.slow
def test_a_forest_is_perfect_at_a_rule_and_so_is_the_rule():
    table, _ = next_product.clean(next_product.generate(0, 800))
    model, labels = next_product.rule_forest(table.iloc[:600], 1)
    assert labels.categories_[0].tolist() == ["knife", "peak", "pivot"]
    scores = next_product.rule_scores(model, labels, table.iloc[600:]).set_index("cells")
    assert scores.loc["all known", "forest"] == scores.loc["all known", "rule"] == scores.loc["all known", "high"] == 1
    assert scores.loc["all known", "low"] == pytest.approx(0.025 ** (1 / scores.loc["all known", "rows"]))
    # where the labels do not follow from the columns the same forest is no better than chance
    shuffled = table.copy()
    shuffled[list(next_product.OWNED)] = np.random.default_rng(1).permutation(table[list(next_product.OWNED)].to_numpy())
    right = encoded(labels, next_product.next_by_rule(table)) == model.predict(shuffled[list(next_product.OWNED)].to_numpy(float))
    assert right.mean() < 0.6


def test_the_shortest_time_falls_with_the_number_of_orders_and_the_next_one_does_not():
    table = next_product.lowest_by_orders(0, customers=4000)
    assert (np.abs(table["lowest"] - table["expected"]) < 4 * table["error"]).all()
    assert np.abs(table["next"] - 20).max() < 4 * 20 / np.sqrt(4000)


@pytest.mark.slow
def test_the_forest_learns_no_more_than_a_formula():
    table, _ = next_product.clean(next_product.generate(0, 1500))
    model = next_product.shortest_forest(table.iloc[:1000], 1)
    marks = next_product.shortest_scores(model, table.iloc[1000:])
    assert ((marks["low"] < marks["error"]) & (marks["error"] < marks["high"])).all()
    scores = marks.set_index("method")["error"]
    assert scores["average / (orders - 1)"] < scores["its mean for all"]
    assert scores["forest"] < scores["its mean for all"]
    assert scores["forest"] > 0.95 * scores["average / (orders - 1)"]  # nothing is left to learn beyond it
    with pytest.raises(ValueError, match="0 rows have a Lowest_Time_Between_Orders"):
        next_product.shortest_forest(table.assign(Lowest_Time_Between_Orders=np.nan), 1)
