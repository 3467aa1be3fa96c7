"""What the engine core sees to before a request is scheduled.

Its profile is resident on every rank, and its prefix-cache blocks are its own.

KV blocks are found by a hash chain whose first link contains the request's salt. A variant's salt
holds its artifact's digest, so blocks are shared within one digest and never across.

A variant with scopes edits a token by its place in the request, so the same tokens can have
different KV entries: an answer's, when it was generated and when the next turn sends it as prompt.
From the block with the last prompt token on, such a variant's links also contain the prompt's
length. Blocks before it hold nothing but prompt whatever the length, and are shared.
"""

from collections.abc import Collection

from lethe_vllm.errors import UnavailableError

_PREFIX = "lethe:"
_POSITIONAL = f"{_PREFIX}at:"


def salted(digest: str | None, caller_salt: str | None, positional: bool = False) -> str | None:
    """The cache salt of a request: injective in (digest, caller's salt).

    Base requests keep the caller's salt, so their blocks are shared with stock traffic; one that
    imitates a variant's salt is moved out of its way.
    """
    if digest is not None:
        return f"{_POSITIONAL if positional else _PREFIX}{digest}:{caller_salt or ''}"
    if caller_salt is not None and caller_salt.startswith(_PREFIX):
        return f"{_PREFIX}base:{caller_salt}"
    return caller_salt


def block_key(salt: str | None, end: int, prompt_tokens: int) -> tuple[tuple[str, int], ...]:
    """What a KV block's link contains beyond tokens and salt.

    Args:
        salt: the request's, as `salted` gave it.
        end: position past the block's last token.
        prompt_tokens: length of the request's prompt.
    """
    if salt is not None and salt.startswith(_POSITIONAL) and end >= prompt_tokens:
        return (("lethe_prompt_tokens", prompt_tokens),)
    return ()


class Admission:
    """Which profiles every rank of one engine holds, and which wait to be unloaded."""

    def __init__(self) -> None:
        self._resident: dict[str, bool] = {}
        self._retiring: set[str] = set()

    def loaded(self, digest: str, positional: bool = False) -> None:
        """Every rank has confirmed that it holds `digest`, whose scopes may tell tokens apart."""
        self._resident[digest] = positional
        self._retiring.discard(digest)

    def retire(self, digest: str) -> None:
        """No new request may use `digest`; running ones finish on it."""
        self._resident.pop(digest, None)
        self._retiring.add(digest)

    def unloadable(self, in_use: Collection[str | None]) -> set[str]:
        """The retired digests that no request uses any more; they are forgotten here."""
        done = self._retiring.difference(in_use)
        self._retiring -= done
        return done

    def positional(self, digest: str) -> bool:
        """Whether its scopes tell tokens apart; assumed of one that is not resident."""
        return self._resident.get(digest, True)

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
