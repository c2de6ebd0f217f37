"""A thing by its name, as typed; the nearest names where there is none."""

import difflib
from collections.abc import Sequence


def find(asked: str, names: Sequence[str], kind: str = "product") -> int:
    """Place of a name, whatever its capitals. Raises KeyError that suggests the nearest names where there is none."""
    small = [str(n).lower() for n in names]
    if str(asked).lower() in small:
        return small.index(str(asked).lower())
    near = difflib.get_close_matches(str(asked).lower(), small, n=3, cutoff=0.5)
    hint = f"; the nearest: {', '.join(str(names[small.index(n)]) for n in near)}" if near else ""
    raise KeyError(f"no {kind} is called '{asked}'{hint}")
