"""Loading: the same shop from CSV, Parquet and other spellings; batches, copies, and a writer that never leaves half a shop."""

import csv
import gc
import hashlib
import json
import os
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from promo_helpers.shop import TABLES, Shop, ShopWriter, data_dictionary, loading, reading
from promo_helpers.shop.checks import ShopError
from promo_helpers.shop.loading import load_shop
from promo_helpers.shop.reading import complete_lines, read_cells
from promo_helpers.shop.sheets import write_template
from tests.shops import shop_frames, spoilt, write_shop


def same(one, other, tables=TABLES):
    for table in tables:
        pd.testing.assert_frame_equal(one.frame(table), other.frame(table), obj=table)


@pytest.fixture
def load(tmp_path, out):
    """A function that writes a shop as CSV into a fresh folder and loads it."""

    def loaded(frames=None, **text):
        return load_shop(write_shop(tmp_path / f"shop{len(list(tmp_path.iterdir()))}", frames, **text))

    return loaded


def csv_of(table, frames=None, **options):
    return (frames or shop_frames())[table].to_csv(index=False, **options)


@pytest.mark.slow
def test_cells_arrive_as_they_were_typed(corner):
    """Each column against the frames that were written, read here in the plainest way."""
    given = shop_frames()
    for table in TABLES.values():
        frame = corner.frame(table.name)
        assert len(frame) == len(given[table.name])
        for column in (c for c in table.columns if c.heading in given[table.name] and c.name in frame):
            cells = given[table.name][column.heading]
            blank = (cells.astype(str) == "").to_numpy()
            assert frame[column.name].isna().tolist() == blank.tolist(), column
            if column.kind in ("whole", "number"):
                assert frame[column.name][~blank].tolist() == cells[~blank].astype(float).tolist(), column
            elif column.kind in ("date", "time"):
                assert frame[column.name][~blank].tolist() == pd.to_datetime(cells[~blank]).tolist(), column
            elif column.kind == "flag":
                assert frame[column.name][~blank].tolist() == (cells[~blank] == "true").tolist(), column
            else:
                assert frame[column.name][~blank].tolist() == cells[~blank].tolist(), column


def test_amounts_are_whole_cents(corner):
    given, lines = shop_frames()["transactions"], corner.frame("transactions")
    paid = [round(float(p) * 100) for p in given["TotalAmount"]]
    listed = [round(int(u) * float(p) * 100) for u, p in zip(given["Quantity"], given["UnitPrice"], strict=True)]
    assert lines["paid_cents"].tolist() == paid
    assert lines["list_cents"].tolist() == listed
    assert lines["paid_cents"].dtype == lines["list_cents"].dtype == np.int64


@pytest.mark.slow
def test_what_is_not_given_is_not_invented(corner, load):
    assert corner.has("products", "margin")
    assert not corner.has("products", "department")
    assert not corner.has("customers", "phone")
    bare = load(contacts=None, stores="StoreID\nSTORE01\nSTORE02\nSTORE03\n")
    assert not bare.has("contacts")
    assert bare.frame("stores").columns.tolist() == ["store_id"]
    frames = shop_frames()
    frames["transactions"] = frames["transactions"].drop(columns=["Discount", "TotalAmount", "PromotionID"])
    lines = load(frames).frame("transactions")
    assert "discount" not in lines  # neither a discount nor an amount paid tells one
    assert "promotion_id" not in lines
    assert (lines["paid_cents"] == lines["list_cents"]).all()


@pytest.mark.slow
def test_contacts_with_headings_only_are_no_contacts(load):
    assert not load(contacts="ContactID,CustomerID,ContactTime,Arm\n").has("contacts")


