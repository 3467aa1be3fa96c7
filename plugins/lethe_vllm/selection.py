"""Which variant a request asks for, and how that travels. Knows nothing of vLLM or of HTTP.

A request carries its variant in `SamplingParams.extra_args["unlearning_profile"]`: a caller
writes `NAME` or `NAME@DIGEST` (any unambiguous start of the digest); past the front end it is
always `NAME@` and the full sha256, so that what a name means cannot change under a request.
"""

import re
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Self

from lethe_vllm.errors import SelectionError

PROFILE_KEY = "unlearning_profile"
"""The key in `extra_args`."""

BASE = "base"
"""The reserved name of the unmodified model."""

_NAME = r"[a-z0-9][a-z0-9._-]{0,63}"
_SELECTION = re.compile(rf"({_NAME})(?:@([0-9a-f]{{8,64}}))?")


def check_name(name: str) -> str:
    """Returns `name` if it may name a profile.

    Raises:
        SelectionError: it has another form, or is reserved.
    """
    if not re.fullmatch(_NAME, name) or name == BASE:
        raise SelectionError(
            "profile name: expected 1 to 64 of a-z, 0-9, '.', '_', '-', starting with a letter or "
            f"digit, and not '{BASE}', found {name[:80]!r}; choose another name"
        )
    return name


@dataclass(frozen=True)
class Selection:
    """What a caller asked for.

    Attributes:
        name: a profile's name, or `base`.
        digest: the start of a sha256 in lower-case hex that the name must have now, or None.
    """

    name: str
    digest: str | None = None

    @classmethod
    def parse(cls, text: Any) -> Self:
        """Reads `NAME` or `NAME@DIGEST`.

        Raises:
            SelectionError: any other form, or a digest with `base`.
        """
        match = _SELECTION.fullmatch(text) if isinstance(text, str) else None
        if match is None:
            raise SelectionError(
                "profile: expected NAME or NAME@DIGEST (8 to 64 hexadecimal digits of its "
                f"sha256), found {str(text)[:80]!r}; GET /v1/unlearning/profiles lists the names"
            )
        if match[1] == BASE and match[2]:
            raise SelectionError(
                f"profile: expected '{BASE}' alone, found {text[:80]!r}; the base has no digest"
            )
        return cls(match[1], match[2])


@dataclass(frozen=True)
class Variant:
    """What a request is served by.

    Attributes:
        name: the profile's name, or `base`.
        digest: the artifact's sha256, 64 hexadecimal digits; empty for the base.
    """

    name: str
    digest: str = ""

    @property
    def is_base(self) -> bool:
        return not self.digest

    @property
    def stamp(self) -> str:
        """`NAME@DIGEST`, as it travels inside the engine."""
        return f"{self.name}@{self.digest}"


BASE_VARIANT = Variant(BASE)

current: ContextVar[Variant | None] = ContextVar("lethe_variant", default=None)
"""The variant of the HTTP request being handled, set by the server for every request; None
outside HTTP. A context variable reaches every endpoint's call into the engine, including the
ones whose request body has no room for extra arguments."""


def stamped_digest(extra_args: dict[str, Any] | None) -> str | None:
    """The digest of a request inside the engine; None for the base.

    Raises:
        SelectionError: the value was not stamped by the front end.
    """
    value = (extra_args or {}).get(PROFILE_KEY)
    if value is None:
        return None
    selection = Selection.parse(value)
    if selection.digest is None or len(selection.digest) != 64:
        raise SelectionError(
            f"profile: expected NAME@SHA256 inside the engine, found {value!r}; enter requests "
            "through LLM, AsyncLLM or the HTTP server, with Lethe enabled"
        )
    return selection.digest
