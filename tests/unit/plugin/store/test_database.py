"""What can be opened as a store's database, and what is refused."""

import multiprocessing
from pathlib import Path

import pytest
from sqlalchemy import text

from lethe_vllm.errors import LetheError, UnavailableError, UnsupportedError
from lethe_vllm.store.database import open_database


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
