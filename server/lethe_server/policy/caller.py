"""What one key may do. Knows nothing of keys' hashes, of files or of HTTP."""

from contextvars import ContextVar
from dataclasses import dataclass

from lethe_vllm.selection import Selection

ANONYMOUS = "anonymous"
"""The name of requests without a key, where the policy allows them."""


@dataclass(frozen=True)
class Caller:
    """Who a request is from, and what it may use.

    Attributes:
        name: the key's; None where there is no policy, or nobody knows.
        profiles: those it may use, alone or composed with each other; None for all.
        base: whether it may use the base.
        default: what serves it if it names nothing; None for the base.
        adapters: LoRA adapters that it may name; None for all.
        admin: whether it may use the routes that administer the server.
    """

    name: str | None
    profiles: frozenset[str] | None = frozenset()
    base: bool = False
    default: Selection | None = None
    adapters: frozenset[str] | None = frozenset()
    admin: bool = False

    def __str__(self) -> str:
        if self.name in (None, ANONYMOUS):
            return "a request without a key"
        return f"key {self.name!r}"

    @property
    def is_restricted(self) -> bool:
        """Whether there is anything that it may not be served by."""
        return not self.base or self.profiles is not None or self.adapters is not None

    def permits(self, selection: Selection) -> bool:
        """Whether it may be served by a selection: by the base, or by every part."""
        if selection.is_base:
            return self.base
        return self.profiles is None or all(p.name in self.profiles for p in selection.parts)

    def permits_adapter(self, name: str) -> bool:
        """Whether it may name a LoRA adapter."""
        return self.adapters is None or name in self.adapters

    def sees(self, name: str) -> bool:
        """Whether lists show it a profile: one that it may use, or administer."""
        return self.admin or self.profiles is None or name in self.profiles


EVERYONE = Caller(None, profiles=None, base=True, adapters=None, admin=True)
"""The caller of every request where there is no policy."""

NOBODY = Caller(None)
"""The caller of a probe without a key."""

calling: ContextVar[Caller] = ContextVar("lethe_caller", default=EVERYONE)
"""Whose request is being handled, for the routes whose answers depend on it."""
