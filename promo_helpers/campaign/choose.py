"""How likely is a purchase? What a list is ranked by where no trial tells what an offer would change."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from promo_helpers import draws
from promo_helpers.audit.contacted import in_words
from promo_helpers.audit.fairness import MIN_CUSTOMERS
from promo_helpers.campaign.kit import Kit, with_interpolated_arm
from promo_helpers.campaign.request import CampaignRequest, ParityRule, RequestError
from promo_helpers.decide.allocate import Limits, Parity, allocate
from promo_helpers.decide.forecast import at_level, daily_units, season_level
from promo_helpers.decide.holdout import held_out
from promo_helpers.draws import rounded
from promo_helpers.evaluate import recommendation
from promo_helpers.experiment.contacts import decision_features
from promo_helpers.features.panel import Panel
from promo_helpers.features.waiting import ShoppingDays, known_at
from promo_helpers.models import bundles
from promo_helpers.models.demand import DemandForecast, DemandResponse
from promo_helpers.models.outlook import sending_day
from promo_helpers.models.send_time import HOURS, Habit, best_hours, circular_mean, hour_kernel, visits
from promo_helpers.models.timing import daily_curve

BATCH = 1200  # predict in batches of the training size: features of a product are counts of buyers within a batch
WINDOW, PAST = 14, 182  # days


def buying_probabilities(kit: Kit, customers: np.ndarray, item: int) -> tuple[np.ndarray, str]:
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
    groups = max(round(len(seen) / int(kit.purchase_facts.get("customers", BATCH))), 1)
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


BOUGHT_WITHIN = 182  # days: who bought a thing in them buys it already
SAMPLE = 4000  # customers whose baskets tell which things go together; with so many all planted pairs are found


def complements(kit: Kit, item: int, seed: int) -> pd.DataFrame:
    """Columns partner (number), lift, affinity: what is found to go with an item in the baskets so far, the closest first; may be empty."""
    p, kind = kit.purchases, kit.items["category"].to_numpy(object)
    if len(pd.unique(kind[pd.notna(kind)])) < 2:
        return pd.DataFrame({"partner": np.zeros(0, int), "lift": np.zeros(0), "affinity": np.zeros(0)})
    some = recommendation.purchases_by(p, draws.sample(seed, "customers whose baskets are counted", p.customers, size=SAMPLE))
    return bundles.partners(bundles.pairs(some, kind, seed), item)


def partner_not_bought(kit: Kit, customers: np.ndarray, partners: np.ndarray) -> np.ndarray:
    """[customer id] number of the first partner that she has not bought in the last QUIET days; -1 where she buys all of them."""
    p = kit.purchases
    found = np.full(len(customers), -1)
    number = p.customers.get_indexer(customers)
    rows = p.between(p.days - BOUGHT_WITHIN, p.days)
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
    table = known_at(shopping, kit.purchases.days)
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


def check_parity_request(rule: ParityRule | None, groups: pd.DataFrame, why: str) -> None:
    """Raises RequestError where parity is asked for that cannot be had: without such groups, or without a response (`why`)."""
    if rule is None:
        return
    if rule.attribute not in groups:
        recorded = ", ".join(in_words(str(k)) for k in groups) or "no group of them"
        raise RequestError([f"EVEN={rule.name}: the shop records no {rule.name} of its customers; it records {recorded}"])
    if why:
        raise RequestError(
            [f"EVEN={rule.name}: what a list gives up to be even is known only where a trial tells what offers earn: {why}"]
        )


def parity_groups(rule: ParityRule | None, groups: pd.DataFrame, eligible: np.ndarray) -> Parity | None:
    """Labels of the groups that are large enough to be judged, as an audit has it, and the tolerance; missing for who is in none.

    groups: [customer, attribute]; eligible: [customer] whom the offer may go to. Raises RequestError where there are not two such groups:
    nothing could be even.
    """
    if rule is None:
        return None
    label = groups[rule.attribute].astype(object).reset_index(drop=True)
    sizes = label[eligible].value_counts()
    if (sizes >= MIN_CUSTOMERS).sum() < 2:
        counts = ", ".join(f"{name} {n}" for name, n in sizes.items()) or "none"
        raise RequestError(
            [
                f"EVEN={rule.name}: at least two groups need {MIN_CUSTOMERS} customers whom the offer may go to (who bought in its"
                " category "
                f"within 180 days), and there are: {counts}; leave EVEN out, or choose other groups"
            ]
        )
    judged = eligible & label.isin(sizes.index[sizes >= MIN_CUSTOMERS]).to_numpy()
    return Parity(label.where(judged, None).to_numpy(object), rule.tolerance)


DEFAULT_SHARE = 0.1  # list length, of all who may be written to, without CUSTOMERS, BUDGET or a known effect


@dataclass(frozen=True)
class Candidates:
    """customer: [row] ids; features [row, feature] and expectations [row, arm] of an offer now; eligible: [row] whether she bought in
    the category in the last 180 days, as everybody in the trial had: of others no trial says anything. season_level: of the day of sending,
    over that of the trial."""

    customer: np.ndarray
    features: pd.DataFrame
    forecast: DemandForecast
    eligible: np.ndarray
    response: DemandResponse
    season_level: float = 1.0

    def between(self, statistic: Callable[[DemandForecast], np.ndarray], rows: np.ndarray) -> tuple[np.ndarray, ...]:
        """estimate, low, high of a statistic of the forecast of these rows, at the level of the season; see `DemandResponse.between`."""
        features = self.features.iloc[rows].reset_index(drop=True)
        return self.response.between(lambda f: statistic(at_level(self.response, f, features, self.season_level)), features)

    @property
    def percent(self) -> np.ndarray:
        """[arm] discount in percent."""
        return np.asarray(100 * np.nan_to_num(self.response.doses[0].depth))


@dataclass(frozen=True)
class Selection:
    """row: places among the considered, held out ones too; arm: [chosen]; held: [chosen]; price: gain of one more unit of the budget
    (0 where it does not bind, missing where nothing is known of gains); slot_price: [chosen] gain of one more contact, with parity of one
    more of her group (negative where a group is contacted for parity alone); arms: those that could be chosen, none first;
    added_for_parity: [chosen] who is on the list for parity alone; reserved: [considered] who is drawn into the holdout, chosen or not."""

    row: np.ndarray
    arm: np.ndarray
    held: np.ndarray
    price: float
    slot_price: np.ndarray = field(default_factory=lambda: np.zeros(0))
    arms: np.ndarray = field(default_factory=lambda: np.zeros(1, int))
    added_for_parity: np.ndarray = field(default_factory=lambda: np.zeros(0, bool))
    reserved: np.ndarray = field(default_factory=lambda: np.zeros(0, bool))


def responses_of(kit: Kit, ask: CampaignRequest) -> tuple[DemandResponse | None, str]:
    """The response to use, with the cost of this channel and an arm for a fixed discount; or None and why."""
    if kit.response is None:
        return None, kit.why
    response = replace(kit.response, costs=replace(kit.response.costs, message=ask.cost))
    if ask.discount is None:
        return response, ""
    try:
        return with_interpolated_arm(response, ask.discount), ""
    except ValueError as error:
        return None, f"{error}, so that its effect is unknown"


def predict_candidates(
    kit: Kit, response: DemandResponse, customer: np.ndarray, hour: np.ndarray, date: pd.Timestamp, items: list[int],
    partner: np.ndarray | None, season_level: float = 1.0,
) -> tuple[list[Candidates], Candidates | None]:  # fmt: skip
    """What is expected of every customer for each item, and, with `partner` [customer] (-1 none), for hers; in one pass over the shop.

    season_level: level of the season that the offer falls into, over that which the response was learnt in (`decide.forecast`).
    """
    time = date + pd.to_timedelta(hour, unit="h")
    ids = kit.purchases.items.to_numpy(object)
    parts = [pd.DataFrame({"customer_id": customer, "product_id": ids[i], "time": time}) for i in items]
    if partner is not None:
        some = partner >= 0
        parts.append(pd.DataFrame({"customer_id": customer[some], "product_id": ids[partner[some]], "time": time[some]}))
    features = decision_features(kit.shop, pd.concat(parts, ignore_index=True))
    found = list[Candidates]()
    for part in np.split(np.arange(len(features)), np.cumsum([len(p) for p in parts])[:-1]):
        mine = features.iloc[part].reset_index(drop=True)
        who = customer if len(found) < len(items) or partner is None else customer[partner >= 0]
        told = at_level(response, response.expected(mine), mine, season_level)
        found.append(Candidates(who, mine, told, mine["category_180"].to_numpy() > 0, response, season_level))
    return found[: len(items)], found[len(items)] if partner is not None else None


def campaign_season(kit: Kit, date: pd.Timestamp) -> tuple[float, str]:
    """The level of the season after a date, over that after the contacts of the shop's trial, and a sentence on it."""
    contacts = kit.shop.frame("contacts", ["time", "trial_id"])
    learnt = pd.DatetimeIndex(contacts.loc[contacts["trial_id"].notna(), "time"])
    return season_level(daily_units(kit.shop), learnt, date)


