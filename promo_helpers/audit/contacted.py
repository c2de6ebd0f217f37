"""Groups of customers, by what a shop records of them."""

from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.metrics import balanced_accuracy_score

from promo_helpers import draws
from promo_helpers.audit.fairness import MIN_CUSTOMERS, Measure, audit, varying
from promo_helpers.audit.nulls import ALPHA, adjusted_p, equal_shares
from promo_helpers.features.purchases import Purchases
from promo_helpers.files import written_whole
from promo_helpers.shop import Shop
from promo_helpers.shop.sheets import read_sheet, write_sheet

AGES = ("under 30", "30 to 44", "45 to 59", "60 and over")
BORDERS = (30, 45, 60)
ATTRIBUTES = ("gender", "age_band", "city", "segment", "income_band", "household_size")
GENDER_AND_AGE = "gender and age"


def in_words(kind: str) -> str:
    """An attribute as a sentence names it."""
    return kind.removesuffix("_band").replace("_", " ")


def attributes(customers: pd.DataFrame) -> pd.DataFrame:
    """[customer, attribute] labels, missing where not known: those of KINDS that the table has (age becomes age_band), and gender and age.

    Ages are cut below 30, 45 and 60. Raises ValueError where the table has none of them.
    """
    out = pd.DataFrame(index=customers.index)
    for kind in ATTRIBUTES:
        if kind == "age_band" and "age" in customers:
            band = np.searchsorted(BORDERS, customers["age"].to_numpy(float), side="right")
            out[kind] = pd.Series(np.array(AGES, object)[band], customers.index).where(customers["age"].notna())
        elif kind in customers and customers[kind].notna().any():
            out[kind] = customers[kind].astype(object).where(customers[kind].notna())
    if not len(out.columns):
        raise ValueError(f"the customers have none of {', '.join(ATTRIBUTES)}: there are no groups to compare")
    if {"gender", "age_band"} <= set(out):
        both = out["gender"].astype(str) + ", " + out["age_band"].astype(str)
        out[GENDER_AND_AGE] = both.astype(object).where(out["gender"].notna() & out["age_band"].notna())
    return out


def groups_of(shop: Shop, customer: pd.Series) -> pd.DataFrame:
    """[customer, attribute] labels of these ids, as `attributes` makes them; no column where the shop records none."""
    known = [c for c in (*ATTRIBUTES, "age") if shop.has("customers", c)]
    frame = shop.frame("customers", ["customer_id", *known]).set_index("customer_id").reindex(customer)
    try:
        return attributes(frame.reset_index())
    except ValueError:
        return pd.DataFrame(index=customer.index)


SHARES = ("contacted", "discount", "left out", "buyers contacted", "others contacted")


def audit_page(
    table: pd.DataFrame, shares: pd.DataFrame, conditional: pd.DataFrame | None, measures: tuple[str, ...]
) -> pd.DataFrame:
    """The audit as text: a row a group, its customers, each measure with its interval (shares in per cent), and what is found of contacts.

    table: `fairness.audit`; shares, given: `nulls.equal_shares` and `nulls.equal_given_features`. Their columns say more or
    fewer where Holm, over
    all rows of that test, leaves the difference to the other customers; blank where it does not, n/a where it is not tested.
    """
    rows = []
    known = {"equal shares": _said(shares)} | ({} if conditional is None else {"given features": _said(conditional)})
    for (attribute, group), part in table.groupby(["attribute", "group"], sort=False):
        part = part.set_index("measure")
        row = {"by": attribute, "group": group, "customers": int(part.loc["contacted", "customers"])}
        for name in measures:
            cell = part.loc[name]
            unit = 100 if name in SHARES else 1
            shown = [f"{unit * cell[c]:.1f}" for c in ("value", "value_low", "value_high")]
            row[f"{name}, %" if name in SHARES else name] = (
                f"{shown[0]} [{shown[1]}, {shown[2]}]" if not cell["note"] else "too few"
            )
        rows.append(row | {null: said.get((attribute, group), "n/a") for null, said in known.items()})
    out = pd.DataFrame(rows)
    return out.assign(by=out["by"].where(~out["by"].duplicated(), "").str.replace("_", " "))