@pytest.mark.slow
def test_blank_optional_cells_stay_missing(load):
    frames = spoilt("products", "Margin", (2, ""), (3, "N/A"), (4, "-"))
    frames["customers"]["Age"] = ""
    shop = load(frames)
    assert shop.frame("products")["margin"].isna().sum() == 3
    assert shop.frame("customers")["age"].isna().all()
    assert shop.has("products", "margin", "price")
    assert not shop.has("customers", "age")  # as if the column were not there


@pytest.mark.slow
@pytest.mark.parametrize(
    "change",
    [
        lambda text: b"\xef\xbb\xbf" + text.encode(),
        lambda text: text.replace("\n", "\r\n").encode(),
        lambda text: text.encode() + b"\n\n",
        lambda text: text.replace("\n", "\n\n").encode(),
        lambda text: text.strip().encode(),
        lambda text: text.replace(",", " , ").encode(),
        lambda text: b"\n".join(line + b",," for line in text.strip().encode().split(b"\n")),
    ],
    ids=["BOM", "Windows", "blank end", "blank lines", "no last line end", "spaces", "unnamed columns"],
)
def test_the_same_table_saved_by_another_program(corner, load, change):
    same(load(**{t: change(csv_of(t)) for t in TABLES}), corner)


@pytest.mark.slow
@pytest.mark.parametrize("spell", [str.upper, str.lower, lambda h: f" {h} ", "as in the dictionary's names"])
def test_headings_in_other_spellings(corner, load, spell):
    frames = shop_frames()
    for name, frame in frames.items():
        names = {c.heading: c.name for c in TABLES[name].columns}
        frames[name] = frame.rename(columns=names if isinstance(spell, str) else spell)
    same(load(frames), corner)


@pytest.mark.slow
def test_other_headings_and_unknown_columns(corner, load):
    frames = shop_frames()
    frames["customers"] = frames["customers"].rename(columns={"Location": "City", "CustomerSegment": "Segment"}).assign(Shoe=43)
    frames["transactions"] = frames["transactions"].rename(
        columns={"TransactionDate": "Date", "Quantity": "Units", "UnitPrice": "Price", "TotalAmount": "Paid"}
    )
    frames["contacts"] = frames["contacts"].rename(columns={"ContactTime": "Time"})
    same(load(frames), corner)


@pytest.mark.slow
def test_the_layout_with_amounts_taken_off(corner, load):
    """TotalAmount is what was paid and DiscountedAmount what was taken off; no promotion is written None; 15 means 15 %."""
    frames = shop_frames()
    lines, promotions = frames["transactions"], frames["promotions"]
    off = (lines["Quantity"] * lines["UnitPrice"] - lines["TotalAmount"]).round(2)
    frames["transactions"] = lines.drop(columns=["Discount", "BasketID"]).assign(
        DiscountedAmount=off, PromotionID=lines["PromotionID"].replace("", "None")
    )
    frames["promotions"] = promotions.drop(columns="Discount").assign(DiscountPercentage=["10", "20.0", ""])
    shop = load(frames)
    pd.testing.assert_frame_equal(shop.frame("promotions"), corner.frame("promotions"))
    mine, theirs = shop.frame("transactions"), corner.frame("transactions")
    kept = [c for c in theirs if c not in ("discount", "basket_id")]
    pd.testing.assert_frame_equal(mine[kept], theirs[kept])
    assert set(mine["discount"].round(3)) == {0.0, 0.1, 0.2}
    np.testing.assert_allclose(mine["discount"], theirs["discount"], atol=1e-4)  # an amount is rounded to the cent
    baskets = set(zip(theirs["customer_id"], theirs["store_id"], theirs["time"], strict=True))
    assert mine["basket_id"].nunique() == len(baskets)
    assert shop.treatments.to_dict("records") == [
        {
            "treatment": "lines without a basket",
            "rows": len(lines),
            "reason": "what one customer bought in one store at one moment is taken as one basket",
        }
    ]


