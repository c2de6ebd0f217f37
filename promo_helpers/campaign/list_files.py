"""The files of a campaign: the list to send, who is held out, a form for the responses, and the plan that they are held against."""

from collections.abc import Collection
from pathlib import Path

import numpy as np
import pandas as pd

from promo_helpers import paths
from promo_helpers.audit.contacted import audit_list
from promo_helpers.campaign.build import Campaign
from promo_helpers.campaign.request import RequestError, number_of
from promo_helpers.files import written_whole
from promo_helpers.shop.sheets import read_sheet, safe, write_sheet

TEXT = (
    "ContactID",
    "CustomerID",
    "Name",
    "Location",
    "Email",
    "PhoneNumber",
    "Product",
    "Priority",
    "SendDay",
    "Bundle",
    "Reason",
    "WouldNotBeListedIf",
    "RankedBy",
    "Holdout",
)
PARTS = ("list", "holdout", "responses", "columns", "summary", "audit")
FORM = ("Units", "Paid", "Redeemed")
DIGITS = {
    "ProbabilityWithOffer": 4,
    "ProbabilityWithoutOffer": 4,
    "Uplift": 4,
    "UpliftConfidenceLow": 4,
    "UpliftConfidenceHigh": 4,
    "ExpectedProfit": 2,
    "ExpectedDiscount": 2,
    "RedemptionPercentile": 0,
}
MEANING = {
    "ContactID": "the contact; give it back with the response",
    "CustomerID": "the customer",
    "Name": "as the shop knows it",
    "Location": "where the customer lives",
    "Email": "to send to (channel e-mail)",
    "PhoneNumber": "to send to (channel SMS); +94 is written 0094, since a spreadsheet takes a leading plus for a formula",
    "Product": "what the offer is about",
    "Priority": "high: the best, who together bring the first half of what is expected; medium: the rest; skip is not listed",
    "Discount": "percent off the list price; 0 is a reminder",
    "SendDay": "day to send on",
    "SendHour": "hour to send at",
    "Bundle": "what goes with the product and was not bought for half a year; blank where there is nothing",
    "BundleDiscount": "percent off that, predicted from other products (no trial offered it): an idea, in no budget and no figure here",
    "ProbabilityWithOffer": "chance of buying the product within 14 days, with the offer",
    "ProbabilityWithoutOffer": "the same without it",
    "Uplift": "the difference: what the offer adds to the chance",
    "UpliftConfidenceLow": "lower end of its 95 % interval",
    "UpliftConfidenceHigh": "upper end; the two say what the trial leaves open, not what the form of the model gets wrong",
    "ExpectedDiscount": "what this customer is expected to save with the offer",
    "ExpectedProfit": "her share of what the campaign is expected to earn for the whole shop, discount, message and lost sales paid",
    "RedemptionPercentile": "how likely the offer is used, as a percentile of all who may be written to (100: likeliest); "
    "same discount for all",
    "Reason": "facts on what adds most to what the offer is expected to earn, of what may be named (only: less than the middle "
    "customer); says where age, gender or segment, which it does not name, adds more, and who is on the list so that groups are alike",
    "WouldNotBeListedIf": "a change of one fact, the smallest of some fifty tried, after which the rule would not have chosen "
    "this customer; "
    "says nothing of what would happen if she changed; blank where none was found",
    "RankedBy": "what the list is ranked by",
    "Holdout": "yes: must not be written to (in the file of the holdout only)",
}
MEANINGS_WITHOUT_TRIAL = {  # where no trial says what an offer changes
    "Reason": "what the customer bought and how often she came; no reason that the offer would change anything",
    "WouldNotBeListedIf": "blank: nothing is known of what the offer changes",
} | dict.fromkeys(
    ("ProbabilityWithOffer", "Uplift", "UpliftConfidenceLow", "UpliftConfidenceHigh", "ExpectedDiscount", "ExpectedProfit"),
    "blank: only a trial can tell",
)
AUDIT = [
    (
        "attribute, group (audit)",
        "by what the shop records of its customers; customers: how many of the group may be written to, also those to whom no offer may go "
        "since they bought nothing of the category lately",
    ),
    (
        "measure (audit)",
        "contacted (share), discount (share off, of the contacted), predicted saving and profit (a customer, contacted or not)",
    ),
    (
        "value, difference, ratio (audit)",
        "of the group; less, and over, that of all others; _low and _high: 95 % over resampled customers",
    ),
    ("note (audit)", "why a group is not judged"),
    (
        "p, p_holm (audit)",
        "of the null of equal shares, alone and adjusted for the number of tests in the file; blank where nothing varies",
    ),
]


