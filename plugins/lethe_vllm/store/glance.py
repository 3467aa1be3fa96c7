"""The store's revision at a glance: in microseconds, waiting for no writer and no free connection.

Only a file can be read so: SQLite's readers wait for nobody where it keeps a log of writes.
"""

import sqlite3
import threading

from sqlalchemy import Engine, PoolProxiedConnection

REVISION = "SELECT revision FROM lethe_state"


class Glance:
    """For any thread."""

    def __init__(self, engine: Engine) -> None:
        """Keeps a connection of its own, if the database is a file.

        Raises:
            SQLAlchemyError: it cannot be opened.
        """
        self._connection: PoolProxiedConnection | None = None
        if engine.dialect.name == "sqlite":
            self._connection = engine.raw_connection()
            self._connection.detach()
        self._lock = threading.Lock()

    def revision(self) -> int | None:
        """None where it cannot be told at once; the usual way tells why."""
        if self._connection is None or not self._lock.acquire(blocking=False):
            return None
        try:
            cursor = self._connection.cursor()
            cursor.execute(REVISION)
            found = cursor.fetchone()
            cursor.close()
        except sqlite3.Error:
            return None
        finally:
            self._lock.release()
        return None if found is None else int(found[0])
