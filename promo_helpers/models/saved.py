"""Trained models on disk, without anything that could run when they are loaded; and labels as numbers."""

import json
import re
import zipfile
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from scipy import sparse
from sklearn.base import BaseEstimator
from sklearn.preprocessing import OrdinalEncoder

from promo_helpers import paths
from promo_helpers.files import remove, replace_folder, scratch_beside
from promo_helpers.shop import Shop
from promo_helpers.shop.loading import command as command_for
from promo_helpers.shop.loading import same_shop
from promo_helpers.trees import Booster

UNKNOWN = -1


def label_encoder(values: Iterable[object]) -> OrdinalEncoder:
    """All labels that occur, as text and sorted, and their numbers; missing ones are none.

    It is part of a saved model, since a number alone means nothing. Raises ValueError where there is not a single label.
    """
    text = _text(values)
    known = text[pd.notna(text)]
    if not len(known):
        raise ValueError("there is no label to encode: every value is missing")
    return OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=UNKNOWN).fit(known[:, None])


def encoded(labels: OrdinalEncoder, values: Iterable[object]) -> np.ndarray:
    """[row] numbers of labels; UNKNOWN (-1) for one that was never seen and for a missing one: a model must not guess for them."""
    return np.asarray(labels.transform(_text(values)[:, None])[:, 0].astype(np.int64))


def _text(values: Iterable[object]) -> np.ndarray:
    return np.array([None if pd.isna(v) else str(v) for v in values], dtype=object)


TRUSTED = ["numpy.dtype", "sklearn.tree._tree.Tree"]  # beyond what skops trusts: a compiled class, whose file holds arrays only
LIBRARIES = ("promo-helpers", "numpy", "scikit-learn", "lightgbm", "skops", "lifelines", "implicit")


# what the series saves, and the notebook that makes it; notebooks/series.yml says the same to Make
MAKERS = {
    "purchase": "03_purchase",
    "recommend": "04_recommendation",
    "timing": "05_timing",
    "next_product": "05_timing",
    "lifetime": "07_lifetime",
    "response": "12_budget",
}


class OtherShop(ValueError):
    """A saved model was trained on another shop than the one it was to be used for."""


def name_of(kind: str, data: str = "simulated") -> str:
    """The name of a saved model: purchase, or purchase_completejourney. Raises KeyError for no known kind."""
    if kind not in MAKERS:
        raise KeyError(f"no notebook saves a model called '{kind}'; there are: {', '.join(MAKERS)}")
    return kind if data == "simulated" else f"{kind}_{data}"


def folder_of(name: str) -> Path:
    """Where the model called `name` lies, to read from, such as purchase or purchase_completejourney."""
    return paths.find("models", name)


