"""The omniscient oracle: the best arm for each decision, and the best use of a budget."""

import hashlib
import json
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields, replace
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from promo_helpers import paths
from promo_helpers.knapsack import greedy_allocation
from promo_helpers.market import worlds
from promo_helpers.market.goods import PAST_END, PRODUCTS, Goods
from promo_helpers.market.law import COLUMNS, DAY, OPTED, law_of
from promo_helpers.market.parameters import ARMS, DEPTHS, SPAN, Parameters
from promo_helpers.market.people import Block, draw_block
from promo_helpers.market.streams import BLOCK


def best(gain: np.ndarray) -> np.ndarray:
    """Arm of largest true gain per row of `gain` [decision, arm] in LKR; none where nothing gains."""
    return np.asarray(np.argmax(gain, axis=1))


def oracle_within_budget(gain: np.ndarray, spend: np.ndarray, budget: float) -> tuple[np.ndarray, float]:
    """Arms that earn most at an expected spend of at most `budget` LKR, and the shadow price (LKR gained by one more LKR).

    `gain` and `spend` are [decision, arm], column 0 is none with both 0. The gap to the optimum is at most the gain of one decision; see
    `knapsack.greedy_allocation`. Raises ValueError for a budget below 0 or a spend below 0.
    """
    if budget < 0 or not np.isfinite(budget):
        raise ValueError(f"budget = {budget!r}: must be a finite number of at least 0")
    if gain.shape != spend.shape or (spend < 0).any():
        raise ValueError("spend must have the shape of gain and be at least 0")
    rows = np.arange(len(gain))
    gain, spend = np.ascontiguousarray(gain), np.ascontiguousarray(spend)
    arm, price = greedy_allocation(gain, spend, np.zeros(len(gain), np.int64), np.array([float(budget)]), rows)
    return arm, float(price[0])


STATE = [
    "day",
    "hour",
    "product",
    "arm",
    "noticed",
    "boost",
    "share",
    "added",
    "tired",
    "opted_out",
    "redeemed",
    *(f"chance_{a}" for a in ARMS),
]  # the columns of `law`, by name
KEPT_BLOCKS = 6  # blocks of customers held in memory, 17 MB each
THREADS = 2  # the compiled loops release the lock
VALUES = ("buys", "units", "revenue", "discount", "spend", "window_profit", "value", "gain")  # of `Expected`, beside the bridge
BRIDGE = (
    "gross_bump", "switched", "brought_forward", "baseline_discount", "complements", "rest_of_basket", "opt_outs", "contact_cost",
)  # fmt: skip


@dataclass(frozen=True)
class Expected:
    """Expectations per contact and arm: each name of `values` is an array [contact, arm]; money in LKR.

    buys: chance of buying the product in the window. units, revenue, discount: of the product in the window. spend: discount
    redeemed and cost of the contact. window_profit: margin of the product in the window, less spend's parts. value: profit of the
    whole shop in the window and the six weeks after it (METHODS.md). gain: value less that of none. The names of `BRIDGE` add up
    to the gain.
    """

    contacts: pd.DataFrame
    values: dict[str, np.ndarray]
    chances: pd.DataFrame  # per contact: notices, tired (F), opts_out

    def __getitem__(self, name: str) -> np.ndarray:
        return self.values[name]

    def frame(self) -> pd.DataFrame:
        """Tidy: one row per contact and arm, with customer_id, product_id, time, arm and every value."""
        n = len(self.contacts)
        keys = {c: np.repeat(self.contacts[c].to_numpy(), len(ARMS)) for c in ("customer_id", "product_id", "time")}
        return pd.DataFrame(keys | {"arm": np.tile(ARMS, n)} | {k: v.ravel() for k, v in self.values.items()})

    @property
    def best_arm(self) -> np.ndarray:
        """Number of the arm with the largest gain, per contact."""
        return best(self["gain"])

    def oracle(self, budget: float) -> tuple[np.ndarray, float]:
        """Arms of the omniscient oracle at an expected spend of `budget` LKR, and the shadow price."""
        return oracle_within_budget(self["gain"], self["spend"], budget)


