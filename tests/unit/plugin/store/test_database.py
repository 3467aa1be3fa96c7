"""What can be opened as a store's database, and what is refused."""

import multiprocessing
import socket
import sqlite3
import threading
import uuid
from pathlib import Path

import pytest
from sqlalchemy import Engine, text, update

from lethe_vllm.errors import LetheError, UnavailableError, UnsupportedError
from lethe_vllm.store import database
from lethe_vllm.store.database import open_database
from lethe_vllm.store.meanings import Change
from lethe_vllm.store.names import Names
from lethe_vllm.store.tables import state
from tests import postgresql


def _open(url: str) -> None:
    open_database(url).dispose()


def test_processes_that_open_an_empty_database_at_once_all_succeed(database_url: str) -> None:
    start = multiprocessing.get_context("spawn").Process
    children = [start(target=_open, args=(database_url,)) for _ in range(4)]
    for child in children:
        child.start()
    for child in children:
        child.join(60)
    assert [child.exitcode for child in children] == [0] * 4


def test_a_process_that_opens_it_waits_for_one_that_makes_it(tmp_path: Path) -> None:
    """SQLite refuses at once to change the journal of a database that somebody else writes."""
    file = tmp_path / "store.db"
    maker = sqlite3.connect(file, isolation_level=None, check_same_thread=False)
    maker.execute("BEGIN IMMEDIATE")
    done = threading.Timer(0.2, maker.execute, ("COMMIT",))
    done.start()
    _open(f"sqlite:///{file}")
    done.join()


def test_one_that_is_never_made_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "BUSY_MS", 50)
    file = tmp_path / "store.db"
    maker = sqlite3.connect(file, isolation_level=None)
    maker.execute("BEGIN IMMEDIATE")
    with pytest.raises(UnavailableError, match="OperationalError"):
        _open(f"sqlite:///{file}")
    maker.close()


def test_a_store_of_another_format_is_refused(database_url: str) -> None:
    engine = open_database(database_url)
    with engine.begin() as connection:
        connection.execute(text("UPDATE lethe_state SET format = 99"))
    with pytest.raises(UnsupportedError, match="expected format 1, found 99"):
        open_database(database_url)


def test_a_committed_transaction_of_sqlite_is_on_the_disk(tmp_path: Path) -> None:
    engine = open_database(f"sqlite:///{tmp_path / 'store.db'}")
    with engine.connect() as connection:
        mode = connection.execute(text("PRAGMA journal_mode")).scalar()
        synchronous = connection.execute(text("PRAGMA synchronous")).scalar()
    assert (mode, synchronous) == ("wal", 2)


def test_a_writer_waits_for_another_no_longer_than_the_bound(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "BUSY_MS", 50)
    first, second = (Names(open_database(database_url), "f" * 64) for _ in range(2))
    with first._engine.begin() as connection:
        connection.execute(update(state).values(revision=7))
        with pytest.raises(UnavailableError, match=r"OperationalError|LockNotAvailable"):
            second.change("france", Change("a" * 64))
    second.change("france", Change("a" * 64))


@pytest.fixture
def postgresql_url(postgresql_server: str) -> str:
    return postgresql.new_database(postgresql_server, uuid.uuid4().hex)


def shown(engine: Engine) -> list[str]:
    with engine.connect() as connection:
        asked = "statement_timeout", "lock_timeout"
        return [str(connection.execute(text(f"SHOW {name}")).scalar()) for name in asked]


def test_postgresql_is_waited_for_so_long_or_as_its_operator_says(postgresql_url: str) -> None:
    engine = open_database(postgresql_url)
    assert shown(engine) == ["1min", "30s"]
    with engine.begin() as connection:
        name = connection.execute(text("SELECT current_database()")).scalar_one()
        connection.execute(text(f"ALTER DATABASE \"{name}\" SET lock_timeout = '5s'"))
    assert shown(open_database(postgresql_url)) == ["1min", "5s"]


def test_a_server_that_never_answers_is_an_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(database, "CONNECT_SECONDS", 1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        with pytest.raises(UnavailableError, match="ConnectionTimeout"):
            open_database(f"postgresql+psycopg://postgres@127.0.0.1:{port}/lethe")


@pytest.mark.parametrize(
    ("url", "error", "says"),
    [
        ("nonsense", UnsupportedError, "a folder, or the URL"),
        ("mysql://host/db", UnsupportedError, "expected"),
        ("mssql://host/db", UnsupportedError, "expected"),
        ("postgresql+psycopg://user:hunter2@host/db", UnsupportedError, "PGPASSWORD"),
        ("postgresql+psycopg://host/db?password=hunter2", UnsupportedError, "PGPASSWORD"),
        ("postgresql+psycopg://127.0.0.1:1/db", UnavailableError, "OperationalError; see the log"),
        ("sqlite:////proc/nowhere/store.db", UnavailableError, "writable folder"),
    ],
)
def test_what_cannot_be_opened_is_an_error_without_secrets(
    url: str, error: type[LetheError], says: str, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(error, match=says) as caught:
        open_database(url)
    assert "hunter2" not in str(caught.value)
    # Where it is may reach clients with the message: it stands in the log alone.
    assert "127.0.0.1" not in str(caught.value)
    assert ("127.0.0.1:1/db" in caplog.text) is ("127.0.0.1" in url)
