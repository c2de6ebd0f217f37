"""Limits on a sum of use over rows: a budget, a number of contacts, a share of a group, a stock."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd


@dataclass(frozen=True)
class Cap:
    """The sum of `use` over the given arms is at most `limit`; with `group`, for the rows of each group apart.

    use: [row, arm], 0 for arm 0. limit: one number, or group -> number (a group that is not in it has no limit). group: [row] labels.
    At most a share s of all *contacts* in one city: limit 0, and use of 1 - s for a contact in the city, of -s for any other contact.
    """

    name: str
    use: np.ndarray
    limit: float | Mapping[object, float]
    group: np.ndarray | None = None


def share_cap(name: str, group: np.ndarray, share: float | Mapping[object, float], arms: int) -> Cap:
    """At most `share` of each group's rows are contacted (a fraction of 0 to 1, or group -> fraction). group: [row] labels.

    Rows are counted: where customers have several, it is a share of the contacts that could be made. Raises ValueError for other shares.
    """
    label, count = np.unique(np.asarray(group), return_counts=True)
    shares = share if isinstance(share, Mapping) else dict.fromkeys(label.tolist(), share)
    wrong = {k: s for k, s in shares.items() if not 0 <= s <= 1}
    if wrong:
        raise ValueError(f"{name}: share = {next(iter(wrong.values()))!r}: the share contacted must be from 0 to 1")
    limit = {k: shares[k] * n for k, n in zip(label.tolist(), count.tolist(), strict=True) if k in shares}
    return Cap(name, contacted(len(group), arms), limit, group)


def contacted(rows: int, arms: int) -> np.ndarray:
    """[row, arm] 1 for every arm but none (a view of one row: read only)."""
    return np.broadcast_to(np.append(0.0, np.ones(arms - 1)), (rows, arms))


def check(gain: np.ndarray, spend: np.ndarray, contacts: int | None, caps: Sequence[Cap]) -> None:
    names = [cap.name for cap in caps]
    if len(set(names)) < len(names):
        raise ValueError(f"the caps are named {names}: each needs a name of its own")
    for name, array in [("gain", gain), ("spend", spend)] + [(f"use of cap '{c.name}'", np.asarray(c.use)) for c in caps]:
        if array.shape != gain.shape:
            raise ValueError(f"{name} is {array.shape}, gain {gain.shape}: they must be of one shape, [row, arm]")
        if not np.isfinite(array).all():
            raise ValueError(f"{name}: {int((~np.isfinite(array)).sum()):,} numbers are missing or not finite")
        if (array[:, 0] != 0).any():
            wrong = int((array[:, 0] != 0).sum())
            raise ValueError(f"{name} of arm 0 must be 0, since arm 0 is no contact ({wrong:,} rows have another)")
    if contacts is not None and contacts >= 0 and contacts % 1 != 0:
        raise ValueError(f"contacts = {contacts!r}: the number of contacts must be whole")
    for cap in caps:
        if isinstance(cap.limit, Mapping) and cap.group is None:
            raise ValueError(f"cap '{cap.name}' has a limit for each group, but no group: give the [row] labels")
        for limit in cap.limit.values() if isinstance(cap.limit, Mapping) else [cap.limit]:
            if not limit >= 0:
                raise ValueError(f"{cap.name} = {limit!r}: a limit must be a number of at least 0")
        if cap.group is not None and (np.shape(cap.group) != (len(gain),) or pd.isna(np.asarray(cap.group)).any()):
            raise ValueError(f"group of cap '{cap.name}' is {np.shape(cap.group)}: it must be [row], {len(gain):,}, none missing")


def groups(cap: Cap) -> tuple[np.ndarray, Sequence[object], np.ndarray]:
    """[row] number of the row's group, [group] labels in rising order, [group] limits."""
    if cap.group is None:
        return np.zeros(len(cap.use), np.int64), [None], np.array([cap.limit], float)
    code, labels = pd.factorize(np.asarray(cap.group), sort=True)
    named = labels.tolist()
    of = cap.limit if isinstance(cap.limit, Mapping) else dict.fromkeys(named, cap.limit)
    return code.astype(np.int64), named, np.array([of.get(label, np.inf) for label in named], float)


def blocks(rows: int, customer: np.ndarray | None, per_customer: int | None) -> np.ndarray | None:
    """[row] number of the customer, None where no customer has more rows than contacts."""
    if customer is not None and (np.shape(customer) != (rows,) or pd.isna(np.asarray(customer)).any()):
        raise ValueError(f"customer is {np.shape(customer)}: it must be [row], {rows:,}, none missing")
    if per_customer is None:
        return None
    if customer is None:
        raise ValueError(f"per_customer = {per_customer!r} needs customer: [row] whose contact each row is")
    if not per_customer >= 0 or per_customer % 1 != 0:
        raise ValueError(f"per_customer = {per_customer!r}: the contacts of a customer must be a whole number of at least 0")
    code = pd.factorize(np.asarray(customer), sort=True)[0]
    return code if np.bincount(code).max() > per_customer else None
