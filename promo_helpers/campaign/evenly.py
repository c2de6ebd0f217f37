"""Groups of customers: what the shop records of them, a list that chooses them alike, and what it gives up, in a sentence."""

import numpy as np
import pandas as pd

from promo_helpers.audit.fairness import KINDS, attributes
from promo_helpers.audit.measures import LEAST
from promo_helpers.audit.parity import allocate_even, gap
from promo_helpers.campaign.ask import Ask, AskError, Even
from promo_helpers.shop import Shop

OTHERS = "others"  # whose group is not known, or too small to be judged: together one group


def groups_of(shop: Shop, customer: pd.Series) -> pd.DataFrame:
    """[customer, attribute] labels as `audit.fairness.attributes` makes them; no column where the shop records none."""
    known = [c for c in (*KINDS, "age") if shop.has("customers", c)]
    frame = shop.frame("customers", ["customer_id", *known]).set_index("customer_id").reindex(customer)
    try:
        return attributes(frame.reset_index())
    except ValueError:
        return pd.DataFrame(index=customer.index)


def refuse(ask: Ask, groups: pd.DataFrame, why: str) -> None:
    """Raises AskError where an even list is asked for that cannot be made: without such groups, or without a response (`why`)."""
    if ask.even is None:
        return
    if ask.even.kind not in groups:
        known = ", ".join(Even(str(k), 0).name for k in groups) or "no group of them"
        raise AskError([f"EVEN={ask.even.name}: the shop records no {ask.even.name} of its customers; it records {known}"])
    if why:
        raise AskError(
            [f"EVEN={ask.even.name}: what a list gives up to be even is known only where a trial tells what offers earn: {why}"]
        )


def grouped(label: pd.Series, asked: np.ndarray) -> np.ndarray:
    """[customer] the group of each: her label, or OTHERS where it is missing or fewer of those `asked` share it than an audit judges."""
    known = label.astype(object).where(label.notna(), OTHERS).reset_index(drop=True)
    return np.asarray(known.where(known.map(known[asked].value_counts()).fillna(0) >= LEAST, OTHERS), object)


def allocate_evenly(
    gain: np.ndarray,
    spend: np.ndarray,
    budget: float | None,
    number: int | None,
    customer: np.ndarray,
    group: np.ndarray,
    apart: float,
) -> tuple[np.ndarray, float, np.ndarray]:
    """arm [row], the price of the budget and that of a place [row], which is one for each group: at these prices each row's best is hers.

    gain, spend: [row, arm]; at most one of budget and number is given; customer: [row], which decides between rows that are equally good.
    See `parity.allocate_even`.
    """
    order = np.argsort(customer.astype(str), kind="stable")
    sent = np.broadcast_to(np.arange(gain.shape[1]) > 0, gain.shape).astype(float)
    use, limit = (spend, budget) if number is None else (sent, float(number))
    found = allocate_even(gain[order], use[order], limit, group[order], apart)
    arm = np.zeros(len(gain), int)
    arm[order] = found.arm
    price, each = (found.price, 0.0) if number is None else (0.0, found.price)
    worth, place = (gain - price * spend)[:, 1:].max(axis=1), np.zeros(len(gain))
    for name in pd.unique(pd.Series(group)):
        mine = group == name
        last, first = worth[mine & (arm > 0)].min(initial=np.inf), worth[mine & (arm == 0)].max(initial=-np.inf)
        place[mine] = np.clip(each, first, max(last, first))  # of all prices between, the nearest to that of the other groups
    return arm, price, place


def said(asked: tuple[np.ndarray, np.ndarray], group: np.ndarray, earned: tuple[float, float], even: Even, currency: str) -> str:
    """What the list gives up, for how much less difference. asked: [row] arms of the even list and of the one that earns most, of those
    whom the offer may go to; group: [row]; earned: what the model promises of those of each who are written to."""
    one, other = (100 * gap(arm, group) for arm in asked)
    less = f", {1 - earned[0] / earned[1]:.1%} less" if earned[1] > earned[0] > 0 else ""
    return (
        f"Even by {even.name}, within {100 * even.apart:g} points: of those whom the offer may go to, the shares chosen differ between "
        f"groups by at most {one:.1f} points, and by {other:.1f} if that is not asked. The model promises {earned[0]:,.0f} {currency} "
        f"instead of {earned[1]:,.0f}{less}; what that costs in truth depends on how right the model is about these groups."
    )