# headings of version 0.1, read until 0.3: a campaign that is out must still be measured
RENAMED_LIST = {
    "ProbabilityWith": "ProbabilityWithOffer",
    "ProbabilityWithout": "ProbabilityWithoutOffer",
    "UpliftLow": "UpliftConfidenceLow",
    "UpliftHigh": "UpliftConfidenceHigh",
    "Unless": "WouldNotBeListedIf",
    "Basis": "RankedBy",
    "Relevance": "RedemptionPercentile",
}
RENAMED_PLAN = {
    "held": "held_out",
    "with_it": "probability_with",
    "without": "probability_without",
    "units_none": "units_without",
    "revenue_none": "revenue_without",
    "tied": "displacement",
    "leaving": "opt_out_loss",
    "gain": "predicted_profit",
}


def slug(text: str) -> str:
    """Text as a part of a file's name: small letters, digits and underscores."""
    return "_".join("".join(c if c.isalnum() else " " for c in text.lower()).split())


def stem(campaign: Campaign, suffix: str = "") -> str:
    """The name that a campaign's files begin with: campaign_<product>_<date>."""
    return f"campaign_{slug(campaign.name)}_{campaign.date:%Y-%m-%d}{suffix}"


def list_table(campaign: Campaign) -> pd.DataFrame:
    """All chosen customers as the list shows them, held out ones too; numbers rounded, so that what is read back is the same."""
    rows, heading = campaign.rows, campaign.ask.channel.heading
    frame = pd.DataFrame({"ContactID": rows["contact_id"], "CustomerID": rows["customer_id"], "Name": rows["name"]})
    frame = frame.assign(Location=rows["city"], **{heading: rows["contact"]}, Product=campaign.name, Priority=rows["priority"])
    frame["Discount"] = rows["percent"].astype(float)
    frame["SendDay"], frame["SendHour"] = rows["send"].dt.strftime("%Y-%m-%d"), rows["send"].dt.hour.astype(float)
    frame["Bundle"], frame["BundleDiscount"] = rows["bundle"], rows["bundle_percent"]
    frame = frame.assign(
        ProbabilityWithOffer=rows["probability_with"], ProbabilityWithoutOffer=rows["probability_without"], Uplift=rows["uplift"]
    )
    frame = frame.assign(
        UpliftConfidenceLow=rows["low"],
        UpliftConfidenceHigh=rows["high"],
        ExpectedDiscount=rows["discount"],
        ExpectedProfit=rows["profit"],
        RedemptionPercentile=rows["relevance"],
    )
    frame = frame.assign(
        Reason=rows["reason"],
        WouldNotBeListedIf=rows["unless"],
        RankedBy=campaign.basis,
        Holdout=np.where(rows["held_out"], "yes", "no"),
    )
    for column in frame:
        if column in TEXT:
            frame[column] = pd.array([safe(cell) for cell in frame[column]], dtype=str)
        else:
            frame[column] = frame[column].astype(float).round(DIGITS.get(column, 6))
    return frame


def plan_table(campaign: Campaign) -> pd.DataFrame:
    """What the responses are held against: a row a chosen customer, with what was expected of her with the offer and without."""
    columns = [
        "contact_id",
        "customer_id",
        "held_out",
        "percent",
        "send",
        "probability_without",
        "probability_with",
        "units",
        "units_without",
        "revenue",
        "revenue_without",
        "discount",
        "spend",
        "predicted_profit",
        "price",
        "margin",
        "displacement",
        "opt_out_loss",
    ]
    rows = campaign.rows[columns].copy()
    return rows.assign(product_id=campaign.product_id, message=campaign.ask.cost, currency=campaign.currency)


def unused(folder: Path, name: str, replaceable: Collection[Path] = ()) -> str:
    """The name, with a number behind it where files of a campaign of that name lie in the folder already that are not in `replaceable`."""
    own, number, found = {p.resolve() for p in replaceable}, 1, name
    place = paths.landing(folder)
    while any(f.is_file() and f.resolve() not in own for f in _files(place, found).values()):
        number += 1
        found = f"{name}_{number}"
    return found


def _files(folder: Path, name: str) -> dict[str, Path]:
    path = {part: folder / f"{name}{'' if part == 'list' else '_' + part}.csv" for part in PARTS}
    return path | {"plan": folder / f"{name}_plan.parquet"}


