"""A laboratory on an empty database of each kind, and what to put into it."""

from collections.abc import Iterator

import pytest

from lethe_server.experiments.laboratory import Laboratory
from lethe_vllm.store.database import open_database

from .observed import BASE


@pytest.fixture
def laboratory(database_url: str) -> Iterator[Laboratory]:
    opened = Laboratory.open(open_database(database_url), BASE)
    yield opened
    opened.close()
