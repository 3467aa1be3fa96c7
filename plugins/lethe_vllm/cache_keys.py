"""Whose KV blocks are whose: what the engine core adds to the prefix cache's keys.

KV blocks are found by a hash chain whose first link contains the request's salt. A variant's salt
holds its artifact's digest, so blocks are shared within one digest and never across.

A variant with scopes edits a token by its place in the request, so the same tokens can have
different KV entries: an answer's, when it was generated and when the next turn sends it as prompt.
From the block with the last prompt token on, such a variant's links also contain the prompt's
length. Blocks before it hold nothing but prompt whatever the length, and are shared.
"""

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
