"""The shop as CSV files, under seed 0's names and headings."""

import shutil
import tempfile
from pathlib import Path

from promo_helpers.shop.shop import Shop, replace_folder
from promo_helpers.shop.tables import TABLES


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
