"""Bad input: the whole message as a marketer reads it, all problems at once, and nothing written."""

import pytest

from promo_helpers.shop import loading, reading
from promo_helpers.shop.checks import ShopError
from tests.shops import shop_frames, spoilt, write_shop

HEADINGS = "TransactionID,CustomerID,ProductID,StoreID,TransactionDate,Quantity,UnitPrice\n"


@pytest.fixture
def refused(tmp_path, out):
    """A function that writes a shop, loads it, and gives the problems of the error, having checked the rest of the message."""

    def check(frames=None, **text):
        folder = write_shop(tmp_path / "corner", frames, **text)
        with pytest.raises(ShopError) as error:
            loading.load_shop(folder)
        problems = error.value.problems
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        head = f"The shop in {folder} cannot be used: {count}, and nothing was written."
        assert str(error.value) == "\n  ".join([head, *problems])
        assert [p for p in out.rglob("*") if p != out / "data" and p != out / "data" / "raw"] == []
        return problems

    return check


def csv_of(table, **options):
    return shop_frames()[table].to_csv(index=False, **options)


@pytest.mark.slow
def test_the_small_shop_is_fine(tmp_path, out):
    loading.load_shop(write_shop(tmp_path / "corner"))
    assert sorted(p.name for p in (out / "data" / "raw").iterdir()) == ["corner"]


def test_missing_folder(tmp_path, out):
    with pytest.raises(FileNotFoundError) as error:
        loading.load_shop(tmp_path / "nowhere")
    assert str(error.value) == f"There is no folder {tmp_path / 'nowhere'}; `make template` shows what a shop's folder holds"
    assert not out.exists()


@pytest.mark.slow
def test_missing_files(refused):
    assert refused(stores=None, promotions=None, contacts=None) == [
        "stores (Stores.csv): the file is missing",
        "promotions (Promotions.csv): the file is missing",
    ]


@pytest.mark.slow
def test_missing_columns(refused):
    frames = shop_frames()
    frames["transactions"] = frames["transactions"].drop(columns=["UnitPrice", "Quantity"])
    frames["products"] = frames["products"].drop(columns="Category")
    assert refused(frames) == [
        "products (Products.csv): the column Category is missing",
        "transactions (Transactions.csv): the column Quantity is missing (also read under Units)",
        "transactions (Transactions.csv): the column UnitPrice is missing (also read under Price)",
    ]


@pytest.mark.slow
def test_empty_file(refused):
    assert refused(stores="") == ["stores (Stores.csv): the file is empty"]


@pytest.mark.slow
@pytest.mark.parametrize("text", [HEADINGS, HEADINGS.strip(), HEADINGS + "\n\n", HEADINGS + ",,,,,,\n"])
def test_headings_only(refused, text):
    assert refused(transactions=text) == ["transactions (Transactions.csv): the file holds no rows"]


@pytest.mark.slow
def test_promotions_without_rows_know_no_promotion(refused):
    frames = spoilt("transactions", "PromotionID", (40, "PROMO1"))
    frames["transactions"].loc[frames["transactions"].index != 38, "PromotionID"] = ""
    assert refused(frames, promotions="PromotionID,ProductID,StartDate,EndDate\n") == [
        "transactions (Transactions.csv): PromotionID is unknown to Promotions.csv in 1 row: row 40 ('PROMO1')"
    ]


@pytest.mark.slow
def test_no_headings(refused):
    assert refused(customers="\n" + csv_of("customers"), stores="STORE01,Fort\nSTORE02,Lake\n") == [
        "customers (Customers.csv): the first row is blank; the headings belong there",
        "stores (Stores.csv): the column StoreID is missing",
    ]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("encoded", "row"),
    [
        (csv_of("customers").replace("Customer 3,", "José,").encode("latin-1"), 4),
        (csv_of("customers").replace("Customer 2,", '"Customer\n2",').replace("Customer 3,", "José,").encode("latin-1"), 4),
        (csv_of("customers").encode() + "é".encode()[:1], 42),
        (csv_of("customers").encode("utf-16"), 1),
    ],
    ids=["latin-1", "latin-1 below a line break in a cell", "cut off", "utf-16"],
)
def test_not_utf8(refused, encoded, row):
    assert refused(customers=encoded) == [f"customers (Customers.csv): the file is not UTF-8 (row {row}); save it as CSV UTF-8"]


