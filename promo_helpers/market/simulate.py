"""Write a market to disk: the shop that everybody may read, and the truth in a folder of its own."""

import json
import shutil
import tempfile
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute
import pyarrow.parquet as pq

from promo_helpers.files import remove, replace_folder, scratch_beside
from promo_helpers.market import trips
from promo_helpers.market.goods import STORES, Goods
from promo_helpers.market.law import ARM, COLUMNS, DAY, HOUR, OPTED, PRODUCT, REDEEMED, law_of
from promo_helpers.market.offers import TRIAL, plan, rule_of
from promo_helpers.market.parameters import ARMS, DEPTHS, Parameters, parameters
from promo_helpers.market.people import Block, draw_block
from promo_helpers.market.streams import blocks, stream
from promo_helpers.market.truth import STATE, Truth
from promo_helpers.shop.shop import Shop, ShopWriter
from promo_helpers.shop.tables import TABLES

EMAIL_SHARE = 0.3  # of contacts that go out by e-mail; the channel changes nothing but the label


@dataclass(frozen=True)
class Lived:
    """One block after its life: who they are, their lines and contacts, and the visits of each store and day."""

    block: Block
    lines: np.ndarray
    contacts: np.ndarray
    kind: np.ndarray
    customer: np.ndarray  # per contact: row of the block
    visits: np.ndarray  # [store, day]

    def history(self) -> pd.DataFrame:
        """The contacts as `Truth` keeps them: columns of STATE, customer, contact_id (from 1)."""
        frame = pd.DataFrame(self.contacts, columns=STATE)
        return frame.assign(customer=self.block.first + self.customer, contact_id=np.arange(1, len(frame) + 1), kind=self.kind)


def simulate(
    market: Parameters | str, seed: int, shop: Path | str = "data/raw", truth: Path | str = "data/truth", *,
    preset: str = "default", workers: int = 2, ahead: int = 3, progress: Callable[[int], Any] | None = None,
) -> tuple[Shop, Truth]:  # fmt: skip
    """Simulate a market and write it: Parquet files in the folders `shop` and `truth`, each whole or not at all.

    Both are complete before either takes its name, and carry the same run id: `Truth.read(truth, shop)` asks for it.

    `market` is the name of a profile (with `preset`) or Parameters. The bytes depend on these and on the seed only, never on
    `workers` (threads; the compiled loops release the lock) or `ahead` (blocks in flight). `progress` is called with the customers
    done. Raises ValueError for impossible parameters or a missing seed, naming parameter, value and rule.
    """
    p = parameters(market, preset) if isinstance(market, str) else market
    goods = Goods(p, seed)
    stream(seed, "trips")  # refuses a bad seed before anything is written
    folder = Path(truth)
    drawn = Truth(p, seed)
    scratch = scratch_beside(folder)
    try:
        scratch.mkdir()
        name = {"profile": market, "preset": preset} if isinstance(market, str) else {}
        with ShopWriter(
            shop, source="simulated", currency="LKR", seed=seed, start=p.start.isoformat(), days=p.days, run=drawn.run, **name
        ) as writer:
            history = _write(writer, goods, workers, ahead, progress)
            _write_visits(writer, goods, history.pop("visits"))
            pq.write_table(pa.Table.from_pydict(history), scratch / "contacts.parquet", compression="zstd")
            (scratch / "truth.json").write_text(json.dumps(drawn.facts(), indent=1) + "\n", encoding="utf-8")
            writer.preview()  # from here on only names change
        replace_folder(scratch, folder)
    finally:
        remove(scratch)
    return Shop(shop), Truth.read(folder, shop)


def live_block(goods: Goods, number: int) -> Lived:
    """The life of one block of customers: people, contacts and lines, from the block's own random streams."""
    p, seed = goods.p, goods.seed
    block = draw_block(goods, number)
    n = len(block.seen)
    contacts, kind, start = plan(p, stream(seed, "contacts", number), block, goods)
    begin, lost = block.hidden["begin"].to_numpy(np.int64), block.hidden["lost"].to_numpy(np.int64)
    stay = trips.Stay(np.arange(n), begin, np.minimum(lost, p.days), lost, start.astype(np.int64), np.zeros(n, np.int64))
    room = int(1.1 * p.lines * p.activity * n) + 1000
    lines, _ = trips.live(
        stream(seed, "trips", number),
        goods.shelf,
        goods.days,
        law_of(p),
        block.folk,
        rule_of(goods),
        stay,
        contacts,
        kind,
        room,
        trips.WALKING,
    )
    first = np.append(True, np.diff(lines[:, trips.TRIP]) != 0)[: len(lines)]
    spot = lines[first, trips.STORE] * p.days + lines[first, trips.SECOND] // 86400
    visits = np.bincount(spot, minlength=STORES * p.days).reshape(STORES, p.days)
    used = contacts[:, ARM] >= 0
    renumber = np.append(np.cumsum(used) - 1, -1)
    lines[:, trips.CONTACT] = renumber[lines[:, trips.CONTACT]]
    customer = np.repeat(np.arange(n), np.diff(start))
    return Lived(block, lines, contacts[used], kind[used], customer[used], visits)


