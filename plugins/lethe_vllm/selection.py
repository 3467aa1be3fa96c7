"""Which variant a request asks for, and how that travels. Knows nothing of vLLM or of HTTP.

A request carries its variant in `SamplingParams.extra_args["unlearning_profile"]`. A caller writes
`NAME` or `NAME@DIGEST` (any unambiguous start of the digest), or several of them joined by `+`,
in any order, for the composition of those profiles. Past the front end it is always the name or
the sorted names, `@`, and the full sha256 of the one artifact that serves: `france@SHA256`,
`france+japan@SHA256`. So what a name means cannot change under a request.
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

MAX_PARTS = 8
"""Profiles composed in one request."""

_NAME = r"[a-z0-9][a-z0-9._-]{0,63}"
_PART = re.compile(rf"({_NAME})(?:@([0-9a-f]{{8,64}}))?")
_STAMP = re.compile(rf"{_NAME}(?:\+{_NAME}){{0,{MAX_PARTS - 1}}}@([0-9a-f]{{64}})")


def is_name(name: str) -> bool:
    """Whether `name` may name a profile."""
    return re.fullmatch(_NAME, name) is not None and name != BASE


def check_name(name: str) -> str:
    """Returns `name` if it may name a profile.

    Raises:
        SelectionError: it has another form, or is reserved.
    """
    if not is_name(name):
        raise SelectionError(
            "profile name: expected 1 to 64 of a-z, 0-9, '.', '_', '-', starting with a letter or "
            f"digit, and not '{BASE}', found {name[:80]!r}; choose another name"
        )
    return name


@dataclass(frozen=True)
class Part:
    """One profile that a caller asked for.

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
        match = _PART.fullmatch(text) if isinstance(text, str) else None
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

    def __str__(self) -> str:
        return self.name + (f"@{self.digest}" if self.digest else "")

    def agreed(self, other: "Part") -> "Part | None":
        """What both mean, with the more exact digest; None if they contradict each other."""
        longer, shorter = self.digest or "", other.digest or ""
        if len(longer) < len(shorter):
            longer, shorter = shorter, longer
        agree = self.name == other.name and longer.startswith(shorter)
        return Part(self.name, longer or None) if agree else None


@dataclass(frozen=True)
class Selection:
    """What a caller asked for.

    Attributes:
        parts: the base alone, or profiles to compose: one or more, each once, sorted by name.
    """

    parts: tuple[Part, ...]

    @classmethod
    def parse(cls, text: Any) -> Self:
        """Reads `PART` or `PART+PART+...`; a part that is there twice counts once.

        Raises:
            SelectionError: any other form, more than `MAX_PARTS`, the base among others, or two
                digests for one name.
        """
        if not isinstance(text, str) or "+" not in text:
            return cls((Part.parse(text),))
        # Counted first: a body may hold a great many.
        if text.count("+") >= MAX_PARTS:
            raise SelectionError(
                f"profile: expected at most {MAX_PARTS} profiles in one request, found "
                f"{text.count('+') + 1}; compose them into one file with 'lethe compose'"
            )
        parts: dict[str, Part] = {}
        for part in map(Part.parse, text.split("+")):
            agreed = part.agreed(parts.get(part.name, part))
            if agreed is None:
                raise SelectionError(
                    f"profile: expected one digest for {part.name}, found {text[:200]!r}; "
                    "name each profile once"
                )
            parts[part.name] = agreed
        if BASE in parts and len(parts) > 1:
            raise SelectionError(
                f"profile: expected '{BASE}' alone, found {text[:80]!r}; leave it out: every "
                "profile is an edit of the base"
            )
        return cls(tuple(parts[name] for name in sorted(parts)))

    def __str__(self) -> str:
        return "+".join(map(str, self.parts))

    @property
    def is_base(self) -> bool:
        return self.parts[0].name == BASE

    def agreed(self, other: "Selection") -> "Selection | None":
        """What both mean, with the more exact digests; None if they contradict each other."""
        if len(self.parts) != len(other.parts):
            return None
        agreed = [one.agreed(another) for one, another in zip(self.parts, other.parts, strict=True)]
        parts = tuple(part for part in agreed if part is not None)
        return Selection(parts) if len(parts) == len(agreed) else None


@dataclass(frozen=True)
class Variant:
    """What a request is served by.

    Attributes:
        name: the profile's name, or `base`; of a composition the names of its parts, sorted and
            joined by `+`.
        digest: the artifact's sha256, 64 hexadecimal digits; empty for the base.
        parts: the profiles that a composition is of, sorted by name; () for a single one.
    """

    name: str
    digest: str = ""
    parts: tuple["Variant", ...] = ()

    @property
    def is_base(self) -> bool:
        return not self.digest

    @property
    def stamp(self) -> str:
        """`NAME@DIGEST`, as it travels inside the engine."""
        return f"{self.name}@{self.digest}"

    @property
    def selection(self) -> Selection:
        """What a caller asks for to get exactly this."""
        of = self.parts or (self,)
        return Selection(tuple(Part(one.name, one.digest or None) for one in of))


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
    variant = stamped(extra_args)
    return None if variant.is_base else variant.digest


def stamped(extra_args: dict[str, Any] | None) -> Variant:
    """The variant of a request inside the engine; of a composition without its parts.

    Raises:
        SelectionError: as `stamped_digest`.
    """
    value = (extra_args or {}).get(PROFILE_KEY)
    if value is None:
        return BASE_VARIANT
    match = _STAMP.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise SelectionError(
            f"profile: expected NAME@SHA256 inside the engine, found {value!r:.200}; enter "
            "requests through LLM, AsyncLLM or the HTTP server, with Lethe enabled"
        )
    return Variant(value.rpartition("@")[0], match[1])
