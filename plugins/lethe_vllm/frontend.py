"""The front end's part: turns what a request asks for into a resident, exactly named variant.

One `FrontEnd` belongs to one engine client. The engine client's own `collective_rpc` is the only
way into the engine; it is synchronous in `LLM` and asynchronous in the server.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from lethe_vllm.catalogue import Catalogue
from lethe_vllm.errors import SelectionError, UnavailableError, UnsupportedError
from lethe_vllm.selection import PROFILE_KEY, Selection, Variant, current

logger = logging.getLogger("vllm.lethe")
"""Below vLLM's own logger, which alone has a handler in its processes."""

Rpc = Callable[..., Any]


class FrontEnd:
    """Resolves selections and keeps track of what the engine holds.

    Attributes:
        catalogue: profiles by name.
        resident: digests that every rank has confirmed.
    """

    def __init__(self, catalogue: Catalogue) -> None:
        self.catalogue = catalogue
        self.resident: set[str] = set()
        self._loading: dict[str, asyncio.Future[None]] = {}

    def variant_of(self, extra_args: dict[str, Any] | None) -> Variant:
        """The variant a request must be served by.

        Over HTTP the server has already chosen, and a body's own `vllm_xargs` may not.

        Raises:
            SelectionError: the selection is malformed, or made twice.
            UnknownProfileError: no such profile.
        """
        chosen, asked = current.get(), (extra_args or {}).get(PROFILE_KEY)
        if chosen is not None and asked is not None:
            raise SelectionError(
                f"vllm_xargs.{PROFILE_KEY}: expected no selection there, found "
                f"{str(asked)[:80]!r}; use the X-Unlearning-Profile header or the model name"
            )
        return chosen or self.catalogue.resolve(Selection.parse(asked))

    def load(self, variant: Variant, rpc: Rpc) -> None:
        """Makes a variant resident, if it is not yet.

        Raises:
            UnavailableError: a rank refused it.
        """
        if not variant.is_base and variant.digest not in self.resident:
            self.load_data(variant, self.catalogue.data(variant), rpc)

    def load_data(self, variant: Variant, data: bytes, rpc: Rpc) -> None:
        """Makes a variant resident from its bytes, before it has a name in the catalogue.

        Raises:
            UnavailableError: a rank refused it.
        """
        try:
            replies = rpc("lethe_load", args=(variant.digest, data))
        except Exception as error:
            raise _refused(variant, error) from error
        self._confirm(variant, replies)

    async def load_async(self, variant: Variant, rpc: Callable[..., Awaitable[Any]]) -> None:
        """As `load`. Concurrent first requests of one variant load it once."""
        if variant.is_base or variant.digest in self.resident:
            return
        loading = self._loading.get(variant.digest)
        if loading is None:
            loading = asyncio.ensure_future(self._load_once(variant, rpc))
            self._loading[variant.digest] = loading
            loading.add_done_callback(lambda _: self._loading.pop(variant.digest))
        # Shielded: the first client may hang up while others wait for the same load.
        await asyncio.shield(loading)

    async def _load_once(self, variant: Variant, rpc: Callable[..., Awaitable[Any]]) -> None:
        data = await asyncio.to_thread(self.catalogue.data, variant)
        await self.load_data_async(variant, data, rpc)

    async def load_data_async(
        self, variant: Variant, data: bytes, rpc: Callable[..., Awaitable[Any]]
    ) -> None:
        """As `load_data`."""
        try:
            replies = await rpc("lethe_load", args=(variant.digest, data))
        except Exception as error:
            raise _refused(variant, error) from error
        self._confirm(variant, replies)

    async def unload_async(self, digest: str, rpc: Callable[..., Awaitable[Any]]) -> None:
        """Lets the engine forget a digest once its running requests are done."""
        self.resident.discard(digest)
        await rpc("lethe_unload", args=(digest,))

    def _confirm(self, variant: Variant, replies: list[dict[str, Any]]) -> None:
        if not replies or any(reply["digest"] != variant.digest for reply in replies):
            raise UnavailableError(
                f"profile {variant.name}: expected every rank to confirm {variant.digest[:12]}, "
                f"found {replies}; restart the engine"
            )
        self.resident.add(variant.digest)
        worst = max(reply["error"] for reply in replies)
        logger.info(
            "Loaded profile %s@%s on %d rank(s); canary error %.1e",
            variant.name, variant.digest[:12], len(replies), worst,
        )  # fmt: skip


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


def _refused(variant: Variant, error: Exception) -> UnavailableError:
    return UnavailableError(
        f"profile {variant.name}@{variant.digest[:12]}: the engine refused it: {error}"
    )