def select_by_gain(view: Candidates, ask: CampaignRequest, seed: int, parity: Parity | None = None, name: str = "") -> Selection:
    """Who gets which arm so that most is gained within the budget and the number, which bind those who are written to.

    Who is held out is drawn first, a random share of all. The others are allocated within the limits, and who is held out is chosen at
    the others' prices: both by one rule. parity: groups of the considered. name: of the campaign, see `held_out`.
    """
    rows = np.flatnonzero(view.eligible)
    inside = (view.percent >= ask.between[0]) & (view.percent <= ask.between[1])
    arms = np.append(0, 1 + np.flatnonzero(inside[1:]))
    if ask.discount is not None:
        arms = np.array([0, view.response.arms.index(f"{ask.discount:g}")])
    if len(arms) < 2:
        low, high = ask.between
        tried = ", ".join(f"{p:g}" for p in view.percent[1:])
        raise RequestError(
            [f"no discount from {low:g} to {high:g} % was tried; the trial tried {tried} %: choose a range that holds one"]
        )
    reserved = np.zeros(len(view.eligible), bool)
    if not len(rows):
        return Selection(rows[:0], rows[:0], np.zeros(0, bool), 0.0, reserved=reserved)
    gain, spend = (np.ascontiguousarray(v[np.ix_(rows, arms)]) for v in (view.forecast.gain, view.forecast.spend))
    held = held_out(view.customer[rows], ask.holdout, seed, name)
    reserved[rows] = held
    limits = Limits(ask.budget, ask.customers, parity=None if parity is None else parity._replace(group=parity.group[rows]))
    plan = allocate(gain, spend, limits, customer=view.customer[rows], held_out=held)
    to = np.flatnonzero(plan.arm > 0) if (plan.arm[~held] > 0).any() else np.zeros(0, int)  # no campaign, no holdout
    return Selection(
        rows[to],
        arms[plan.arm[to]],
        held[to],
        plan.price("budget"),
        plan.slot_price[to],
        arms,
        plan.added_for_parity[to],
        reserved,
    )


