"""What an audit takes means of, summed by customer."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from promo_helpers import draws as keyed
from promo_helpers.inference import percentiles
from promo_helpers.inference import share as share_between

if TYPE_CHECKING:
    from fairlearn.metrics import MetricFrame

MIN_CUSTOMERS = 50  # customers of a group that a mean is taken over


@dataclass(frozen=True)
class Measure:
    """A mean over customers: the sum of value x weight over that of weight; both [row]."""

    name: str
    value: np.ndarray
    weight: np.ndarray


def by_customer(measures: Sequence[Measure], customer: np.ndarray) -> tuple[pd.Index, np.ndarray, np.ndarray]:
    """Customers in the order of their first rows; [customer, measure] sums of value x weight, and of weight."""
    code, people = pd.factorize(np.asarray(customer))
    for m in measures:
        if len(m.value) != len(customer) or len(m.weight) != len(customer):
            raise ValueError(f"measure '{m.name}' has {len(m.value):,} rows, customer {len(customer):,}")
        if not (np.isfinite(m.value).all() and np.isfinite(m.weight).all() and (m.weight >= 0).all()):
            raise ValueError(f"measure '{m.name}': values and weights must be numbers, weights at least 0")
    num = [np.bincount(code, m.weight * m.value, minlength=len(people)) for m in measures]
    den = [np.bincount(code, m.weight, minlength=len(people)) for m in measures]
    return pd.Index(people), np.column_stack(num), np.column_stack(den)


def one_label(labels: pd.DataFrame, customer: np.ndarray) -> pd.DataFrame:
    """Labels of each customer once, in the order of their first rows. Raises ValueError for a customer with two."""
    code = pd.factorize(np.asarray(customer))[0]
    place = np.unique(code, return_index=True)[1]
    for attribute in labels:
        label = pd.factorize(labels[attribute])[0]
        wrong = label != label[place][code]
        if wrong.any():
            who = np.asarray(customer)[np.argmax(wrong)]
            raise ValueError(f"customer {who!r} has several labels of {attribute}: give one a customer")
    return labels.iloc[place].reset_index(drop=True)


SHUFFLES = 100


def offer_measures(
    arm: np.ndarray, depth: np.ndarray, saving: np.ndarray, profit: np.ndarray, persuadable: np.ndarray | None = None
) -> list[Measure]:
    """What an allocation does to its customers, as measures over rows.

    arm: [row]; depth: [arm] share off; saving, profit: [row, arm], expected, in money. contacted (share), discount (share off, of the
    contacted), saving (of the customer: discount that she is expected to redeem) and profit (of the firm), both a customer, contacted
    or not; with persuadable [row] (some offer truly pays) also left out, the share of these who get nothing: the false negatives.
    """
    rows, sent, all_ = np.arange(len(arm)), arm > 0, np.ones(len(arm))
    out = [
        Measure("contacted", sent.astype(float), all_),
        Measure("discount", np.nan_to_num(depth)[arm], sent.astype(float)),
        Measure("saving", saving[rows, arm], all_),
        Measure("profit", profit[rows, arm], all_),
    ]
    return out if persuadable is None else [*out, Measure("left out", (~sent).astype(float), persuadable.astype(float))]


def classification_measures(selected: np.ndarray, label: np.ndarray) -> list[Measure]:
    """Of a classification: contacted (equal in demographic parity); buyers contacted and others contacted (both equal in equalised odds,
    Hardt, Price & Srebro 2016). selected, label (she buys): [row]."""
    s, y = selected.astype(float), label.astype(float)
    return [
        Measure("contacted", s, np.ones(len(s))),
        Measure("buyers contacted", s, y),
        Measure("others contacted", s, 1 - y),
    ]


def audit(
    measures: Sequence[Measure], labels: pd.DataFrame, customer: np.ndarray, seed: int, draws: int = 400,
    least: int = MIN_CUSTOMERS, level: float = 0.95,
) -> pd.DataFrame:  # fmt: skip
    """One row an attribute, group and measure: customers (that the mean is over), value, difference and ratio (group against all others
    whose label is known), each with _low and _high, and note: why a group is not judged, "" where it is.

    labels: [row, attribute], one label a customer, missing where unknown. Intervals: percentiles of `draws` resamples of customers, in
    each of which a customer counts Poisson(1) times, by her id and the seed; of a share of 0 or 1, Wilson's. A group is refused where it
    or all others have fewer than `least` customers.
    Raises ValueError for rows that differ in number, a customer with two labels, and a missing value or weight.
    """
    people, num, den = by_customer(measures, customer)
    if len(labels) != len(customer):
        raise ValueError(f"labels has {len(labels):,} rows, customer {len(customer):,}")
    first = one_label(labels, customer)
    coded = {attribute: pd.factorize(first[attribute], sort=True) for attribute in labels}
    within = {a: (code[:, None] == np.arange(len(names))).astype(float) for a, (code, names) in coded.items() if len(names)}
    drawn: dict[str, list[tuple[np.ndarray, ...]]] = {a: [] for a in within}
    some = max(keyed.CELLS // len(people), 1)
    for begin in range(0, draws, some):
        draw = keyed.bootstrap(seed, "audit by group", people, n=min(some, draws - begin), first=begin)
        for attribute, inside in within.items():
            drawn[attribute].append(_compared(inside, num, den, draw))
    parts = []
    for attribute, inside in within.items():
        names = coded[attribute][1]
        counted = np.stack([inside.T @ (den[:, m] > 0) for m in range(len(measures))], 1).astype(int)
        point = _compared(inside, num, den, None)
        boot = [np.concatenate(parts_of) for parts_of in zip(*drawn[attribute], strict=True)]
        for m, measure in enumerate(measures):
            frame = pd.DataFrame({"attribute": attribute, "group": names, "measure": measure.name, "customers": counted[:, m]})
            others = counted[:, m].sum() - counted[:, m]
            few = (counted[:, m] < least) | (others < least)
            for k, name in enumerate(("value", "difference", "ratio")):
                low, high = percentiles(boot[k][:, :, m], level, known=0.5)  # missing where most draws are
                if name == "value" and set(np.unique(measure.value[measure.weight > 0])) <= {0.0, 1.0}:
                    low, high = _none_or_all(point[k][0, :, m], counted[:, m], low, high, level)
                for column, found in ((name, point[k][0, :, m]), (f"{name}_low", low), (f"{name}_high", high)):
                    frame[column] = np.where(few, np.nan, found)
            frame["note"] = [
                f"too few to judge: {n} of {least}" if n < least else f"too few others: {o} of {least}" if o < least else ""
                for n, o in zip(counted[:, m], others, strict=True)
            ]
            parts.append(frame.iloc[sorted(range(len(names)), key=lambda k: _place(names[k]))])
    return pd.concat(parts, ignore_index=True)


def gaps(
    measures: Sequence[Measure], labels: pd.DataFrame, customer: np.ndarray, seed: int, draws: int = 400,
    least: int = MIN_CUSTOMERS, other: Sequence[Measure] | None = None,
) -> pd.DataFrame:  # fmt: skip
    """One row an attribute and measure: gap, the largest difference between two groups that can be judged, with low and high; by_chance,
    the mean gap where labels are drawn anew among the customers; groups. Intervals as in `audit`, 95 %.

    A largest difference is never below 0 and grows with the number of groups: by_chance is what to hold it against. With `other`, the
    same measures under another policy: other_gap, and change (other_gap less gap, on the same groups and resamples) with low and high.
    """
    people, *sums = by_customer(measures, customer)
    more = list(sums) if other is None else list(by_customer(other, customer)[1:])
    first = one_label(labels, customer)
    draw = keyed.bootstrap(seed, "gaps between groups", people, n=draws)
    # the sorted labels are dealt out in the order of the customers' numbers: one more customer changes few labels
    shuffled = np.argsort(keyed.uniform(seed, "labels anew", people, n=SHUFFLES), axis=0, kind="stable")
    rows = []
    for attribute in labels:
        code, names = pd.factorize(first[attribute], sort=True)
        inside = (code[:, None] == np.arange(len(names))).astype(float)
        boot, again = (_compared(inside, s[0], s[1], draw)[0] for s in (sums, more))
        dealt = inside[np.argsort(code, kind="stable")].T
        chance = np.stack([_means(dealt @ sums[0][order], dealt @ sums[1][order]) for order in shuffled.T])
        for m, measure in enumerate(measures):
            kept = np.minimum(*(inside.T @ (s[1][:, m] > 0) for s in (sums, more))) >= least
            if kept.sum() < 2:
                continue
            point, second = (np.ptp(_means(inside.T @ s[0], inside.T @ s[1])[kept, m]) for s in (sums, more))
            spread, spread_of_other = np.ptp(boot[:, kept, m], axis=1), np.ptp(again[:, kept, m], axis=1)
            low, high = percentiles(spread, known=0)
            row = {
                "attribute": attribute,
                "measure": measure.name,
                "groups": int(kept.sum()),
                "gap": point,
                "low": low,
                "high": high,
            }
            row["by_chance"] = float(np.nanmean(np.ptp(chance[:, kept, m], axis=1)))
            if other is not None:
                low, high = percentiles(spread_of_other - spread, known=0)
                row |= {"other_gap": second, "change": second - point, "change_low": low, "change_high": high}
            rows.append(row)
    return pd.DataFrame(rows, columns=None if rows else ["attribute", "measure", "groups", "gap", "low", "high", "by_chance"])


def varying(measures: Sequence[Measure]) -> list[Measure]:
    """Those in which customers differ at all: one depth for everybody leaves nothing to test."""
    return [m for m in measures if (m.weight > 0).any() and np.ptp(m.value[m.weight > 0]) > 1e-9]


def two_ages(bands: pd.Series, border: int = 45) -> pd.Series:
    """Bands of age as two groups by the first number that each names ("45-54", "60 and over", "under 30"), missing where unknown."""
    first = bands.astype("string").str.extract(r"(\d+)")[0].astype(float)
    named = np.where(first >= border, f"{border} and over", f"under {border}")
    return pd.Series(named.astype(object), bands.index).where(first.notna())


def metric_frame(measure: Measure, group: np.ndarray) -> "MetricFrame":
    """Fairlearn's MetricFrame of a measure by group, for whoever wants its own methods (difference, ratio, group_max)."""
    from fairlearn.metrics import MetricFrame

    def mean(y_true: np.ndarray, y_pred: np.ndarray, sample_weight: np.ndarray) -> float:
        return float(np.average(y_pred, weights=sample_weight)) if np.sum(sample_weight) > 0 else float("nan")

    return MetricFrame(
        metrics=mean, y_true=np.zeros(len(group)), y_pred=measure.value, sensitive_features=np.asarray(group),
        sample_params={"sample_weight": measure.weight},
    )  # fmt: skip


