"""Hillstrom's e-mail trial: 64,000 customers of a clothes shop, two e-mails and none, drawn at random with equal chances (March 2008).

Each customer had bought within the year before; visit, conversion and spend (USD) are those of the two weeks after the e-mail.
Source: Kevin Hillstrom, MineThatData E-Mail Analytics and Data Mining Challenge. It is downloaded once, checked and kept.
"""

import hashlib
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pooch
from requests.exceptions import RequestException

from promo_helpers.experiment.experiment import Experiment

FILE = "Kevin_Hillstrom_MineThatData_E-MailAnalytics_DataMiningChallenge_2008.03.20.csv"
URL = f"http://www.minethatdata.com/{FILE}"  # whatever road it takes: the checksum says whether it is the file
SHA256 = "0e5893329d8b93cefecc571777672028290ab69865718020c78c7284f291aece"
SECONDS = 10  # to wait for the other side, so that a notebook without a network goes on
FOLDER = "PROMO_DOWNLOADS"  # names the folder in which files lie that were downloaded by hand
ARMS = ("No E-Mail", "Womens E-Mail", "Mens E-Mail")
OUTCOMES = ["visit", "conversion", "spend"]
NUMBERS = ["recency", "history", "mens", "womens", "newbie"]
LEVELS = {"zip_code": ("Rural", "Urban"), "channel": ("Multichannel", "Phone")}  # the third level is where both are 0


class NotAvailable(Exception):
    """A data set that cannot be had here and now; the message says why, in a sentence that can be printed."""


def hillstrom_file(url: str = URL, sha256: str = SHA256, folder: Path | str | None = None) -> Path:
    """The file of the trial: from the folder that PROMO_DOWNLOADS names, from the user's cache, or from `url`, in this order.

    `folder` is the cache (where pooch keeps such files unless given). Raises NotAvailable where none of the three has it, and
    ValueError for a file in PROMO_DOWNLOADS whose checksum is another.
    """
    downloads = os.environ.get(FOLDER, "").strip()
    own = Path(downloads).expanduser() / FILE
    if downloads and own.is_file():
        found = hashlib.sha256(own.read_bytes()).hexdigest()
        if found != sha256:
            raise ValueError(
                f"{own} is not Hillstrom's file, or was damaged: its SHA-256 is {found[:12]}..., not {sha256[:12]}...; "
                f"get it anew from {url}"
            )
        return own
    downloader = pooch.HTTPDownloader(timeout=SECONDS)
    pooch.get_logger().setLevel("WARNING")
    try:
        return Path(pooch.retrieve(url, f"sha256:{sha256}", fname=FILE, path=folder or _cache(), downloader=downloader))
    except (RequestException, OSError) as error:
        why = "there is no network, or the site does not answer" if isinstance(error, RequestException) else str(error)
    except ValueError:  # pooch's word for another checksum
        why = f"what came from {url} is another file (its checksum differs)"
    raise NotAvailable(
        f"Hillstrom's e-mail trial could not be downloaded: {why}. Save {url} in a folder and name it in {FOLDER}."
    )


def load_hillstrom(file: Path | str | None = None) -> Experiment:
    """The trial as an experiment with the arms No E-Mail (the control), Womens E-Mail and Mens E-Mail, a third each.

    Outcomes: visit and conversion (0 or 1), spend in USD. Features: recency (months since the last purchase), history (USD spent in
    the year before), mens, womens, newbie (0 or 1), and 0 or 1 for the region and the channel of past purchases, the most frequent
    level being where the others are 0. `history_segment` is left out: it is `history` in steps. A contact is a row, and so is a
    customer. `file` is hillstrom_file() unless given. Raises NotAvailable as that does, ValueError for a file of another form.
    """
    file = Path(file) if file is not None else hillstrom_file()
    try:
        rows = pd.read_csv(file)
    except (ValueError, OSError) as error:  # among them UnicodeDecodeError and pandas' own errors
        raise ValueError(f"{file} cannot be read as Hillstrom's CSV file: {error}") from error
    lacking = [c for c in (*NUMBERS, *LEVELS, *OUTCOMES, "segment") if c not in rows]
    if lacking:
        raise ValueError(f"{file} is not Hillstrom's file: it lacks the column{'s' * (len(lacking) > 1)} {', '.join(lacking)}")
    arm = pd.Index(ARMS).get_indexer(rows["segment"])
    if (strange := arm < 0).any():
        first = int(np.flatnonzero(strange)[0])
        raise ValueError(
            f"{file} has {int(strange.sum()):,} rows of no known segment, first row {first + 2} ({rows['segment'][first]!r})"
        )
    features = rows[NUMBERS].astype("float64")
    for column, levels in LEVELS.items():
        for level in levels:
            features[f"{column}: {level}"] = (rows[column] == level).astype("float64")
    numbers = np.arange(1, len(rows) + 1)
    return Experiment(
        name="Hillstrom's e-mail trial",
        contact_id=numbers,
        customer=numbers,
        features=features,
        arm=arm,
        arms=ARMS,
        depth=np.full(len(ARMS), np.nan),
        outcomes=rows[OUTCOMES].astype("float64"),
        probability=np.full(len(rows), 1 / 3),
        planned=np.full(len(ARMS), 1 / 3),
        currency="USD",
    )


def _cache() -> Path:
    return Path(pooch.os_cache("promo_helpers"))