def select_by_probability(
    kit: Kit, ask: CampaignRequest, customer: np.ndarray, item: int, seed: int, name: str = ""
) -> tuple[Selection, np.ndarray, str]:  # fmt: skip
    """The likeliest buyers, with the chance [customer] of each and where it comes from; who is held out is drawn first, as in
    `select_by_gain`.

    A budget is what messages cost, and the discount on one unit of each expected purchase. Without a number and a budget the likeliest
    tenth is chosen: nothing tells how many pay.
    """
    chance, origin = buying_probabilities(kit, customer, item)
    held = held_out(customer, ask.holdout, seed, name)
    order = np.lexsort((customer.astype(str), -rounded(chance)))
    number = math.ceil(DEFAULT_SHARE * len(customer)) if ask.customers is None and ask.budget is None else len(customer)
    if ask.customers is not None:
        number = min(int(np.searchsorted(np.cumsum(~held[order]), ask.customers)) + 1, number)
    if ask.budget is not None:
        off = np.nan_to_num((ask.discount or 0) / 100 * kit.items["price"].iloc[item])
        spent = np.cumsum((ask.cost + off * chance[order]) * ~held[order])
        number = min(int(np.searchsorted(spent, ask.budget * (1 + 1e-12), side="right")), number)
        if not (~held[order[:number]]).any():
            raise RequestError([f"BUDGET={ask.budget:g}: one message costs {ask.cost:g} and its discount; give more than that"])
    row = np.sort(order[:number])
    return Selection(row, np.ones(len(row), int), held[row], float("nan")), chance, origin
