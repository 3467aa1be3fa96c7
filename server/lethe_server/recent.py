"""A value that is asked for when somebody wants it, and then serves for a while.

Asking takes the engine's attention between two steps, so an answer serves however many want it, and
nobody waits long for a busy engine: what it last said holds until it says something else.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

FRESH = 5.0
"""Seconds for which an answer serves."""
PATIENCE = 1.0
"""Seconds to wait for an engine that is in the middle of a step."""

T = TypeVar("T")


class Recent(Generic[T]):
    """The last answer to a question.

    Args:
        ask: gets the answer; raises nothing.
        first: what holds before there is one.
    """

    def __init__(self, ask: Callable[[], Awaitable[T]], first: T) -> None:
        self._ask = ask
        self._last = first
        self._asked = -FRESH
        self._asking: asyncio.Task[None] | None = None

    async def get(self) -> T:
        """What was last answered, asked anew if that is a while ago."""
        if self._asking is None and time.monotonic() - self._asked >= FRESH:
            self._asking = asyncio.create_task(self._renew())
        if self._asking is not None:
            await asyncio.wait([self._asking], timeout=PATIENCE)
        return self._last

    async def _renew(self) -> None:
        try:
            self._last = await self._ask()
        finally:
            self._asked, self._asking = time.monotonic(), None