@pytest.mark.slow
def test_a_blank_basket_is_made_like_a_missing_one(corner, load):
    shop = load(spoilt("transactions", "BasketID", (2, ""), (3, "")))
    lines = shop.frame("transactions")
    assert lines["basket_id"].tolist()[2:] == corner.frame("transactions")["basket_id"].tolist()[2:]
    first = lines.iloc[0]
    assert first["basket_id"] == f"{first['customer_id']} {first['store_id']} {first['time']:%Y-%m-%d %H:%M:%S}"
    assert lines["basket_id"].iloc[1] == first["basket_id"]  # both are lines of B00001
    assert shop.treatments["rows"].tolist() == [2]


@pytest.mark.parametrize(
    ("line", "listed", "paid", "discount"),
    [
        (
            {"units": 3, "price": 3.33, "paid": 10.0},
            999,
            1000,
            0.0,
        ),  # a third of 10, rounded: nobody paid more than the list price
        ({"units": 2, "price": 5.0, "paid": 9.0}, 1000, 900, 0.1),
        ({"units": -2, "price": 5.0, "paid": -9.0}, -1000, -900, 0.1),
        ({"units": 2, "price": 5.0, "paid": None, "discount": 0.2}, 1000, 800, 0.2),
        ({"units": 2, "price": 5.0, "paid": 9.0, "discount": None}, 1000, 900, 0.1),
        ({"units": 2, "price": 5.0, "paid": 9.0, "discount": 0.25}, 1000, 900, 0.25),
        ({"units": 2, "price": 5.0, "discount": 0.25}, 1000, 750, 0.25),
        ({"units": 2, "price": 5.0, "discount": None}, 1000, 1000, None),
        ({"units": 1, "price": 0.0, "paid": 0.0}, 0, 0, None),
    ],
)
def test_what_follows_from_a_line(line, listed, paid, discount):
    frame = pd.DataFrame([line]).astype({c: "float64" for c in line if c != "units"}).astype({"units": "Int64"})
    done = complete_lines(frame).iloc[0]
    assert (done["list_cents"], done["paid_cents"], done["is_return"]) == (listed, paid, line["units"] < 0)
    assert done["discount"] == pytest.approx(discount, abs=1e-12) if discount is not None else pd.isna(done["discount"])


@pytest.mark.slow
def test_blocks_make_no_difference(corner, load, monkeypatch):
    monkeypatch.setattr(reading, "BLOCK", 20_000)
    same(load(), corner)


@pytest.mark.slow
def test_a_column_that_is_missing_in_the_first_block_and_filled_later(load, monkeypatch):
    frames = shop_frames()
    lines = frames["transactions"]
    for column in ("Discount", "PromotionID", "TotalAmount", "BasketID"):
        lines[column] = lines[column].astype(object)
        lines.loc[:2000, column] = ""
    lines["ContactID"] = [""] * 3000 + ["C0001"] * (len(lines) - 3000)
    whole = load(frames)
    monkeypatch.setattr(reading, "BLOCK", 20_000)
    parts = load(frames)
    same(parts, whole)
    assert parts.frame("transactions")["contact_id"].notna().sum() == len(lines) - 3000
    assert parts.frame("transactions")["discount"].isna().sum() == 2001


@pytest.mark.slow
def test_line_ends_inside_cells(load, monkeypatch):
    monkeypatch.setattr(reading, "BLOCK", 3_000)
    frames = spoilt("customers", "Name", (3, "Two\nlines, one cell"), (40, 'He said "yes"'))
    shop = load(frames, transactions=csv_of("transactions").splitlines()[0] + "\n" + csv_of("transactions").splitlines()[1])
    assert shop.frame("customers")["name"].iloc[[1, 38]].tolist() == ["Two\nlines, one cell", 'He said "yes"']
    assert shop.rows("customers") == 40


def to_parquet(shop, folder, **options):
    folder.mkdir()
    for table in TABLES:
        frame = shop.frame(table)
        if table == "transactions":
            frame = frame.assign(paid=frame["paid_cents"] / 100)
        frame.to_parquet(folder / f"{table}.parquet", index=False, **options)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("batch", [1000, reading.BATCH])
