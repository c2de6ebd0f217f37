"""Sums over the past of many moments at once: each group's rows in order of time, and cumulative sums between two places of it."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

SPAN = 10**10  # seconds, more than any shop's data cover


@dataclass(frozen=True)
class PrefixSums:
    """Rows ordered by group and second, with exact cumulative sums of whole numbers.

    key: [row] group x SPAN + second, increasing. sums: name -> [row + 1] cumulative. order: [row] where each row came from.
    """

    key: np.ndarray
    sums: dict[str, np.ndarray]
    order: np.ndarray

    @classmethod
    def of(cls, group: np.ndarray, second: np.ndarray, values: dict[str, np.ndarray]) -> "PrefixSums":
        """From groups (whole numbers of at least 0), seconds (of at least 0) and values to sum."""
        key = group.astype(np.int64) * SPAN + second.astype(np.int64)
        order = np.argsort(key, kind="stable")
        sums = {name: np.append(np.zeros(1, v.dtype), np.cumsum(v[order])) for name, v in values.items()}
        return cls(key[order], sums, order)

    def place(self, group: np.ndarray, second: np.ndarray) -> np.ndarray:
        """[moment] the first row of the group that is not before the second: what is strictly before lies left of it."""
        return np.searchsorted(self.key, group.astype(np.int64) * SPAN + np.maximum(second, 0).astype(np.int64))

    def between(self, group: np.ndarray, since: np.ndarray, until: np.ndarray) -> dict[str, np.ndarray]:
        """Per moment, the sum of every value over the group's rows with since <= second < until; and `rows`, how many they are."""
        low, high = self.place(group, since), self.place(group, until)
        return {"rows": high - low} | {name: total[high] - total[low] for name, total in self.sums.items()}

    def last(self, group: np.ndarray, until: np.ndarray) -> np.ndarray:
        """Second of the group's last row strictly before `until`, as a float; missing where there is none."""
        before = np.append(-1, self.key)[self.place(group, until)]  # -1 belongs to no group
        return np.where(before // SPAN == group, before % SPAN, np.nan)


DAY = 86_400  # seconds
ALWAYS = -(10**9)  # seconds before everything
WINDOW = 14  # days in which an offer holds; a redemption is known once they are over
AHEAD = 14  # days of the price promotions that are planned
PROMOTED, REDEEMED = 0.08, 0.1  # shares where little is known: fixed, for a mean of the data would look ahead
PRIOR, PRIOR_WEIGHT = 0.7, 0.33  # response to in-store depth: where little was bought, a lift of about 40 % at 20 % off
EXPANDED = 4_000_000  # pairs of contact and earlier line held at a time


@dataclass(frozen=True)
class Lines:
    """Bought lines of some customers: numbers of customer, product, basket; second since `start`; whole units and cents; and the
    depth of the in-store promotion under which each was bought (0 none)."""

    who: np.ndarray
    what: np.ndarray
    second: np.ndarray
    basket: np.ndarray
    units: np.ndarray
    paid: np.ndarray
    promo: np.ndarray


@dataclass(frozen=True)
class Moments:
    """Contacts to describe: numbers of customer and product, second since `start`."""

    who: np.ndarray
    what: np.ndarray
    second: np.ndarray


def shelf_depth(promotions: pd.DataFrame, products: pd.Index, start: pd.Timestamp, days: int) -> np.ndarray:
    """[product, day] depth of the price promotion that runs, 0 where none or not known; the deepest where several do. A coupon is none."""
    depth = np.zeros((len(products), days))
    if "discount" not in promotions:
        return depth
    if "kind" in promotions:
        promotions = promotions[promotions["kind"].str.lower() != "coupon"]
    for row in promotions.dropna(subset=["discount"]).itertuples(index=False):
        place = products.get_indexer([row.product_id])[0]
        first, last = (row.start_date - start).days, (row.end_date - start).days
        if place >= 0 and last >= 0 and first < days:
            span = slice(max(first, 0), last + 1)
            depth[place, span] = np.maximum(depth[place, span], row.discount)
    return depth


def contact_history(
    lines: Lines, at: Moments, category: np.ndarray, price: np.ndarray, depth: np.ndarray
) -> dict[str, np.ndarray]:
    """Features [contact] of past purchases, strictly before each moment; counts of units unless said, times in days.

    category, price: [product]. depth: [product, day] as `shelf_depth`.
    trips_28, trips_90, trips_180, spend_90 (money), recency, basket (units a trip), unit_price (mean), late_share (trips after 17:00),
    hour_gap (hours between the contact and her usual hour), promotion_share (of units, shrunk), response (see `_response`), sure
    (how much is known of that); of the product: product_28, product_90, product_180, product_all, product_recency,
    product_promotion_share; of its category: category_90, category_180, category_recency, category_promotion_share, category_share (of
    her units), product_share (of the category's); and of the shelf: product_price, promotion_now (depth), promotion_ahead and
    promotion_past (mean depth of the two weeks to come and of the four before), promotion_days (share of the days to come with one).
    """
    n_products, n_categories = len(category), int(category.max(initial=0)) + 1
    kind, offered = category[lines.what], category[at.what]
    promoted = np.where(lines.promo > 0, lines.units, 0)
    values = {"units": lines.units, "promoted": promoted}
    customer = PrefixSums.of(lines.who, lines.second, values | {"paid": lines.paid})
    pair = PrefixSums.of(lines.who * np.int64(n_products) + lines.what, lines.second, values)
    kin = PrefixSums.of(lines.who * np.int64(n_categories) + kind, lines.second, values)
    trips = _trips(lines)
    mine, its = at.who * np.int64(n_products) + at.what, at.who * np.int64(n_categories) + offered

    def since(days: int) -> np.ndarray:
        return np.maximum(at.second - days * DAY, 0)

    always = np.zeros_like(at.second)
    ever, own, of_kind = (b.between(g, always, at.second) for b, g in ((customer, at.who), (pair, mine), (kin, its)))
    visits = trips.between(at.who, always, at.second)
    recent = kin.between(its, since(180), at.second)
    out = {f"trips_{d}": trips.between(at.who, since(d), at.second)["rows"] for d in (28, 90, 180)}
    out["spend_90"] = customer.between(at.who, since(90), at.second)["paid"] / 100
    out["recency"] = (at.second - trips.last(at.who, at.second)) / DAY
    out["basket"] = _ratio(ever["units"], visits["rows"])
    out["unit_price"] = _ratio(ever["paid"] / 100, ever["units"])
    out["late_share"] = _ratio(visits["late"], visits["rows"])
    usual = np.arctan2(visits["sin"], visits["cos"]) * 24 / (2 * np.pi)
    gap = np.abs((at.second % DAY) / 3600 - usual) % 24
    out["hour_gap"] = np.where(visits["rows"] > 0, np.minimum(gap, 24 - gap), np.nan)
    for name, sums, weight in (("", ever, 20), ("product_", own, 5), ("category_", of_kind, 5)):
        out[f"{name}promotion_share"] = (sums["promoted"] + weight * PROMOTED) / (sums["units"] + weight)
    out |= {f"product_{d}": pair.between(mine, since(d), at.second)["units"] for d in (28, 90, 180)}
    out["product_all"] = own["units"]
    out["product_recency"] = (at.second - pair.last(mine, at.second)) / DAY
    out["category_90"], out["category_180"] = kin.between(its, since(90), at.second)["units"], recent["units"]
    out["category_recency"] = (at.second - kin.last(its, at.second)) / DAY
    out["category_share"] = _ratio(of_kind["units"], ever["units"])
    out["product_share"] = _ratio(own["units"], of_kind["units"])
    out["response"], out["sure"] = _response(lines, customer, at, depth)
    day, length = at.second // DAY, depth.shape[1]
    total = np.hstack([np.zeros((len(depth), 1)), np.cumsum(depth, axis=1)])
    out["promotion_now"] = depth[at.what, day]
    out["promotion_ahead"] = (total[at.what, np.minimum(day + 1 + AHEAD, length)] - total[at.what, day + 1]) / AHEAD
    out["promotion_past"] = (total[at.what, day] - total[at.what, np.maximum(day - 28, 0)]) / 28
    ran = np.hstack([np.zeros((len(depth), 1)), np.cumsum(depth > 0, axis=1)])
    out["promotion_days"] = (ran[at.what, np.minimum(day + 1 + AHEAD, length)] - ran[at.what, day + 1]) / AHEAD
    out["product_price"] = price[at.what]
    return {name: np.asarray(column, float) for name, column in out.items()}


def offer_history(
    who: np.ndarray, what: np.ndarray, second: np.ndarray, depth: np.ndarray, redeemed: np.ndarray, at: Moments
) -> dict[str, np.ndarray]:
    """Features [contact] of earlier offers: offers_30, offers_90, offers_all, offers_recency (days), discounts (offers with a
    discount whose window is over), redeemed_share (of those, shrunk), redeemed_depth (mean discount redeemed).

    The arrays describe earlier assignments that were sent: customer, product, second, discount (share), redeemed.
    """
    deep = (depth > 0).astype(np.int64)
    used = deep * redeemed
    sent = PrefixSums.of(who, second, {"deep": deep, "used": used, "percent": np.rint(100 * depth * used).astype(np.int64)})
    always = np.zeros_like(at.second)
    over = sent.between(at.who, always, (at.second // DAY - WINDOW) * DAY)
    out = {f"offers_{d}": sent.between(at.who, np.maximum(at.second - d * DAY, 0), at.second)["rows"] for d in (30, 90)}
    out["offers_all"] = sent.between(at.who, always, at.second)["rows"]
    out["offers_recency"] = (at.second - sent.last(at.who, at.second)) / DAY
    out["discounts"] = over["deep"]
    out["redeemed_share"] = (over["used"] + 2 * REDEEMED) / (over["deep"] + 2)
    out["redeemed_depth"] = _ratio(over["percent"] / 100, over["used"])
    return {name: np.asarray(column, float) for name, column in out.items()}


def _trips(lines: Lines) -> PrefixSums:
    """Baskets instead of lines, with the hour as a point of the clock's circle."""
    first = np.unique(lines.basket, return_index=True)[1]
    hour = lines.second[first] % DAY / 3600
    angle = hour * 2 * np.pi / 24
    circle = {"sin": np.rint(1000 * np.sin(angle)).astype(np.int64), "cos": np.rint(1000 * np.cos(angle)).astype(np.int64)}
    return PrefixSums.of(lines.who[first], lines.second[first], circle | {"late": (hour >= 17).astype(np.int64)})


def _ratio(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    return np.divide(above, below, out=np.full(len(above), np.nan), where=np.asarray(below) != 0)


def _response(lines: Lines, customer: PrefixSums, at: Moments, depth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How much more she buys at the depth of in-store promotions than the days they ran would explain, and the information on it.

    Given her units u_j of each product so far, those bought on a day with depth w have chances proportional to exp(beta w): the score
    of beta at 0 is sum(units x w) - sum_j u_j E[w_j], its information sum_j u_j Var[w_j], with mean and variance over the days so far.
    One step from 0, shrunk as if PRIOR_WEIGHT of information had said PRIOR / PRIOR_WEIGHT.
    """
    until = np.arange(1, depth.shape[1] + 1)
    mean = np.cumsum(depth, axis=1) / until
    spread = np.cumsum(depth**2, axis=1) / until - mean**2
    item, units, promo = lines.what[customer.order], lines.units[customer.order], lines.promo[customer.order]
    low, high = customer.place(at.who, np.zeros_like(at.second)), customer.place(at.who, at.second)
    score, known = np.zeros(len(low)), np.zeros(len(low))
    size = np.cumsum(high - low)
    cuts = np.searchsorted(size, np.arange(EXPANDED, int(size[-1]) if len(size) else 0, EXPANDED))
    for rows in np.split(np.arange(len(low)), cuts):
        length = high[rows] - low[rows]
        row = np.repeat(np.arange(len(rows)), length)
        place = np.arange(length.sum()) - np.repeat(np.cumsum(length) - length, length) + low[rows][row]
        day = np.maximum(at.second[rows] // DAY - 1, 0)[row]
        u, j = units[place], item[place]
        score[rows] = np.bincount(row, u * (promo[place] - mean[j, day]), minlength=len(rows))
        known[rows] = np.bincount(row, u * spread[j, day], minlength=len(rows))
    return (score + PRIOR) / (known + PRIOR_WEIGHT), known


def described(customers: pd.DataFrame, at: Moments, start: pd.Timestamp) -> dict[str, np.ndarray]:
    """Features [contact] of what the shop records of a customer: age, female (1, 0), segment (place by name), tenure (days)."""
    out: dict[str, Any] = {}
    if "age" in customers:
        out["age"] = customers["age"].to_numpy(float)[at.who]
    if "gender" in customers:
        gender = customers["gender"].str.lower().str[:1]
        out["female"] = gender.map({"f": 1.0, "m": 0.0}).to_numpy(float)[at.who]
    if "segment" in customers:
        codes = pd.Categorical(customers["segment"]).codes.astype(float)
        out["segment"] = np.where(codes < 0, np.nan, codes)[at.who]
    if "registration_date" in customers:
        since = (customers["registration_date"] - start).dt.total_seconds().to_numpy(float)
        out["tenure"] = (at.second - since[at.who]) / DAY
    return out
