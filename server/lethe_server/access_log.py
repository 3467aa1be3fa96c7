"""One line of log for each request: who, what, by which variant, how it ended. Never a prompt.

As JSON, a line is a document and nothing else: it goes to standard output past vLLM's own prefix,
from a thread, since whoever reads that may be slow.
"""

import json
import logging
import os
import queue
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from lethe_server.exchange import Exchange, Observer

JSON, OFF = "json", "off"

logger = logging.getLogger("vllm.lethe.access")

MAX_ROUTE = 200
"""Characters of a path: it is the client's to choose."""
MAX_WAITING = 100_000
"""Lines; each beyond them is lost, and says so on standard error."""


def observer(kind: str) -> Observer | None:
    """What writes the lines; None for no log.

    Args:
        kind: among `settings.LOGS`.
    """
    if kind == OFF:
        return None
    if kind == JSON:
        _to_standard_output()
    return _log_json if kind == JSON else _log_text


def document(exchange: Exchange) -> dict[str, str | int | float | None]:
    """What a line says."""
    variant = exchange.variant
    return {
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "request": exchange.request_id,
        "key": exchange.key,
        "profile": None if variant is None else variant.name,
        "digest": None if variant is None or variant.is_base else variant.digest[:12],
        "method": exchange.method,
        "route": exchange.route[:MAX_ROUTE],
        "status": exchange.status,
        "ms": round(exchange.seconds * 1000, 3),
        "refused": exchange.refused,
    }


def _log_json(exchange: Exchange) -> None:
    logger.info("%s", json.dumps(document(exchange)))


def _log_text(exchange: Exchange) -> None:
    said = document(exchange)
    del said["time"]  # it stands before vLLM's lines already
    logger.info("%s", " ".join(f"{name}={json.dumps(value)}" for name, value in said.items()))


class StandardOutput(logging.Handler):
    """Writes a line in one system call, so that those of several processes do not mix.

    Attributes:
        thread: which does. A process ends when what waits for it is written.
    """

    def __init__(self) -> None:
        super().__init__()
        self.thread = ThreadPoolExecutor(1, "lethe log")
        self._room = threading.Semaphore(MAX_WAITING)

    def emit(self, record: logging.LogRecord) -> None:
        """Has a line written."""
        try:
            if not self._room.acquire(blocking=False):
                raise queue.Full
            self.thread.submit(self._write, record)
        except (queue.Full, RuntimeError):
            self.handleError(record)

    def _write(self, record: logging.LogRecord) -> None:
        try:
            os.write(1, record.getMessage().encode() + b"\n")
        except OSError:
            self.handleError(record)
        finally:
            self._room.release()


def _to_standard_output() -> None:
    logger.setLevel(logging.INFO)
    logger.propagate = False
    logger.handlers = [StandardOutput()]