def _place(name: object) -> tuple[str, float, bool, str]:
    """Where a group stands among others: by the text before a comma, then by its first number ("under 30" before "30 to 44")."""
    text = str(name).lower()
    first, _, last = text.rpartition(", ")
    number = re.search(r"\d+", last)
    return first, float(number.group()) if number else 0.0, "under" not in last, last


def _means(num: np.ndarray, den: np.ndarray) -> np.ndarray:
    return np.asarray(np.divide(num, den, out=np.full(num.shape, np.nan), where=den > 0))


def _compared(inside: np.ndarray, num: np.ndarray, den: np.ndarray, draw: np.ndarray | None) -> tuple[np.ndarray, ...]:
    """[draw, group, measure] means, less and over those of all others with a label."""
    weight = np.ones((1, len(inside))) if draw is None else draw
    n, d = (np.stack([(weight @ (inside * v[:, [m]])) for m in range(v.shape[1])], 2) for v in (num, den))
    mean, rest = _means(n, d), _means(n.sum(1, keepdims=True) - n, d.sum(1, keepdims=True) - d)
    ratio = np.divide(mean, rest, out=np.full(mean.shape, np.nan), where=rest > 0)
    return mean, mean - rest, ratio


def _none_or_all(
    share: np.ndarray, customers: np.ndarray, low: np.ndarray, high: np.ndarray, level: float
) -> tuple[np.ndarray, np.ndarray]:
    """Wilson's ends for shares of 0 and 1, of which every resample is the same."""
    ends = share_between(share * customers, np.maximum(customers, 1), level)
    return np.where(share == 1, ends["low"], low), np.where(share == 0, ends["high"], high)


