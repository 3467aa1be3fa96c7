"""One thread: on models this small, more cost time, and minutes where cores are busy.

And empty databases, of both kinds that a store may be kept in.
"""

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from tests import postgresql


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database, for SQLAlchemy; a test that asks for it runs with each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'lethe.db'}"
    server = request.getfixturevalue("postgresql_server")
    return postgresql.new_database(server, uuid.uuid4().hex)