def test_a_folder_of_parquet_is_the_same_shop(corner, tmp_path, out, monkeypatch, batch):
    monkeypatch.setattr(reading, "BATCH", batch)
    same(load_shop(to_parquet(corner, tmp_path / "parquet")), corner)


@pytest.mark.slow
def test_parquet_with_percentages_numbered_ids_and_codes(corner, tmp_path, out):
    folder = to_parquet(corner, tmp_path / "parquet")
    promotions = corner.frame("promotions")
    promotions = promotions.drop(columns="discount").assign(DiscountPercentage=[10.0, 0.5, np.nan])
    promotions.to_parquet(folder / "promotions.parquet", index=False)
    lines = corner.frame("transactions").assign(paid=lambda f: f["paid_cents"] / 100)
    lines["transaction_id"] = np.arange(len(lines))
    lines["contact_id"] = pd.array([7, None] + [None] * (len(lines) - 2), dtype="Int64")
    lines["product_id"] = lines["product_id"].astype("category")
    lines.to_parquet(folder / "transactions.parquet", index=False)
    shop = load_shop(folder)
    assert shop.frame("promotions")["discount"].tolist()[:2] == [0.1, 0.005]
    read = shop.frame("transactions")
    assert read["contact_id"].dropna().tolist() == [7]
    assert read["transaction_id"].tolist() == list(range(len(lines)))
    assert read["product_id"].tolist() == lines["product_id"].tolist()


@pytest.mark.parametrize(
    ("kind", "cells"),
    [
        ("id", ["a", " a", "b ", "", "N/A", "b", "-"]),
        ("id", [3, 1, 2, 1, 3, 3, 1]),
        ("key", [3, 1, 2, 1, 3, 3, 1]),
        ("key", [3.0, None, 2.0, 1.0, 3.0, 3.0, 1.0]),
        ("text", [None, "", " ", "NA", None, "", "-"]),
        ("whole", ["1", "2.5", " 3", "", "x", "1", "-4"]),
        ("number", ["1", "2.5", " 3", "", "x", "1", "1e300"]),
        ("number", [1.5, None, 2.0, 1.5, 3.0, 3.0, 1e300]),
        ("date", ["2025-03-31", "soon", "", "2025-03-31", "2025-13-01", None, "2025-04-01"]),
        ("flag", ["yes", "NO", "", "perhaps", "1", "0", "yes"]),
    ],
)
def test_cells_that_come_as_codes_are_read_as_the_same_cells(kind, cells):
    plain = pd.Series(cells)
    for index in (None, [9, 8, 7, 6, 5, 4, 3]):
        coded = plain.astype("category").set_axis(plain.index if index is None else index)
        value, wrong = read_cells(coded, kind)
        wanted, unreadable = read_cells(plain.set_axis(coded.index), kind)
        assert wrong.tolist() == unreadable.tolist()
        assert wrong.index.equals(coded.index)
        plainly = value.astype(wanted.dtype) if isinstance(value.dtype, pd.CategoricalDtype) else value
        pd.testing.assert_series_equal(plainly, wanted)


@pytest.mark.slow
@pytest.mark.parametrize("batch", [100, 500_000])
def test_a_folder_of_parquet_with_codes_is_the_same_shop(corner, tmp_path, out, monkeypatch, batch):
    monkeypatch.setattr(reading, "BATCH", batch)
    folder = to_parquet(corner, tmp_path / "parquet")
    for table in TABLES:
        frame = corner.frame(table)
        text = [c for c in frame if isinstance(frame[c].dtype, pd.StringDtype)]
        frame.astype(dict.fromkeys(text, "category")).to_parquet(folder / f"{table}.parquet", index=False, row_group_size=70)
    same(load_shop(folder), corner)
    lines = corner.frame("transactions").drop(columns="basket_id").astype({"customer_id": "category", "store_id": "category"})
    lines.loc[[4, 7], "customer_id"] = None
    lines.to_parquet(folder / "transactions.parquet", index=False)
    with pytest.raises(ShopError, match=r"customer_id is empty in 2 rows: row 6 \(blank\), row 9 \(blank\)"):
        load_shop(folder)