def with_ends(table: pd.DataFrame, names: dict[str, str]) -> pd.DataFrame:
    """Columns of a table, by their new names, as text in per cent: "-3.1 [-4.4, -1.9]", the ends those of name_low and name_high."""
    return pd.DataFrame(
        {
            new: [
                f"{100 * v:.1f} [{100 * low:.1f}, {100 * high:.1f}]"
                for v, low, high in table[[old, f"{old}_low", f"{old}_high"]].to_numpy()
            ]
            for old, new in names.items()
        },
        index=table.index,
    )


def _said(tests: pd.DataFrame) -> dict[tuple[str, str], str]:
    holm = adjusted_p(tests["p"]) < ALPHA
    words = np.where(holm, np.where(tests["z"] > 0, "more", "fewer"), "")
    mine = tests["measure"] == "contacted"
    return {(a, g): str(w) for a, g, w in zip(tests["attribute"][mine], tests["group"][mine], words[mine], strict=True)}


def audited_customers(shop: Shop, purchases: Purchases, day: int, size: int, seed: int) -> pd.DataFrame:
    """Rows of customers, sorted by id: those with a purchase before the day who agreed to be contacted (all, where no consent is
    recorded); at most `size`, drawn at random."""
    people = shop.frame("customers").sort_values("customer_id", kind="stable", ignore_index=True)
    kept = people["customer_id"].isin(purchases.customers[purchases.seen(day)])
    if "consent" in people:
        kept &= people["consent"].fillna(False).astype(bool)
    rows = np.flatnonzero(kept)
    some = rows[draws.sample(seed, "customers of an audit", people["customer_id"].iloc[rows], size=size)]
    return people.iloc[some].reset_index(drop=True)


def item_of(shop: Shop, purchases: Purchases, item: str, product: str) -> int:
    """Number of an item by its id or name; "" is the one bought most. Raises KeyError for one that the shop does not sell."""
    if not product:
        return int(np.bincount(purchases.what, minlength=len(purchases.items)).argmax())
    asked = product
    if item == "product_id" and shop.has("products", "name"):
        names = shop.frame("products", ["product_id", "name"])
        same = names.loc[names["name"] == product, "product_id"].sort_values()
        asked = same.iloc[0] if len(same) else product
    place = int(purchases.items.get_indexer([asked])[0])
    if place < 0:
        raise KeyError(f"product {product!r} is not sold in this shop; give the name or id of one, or leave it empty")
    return place


NUMBERS = ("Discount", "ExpectedDiscount", "ExpectedProfit")


def read_list(path: Path) -> pd.DataFrame:
    """customer_id, discount (share off), saving and profit (expected, missing where the list has none) of those whom a list writes to.

    Rows with Holdout "yes" are not written to. Raises ValueError where the file is no list, or holds a customer twice.
    """
    header = pd.read_csv(path, nrows=0)
    given = read_sheet(path, [c for c in header if c not in NUMBERS])
    if lacking := [c for c in ("CustomerID", "Discount") if c not in given]:
        raise ValueError(f"{path.name} has no column {lacking[0]}: an audit needs the list's CustomerID and Discount (percent)")
    if "Holdout" in given:
        given = given[given["Holdout"] != "yes"]
    given = given.assign(CustomerID=given["CustomerID"].str.removeprefix("'"))  # which keeps a spreadsheet from a formula
    if given["CustomerID"].duplicated().any():
        raise ValueError(f"{path.name} holds {given['CustomerID'][given['CustomerID'].duplicated()].iloc[0]} twice")
    frame = pd.DataFrame({"customer_id": given["CustomerID"], "discount": given["Discount"] / 100})
    for name, column in (("saving", "ExpectedDiscount"), ("profit", "ExpectedProfit")):
        frame[name] = given.get(column, np.nan)
    return frame.reset_index(drop=True)


