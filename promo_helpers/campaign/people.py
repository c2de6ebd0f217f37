"""Whom the shop may write to: consent, and the one field that the channel needs. Nothing else of a person leaves the shop's tables."""

from dataclasses import dataclass

import pandas as pd

from promo_helpers.campaign.ask import AskError, Channel
from promo_helpers.shop import Shop
from promo_helpers.shop.sheets import safe_phone


@dataclass(frozen=True)
class People:
    """who: customer_id, name, city, contact; one row each, sorted by id. left: reason, customers. notes: what the shop doesn't record."""

    who: pd.DataFrame
    left: pd.DataFrame
    notes: tuple[str, ...]


def contactable(shop: Shop, channel: Channel) -> People:
    """Customers who agreed to be contacted (and did not opt out since: that takes the consent away) and have the channel's field.

    What no table of the shop holds for anybody cannot be asked of anybody: then all stay, and a note says what to check before sending.
    Raises AskError where nobody is left.
    """
    wanted = [c for c in ("customer_id", "name", "city", "consent", channel.column) if shop.has("customers", c)]
    people = shop.frame("customers", wanted).sort_values("customer_id", kind="stable", ignore_index=True)
    if people.empty:
        raise AskError(["the shop has no customers: nobody can be written to"])
    out = pd.DataFrame({"customer_id": people["customer_id"].astype(str)})
    for column, given in (("name", "name"), ("city", "city"), ("contact", channel.column)):
        out[column] = people[given].astype(object).where(people[given].notna(), "") if given in people else ""
    notes, left = list[str](), list[tuple[str, int]]()
    kept = pd.Series(True, out.index)
    if "consent" in people:
        agreed = people["consent"].fillna(False).astype(bool)
        left.append(("did not agree to be contacted, or opted out", int((~agreed).sum())))
        kept &= agreed
    else:
        notes.append("The shop records no consent: nobody may be written to before it has been asked for.")
    if channel.column in people:
        has = out["contact"].astype(str).str.strip() != ""
        left.append((f"no {channel.heading}, which {channel.name} needs", int((kept & ~has).sum())))
        kept &= has
    else:
        notes.append(f"The shop records no {channel.heading}: the list holds ids alone, to be joined to addresses elsewhere.")
    if not kept.any():
        reasons = "; ".join(f"{n:,} {why}" for why, n in left if n)
        raise AskError(
            [
                f"Nobody of {len(out):,} customers may be written to by {channel.name} ({reasons}): "
                "choose another CHANNEL, or ask for consent."
            ]
        )
    out = out[kept].reset_index(drop=True)
    if channel.column == "phone":
        out["contact"] = [safe_phone(c) if c else "" for c in out["contact"]]
    return People(out, pd.DataFrame(left, columns=["reason", "customers"]), tuple(notes))
