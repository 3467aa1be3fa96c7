"""Makes keys, hashes them, and reads the one that a request offers. Keeps none and prints none."""

import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable
from typing import TypeVar

from lethe_server.errors import UnauthenticatedError

PREFIX = "lethe-"
"""So that a scanner for leaked secrets can know one by its form."""

_MADE = re.compile(rf"{PREFIX}[A-Za-z0-9_-]{{43}}")

T = TypeVar("T")


def generate() -> str:
    """A new key with 256 random bits: a plain hash of it cannot be searched for."""
    return PREFIX + secrets.token_urlsafe(32)


def without_keys(text: str) -> str:
    """A text in which whatever `generate` could have made is replaced."""
    return _MADE.sub("(a key)", text)


def hashed(key: str) -> str:
    """sha256 in hexadecimal digits. As latin-1, which is what header values are read as."""
    return hashlib.sha256(key.encode("latin-1", "replace")).hexdigest()


def offered(authorization: Iterable[str], api_key: Iterable[str]) -> str | None:
    """The key of a request; None if it has none.

    Args:
        authorization: every value of `Authorization`.
        api_key: every value of `x-api-key`, which Anthropic's clients send.

    Raises:
        UnauthenticatedError: two keys, or another scheme than Bearer.
    """
    found = {*map(_bearer, authorization), *api_key}
    if len(found) > 1:
        raise UnauthenticatedError(
            f"key: expected one, found {len(found)} in the Authorization and x-api-key headers; "
            "send one of them"
        )
    return found.pop() if found else None


def find(key: str, known: Iterable[tuple[str, T]]) -> T | None:
    """What belongs to a key. Compares with every hash, so that time does not tell which matched.

    Args:
        key: as offered.
        known: pairs of a hash and what belongs to it.
    """
    digest, found = hashed(key), None
    for other, belonging in known:
        if hmac.compare_digest(digest, other):
            found = belonging
    return found


def _bearer(authorization: str) -> str:
    scheme, _, key = authorization.partition(" ")
    if scheme.lower() != "bearer":
        raise UnauthenticatedError(
            "Authorization: expected 'Bearer KEY', found another form; send a key of this server's "
            "policy"
        )
    return key.strip()
