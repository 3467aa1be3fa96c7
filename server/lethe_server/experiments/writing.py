"""Writes exposures behind the requests' backs, in batches. Knows nothing of the database.

A batch is whatever came while the one before was being written, so none waits for a clock. While
writing fails, exposures are kept and tried again, up to a bound; those beyond it are counted by
experiment, and the count is written with the next batch.
"""

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from lethe_projections.errors import LetheError
from lethe_server.experiments.experiment import Exposure

logger = logging.getLogger("vllm.lethe")

ROOM = 100_000
"""Exposures kept in memory, about 50 MB."""
BATCH = 1000
"""Exposures written at once."""
RETRY_SECONDS = 1.0
LAST_SECONDS = 10.0
"""How long a server that stops waits for what is left to be written."""


class Writer:
    """A thread that writes, and what it still has to.

    Args:
        write: writes all or none of a batch, and how many were lost by experiment.
    """

    def __init__(
        self, write: Callable[[Sequence[Exposure], Mapping[str, int]], None], room: int = ROOM
    ) -> None:
        self._write, self._room = write, room
        self._waiting: list[Exposure] = []
        self._lost: Counter[str] = Counter()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._closing = False

    def add(self, exposure: Exposure) -> None:
        """Takes one to be written; costs microseconds."""
        with self._changed:
            if len(self._waiting) < self._room:
                self._waiting.append(exposure)
            else:
                self._lost[exposure.experiment] += 1
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._run, name="lethe-exposures", daemon=True
                )
                self._thread.start()
            self._changed.notify_all()

    def flush(self, seconds: float = LAST_SECONDS) -> bool:
        """Waits until nothing is left to be written; False if that takes longer."""
        with self._changed:
            return self._changed.wait_for(self._is_done, seconds)

    def close(self, seconds: float = LAST_SECONDS) -> None:
        """Writes what is left, and says so in the log if it could not."""
        is_done = self.flush(seconds)
        with self._changed:
            self._closing = True
            self._changed.notify_all()
            left = len(self._waiting) + self._lost.total()
        if not is_done:
            logger.error(
                "Experiments: expected to write every exposure before the end, found %d left; "
                "the reports do not count them",
                left,
            )

    def _is_done(self) -> bool:
        return not self._waiting and not self._lost

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._closing or not self._is_done())
                if self._closing:
                    return
                batch, lost = self._waiting[:BATCH], Counter(self._lost)
            if self._written(batch, lost):
                with self._changed:
                    del self._waiting[: len(batch)]
                    self._lost -= lost
                    self._changed.notify_all()
            else:
                time.sleep(RETRY_SECONDS)

    def _written(self, batch: Sequence[Exposure], lost: Mapping[str, int]) -> bool:
        try:
            self._write(batch, lost)
        except LetheError as error:
            logger.error(
                "%s (%d exposures wait, %d are lost)", error, len(self._waiting), sum(lost.values())
            )
            return False
        except Exception:
            # Whatever it is, a thread that ended would keep every exposure to come in memory.
            logger.exception("Experiments: %d exposures wait to be written", len(self._waiting))
            return False
        return True
