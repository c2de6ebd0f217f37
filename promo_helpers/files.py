"""Files and folders that are written whole or not at all."""

import filecmp
import os
import re
import shutil
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil


def scratch_beside(path: Path) -> Path:
    """A hidden name beside `path` that belongs to this process.

    What processes that were killed left under such names is removed.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    pattern = re.compile(re.escape(f".{path.stem}.") + r"(\d+)\.part" + re.escape(path.suffix))
    for left in path.parent.iterdir():
        owner = pattern.fullmatch(left.name)
        if owner and not alive(int(owner.group(1))):
            remove(left)
    return path.with_name(f".{path.stem}.{os.getpid()}.part{path.suffix}")


def alive(process: int) -> bool:
    """Whether another process with this number runs; one that has ended and that nobody has waited for does not."""
    if process == os.getpid():  # which may have tried before
        return False
    try:
        return psutil.Process(process).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def remove(path: Path) -> None:
    """Remove a file or a folder, if it is there."""
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


@contextmanager
def written_whole(path: Path | str) -> Iterator[Path]:
    """A scratch path beside `path`, with its ending.

    It takes the real name when the block ends well, and vanishes otherwise.
    """
    path = Path(path)
    scratch = scratch_beside(path)
    try:
        yield scratch
        os.replace(scratch, path)
    finally:
        remove(scratch)


def write_text(path: Path | str, text: str) -> None:
    """Write a UTF-8 text file whole or not at all."""
    with written_whole(path) as scratch:
        scratch.write_text(text, encoding="utf-8")


def replace_folder(new: Path, final: Path) -> None:
    """Put `new` in the place of `final`.

    A reader sees the old folder or the new one, for an instant none, never a mixture.
    """
    old = scratch_beside(final.with_name(final.name + "-old"))
    remove(old)
    if final.exists():
        os.replace(final, old)
    os.replace(new, final)
    remove(old)


def move_into(new: Path, final: Path, shared: Collection[str]) -> None:
    """Move all that lies in `new` to its place in `final`.

    Folders that are `shared` (by their path below `new`) are gone through; any other replaces the one that lies there, whole. A folder
    that is already there with the same bytes stays, so that who reads it at this moment is not disturbed.
    """
    first = {s.partition("/")[0] for s in shared}
    for path in sorted(new.iterdir()):
        if path.is_dir() and path.name in first:
            move_into(path, final / path.name, [s.partition("/")[2] for s in shared if s.startswith(f"{path.name}/")])
        else:
            take(path, final / path.name)


def take(path: Path, place: Path) -> None:
    """Put a file or a folder in its place, whole, from another file system as well."""
    place.parent.mkdir(parents=True, exist_ok=True)
    if path.is_dir() and place.is_dir() and _same(path, place):
        return
    if path.stat().st_dev != place.parent.stat().st_dev:  # a name cannot move between file systems: copy, then rename
        path = Path(shutil.move(path, scratch_beside(place)))
    if path.is_dir():
        replace_folder(path, place)
    else:
        os.replace(path, place)


def _same(one: Path, other: Path) -> bool:
    """Whether two folders hold the same files with the same bytes."""
    names = [sorted(f.relative_to(folder) for f in folder.rglob("*") if f.is_file()) for folder in (one, other)]
    return names[0] == names[1] and all(filecmp.cmp(one / n, other / n, shallow=False) for n in names[0])
