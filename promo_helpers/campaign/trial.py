"""The next trial: how many customers, which arms, how long, what it would see, and what it is worth."""

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd

from promo_helpers.experiment.contacts import AFTER, WINDOW
from promo_helpers.experiment.design import POWER_FACTOR
from promo_helpers.inference import student

ARMS = (0.0, 0.05, 0.10, 0.15, 0.20, 0.25)  # a reminder and five discounts, beside the control
CONTROL = 0.22  # share of the control: sqrt(6) / (6 + sqrt(6)) is .29 for six contrasts with it; a little less, for arms are compared too
YEAR = 365
DAYS_BETWEEN_CONTACTS = WINDOW + AFTER  # days between two contacts of a customer, so that nobody's response mixes them
LEARNER, CASE = "dose-response", "default"


@dataclass(frozen=True)
class Proposal:
    """contacts in all, customers written to in each round, rounds, weeks; arms: arm, share, contacts, pays, sees (shares of customers)."""

    contacts: int
    customers: int
    rounds: int
    weeks: int
    arms: pd.DataFrame

    def sentence(self) -> str:
        """The proposal as a marketer reads it."""
        clear = self.arms[(self.arms["detectable_gain"] <= self.arms["break_even_gain"]) & (self.arms["discount"] > 0)]
        times = {2: "twice"}.get(self.rounds, f"{self.rounds} times")
        often = f" {times}, {DAYS_BETWEEN_CONTACTS // 7} weeks apart," if self.rounds > 1 else ""
        text = (
            f"Offer it to {self.customers:,} customers{often} with the discount drawn by chance"
            f" ({', '.join(f'{a} for {s:.0%}' for a, s in zip(self.arms['arm'], self.arms['share'], strict=True))}): "
            f"{self.contacts:,} contacts in {self.weeks} weeks. "
        )
        if len(clear):
            low, high = clear["discount"].min(), clear["discount"].max()
            names = f"{low:.0%} off" if len(clear) == 1 else f"every discount from {low:.0%} to {high:.0%}"
            return text + f"That detects, four times in five, the average effect at which {names} would pay for itself."
        return text + "That is too small to see the average effect at which a discount would pay: use fewer arms."


def propose_trial(
    chance: float, price: float, margin: float, cost: float, customers: int, contacts: int | None = None
) -> Proposal:
    """A trial for a product that a share `chance` of customers buys in two weeks without an offer.

    price, margin (share of the price), cost of a message. contacts: wanted; by default as many as a year can hold, at most 20,000. Depths
    below the margin only. `break_even_gain` is the gain in the chance of buying by which an arm breaks even if every buyer
    takes the discount;
    `detectable_gain` the smallest gain seen four times in five (two-sided, 5 %), from the binomial spread. Raises ValueError
    without customers and
    for a chance, price or margin that no trial can be made of.
    """
    if customers < 1:
        raise ValueError("no customers may be written to: there is nobody to try an offer on")
    if not (0 < chance < 1 and price > 0 and 0 < margin <= 1):
        raise ValueError(
            f"chance = {chance}, price = {price}, margin = {margin}: all must be above 0, chance below 1, margin at most 1"
        )
    most = customers * (YEAR // DAYS_BETWEEN_CONTACTS)
    wanted = min(contacts if contacts is not None else 20_000, most)
    rounds = math.ceil(wanted / customers)
    each = math.ceil(wanted / rounds)
    depths = [d for d in ARMS if d < margin]
    share = np.append(CONTROL, np.full(len(depths), (1 - CONTROL) / len(depths)))
    number = share * each * rounds
    off = np.append(np.nan, depths)
    pays = (off * chance + cost / price) / (margin - off)
    sees = POWER_FACTOR * np.sqrt(chance * (1 - chance) * (1 / number + 1 / number[0]))
    names = ["none", *("a reminder" if d == 0 else f"{d:.0%}" for d in depths)]
    table = pd.DataFrame(
        {
            "arm": names,
            "discount": off,
            "share": share,
            "contacts": np.round(number),
            "break_even_gain": pays,
            "detectable_gain": sees,
        }
    )
    table.loc[0, "detectable_gain"] = np.nan
    return Proposal(
        each * rounds, each, rounds, math.ceil((rounds - 1) * DAYS_BETWEEN_CONTACTS / 7) + DAYS_BETWEEN_CONTACTS // 7, table
    )


def trial_value(study: pd.DataFrame) -> pd.DataFrame:
    """What a trial of so many contacts is worth, LKR a decision in the simulated market, from the kept study: contacts, value, low, high
    (Student's 95 % over markets), and more, more_low, more_high: what each 5,000 contacts beyond the size before earned, paired by market.

    Without a trial nothing is sent, and the value is 0.
    """
    mine = study[(study["case"] == CASE) & (study["learner"] == LEARNER)]
    table = mine.pivot_table(index="seed", columns="contacts", values="value").sort_index(axis=1)
    rows, before, size_before = [], pd.Series(0.0, table.index), 0
    for size in table:
        level, more = student(table[size]), student((table[size] - before) * 5_000 / (size - size_before))
        rows.append((int(size), *(part[k] for part in (level, more) for k in ("estimate", "low", "high")), len(table)))
        before, size_before = table[size], int(size)
    return pd.DataFrame(rows, columns=["contacts", "value", "low", "high", "more", "more_low", "more_high", "markets"])


def trial_value_sentences(table: pd.DataFrame, customers: int) -> list[str]:
    """The table in sentences, for a campaign to so many customers; every one says that it is the simulated market's figure."""
    said = []
    for row in table.itertuples():
        start = (
            "The first 5,000 contacts"
            if row.Index == 0
            else f"5,000 more contacts, between {table['contacts'][row.Index - 1]:,} and {row.contacts:,},"
        )
        said.append(
            f"{start} earn Rs {row.more * customers:,.0f}"
            f" (95 % interval {row.more_low * customers:,.0f} to {row.more_high * customers:,.0f})"
            f" with each campaign to {customers:,} customers, in the simulated market ({row.markets} markets)."
        )
    return said