def test_moments_with_a_zone_are_refused_in_parquet_too(corner, tmp_path, out):
    folder = to_parquet(corner, tmp_path / "parquet")
    contacts = corner.frame("contacts")
    contacts["time"] = contacts["time"].dt.tz_localize("Asia/Colombo")
    contacts.to_parquet(folder / "contacts.parquet", index=False)
    with pytest.raises(loading.ShopError) as error:
        load_shop(folder)
    assert error.value.problems == [
        "contacts (contacts.parquet): time is not a moment such as 2025-03-31 17:45:00 in 80 rows: "
        "row 2 ('2025-02-10 09:00:00+05:30'), row 3 ('2025-02-10 09:00:00+05:30'), row 4 ('2025-02-10 09:00:00+05:30'), ..."
    ]


@pytest.mark.slow
def test_another_parquet_file_beside_the_csv_files_is_left_alone(corner, tmp_path, out):
    folder = write_shop(tmp_path / "corner")
    pq.write_table(pa.table({"x": [1]}), folder / "forecast.parquet")
    same(load_shop(folder), corner)


@pytest.mark.slow
def test_the_copy_is_kept_until_the_source_changes(tmp_path, out):
    folder = write_shop(tmp_path / "corner")
    first = load_shop(folder)
    made = (first.folder / "transactions.parquet").stat()
    again = load_shop(folder)
    assert (again.folder / "transactions.parquet").stat().st_ino == made.st_ino  # the very same file
    assert load_shop(folder, currency="EUR").currency == "EUR"
    load_shop(folder)
    stores = folder / "Stores.csv"
    stores.write_text(stores.read_text().replace("Harbour", "Station"))
    os.utime(stores, ns=(1, 1))
    assert load_shop(folder).frame("stores")["name"].tolist() == ["Fort", "Lake", "Station"]
    (folder / "Contacts.csv").unlink()
    assert not load_shop(folder).has("contacts")


@pytest.mark.slow
def test_a_copy_of_an_earlier_format_is_made_anew(tmp_path, out, monkeypatch):
    folder = write_shop(tmp_path / "corner")
    made = (load_shop(folder).folder / "transactions.parquet").stat().st_mtime_ns
    monkeypatch.setattr(loading, "FORMAT", loading.FORMAT + 1)
    assert (load_shop(folder).folder / "transactions.parquet").stat().st_mtime_ns > made


def test_tables_of_another_structure_are_another_format():
    """A reminder: checked copies lie on people's disks, and only FORMAT tells that they are of another structure."""
    structure = [
        (
            t.name,
            t.key,
            t.optional,
            *((c.name, c.heading, c.kind, c.need, c.aliases, c.percent_aliases, c.refers_to, _rule(c)) for c in t.columns),
        )
        for t in TABLES.values()
    ]
    found = hashlib.sha256(repr(structure).encode()).hexdigest()[:16]
    assert (loading.FORMAT, found) == (2, "d283d1758b768768"), (
        "the structure of the tables changed, so raise FORMAT in shop/loading.py, or FORMAT was raised; put both here"
    )


def _rule(column):
    return column.rule and (column.rule.low, column.rule.high, column.rule.pattern)


@pytest.mark.slow
def test_two_folders_of_one_name_are_not_mixed_up(tmp_path, out):
    one, two = write_shop(tmp_path / "a" / "shop"), write_shop(tmp_path / "b" / "shop", shop_frames(seed=1))
    assert load_shop(one).rows("transactions") == len(shop_frames()["transactions"])
    assert load_shop(two).rows("transactions") == len(shop_frames(seed=1)["transactions"])
    assert len(shop_frames()["transactions"]) != len(shop_frames(seed=1)["transactions"])