def in_order(tasks: Iterator[Callable[[], Any]], workers: int, ahead: int) -> Iterator[Any]:
    """Results of the tasks in their order, up to `workers + ahead` of them in flight."""
    with ThreadPoolExecutor(max(workers, 1)) as pool:
        waiting: deque[Future[Any]] = deque()
        for task in tasks:
            waiting.append(pool.submit(task))
            if len(waiting) >= max(workers, 1) + max(ahead, 0):
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _write(writer: ShopWriter, goods: Goods, workers: int, ahead: int, progress: Callable[[int], Any] | None) -> dict[str, Any]:
    p = goods.p
    writer.append("products", goods.products)
    held, start = goods.promotions, pd.Timestamp(p.start)
    writer.append(
        "promotions",
        pd.DataFrame(
            {
                "promotion_id": held["promotion_id"],
                "product_id": goods.products["product_id"].to_numpy()[held["product"]],
                "kind": "price",
                "start_date": start + pd.to_timedelta(held["first"], unit="D"),
                "end_date": start + pd.to_timedelta(held["last"], unit="D"),
                "discount": held["discount"],
            }
        ),
    )
    n_lines = n_trips = n_contacts = 0
    visits, history = np.zeros((STORES, p.days), np.int64), []
    tables = _Columns(goods)
    for lived in in_order((partial(_block, goods, tables, b) for b, _, _ in blocks(p.customers)), workers, ahead):
        lines, contacts, seen, state, seen_visits, trip_count = lived
        writer.append("customers", seen)
        writer.append("transactions", tables.numbered(lines, n_lines, n_trips, n_contacts))
        writer.append("contacts", tables.numbered(contacts, n_contacts))
        state["contact_id"] = state["contact_id"] + n_contacts
        history.append(state)
        n_lines, n_trips, n_contacts = n_lines + len(lines), n_trips + trip_count, n_contacts + len(contacts)
        visits += seen_visits
        if progress:
            progress(len(seen))
    writer.append("stores", goods.stores.assign(daily_visits=visits.mean(axis=1)))
    return {k: np.concatenate([h[k] for h in history]) for k in history[0]} | {"visits": visits}


def _block(goods: Goods, tables: "_Columns", number: int) -> tuple[Any, ...]:
    lived = live_block(goods, number)
    out = lived.contacts[:, OPTED] > 0
    consent = lived.block.seen["consent"].to_numpy(bool) & ~np.isin(np.arange(len(lived.block.seen)), lived.customer[out])
    state = {name: column.to_numpy() for name, column in lived.history().items()}
    return (
        tables.lines(lived), tables.contacts(lived, stream(goods.seed, "channels", number)),
        lived.block.seen.assign(consent=consent), state, lived.visits, int(lived.visits.sum()),
    )  # fmt: skip


