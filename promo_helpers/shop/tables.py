"""The six tables of a shop: one schema each, which is also the data dictionary.

A `Column` says everything that the project knows about a column: what it is called in a CSV file, how its cells are read,
which rule they keep and what they mean. The pandera schemas, the CSV templates and the dictionary are all made from it.

Money is held in whole cents (`list_cents`, `paid_cents`): sums of integers are exact, so a result never depends on the order
in which two threads happened to add. Prices per unit stay as they were given.
"""

from dataclasses import dataclass
from typing import Literal

import pandas as pd
import pandera.pandas as pa
import pyarrow

Kind = Literal["key", "id", "text", "whole", "number", "date", "time", "flag"]

ARROW_TYPES: dict[str, pyarrow.DataType] = {
    "id": pyarrow.string(),
    "text": pyarrow.string(),
    "whole": pyarrow.int64(),
    "number": pyarrow.float64(),
    "date": pyarrow.timestamp("us"),
    "time": pyarrow.timestamp("us"),
    "flag": pyarrow.bool_(),
}


@dataclass(frozen=True)
class Rule:
    """What a cell must satisfy, said as what is wrong where it does not."""

    wrong: str
    low: float | None = None
    high: float | None = None
    pattern: str | None = None

    def check(self) -> pa.Check:
        """The rule as a pandera check, which carries the wording as its error."""
        if self.pattern is not None:
            return pa.Check.str_matches(self.pattern, error=self.wrong)
        if self.low is not None and self.high is not None:
            return pa.Check.in_range(self.low, self.high, error=self.wrong)
        return pa.Check.ge(self.low, error=self.wrong)


NOT_NEGATIVE = Rule("is negative", low=0)
SHARE = Rule("is outside 0..1", low=0, high=1)
ARM = Rule(
    "is neither 'none', 'unknown' nor a number from 0 to 100 (the discount in percent)",
    pattern=r"^(none|unknown|100|[0-9]{1,2}(\.[0-9]+)?)$",
)


@dataclass(frozen=True)
class Column:
    """One column of one table.

    `kind` is how a cell is read: a `key` is text or a whole number, an `id` is text, `whole` and `number` are numbers, `date` and
    `time` are ISO 8601, a `flag` is true or false. `need` says whether the column must be there (`column`), and filled in every
    row (`value`); otherwise it may be missing, and then it stays missing. `aliases` are other headings that mean the same,
    `percent_aliases` hold the same as a hundredfold. `template=False` marks what is derived on reading.
    """

    name: str
    heading: str
    kind: Kind
    meaning: str
    need: Literal["value", "column", "optional"] = "optional"
    rule: Rule | None = None
    aliases: tuple[str, ...] = ()
    percent_aliases: tuple[str, ...] = ()
    refers_to: str | None = None
    template: bool = True


@dataclass(frozen=True)
class Table:
    """One table: its file, its columns, and the columns that together name a row."""

    name: str
    file: str
    key: tuple[str, ...]
    meaning: str
    columns: tuple[Column, ...]
    optional: bool = False

    def __getitem__(self, column: str) -> Column:
        return next(c for c in self.columns if c.name == column)

    @property
    def names(self) -> list[str]:
        return [c.name for c in self.columns]

    def schema(self) -> pa.DataFrameSchema:
        """The pandera schema of one batch of rows. Keys across rows and tables are checked in `checks`."""
        return pa.DataFrameSchema(
            {
                c.name: pa.Column(
                    checks=[c.rule.check()] if c.rule else [],
                    nullable=c.need != "value",
                    required=c.need != "optional",
                )
                for c in self.columns
            },
            strict=False,
        )


CUSTOMER = Column("customer_id", "CustomerID", "id", "the customer", "value", refers_to="customers")
PRODUCT = Column("product_id", "ProductID", "id", "the product", "value", refers_to="products")

