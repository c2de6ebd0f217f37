"""Who is considered, what each offer would do to them, and who is chosen: with a response to rank by, and without one."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from promo_helpers.campaign.ask import Ask, AskError
from promo_helpers.campaign.chance import chances
from promo_helpers.campaign.evenly import Groups, allocate_evenly
from promo_helpers.campaign.kit import Kit, with_arm
from promo_helpers.decide.holdout import held_out
from promo_helpers.decide.season import at_level, daily_units, level
from promo_helpers.experiment.decisions import decision_features
from promo_helpers.models.response import Forecast, Response
from promo_helpers.ties import rounded

TRIES = 50  # in which limits are brought to bind exactly those who are written to
TENTH = 0.1  # of all who may be written to: the list where nothing tells what pays, and no number was asked for


@dataclass(frozen=True)
class Considered:
    """customer: [row] ids; features [row, feature] and expectations [row, arm] of an offer now; asked: [row] whether she bought in the
    category in the last 180 days, as everybody in the trial had: of others no trial says anything. times: level of the season."""

    customer: np.ndarray
    features: pd.DataFrame
    forecast: Forecast
    asked: np.ndarray
    response: Response
    times: float = 1.0

    def between(self, statistic: Callable[[Forecast], np.ndarray], rows: np.ndarray) -> tuple[np.ndarray, ...]:
        """estimate, low, high of a statistic of the forecast of these rows, at the level of the season; see `Response.between`."""
        features = self.features.iloc[rows].reset_index(drop=True)
        return self.response.between(lambda f: statistic(at_level(self.response, f, features, self.times)), features)

    @property
    def percent(self) -> np.ndarray:
        """[arm] discount in percent."""
        return np.asarray(100 * np.nan_to_num(self.response.doses[0].depth))


@dataclass(frozen=True)
class Chosen:
    """row: places among the considered, held out ones too; arm: [chosen]; held: [chosen]; price: gain of one more unit of the budget
    (0 where it does not bind, missing where nothing is known of gains); place: [chosen] gain of one more place on the list, alike, for one
    of her group where groups are to be even (negative where a group gets places for that alone); arms: those that could be chosen, none
    first; owed: [chosen] who is on the list for the sake of her group."""

    row: np.ndarray
    arm: np.ndarray
    held: np.ndarray
    price: float
    place: np.ndarray = field(default_factory=lambda: np.zeros(0))
    arms: np.ndarray = field(default_factory=lambda: np.zeros(1, int))
    owed: np.ndarray = field(default_factory=lambda: np.zeros(0, bool))


def responses_of(kit: Kit, ask: Ask) -> tuple[Response | None, str]:
    """The response to use, with the cost of this channel and an arm for a fixed discount; or None and why."""
    if kit.response is None:
        return None, kit.why
    response = replace(kit.response, costs=replace(kit.response.costs, message=ask.cost))
    if ask.discount is None:
        return response, ""
    try:
        return with_arm(response, ask.discount), ""
    except ValueError as error:
        return None, f"{error}, so that nobody can tell what it would change"


def considered(
    kit: Kit, response: Response, customer: np.ndarray, hour: np.ndarray, date: pd.Timestamp, items: list[int],
    partner: np.ndarray | None, times: float = 1.0,
) -> tuple[list[Considered], Considered | None]:  # fmt: skip
    """What is expected of every customer for each item, and, with `partner` [customer] (-1 none), for hers; in one pass over the shop.

    times: level of the season that the offer falls into, over that which the response was learnt in (`decide.season`).
    """
    time = date + pd.to_timedelta(hour, unit="h")
    ids = kit.purchases.items.to_numpy(object)
    parts = [pd.DataFrame({"customer_id": customer, "product_id": ids[i], "time": time}) for i in items]
    if partner is not None:
        some = partner >= 0
        parts.append(pd.DataFrame({"customer_id": customer[some], "product_id": ids[partner[some]], "time": time[some]}))
    features = decision_features(kit.shop, pd.concat(parts, ignore_index=True))
    found = list[Considered]()
    for part in np.split(np.arange(len(features)), np.cumsum([len(p) for p in parts])[:-1]):
        mine = features.iloc[part].reset_index(drop=True)
        who = customer if len(found) < len(items) or partner is None else customer[partner >= 0]
        told = at_level(response, response.expected(mine), mine, times)
        found.append(Considered(who, mine, told, mine["category_180"].to_numpy() > 0, response, times))
    return found[: len(items)], found[len(items)] if partner is not None else None


def season(kit: Kit, date: pd.Timestamp) -> tuple[float, str]:
    """The level of the season after a date, over that after the contacts of the shop's trial, and a sentence on it."""
    contacts = kit.shop.frame("contacts", ["time", "trial_id"])
    learnt = pd.DatetimeIndex(contacts.loc[contacts["trial_id"].notna(), "time"])
    return level(daily_units(kit.shop), learnt, date)