class Truth:
    """The hidden side of a simulated shop: traits, contacts as they really went, and the closed form of what would follow."""

    def __init__(self, p: Parameters, seed: int, contacts: pd.DataFrame | None = None, lost: np.ndarray | None = None):
        """A market without a history where `contacts` is None; `Truth.read` opens that of a shop."""
        self.p, self.seed, self.goods = p, seed, Goods(p, seed)
        empty = pd.DataFrame(np.empty((0, COLUMNS)), columns=STATE).assign(
            customer=np.empty(0, np.int64), contact_id=np.empty(0, np.int64)
        )
        self.history = empty if contacts is None else contacts
        self._lost = lost  # where a closed loop has gone on: first day without each customer
        self._blocks: OrderedDict[int, Block] = OrderedDict()

    @classmethod
    def read(cls, folder: Path | str, shop: Path | str | None = None) -> "Truth":
        """The truth that `simulate` wrote. Raises FileNotFoundError where there is none.

        Given the folder of a `shop`, raises ValueError where that shop came from another run.
        """
        described = Path(folder) / "truth.json"
        if not described.is_file():
            raise FileNotFoundError(f"{folder} holds no truth (no truth.json): it exists for simulated shops only")
        facts = json.loads(described.read_text(encoding="utf-8"))
        given: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in facts["parameters"].items()}
        given["start"] = date.fromisoformat(given["start"])
        paths.note_opened(folder)
        truth = cls(Parameters(**given), facts["seed"], pq.read_table(Path(folder) / "contacts.parquet").to_pandas())
        if shop is not None:
            run = json.loads((Path(shop) / "shop.json").read_text(encoding="utf-8")).get("run")
            if run != truth.run:
                raise ValueError(f"run = {run!r} in {shop}: must be {truth.run!r}, the run of {folder}; simulate both again")
        return truth

    def facts(self) -> dict[str, Any]:
        """Run, seed and parameters, as truth.json holds them: with them the market is drawn again."""
        given = {f.name: getattr(self.p, f.name) for f in fields(self.p)} | {"start": self.p.start.isoformat()}
        drawn = {"seed": int(self.seed), "parameters": given}
        return {"run": hashlib.sha256(json.dumps(drawn, sort_keys=True).encode()).hexdigest()[:16], **drawn}

    @property
    def run(self) -> str:
        """What shop and truth of one run have in common: a digest of parameters and seed, without time or place."""
        return str(self.facts()["run"])

    def block(self, number: int) -> Block:
        """A block of customers with their traits, drawn anew and kept for a while."""
        if number not in self._blocks:
            self._blocks[number] = draw_block(self.goods, number)
        self._blocks.move_to_end(number)
        while len(self._blocks) > KEPT_BLOCKS:
            self._blocks.popitem(last=False)
        return self._blocks[number]

    def keep(self, number: int, block: Block) -> None:
        """Hand over a block that was drawn already, which saves drawing it again."""
        self._blocks[number] = block

    def traits(self) -> pd.DataFrame:
        """Hidden traits of every customer: one row each (20,000 customers take a second)."""
        return pd.concat([self.block(b).hidden for b in range(-(-self.p.customers // BLOCK))], ignore_index=True)

    @cached_property
    def state(self) -> np.ndarray:
        """[contact, column] every contact that has happened, by customer and day; columns as in `law`."""
        return np.ascontiguousarray(self.history[STATE].to_numpy(float))

    @cached_property
    def _key(self) -> np.ndarray:
        return self.history["customer"].to_numpy(np.int64) * 100_000 + self.state[:, DAY].astype(np.int64)

    def before(self, customer: np.ndarray, day: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Rows of `state` from first to last (exclusive) that lie before each customer's day."""
        return np.searchsorted(self._key, customer * 100_000), np.searchsorted(self._key, customer * 100_000 + day)

    def lost(self, customer: np.ndarray) -> np.ndarray:
        """First day on which each customer is gone."""
        return self._lost[customer] if self._lost is not None else self._trait("lost", customer).astype(np.int64)

    def begins(self, customer: np.ndarray) -> np.ndarray:
        """First day of the calendar on which each customer may come."""
        return self._trait("begin", customer).astype(np.int64)

    def reach_value(self, customer: np.ndarray) -> np.ndarray:
        """What each customer's opting out costs the shop, LKR."""
        return self._trait("reach_value", customer)

    def _trait(self, name: str, customer: np.ndarray) -> np.ndarray:
        out = np.empty(len(customer))
        for number in np.unique(customer // BLOCK):
            rows = customer // BLOCK == number
            out[rows] = self.block(int(number)).hidden[name].to_numpy()[customer[rows] % BLOCK]
        return out

    def opted_out(self, customer: np.ndarray) -> np.ndarray:
        """Whether each customer has opted out by now."""
        gone = self.history["customer"].to_numpy(np.int64)[self.state[:, OPTED] > 0]
        return np.isin(customer, gone)

    def customer_number(self, ids: Any) -> np.ndarray:
        """Customer numbers of ids. Raises KeyError for the first id that the market does not have."""
        text = pd.Series(np.asarray(ids, dtype=object)).astype(str)
        number = pd.to_numeric(text.str.removeprefix("CUST"), errors="coerce").fillna(0).to_numpy(np.int64) - 1
        wrong = ~text.str.fullmatch(r"CUST\d{5,}").to_numpy(bool) | (number < 0) | (number >= self.p.customers)
        if wrong.any():
            raise KeyError(f"customer_id {text[wrong].iloc[0]!r} is not in this market ({int(wrong.sum())} such rows)")
        return number

    def product_number(self, ids: Any) -> np.ndarray:
        """Product numbers of ids. Raises KeyError for the first id that the market does not have."""
        known = {name: i for i, name in enumerate(self.goods.products["product_id"])}
        text = pd.Series(np.asarray(ids, dtype=object)).astype(str)
        number = text.map(known)
        if number.isna().any():
            raise KeyError(
                f"product_id {text[number.isna()].iloc[0]!r} is not in this market ({int(number.isna().sum())} such rows)"
            )
        return number.to_numpy(np.int64)

    def day_of(self, time: Any, ahead: int = SPAN) -> np.ndarray:
        """Days since the start. Raises ValueError where `ahead` days after one are beyond what the market knows."""
        day = (pd.to_datetime(pd.Series(time)).dt.normalize() - pd.Timestamp(self.p.start)).dt.days.to_numpy(np.int64)
        if len(day) and (day.min() < 0 or day.max() + ahead >= self.p.days + PAST_END):
            raise ValueError(f"time: days must lie in 0 .. {self.p.days + PAST_END - ahead - 1} after {self.p.start}")
        return day

    def expected(self, contacts: pd.DataFrame) -> Expected:
        """What each arm would lead to, for rows of customer_id, product_id, time, given the history before that day.

        The hour of `time` matters. Whether the customer may be contacted is not asked here; who is lost or has not registered
        yet notices nothing, and comes from her first day on. Raises KeyError for ids and ValueError for times that the market does
        not have, and ValueError for products on which no offer can break even where offers do.
        """
        who, item = self.customer_number(contacts["customer_id"]), self.product_number(contacts["product_id"])
        day = self.day_of(contacts["time"])
        hour = pd.to_datetime(contacts["time"]).dt.hour.to_numpy(float)
        self.goods.refuse_thin(item)
        levels, facts = self.levels(who, item, day, hour)
        reach = self.reach_value(who)
        chances = pd.DataFrame(facts, columns=["notices", "tired", "opts_out"])
        return Expected(contacts.reset_index(drop=True), account(levels, facts[:, 2] * reach, self.p.contact_cost), chances)

    def levels(self, who: np.ndarray, item: np.ndarray, day: np.ndarray, hour: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The closed form's raw levels [row, arm, level] (see `worlds`) and facts [row, 3], for numbers instead of ids."""
        out, facts = np.zeros((len(who), len(DEPTHS), worlds.LEVELS)), np.zeros((len(who), 3))
        first, last = self.before(who, day)
        begin, lost, law = self.begins(who), self.lost(who), law_of(self.p)
        with ThreadPoolExecutor(THREADS) as pool:
            for number in np.unique(who // BLOCK):
                folk = self.block(int(number)).folk

                def task(rows: np.ndarray, folk: Any = folk) -> None:
                    part, some = np.empty((len(rows), *out.shape[1:])), np.empty((len(rows), 3))
                    worlds.foresee(
                        self.goods.shelf, self.goods.days, law, folk, who[rows] % BLOCK, item[rows], day[rows], hour[rows], begin[rows],
                        lost[rows], self.state, first[rows], last[rows], part, some,
                    )  # fmt: skip
                    out[rows], facts[rows] = part, some

                list(pool.map(task, np.array_split(np.flatnonzero(who // BLOCK == number), THREADS)))
        return out, facts

    def purchases(self, customer_id: Any, time: Any, days: int = 14) -> np.ndarray:
        """[customer, product] chance that each product is bought in the `days` after the day of `time`, if nothing is sent."""
        return self._ahead(customer_id, time, days, PRODUCTS)[0]

    def future(self, customer_id: Any, time: Any, days: int = 365) -> pd.DataFrame:
        """Per customer: expected purchases, units, revenue and margin (LKR) in the `days` after `time`, if nothing is sent."""
        totals = self._ahead(customer_id, time, days, 0)[1]
        frame = pd.DataFrame(totals, columns=["purchases", "units", "revenue", "margin"])
        frame.insert(0, "customer_id", np.asarray(customer_id, dtype=object))
        return frame

    def _ahead(self, customer_id: Any, time: Any, days: int, products: int) -> tuple[np.ndarray, np.ndarray]:
        who = self.customer_number(customer_id)
        day = np.broadcast_to(
            self.day_of([time] if np.isscalar(time) or isinstance(time, pd.Timestamp) else time, days), len(who)
        ).copy()
        buys, totals = np.zeros((len(who), products)), np.zeros((len(who), 4))
        first, last = self.before(who, day)
        begin, lost, law = self.begins(who), self.lost(who), law_of(self.p)
        for number in np.unique(who // BLOCK):
            rows = np.flatnonzero(who // BLOCK == number)
            part, some = np.zeros((len(rows), products)), np.zeros((len(rows), 4))
            worlds.foresee_all(
                self.goods.shelf, self.goods.days, law, self.block(int(number)).folk, who[rows] % BLOCK, day[rows], days, begin[rows],
                lost[rows], self.state, first[rows], last[rows], part, some,
            )  # fmt: skip
            buys[rows], totals[rows] = part, some
        return buys, totals

    def gone_on(self, contacts: pd.DataFrame, lost: np.ndarray) -> "Truth":
        """This truth after more has happened: `contacts` are added to the history, `lost` replaces the days of loss."""
        both = pd.concat([self.history, contacts[self.history.columns]], ignore_index=True)
        order = np.lexsort((both["day"], both["customer"]))
        after = Truth(self.p, self.seed, both.iloc[order].reset_index(drop=True), lost)
        after.goods, after._blocks = self.goods, self._blocks
        return after

    def with_parameters(self, **changes: Any) -> "Truth":
        """The same people and seed under other parameters, without history: for dials and phase diagrams."""
        return Truth(replace(self.p, **changes), self.seed)


class Unknown:
    """The truth of a shop without a simulator: the same questions, and NaN for every answer. It is false where a truth is asked for."""

    def __init__(self, arms: Sequence[str] = ARMS):
        self.arms = tuple(arms)

    def __bool__(self) -> bool:
        return False

    def expected(self, contacts: pd.DataFrame) -> Expected:
        """NaN for every value of every contact and arm."""
        values = {name: np.full((len(contacts), len(self.arms)), np.nan) for name in (*VALUES, *BRIDGE)}
        chances = pd.DataFrame(np.nan, index=range(len(contacts)), columns=["notices", "tired", "opts_out"])
        return Expected(contacts.reset_index(drop=True), values, chances)

    def purchases(self, customer_id: Any, time: Any, days: int = 14) -> np.ndarray:
        """NaN for every customer and product."""
        return np.full((len(customer_id), PRODUCTS), np.nan)

    def future(self, customer_id: Any, time: Any, days: int = 365) -> pd.DataFrame:
        """NaN for what every customer buys."""
        frame = pd.DataFrame(np.nan, index=range(len(customer_id)), columns=["purchases", "units", "revenue", "margin"])
        frame.insert(0, "customer_id", np.asarray(customer_id, dtype=object))
        return frame


def truth_of(shop: Path | str, arms: Sequence[str] = ARMS) -> Truth | Unknown:
    """The truth of the simulated shop whose folder `shop` is; of any other shop one that answers NaN, for so many `arms`.

    Raises FileNotFoundError where the simulated shop has lost its truth, and ValueError where both come from different runs.
    """
    simulated = paths.find("raw", "simulated")
    if Path(shop).resolve() == simulated.resolve():
        return Truth.read(paths.find("truth"), shop)
    return Unknown(arms)


def account(levels: np.ndarray, opting_out: np.ndarray, cost: float) -> dict[str, np.ndarray]:
    """Profit, gain and bridge from the raw levels [row, arm, level]; `opting_out` [row] is chance x value of opting out, in LKR."""
    part = {n: levels[:, :, k] for n, k in (("own", worlds.OWN), ("after", worlds.OWN_AFTER), ("kin", worlds.COMPLEMENTS))}
    baseline, switched = levels[:, :, worlds.BASELINE_DISCOUNT], levels[:, :, worlds.SWITCHED]
    basket = levels[:, :, worlds.SUBSTITUTES] + levels[:, :, worlds.REST]
    sent = np.arange(levels.shape[1]) > 0
    over = {name: value - value[:, :1] for name, value in part.items()} | {"basket": basket - basket[:, :1]}
    bridge = {
        "gross_bump": over["own"] + baseline,
        "switched": -switched,
        "brought_forward": over["after"],
        "baseline_discount": -baseline,
        "complements": over["kin"],
        "rest_of_basket": over["basket"],
        "opt_outs": -opting_out[:, None] * sent,
        "contact_cost": np.broadcast_to(-cost * sent, baseline.shape),
    }
    gain = sum(bridge.values())
    base = part["own"] + part["after"] + part["kin"] + basket - switched
    discount = levels[:, :, worlds.DISCOUNT]
    return {
        "buys": levels[:, :, worlds.BUYS],
        "units": levels[:, :, worlds.UNITS],
        "revenue": levels[:, :, worlds.REVENUE],
        "discount": discount,
        "spend": discount + cost * sent,
        "window_profit": part["own"] - cost * sent,
        "value": base[:, :1] + gain,
        "gain": gain,
        **bridge,
    }
