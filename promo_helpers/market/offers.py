"""Who gets offers: randomised trials with known chances, and the old rule whose chances only the truth knows."""

import math
from typing import NamedTuple

import numpy as np
from numba import njit

from promo_helpers.draws import Source, following
from promo_helpers.market.goods import Goods, Shelf
from promo_helpers.market.law import ARM, CHANCES, COLUMNS, DAY, HOUR, PRODUCT
from promo_helpers.market.parameters import DEPTHS, SPAN, Parameters
from promo_helpers.market.people import Block, Folk

GIVEN, TRIAL, LOG = 0, 1, 2  # who decides a contact
NOT_SENT = -1  # arm of a slot that came to nothing
LOG_START, LOG_EVERY, LOG_SLOTS = 21, 21, 7  # days: the old rule's campaigns, every three weeks from the fourth week on
TRIAL_START, TRIAL_EVERY, TRIAL_SLOTS = 204, SPAN, 6  # days: trials come after the old rule's last campaign and its six weeks
LOG_JITTER, TRIAL_JITTER = 2, 9  # days by which a customer's contacts are moved, all by the same
LOOK_BACK = 90  # days of trips that the old rule looks at
RECENCY_UNIT = 30.0  # days: the rule counts recency in months


class Rule(NamedTuple):
    """The numbers that decide contacts."""

    trial_chance: np.ndarray  # [7]
    trial_products: np.ndarray
    recent: int
    base: float
    recency: float
    frequency: float
    spend: float
    depth: float
    overlap: float
    confounding: float
    s_mean: float  # of log s, to standardise what the rule sees under hidden confounding
    s_spread: float


def rule_of(goods: Goods) -> Rule:
    """Trial and old rule of a market."""
    p = goods.p
    return Rule(
        np.array(p.trial_probability), goods.trial, p.recent, p.rule_base, p.rule_recency, p.rule_frequency, p.rule_spend, p.rule_depth,
        p.overlap, p.confounding, math.log(max(p.effect * p.sensitivity, 1e-9)), max(p.sensitivity_spread * p.heterogeneity, 1e-9),
    )  # fmt: skip


def plan(p: Parameters, rng: np.random.Generator, block: Block, goods: Goods) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Slots of a block: contacts [slot, column] with day, hour and, for campaigns, product; their kind; where a customer's start.

    Only who consented has slots, from the registration on. A customer's contact frequency in the trial is drawn at random, so
    that fatigue can be learnt; the slots of one customer lie a window and its six weeks apart.
    """
    n = len(block.seen)
    day = np.hstack(
        [
            LOG_START + LOG_EVERY * np.arange(LOG_SLOTS) + rng.integers(0, LOG_JITTER, (n, 1)),
            TRIAL_START + TRIAL_EVERY * np.arange(TRIAL_SLOTS) + rng.integers(0, TRIAL_JITTER, (n, 1)),
        ]
    )
    frequency = rng.choice(np.array(p.trial_frequency), (n, 1))
    frequency = frequency / np.mean(p.trial_frequency) * p.trial_use
    use = np.hstack([np.full((n, LOG_SLOTS), p.log_use), np.broadcast_to(np.minimum(frequency, 1), (n, TRIAL_SLOTS))])
    keep = rng.random(day.shape) < use
    keep &= (
        block.seen["consent"].to_numpy(bool)[:, None] & (day > block.hidden["begin"].to_numpy()[:, None]) & (day < p.days - SPAN)
    )
    hour = rng.choice(np.array(p.send_hours), day.shape)
    who, slot = np.nonzero(keep)
    contacts = np.zeros((len(who), COLUMNS))
    contacts[:, DAY], contacts[:, HOUR], contacts[:, ARM] = day[keep], hour[keep], NOT_SENT
    contacts[:, PRODUCT] = goods.trial[slot % len(goods.trial)]  # a campaign of the rule is about one product
    kind = np.where(slot < LOG_SLOTS, LOG, TRIAL)
    return contacts, kind, np.searchsorted(who, np.arange(n + 1))


@njit(cache=True, nogil=True)
def rule_chances(
    rule: Rule, folk: Folk, i: int, day: float, seen: int, trip_day: np.ndarray, trip_spend: np.ndarray, chances: np.ndarray
) -> None:
    """Chances of the seven arms under the old rule: a logit in recency, frequency and spend of the last 90 days."""
    trips, spend = 0, 0.0
    for n in range(seen - 1, max(-1, seen - 1 - len(trip_day)), -1):
        if day - trip_day[n % len(trip_day)] > LOOK_BACK:
            break
        trips += 1
        spend += trip_spend[n % len(trip_day)]
    recency = (day - trip_day[(seen - 1) % len(trip_day)]) / RECENCY_UNIT
    hidden = rule.confounding * (math.log(max(folk.s[i], 1e-9)) - rule.s_mean) / rule.s_spread
    score = rule.recency * recency + rule.frequency * (math.log1p(trips) - 1.5) + rule.spend * (math.log1p(spend / 1000.0) - 2.0)
    contact = 1.0 / (1.0 + math.exp(-(rule.base + rule.overlap * score + hidden)))
    total = 0.0
    for a in range(1, 7):
        chances[a] = math.exp((rule.overlap * rule.depth * (recency - 0.5) + 0.3 * hidden) * (a - 3.5))
        total += chances[a]
    for a in range(1, 7):
        chances[a] *= contact / total
    chances[0] = 1.0 - contact


@njit(cache=True, nogil=True)
def draw_arm(
    rng: Source, rule: Rule, folk: Folk, i: int, contacts: np.ndarray, c: int, kind: int, bought: np.ndarray, shelf: Shelf,
    seen: int, trip_day: np.ndarray, trip_spend: np.ndarray,
) -> bool:  # fmt: skip
    """Decide a slot: False where the customer is not eligible. A given contact stands as it is."""
    if kind == GIVEN:
        return True
    chances = contacts[c, CHANCES:]
    if kind == TRIAL:
        fit = 0
        for j in rule.trial_products:
            fit += contacts[c, DAY] - bought[shelf.category[j]] <= rule.recent
        if fit == 0:
            return False
        chosen = int(following(rng) * fit)
        for j in rule.trial_products:
            if contacts[c, DAY] - bought[shelf.category[j]] <= rule.recent:
                if chosen == 0:
                    contacts[c, PRODUCT] = j
                chosen -= 1
        chances[:] = rule.trial_chance
    else:
        if seen == 0:
            return False
        rule_chances(rule, folk, i, contacts[c, DAY], seen, trip_day, trip_spend, chances)
    target, arm = following(rng), 0
    while arm < len(DEPTHS) - 1 and target >= chances[arm]:
        target -= chances[arm]
        arm += 1
    contacts[c, ARM] = arm
    return True