def save(name: str, parts: dict[str, Any], facts: dict[str, Any]) -> Path:
    """Write a model's parts and facts, whole or not at all; returns its folder.

    `parts`: LightGBM boosters, scikit-learn estimators, arrays, sparse matrices and frames. `facts` must be JSON and say at least
    `shop` (its `Shop.fingerprint`), `features` (name -> type), `trained_from` and `trained_to` (dates), `seed` and `command` (which
    makes it anew).
    Raises TypeError for a part of another kind, KeyError for a missing fact.
    """
    for fact in ("shop", "features", "trained_from", "trained_to", "seed", "command"):
        if fact not in facts:
            raise KeyError(f"the facts of the model '{name}' lack '{fact}'")
    folder = paths.data("models", name)
    scratch = scratch_beside(folder)
    try:
        scratch.mkdir(parents=True)
        kinds = {part: _write(scratch, part, value) for part, value in parts.items()}
        versions = {library: version(library) for library in LIBRARIES}
        described = {"model": name, "parts": kinds, "versions": versions, **facts}
        (scratch / "model.json").write_text(json.dumps(described, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        replace_folder(scratch, folder)
    finally:
        remove(scratch)
    return folder


def load(name: str, command: str = "make paper", shop: Shop | None = None) -> tuple[dict[str, Any], dict[str, Any]]:
    """Parts and facts of a saved model. Raises FileNotFoundError that says which command makes it.

    shop: the one that it will be used for; the command is then the name of the notebook that makes it, such as 03_purchase, and a model
    of another shop raises OtherShop, which names both.

    skops refuses any type outside its own list and TRUSTED, so that a file from elsewhere cannot run code.
    """
    folder = folder_of(name)
    command = command_for(command, shop) if shop is not None else command
    if not (folder / "model.json").is_file():
        raise FileNotFoundError(f"There is no saved model {paths.display_path(folder)}; {command} makes it")
    facts = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    if shop is not None:
        _refuse_other(folder, facts, shop, command)
    paths.note_opened(folder)
    return {part: _read(folder / file) for part, file in facts["parts"].items()}, facts


def load_made(kind: str, data: str, shop: Shop) -> tuple[dict[str, Any], dict[str, Any]]:
    """Parts and facts of a model of the series, for the shop that it will be used for. Raises as `load`."""
    return load(name_of(kind, data), MAKERS[kind], shop)


def _refuse_other(folder: Path, facts: dict[str, Any], shop: Shop, command: str) -> None:
    now, kept = shop.fingerprint(), facts.get("shop")
    if kept is None or not same_shop(kept, now):
        about = (
            f"the shop '{kept['name']}' ({kept['first_day']} to {kept['last_day']})" if kept else "a shop that it does not name"
        )
        raise OtherShop(
            f"The saved model {paths.display_path(folder)} was trained on {about}, not on '{now['name']}' ({now['first_day']} to "
            f"{now['last_day']}); {command} trains one for it"
        )


def _write(folder: Path, part: str, value: Any) -> str:
    if isinstance(value, Booster):
        value.save_model(str(folder / f"{part}.txt"))
        return f"{part}.txt"
    if isinstance(value, BaseEstimator):
        import skops.io

        skops.io.dump(value, folder / f"{part}.skops")
        _steady(folder / f"{part}.skops")
        return f"{part}.skops"
    if sparse.issparse(value):
        sparse.save_npz(folder / f"{part}.sparse.npz", value.tocsr())
        return f"{part}.sparse.npz"
    if isinstance(value, np.ndarray) and value.dtype != object:
        np.savez_compressed(folder / f"{part}.npz", array=value)
        return f"{part}.npz"
    if isinstance(value, pd.DataFrame):
        value.to_parquet(folder / f"{part}.parquet", index=False)
        return f"{part}.parquet"
    raise TypeError(f"the part '{part}' is a {type(value).__name__}, which no safe file format is known for")


def _steady(path: Path) -> None:
    """Write a skops file anew without what differs from run to run: addresses in memory as names, and times of day."""
    with zipfile.ZipFile(path) as file:
        schema = file.read("schema.json").decode()
        held = {name: file.read(name) for name in file.namelist() if name != "schema.json"}
    found = re.findall(r'"__id__": (\d+)|"file": "(\d+)\.', schema)
    number = {old: str(i) for i, old in enumerate(dict.fromkeys(a or b for a, b in found), 1)}
    schema = re.sub(r'("__id__": |"file": ")(\d+)', lambda m: m.group(1) + number[m.group(2)], schema)
    names = {
        name: number.get(name.partition(".")[0], name.partition(".")[0]) + name[len(name.partition(".")[0]) :] for name in held
    }
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name in sorted(held, key=lambda n: (len(names[n]), names[n])):
            file.writestr(zipfile.ZipInfo(names[name]), held[name], zipfile.ZIP_DEFLATED)
        file.writestr(zipfile.ZipInfo("schema.json"), schema, zipfile.ZIP_DEFLATED)


def _read(path: Path) -> Any:
    if path.suffix == ".txt":
        return Booster(model_file=str(path))
    if path.suffix == ".skops":
        import skops.io

        return skops.io.load(path, trusted=TRUSTED)
    if path.name.endswith(".sparse.npz"):
        return sparse.load_npz(path)
    if path.suffix == ".npz":
        with np.load(path, allow_pickle=False) as file:
            return file["array"]
    return pq.read_table(path).to_pandas()