def write_campaign(
    campaign: Campaign, folder: Path, suffix: str = "", summary: pd.DataFrame | None = None, replaceable: Collection[Path] = ()
) -> dict[str, Path]:
    """Write the files of a campaign, each whole or not at all: list, holdout, responses (a form), columns, plan; summary where it is
    given (by `outcome.summary`); and audit, where the shop records a group of its customers: who of all that may be written to is on the
    list (`audit.contacted`).

    Who is held out is in a file of ids alone: nobody can write to the holdout by mistake with a file that has no address in it.
    A file that lies there is replaced only if it is in `replaceable`; otherwise the name of all of them gets a number behind it.
    Raises RequestError, and writes nothing, where a form of `replaceable` was filled: that campaign was sent.
    """
    path = _files(folder, unused(folder, stem(campaign, suffix), replaceable))
    there = paths.landing(path["responses"])
    if there.is_file():
        filled = read_campaign_file(there)
        if filled[[c for c in FORM if c in filled]].notna().any(axis=None):
            raise RequestError(
                [
                    f"{paths.display_path(there)} holds responses, so this campaign was sent; choose another DATE, or move the files away"
                ]
            )
    frame = list_table(campaign)
    held = frame["Holdout"] == "yes"
    write_sheet(frame[~held].reset_index(drop=True), path["list"], TEXT)
    write_sheet(frame.loc[held, ["ContactID", "CustomerID", "Product", "Holdout"]].reset_index(drop=True), path["holdout"], TEXT)
    form = frame[["ContactID", "CustomerID"]].assign(Units=np.nan, Paid=np.nan, Redeemed=np.nan)
    write_sheet(form.sort_values("ContactID", ignore_index=True), path["responses"], TEXT)
    meaning = MEANING | (MEANINGS_WITHOUT_TRIAL if campaign.why else {})
    columns = pd.DataFrame([*((c, meaning[c]) for c in frame), *RESPONSE_COLUMNS, *AUDIT], columns=["Column", "Meaning"])
    write_sheet(columns, path["columns"], ("Column", "Meaning"))
    if summary is None:
        del path["summary"]
    else:
        write_sheet(summary, path["summary"], ("name", "unit", "meaning"))
    with written_whole(path["plan"]) as scratch:
        plan_table(campaign).to_parquet(scratch, index=False)
    del path["audit"]
    if len(campaign.groups.columns) and not held.all():
        path["audit"] = audit_list(path["list"], campaign.people.who["customer_id"], campaign.groups, 0)[1]
    return path


RESPONSE_COLUMNS = [
    (
        "Units (responses)",
        "units of the product bought in the 14 days after the day of sending, by the holdout too; blank is none",
    ),
    ("Paid (responses)", "what was paid for them in all; blank is nothing"),
    ("Redeemed (responses)", "units bought under the offer; blank where the till does not know"),
]


def read_campaign_file(path: Path) -> pd.DataFrame:
    """A list, a holdout or a form as it was written; headings of version 0.1 as they are called now."""
    old = [o for o, new in RENAMED_LIST.items() if new in TEXT]
    return read_sheet(path, (*TEXT, *old)).rename(columns=RENAMED_LIST)


def read_plan(path: Path) -> pd.DataFrame:
    """The plan of a campaign; columns of version 0.1 as they are called now."""
    return pd.read_parquet(path).rename(columns=RENAMED_PLAN)


WINDOW = 14  # days after the day of sending
REQUIRED_COLUMNS = ("Units", "Paid")
SHOWN = 3


class ResponseError(ValueError):
    """The file of responses cannot be used; the message lists every problem."""

    def __init__(self, path: Path, problems: list[str]):
        self.problems = problems
        count = f"{len(problems)} problem{'s' * (len(problems) != 1)}"
        super().__init__("\n  ".join([f"The responses in {paths.display_path(path)} cannot be used: {count}.", *problems]))


