"""Files and folders that are written whole or not at all."""

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def scratch_beside(path: Path) -> Path:
    """A hidden name beside `path` that belongs to this process; what processes that were killed left under such names is removed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pattern = re.compile(re.escape(f".{path.stem}.") + r"(\d+)\.part" + re.escape(path.suffix))
    for left in path.parent.iterdir():
        owner = pattern.fullmatch(left.name)
        if owner and not _alive(int(owner.group(1))):
            remove(left)
    return path.with_name(f".{path.stem}.{os.getpid()}.part{path.suffix}")


def _alive(process: int) -> bool:
    if process == os.getpid():
        return False  # an earlier attempt of this very process
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def remove(path: Path) -> None:
    """Remove a file or a folder, if it is there."""
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


@contextmanager
def whole(path: Path | str) -> Iterator[Path]:
    """A scratch path beside `path`, with its ending; it takes the real name when the block ends well, and vanishes otherwise."""
    path = Path(path)
    scratch = scratch_beside(path)
    try:
        yield scratch
        os.replace(scratch, path)
    finally:
        remove(scratch)


def write_text(path: Path | str, text: str) -> None:
    """Write a UTF-8 text file whole or not at all."""
    with whole(path) as scratch:
        scratch.write_text(text, encoding="utf-8")


def replace_folder(new: Path, final: Path) -> None:
    """Put `new` in the place of `final`. A reader sees the old folder or the new one, for an instant none, never a mixture."""
    old = scratch_beside(final.with_name(final.name + "-old"))
    remove(old)
    if final.exists():
        os.replace(final, old)
    os.replace(new, final)
    remove(old)
