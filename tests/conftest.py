"""Marks each test by the folder it lies in, so that `-m "not engine"` and the like select by cost.

Fixtures live beside their users: what starts an engine in `tests/engine/conftest.py`, what starts a
server in `tests/http/conftest.py`. Only what both need belongs here.
"""

from __future__ import annotations

from pathlib import Path

import pytest

TESTS = Path(__file__).parent
KINDS = frozenset({"browser", "engine", "http", "unit"})


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Gives each test the marker of its folder; a test in no such folder is an error."""
    for item in items:
        if not item.path.is_relative_to(TESTS):
            continue
        kind = item.path.relative_to(TESTS).parts[0]
        if kind not in KINDS:
            raise pytest.UsageError(f"{item.nodeid}: expected in one of {sorted(KINDS)}")
        item.add_marker(kind)
