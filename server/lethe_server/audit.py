"""Who changed what, and which digest served which request: lines of JSON, appended to a file.

A change is made only once the line that announces it is durable, and answered only once the line
that says how it ended is. What others changed has one line, once it is noticed. That and the lines
of requests are written by a thread, so that a request waits for none. Never a key, never a prompt.
"""

import asyncio
import json
import logging
import queue
import random
import threading
import time
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from lethe_server.audit_file import AuditFile
from lethe_server.exchange import Exchange, current
from lethe_vllm.errors import UnavailableError

logger = logging.getLogger("vllm.lethe")

SYNC = 1.0
"""Seconds after which lines of requests are on the disk."""
MAX_WAITING = 100_000
"""Lines of requests, some 100 MB; beyond them they are lost, and counted."""
NOTICED, DONE, FAILED = "noticed", "done", "failed"
_SO = {DONE: "it was made all the same", FAILED: "it failed"}
"""What an error says of the change itself, whose end cannot be written."""
_BATCH = 1000
_IDLE = 0.1
"""Seconds between two looks whether the process is ending."""


class Audit:
    """The audit of one server process.

    Args:
        file: where to; None for nowhere.
        rate: the share of requests that is written.
        lost: told how many lines of requests are missing.
    """

    def __init__(
        self,
        file: AuditFile | None = None,
        rate: float = 1.0,
        lost: Callable[[int], object] = lambda lines: None,
    ) -> None:
        self._file, self._rate, self._lost = file, rate, lost
        self._waiting: queue.SimpleQueue[tuple[float, dict[str, Any]]] = queue.SimpleQueue()
        self._closing = threading.Event()
        self._unsynced = False
        # Not a daemon: the interpreter ends when what waits is written.
        self._thread = threading.Thread(target=self._write, name="lethe audit")
        if file is not None:
            self._thread.start()

    def served(self, exchange: Exchange) -> None:
        """Observes the end of a request; one that no variant was chosen for is left out."""
        if self._file is None or exchange.variant is None:
            return
        # At random: a client chooses its request's id, and shall not choose this by it.
        if self._rate < 1.0 and random.random() >= self._rate:  # noqa: S311
            return
        if self._waiting.qsize() >= MAX_WAITING:
            self._lost(1)
            return
        self._waiting.put((time.time(), _served(exchange)))

    def noticed(
        self,
        action: str,
        name: str,
        before: str | None,
        after: str | None,
        outcome: str = NOTICED,
    ) -> None:
        """Takes down a change that somebody else made; for any thread, costs microseconds.

        Args:
            action: what was done, as in `file`.
            name: of what is changed.
            before: the digest that it had; None for none.
            after: the digest that it has; None for none, or for one that is not known.
            outcome: whether it is in force.
        """
        if self._file is not None:
            line = _change(None, action, name, before, after)
            self._waiting.put((time.time(), {**line, "outcome": outcome}))

    @asynccontextmanager
    async def change(
        self, action: str, name: str, before: str | None, after: str | None
    ) -> AsyncIterator[dict[str, Any]]:
        """Announces a change that the block makes, and says how it ended.

        Args:
            action: what is done, as in `put`.
            name: of what is changed.
            before: the digest that it has; None for none.
            after: the digest that it shall have.

        Yields:
            The line; with what the block sets there it says how the change ended.

        Raises:
            UnavailableError: the announcement cannot be written, and the block is not run; or it
                was run, and how it ended cannot be written.
        """
        line = _change(current.get(), action, name, before, after)
        await asyncio.to_thread(self._durably, line, "begun", "it was not made")
        outcome = FAILED
        try:
            yield line
            outcome = DONE
        finally:
            await asyncio.to_thread(self._durably, line, outcome, _SO[outcome])

    def close(self) -> None:
        """Writes what waits, and ends."""
        if self._file is not None and not self._closing.is_set():
            self._closing.set()
            self._thread.join()
            self._file.close()

    def _durably(self, line: dict[str, Any], outcome: str, consequence: str) -> None:
        if self._file is None:
            return
        try:
            self._file.append([_encoded(time.time(), {**line, "outcome": outcome})], durably=True)
        except OSError as error:
            logger.error("Audit: a change cannot be written: %s", error)
            raise UnavailableError(
                "audit: expected this change to be written before it is answered, found "
                f"{error.strerror}; {consequence}: make room there, or start without --audit"
            ) from error

    def _write(self) -> None:
        synced = time.monotonic()
        while not (self._ending() and self._waiting.empty()):
            self._append(self._batch())
            if self._unsynced and time.monotonic() - synced >= SYNC:
                self._sync()
                synced = time.monotonic()
        self._sync()

    def _ending(self) -> bool:
        return self._closing.is_set() or not threading.main_thread().is_alive()

    def _batch(self) -> list[tuple[float, dict[str, Any]]]:
        """What waits; after a moment nothing."""
        found = []
        try:
            found.append(self._waiting.get(timeout=_IDLE))
            while len(found) < _BATCH:
                found.append(self._waiting.get_nowait())
        except queue.Empty:
            pass
        return found

    def _append(self, batch: list[tuple[float, dict[str, Any]]]) -> None:
        if not batch or self._file is None:
            return
        try:
            self._file.append([_encoded(at, line) for at, line in batch])
            self._unsynced = True
        except OSError as error:
            self._lose(len(batch), error)

    def _sync(self) -> None:
        if self._unsynced and self._file is not None:
            self._unsynced = False
            try:
                self._file.sync()
            except OSError as error:
                self._lose(0, error)

    def _lose(self, lines: int, error: OSError) -> None:
        self._lost(lines)
        logger.error("Audit: %d lines are lost: %s", lines, error)


def _served(exchange: Exchange) -> dict[str, Any]:
    variant = exchange.variant
    return {
        "event": "request",
        "request": exchange.request_id,
        "key": exchange.key,
        "profile": None if variant is None else variant.name,
        "digest": None if variant is None or variant.is_base else variant.digest,
        "status": exchange.status,
        "refused": exchange.refused,
    }


def _change(
    exchange: Exchange | None, action: str, name: str, before: str | None, after: str | None
) -> dict[str, Any]:
    return {
        "event": "change",
        "change": uuid.uuid4().hex,
        "request": exchange.request_id if exchange else None,
        "key": exchange.key if exchange else None,
        "action": action,
        "name": name,
        "before": before,
        "after": after,
    }


def _encoded(at: float, line: dict[str, Any]) -> bytes:
    whole = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at))
    return json.dumps({"time": f"{whole}.{int(at % 1 * 1000):03}Z", **line}).encode()
