"""Work that concurrent callers share: what several ask for at the same time is done once."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Any, TypeVar

_Result = TypeVar("_Result")


class Once:
    """Work under way, by key, for one event loop."""

    def __init__(self) -> None:
        self._running: dict[Hashable, asyncio.Future[Any]] = {}

    async def do(self, key: Hashable, start: Callable[[], Awaitable[_Result]]) -> _Result:
        """Starts the work, or joins the one under way, and returns what it came to.

        Raises:
            Exception: what the work raised, to each who waits for it.
        """
        running = self._running.get(key)
        if running is None:
            running = asyncio.ensure_future(start())
            self._running[key] = running
            running.add_done_callback(lambda _: self._running.pop(key))
        # Shielded: the first client may hang up while others wait for the same work.
        result: _Result = await asyncio.shield(running)
        return result

    async def ended(self, key: Hashable) -> None:
        """Returns when no such work is under way, however it ended."""
        while running := self._running.get(key):
            await asyncio.wait([running])
