"""Opens the store's database: SQLite in a file, or PostgreSQL. Knows nothing of what is in it."""

import logging
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, MetaData, create_engine, event, insert, select, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from lethe_vllm.errors import UnavailableError, UnsupportedError
from lethe_vllm.store.tables import FORMAT, metadata, state

logger = logging.getLogger("vllm.lethe")

BACKENDS = ("sqlite", "postgresql")
BUSY_MS = 30_000
"""How long a writer waits for another process's transaction, which takes milliseconds."""
CONNECT_SECONDS = 10
"""How long PostgreSQL may take to answer a new connection."""
STATEMENT_MS = 60_000
"""How long PostgreSQL may take for one statement, and its network to carry what is sent."""
_BOUNDED = """
SELECT set_config(name, value, false)
FROM (VALUES ('statement_timeout', '{statement}'), ('lock_timeout', '{lock}')) bound (name, value)
WHERE current_setting(name) = '0'
"""
_TABLES_LOCK = 0x1E7E
"""PostgreSQL's advisory lock while tables are made; SQLite's transaction does it alone."""


def open_database(url: str) -> Engine:
    """Connects, and makes the tables where they are missing.

    Args:
        url: as SQLAlchemy's: `sqlite:////folder/store.db`, `postgresql+psycopg://host/name`.

    Raises:
        UnsupportedError: a malformed URL, another database, a password in the URL, or tables of
            another format.
        UnavailableError: it does not answer.
    """
    engine = create_engine(
        check_url(url), connect_args=_network(url), pool_pre_ping=not url.startswith("sqlite")
    )
    if engine.dialect.name == "sqlite":
        _make_folder(engine)
        event.listen(engine, "connect", _configure)
        event.listen(engine, "begin", _begin)
    else:
        event.listen(engine, "connect", _bound)
    make_tables(engine, metadata, _check_format)
    return engine


def make_tables(
    engine: Engine,
    tables: MetaData,
    then: Callable[[Connection], None] = lambda connection: None,
) -> None:
    """Makes the tables that are missing, however many processes do so at once.

    Args:
        engine: the database.
        tables: all of them.
        then: done before any other process makes tables.

    Raises:
        UnavailableError: the database does not answer.
    """
    try:
        with engine.begin() as connection:
            if engine.dialect.name == "postgresql":
                connection.execute(text(f"SELECT pg_advisory_xact_lock({_TABLES_LOCK})"))
            tables.create_all(connection)
            then(connection)
    except SQLAlchemyError as error:
        raise unavailable(engine, error) from error


def check_url(url: str) -> str:
    """Returns the URL of a database that can be a store.

    Raises:
        UnsupportedError: malformed, of another kind, or with a password, which would be logged.
    """
    try:
        parsed = make_url(url)
        backend = parsed.get_backend_name()
        parsed.get_dialect()
    except (ArgumentError, NoSuchModuleError, ImportError) as error:
        raise UnsupportedError(
            f"store: expected a folder, or the URL of a database whose driver is installed, as "
            f"postgresql+psycopg://HOST/NAME, found one that SQLAlchemy cannot open ({error}); "
            "for PostgreSQL: pip install 'vllm-lethe[postgresql]'"
        ) from error
    if backend not in BACKENDS:
        raise UnsupportedError(
            f"store: expected one of {', '.join(BACKENDS)}, found {backend}; use one of these"
        )
    if parsed.password or "password" in parsed.query:
        raise UnsupportedError(
            "store: expected a URL without a password, since options are logged, found one; put "
            "it into PGPASSWORD or ~/.pgpass"
        )
    return url


def reader(engine: Engine) -> Engine:
    """The same database for single reads, each its own transaction."""
    return engine.execution_options(isolation_level="AUTOCOMMIT")


def snapshot(engine: Engine) -> Engine:
    """The same database for transactions that only read, and so wait for no writer."""
    return engine.execution_options(lethe_only_reads=True)


def unavailable(engine: Engine, error: Exception) -> UnavailableError:
    """The error of a database that fails: in the log where and why, for everybody that it does.

    Neither has the statement, whose values may be private.
    """
    cause = getattr(error, "orig", None) or error
    why = type(error).__name__ if cause is error else str(cause).strip().partition("\n")[0]
    logger.error("Store: no answer of %s: %s", engine.url.render_as_string(), why)
    if isinstance(error, PoolTimeoutError):
        return UnavailableError(
            "store: expected a free connection to its database, found all that one process opens "
            "in use; ask again, or fewer at once"
        )
    return UnavailableError(
        f"store: expected its database to answer, found {type(cause).__name__}; see the log, and "
        "whether it runs, and its disk and rights"
    )


def _network(url: str) -> dict[str, int]:
    """How long a driver that uses libpq waits for the network; the URL's own options go before."""
    parsed = make_url(url)
    if not parsed.get_driver_name().startswith("psycopg"):
        return {}
    bounds = {"connect_timeout": CONNECT_SECONDS, "tcp_user_timeout": STATEMENT_MS}
    return {name: bound for name, bound in bounds.items() if name not in parsed.query}


def _make_folder(engine: Engine) -> None:
    try:
        Path(engine.url.database or "").parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UnavailableError(
            f"store: expected a writable folder for {engine.url.database}, found {error}; give "
            "another with --store"
        ) from error


def _configure(connection: Any, _: Any) -> None:
    # Transactions begin in `_begin`, not where the driver would put them.
    connection.isolation_level = None
    connection.execute(f"PRAGMA busy_timeout={BUSY_MS}").close()
    _switch_to_wal(connection)
    for pragma in ("synchronous=FULL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}").close()


def _switch_to_wal(connection: sqlite3.Connection) -> None:
    """Waits for others that are at it: SQLite's own timeout does not hold for this statement."""
    deadline = time.monotonic() + BUSY_MS / 1000
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL").close()
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
        time.sleep(0.01)


def _bound(connection: Any, _: Any) -> None:
    # What an operator has set for the role or the database stays.
    with connection.cursor() as cursor:
        cursor.execute(_BOUNDED.format(statement=STATEMENT_MS, lock=BUSY_MS))
    connection.commit()


def _begin(connection: Connection) -> None:
    options = connection.get_execution_options()
    if options.get("isolation_level") != "AUTOCOMMIT":
        # A transaction that begins by reading could not become a writer after another has.
        kind = "DEFERRED" if options.get("lethe_only_reads") else "IMMEDIATE"
        connection.exec_driver_sql(f"BEGIN {kind}")


def _check_format(connection: Connection) -> None:
    found = connection.execute(select(state.c.format)).scalar()
    if found is None:
        connection.execute(insert(state).values(id=1, format=FORMAT, revision=0))
    elif found != FORMAT:
        raise UnsupportedError(
            f"store: expected format {FORMAT}, found {found}; it was made by another version of "
            "Lethe: use that one, or a new store"
        )
