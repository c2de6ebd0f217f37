"""Which offer of a shop is looked at: one that was made, or by itself the most frequent discount."""

import pandas as pd
import pytest

from promo_helpers.experiment.contacts import offered


class Contacts:
    """A shop of which only the contacts are asked."""

    def __init__(self, **columns):
        self.contacts = pd.DataFrame(columns)

    def has(self, table, *columns):
        return table == "contacts" and all(c in self.contacts for c in columns)

    def frame(self, table, columns):
        return self.contacts[columns]


ARMS = ["none", "0", "0", "0", "10", "12.5", "12.5", "20", "20", "20"]


def test_an_offer_is_one_that_was_made_and_by_itself_the_most_frequent_discount():
    shop = Contacts(product_id=["P"] * 10, arm=ARMS, trial_id=["T"] * 7 + [None] * 3)
    assert [offered(shop, a) for a in ("0", "10", "12.5", "")] == ["0", "10", "12.5", "20"]
    assert offered(shop, "", trial=True) == "12.5"
    with pytest.raises(ValueError, match=r"^arm = '20': must be one of 0, 10, 12.5$"):
        offered(shop, "20", trial=True)
    with pytest.raises(ValueError, match=r"^arm = 'none': must be one of"):
        offered(shop, "none")


def test_where_no_offer_was_made_the_arm_is_left_to_what_follows():
    assert offered(Contacts(arm=ARMS), "7") == "7"
    assert offered(Contacts(product_id=["P"] * 10, arm=ARMS), "7", trial=True) == "7"
    assert offered(Contacts(product_id=["P"], arm=["none"]), "") == ""