@pytest.mark.slow
def test_unreadable_dates(refused):
    cells = [(5, "31/03/2025"), (6, "2025-02-30"), (7, ""), (8, "2025-03-31 10:00:00+05:30"), (9, "soon")]
    assert refused(spoilt("transactions", "TransactionDate", *cells)) == [
        "transactions (Transactions.csv): TransactionDate is not a moment such as 2025-03-31 17:45:00 in 4 rows: "
        "row 5 ('31/03/2025'), row 6 ('2025-02-30'), row 8 ('2025-03-31 10:00:00+05:30'), ...",
        "transactions (Transactions.csv): TransactionDate is empty in 1 row: row 7 (blank)",
    ]


@pytest.mark.slow
def test_unreadable_day(refused):
    assert refused(spoilt("customers", "RegistrationDate", (3, "1/2/2020"))) == [
        "customers (Customers.csv): RegistrationDate is not a date such as 2025-03-31 in 1 row: row 3 ('1/2/2020')"
    ]


@pytest.mark.slow
def test_unreadable_numbers(refused):
    cells = [(5, "abc"), (6, "1,200"), (7, ""), (8, "15%"), (9, "1e300")]
    assert refused(spoilt("transactions", "UnitPrice", *cells)) == [
        "transactions (Transactions.csv): UnitPrice is not a number in 4 rows: row 5 ('abc'), row 6 ('1,200'), row 8 ('15%'), ...",
        "transactions (Transactions.csv): UnitPrice is empty in 1 row: row 7 (blank)",
    ]


@pytest.mark.slow
def test_units_are_whole(refused):
    assert refused(spoilt("transactions", "Quantity", (5, "1.5"), (6, "99999999999999999999"), (7, "two"))) == [
        "transactions (Transactions.csv): Quantity is not a whole number in 3 rows: "
        "row 5 ('1.5'), row 6 ('99999999999999999999'), row 7 ('two')"
    ]


@pytest.mark.slow
def test_neither_true_nor_false(refused):
    assert refused(spoilt("customers", "Consent", (5, "maybe"))) == [
        "customers (Customers.csv): Consent is neither true nor false in 1 row: row 5 ('maybe')"
    ]


@pytest.mark.slow
def test_duplicate_key(refused):
    assert refused(spoilt("transactions", "TransactionID", (5, "T000001"), (9, "T000001"))) == [
        "transactions (Transactions.csv): TransactionID repeats an earlier row in 2 rows: row 5 ('T000001'), row 9 ('T000001')"
    ]


@pytest.mark.slow
def test_duplicate_pair(refused):
    frames = shop_frames()
    frames["promotions"].loc[1, "ProductID"] = "PROD00001"  # the promotion may come again, the pair may not
    assert refused(frames) == [
        "promotions (Promotions.csv): PromotionID + ProductID repeats an earlier row in 1 row: row 3 (PROMO1 + PROD00001)"
    ]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("column", "file"),
    [("CustomerID", "Customers"), ("ProductID", "Products"), ("StoreID", "Stores"), ("PromotionID", "Promotions")],
)
def test_unknown_ids(refused, column, file):
    cells = [(3000, "X9"), (5, "X1"), (6, "X2"), (7, "X3")]
    assert refused(spoilt("transactions", column, *cells)) == [
        f"transactions (Transactions.csv): {column} is unknown to {file}.csv in 4 rows: row 5 ('X1'), row 6 ('X2'), row 7 ('X3'), ..."
    ]


@pytest.mark.slow
def test_a_missing_id_is_empty_and_not_unknown(refused):
    assert refused(spoilt("transactions", "CustomerID", (5, ""), (6, "N/A"))) == [
        "transactions (Transactions.csv): CustomerID is empty in 2 rows: row 5 (blank), row 6 (blank)"
    ]


@pytest.mark.slow
def test_a_blank_id_is_not_reported_again_where_it_is_missed(refused):
    assert refused(spoilt("customers", "CustomerID", (2, ""))) == [
        "customers (Customers.csv): CustomerID is empty in 1 row: row 2 (blank)"
    ]


@pytest.mark.slow
def test_negative_price(refused):
    assert refused(spoilt("transactions", "UnitPrice", (5, -5), (1200, -0.25))) == [
        "transactions (Transactions.csv): UnitPrice is negative in 2 rows: row 5 (-5), row 1,200 (-0.25)"
    ]


@pytest.mark.slow
def test_a_negative_price_is_not_reported_again_as_a_wrong_discount(refused):
    frames = spoilt("transactions", "UnitPrice", (5, -5), (6, "?"))
    frames["transactions"] = frames["transactions"].drop(columns="Discount")
    assert refused(frames) == [
        "transactions (Transactions.csv): UnitPrice is not a number in 1 row: row 6 ('?')",
        "transactions (Transactions.csv): UnitPrice is negative in 1 row: row 5 (-5)",
    ]


