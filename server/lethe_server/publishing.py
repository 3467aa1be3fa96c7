"""Gives a profile a name, or takes one away, while requests are being served.

Every rank has a profile before its name is switched, and if there is room has proven it; the switch
is one rename. So each request sees the old profile or the new one. What no name has any more is
unloaded once the requests on it are done.
"""

import asyncio
import logging

from lethe_projections import artifact
from lethe_projections.errors import LetheError
from lethe_server.serving import Serving
from lethe_server.unloading import unload_unneeded, unnamed
from lethe_vllm.catalogue import Entry
from lethe_vllm.errors import UnknownProfileError
from lethe_vllm.selection import Variant, check_name

logger = logging.getLogger("vllm.lethe")


async def put(serving: Serving, name: str, data: bytes) -> tuple[Entry, bool]:
    """Stores and loads a profile under a name.

    Returns:
        The profile, and whether the name is new.

    Raises:
        LetheError: it is malformed, for another model, was refused by the engine, or cannot be
            audited; what the name meant before still serves.
    """
    check_name(name)
    async with serving.writing:
        profile = await asyncio.to_thread(serving.catalogue.check, data)
        serving.check_sites(profile)
        digest = await asyncio.to_thread(artifact.digest, data)
        exists, previous = await asyncio.to_thread(_previous, serving, name)
        try:
            await serving.front_end.load_data_async(Variant(name, digest), data, serving.rpc)
            async with serving.watching.audit.change("put", name, previous, digest):
                entry = await asyncio.to_thread(serving.catalogue.put, name, data, profile)
        except BaseException:
            unload_unneeded(serving, digest)
            raise
        if previous not in (None, digest):
            await unnamed(serving, previous or "")
        return entry, not exists


async def delete(serving: Serving, name: str) -> Variant:
    """Takes a name away; requests that already have its profile finish on it.

    Raises:
        UnknownProfileError: there is no such name.
        UnavailableError: it cannot be audited.
    """
    async with serving.writing:
        _, previous = await asyncio.to_thread(_previous, serving, name)
        async with serving.watching.audit.change("delete", name, previous, None):
            variant = await asyncio.to_thread(serving.catalogue.delete, name)
        await unnamed(serving, variant.digest)
        return variant


def _previous(serving: Serving, name: str) -> tuple[bool, str | None]:
    """Whether the name exists, and the digest it has; None if its file is damaged."""
    try:
        return True, serving.catalogue.entry(name).digest
    except UnknownProfileError:
        return False, None
    except LetheError as error:
        logger.warning("What the name had was damaged: %s", error)
        return True, None