def write_list(path: Path, customer: np.ndarray, discount: np.ndarray, saving: np.ndarray, profit: np.ndarray) -> None:
    """Write an allocation as a list that `read_list` reads: ids of those who are written to, share off, expected saving and profit."""
    frame = pd.DataFrame({"CustomerID": customer, "Discount": 100 * discount})
    frame = frame.assign(ExpectedDiscount=saving.round(2), ExpectedProfit=profit.round(2))
    write_sheet(frame, path, ("CustomerID",))


def measures_of(chosen: pd.DataFrame, people: pd.Series) -> list[Measure]:
    """contacted, discount (of the contacted) and, where the list promises them, predicted saving and profit a customer, contacted
    or not: of `people` [row] ids who could be on the list."""
    if (strange := ~chosen["customer_id"].isin(people)).any():
        raise ValueError(
            f"the list holds {chosen.loc[strange, 'customer_id'].iloc[0]}, who is not among those it is audited against"
        )
    at = chosen.set_index("customer_id").reindex(people)
    sent = people.isin(chosen["customer_id"]).to_numpy(float)
    out = [Measure("contacted", sent, np.ones(len(sent)))]
    if chosen["discount"].notna().all():
        out.append(Measure("discount", at["discount"].fillna(0).to_numpy(float), sent))
    for name in ("saving", "profit"):
        if chosen[name].notna().all():
            out.append(Measure(f"predicted {name}", at[name].fillna(0).to_numpy(float), np.ones(len(sent))))
    return out


def audit_list(
    path: Path, people: pd.Series, labels: pd.DataFrame, seed: int, draws: int = 400, least: int = MIN_CUSTOMERS
) -> tuple[pd.DataFrame, Path]:
    """The audit of the list in `path`, and the file <list name>_audit.csv beside it that it is written to.

    people: [row] ids of all who could have been on the list; labels: [row, attribute] theirs. Columns as `fairness.audit`, and p and p_holm
    of the null of equal shares. Whoever the list holds must be among `people`.
    """
    measures = measures_of(read_list(path), people)
    table = audit(measures, labels, people.to_numpy(object), seed, draws, least)
    tests = equal_shares(varying(measures), labels, people.to_numpy(object), least)
    tests["p_holm"] = adjusted_p(tests["p"])
    table = table.round(12).merge(tests.drop(columns="z"), on=["attribute", "group", "measure"], how="left")
    file = path.with_name(f"{path.stem}_audit.csv")
    with written_whole(file) as scratch:
        table.to_csv(scratch, index=False, float_format="%.6g")
    return table, file


def read_audit(path: Path) -> pd.DataFrame:
    """The audit of a list as `audit_list` gave it."""
    return pd.read_csv(path, dtype={"group": str}).rename(columns={"Holm": "p_holm"}).fillna({"note": ""})  # 0.1 wrote Holm


def largest_difference(audited: pd.DataFrame) -> pd.DataFrame:
    """The row (or none) of the group whose share of contacts lies furthest from that of the others: of those that Holm leaves, where it
    leaves any."""
    judged = _judged(audited)
    sure = judged[judged["p_holm"] < ALPHA]
    rows = sure if len(sure) else judged
    return rows.loc[rows["difference"].abs().sort_values(ascending=False, kind="stable").index[:1]]


