"""The products of a shop by name: what a campaign can be about."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pandas as pd

from promo_helpers.audit.contacted import ATTRIBUTES, GENDER_AND_AGE, in_words
from promo_helpers.shop import Shop
from promo_helpers.shop.shop import find_name


def products(shop: Shop) -> pd.DataFrame:
    """Columns product_id, name and, where the shop has them, category and price: the products in most baskets first."""
    known = [c for c in ("product_id", "name", "category", "price") if shop.has("products", c)]
    frame = shop.frame("products", known)
    file = str(shop.path("transactions")).replace("'", "''")
    counts = shop.connection.sql(f"SELECT product_id, count(*) FROM read_parquet('{file}') WHERE units > 0 GROUP BY product_id")
    frame["lines"] = frame["product_id"].map(dict(counts.fetchall())).fillna(0)
    if "name" not in frame:
        frame.insert(1, "name", frame["product_id"].astype(str))
    order = frame.sort_values(["lines", "product_id"], ascending=[False, True])
    return order.drop(columns="lines").reset_index(drop=True)


def product_number(named: str, items: pd.DataFrame, key: str = "product_id") -> int:
    """Row of an item by name or id (column `key`), whatever its capitals. Raises RequestError that suggests the nearest names."""
    ids = [str(i).lower() for i in items[key]]
    if named.lower() in ids:
        return ids.index(named.lower())
    try:
        return find_name(named, items["name"].astype(str).tolist())
    except KeyError as error:
        raise RequestError([f"PRODUCT={named}: {error.args[0]}; name one of the shop's products, or its id"]) from None


class RequestError(ValueError):
    """What was asked for cannot be done. `problems` holds one sentence each; the message lists them."""

    def __init__(self, problems: Sequence[str]):
        self.problems = list(problems)
        super().__init__("\n  ".join(self.problems))


@dataclass(frozen=True)
class Channel:
    """A way to reach customers: the column of the customers' table that it needs, and that column's heading in the list."""

    name: str
    column: str
    heading: str


@dataclass(frozen=True)
class ParityRule:
    """Parity between groups: the shares contacted of any two differ by at most `tolerance` (0 to 1). attribute: what makes the groups, as
    `audit.contacted` calls it."""

    attribute: str
    tolerance: float

    @property
    def name(self) -> str:
        """The attribute in words."""
        return in_words(self.attribute)


PARITY_ATTRIBUTES = {in_words(k).replace(" ", ""): k for k in (*ATTRIBUTES, GENDER_AND_AGE)}  # attributes as they are typed
PARITY_ATTRIBUTES |= {"location": "city", "ageandgender": GENDER_AND_AGE}
DEFAULT_TOLERANCE = 0.05  # where no number is typed
CHANNELS = {"SMS": Channel("SMS", "phone", "PhoneNumber"), "e-mail": Channel("e-mail", "email", "Email")}


@dataclass(frozen=True)
class CampaignRequest:
    """A campaign as asked for. product: name or id, "" for the best one. budget: most to spend in expectation; customers: most to write
    to; discount: in percent, of every offer; date: first day of sending; all None where left open. holdout: share of the chosen who get
    nothing. cost: of one message. between: percents that discounts may lie in, where none is fixed. parity: between
    groups."""

    product: str = ""
    budget: float | None = None
    customers: int | None = None
    discount: float | None = None
    date: pd.Timestamp | None = None
    channel: Channel = CHANNELS["SMS"]
    holdout: float = 0.1
    bundle: bool = True
    cost: float = 1.5
    between: tuple[float, float] = (0.0, 100.0)
    parity: ParityRule | None = None

    @property
    def slug(self) -> str:
        """What was asked for, as part of a file's name, so that another campaign for the same day is another file."""
        parts = {"budget": self.budget, "customers": self.customers, "off": self.discount}
        told = [f"{name}{value:g}" for name, value in parts.items() if value is not None]
        told += [f"even_{self.parity.name.replace(' ', '_')}{100 * self.parity.tolerance:g}"] if self.parity else []
        return "_".join([*told, _bare(self.channel.name)])


