"""The shop's own contacts as an Experiment: its trials, and the log of its old rule."""

from dataclasses import dataclass, replace
from typing import Literal

import narwhals.stable.v2 as nw
import numpy as np
import pandas as pd
import pyarrow as pa

from promo_helpers import inputs
from promo_helpers.experiment.experiment import Experiment
from promo_helpers.experiment.mailings import mailing_experiment
from promo_helpers.features.contact_history import (
    DAY,
    Lines,
    Moments,
    PrefixSums,
    contact_history,
    described,
    offer_history,
    shelf_depth,
)
from promo_helpers.shop import Shop

WINDOW, AFTER = 14, 42  # days: an offer holds from the day after the contact; then the six weeks that may pay for it
YEAR = 365 / 90  # quarters of a year, as the feature spend_90 counts them
LINES = 8_000_000  # lines in memory at a time
CONTROL = "none"
OUTCOMES = (
    "bought",
    "units",
    "redeemed",
    "revenue",
    "discount",
    "spend",
    "profit",
    "substitutes",
    "rest",
    "product_after",
    "after",
    "whole",
)


@dataclass(frozen=True)
class Costs:
    """What a contact costs, as the marketer knows it: no table of a shop holds these.

    message: of one message, in the currency. opting_out: share of the contacted who opt out. reach: share of a year's margin that is
    lost with a customer who cannot be reached any more.
    """

    message: float = 1.5
    opting_out: float = 0.0012
    reach: float = 0.05

    def of(self, features: pd.DataFrame) -> np.ndarray:
        """[row] expected cost of one contact, the loss by opting out included, from her spending in the last 90 days."""
        margin = float(features["margin"].mean())
        return self.message + self.opting_out * self.reach * margin * YEAR * features["spend_90"].to_numpy(float)


def contact_experiment(shop: Shop, kind: Literal["trial", "log", "both"] = "trial", cost: float = 0.0) -> Experiment:
    """The shop's contacts about a product: those of its trials, those that a rule chose, or both. `cost` is that of one contact.

    Outcomes, in units and currency, of the days 1 to 14 after the contact's: bought, units, redeemed (units under the offer), revenue,
    discount (given by the offer), spend (discount and cost), profit (margin of the product less cost), substitutes (margin of the
    rest of its category), rest (margin of all else); of the days 15 to 56: product_after and after (margin of the product, and of the
    whole shop); and whole = profit + substitutes + rest + after. They are missing where the data end before, and where another contact
    of the customer, later than this one, acts on the days they cover; contacts without product, or whose arm is unknown, are no such
    contacts. What opting out costs is in no outcome: the tables do not show it.
    Raises ValueError where the shop has no such contacts, no prices, or products without margin.
    """
    if not shop.has("contacts", "product_id"):
        raise ValueError("the shop has no contacts about a product: nothing to learn an effect from")
    if not shop.has("products", "margin"):
        raise ValueError("the products have no margin: without it no profit can be told; give a column Margin, or MARGIN=.25")
    if not shop.has("products", "price"):
        raise ValueError("the products have no price: without it no discount can be told; give a column Price")
    products = shop.frame("products").sort_values("product_id", kind="stable", ignore_index=True)
    if (bare := products["margin"].isna()).any():
        first = products.loc[bare, "product_id"].iloc[0]
        raise ValueError(
            f"{bare.sum():,} of {len(bare):,} products have no margin, such as {first}: give each one, or MARGIN=.25"
        )
    given = shop.frame("contacts")
    given = given[given["product_id"].notna() & (given["arm"] != "unknown")].sort_values(
        "contact_id", kind="stable", ignore_index=True
    )
    trial = given["trial_id"].notna() if "trial_id" in given else pd.Series(False, given.index)
    chosen = {"trial": trial, "log": ~trial, "both": trial | True}[kind]
    if not chosen.any():
        raise ValueError(f"the shop has no contacts of this kind: {kind}")
    customers = shop.frame("customers").sort_values("customer_id", kind="stable", ignore_index=True)
    if "segment" in customers:
        customers["segment"] = pd.Categorical(customers["segment"])  # a slice need not hold all of them
    start, end = _span(shop, given)
    parts = [
        _slice(shop, customers.iloc[rows].reset_index(drop=True), products, given, chosen, start, end, cost)
        for rows in _slices(len(customers), shop.rows("transactions"))
    ]
    frame = pd.concat([p for p in parts if len(p)]).sort_index()
    contacts = given.loc[frame.index]
    arms, depth, arm = _arms(contacts["arm"])
    probability = contacts["probability"].to_numpy(float) if "probability" in contacts else np.full(len(arm), np.nan)
    known = bool(np.isfinite(probability).all())
    planned = None
    if known:  # each arm's chance, as the rows that got it say
        planned = np.bincount(arm, probability, minlength=len(arms)) / np.maximum(np.bincount(arm, minlength=len(arms)), 1)
    return Experiment(
        name=f"{kind} of {shop.info['source']}" if kind != "both" else f"contacts of {shop.info['source']}",
        contact_id=contacts["contact_id"].to_numpy(),
        customer=contacts["customer_id"].to_numpy(object),
        features=frame.drop(columns=list(OUTCOMES)).reset_index(drop=True),
        arm=arm,
        arms=arms,
        depth=depth,
        outcomes=frame[list(OUTCOMES)].reset_index(drop=True),
        probability=probability if known else None,
        strata=contacts["trial_id"].to_numpy(object) if known and kind == "trial" else None,
        planned=planned,
        currency=shop.currency,
    )


