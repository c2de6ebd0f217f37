"""A list that chooses groups of customers alike: which groups can be judged, and who gets what then."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from promo_helpers.audit.groups import in_words
from promo_helpers.audit.measures import LEAST
from promo_helpers.audit.parity import allocate_even, gap
from promo_helpers.campaign.ask import Alike, AskError
from promo_helpers.decide.budget import allocate

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
