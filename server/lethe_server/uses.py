"""Which digests the requests being handled right now are served by. Knows nothing of the engine.

A digest is unloaded only once no request that was promised it is on its way, so that replacing or
deleting a profile fails none of this server process.
"""

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager


class Uses:
    """Counts of requests by digest, for one event loop."""

    def __init__(self) -> None:
        self._count: Counter[str] = Counter()
        self._waiting: dict[str, list[asyncio.Future[None]]] = {}

    @contextmanager
    def of(self, digest: str) -> Iterator[None]:
        """Counts one request while the block runs."""
        self._count[digest] += 1
        try:
            yield
        finally:
            self._count[digest] -= 1
            if not self._count[digest]:
                del self._count[digest]
                self._wake(digest)

    def __contains__(self, digest: object) -> bool:
        return digest in self._count

    async def ended(self, digest: str) -> None:
        """Returns when no request uses the digest."""
        while self._count[digest]:
            ending: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.setdefault(digest, []).append(ending)
            await ending

    def _wake(self, digest: str) -> None:
        for ending in self._waiting.pop(digest, []):
            if not ending.done():
                ending.set_result(None)
