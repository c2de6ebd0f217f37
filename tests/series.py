"""`make paper` at the smoke profile, built once for all who test with it, on whichever worker they run."""

import fcntl
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

from promo_helpers import paths


class Series(NamedTuple):
    """What the build said, the folder that it wrote, which the tests of the series may change, and a copy of its data for all others."""

    said: str
    out: Path
    copy: Path


def environment() -> dict[str, str]:
    """The environment without what a make around the tests, or an earlier one, has left in it."""
    return {k: v for k, v in os.environ.items() if not k.startswith(("MAKE", "MFLAGS", "PROMO_"))}


def make(*arguments: str, out: Path) -> subprocess.CompletedProcess:
    """What `make` with these arguments comes to, with its results below `out`."""
    command = ["make", *arguments, f"OUT={out}"]
    return subprocess.run(command, cwd=paths.ROOT, env=environment(), capture_output=True, text=True)


def built_once(root: Path) -> Series:
    """The series below `root`: who comes first builds it, who comes meanwhile waits. Raises AssertionError where the build failed."""
    out, copy, note = root / "series", root / "series-copy", root / "series.json"
    with (root / "series.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not note.is_file():
            done = make("paper", "PROFILE=smoke", out=out)
            if done.returncode == 0:
                shutil.copytree(out / "data", copy / "data")
            note.write_text(json.dumps([done.returncode, done.stdout, done.stderr]))
    code, said, wrong = json.loads(note.read_text())
    assert code == 0, said + wrong
    return Series(said, out, copy)