def parse_request(
    product: str = "", budget: str = "", customers: str = "", discount: str = "", date: str = "", channel: str = "SMS",
    holdout: float = 0.1, bundle: bool = True, costs: dict[str, float] | None = None, even: str = "",
) -> CampaignRequest:  # fmt: skip
    """Read what was typed; "" leaves a thing open. costs: of one message by channel, in the currency of the prices.

    Raises RequestError, which lists every problem at once.
    """
    problems = list[str]()
    costs = {"SMS": 1.5, "e-mail": 0.1} if costs is None else costs

    def read(name: str, text: str, rule: str, value_of: Callable[[str], float | None]) -> float | None:
        text = str(text).strip()
        if not text:
            return None
        value = value_of(text)
        if value is None:
            problems.append(f"{name}={text}: {rule}")
        return value

    money = read("BUDGET", budget, "a budget is an amount above 0, such as 50000; leave it out to spend what pays", _above)
    number = read(
        "CUSTOMERS", customers, "a number of customers is a whole number from 1 on; leave it out for all who pay", _count
    )
    percent = read(
        "DISCOUNT", discount, "a discount is given in percent, 0 or from 1 to 99, such as 10; leave it out for the best", _percent
    )
    day, parity = _date(str(date).strip(), problems), _parity(str(even).strip(), problems)
    names = {_bare(n): c for n, c in CHANNELS.items()}
    if _bare(channel) not in names:
        problems.append(f"CHANNEL={channel}: the channels are {' and '.join(CHANNELS)}; choose one of them")
    way = names.get(_bare(channel), CHANNELS["SMS"])
    if not 0 <= holdout <= 0.5:
        problems.append(f"holdout = {holdout}: the share that gets nothing must be from 0 to 0.5; 0.1 is a good one")
    cost = costs.get(way.name)
    if cost is None or not cost >= 0:
        problems.append(f"costs = {costs}: the cost of one message by {way.name} must be a number of at least 0")
    if problems:
        raise RequestError(problems)
    assert cost is not None
    return CampaignRequest(
        str(product).strip(),
        money,
        None if number is None else int(number),
        percent,
        day,
        way,
        float(holdout),
        bool(bundle),
        cost,
        parity=parity,
    )


def first_day(ask: CampaignRequest, end: pd.Timestamp) -> pd.Timestamp:
    """The first day of sending: as asked, or `end`, the first midnight after the data. Raises RequestError for one before that."""
    if ask.date is not None and ask.date < end:
        raise RequestError(
            [f"DATE={ask.date:%Y-%m-%d}: the data end on {end - pd.Timedelta(days=1):%Y-%m-%d}, and a list made for a day"
             f" within them would know its own future; name {end:%Y-%m-%d} or a later day"]
        )  # fmt: skip
    return end if ask.date is None else ask.date


def _bare(text: str) -> str:
    return re.sub(r"[^a-z]", "", str(text).lower())


def number_of(text: str) -> str:
    """A number as typed without the commas between its thousands; any other comma stays, so that 12,50 is no number and not 1250."""
    text = text.strip()
    return text.replace(",", "") if re.fullmatch(r"[+-]?\d{1,3}(,\d{3})+(\.\d+)?", text) else text


def _number(text: str) -> float | None:
    try:
        value = float(number_of(text.removesuffix("%")).replace("_", ""))
    except ValueError:
        return None
    return value if abs(value) < 1e15 else None


def _above(text: str) -> float | None:
    value = _number(text)
    return value if value is not None and value > 0 else None


def _count(text: str) -> float | None:
    value = _number(text)
    return value if value is not None and value >= 1 and value == int(value) else None


def _percent(text: str) -> float | None:
    value = _number(text)
    return value if value is not None and (value == 0 or 1 <= value < 100) else None


def _date(text: str, problems: list[str]) -> pd.Timestamp | None:
    if not text:
        return None
    day = pd.to_datetime(text, format="%Y-%m-%d", errors="coerce")
    if pd.isna(day):
        problems.append(f"DATE={text}: a date is written 2026-01-31; leave it out for the day after the data end")
        return None
    return pd.Timestamp(day)


def _parity(text: str, problems: list[str]) -> ParityRule | None:
    if not text:
        return None
    found = re.fullmatch(r"([A-Za-z _]+?)\s*(?:(\d+(?:\.\d+)?|\.\d+)\s*(?:%|points?)?)?", text)
    attribute = PARITY_ATTRIBUTES.get(_bare(found[1].lower().removesuffix("band"))) if found else None
    tolerance = float(found[2]) / 100 if found and found[2] else DEFAULT_TOLERANCE
    if attribute is None or tolerance > 1:
        names = ", ".join(in_words(k) for k in dict.fromkeys(PARITY_ATTRIBUTES.values()))
        problems.append(
            f"EVEN={text}: name what makes the groups ({names}), and then by how many points at most the shares chosen of them may "
            'differ, from 0 to 100, such as EVEN="age 5"; leave it out for the list that earns most'
        )
        return None
    return ParityRule(attribute, tolerance)
