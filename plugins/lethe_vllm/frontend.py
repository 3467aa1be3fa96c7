"""The front end's part: turns what a request asks for into a resident, exactly named variant.

One `FrontEnd` belongs to one engine client. The engine client's own `collective_rpc` is the only
way into the engine; it is synchronous in `LLM` and asynchronous in the server.
"""

import asyncio
import itertools
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any

from lethe_projections import artifact
from lethe_projections.profile import Profile
from lethe_vllm.compositions import Compositions, composed, digests
from lethe_vllm.errors import SelectionError, UnavailableError, UnsupportedError
from lethe_vllm.once import Once
from lethe_vllm.options import REFUSE, WAIT
from lethe_vllm.selection import BASE_VARIANT, PROFILE_KEY, Selection, Variant, current

if TYPE_CHECKING:
    # Opens a database, which no other process of the engine needs.
    from lethe_vllm.catalogue import Catalogue, Entry

logger = logging.getLogger("vllm.lethe")
"""Below vLLM's own logger, which alone has a handler in its processes."""

Rpc = Callable[..., Any]
Everyone = Callable[..., Awaitable[Sequence[Sequence[Any]]]]
"""Given a method of the worker and its arguments, what every rank replies, by engine."""


class FrontEnd:
    """Resolves selections and keeps track of what the engine holds.

    Attributes:
        catalogue: profiles by name.
        compositions: those made of several of them.
        resident: digests that every rank has confirmed.
        reached: whether a step was seen to reach every site; what serves asks when it starts, and
            the first load does where nothing did.
        when_full: as `Options` says.
    """

    def __init__(self, catalogue: "Catalogue", when_full: str = WAIT) -> None:
        self.catalogue = catalogue
        self.when_full = when_full
        self.compositions = Compositions()
        self.resident: set[str] = set()
        self.reached = False
        self._displaced: list[str] = []
        self._composing, self._loading = Once(), Once()
        self._turns = itertools.count()

    def variant_of(self, extra_args: dict[str, Any] | None) -> Variant:
        """The variant a request must be served by.

        Over HTTP the server has already chosen, and a body's own `vllm_xargs` may not.

        Raises:
            SelectionError: the selection is malformed, or made twice.
            LetheError: as `resolve`.
        """
        chosen, asked = current.get(), (extra_args or {}).get(PROFILE_KEY)
        if chosen is not None and asked is not None:
            raise SelectionError(
                f"vllm_xargs.{PROFILE_KEY}: expected no selection there, found "
                f"{str(asked)[:80]!r}; use the X-Unlearning-Profile header or the model name"
            )
        return chosen or self.resolve(Selection.parse(asked))

    def resolve(self, selection: Selection) -> Variant:
        """What a selection means now. Composes here and now, if that is still to be done.

        Raises:
            UnknownProfileError: no such profile.
            CompositionError: the profiles cannot be composed.
        """
        parts = self.catalogue.find(selection)
        for replaced in self.catalogue.take_replaced():
            self._displaced += self.compositions.without(replaced)
        if len(parts) < 2:
            return parts[0].variant if parts else BASE_VARIANT
        found = self.compositions.use(parts)
        if found is None:
            found = composed(parts)
            self._displaced += self.compositions.add(found)
        return found.variant(parts)

    async def resolve_async(
        self, selection: Selection, displace: Callable[[str], object]
    ) -> Variant:
        """As `resolve`. Files are read and profiles composed in threads, one composition once.

        What is known and has not changed is looked up here and now: the way to a thread and back
        takes ten times as long.

        Args:
            selection: what was asked for.
            displace: told the digest of each composition that made room, and of each profile that
                another process or a file replaced, with what was composed of it, to unload it when
                nothing uses it; a load by another request would not wait for that.

        Raises:
            LetheError: as `resolve`.
        """
        if selection.is_base:
            return BASE_VARIANT
        known = self.catalogue.find_at_once(selection)
        parts = await self._find_async(selection, displace) if known is None else known
        if len(parts) < 2:
            return parts[0].variant
        # Asked again once it is made: it may have been displaced before this request went on.
        while (found := self.compositions.use(parts)) is None:
            await self._composing.do(digests(parts), lambda: self._compose_once(parts, displace))
        return found.variant(parts)

    async def _find_async(
        self, selection: Selection, displace: Callable[[str], object]
    ) -> "tuple[Entry, ...]":
        parts, told = await asyncio.to_thread(self._find, selection)
        for replaced in told:
            for unused in self.compositions.without(replaced):
                displace(unused)
        return parts

    def _find(self, selection: Selection) -> "tuple[tuple[Entry, ...], list[str]]":
        """What a selection means, and what somebody else replaced. Both may wait: in a thread."""
        return self.catalogue.find(selection), self.catalogue.take_replaced()

    async def _compose_once(
        self, parts: "tuple[Entry, ...]", displace: Callable[[str], object]
    ) -> None:
        for displaced in self.compositions.add(await asyncio.to_thread(composed, parts)):
            displace(displaced)

    def take_displaced(self) -> list[str]:
        """Digests of what made room for something else since the last call."""
        taken, self._displaced = self._displaced, []
        return taken

    def profile(self, variant: Variant) -> Profile:
        """The edits that a variant other than the base is.

        Raises:
            LetheError: it was displaced, replaced or deleted since it was resolved.
        """
        of = self.compositions if variant.parts else self.catalogue
        return of.profile(variant)

    def data(self, variant: Variant) -> bytes:
        """The artifact of a variant other than the base.

        Raises:
            UnavailableError: it was displaced, replaced or deleted since it was resolved.
        """
        if variant.parts:
            return artifact.to_bytes(self.compositions.profile(variant))
        return self.catalogue.data(variant)

    def needs(self, digest: str) -> bool:
        """Whether the engine should go on holding a digest: it has a name or is a composition."""
        return digest in self.compositions or self.catalogue.holds(digest)

    def load(self, variant: Variant, rpc: Rpc) -> None:
        """Makes a variant resident, if it is not yet.

        Raises:
            UnavailableError: a rank refused it.
        """
        for displaced in self.take_displaced():
            self.unload(displaced, rpc)
        if not variant.is_base and variant.digest not in self.resident:
            self.load_data(variant, self.data(variant), rpc)

    def unload(self, digest: str, rpc: Rpc) -> None:
        """Lets the engine forget a digest once its running requests are done, unless needed."""
        if not self.needs(digest):
            self.resident.discard(digest)
            rpc("lethe_unload", args=(digest,))

    def load_data(self, variant: Variant, data: bytes, rpc: Rpc) -> None:
        """Makes a variant resident from its bytes, before it has a name in the catalogue.

        Raises:
            UnavailableError: a rank refused it.
        """
        try:
            if not self.reached:
                rpc("lethe_status")
                self.reached = True
            replies = rpc("lethe_load", args=(variant.digest, data))
        except Exception as error:
            raise _refused(variant, error) from error
        self._confirm(variant, replies)

    async def load_async(self, variant: Variant, rpc: Callable[..., Awaitable[Any]]) -> None:
        """As `load`. Concurrent first requests of one variant load it once."""
        for displaced in self.take_displaced():
            if not self.needs(displaced):
                await self.unload_async(displaced, rpc)
        if not variant.is_base and variant.digest not in self.resident:
            await self._loading.do(variant.digest, lambda: self._load_once(variant, rpc))

    def reserve(self, variant: Variant, rpc: Rpc) -> None:
        """Where requests do not wait for room, makes sure that a loaded variant has some.

        Raises:
            UnavailableError: running requests use all of it.
        """
        if self.when_full == REFUSE and not variant.is_base:
            _check_room(variant, rpc("lethe_reserve", args=(variant.digest,)))

    async def engine_for(
        self, variant: Variant, ask: Everyone, asked: int | None = None
    ) -> int | None:
        """As `reserve`, among several engines of which one is to serve the request.

        Args:
            variant: loaded.
            ask: reaches all of them.
            asked: the engine that the request names itself, if it does.

        Returns:
            The engine that must serve it; None if any may.

        Raises:
            UnavailableError: none has room, or not the one that was asked for.
        """
        if self.when_full != REFUSE or variant.is_base:
            return asked
        try:
            engines = await ask("lethe_reserve", variant.digest)
        except Exception as error:
            self.resident.discard(variant.digest)
            raise _refused(variant, error) from error
        room = [all(replies) for replies in engines]
        if asked is not None and 0 <= asked < len(room):
            room = [has and engine == asked for engine, has in enumerate(room)]
        _check_room(variant, [any(room)])
        if all(room):
            return asked
        able = [engine for engine, has in enumerate(room) if has]
        # In turn, or the first would get all that do not fit elsewhere.
        return able[next(self._turns) % len(able)]

    async def _load_once(self, variant: Variant, rpc: Callable[..., Awaitable[Any]]) -> None:
        data = await asyncio.to_thread(self.data, variant)
        await self.load_data_async(variant, data, rpc)

    async def load_data_async(
        self, variant: Variant, data: bytes, rpc: Callable[..., Awaitable[Any]]
    ) -> None:
        """As `load_data`."""
        try:
            if not self.reached:
                await rpc("lethe_status")
                self.reached = True
            replies = await rpc("lethe_load", args=(variant.digest, data))
        except Exception as error:
            raise _refused(variant, error) from error
        self._confirm(variant, replies)

    async def unload_async(self, digest: str, rpc: Callable[..., Awaitable[Any]]) -> None:
        """Lets the engine forget a digest once its running requests are done."""
        # A load that ended after this would confirm what the engine holds no more.
        await self._loading.ended(digest)
        self.resident.discard(digest)
        await rpc("lethe_unload", args=(digest,))

    def _confirm(self, variant: Variant, replies: list[dict[str, Any]]) -> None:
        if not replies or any(reply["digest"] != variant.digest for reply in replies):
            raise UnavailableError(
                f"profile {variant.name}: expected every rank to confirm {variant.digest[:12]}, "
                f"found {replies}; restart the engine"
            )
        self.resident.add(variant.digest)
        logger.info(
            "Loaded profile %s@%s on %d rank(s)", variant.name, variant.digest[:12], len(replies)
        )


def stamp(params: Any, variant: Variant) -> Any:
    """A copy of sampling parameters that carries the variant, or for the base nothing.

    Raises:
        UnsupportedError: the request does not sample (pooling), and has nowhere to carry it.
    """
    if not hasattr(params, "extra_args"):
        raise UnsupportedError(
            f"profile {variant.name}: expected a request that generates text, found a "
            f"{type(params).__name__}; use the base for it"
        )
    stamped = params.clone()
    others = {k: v for k, v in (params.extra_args or {}).items() if k != PROFILE_KEY}
    stamped.extra_args = others if variant.is_base else {**others, PROFILE_KEY: variant.stamp}
    return stamped


def _check_room(variant: Variant, replies: list[bool]) -> None:
    if not all(replies):
        raise UnavailableError(
            f"profile {variant.name}@{variant.digest[:12]}: expected room for it on the device, "
            "found all of it in use by running requests; send the request again later, or raise "
            "--lethe-bank-mb"
        )


def _refused(variant: Variant, error: Exception) -> UnavailableError:
    return UnavailableError(
        f"profile {variant.name}@{variant.digest[:12]}: the engine refused it: {error}"
    )