@pytest.mark.slow
def test_discount_outside(refused):
    assert refused(spoilt("transactions", "Discount", (5, "1.01"), (6, "-0.1"), (7, "0"), (8, "1"))) == [
        "transactions (Transactions.csv): Discount is outside 0..1 in 2 rows: row 5 (1.01), row 6 (-0.1)"
    ]


@pytest.mark.slow
def test_percentages_are_named_as_they_were_typed(refused):
    frames = spoilt("promotions", "Discount", (2, "150"), (3, "abc"), (4, "-5"))
    frames["promotions"] = frames["promotions"].rename(columns={"Discount": "DiscountPercentage"})
    assert refused(frames) == [
        "promotions (Promotions.csv): DiscountPercentage is not a number in 1 row: row 3 ('abc')",
        "promotions (Promotions.csv): DiscountPercentage is outside 0..100 in 2 rows: row 2 (150), row 4 (-5)",
    ]


@pytest.mark.slow
@pytest.mark.parametrize("blank", [False, True])
def test_an_amount_paid_beyond_the_price(refused, blank):
    frames = shop_frames()
    lines = frames["transactions"]
    lines.loc[5, "TotalAmount"] = 1e6
    lines.loc[6, "TotalAmount"] = -1.5
    if blank:
        lines["Discount"] = ""
    else:
        frames["transactions"] = lines.drop(columns="Discount")
    assert refused(frames) == [
        "transactions (Transactions.csv): TotalAmount is not between 0 and Quantity x UnitPrice in 2 rows: row 7 (1000000), row 8 (-1.5)"
    ]


@pytest.mark.slow
def test_wrong_arms(refused):
    cells = [(5, "15%"), (6, "-5"), (7, "101"), (8, "nothing"), (9, "")]
    assert refused(spoilt("contacts", "Arm", *cells)) == [
        "contacts (Contacts.csv): Arm is empty in 1 row: row 9 (blank)",
        "contacts (Contacts.csv): Arm is neither 'none', 'unknown' nor a number from 0 to 100 (the discount in percent) in 4 rows: "
        "row 5 ('15%'), row 6 ('-5'), row 7 ('101'), ...",
    ]


@pytest.mark.slow
def test_a_promotion_that_ends_before_it_starts(refused):
    frames = spoilt("promotions", "EndDate", (2, "2025-01-19"), (3, "2025-01-20"), (4, "later"))
    assert refused(frames) == [
        "promotions (Promotions.csv): EndDate is not a date such as 2025-03-31 in 1 row: row 4 ('later')",
        "promotions (Promotions.csv): EndDate is before StartDate in 1 row: row 2 ('2025-01-19')",
    ]


@pytest.mark.slow
def test_semicolons_and_tabs(refused):
    assert refused(products=csv_of("products", sep="\t"), stores="StoreID;StoreName\nSTORE01;Fort\n") == [
        "products (Products.csv): the cells are separated by tabs; save it with commas",
        "stores (Stores.csv): the cells are separated by semicolons; save it with commas",
    ]


@pytest.mark.slow
def test_headings_twice(refused):
    stores = "StoreID,StoreName,StoreID\nSTORE01,Fort,a\nSTORE02,Lake,b\nSTORE03,Harbour,c\n"
    customers = csv_of("customers").replace("CustomerID,Name,", "CustomerID,customer id,", 1)
    assert refused(stores=stores, customers=customers) == [
        "customers (Customers.csv): the headings CustomerID and customer id mean the same; keep one",
        "stores (Stores.csv): the heading StoreID stands there more than once",
    ]


@pytest.mark.slow
@pytest.mark.parametrize("block", [20_000, reading.BLOCK])
def test_rows_are_numbered_as_a_spreadsheet_shows_them(refused, monkeypatch, block):
    """Blank, ragged and broken lines above a row count, a line break inside a cell does not, and blocks make no difference."""
    monkeypatch.setattr(reading, "BLOCK", block)
    lines = csv_of("transactions").splitlines()  # lines[i] is row i + 1
    lines[4] += ",x"
    lines[9] = "T000009,B00003"
    lines.insert(12, "")
    lines.insert(13, "," * 10)
    lines[19] = lines[19].replace(",2025-", ",25-")
    lines[29] = lines[29].replace("STORE0", "SHOP")
    lines[39] = lines[1]
    lines[1998] = lines[1998].replace("STORE0", "SHOP")
    lines.insert(1999, "")
    lines[2500] = lines[2500].replace("STORE0", "SHOP")
    lines[16] = lines[16].replace("T", '"T\n\nT', 1).replace(",", '",', 1)
    unknown = [lines[n].split(",")[4] for n in (29, 1998, 2500)]
    date, again = lines[19].split(",")[5], lines[39].split(",")[0]
    assert refused(transactions="\r\n".join(lines) + "\r\n\r\n") == [
        "transactions (Transactions.csv): 2 rows have more or fewer cells than the 11 headings: row 5, row 10",
        f"transactions (Transactions.csv): TransactionDate is not a moment such as 2025-03-31 17:45:00 in 1 row: row 20 ('{date}')",
        f"transactions (Transactions.csv): TransactionID repeats an earlier row in 1 row: row 40 ('{again}')",
        "transactions (Transactions.csv): StoreID is unknown to Stores.csv in 3 rows: "
        f"row 30 ('{unknown[0]}'), row 1,999 ('{unknown[1]}'), row 2,501 ('{unknown[2]}')",
    ]


