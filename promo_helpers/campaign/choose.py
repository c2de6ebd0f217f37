"""How likely is a purchase? What a list is ranked by where no trial tells what an offer would change."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from promo_helpers import draws
from promo_helpers.audit.contacted import in_words
from promo_helpers.audit.fairness import LEAST
from promo_helpers.campaign.kit import Kit, with_arm
from promo_helpers.campaign.request import Alike, Ask, AskError
from promo_helpers.decide.allocate import allocate
from promo_helpers.decide.forecast import at_level, daily_units, level
from promo_helpers.decide.holdout import held_out
from promo_helpers.decide.parity import allocate_even, gap
from promo_helpers.draws import rounded
from promo_helpers.evaluate import recommendation
from promo_helpers.experiment.contacts import decision_features
from promo_helpers.features.panel import Panel
from promo_helpers.features.waiting import ShoppingDays, known
from promo_helpers.models import bundles
from promo_helpers.models.demand import Forecast, Response
from promo_helpers.models.outlook import sending_day
from promo_helpers.models.send_time import HOURS, Habit, best_hours, circular_mean, hour_kernel, visits
from promo_helpers.models.timing import daily_curve

ALIKE = 1200  # customers taken together: as many as the saved model learnt from, since features of a product count buyers
WINDOW, PAST = 14, 182  # days


def chances(kit: Kit, customers: np.ndarray, item: int) -> tuple[np.ndarray, str]:
    """([customer id] chance of buying the item within two weeks, where it comes from in words).

    By the saved purchase model; where there is none, by how many of the last half year's fortnights had a purchase of hers, drawn
    towards everybody's as if she had been seen for two more.
    """
    p = kit.purchases
    number = p.customers.get_indexer(customers)
    if kit.purchase is None:
        return _frequency(kit, item)[number], "past frequency of buying"
    found = np.full(len(p.customers), np.nan)
    seen = p.seen(p.days)
    groups = max(round(len(seen) / int(kit.purchase_facts.get("customers", ALIKE))), 1)
    together = draws.parts(0, "customers taken together", p.customers[seen], number=groups)
    for group in np.unique(together):
        panel = Panel.of(kit.shop, p, seen[together == group], np.array([item]), kit.item)
        x, names = panel.features(p.days)
        place = [names.index(n) for n in kit.purchase.names]
        found[panel.known(p.days)] = kit.purchase.predict(x[:, 0, place])["ensemble"]
    found[np.isnan(found)] = np.nanmin(found)  # who never bought anything is no likelier than the least likely
    return found[number], "chance of buying by the saved purchase model"


def _frequency(kit: Kit, item: int) -> np.ndarray:
    p = kit.purchases
    length = min(PAST, p.days)
    rows = p.between(p.days - length, p.days)
    rows = rows[p.what[rows] == item]
    count = max(length // WINDOW, 1)
    window = np.minimum((p.days - 1 - p.day[rows]) // WINDOW, count - 1)
    bought = np.unique(p.who[rows].astype(np.int64) * count + window) // count
    times = np.bincount(bought, minlength=len(p.customers))
    return np.asarray((times + 2 * times.mean() / count) / (count + 2))


QUIET = 182  # days: who bought a thing in them buys it already
SAMPLE = 4000  # customers whose baskets tell which things go together; with so many all planted pairs are found


def complements(kit: Kit, item: int, seed: int) -> pd.DataFrame:
    """Columns partner (number), lift, affinity: what is found to go with an item in the baskets so far, the closest first; may be empty."""
    p, kind = kit.purchases, kit.items["category"].to_numpy(object)
    if len(pd.unique(kind[pd.notna(kind)])) < 2:
        return pd.DataFrame({"partner": np.zeros(0, int), "lift": np.zeros(0), "affinity": np.zeros(0)})
    some = recommendation.only(p, draws.sample(seed, "customers whose baskets are counted", p.customers, size=SAMPLE))
    return bundles.partners(bundles.pairs(some, kind, seed), item)


def not_yet(kit: Kit, customers: np.ndarray, partners: np.ndarray) -> np.ndarray:
    """[customer id] number of the first partner that she has not bought in the last QUIET days; -1 where she buys all of them."""
    p = kit.purchases
    found = np.full(len(customers), -1)
    number = p.customers.get_indexer(customers)
    rows = p.between(p.days - QUIET, p.days)
    for partner in partners[::-1]:
        buys = np.zeros(len(p.customers), bool)
        buys[p.who[rows][p.what[rows] == partner]] = True
        found[~buys[number]] = partner
    return found


WITHIN = 7  # days: a campaign is sent within a week, so that its windows are over within three
EARLIEST, LATEST = 8, 21  # hours at which a message is no nuisance


def hours(kit: Kit, customers: np.ndarray) -> np.ndarray:
    """[customer id] hour to write at, 8 to 21: her habit of hours drawn towards everybody's, or, without a model, the shop's mean hour."""
    counts = visits(kit.purchases, 0, kit.purchases.days)[0]
    if kit.timing is None or "hours" not in kit.timing:
        everybody = circular_mean(counts.sum(axis=0)[None, :])[0]
        found = np.full(len(customers), everybody)
    else:
        frame, settings = kit.timing["hours"], kit.timing["settings"]
        strength = float(frame["strength"].iloc[0])
        habit = Habit(frame["base"].to_numpy(), frame["prior"].to_numpy(), hour_kernel(strength), strength)
        number = kit.purchases.customers.get_indexer(customers)
        mine = np.where(number[:, None] >= 0, counts[number], 0)
        found = best_hours(habit, mine, float(settings["hour_for_all"]))[settings["hour_method"]]
    return np.clip(np.round(found).astype(int) % HOURS, EARLIEST, LATEST)


def days(kit: Kit, customers: np.ndarray, date: pd.Timestamp, within: int = WITHIN) -> np.ndarray:
    """[customer id] midnight of the day to write on, from `date` on, at most `within` days: the likeliest day of a visit by the saved
    daily chances, never after the one by which she is as likely as not to have come. Without model or history it is `date`."""
    start = np.datetime64(date.normalize(), "ns")
    if kit.timing is None:
        return np.full(len(customers), start)
    shopping = ShoppingDays.of(kit.purchases)
    table = known(shopping, kit.purchases.days)
    number = kit.purchases.customers.get_indexer(customers)
    place = pd.Index(table["customer"]).get_indexer(number)
    mine = table.iloc[np.maximum(place, 0)].reset_index(drop=True)
    first = np.full(len(mine), date.weekday())
    settings = kit.timing["settings"]
    length = min(within, int(settings["horizon"]))
    curve = daily_curve(kit.timing["daily"], mine, first, length, list(settings["columns"])).curve
    assert curve is not None
    middle = 1 + (curve < 0.5).sum(axis=1)
    day = np.array([sending_day(c, 1, int(m)) for c, m in zip(curve, middle, strict=True)], int).reshape(-1)
    return start + np.where(place >= 0, day - 1, 0).astype("timedelta64[D]")


CLOSE = 1e-9  # shares that differ by exactly what is allowed are within it


@dataclass(frozen=True)
class Groups:
    """label: [customer] the group, missing for whom no offer may go to, and where it is not known or too small to be judged: such customers
    are held to no share. apart: most that shares may differ by. aside: customers whom an offer may go to and who have no label."""

    label: np.ndarray
    apart: float
    aside: int


@dataclass(frozen=True)
class Evenly:
    """arm: [row]. price: of the budget; place: [row] of a place on the list, one for each group: at these prices each row's best is its
    arm, but for rows at the margin. owed: [row] on the list for the sake of its group, since at the price that all pay it would not be."""

    arm: np.ndarray
    price: float
    place: np.ndarray
    owed: np.ndarray


def refuse(alike: Alike | None, groups: pd.DataFrame, why: str) -> None:
    """Raises AskError where an even list is asked for that cannot be made: without such groups, or without a response (`why`)."""
    if alike is None:
        return
    if alike.kind not in groups:
        known = ", ".join(in_words(str(k)) for k in groups) or "no group of them"
        raise AskError([f"EVEN={alike.name}: the shop records no {alike.name} of its customers; it records {known}"])
    if why:
        raise AskError(
            [f"EVEN={alike.name}: what a list gives up to be even is known only where a trial tells what offers earn: {why}"]
        )


def judged(alike: Alike | None, groups: pd.DataFrame, asked: np.ndarray) -> Groups | None:
    """The groups that are large enough to be judged, as an audit has it. groups: [customer, attribute]; asked: [customer] whom the offer
    may go to.

    Raises AskError where there are not two of them: nothing could be even.
    """
    if alike is None:
        return None
    label = groups[alike.kind].astype(object).reset_index(drop=True)
    sizes = label[asked].value_counts()
    if (sizes >= LEAST).sum() < 2:
        told = ", ".join(f"{name} {n}" for name, n in sizes.items()) or "none"
        raise AskError(
            [
                f"EVEN={alike.name}: at least two groups need {LEAST} customers whom the offer may go to (who bought in its category "
                f"within 180 days), and there are: {told}; leave EVEN out, or choose other groups"
            ]
        )
    kept = asked & label.isin(sizes.index[sizes >= LEAST]).to_numpy()
    return Groups(label.where(kept, None).to_numpy(object), alike.apart, int((asked & ~kept).sum()))


def allocate_evenly(
    gain: np.ndarray, spend: np.ndarray, budget: float | None, number: int | None, customer: np.ndarray, groups: Groups | None
) -> Evenly:
    """Who gets which arm so that most is gained within budget and number, and the groups are chosen alike.

    gain, spend: [row, arm], arm 0 none; customer: [row], which decides between rows that are equally good; groups: labels [row]; where it
    is given, at most one of budget and number may be. See `budget.allocate`, and `parity.allocate_even` where that is not even as it is.
    """
    free = allocate(gain, spend, budget, contacts=number, customer=customer)
    each = free.price("contacts") if number is not None else 0.0
    price, nobody = free.price("budget") if budget is not None else 0.0, np.zeros(len(gain), bool)
    if groups is None or gap(free.arm, groups.label) <= groups.apart + CLOSE:
        return Evenly(free.arm, price, np.full(len(gain), each), nobody)
    order = np.argsort(customer.astype(str), kind="stable")
    sent = np.broadcast_to(np.arange(gain.shape[1]) > 0, gain.shape).astype(float)
    use, limit = (spend, budget) if number is None else (sent, float(number))
    found = allocate_even(gain[order], use[order], limit, groups.label[order], groups.apart)
    arm = np.zeros(len(gain), int)
    arm[order] = found.arm
    price, each = (found.price, 0.0) if number is None else (0.0, found.price)
    worth, place = (gain - price * spend)[:, 1:].max(axis=1), np.full(len(gain), each)
    for name in pd.unique(pd.Series(groups.label).dropna()):
        mine = groups.label == name
        last, first = worth[mine & (arm > 0)].min(initial=np.inf), worth[mine & (arm == 0)].max(initial=-np.inf)
        if not first <= each <= last:  # the band sets the share: who falls below the best that is left out makes room for her
            place[mine] = first if np.isfinite(first) else last
    return Evenly(arm, price, place, (arm > 0) & (worth < each - CLOSE * (1 + abs(each))))


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

    times: level of the season that the offer falls into, over that which the response was learnt in (`decide.forecast`).
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
