"""Lets the engine forget what nothing names any more, once no request is on its way to it."""

import asyncio
import logging
from typing import TYPE_CHECKING

from lethe_projections.errors import LetheError

if TYPE_CHECKING:
    from lethe_server.serving import Serving

logger = logging.getLogger("vllm.lethe")

_unloading: set["asyncio.Task[None]"] = set()
"""Held here because the event loop itself keeps only weak references to tasks."""


def unload_unneeded(serving: "Serving", digest: str) -> None:
    """Starts to unload a digest as soon as nothing uses it, unless it is needed by then."""
    task = asyncio.create_task(_unload(serving, digest), name=f"unload {digest[:12]}")
    _unloading.add(task)
    task.add_done_callback(_finished)


async def unnamed(serving: "Serving", digest: str) -> None:
    """A name gave up a digest: unless another has it, it and what is composed of it may go.

    Raises nothing: the name has changed, whatever becomes of its memory.
    """
    front_end = serving.front_end
    try:
        is_named = await asyncio.to_thread(front_end.catalogue.holds, digest)
    except LetheError as error:
        logger.warning("%s stays loaded until a restart: %s", digest[:12], error)
        return
    if not is_named:
        for unused in front_end.compositions.without(digest):
            unload_unneeded(serving, unused)


async def _unload(serving: "Serving", digest: str) -> None:
    front_end = serving.front_end
    while True:
        await serving.uses.ended(digest)
        async with serving.writing:
            named = await asyncio.to_thread(front_end.catalogue.holds, digest)
            # From here until the engine is told nothing is awaited: no request comes between.
            if named or digest in front_end.compositions:
                return
            if digest not in serving.uses:
                serving.answered.pop(digest, None)
                await front_end.unload_async(digest, serving.rpc)
                return


def _finished(task: "asyncio.Task[None]") -> None:
    _unloading.discard(task)
    if not task.cancelled() and (error := task.exception()) is not None:
        logger.error("Could not %s; it takes memory until a restart: %s", task.get_name(), error)