def audit_sentence(audited: pd.DataFrame) -> str:
    """The finding of an audit in a sentence."""
    judged = _judged(audited)
    if judged.empty:
        return "No group is large enough to be judged."
    sure = judged[judged["p_holm"] < ALPHA]
    if sure.empty:
        return f"No group's share of contacts can be told from that of the others ({len(judged)} groups)."
    row = largest_difference(audited).iloc[0]
    kinds = [k.replace("_", " ") for k in dict.fromkeys(sure["attribute"])]
    ends = f"{100 * row['difference_low']:+.1f} to {100 * row['difference_high']:+.1f}"
    text = f"Groups by {', '.join(kinds)} are written to more or less often than others, by more than chance. Furthest off: "
    text += f"{row['attribute'].replace('_', ' ')} {row['group']}, of whom {row['value']:.1%} are written to"
    return text + f", {100 * row['difference']:+.1f} points beside the others ({ends})."


def _judged(audited: pd.DataFrame) -> pd.DataFrame:
    return audited[(audited["measure"] == "contacted") & (audited["note"] == "") & audited["p_holm"].notna()]


CONSTRAINTS = {"demographic parity": "demographic_parity", "equalised odds": "equalized_odds"}


class FixedProbability(ClassifierMixin, BaseEstimator):
    """A classifier whose one feature is a chance that another model foretold."""

    def fit(self, x: np.ndarray, y: np.ndarray) -> "FixedProbability":
        """Nothing is learnt."""
        self.classes_ = np.array([0, 1])
        return self

    def predict_proba(self, x: np.ndarray) -> np.ndarray:
        """[row, 2]"""
        p = np.asarray(x, float).reshape(len(x), -1)[:, 0]
        return np.column_stack([1 - p, p])


def fit_threshold_rules(
    chance: np.ndarray,
    label: np.ndarray,
    group: np.ndarray,
    fit: np.ndarray,
    known: np.ndarray,
    customer: np.ndarray,
    seed: int,
) -> dict[str, np.ndarray]:
    """`threshold_rules` of the rows whose group is known; the others are contacted by no rule."""
    found = threshold_rules(chance[known], label[known], group[known], fit[known], customer[known], seed)
    out = {}
    for name, contacted in found.items():
        out[name] = np.zeros(len(chance), bool)
        out[name][known] = contacted
    return out


def threshold_rules(
    chance: np.ndarray, label: np.ndarray, group: np.ndarray, fit: np.ndarray, customer: np.ndarray, seed: int
) -> dict[str, np.ndarray]:
    """name -> [row] who is contacted: by one threshold for all, and by thresholds that hold to demographic parity and to equalised odds.

    All maximise balanced accuracy on the rows of `fit` (Hardt, Price & Srebro 2016; Fairlearn's ThresholdOptimizer, whose
    thresholds may be drawn at random, here by customer and `seed`); the other rows are to judge them. Raises ValueError where a group
    of `fit` holds no buyer, or buyers only.
    """
    from fairlearn.postprocessing import ThresholdOptimizer

    frame = pd.DataFrame({"y": label[fit].astype(int), "group": group[fit]}).groupby("group")["y"].agg(["min", "max"])
    if (one := frame[frame["min"] == frame["max"]]).size:
        raise ValueError(f"group {one.index[0]!r} has buyers only, or none: no rate of errors can be held equal")
    x = chance[:, None]
    steps = np.unique(np.quantile(chance[fit], np.linspace(0.01, 0.99, 99)))
    best = max(steps, key=lambda t: balanced_accuracy_score(label[fit], chance[fit] >= t))
    out = {"one threshold": chance >= best}
    for name, constraint in CONSTRAINTS.items():
        model = ThresholdOptimizer(
            estimator=FixedProbability().fit(x, label), constraints=constraint, objective="balanced_accuracy_score", prefit=True,
            predict_method="predict_proba",
        )  # fmt: skip
        model.fit(x[fit], label[fit].astype(int), sensitive_features=group[fit])
        # its own predict draws row after row
        likely = np.asarray(model._pmf_predict(x, sensitive_features=group))[:, 1]
        out[name] = draws.uniform(seed, f"threshold, {name}", customer) < likely
    return out
