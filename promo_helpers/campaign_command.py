"""One campaign from the command line: what is asked for is read first, then the notebook runs, then the answer is printed.

python -m promo_helpers.campaign_command --product "White Bread" --budget 50000
"""

import argparse
import re
import sys
from pathlib import Path
from typing import Any

import pandas as pd

from promo_helpers import depends, paths
from promo_helpers.campaign.request import Ask, AskError, asked, first_day, number_of_product, products
from promo_helpers.run import margin_of, profile, start
from promo_helpers.shop import Shop
from promo_helpers.shop.checks import Misplaced, ShopError
from promo_helpers.shop.loading import load_shop

NAMED = 5  # products that an ask without one is answered with


def main(arguments: list[str] | None = None) -> None:
    """The command line; see the module's first lines. Exits with one sentence a problem."""
    parser = argparse.ArgumentParser(description="Whom to send which discount about one product, when and why.")
    for name in ("product", "budget", "customers", "discount", "date", "channel", "even"):
        parser.add_argument(f"--{name}", default="")
    parser.add_argument("--shop", default="", help="a folder of CSV or Parquet files, in place of the simulated shop")
    parser.add_argument("--currency", default="LKR", help="of the prices in --shop")
    parser.add_argument("--margin", default="", help="share of the price that is not cost, for products in --shop that name none")
    parser.add_argument("--list", action="store_true", help="only list the products")
    options = parser.parse_args(arguments)
    try:
        if options.list:
            print(products(_shop(options)).to_string(index=False, na_rep=""))
            return
        typed = {n: getattr(options, n) for n in ("product", "budget", "customers", "discount", "date", "even")}
        typed["channel"] = options.channel or "SMS"
        ask = asked(**typed)
        shop = _shop(options)
        _check(ask, shop, options.shop)
    except (AskError, ShopError, Misplaced, FileNotFoundError) as problem:
        sys.exit(str(problem))
    print(_run(ask, typed, options))


def _shop(options: argparse.Namespace) -> Shop:
    return load_shop(options.shop or "simulated", currency=options.currency, margin=margin_of(options.margin))


def _check(ask: Ask, shop: Shop, folder: str) -> None:
    """Raises AskError for a product or a day that the shop cannot have a campaign about."""
    known = products(shop)["name"].astype(str)
    if known.empty:
        raise AskError(
            ["The shop has no products, so that there is nothing to write to customers about; Products.csv lists them"]
        )
    if not ask.product:
        more = f"; make products{f' SHOP={folder}' if folder else ''} lists all {len(known):,}" if len(known) > NAMED else ""
        raise AskError([f'Which product? As in PRODUCT="{known.iloc[0]}"; the most bought: {", ".join(known[:NAMED])}{more}'])
    number_of_product(ask.product, products(shop))
    file = str(shop.path("transactions")).replace("'", "''")
    last = shop.connection.sql(f"SELECT max(time) FROM read_parquet('{file}')").fetchall()[0][0]
    first_day(ask, pd.Timestamp(last).normalize() + pd.Timedelta(days=1))


def _run(ask: Ask, typed: dict[str, str], options: argparse.Namespace) -> str:
    """Run the notebook under a name of its own, and return the answer that it recorded."""
    base = "18_campaign" + ("_own" if options.shop else "")
    words = [ask.product, ask.slug, f"{ask.date:%Y%m%d}" if ask.date is not None else ""]
    wanted = "_".join(["asked", *(w for w in (re.sub(r"[^a-z0-9]+", "_", word.lower()).strip("_") for word in words) if w)])
    name, number = wanted, 1
    while depends.stamp_of(f"{base}_{name}", "campaign").exists() or depends.ledger_of(f"{base}_{name}").exists():
        number += 1
        name = f"{wanted}_{number}"
    parameters: dict[str, Any] = profile("campaign")[f"{base}_asked"]
    parameters |= {"ledger": f"own_{name}" if options.shop else name, **typed}
    if options.shop:
        folder = str(Path(options.shop).expanduser().resolve())
        parameters |= {"folder": folder, "currency": options.currency, "margin": margin_of(options.margin)}
    run = f"{base}_{name}"
    start(run, parameters, depends.stamp_of(run, "campaign"))
    ledger = depends.read_ledger(run)
    assert ledger is not None
    return answer_of(ledger)


def answer_of(ledger: dict[str, Any]) -> str:
    """The notes of a campaign, a line each, and its answer with the file of its list; from the ledger of its run."""
    told = next(n["value"] for n in ledger["numbers"] if n["name"] == "answer")
    summary = next(f for f in ledger["files"] if f.endswith("_summary.csv"))
    rows = pd.read_csv(paths.out() / summary, encoding="utf-8-sig")
    notes = rows.loc[rows["name"].str.startswith("note_"), "meaning"].iloc[1:]  # the first is what the list is ranked by
    return "\n".join([*notes, f"{told}; the list: {paths.shown(paths.out() / summary.replace('_summary.csv', '.csv'))}"])


if __name__ == "__main__":
    main()
