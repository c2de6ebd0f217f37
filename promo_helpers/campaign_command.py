"""One campaign as asked for: what was typed is read first, then the notebook runs, then the answer is returned."""

import re
import sys
from collections.abc import Mapping
from typing import Any

import pandas as pd

from promo_helpers import depends, paths
from promo_helpers.campaign.request import CampaignRequest, RequestError, first_day, parse_request, product_number, products
from promo_helpers.series import margin_of, run_of, start
from promo_helpers.shop import Shop
from promo_helpers.shop.checks import Misplaced, ShopError
from promo_helpers.shop.loading import load_shop

NAMED = 5  # products that an ask without one is answered with
PROBLEMS = (RequestError, ShopError, Misplaced, FileNotFoundError)  # whose sentences are for people
PROFILE = "campaign"


def make_campaign(typed: Mapping[str, str], folder: str = "", currency: str = "LKR", margin: str = "") -> str:
    """The notes of a campaign and its answer in one sentence, a line each; runs the notebook on campaigns.

    typed: product, budget, customers, discount, channel, date, even, as typed. folder: a shop of one's own.
    Exits with a sentence a problem.
    """
    words: dict[str, Any] = {**typed, "channel": typed.get("channel") or "SMS"}
    try:
        ask = parse_request(**words)
        _check(ask, load_shop(folder or "simulated", currency=currency, margin=margin_of(margin)), folder)
    except PROBLEMS as problem:
        sys.exit(str(problem))
    return _run(ask, words, folder, {"currency": currency, "margin": margin_of(margin)})


def list_products(folder: str = "", currency: str = "LKR", margin: str = "") -> str:
    """What a campaign can be about, as a table: the products in most baskets first.

    Exits with a sentence a problem.
    """
    try:
        shop = load_shop(folder or "simulated", currency=currency, margin=margin_of(margin))
    except PROBLEMS as problem:
        sys.exit(str(problem))
    return products(shop).to_string(index=False, na_rep="")


def _check(ask: CampaignRequest, shop: Shop, folder: str) -> None:
    """Raises RequestError for a product or a day that the shop cannot have a campaign about."""
    known = products(shop)["name"].astype(str)
    if known.empty:
        raise RequestError(
            ["The shop has no products, so that there is nothing to write to customers about; Products.csv lists them"]
        )
    if not ask.product:
        more = f"; make products{f' SHOP={folder}' if folder else ''} lists all {len(known):,}" if len(known) > NAMED else ""
        raise RequestError([f'Which product? As in PRODUCT="{known.iloc[0]}"; the most bought: {", ".join(known[:NAMED])}{more}'])
    product_number(ask.product, products(shop))
    file = str(shop.path("transactions")).replace("'", "''")
    last = shop.connection.sql(f"SELECT max(time) FROM read_parquet('{file}')").fetchall()[0][0]
    first_day(ask, pd.Timestamp(last).normalize() + pd.Timedelta(days=1))


def _run(ask: CampaignRequest, typed: Mapping[str, str], folder: str, settings: dict[str, Any]) -> str:
    """Run the notebook under a name of its own, and return the answer that it recorded."""
    base = "18_campaign" + ("_own" if folder else "")
    words = [ask.product, ask.slug, f"{ask.date:%Y%m%d}" if ask.date is not None else ""]
    wanted = "_".join(["asked", *(w for w in (re.sub(r"[^a-z0-9]+", "_", word.lower()).strip("_") for word in words) if w)])
    name, number = wanted, 1
    while depends.stamp_of(f"{base}_{name}", PROFILE).exists() or depends.ledger_of(f"{base}_{name}").exists():
        number += 1
        name = f"{wanted}_{number}"
    parameters = {**run_of(PROFILE, f"{base}_asked"), "ledger": f"own_{name}" if folder else name, **typed}
    if folder:
        parameters |= {"folder": str(paths.from_project(folder)), **settings}
    run = f"{base}_{name}"
    start(run, parameters, depends.stamp_of(run, PROFILE))
    ledger = depends.read_ledger(run)
    assert ledger is not None
    return answer_of(ledger)


def answer_of(ledger: dict[str, Any]) -> str:
    """The notes of a campaign, a line each, and its answer with the file of its list.

    From the ledger of its run.
    """
    sentence = next(n["value"] for n in ledger["numbers"] if n["name"] == "answer")
    summary = next(f for f in ledger["files"] if f.endswith("_summary.csv"))
    rows = pd.read_csv(paths.out() / summary, encoding="utf-8-sig")
    notes = rows.loc[rows["name"].str.startswith("note_"), "meaning"].iloc[1:]  # the first is what the list is ranked by
    return "\n".join(
        [*notes, f"{sentence}; the list: {paths.display_path(paths.out() / summary.replace('_summary.csv', '.csv'))}"]
    )