def read_responses(path: Path, plan: pd.DataFrame) -> pd.DataFrame:
    """Responses of a campaign: one row a contact of the plan, in its order; columns contact_id, units, paid, redeemed, given.

    The file has ContactID or CustomerID, Units, Paid and, where the till knows, Redeemed (units). A contact without a row, and a blank
    cell, is nothing bought (redeemed: unknown); `given` says which had a row. Raises ResponseError, which lists every problem at once.
    """
    path, problems = Path(path), list[str]()
    if not path.is_file():
        raise ResponseError(path, ["there is no such file; the form beside the list, ..._responses.csv, is one to fill"])
    try:
        cells = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    except pd.errors.EmptyDataError:
        raise ResponseError(path, ["the file is empty; fill the form beside the list, ..._responses.csv"]) from None
    except UnicodeDecodeError:
        raise ResponseError(path, ["the file is not UTF-8; save it as CSV UTF-8"]) from None
    except pd.errors.ParserError as error:
        raise ResponseError(path, [f"the file cannot be read as CSV ({error}); save it with commas"]) from None
    cells.columns = [str(c).strip() for c in cells.columns]
    key = next((k for k in ("ContactID", "CustomerID") if k in cells), None)
    if key is None:
        problems.append("a column ContactID or CustomerID is missing; keep the one that the form has, and save with commas")
    problems += [f"the column {c} is missing; keep the headings of the form" for c in REQUIRED_COLUMNS if c not in cells]
    if problems:
        raise ResponseError(path, problems)
    assert key is not None
    cells = cells[(cells != "").any(axis=1)]
    row = cells.index.to_numpy() + 2
    if not len(cells):
        raise ResponseError(path, ["the file holds no rows; fill the form beside the list, ..._responses.csv"])
    ids = cells[key].str.strip().str.removeprefix("'")
    of_plan = plan["contact_id" if key == "ContactID" else "customer_id"].astype(str)
    _note(
        problems,
        f"{key} is not of this campaign; leave out what was not on the list or in the holdout",
        ~ids.isin(of_plan),
        ids,
        row,
    )
    _note(problems, f"{key} stands there twice; add its purchases up in one row", ids.duplicated(), ids, row)
    found = {}
    for column in (*REQUIRED_COLUMNS, "Redeemed"):
        if column not in cells:
            continue
        text = cells[column].str.strip().map(number_of)
        flag = (
            text.str.lower().map({"yes": "1", "true": "1", "no": "0", "false": "0"})
            if column == "Redeemed"
            else pd.Series(dtype=str)
        )
        number = pd.to_numeric(flag.reindex(text.index).fillna(text), errors="coerce")
        blank = text == ""
        _note(
            problems,
            f"{column} is not a number; write 2 or 12.50, or leave it blank for nothing",
            number.isna() & ~blank,
            text,
            row,
        )
        _note(problems, f"{column} is negative; take returns off what was bought, and write 0 at least", number < 0, text, row)
        if column == "Units":
            _note(problems, "Units is not whole; write whole units", number.notna() & (number % 1 != 0), text, row)
        found[column] = number.where(~blank, np.nan if column == "Redeemed" else 0.0)
    if "Redeemed" in found:
        _note(
            problems, "Redeemed is more than Units; both are units of the product", found["Redeemed"] > found["Units"], ids, row
        )
    if not problems and not cells[[c for c in (*REQUIRED_COLUMNS, "Redeemed") if c in cells]].apply(
        lambda c: c.str.strip() != ""
    ).any(axis=None):
        problems.append("no row says anything; fill in what was bought, or 0")
    if problems:
        raise ResponseError(path, problems)
    frame = pd.DataFrame({"units": found["Units"], "paid": found["Paid"], "redeemed": found.get("Redeemed", np.nan)})
    frame = frame.set_axis(pd.Index(ids)).reindex(of_plan)
    given = frame["units"].notna().to_numpy()
    frame = frame.fillna({"units": 0.0, "paid": 0.0}).reset_index(drop=True)
    return frame.assign(contact_id=plan["contact_id"].to_numpy(), given=given)


def _note(problems: list[str], wrong: str, where: pd.Series, cells: pd.Series, row: np.ndarray) -> None:
    at = np.flatnonzero(where.to_numpy(bool))
    if len(at):
        rows = ", ".join(f"row {row[i]:,} ({cells.iloc[i]!r})" for i in at[:SHOWN]) + ", ..." * (len(at) > SHOWN)
        problems.append(f"{wrong}: {len(at):,} row{'s' * (len(at) != 1)}, {rows}")


def from_lines(lines: pd.DataFrame, plan: pd.DataFrame) -> pd.DataFrame:
    """The responses that a shop's transactions hold (customer_id, product_id, time, units, paid_cents, contact_id): of each contact of the
    plan what was bought of its product in the 14 days after the day of sending; columns as a form has them."""
    mine = lines[(lines["product_id"].astype(str) == plan["product_id"].iloc[0]) & (lines["units"] > 0)]
    both = mine.merge(plan[["contact_id", "customer_id", "send"]], on="customer_id", suffixes=("_used", ""))
    after = (both["time"].dt.normalize() - both["send"].dt.normalize()).dt.days
    both = both[after.between(1, WINDOW)]
    both["own"] = both["units"].where(both["contact_id_used"] == both["contact_id"], 0)
    sums = both.groupby("contact_id").agg(Units=("units", "sum"), Paid=("paid_cents", "sum"), Redeemed=("own", "sum"))
    sums["Paid"] /= 100
    frame = plan[["contact_id", "customer_id"]].set_axis(["ContactID", "CustomerID"], axis=1)
    return frame.join(sums.reindex(plan["contact_id"]).fillna(0).reset_index(drop=True))