class _Columns:
    """Arrow tables from the arrays of a block. Ids count from 1 in each block until `numbered` adds what came before it."""

    def __init__(self, goods: Goods):
        self.goods = goods
        self.product = pa.array(goods.products["product_id"].to_list())
        self.store = pa.array(goods.stores["store_id"].to_list())
        self.promotion = pa.array(goods.promotions["promotion_id"].to_list(), pa.string())
        self.start = np.datetime64(goods.p.start.isoformat(), "us")
        self.cents = np.rint(100 * goods.shelf.price).astype(np.int64)
        self.depth = np.append(goods.days.promo_depth, 0.0)

    def lines(self, lived: Lived) -> pa.Table:
        x = np.ascontiguousarray(lived.lines.T)
        item, units, promo, used = x[trips.ITEM], x[trips.UNITS].astype(np.int64), x[trips.PROMO], x[trips.CONTACT]
        off = self.depth[promo]
        offered = used >= 0
        off[offered] = DEPTHS[lived.contacts[used[offered], ARM].astype(int)]
        full = units * self.cents[item]
        ids = pa.array(lived.block.seen["customer_id"].to_list())
        second = x[trips.SECOND].astype("timedelta64[s]").astype("timedelta64[us]")
        return pa.table(
            {
                "transaction_id": np.arange(1, len(item) + 1),
                "basket_id": x[trips.TRIP].astype(np.int64) + 1,
                "customer_id": pa.DictionaryArray.from_arrays(x[trips.WHO], ids),
                "product_id": pa.DictionaryArray.from_arrays(item, self.product),
                "store_id": pa.DictionaryArray.from_arrays(x[trips.STORE], self.store),
                "time": pa.array(self.start + second),
                "units": units,
                "price": self.goods.shelf.price[item],
                "discount": off,
                "promotion_id": pa.DictionaryArray.from_arrays(pa.array(promo, mask=promo < 0), self.promotion),
                "contact_id": pa.array(used.astype(np.int64) + 1, mask=~offered),
                "list_cents": full,
                "paid_cents": np.rint(full * (1 - off)).astype(np.int64),
                "is_return": np.zeros(len(item), bool),
            }
        )

    def contacts(self, lived: Lived, rng: np.random.Generator) -> pa.Table:
        x = lived.contacts
        arm, trial = x[:, ARM].astype(int), lived.kind == TRIAL
        hour = (x[:, DAY] * 24 + x[:, HOUR]).astype("timedelta64[h]").astype("timedelta64[us]")
        email = rng.random(len(x)) < EMAIL_SHARE
        chance = x[np.arange(len(x)), COLUMNS - len(ARMS) + arm]
        campaign = np.char.add(np.where(trial, "TRIAL", "RULE"), np.char.zfill((x[:, DAY] // 28).astype(int).astype(str), 2))
        return pa.table(
            {
                "contact_id": np.arange(1, len(x) + 1),
                "customer_id": lived.block.seen["customer_id"].to_numpy()[lived.customer],
                "product_id": self.goods.products["product_id"].to_numpy()[x[:, PRODUCT].astype(int)],
                "campaign_id": campaign,
                "time": self.start + hour,
                "channel": pa.array(np.where(email, "e-mail", "SMS").astype(object), mask=arm == 0),
                "arm": np.array(ARMS, dtype=object)[arm],
                "probability": pa.array(chance, mask=~trial),
                "trial_id": pa.array(campaign.astype(object), mask=~trial),
                "redeemed": x[:, REDEEMED] > 0,
            }
        )

    @staticmethod
    def numbered(table: pa.Table, rows: int, trips_before: int = 0, contacts: int = 0) -> pa.Table:
        """The table with its numbers moved on by what was written before it."""
        add = {
            "transaction_id": rows,
            "basket_id": trips_before,
            "contact_id": contacts if "transaction_id" in table.column_names else rows,
        }
        for name, number in add.items():
            if name in table.column_names and number:
                place = table.column_names.index(name)
                table = table.set_column(place, name, pa.compute.add(table[name], pa.scalar(number, pa.int64())))
        return table


def _write_visits(writer: ShopWriter, goods: Goods, visits: np.ndarray) -> None:
    """Foot traffic: `visits.parquet` in the shop's folder, one row per store and day, counted from the trips that left a line."""
    table = pa.table(
        {
            "store_id": np.repeat(goods.stores["store_id"].to_numpy(), goods.p.days),
            "date": np.tile(pd.date_range(goods.p.start, periods=goods.p.days).to_numpy().astype("datetime64[us]"), STORES),
            "visits": visits.ravel(),
        }
    )
    pq.write_table(table, writer.scratch / "visits.parquet", compression="zstd")


def export_csv(shop: Shop, folder: Path | str) -> Path:
    """Write every table of a shop that fits in memory as CSV (Customers.csv and so on), whole or not at all; returns the folder.

    Text that a spreadsheet would take for a formula cannot occur: the market makes all of it. Money is in the shop's currency.
    """
    final = Path(folder)
    final.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=f".{final.name}-", dir=final.parent))
    try:
        for table in TABLES.values():
            if not shop.has(table.name):
                continue
            frame = shop.frame(table.name)
            if table.name == "transactions":
                frame = frame.assign(paid=frame["paid_cents"] / 100)
                if frame["contact_id"].notna().any():
                    frame = frame.assign(contact_id=frame["contact_id"].astype("Int64"))
            columns = [c for c in table.columns if c.template and c.name in frame]
            named = frame[[c.name for c in columns]].set_axis([c.heading for c in columns], axis=1)
            named.to_csv(scratch / table.file, index=False, lineterminator="\n")
        replace_folder(scratch, final)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return final
