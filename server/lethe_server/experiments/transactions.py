"""A transaction, and the one statement that differs by database.

Knows nothing of what is done in it.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, Engine, Table
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import SQLAlchemyError

from lethe_vllm.store.database import unavailable


@contextmanager
def transaction(engine: Engine) -> Iterator[Connection]:
    """All of the block is done, or none of it.

    Args:
        engine: the database; as `snapshot` gives it for a block that only reads.

    Raises:
        UnavailableError: the database does not answer, or refused it.
    """
    try:
        with engine.begin() as connection:
            yield connection
    except SQLAlchemyError as error:
        raise unavailable(engine, error) from error


def inserting(connection: Connection, table: Table) -> sqlite.Insert | postgresql.Insert:
    """An INSERT that can be told to leave out rows that are there already."""
    is_sqlite = connection.dialect.name == "sqlite"
    return sqlite.insert(table) if is_sqlite else postgresql.insert(table)
