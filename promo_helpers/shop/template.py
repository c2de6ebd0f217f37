"""Empty CSV files and a data dictionary, for people who bring their own shop: `python -m promo_helpers.shop.template FOLDER`."""

import sys
from pathlib import Path

from promo_helpers import paths
from promo_helpers.files import whole, write_text
from promo_helpers.shop.tables import TABLES, data_dictionary

README = """A shop of your own
==================

Fill these files and keep their names and headings; columns that are not needed may stay empty or be removed.
DataDictionary.csv says of every column what it means, whether it is needed and what is refused.

{files}

Dates are written 2025-03-31, moments 2025-03-31 17:45:00 (local time); discounts as a share, 0.15 for 15 %; amounts in one currency.
Save as CSV UTF-8, separated by commas. The project checks all files before it uses any and lists every problem at once.

Then:  make notebook N=02_shop SHOP={folder} CURRENCY=LKR
"""


def write_template(folder: Path) -> None:
    """Write one CSV file per table with nothing but its headings, DataDictionary.csv and README.txt. Keeps filled files."""
    for table in TABLES.values():
        path = folder / table.file
        if path.is_file() and len(path.read_bytes().splitlines()) > 1:
            print(f"{paths.shown(path)} holds rows and is kept")
            continue
        write_text(path, ",".join(c.heading for c in table.columns if c.template) + "\n")
    with whole(folder / "DataDictionary.csv") as scratch:
        data_dictionary().to_csv(scratch, index=False)
    width = max(len(t.file) for t in TABLES.values())
    files = "\n".join(f"  {t.file:{width}}  {t.meaning}{' (may be left out)' if t.optional else ''}" for t in TABLES.values())
    write_text(folder / "README.txt", README.format(files=files, folder=paths.shown(folder)))


if __name__ == "__main__":
    target = Path(sys.argv[1] if len(sys.argv) > 1 else "my-shop")
    write_template(target)
    print(f"The files to fill lie in {paths.shown(target)}; start with {paths.shown(target / 'README.txt')}")
