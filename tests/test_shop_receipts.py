"""Receipt numbers that customers, stores or days share: baskets are told apart, and the treatment is noted."""

import pytest

from promo_helpers import explore
from promo_helpers.shop.loading import load_shop
from tests.shops import shop_frames, write_shop


def loaded(folder, change):
    frames = shop_frames()
    change(frames["transactions"])
    return frames["transactions"], load_shop(write_shop(folder / "s", frames), folder=folder / "checked")


@pytest.mark.slow
def test_numbers_that_restart_each_day_make_the_baskets_that_they_made_before(tmp_path, corner):
    def restart(lines):
        day = lines["TransactionDate"].str[:10]
        first = lines["BasketID"].groupby(day).transform(lambda b: b.astype("category").cat.codes)
        lines["BasketID"] = first.astype(str)

    lines, shop = loaded(tmp_path, restart)
    assert lines["BasketID"].nunique() < 100
    trips = explore.baskets(shop)
    assert trips["basket_id"].is_unique
    assert len(trips) == len(explore.baskets(corner))
    kinds = ["customer_id", "spend", "units"]
    assert (
        trips[kinds].sort_values(kinds).to_numpy().tolist()
        == explore.baskets(corner)[kinds].sort_values(kinds).to_numpy().tolist()
    )
    told = shop.treatments.set_index("treatment").loc["lines of receipts that several share"]
    assert 0.5 * len(lines) < told["rows"] <= len(lines)
    assert shop.frame("transactions")["transaction_id"].tolist() == lines["TransactionID"].tolist()  # the order of the file stays


@pytest.mark.slow
@pytest.mark.parametrize("column", ["CustomerID", "StoreID", "TransactionDate"])
def test_one_receipt_of_two_customers_stores_or_days_becomes_two_baskets(tmp_path, corner, column):
    def share(lines):
        twice = lines.loc[lines["BasketID"].duplicated(), "BasketID"].iloc[0]
        row = lines.index[lines["BasketID"] == twice][0]
        other = {"CustomerID": "CUST00040", "StoreID": "STORE01", "TransactionDate": "2025-01-07 10:00:00"}[column]
        if lines.loc[row, column] == other:
            other = {"CustomerID": "CUST00039", "StoreID": "STORE02", "TransactionDate": "2025-01-08 10:00:00"}[column]
        lines.loc[row, column] = other

    _, shop = loaded(tmp_path, share)
    trips = explore.baskets(shop)
    assert trips["basket_id"].is_unique
    assert len(trips) == len(explore.baskets(corner)) + 1
    assert (shop.treatments["treatment"] == "lines of receipts that several share").sum() == 1


def test_a_shop_whose_numbers_are_its_own_is_left_as_it_is(corner):
    assert not corner.treatments["treatment"].str.contains("receipts").any()
    assert corner.frame("transactions", ["basket_id"])["basket_id"].str.fullmatch(r"B\d+").all()
