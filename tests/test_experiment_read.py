"""An experiment from a CSV file: what is read, and every problem of a file at once."""

import numpy as np
import pandas as pd
import pytest

from promo_helpers.experiment.file import ExperimentError, code_feature, depths, read_experiment

N = 90
NAMES = {"arm": "offer", "outcome": "units", "control": "none", "features": ["age", "city"]}


def table():
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "id": [f"c{i}" for i in range(N)],
            "who": [f"p{i // 2 if i < 10 else i}" for i in range(N)],
            "offer": np.tile(["none", "10", "20"], N // 3),
            "p": np.tile([0.5, 0.25, 0.25], N // 3),
            "units": rng.poisson(1.0, N),
            "price": 100,
            "margin": 0.3,
            "age": rng.integers(20, 60, N).astype(object),
            "city": rng.choice(["Galle", "Kandy", "Jaffna"], N, p=[0.5, 0.3, 0.2]),
        }
    )


@pytest.fixture
def read(tmp_path):
    def reading(frame, **changes):
        path = tmp_path / "mine.csv"
        if isinstance(frame, bytes):
            path.write_bytes(frame)
        else:
            frame.to_csv(path, index=False)
        return read_experiment(path, **(NAMES | changes))

    return reading


def problems(read, frame, **changes):
    with pytest.raises(ExperimentError) as caught:
        read(frame, **changes)
    assert isinstance(caught.value, ValueError)
    assert all(p in str(caught.value) and p.startswith("mine.csv: ") for p in caught.value.problems)
    return caught.value.problems


def test_all_columns(read):
    given = table()
    found = read(
        given, probability="p", price="price", margin="margin", customer="who", contact_id="id", cost=2.0, currency="LKR"
    )
    assert found.arms == ("none", "10", "20")
    np.testing.assert_array_equal(found.depth, [np.nan, 0.1, 0.2])
    assert found.contact_id.tolist() == given["id"].tolist()
    assert found.customer.tolist() == given["who"].tolist()
    np.testing.assert_allclose(found.planned, [0.5, 0.25, 0.25])
    np.testing.assert_allclose(found.probability, given["p"])
    off = given["offer"].map({"none": 0, "10": 0.1, "20": 0.2})
    expected = given["units"] * 100 * (0.3 - off) - np.where(given["offer"] == "none", 0, 2.0)
    np.testing.assert_allclose(found.outcome("profit"), expected)
    assert list(found.features) == ["age", "city: Jaffna", "city: Kandy"]
    np.testing.assert_array_equal(found.features["city: Kandy"], given["city"] == "Kandy")
    assert (found.name, found.currency) == ("mine", "LKR")


def test_the_least_that_is_needed(read):
    found = read(table())
    assert found.contact_id.tolist() == list(range(1, N + 1))
    assert found.customer.tolist() == found.contact_id.tolist()
    assert found.probability is found.planned is None
    assert list(found.outcomes) == ["units"]


def test_cells_as_people_type_them(read):
    given = table()
    given["offer"] = [{"none": " None", "10": "10.0", "20": "20"}[a] if i % 2 else a for i, a in enumerate(given["offer"])]
    given["bought"] = np.where(given["units"] > 0, "yes", "No")
    given.loc[3, "age"] = "N/A"
    given.loc[4, "city"] = ""
    given["note"] = "a, quoted\nnote"
    found = read(given, outcome=["bought", "units"])
    assert found.counts.tolist() == [30, 30, 30]
    np.testing.assert_array_equal(found.outcome("bought"), given["units"] > 0)
    assert np.isnan(found.features.loc[3, "age"])
    assert found.features.loc[4].isna().tolist() == [False, True, True]


@pytest.mark.slow
def test_an_outcome_that_nobody_knows_and_one_left_blank(read):
    given = table().astype({"units": object})
    given.loc[5, "units"] = "NA"
    assert np.isnan(read(given).outcome("units")[5])
    given.loc[[6, 7], "units"] = ""
    [wrong] = problems(read, given)
    assert wrong.startswith("mine.csv: units is blank (write 0 where nothing came of it, NA where nobody knows) in 2 rows: row 8")


@pytest.mark.parametrize(
    ("arms", "expected"),
    [
        (("none", "0", "5", "25"), [np.nan, 0, 0.05, 0.25]),
        (("0", "10", "100"), [np.nan, 0.1, 1.0]),
        (("none", "0.05", "0.1"), [np.nan, 0.05, 0.1]),
        (("0", "1"), [np.nan, np.nan]),
        (("0", "1", "2", "3"), [np.nan] * 4),
        (("nothing", "mail", "mail and 15 %", "SAVE 20% NOW"), [np.nan, np.nan, 0.15, 0.2]),
        (("none", "10", "mail"), [np.nan] * 3),
        (("none", "500", "10"), [np.nan, np.nan, 0.1]),
    ],
)
def test_depths_of_arms(arms, expected):
    np.testing.assert_array_equal(depths(arms), expected)


