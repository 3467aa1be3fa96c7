"""What a name means, meant, and shall mean. Knows nothing of where that is kept."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from lethe_vllm.errors import PreconditionError, UnknownProfileError
from lethe_vllm.selection import BASE

PUT, ROLLBACK, DELETE, FILE = "put", "rollback", "delete", "file"
ELSEWHERE = "elsewhere"
"""What another process did, which knows more of it."""


@dataclass(frozen=True)
class Named:
    """A name and what it means now.

    Attributes:
        name: what requests call it.
        digest: of the profile; None once it was deleted.
        version: 1 for the first meaning, and one more for each change, deletions included.
        pinned: not to be changed.
        labels: an operator's own.
        changed: Unix time in seconds of this version.
    """

    name: str
    digest: str | None
    version: int
    pinned: bool
    labels: Mapping[str, str]
    changed: float


@dataclass(frozen=True)
class Version:
    """What a name meant from some moment on.

    Attributes:
        version: its number.
        digest: of the profile; None for a deletion.
        action: `put`, `rollback`, `delete`, or `file` for what happened to a file.
        source: where it was from.
        author: name of the key that changed it; empty without a policy.
        created: Unix time in seconds.
    """

    version: int
    digest: str | None
    action: str
    source: str
    author: str
    created: float


@dataclass(frozen=True)
class Expected:
    """What a name has to mean for a change of it to be made.

    Attributes:
        digest: of the profile; None for a name that means nothing.
    """

    digest: str | None


@dataclass(frozen=True)
class Change:
    """A new meaning of a name.

    Attributes:
        digest: of an object that is there already; None to delete.
        action: as `Version`.
        source: as `Version`.
        author: as `Version`.
        expected: what the name has to mean; None for anything.
    """

    digest: str | None
    action: str = PUT
    source: str = ""
    author: str = ""
    expected: Expected | None = None


def unknown(name: str, known: Iterable[str] = ()) -> UnknownProfileError:
    """The error of a name that means nothing, with those that mean something."""
    return UnknownProfileError(
        f"profile: expected one of {', '.join([BASE, *known])}, found '{name}'; "
        "PUT it first, or correct the name"
    )


def check_expected(name: str, change: Change, found: str | None) -> None:
    """Compares what a name means with what a change of it expects.

    Args:
        name: which.
        change: what is to be made of it.
        found: its digest; None if it means nothing.

    Raises:
        PreconditionError: it is another one.
    """
    if change.expected is None or change.expected.digest == found:
        return
    wanted, has = (
        digest[:12] if digest else "nothing" for digest in (change.expected.digest, found)
    )
    raise PreconditionError(
        f"profile {name}: expected it to mean {wanted}, found {has}; nothing is changed: look at "
        "what it means now, and choose another name or ask again"
    )
