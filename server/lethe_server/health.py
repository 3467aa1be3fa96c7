"""What the engine's ranks say of their sites, asked when somebody wants to know. Knows no HTTP.

The ranks look at their modules and run nothing.
"""

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from lethe_server.recent import Recent

logger = logging.getLogger("vllm.lethe")

Missing = Mapping[str, Mapping[str, str]]
"""By rank, the sites that edit nothing there and why; empty if all do."""


class Health:
    """The sites of one engine client's ranks.

    Args:
        ask: gets what `LetheWorker.lethe_check` says on every rank, by engine.
    """

    def __init__(self, ask: Callable[[], Awaitable[Sequence[Sequence[Mapping[str, Any]]]]]) -> None:
        self._ask = ask
        self._said: Missing = {}
        self._missing: Recent[Missing] = Recent(self._look, {})

    async def missing(self) -> Missing:
        """What was missing when the ranks last answered."""
        return await self._missing.get()

    async def _look(self) -> Missing:
        try:
            found = by_rank(await self._ask())
        except Exception as error:  # noqa: BLE001, whatever it is, nobody vouches for the sites
            found = {"every rank": {"every site": f"no answer: {error}"}}
        if found != self._said:
            logger.log(logging.ERROR if found else logging.INFO, "%s", message(found))
        self._said = found
        return found


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