def test_features_of_every_kind():
    def coded(*cells):
        return {k: v.tolist() for k, v in code_feature("x", pd.Series(cells, dtype="str"))[0].items()}

    assert coded("1", "2.5", "-3") == {"x": [1, 2.5, -3]}
    assert coded("yes", "no", "yes") == {"x": [1, 0, 1]}
    assert coded("b", "a", "b") == {"x: a": [0, 1, 0]}
    dates = [f"2025-03-{d:02d}" for d in (31, *range(1, 15))]
    assert coded(*dates)["x (code)"][:3] == [14, 0, 1]
    values, wrong = code_feature("x", pd.Series(["1"] * 19 + ["oops"], dtype="str"))
    assert wrong.sum() == 1
    assert np.isnan(values["x"][19])


def change(**columns):
    def changed(frame):
        for name, (rows, value) in columns.items():
            frame = frame.astype({name: object})
            frame.loc[rows, name] = value
        return frame

    return changed


CASES = {
    "no control": (lambda f: f, {"control": "nobody"}, "offer has no control group: no row says 'nobody' (it says 10, 20, none)"),
    "one arm": (lambda f: f.assign(offer="none"), {}, "offer has one arm only, none: there is nothing to compare it with"),
    "small arm": (
        change(offer=(range(5), "30")),
        {},
        "offer: the arm 30 has 5 customers; 20 are the least",
    ),
    "blank arm": (change(offer=(7, "")), {}, "offer is blank in 1 row: row 9 ('blank')"),
    "no chance": (change(p=(0, 0)), {"probability": "p"}, "p is a chance that is not above 0 and at most 1 in 1 row: row 2 ('0')"),
    "chance of 2": (change(p=(0, 2)), {"probability": "p"}, "p is a chance that is not above 0 and at most 1 in 1 row: row 2 ('2')"),
    "chance lacks": (change(p=([1, 2], "nan")), {"probability": "p"}, "p is missing in 2 rows: row 3 ('nan'), row 4 ('nan')"),
    "text outcome": (change(units=([0, 2, 3, 4], "many")), {},
        "units is not a number in 4 rows: row 2 ('many'), row 4 ('many'), row 5 ('many'), ..."),
    "constant": (lambda f: f.assign(units=1), {}, "units is 1 in every row: an outcome that never varies has nothing to tell"),
    "double id": (change(id=(5, "c4")), {"contact_id": "id"}, "id repeats an earlier row in 1 row: row 7 ('c4')"),
    "margin": (change(margin=(0, 30)), {"price": "price", "margin": "margin"}, "margin is a share outside 0..1 in 1 row: row 2 ('30')"),
    "price alone": (lambda f: f, {"price": "price"}, "price and margin belong together: give both columns, or neither"),
    "named twice": (lambda f: f, {"features": ["units"]}, "units is named as a feature, and as an outcome as well"),
    "the outcome": (lambda f: f.assign(paid=f["units"] * 70), {"features": ["paid"]},
        "paid tells units in every row: it is not known before the contact, and is no feature"),
    "the purchase": (lambda f: f.assign(gift=np.where(f["units"] > 0, "pen", "nothing")), {"features": ["gift"]},
        "gift tells units in every row"),
    "a name": (lambda f: f, {"features": ["id"]}, "id has another text in most rows: it names the rows, and is no feature"),
    "a slip": (change(age=(9, "forty")), {}, "age is not a number in 1 row: row 11 ('forty')"),
    "a column": (lambda f: f, {"features": ["agee"]}, "the column agee is missing (is it age?)"),
    "no rows": (lambda f: f.iloc[:0], {}, "the file holds no rows"),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_one_thing_wrong(read, case):
    spoil, changes, said = CASES[case]
    found = problems(read, spoil(table()), **changes)
    assert len(found) == 1, found
    assert found[0].startswith(f"mine.csv: {said}")


def test_everything_wrong_at_once(read):
    spoiled = change(offer=(range(5), "30"), p=(8, 1.5), units=(0, "x"), id=(4, "c3"), age=(2, "?"))(table())
    found = problems(read, spoiled, probability="p", contact_id="id", control="nil")
    assert len(found) == 6
    for word in ("control", "arm 30", "p is", "units is", "id repeats", "age is"):
        assert sum(word in p for p in found) == 1, (word, found)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "the file is empty"),
        ("offer,units,age,city\nnone,1,2,Gal\xe9".encode("latin-1"), "is not UTF-8"),
        (b"offer;units;age;city\nnone;1;2;x\n", "separated by semicolons"),
        (b'offer,units,age,city\nnone,1,2,"x\n', "quotation mark"),
        (b"offer,units,age,city\nnone,1,2\n", "1 row has more or fewer cells than the 4 headings: row 2"),
        (b"offer,units,units,age,city\nnone,1,1,2,x\n", "the heading units stands there more than once"),
    ],
)
def test_files_that_cannot_be_read(read, content, said):
    assert said in problems(read, content)[0]


def test_no_file(tmp_path):
    with pytest.raises(ValueError, match=r"nowhere.csv: there is no such file"):
        read_experiment(tmp_path / "nowhere.csv", **NAMES)