def _arms(given: pd.Series) -> tuple[tuple[str, ...], np.ndarray, np.ndarray]:
    """Arms in the order of their discounts, the control first; their depths as shares; and each row's. 5 and 5.0 are one arm."""
    percent = pd.to_numeric(given, errors="coerce").to_numpy(float)
    offers = np.unique(percent[np.isfinite(percent)])
    arm = np.where(np.isfinite(percent), np.searchsorted(offers, percent) + 1, 0)
    return (CONTROL, *(f"{o:g}" for o in offers)), np.append(np.nan, offers / 100), arm


def _span(shop: Shop, contacts: pd.DataFrame) -> tuple[pd.Timestamp, int]:
    """Midnight from which seconds count, and the last day that the transactions cover."""
    time = nw.col("time")
    found = shop.lazy("transactions").select(first=time.min(), last=time.max()).collect("pandas").to_native().iloc[0]
    start = min(pd.Timestamp(found["first"]), contacts["time"].min()).normalize()
    return start, (pd.Timestamp(found["last"]) - start).days


def _slices(customers: int, lines: int) -> list[slice]:
    size = -(-customers // max(-(-lines // LINES), 1))
    return [slice(k, k + size) for k in range(0, customers, size)]


def _read(shop: Shop, customers: pd.Index, products: pd.DataFrame, start: pd.Timestamp) -> tuple[Lines, pd.DataFrame]:
    """Lines of a slice of customers (sorted ids); and of each its margin and what it was below the list price (cents), and the contact
    that it redeemed."""
    wanted = ["customer_id", "product_id", "basket_id", "time", "units", "list_cents", "paid_cents", "transaction_id"]
    wanted += [c for c in ("discount", "contact_id") if shop.has("transactions", c)]
    who = nw.col("customer_id")
    lines = shop.lazy("transactions").filter(who >= customers[0], who <= customers[-1], nw.col("units") > 0).select(*wanted)
    table: pa.Table = lines.sort("customer_id", "time", "transaction_id").collect("pyarrow").to_native()
    items = pd.Index(products["product_id"])
    coded = {}
    for name, index in (("customer_id", customers), ("product_id", items)):
        column = table[name].combine_chunks().dictionary_encode()
        coded[name] = index.get_indexer(column.dictionary.to_pandas())[column.indices.to_numpy()]
    paid, full = table["paid_cents"].to_numpy(), table["list_cents"].to_numpy()
    redeemed = table["contact_id"].to_pandas() if "contact_id" in wanted else pd.Series(pd.NA, range(len(paid)))
    discount = np.nan_to_num(table["discount"].to_numpy()) if "discount" in wanted else np.zeros(len(paid))
    margin = paid - full * (1 - products["margin"].to_numpy(float)[coded["product_id"]])
    read = Lines(
        who=coded["customer_id"],
        what=coded["product_id"],
        second=((table["time"].to_numpy() - start.to_datetime64()) / np.timedelta64(1, "s")).astype(np.int64),
        basket=np.unique(table["basket_id"].to_numpy(), return_inverse=True)[1],
        units=table["units"].to_numpy(),
        paid=paid,
        promo=np.where(redeemed.notna(), 0.0, discount),
    )
    more = {"margin": np.rint(margin).astype(np.int64), "off": full - paid, "contact": redeemed.to_numpy()}
    return read, pd.DataFrame(more)


def _slice(
    shop: Shop, customers: pd.DataFrame, products: pd.DataFrame, given: pd.DataFrame, chosen: pd.Series, start: pd.Timestamp, end: int,
    cost: float,
) -> pd.DataFrame:  # fmt: skip
    """Features and outcomes of the chosen contacts of a slice of customers, indexed by the row of `given`."""
    ids = pd.Index(customers["customer_id"])
    all_of = given[given["customer_id"].isin(ids)]
    contacts = all_of[chosen.loc[all_of.index]]
    if contacts.empty:
        return pd.DataFrame()
    lines, more = _read(shop, ids, products, start)
    items = pd.Index(products["product_id"])

    def moments(rows: pd.DataFrame) -> Moments:
        second = (rows["time"] - start).dt.total_seconds().to_numpy(np.int64)
        return Moments(ids.get_indexer(rows["customer_id"]), items.get_indexer(rows["product_id"]), second)

    at, everyone = moments(contacts), moments(all_of)
    kinds = pd.factorize(products["category"].fillna("?"), sort=True)[0]
    days = int(max(lines.second.max(initial=0), at.second.max()) // DAY) + 1
    depth = shelf_depth(shop.frame("promotions") if shop.has("promotions") else pd.DataFrame(), items, start, days + 15)
    features = described(customers, at, start)
    features |= contact_history(lines, at, kinds, products["price"].to_numpy(float), depth)
    sent = (all_of["arm"] != CONTROL).to_numpy()
    percent = pd.to_numeric(all_of["arm"], errors="coerce").fillna(0).to_numpy(float)
    used = all_of["redeemed"].fillna(False).to_numpy(bool) if "redeemed" in all_of else np.zeros(len(sent), bool)
    features |= offer_history(
        everyone.who[sent], everyone.what[sent], everyone.second[sent], percent[sent] / 100, used[sent].astype(np.int64), at
    )  # fmt: skip
    features["margin"] = products["margin"].to_numpy(float)[at.what]
    features["category_margin"] = products.groupby(kinds)["margin"].mean().to_numpy()[kinds[at.what]]
    features["product"] = at.what.astype(float)
    features["hour"] = at.second % DAY // 3600.0
    features["month"] = (start + pd.to_timedelta(at.second, unit="s")).month.to_numpy(float)
    outcomes = _outcomes(lines, more, contacts, at, kinds, cost, len(items))
    frame = pd.DataFrame(features | outcomes, index=contacts.index)
    assigned, day = PrefixSums.of(everyone.who, everyone.second, {}), at.second // DAY
    for length, names in ((WINDOW, list(OUTCOMES)), (WINDOW + AFTER, ["product_after", "after", "whole"])):
        # a contact acts from the day after it; whether the arm was none does not matter: the next arm may follow from this one
        disturbed = assigned.between(at.who, at.second + 1, (day + length) * DAY)["rows"] > 0
        frame.loc[disturbed | (day + length > end), names] = np.nan
    return frame


def _outcomes(
    lines: Lines, more: pd.DataFrame, contacts: pd.DataFrame, at: Moments, kinds: np.ndarray, cost: float, items: int
) -> dict[str, np.ndarray]:
    margin = more["margin"].to_numpy()
    first = (at.second // DAY + 1) * DAY
    over, end = first + WINDOW * DAY, first + (WINDOW + AFTER) * DAY
    everything = PrefixSums.of(lines.who, lines.second, {"margin": margin})
    pair = PrefixSums.of(
        lines.who * np.int64(items) + lines.what, lines.second, {"units": lines.units, "paid": lines.paid, "margin": margin}
    )
    n = int(kinds.max(initial=0)) + 1
    kin = PrefixSums.of(lines.who * np.int64(n) + kinds[lines.what], lines.second, {"margin": margin})
    own = pair.between(at.who * np.int64(items) + at.what, first, over)
    near = kin.between(at.who * np.int64(n) + kinds[at.what], first, over)["margin"]
    later = pair.between(at.who * np.int64(items) + at.what, over, end)["margin"]
    whole, after = (everything.between(at.who, a, b)["margin"] for a, b in ((first, over), (over, end)))
    sent = (contacts["arm"] != CONTROL).to_numpy() * cost
    used, given = _redeemed(lines, more, contacts)
    return {
        "bought": (own["units"] > 0).astype(float),
        "units": own["units"].astype(float),
        "redeemed": used,
        "revenue": own["paid"] / 100,
        "discount": given,
        "spend": given + sent,
        "profit": own["margin"] / 100 - sent,
        "substitutes": (near - own["margin"]) / 100,
        "rest": (whole - near) / 100,
        "product_after": later / 100,
        "after": after / 100,
        "whole": (whole + after) / 100 - sent,
    }


def _redeemed(lines: Lines, more: pd.DataFrame, contacts: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """[contact] units bought under each offer, and the discount it gave: what its lines were paid less than the list price."""
    place = pd.Index(contacts["contact_id"]).get_indexer(more["contact"])
    used, n = (place >= 0) & more["contact"].notna().to_numpy(), len(contacts)
    units, off = (np.bincount(place[used], v[used], minlength=n) for v in (lines.units, more["off"].to_numpy()))
    return units.astype(float), off / 100


NEEDED = ("customer_id", "product_id", "time")


def decision_features(shop: Shop, decisions: pd.DataFrame) -> pd.DataFrame:
    """[row, feature] of decisions with the columns customer_id, product_id and time, in their order; the features are those of
    `contact_experiment`, from strictly before each moment.

    Raises ValueError for ids that the shop does not have, for a shop without prices or margins, and for a missing column.
    """
    if lacking := [c for c in NEEDED if c not in decisions]:
        raise ValueError(f"decisions lack the column {lacking[0]}; needed are {', '.join(NEEDED)}")
    for column in ("price", "margin"):
        if not shop.has("products", column):
            raise ValueError(f"the products have no {column}: without it no profit can be told")
    products = shop.frame("products").sort_values("product_id", kind="stable", ignore_index=True)
    customers = shop.frame("customers").sort_values("customer_id", kind="stable", ignore_index=True)
    for column, known in (("customer_id", customers["customer_id"]), ("product_id", products["product_id"])):
        if (strange := ~decisions[column].isin(known)).any():
            first = decisions.loc[strange, column].iloc[0]
            raise ValueError(f"{column} {first!r} is not in the shop ({int(strange.sum()):,} such decisions)")
    if "segment" in customers:
        customers["segment"] = pd.Categorical(customers["segment"])  # a slice need not hold all of them
    asked = decisions[list(NEEDED)].reset_index(drop=True).assign(arm=CONTROL, redeemed=False)
    asked["contact_id"] = -1 - np.arange(len(asked))
    past = shop.frame("contacts") if shop.has("contacts", "product_id") else asked.iloc[:0]
    past = past[past["product_id"].notna() & (past["arm"] != "unknown")].sort_values("contact_id", kind="stable")
    kept = [c for c in asked if c in past]
    given = pd.concat([past[kept].astype({"contact_id": object}), asked.astype({"contact_id": object})], ignore_index=True)
    ours = pd.Series(np.arange(len(given)) >= len(past))
    start, end = _span(shop, given)
    parts = [
        _slice(shop, customers.iloc[rows].reset_index(drop=True), products, given, ours, start, end, 0.0)
        for rows in _slices(len(customers), shop.rows("transactions"))
    ]
    frame = pd.concat([p for p in parts if len(p)]).sort_index()
    return frame.drop(columns=list(OUTCOMES)).reset_index(drop=True)


def experiments(shop: Shop, cost: float = 0.0) -> tuple[dict[str, Experiment], list[str]]:
    """What the shop's contacts are an experiment of, by source, and a sentence for each source that it has not.

    trial and log: contacts about a product, with all their arms, drawn by chance or chosen by a rule; `cost` is that of one. mailings:
    where no contact is about a product, those who were mailed against the rest.
    """
    found: dict[str, Experiment] = {}
    missing = []
    if not shop.has("contacts", "product_id"):
        try:
            found["mailings"] = mailing_experiment(shop)
        except ValueError as problem:
            missing.append(f"no experiment: {problem}")
        return found, missing
    for source in ("trial", "log"):
        try:
            whole = contact_experiment(shop, source, cost)
            if whole.counts[0] == 0 or whole.counts[1:].sum() == 0:
                raise ValueError("there must be contacts with an offer, and some without")
            found[source] = replace(whole, name=f"the {source}")
        except ValueError as problem:
            missing.append(f"no {source}: {problem}")
    return found, missing


def offered(shop: Shop, arm: str, trial: bool = False) -> str:
    """The arm, an offer that contacts about products made; for "" the discount that most of them made.

    With `trial` only contacts of a trial count. Where there are none the arm is returned as given: what follows says what is missing.
    Raises ValueError, with the offers that were made, for another arm.
    """
    if not shop.has("contacts", "product_id") or (trial and not shop.has("contacts", "trial_id")):
        return arm
    contacts = shop.frame("contacts", ["product_id", "arm", *(["trial_id"] if trial else [])])
    made = contacts["product_id"].notna() & (contacts["trial_id"].notna() if trial else True)
    percent = pd.to_numeric(contacts.loc[made, "arm"], errors="coerce").dropna()
    counts = percent.value_counts().sort_index()
    if counts.empty:
        return arm
    counts.index = [f"{p:g}" for p in counts.index]
    if not arm:
        discounts = counts.drop(index="0", errors="ignore")
        return str((discounts if len(discounts) else counts).idxmax())
    inputs.check_parameters(arm=(arm, list(counts.index)))
    return arm


def one_offer(experiment: Experiment, arm: str) -> Experiment:
    """The offer `arm` against the control, or the offer with most contacts where that one was never made; two arms stay as they are."""
    if len(experiment.arms) == 2:
        return experiment
    made = arm in experiment.arms and experiment.counts[experiment.arms.index(arm)] > 0
    return experiment.contrast(arm if made else experiment.arms[1 + int(np.argmax(experiment.counts[1:]))])


def break_even_effects(experiment: Experiment) -> dict[str, float]:
    """outcome -> the effect a contact that would pay. An outcome of which that cannot be said is not in it.

    units: those that earn the discount back at the mean margin m, base x d / (m - d), with the units of the control as base.
    profit and whole: what an offer costs in discount and contact; an effect as large returns the money once more.
    """
    offered = experiment.arm == 1
    out = {}
    depth = float(experiment.depth[1])
    if "units" in experiment.outcomes and "margin" in experiment.features and np.isfinite(depth):
        base, margin = np.nanmean(experiment.outcome("units")[~offered]), experiment.features["margin"].mean()
        if margin > depth > 0 and base > 0:
            out["units"] = float(base * depth / (margin - depth))
    if "spend" in experiment.outcomes and "profit" in experiment.outcomes:
        given = float(np.nanmean(experiment.outcome("spend")[offered]))
        out |= {name: given for name in ("profit", "whole") if given > 0}
    return out


def arm_from_outcome(experiment: Experiment) -> Experiment:
    """A treatment as a careless analyst defines it: bought with the offer's discount, against all others. The outcome is its cause.

    Contacts without an offer are among the others, and so are those who were offered something and did not buy.
    """
    bought = experiment.outcome("discount") > 0
    return replace(
        experiment,
        name="'bought with an offer'",
        arm=bought.astype(int),
        arms=("did not", "bought with an offer"),
        depth=np.array([np.nan, np.nan]),
        probability=None,
        planned=None,
        strata=None,
    )


def with_features(experiment: Experiment, features: pd.DataFrame) -> Experiment:
    """The experiment with other features, such as those that an estimate adjusts for: gates then judge the very same ones."""
    return replace(experiment, features=features.reset_index(drop=True))
