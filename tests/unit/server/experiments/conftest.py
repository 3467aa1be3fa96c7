"""A laboratory on an empty database of each kind, and what to put into it."""

from collections.abc import Iterator

import pytest

from lethe_server.experiments.database import open_engine
from lethe_server.experiments.laboratory import Laboratory


@pytest.fixture
def laboratory(database_url: str) -> Iterator[Laboratory]:
    opened = Laboratory.open(open_engine(database_url))
    yield opened
    opened.close()