@pytest.mark.slow
def test_one_ragged_row(refused):
    text = csv_of("stores").replace("Harbour,", "Harbour,,", 1)
    assert refused(stores=text) == ["stores (Stores.csv): 1 row has more or fewer cells than the 5 headings: row 4"]


@pytest.mark.slow
def test_an_open_quotation_mark(refused, monkeypatch):
    monkeypatch.setattr(reading, "BLOCK", 20_000)
    assert refused(transactions=csv_of("transactions").replace("T000003", '"T000003')) == [
        "transactions (Transactions.csv): the file cannot be read as CSV; is a quotation mark not closed?"
    ]


def test_files_that_are_not_parquet(tmp_path, out):
    folder = write_shop(tmp_path / "corner")
    (folder / "customers.parquet").write_text(csv_of("customers"))
    with pytest.raises(ShopError) as error:
        loading.load_shop(folder)
    assert error.value.problems == ["customers (customers.parquet): the file is not Parquet"] + [
        f"{t} ({t}.parquet): the file is missing" for t in ("products", "stores", "promotions", "transactions")
    ]


@pytest.mark.slow
def test_everything_at_once_in_the_order_of_the_tables(refused):
    frames = spoilt("customers", "Consent", (5, "maybe"))
    frames["customers"].loc[0, "Age"] = -3
    frames["products"].loc[3, "Margin"] = 30
    frames["transactions"].loc[[3, 4, 5], "UnitPrice"] = -1
    frames["transactions"].loc[7, "CustomerID"] = "CUST99999"
    frames["transactions"].loc[9, "TransactionID"] = "T000001"
    frames["contacts"]["Probability"] = "1.5"
    assert refused(frames, stores=None) == [
        "customers (Customers.csv): Consent is neither true nor false in 1 row: row 5 ('maybe')",
        "customers (Customers.csv): Age is negative in 1 row: row 2 (-3)",
        "products (Products.csv): Margin is outside 0..1 in 1 row: row 5 (30)",
        "stores (Stores.csv): the file is missing",
        "transactions (Transactions.csv): UnitPrice is negative in 3 rows: row 5 (-1), row 6 (-1), row 7 (-1)",
        "transactions (Transactions.csv): TransactionID repeats an earlier row in 1 row: row 11 ('T000001')",
        "transactions (Transactions.csv): CustomerID is unknown to Customers.csv in 1 row: row 9 ('CUST99999')",
        "contacts (Contacts.csv): Probability is outside 0..1 in 80 rows: row 2 (1.5), row 3 (1.5), row 4 (1.5), ...",
    ]


@pytest.mark.slow
def test_returns_are_no_error(corner):
    lines = corner.frame("transactions")
    given = shop_frames()["transactions"]["Quantity"]
    assert (given < 0).sum() > 10
    assert lines["is_return"].tolist() == (given < 0).tolist()
    assert lines["units"].tolist() == given.tolist()


@pytest.mark.slow
def test_an_old_copy_survives_a_bad_source(tmp_path, out):
    folder = write_shop(tmp_path / "corner")
    before = loading.load_shop(folder)
    rows = before.rows("transactions")
    write_shop(folder, spoilt("transactions", "UnitPrice", (5, -5)))
    with pytest.raises(ShopError):
        loading.load_shop(folder)
    assert [p.name for p in (out / "data" / "raw").iterdir()] == ["corner"]
    assert loading.Shop(out / "data" / "raw" / "corner").rows("transactions") == rows


@pytest.mark.parametrize("inside", ["corner", "corner/corner"])
def test_a_source_is_never_replaced_by_its_copy(out, inside):
    folder = write_shop(out / "data" / "raw" / inside)
    with pytest.raises(ValueError, match="lies where") as error:
        loading.load_shop(folder)
    assert str(error.value) == (
        f"The shop in {folder} lies where its checked copy would replace it; move it elsewhere, such as out of data/raw"
    )
    assert (folder / "Transactions.csv").is_file()
