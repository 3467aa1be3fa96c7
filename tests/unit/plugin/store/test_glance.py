"""What is known and unchanged is looked up without waiting for a thread, a writer or the pool."""

import threading
from pathlib import Path

import pytest
from sqlalchemy import update

from lethe_vllm.errors import UnavailableError
from lethe_vllm.store.database import open_database
from lethe_vllm.store.glance import Glance
from lethe_vllm.store.meanings import Change
from lethe_vllm.store.names import Names
from lethe_vllm.store.tables import state

BASE, FIRST, SECOND = "f" * 64, "a" * 64, "b" * 64


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'store.db'}"


def digest(names: Names) -> str | None:
    named = names.at_once("france")
    return None if named is None else named.digest


def test_nothing_is_known_before_it_was_asked_for_and_after_others_changed_it(url: str) -> None:
    names, other = (Names(open_database(url), BASE) for _ in range(2))
    other.change("france", Change(FIRST))
    assert digest(names) is None
    assert names.find("france") is not None
    assert digest(names) == FIRST
    other.change("france", Change(SECOND))
    assert digest(names) is None
    names.find("france")
    assert digest(names) is None, "what was replaced is to be told first"
    assert names.take_replaced() == [FIRST]
    assert digest(names) == SECOND
    other.change("france", Change(None))
    names.find("france")
    names.take_replaced()
    assert digest(names) is None


def test_a_writer_and_used_up_connections_are_waited_for_by_nobody(url: str) -> None:
    engine = open_database(url)
    names = Names(engine, BASE)
    names.change("france", Change(FIRST))
    names.find("france")
    taken = [engine.connect() for _ in range(14)]
    with engine.begin() as writer:
        writer.execute(update(state).values(revision=state.c.revision + 1))
        assert digest(names) == FIRST
        writer.rollback()
    found: list[str | None] = []
    thread = threading.Thread(target=lambda: found.append(digest(names)))
    thread.start()
    thread.join()
    assert found == [FIRST]
    for connection in taken:
        connection.close()


def test_a_store_that_lost_its_table_is_no_answer(url: str) -> None:
    engine = open_database(url)
    names = Names(engine, BASE)
    names.change("france", Change(FIRST))
    names.find("france")
    with engine.begin() as connection:
        state.drop(connection)
    assert digest(names) is None
    with pytest.raises(UnavailableError):
        names.find("france")


def test_another_database_is_never_glanced_at(database_url: str) -> None:
    glance = Glance(open_database(database_url))
    assert glance.revision() == (0 if "sqlite" in database_url else None)