@pytest.mark.slow
def test_a_relative_folder_is_the_projects(tmp_path, out, monkeypatch):
    monkeypatch.setattr(loading.paths, "ROOT", tmp_path)
    write_shop(tmp_path / "corner")
    assert load_shop("corner").info["source"] == "corner"


def write_stores(folder, store, fail=False):
    with ShopWriter(folder, source="test", currency="LKR") as writer:
        writer.append("stores", pd.DataFrame({"store_id": [store]}))
        assert folder.exists() == (store != "S1")  # nothing has the real name before all is written
        if fail:
            raise RuntimeError("halfway")


def test_a_writer_that_fails_leaves_nothing(tmp_path):
    with pytest.raises(RuntimeError, match="halfway"):
        write_stores(tmp_path / "shop", "S1", fail=True)
    assert list(tmp_path.iterdir()) == []


def test_a_writer_that_fails_leaves_the_old_shop(tmp_path):
    write_stores(tmp_path / "shop", "S1")
    write_stores(tmp_path / "shop", "S2")
    with pytest.raises(RuntimeError, match="halfway"):
        write_stores(tmp_path / "shop", "S3", fail=True)
    assert [p.name for p in tmp_path.iterdir()] == ["shop"]
    assert Shop(tmp_path / "shop").frame("stores")["store_id"].tolist() == ["S2"]


def test_a_writer_keeps_the_schema_of_the_dictionary(tmp_path):
    with ShopWriter(tmp_path / "shop", source="test", currency="LKR") as writer:
        writer.append("customers", pd.DataFrame({"age": [None, 30], "customer_id": ["a", "b"], "shoe": [1, 2]}))
        writer.append("customers", pd.DataFrame({"customer_id": ["c"], "age": [5]}))
        writer.treated("one thing", 2, "because")
    shop = Shop(tmp_path / "shop")
    assert pq.read_schema(shop.path("customers")).names == ["customer_id", "age"]  # its order, and nothing it does not know
    assert pq.read_schema(shop.path("customers")).types == [pa.string(), pa.int64()]
    assert shop.rows("customers") == 3
    assert shop.info == {
        "source": "test",
        "currency": "LKR",
        "treatments": [{"treatment": "one thing", "rows": 2, "reason": "because"}],
    }
    assert json.loads((shop.folder / "shop.json").read_text()) == shop.info


def test_a_folder_without_a_shop(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"holds no shop \(no shop.json\)"):
        Shop(tmp_path)


def test_lazy_and_eager_are_the_same_rows(corner):
    lazy = corner.lazy("transactions").collect("pandas").to_native().sort_values("transaction_id", ignore_index=True)
    eager = corner.frame("transactions").sort_values("transaction_id", ignore_index=True)
    assert lazy["paid_cents"].tolist() == eager["paid_cents"].tolist()
    assert lazy["transaction_id"].tolist() == eager["transaction_id"].tolist()


@pytest.mark.parametrize(
    ("kind", "cells", "values"),
    [
        ("whole", ["1", " 2.0 ", "-3", "", "NULL", "1e3"], [1, 2, -3, None, None, 1000]),
        ("number", ["0.15", "-", "nan", "7"], [0.15, None, None, 7.0]),
        ("flag", ["TRUE", "no", "1", "0", "n/a", "Y"], [True, False, True, False, None, True]),
        ("date", ["2025-03-31", "", "2024-02-29"], [pd.Timestamp("2025-03-31"), None, pd.Timestamp("2024-02-29")]),
        (
            "time",
            ["2025-03-31 17:45", "2025-03-31T17:45:01.5"],
            [pd.Timestamp("2025-03-31 17:45"), pd.Timestamp("2025-03-31 17:45:01.5")],
        ),
        ("id", [" 007 ", "None", "N/A", "NONE1"], ["007", None, None, "NONE1"]),
        ("id", [7.0, None, 12.0], ["7", None, "12"]),
        ("key", [7, 12], [7, 12]),
        ("key", [7.0, None], [7, None]),
    ],
)
def test_cells_that_can_be_read(kind, cells, values):
    read, unreadable = read_cells(pd.Series(cells), kind)
    assert [None if pd.isna(v) else v for v in read] == values
    assert not unreadable.any()


