"""Gives a profile a name, or takes one away, while requests are being served.

Every rank has a profile before its name is switched, and if there is room has proven it; the switch
is one transaction. So each request sees the old profile or the new one. What no name has any more
is unloaded once the requests on it are done; where that fails, the change stands and is answered.
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
from lethe_vllm.store.meanings import PUT, ROLLBACK, Change, Expected, check_expected

logger = logging.getLogger("vllm.lethe")


async def put(
    serving: Serving,
    name: str,
    data: bytes,
    source: str = "",
    author: str = "",
    expected: Expected | None = None,
) -> tuple[Entry, bool]:
    """Stores and loads a profile under a name.

    Args:
        serving: the server's state.
        name: what requests will call it.
        data: the artifact.
        source: where it is from, for the history.
        author: who did it, for the history.
        expected: what the name has to mean until then; None for anything.

    Returns:
        The profile, and whether the name is new.

    Raises:
        PreconditionError: the name means something else, also if another server that shares the
            store was first.
        LetheError: it is malformed, for another model, or was refused by the engine, or the name
            is pinned; what the name meant before still serves. Or the change was made, and the
            audit cannot say so.
    """
    check_name(name)
    async with serving.writing:
        digest = await asyncio.to_thread(artifact.digest, data)
        change = Change(digest, PUT, source, author, expected)
        await asyncio.to_thread(_check_expected, serving, name, change)
        return await _publish(serving, name, data, change)


async def rollback(
    serving: Serving, name: str, wanted: int | str | None, author: str = ""
) -> Entry:
    """Gives a name an earlier profile of its own again.

    Args:
        serving: the server's state.
        name: which; it may be deleted by now.
        wanted: the version, the start of the digest, or None for the profile before.
        author: who did it, for the history.

    Raises:
        UnknownProfileError: the name never had it.
        LetheError: as `put`.
    """
    async with serving.writing:
        version = await asyncio.to_thread(serving.catalogue.earlier, name, wanted)
        digest = version.digest or ""
        data = await asyncio.to_thread(serving.catalogue.objects.get, digest)
        change = Change(digest, ROLLBACK, f"version {version.version}", author)
        return (await _publish(serving, name, data, change))[0]


async def _publish(serving: Serving, name: str, data: bytes, change: Change) -> tuple[Entry, bool]:
    """Loads a profile everywhere, then switches the name."""
    profile = await asyncio.to_thread(serving.catalogue.check, data)
    serving.check_sites(profile)
    digest = change.digest or ""
    exists, previous = await asyncio.to_thread(_previous, serving, name)
    entry = None
    try:
        await serving.front_end.load_data_async(Variant(name, digest), data, serving.rpc)
        async with serving.watching.audit.change(change.action, name, previous, digest):
            entry = await asyncio.to_thread(serving.catalogue.put, name, data, profile, change)
    finally:
        # What counts is whether the name has changed; the audit may fail to say so.
        if entry is None:
            unload_unneeded(serving, digest)
        elif previous not in (None, digest):
            await unnamed(serving, previous or "")
    return entry, not exists


async def delete(serving: Serving, name: str, author: str = "") -> Variant:
    """Takes a name away; requests that already have its profile finish on it.

    Raises:
        UnknownProfileError: there is no such name.
        UnavailableError: it cannot be audited; the error says whether the name is gone.
    """
    async with serving.writing:
        _, previous = await asyncio.to_thread(_previous, serving, name)
        variant = None
        try:
            async with serving.watching.audit.change("delete", name, previous, None):
                variant = await asyncio.to_thread(serving.catalogue.delete, name, author)
        finally:
            if variant is not None:
                await unnamed(serving, variant.digest)
        return variant


def _check_expected(serving: Serving, name: str, change: Change) -> None:
    """Raises PreconditionError before anything is loaded; the store looks again as it writes."""
    named = None if change.expected is None else serving.catalogue.now(name)
    check_expected(name, change, named.digest if named else None)


def _previous(serving: Serving, name: str) -> tuple[bool, str | None]:
    """Whether the name exists, and the digest it has; None if its file is damaged."""
    try:
        return True, serving.catalogue.entry(name).digest
    except UnknownProfileError:
        return False, None
    except LetheError as error:
        logger.warning("What the name had was damaged: %s", error)
        return True, None
