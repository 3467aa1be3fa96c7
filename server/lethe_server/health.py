"""What the engine's ranks say of their sites, asked when somebody wants to know. Knows no HTTP.

The ranks look at their modules and run nothing; still, asking takes the engine's attention between
two steps. So an answer serves for a while, however many ask, and nobody waits long for a busy
engine: what it last said holds until it says something else.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

logger = logging.getLogger("vllm.lethe")

FRESH = 5.0
"""Seconds for which an answer serves."""
PATIENCE = 1.0
"""Seconds to wait for an engine that is in the middle of a step."""

Missing = Mapping[str, Mapping[str, str]]
"""By rank, the sites that edit nothing there and why; empty if all do."""


class Health:
    """The sites of one engine client's ranks.

    Args:
        ask: gets what `LetheWorker.lethe_check` says on every rank, by engine.
    """

    def __init__(self, ask: Callable[[], Awaitable[Sequence[Sequence[Mapping[str, Any]]]]]) -> None:
        self._ask = ask
        self._missing: Missing = {}
        self._asked = -FRESH
        self._asking: asyncio.Task[None] | None = None

    async def missing(self) -> Missing:
        """What was missing when the ranks last answered."""
        if self._asking is None and time.monotonic() - self._asked >= FRESH:
            self._asking = asyncio.create_task(self._look())
        if self._asking is not None:
            await asyncio.wait([self._asking], timeout=PATIENCE)
        return self._missing

    async def _look(self) -> None:
        try:
            found = by_rank(await self._ask())
        except Exception as error:  # noqa: BLE001, whatever it is, nobody vouches for the sites
            found = {"every rank": {"every site": f"no answer: {error}"}}
        finally:
            self._asked, self._asking = time.monotonic(), None
        if found != self._missing:
            logger.log(logging.ERROR if found else logging.INFO, "%s", message(found))
        self._missing = found


def by_rank(replies: Sequence[Sequence[Mapping[str, Any]]]) -> Missing:
    """Names each rank of each engine that misses something."""
    return {
        (f"engine {engine}, " if len(replies) > 1 else "") + f"rank {reply['rank']}": missing
        for engine, ranks in enumerate(replies)
        for reply in ranks
        if (missing := dict(reply["missing"]))
    }


def message(missing: Missing) -> str:
    """What a person is told."""
    if not missing:
        return "every declared site is installed on its rank"
    listed = "; ".join(
        f"{rank}: " + ", ".join(f"{site} ({why})" for site, why in sites.items())
        for rank, sites in missing.items()
    )
    return (
        "health: expected every declared site to be installed on its rank, found some that are "
        f"not ({listed}): variants are not served as they should be; restart the engine"
    )