@pytest.mark.parametrize(
    ("kind", "cells"),
    [
        ("whole", ["1.5", "two", "1,200", "1e30", "inf", "15%"]),
        ("number", ["15%", "1,200", "inf", "1e30", "Rs 5", "0,15"]),
        ("flag", ["2", "maybe", "tru"]),
        ("date", ["31/03/2025", "2025-02-29", "20250331", "2025-3-1", "45000", "2025-03-31Z", "31 March 2025"]),
        ("time", ["2025-03-31 25:00", "17:45", "2025-03-31 17:45+05:30"]),
    ],
)
def test_cells_that_cannot_be_read(kind, cells):
    read, unreadable = read_cells(pd.Series(cells), kind)
    assert unreadable.all()
    assert read.isna().all()


def test_arms_have_one_spelling():
    given = ["None", "NONE", " none", "15", "15.0", "015", "0", "0.0", "100.00", "12.50", "Unknown", "x", ""]
    read, _ = read_cells(pd.Series(given), "text", keep_none=True)
    spelled = ["none", "none", "none", "15", "15", "15", "0", "0", "100", "12.5", "unknown", "x", None]
    assert [None if pd.isna(v) else v for v in read] == spelled


def test_the_template_is_what_the_loader_reads(tmp_path, capsys):
    write_template(tmp_path)
    dictionary = data_dictionary()
    for table in TABLES.values():
        with (tmp_path / table.file).open(newline="", encoding="utf-8") as file:
            [headings] = list(csv.reader(file))
        assert headings == dictionary.loc[dictionary["File"] == table.file, "Column"].tolist()
        assert set(shop_frames()[table.name]) <= set(headings)
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "DataDictionary.csv", keep_default_na=False), dictionary)
    write_shop(tmp_path)
    write_template(tmp_path)  # files with rows are kept
    assert (tmp_path / "Stores.csv").read_text() == csv_of("stores")
    assert capsys.readouterr().out.count("holds rows and is kept") == 6


@pytest.mark.slow
def test_a_template_filled_in_part_is_a_shop(tmp_path, out, corner):
    """Columns of the template that stay empty mean the same as columns that are not there."""
    write_template(tmp_path / "corner")
    frames = {
        name: frame.reindex(columns=[c.heading for c in TABLES[name].columns if c.template])
        for name, frame in shop_frames().items()
    }
    shop = load_shop(write_shop(tmp_path / "corner", frames))
    for table in TABLES:
        mine, theirs = shop.frame(table), corner.frame(table)
        pd.testing.assert_frame_equal(mine[theirs.columns], theirs)
        assert mine.drop(columns=theirs.columns).isna().all(axis=None)
        for column in TABLES[table].names:
            assert shop.has(table, column) == corner.has(table, column), (table, column)


@pytest.mark.slow
def test_what_spills_goes_with_the_last_frame_and_without_a_warning(corner, load):
    shop = load()
    ((folder,),) = shop.connection.sql("SELECT current_setting('temp_directory')").fetchall()
    frame = shop.lazy("customers")
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        del shop
        gc.collect()
        assert Path(folder).is_dir()  # so that the frame can still spill
        assert len(frame.collect()) == corner.rows("customers")
        del frame
        gc.collect()
        assert not Path(folder).exists()
    assert [str(w.message) for w in said if w.category is ResourceWarning and folder in str(w.message)] == []
