"""Parameters of a notebook, checked before anything slow runs: what is wrong is said in a sentence that lists the choices."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

SOURCES = ("simulated", "completejourney", "own")


class ParameterError(ValueError):
    """Parameters of a notebook that are not what they must be; the message says each and its choices."""


@dataclass(frozen=True)
class Rule:
    """What a parameter must be, in words, and whether a value is it."""

    words: str
    holds: Callable[[Any], bool]


def check_parameters(**given: tuple[Any, Rule | Sequence[Any]]) -> None:
    """Nothing, where each value (name=(value, rule)) obeys its rule or is one of its choices.

    Raises ParameterError with a sentence for each parameter that does not, all of them at once.
    """
    wrong = []
    for name, (value, rule) in given.items():
        known = rule if isinstance(rule, Rule) else one_of(rule)
        if not known.holds(value):
            wrong.append(f"{name} = {value!r}: must be {known.words}")
    if wrong:
        raise ParameterError("; ".join(wrong))


def one_of(choices: Sequence[Any]) -> Rule:
    """The rule that a value is one of some choices, of which "" is called empty."""
    words = ", ".join(str(c) for c in choices if c != "") + ", or empty" * ("" in choices)
    return Rule(f"one of {words}", lambda value: any(value == c for c in choices))


def all_of(choices: Sequence[Any]) -> Rule:
    """The rule that a value is a list, not empty, of some of the choices."""
    words = f"a list of one or more of {', '.join(str(c) for c in choices)}"
    return Rule(words, lambda value: isinstance(value, list | tuple) and bool(value) and all(v in choices for v in value))


def source(folder: str) -> Rule:
    """The rule of a data set's name: one of the known ones, or any where `folder` says where it lies."""
    return Rule("a name", lambda value: bool(value)) if folder else one_of(SOURCES)


def whole_number(least: int, most: int | None = None) -> Rule:
    """The rule of a whole number from `least`, and to `most` where it is given."""
    words = f"a whole number of at least {least:,}" if most is None else f"a whole number from {least:,} to {most:,}"

    def holds(value: Any) -> bool:
        number = isinstance(value, int | np.integer) and not isinstance(value, bool)
        return bool(number and value >= least and (most is None or value <= most))

    return Rule(words, holds)


def between(low: float, high: float) -> Rule:
    """The rule of a number from `low` to `high`, both included."""

    def holds(value: Any) -> bool:
        return isinstance(value, int | float | np.number) and not isinstance(value, bool) and bool(low <= value <= high)

    return Rule(f"a number from {low:g} to {high:g}", holds)


def shares(number: int) -> Rule:
    """The rule of so many shares above 0 that add up to 1, such as [0.5, 0.2, 0.3]."""
    words = f"{number} shares above 0 that add up to 1"
    return Rule(words, lambda value: len(value) == number and min(value) > 0 and abs(sum(value) - 1) < 1e-9)


def day() -> Rule:
    """The rule of a date such as 2025-10-31, or an empty text for none."""

    def holds(value: Any) -> bool:
        return value == "" or (isinstance(value, str) and not pd.isna(pd.to_datetime(value, format="%Y-%m-%d", errors="coerce")))

    return Rule("a date such as 2025-10-31, or empty", holds)