def by_gain(view: Considered, ask: Ask, seed: int, groups: Groups | None = None, name: str = "") -> Chosen:
    """Who gets which arm so that most is gained within the budget and the number, which bind those who are written to.

    Who is held out is drawn first, a random share of all; they are chosen by the same limits and then not written to. So more are chosen
    than the limits say, as many as it takes. groups: of the considered, whose shares are kept close. name: of the campaign, see `held_out`.
    """
    rows = np.flatnonzero(view.asked)
    inside = (view.percent >= ask.between[0]) & (view.percent <= ask.between[1])
    arms = np.append(0, 1 + np.flatnonzero(inside[1:]))
    if ask.discount is not None:
        arms = np.array([0, view.response.arms.index(f"{ask.discount:g}")])
    if len(arms) < 2:
        low, high = ask.between
        tried = ", ".join(f"{p:g}" for p in view.percent[1:])
        raise AskError(
            [f"no discount from {low:g} to {high:g} % was tried; the trial tried {tried} %: choose a range that holds one"]
        )
    if not len(rows):
        return Chosen(rows[:0], rows[:0], np.zeros(0, bool), 0.0)
    gain, spend = (np.ascontiguousarray(v[np.ix_(rows, arms)]) for v in (view.forecast.gain, view.forecast.spend))
    held = held_out(view.customer[rows], ask.holdout, seed, name)
    number, budget = ask.customers, None if ask.budget is None else ask.budget / (1 - ask.holdout)
    mine = None if groups is None else replace(groups, label=groups.label[rows])
    if mine is not None and number is not None:  # a place more may cost others theirs: begin with all who pay, and take away
        number = len(rows)
    for _ in range(TRIES):
        found = allocate_evenly(gain, spend, budget, number, view.customer[rows], mine)
        to = (found.arm > 0) & ~held
        spent = float(spend[np.flatnonzero(to), found.arm[to]].sum())
        places = int((found.arm > 0).sum())
        more = 0 if ask.customers is None else ask.customers - int(to.sum())
        if ask.budget is not None and budget is not None and spent > ask.budget:
            budget *= ask.budget / spent * (1 - 1e-6)
        elif number is not None and mine is not None and more < 0:
            number = places + more
        elif number is not None and mine is None and more > 0 and places == number < len(rows):
            number = min(number + more, len(rows))
        else:
            break
    sent = np.flatnonzero(found.arm > 0)
    return Chosen(rows[sent], arms[found.arm[sent]], held[sent], found.price, found.place[sent], arms, found.owed[sent])


def by_chance(
    kit: Kit, ask: Ask, customer: np.ndarray, item: int, seed: int, name: str = ""
) -> tuple[Chosen, np.ndarray, str]:  # fmt: skip
    """The likeliest buyers, with the chance [customer] of each and where it comes from; who is held out is drawn first, as in `by_gain`.

    A budget is what messages cost, and the discount on one unit of each expected purchase. Without a number and a budget the likeliest
    tenth is chosen: nothing tells how many pay.
    """
    chance, origin = chances(kit, customer, item)
    held = held_out(customer, ask.holdout, seed, name)
    order = np.lexsort((customer.astype(str), -rounded(chance)))
    number = math.ceil(TENTH * len(customer)) if ask.customers is None and ask.budget is None else len(customer)
    if ask.customers is not None:
        number = min(int(np.searchsorted(np.cumsum(~held[order]), ask.customers)) + 1, number)
    if ask.budget is not None:
        off = np.nan_to_num((ask.discount or 0) / 100 * kit.items["price"].iloc[item])
        spent = np.cumsum((ask.cost + off * chance[order]) * ~held[order])
        number = min(int(np.searchsorted(spent, ask.budget * (1 + 1e-12), side="right")), number)
        if not (~held[order[:number]]).any():
            raise AskError([f"BUDGET={ask.budget:g}: one message costs {ask.cost:g} and its discount; give more than that"])
    row = np.sort(order[:number])
    return Chosen(row, np.ones(len(row), int), held[row], float("nan")), chance, origin
