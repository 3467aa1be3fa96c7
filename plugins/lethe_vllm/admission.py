"""What the engine core sees to before a request is scheduled.

Its profile is resident on every rank, and its prefix-cache blocks are its own.

KV blocks are found by a hash chain whose first link contains the request's salt. A variant's salt
holds its artifact's digest, so blocks are shared within one digest and never across.
"""

from collections.abc import Collection

from lethe_vllm.errors import UnavailableError

_PREFIX = "lethe:"


def salted(digest: str | None, caller_salt: str | None) -> str | None:
    """The cache salt of a request: injective in (digest, caller's salt).

    Base requests keep the caller's salt, so their blocks are shared with stock traffic; one that
    imitates a variant's salt is moved out of its way.
    """
    if digest is not None:
        return f"{_PREFIX}{digest}:{caller_salt or ''}"
    if caller_salt is not None and caller_salt.startswith(_PREFIX):
        return f"{_PREFIX}base:{caller_salt}"
    return caller_salt


class Admission:
    """Which profiles every rank of one engine holds, and which wait to be unloaded."""

    def __init__(self) -> None:
        self._resident: set[str] = set()
        self._retiring: set[str] = set()

    def loaded(self, digest: str) -> None:
        """Every rank has confirmed that it holds `digest`."""
        self._resident.add(digest)
        self._retiring.discard(digest)

    def retire(self, digest: str) -> None:
        """No new request may use `digest`; running ones finish on it."""
        self._resident.discard(digest)
        self._retiring.add(digest)

    def unloadable(self, in_use: Collection[str | None]) -> set[str]:
        """The retired digests that no request uses any more; they are forgotten here."""
        done = self._retiring.difference(in_use)
        self._retiring -= done
        return done

    @property
    def has_retiring(self) -> bool:
        return bool(self._retiring)

    def check(self, digest: str) -> None:
        """Raises UnavailableError unless a new request may use `digest`."""
        if digest not in self._resident:
            raise UnavailableError(
                f"profile {digest[:12]}: expected it resident on every rank, found it is not "
                "(unloaded while the request was on its way); send the request again"
            )
