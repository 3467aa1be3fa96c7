"""Marks each test by the folder it lies in, so that `-m "not engine"` and the like select by cost.

Fixtures live beside their users: what starts an engine in `tests/engine/conftest.py`, what starts a
server in `tests/http/conftest.py`. Only what both need belongs here.
"""

from __future__ import annotations

import ctypes
import gc
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import postgresql

TESTS = Path(__file__).parent
KINDS = frozenset({"browser", "engine", "http", "unit"})


def pytest_configure() -> None:
    """Gives each of several test processes cores of its own.

    What it starts inherits them. Engines bind their threads to cores, and two of them on the same
    cores would wait for each other.
    """
    worker = os.environ.get("PYTEST_XDIST_WORKER")
    if worker is not None:
        place, of = int(worker.removeprefix("gw")), int(os.environ["PYTEST_XDIST_WORKER_COUNT"])
        cores = sorted(os.sched_getaffinity(0))
        share = cores[place * len(cores) // of : (place + 1) * len(cores) // of]
        os.sched_setaffinity(0, share or cores)


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """Gives back, after each file, the memory of what it held: an engine's is gigabytes."""
    if nextitem is None or nextitem.path != item.path:
        gc.collect()
        ctypes.CDLL(None).malloc_trim(0)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Gives each test the marker of its folder; a test in no such folder is an error."""
    for item in items:
        if not item.path.is_relative_to(TESTS):
            continue
        kind = item.path.relative_to(TESTS).parts[0]
        if kind not in KINDS:
            raise pytest.UsageError(f"{item.nodeid}: expected in one of {sorted(KINDS)}")
        item.add_marker(kind)


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[str]:
    """The address of a PostgreSQL server that this test process starts."""
    with postgresql.running() as url:
        yield url
