"""Opens the database of experiments, SQLite or PostgreSQL. Knows nothing of what is in it."""

import sqlite3
from typing import Any

from sqlalchemy import Engine, create_engine, event

BUSY_SECONDS = 10
"""How long a process waits for another's transaction on an SQLite file."""


def open_engine(url: str) -> Engine:
    """A pool of connections; the first is made when it is asked for.

    Args:
        url: of SQLAlchemy, `sqlite:///FILE` or `postgresql+psycopg://...`.
    """
    engine = create_engine(url, pool_pre_ping=True)
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _configure)
    return engine


def _configure(connection: sqlite3.Connection, _: Any) -> None:
    cursor = connection.cursor()
    for setting in (
        f"busy_timeout={1000 * BUSY_SECONDS}",
        "journal_mode=WAL",
        "synchronous=FULL",
        "foreign_keys=ON",
    ):
        cursor.execute(f"PRAGMA {setting}")
    cursor.close()