TABLES: dict[str, Table] = {
    t.name: t
    for t in (
        Table(
            "customers",
            "Customers.csv",
            ("customer_id",),
            "one row per customer (or household)",
            (
                Column("customer_id", "CustomerID", "id", "unique name of the customer", "value"),
                Column("name", "Name", "text", "full name, for the list only"),
                Column("gender", "Gender", "text", "as the shop records it; audited, never needed"),
                Column("age", "Age", "whole", "years", rule=NOT_NEGATIVE),
                Column("age_band", "AgeBand", "text", "where only a band is known, such as 35-44"),
                Column("city", "Location", "text", "where the customer lives", aliases=("City",)),
                Column("segment", "CustomerSegment", "text", "the shop's own segment", aliases=("Segment",)),
                Column("income_band", "IncomeBand", "text", "household income"),
                Column("household_size", "HouseholdSize", "text", "persons, may be 5+"),
                Column("registration_date", "RegistrationDate", "date", "first day as a customer"),
                Column("email", "Email", "text", "for the channel e-mail"),
                Column("phone", "PhoneNumber", "text", "for the channel SMS", aliases=("Phone",)),
                Column("consent", "Consent", "flag", "may be contacted for marketing"),
            ),
        ),
        Table(
            "products",
            "Products.csv",
            ("product_id",),
            "one row per product",
            (
                Column("product_id", "ProductID", "id", "unique name of the product", "value"),
                Column("name", "ProductName", "text", "as the customer reads it", "value", aliases=("Name",)),
                Column("category", "Category", "text", "such as Bakery", "column"),
                Column("department", "Department", "text", "a group of categories"),
                Column("brand", "Brand", "text", "brand, or Private / National"),
                Column("package_size", "PackageSize", "text", "such as 450 g"),
                Column("price", "Price", "number", "list price per unit, in the shop's currency", rule=NOT_NEGATIVE),
                Column("margin", "Margin", "number", "share of the list price that is not cost", rule=SHARE),
            ),
        ),
        Table(
            "stores",
            "Stores.csv",
            ("store_id",),
            "one row per store",
            (
                Column("store_id", "StoreID", "id", "unique name of the store", "value"),
                Column("name", "StoreName", "text", "as the customer reads it", aliases=("Name",)),
                Column("city", "City", "text", "where the store is", aliases=("Location",)),
                Column("kind", "StoreType", "text", "such as Supermarket"),
                Column("daily_visits", "FootTraffic", "number", "visits on an average day", rule=NOT_NEGATIVE),
            ),
        ),
        Table(
            "promotions",
            "Promotions.csv",
            ("promotion_id", "product_id"),
            "one row per promotion and product it covers",
            (
                Column("promotion_id", "PromotionID", "id", "the promotion; repeated for each product it covers", "value"),
                PRODUCT,
                Column("campaign_id", "CampaignID", "id", "the campaign that the promotion is part of"),
                Column("kind", "PromotionType", "text", "price (for everyone) or coupon"),
                Column("start_date", "StartDate", "date", "first day", "value"),
                Column("end_date", "EndDate", "date", "last day", "value"),
                Column(
                    "discount",
                    "Discount",
                    "number",
                    "share of the list price, 0..1; empty where unknown",
                    rule=SHARE,
                    percent_aliases=("DiscountPercentage",),
                ),
            ),
        ),
        Table(
            "transactions",
            "Transactions.csv",
            ("transaction_id",),
            "one row per line of a basket",
            (
                Column("transaction_id", "TransactionID", "key", "unique name of the line", "value"),
                Column("basket_id", "BasketID", "key", "lines paid together; else customer, store and time make a basket"),
                CUSTOMER,
                PRODUCT,
                Column("store_id", "StoreID", "id", "the store", "value", refers_to="stores"),
                Column("time", "TransactionDate", "time", "when it was paid", "value", aliases=("Date", "Time")),
                Column("units", "Quantity", "whole", "units; negative for a return", "value", aliases=("Units",)),
                Column("price", "UnitPrice", "number", "list price per unit", "value", rule=NOT_NEGATIVE, aliases=("Price",)),
                Column(
                    "discount",
                    "Discount",
                    "number",
                    "share of the list price taken off, 0..1",
                    rule=SHARE,
                    percent_aliases=("DiscountPercentage",),
                ),
                Column("promotion_id", "PromotionID", "id", "the promotion, empty where none", refers_to="promotions"),
                Column("contact_id", "ContactID", "key", "the contact whose offer was redeemed, empty where none"),
                Column("paid", "TotalAmount", "number", "what the shop received for the line", aliases=("Paid",)),
                Column("list_cents", "ListCents", "whole", "units x list price, in cents", template=False),
                Column("paid_cents", "PaidCents", "whole", "what the shop received for the line, in cents", template=False),
                Column("is_return", "IsReturn", "flag", "units are negative", template=False),
            ),
        ),
        Table(
            "contacts",
            "Contacts.csv",
            ("contact_id",),
            "one row per assignment: a customer, a moment and an arm (none is an arm and has its row)",
            (
                Column("contact_id", "ContactID", "key", "unique name of the contact", "value"),
                CUSTOMER,
                Column("product_id", "ProductID", "id", "the product on offer, empty for a whole campaign", refers_to="products"),
                Column("campaign_id", "CampaignID", "id", "the campaign that the contact is part of"),
                Column("time", "ContactTime", "time", "when it was sent, or would have been", "value", aliases=("Date", "Time")),
                Column("channel", "Channel", "text", "SMS, e-mail, mail; empty for the arm none"),
                Column("arm", "Arm", "text", "none, a discount in percent (0 is a reminder), or unknown", "value", rule=ARM),
                Column("probability", "Probability", "number", "chance with which the arm was drawn, where known", rule=SHARE),
                Column("trial_id", "TrialID", "id", "the trial that drew the arm; empty in a log"),
                Column("redeemed", "Redeemed", "flag", "the offer was used"),
            ),
            optional=True,
        ),
    )
}


def data_dictionary() -> pd.DataFrame:
    """The dictionary that `make template` writes: one row per column of every CSV file, in the order of the files."""
    needed = {"value": "yes, in every row", "column": "yes, may be blank", "optional": "no"}
    kinds = {"key": "text or whole number", "id": "text", "whole": "whole number", "flag": "true or false"}
    rows = [
        {
            "File": t.file,
            "Column": c.heading,
            "Needed": needed[c.need],
            "Kind": kinds.get(c.kind, c.kind),
            "Meaning": c.meaning,
            "Refused where a cell": c.rule.wrong if c.rule else "",
            "Also read under": ", ".join(c.aliases),
        }
        for t in TABLES.values()
        for c in t.columns
        if c.template
    ]
    return pd.DataFrame(rows)
