"""What each name means, now and before. Knows digests only, nothing of what they are of.

Every look-up asks the database for its revision, and if that is another for what changed since the
last one, so processes that share it agree at once. Every change is one transaction, which
first raises the revision: whoever changes something waits there for whoever does already, and so
revisions become visible in their order.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Engine, Row, insert, select, update
from sqlalchemy.exc import SQLAlchemyError

from lethe_vllm.errors import ConflictError, UnavailableError
from lethe_vllm.store.database import reader, unavailable
from lethe_vllm.store.glance import REVISION, Glance
from lethe_vllm.store.meanings import (
    ELSEWHERE,
    FILE,
    Change,
    Named,
    Version,
    check_expected,
    unknown,
)
from lethe_vllm.store.tables import drop_ins, names, state, versions

Noticed = tuple[str, str, str | None, str | None]
"""`file` or `elsewhere`, a name, and its digest before and after."""
UNHEARD = 10_000
"""Changes kept for a listener; there is none in a process without an audit."""


class Names:
    """The names of one base model in one database; for any thread."""

    def __init__(self, engine: Engine, base: str) -> None:
        """Reads all names.

        Args:
            engine: as `open_database` opened it.
            base: fingerprint of the base model.
        """
        self._engine, self._reader, self._base = engine, reader(engine), base
        self._glance = Glance(engine)
        self._known: dict[str, Named] = {}
        self._seen = -1
        self._replaced: list[str] = []
        self._unheard: deque[Noticed] = deque(maxlen=UNHEARD)
        self._listener: Callable[..., object] | None = None
        # The first is for what is known, and never held while another process is waited for.
        self._lock, self._writing = threading.Lock(), threading.Lock()

    def find(self, name: str) -> Named | None:
        """What a name means now; None if it means nothing.

        Raises:
            UnavailableError: the database does not answer.
        """
        self._catch_up()
        with self._lock:
            found = self._known.get(name)
        return found if found is not None and found.digest else None

    def at_once(self, name: str) -> Named | None:
        """As `find`, where that waits for nothing; None otherwise, and if it means nothing."""
        if self._replaced or self._glance.revision() != self._seen:
            return None
        found = self._known.get(name)
        return found if found is not None and found.digest else None

    def all(self) -> dict[str, Named]:
        """Every name that means something, sorted.

        Raises:
            UnavailableError: the database does not answer.
        """
        self._catch_up()
        with self._lock:
            return {
                name: self._known[name] for name in sorted(self._known) if self._known[name].digest
            }

    def holds(self, digest: str) -> bool:
        """Whether some name means this digest."""
        return any(named.digest == digest for named in self.all().values())

    def take_replaced(self) -> list[str]:
        """Digests that a name had, until somebody else changed it; told once."""
        with self._lock:
            taken, self._replaced = self._replaced, []
        return taken

    def listen(self, listener: Callable[[str, str, str | None, str | None], object]) -> None:
        """Has somebody told of changes by files and by other processes, earlier ones included.

        Args:
            listener: takes what `Noticed` holds; takes microseconds and raises nothing.
        """
        with self._lock:
            self._listener = listener
            for noticed in self._unheard:
                listener(*noticed)
            self._unheard.clear()

    def history(self, name: str) -> list[Version]:
        """Everything that a name meant, the newest first; [] if it never meant anything."""
        columns = [versions.c[field] for field in Version.__dataclass_fields__]
        mine = (versions.c.base == self._base) & (versions.c.name == name)
        query = select(*columns).where(mine).order_by(versions.c.version.desc())
        try:
            with self._reader.connect() as connection:
                return [Version(*row) for row in connection.execute(query)]
        except SQLAlchemyError as error:
            raise unavailable(self._engine, error) from error

    def change(self, name: str, change: Change, identity: str | None = None) -> Named:
        """Gives a name another meaning. The one that it has already makes no new version.

        Args:
            name: which.
            change: what it means from now on.
            identity: of the file that it was taken from, if it was.

        Raises:
            ConflictError: it is pinned.
            PreconditionError: it means something else than the change expects, if need be because
                another process was first.
            UnknownProfileError: it is to be deleted, and means nothing.
            UnavailableError: the database does not answer; nothing is changed.
        """

        def act(connection: Connection, before: Row[Any] | None, revision: int) -> None:
            if identity is not None and self._is_known(connection, name, identity, change):
                return
            check_expected(name, change, before.digest if before else None)
            if before is not None and before.digest == change.digest is not None:
                if identity is not None:
                    self._note_file(connection, name, identity, before.version)
                return
            _check_change(name, change, before)
            version = self._add(connection, before, name, change, revision)
            if identity is not None:
                self._note_file(connection, name, identity, version)

        # Nobody waits for a file's change who could see to the engine.
        told = FILE if change.action == FILE else None
        return self._transaction(name, act, told) or self._missing(name)

    def file_gone(self, name: str, source: str) -> None:
        """Takes a file's name away with it, unless that was changed otherwise since, or is pinned.

        Raises:
            UnavailableError: the database does not answer; nothing is changed.
        """

        def act(connection: Connection, before: Row[Any] | None, revision: int) -> None:
            file = self._file(connection, name)
            if file is None:
                return  # another process has just seen it
            if before and before.digest and not before.pinned and before.version == file.version:
                self._add(connection, before, name, Change(None, FILE, source), revision)
            self._note_file(connection, name, None, version=0)

        self._transaction(name, act, FILE)

    def mark(
        self, name: str, pinned: bool | None = None, labels: Mapping[str, str] | None = None
    ) -> Named:
        """Pins a name or lets it go, or sets its labels; None leaves as it is.

        Raises:
            UnknownProfileError: it means nothing.
            UnavailableError: the database does not answer; nothing is changed.
        """
        marks: dict[str, Any] = {} if pinned is None else {"pinned": pinned}
        if labels is not None:
            marks["labels"] = dict(labels)

        def act(connection: Connection, before: Row[Any] | None, revision: int) -> None:
            if before is None or before.digest is None:
                raise unknown(name)
            self._write(connection, before, marks, revision)

        return self._transaction(name, act) or self._missing(name)

    def _missing(self, name: str) -> Named:
        raise unknown(name, self._known)

    def files(self) -> dict[str, tuple[str, int]]:
        """The files that were taken in: by name their identity, and the version they made."""
        query = select(drop_ins.c.name, drop_ins.c.identity, drop_ins.c.version)
        try:
            with self._reader.connect() as connection:
                rows = connection.execute(query.where(drop_ins.c.base == self._base))
                return {row.name: (row.identity, row.version) for row in rows}
        except SQLAlchemyError as error:
            raise unavailable(self._engine, error) from error

    def note_file(self, name: str, identity: str | None) -> None:
        """Takes a file of that name for seen, without a meaning; None: for gone."""
        try:
            with self._engine.begin() as connection:
                self._note_file(connection, name, identity, version=0)
        except SQLAlchemyError as error:
            raise unavailable(self._engine, error) from error

    def _transaction(
        self,
        name: str,
        act: Callable[[Connection, Row[Any] | None, int], None],
        action: str | None = None,
    ) -> Named | None:
        """Changes a name; returns what it meant at the end of that, whatever came after.

        Args:
            name: which.
            act: makes the change: given what the name means, and the store's new revision.
            action: what somebody else did that is to be told; None for what was asked for here.
        """
        try:
            with self._writing, self._engine.connect() as connection:
                raised = update(state).values(revision=state.c.revision + 1)
                revision = connection.execute(raised.returning(state.c.revision)).scalar_one()
                # Nobody else changes anything from here on, so this is all that came before.
                self._catch_up()
                with self._lock:
                    act(connection, self._row(connection, name), revision)
                    after = self._row(connection, name)
                    connection.commit()
                    return None if after is None else self._learn(after, action)
        except SQLAlchemyError as error:
            raise unavailable(self._engine, error) from error

    def _catch_up(self) -> None:
        """Reads what changed since the last time, which mostly is nothing."""
        since = self._seen
        if since >= 0 and self._revision() == since:
            return
        rows, revision = self._changes(since)
        is_restored = revision < since
        if is_restored:
            rows, revision = self._changes(-1)
        with self._lock:
            if is_restored:
                self._start_again(rows)
            for row in rows:
                # Another thread, which asked later, may have been told more.
                if row.revision > self._seen:
                    self._learn(row, None if since < 0 else ELSEWHERE)
            self._seen = max(self._seen, revision)

    def _revision(self) -> int | None:
        """The store's revision now; None if it has none.

        Asked for every request: as text, because SQLAlchemy takes five times as long to make a
        statement as the database to answer it.
        """
        try:
            with self._reader.connect() as connection:
                found: int | None = connection.exec_driver_sql(REVISION).scalar()
        except SQLAlchemyError as error:
            raise unavailable(self._engine, error) from error
        return found

    def _changes(self, since: int) -> tuple[list[Row[Any]], int]:
        """The names that changed after a revision, in that order, and the revision now."""
        changed = (names.c.base == self._base) & (names.c.revision > since)
        query = select(state.c.revision.label("now"), names).outerjoin_from(state, names, changed)
        try:
            with self._reader.connect() as connection:
                rows = connection.execute(query.order_by(names.c.revision)).all()
        except SQLAlchemyError as error:
            raise unavailable(self._engine, error) from error
        if not rows:
            raise UnavailableError(
                "store: expected its revision, found none; it may be about to be restored: ask "
                "again when it is"
            )
        return [row for row in rows if row.name is not None], rows[0].now

    def _start_again(self, rows: Sequence[Row[Any]]) -> None:
        """Lets all of these be learned, and nothing else be known: the database was restored."""
        for name in self._known.keys() - {row.name for row in rows}:
            self._tell(ELSEWHERE, name, self._known.pop(name).digest, None)
        self._seen = -1

    def _learn(self, row: Row[Any], action: str | None) -> Named:
        """Takes a row for what its name means; tells what that replaced, if somebody else did."""
        before = self._known.get(row.name)
        named = Named(*(getattr(row, field) for field in Named.__dataclass_fields__))
        self._known[row.name] = named
        if action is not None:
            self._tell(action, row.name, before.digest if before else None, named.digest)
        return named

    def _tell(self, action: str, name: str, before: str | None, after: str | None) -> None:
        if before != after:
            if before is not None:
                self._replaced.append(before)
            self._notice(action, name, before, after)

    def _notice(self, action: str, name: str, before: str | None, after: str | None) -> None:
        if self._listener is None:
            self._unheard.append((action, name, before, after))
        else:
            self._listener(action, name, before, after)

    def _add(
        self,
        connection: Connection,
        before: Row[Any] | None,
        name: str,
        change: Change,
        revision: int,
    ) -> int:
        """Adds a version to a name, which means it from then on; returns its number."""
        version, now = (before.version if before else 0) + 1, time.time()
        meaning = {"name": name, "digest": change.digest, "version": version}
        self._write(connection, before, {**meaning, "changed": now}, revision)
        how = {"action": change.action, "source": change.source, "author": change.author}
        row = {"base": self._base, **meaning, **how, "created": now}
        connection.execute(insert(versions).values(row))
        return version

    def _row(self, connection: Connection, name: str) -> Row[Any] | None:
        mine = (names.c.base == self._base) & (names.c.name == name)
        return connection.execute(select(names).where(mine)).one_or_none()

    def _write(
        self,
        connection: Connection,
        before: Row[Any] | None,
        values: Mapping[str, Any],
        revision: int,
    ) -> None:
        if before is None:
            first = {"base": self._base, "pinned": False, "labels": {}, **values}
            connection.execute(insert(names).values(**first, revision=revision))
        else:
            mine = (names.c.base == self._base) & (names.c.name == before.name)
            connection.execute(update(names).where(mine).values(**values, revision=revision))

    def _is_known(self, connection: Connection, name: str, identity: str, change: Change) -> bool:
        """Whether another process took this file in, or it was but touched, moved or copied."""
        file = self._file(connection, name)
        if file is None or file.identity == identity:
            return file is not None
        mine = (versions.c.base == self._base) & (versions.c.name == name)
        query = select(versions.c.digest).where(mine, versions.c.version == file.version)
        if connection.execute(query).scalar() != change.digest:
            return False
        self._note_file(connection, name, identity, file.version)
        return True

    def _file(self, connection: Connection, name: str) -> Row[Any] | None:
        mine = (drop_ins.c.base == self._base) & (drop_ins.c.name == name)
        return connection.execute(select(drop_ins).where(mine)).one_or_none()

    def _note_file(
        self, connection: Connection, name: str, identity: str | None, version: int
    ) -> None:
        mine = (drop_ins.c.base == self._base) & (drop_ins.c.name == name)
        connection.execute(drop_ins.delete().where(mine))
        if identity is not None:
            row = {"base": self._base, "name": name, "identity": identity, "version": version}
            connection.execute(insert(drop_ins).values(row))


def _check_change(name: str, change: Change, before: Row[Any] | None) -> None:
    if before is not None and before.pinned and before.digest is not None:
        raise ConflictError(
            f"profile {name}: expected it not pinned, found it pinned to "
            f"{before.digest[:12]}; unpin it first"
        )
    if change.digest is None and (before is None or before.digest is None):
        raise unknown(name)
