"""Fixtures for every test that reads a shop: nothing is ever written into the project."""

import os
from collections import Counter

import pytest
from hypothesis import settings

from promo_helpers.shop.loading import load_shop
from tests.series import Series, built_once
from tests.shops import write_shop

settings.register_profile("untimed", deadline=None)  # the first call compiles, and machines are shared: seconds are no fault
settings.load_profile("untimed")


# Files that take minutes, in the order in which workers take them. test_other_processor.py
# needs the series that the first one builds, and would wait for it if it came second.
FIRST = ("test_series.py", "test_variants.py", "test_commands.py", "test_other_processor.py", "test_market_law.py", "test_run.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the files of many minutes first, then those of many tests, so that no worker is left with a long file at the end."""
    tests = Counter(item.path for item in items)
    items.sort(
        key=lambda item: (FIRST.index(item.path.name) if item.path.name in FIRST else len(FIRST), -tests[item.path], item.path)
    )


@pytest.fixture
def out(tmp_path, monkeypatch):
    """The folder below which the code under test writes."""
    monkeypatch.setenv("PROMO_OUT", str(tmp_path / "out"))
    return tmp_path / "out"


@pytest.fixture(scope="session")
def corner(tmp_path_factory):
    """The small shop of tests/shops.py, loaded once: for tests that only read it."""
    folder = tmp_path_factory.mktemp("corner")
    return load_shop(write_shop(folder / "source"), folder=folder / "checked")


@pytest.fixture(scope="session")
def journey(tmp_path_factory):
    """Complete Journey as a checked shop, loaded once."""
    return load_shop("completejourney", folder=tmp_path_factory.mktemp("journey") / "checked")


@pytest.fixture(scope="session")
def series(tmp_path_factory) -> Series:
    """The series at the smoke profile, built once for all workers of a test run."""
    root = tmp_path_factory.getbasetemp()
    return built_once(root.parent if "PYTEST_XDIST_WORKER" in os.environ else root)