def bounds(selected: np.ndarray, group: np.ndarray, shares: dict[object, float] | None = None) -> pd.DataFrame:
    """One row a group: known (customers), selected (share of them), difference (to all others that are known), and the bounds of that
    difference over all customers: low, high where the unknown may be anybody; mix_low, mix_high where the unknown are of the groups in
    given proportions (`shares`: group -> fraction of the unknown; those of the known unless given), whoever of them is selected.

    selected: [customer]; group: [customer], missing where unknown. The bounds are sharp (Manski 2003, chapter 1): some completion of the
    labels attains each. They hold whatever decides whose label is known. Raises ValueError where no label is known.
    """
    label, picked = np.asarray(group, object), np.asarray(selected, bool)
    unknown = pd.isna(label)
    if unknown.all():
        raise ValueError("group: no label is known, so nothing bounds a difference")
    u, us = int(unknown.sum()), int(picked[unknown].sum())
    rows = []
    for name in sorted(pd.unique(label[~unknown]), key=str):
        mine = ~unknown & (label == name)
        other = ~unknown & ~mine
        n, s, no, so = int(mine.sum()), int(picked[mine].sum()), int(other.sum()), int(picked[other].sum())
        share = n / (n + no) if shares is None else shares[name]
        m = min(round(share * u), u)
        most, least = min(m, us), max(0, m - (u - us))

        def between(a: int, m: int, n: int = n, s: int = s, no: int = no, so: int = so) -> float:
            """Difference where m of the unknown are in the group, a of them selected."""
            there, rest = n + m, no + u - m
            return (s + a) / there - (so + us - a) / rest if there and rest else np.nan

        rows.append(
            {
                "group": name, "known": n, "selected": s / n, "difference": s / n - so / no if no else np.nan,
                "low": between(0, u - us), "high": between(us, us), "mix_low": between(least, m), "mix_high": between(most, m),
            }
        )  # fmt: skip
    return pd.DataFrame(rows)
