"""Whether two fingerprints are of one shop, and the command that trains a model for the shop at hand."""

import os
import shlex
from typing import Any

from promo_helpers import folders, paths
from promo_helpers.shop.shop import Shop

ALIKE = 0.5  # share of the weeks in both that must agree to the cent: an export may correct some, another shop agrees in none


def same_shop(kept: dict[str, Any], now: dict[str, Any]) -> bool:
    """Whether two fingerprints are of one shop, the second perhaps with later data, or without its oldest.

    Names do not decide, since a folder may be renamed: half of the weeks that both cover must agree in lines and cents. The last week of
    the first and the first of the second may be cut and do not count, unless there are no others.
    """
    both = [w for w in kept["weeks"] if w in now["weeks"]]
    whole = [w for w in both if w not in (max(kept["weeks"]), min(now["weeks"]))] or both
    agree = sum(kept["weeks"][w] == now["weeks"][w] for w in whole)
    return bool(whole) and agree >= ALIKE * len(whole)


def command(notebook: str, shop: Shop) -> str:
    """The make command that runs a notebook on this shop, such as: make notebook N=03_purchase SHOP=my-shop."""
    out, folder = paths.out(), str(shop.info.get("path", ""))
    words = [f"make notebook N={notebook}"]
    if folder:
        words.append(f"SHOP={shlex.quote(folder)}")
        words += [f"CURRENCY={shop.currency}"] * (shop.currency != "LKR")
        words += [f"MARGIN={m:g}" for m in [shop.info.get("margin")] if m]
        usual = paths.ROOT / folders.of_shop(folder)
    else:
        words[0] += "_completejourney" * (shop.info["source"] == "completejourney")
        known = {p.stem for p in (paths.notebooks() / "profiles").glob("*.yml")} - {"own", "campaign", "retrain", "demo"}
        profile = os.environ.get("PROMO_PROFILE", "paper")
        usual = paths.ROOT
        if out == paths.ROOT / "build" / "seed":
            words.append("PROFILE=demo")
        elif out.parent == paths.ROOT / "build" and out.name in known:
            words.append(f"PROFILE={out.name}")
            usual = out
        elif profile in known - {"paper"}:
            words.append(f"PROFILE={profile}")
    return " ".join(words + [f"OUT={shlex.quote(paths.shown(out))}"] * (out != usual))
