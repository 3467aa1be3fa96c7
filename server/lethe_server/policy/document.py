"""The form of a policy file, and what must hold between its fields. Knows nothing of YAML."""

from collections import Counter
from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from lethe_server.policy import keys
from lethe_server.policy.caller import ANONYMOUS, Caller
from lethe_vllm.errors import SelectionError
from lethe_vllm.selection import BASE, Selection, check_name

Location = tuple[int | str, ...]
"""Where in the document: field names and places in lists."""

Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._@-]{0,63}$")]
Everything = Literal["*"]


class Access(BaseModel):
    """What a caller may do.

    Attributes:
        profiles: names of those it may use, or `*`.
        base: whether it may use the base.
        default: what serves a request that names nothing, `base` or `NAME[+NAME...]`; may be left
            out where the base may be used, or one profile alone.
        adapters: LoRA adapters that it may name as `model`, or `*`.
        admin: whether it may use the routes that administer the server.
    """

    model_config = ConfigDict(extra="forbid", strict=True)

    profiles: list[str] | Everything = Field(default_factory=list)
    base: bool = False
    default: str | None = None
    adapters: list[str] | Everything = Field(default_factory=list)
    admin: bool = False

    def caller(self, name: str) -> Caller:
        """What this permits, once `problems` found nothing.

        Raises:
            SelectionError: `default` is not of the documented form.
        """
        selection = Selection.parse(self.default or self._only_choice())
        return Caller(
            name=name,
            profiles=None if self.profiles == "*" else frozenset(self.profiles),
            base=self.base,
            default=None if selection.is_base else selection,
            adapters=None if self.adapters == "*" else frozenset(self.adapters),
            admin=self.admin,
        )

    def _only_choice(self) -> str | None:
        if self.base:
            return BASE
        return self.profiles[0] if self.profiles != "*" and len(self.profiles) == 1 else None


class Key(Access):
    """A key: what it is called in logs, and its sha256; the key itself is nowhere."""

    name: Name
    sha256: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class PolicyDocument(BaseModel):
    """The file. Without `anonymous`, a request without a key is refused."""

    model_config = ConfigDict(extra="forbid", strict=True)

    version: Literal[1]
    keys: list[Key] = Field(default_factory=list)
    anonymous: Access | None = None


def problems(document: PolicyDocument) -> Iterator[tuple[Location, str]]:
    """Everything wrong with it that its form does not tell: where, and what."""
    for field in ("name", "sha256"):
        yield from _repeated(document, field)
    for index, key in enumerate(document.keys):
        if keys.without_keys(key.name) != key.name:
            yield (
                ("keys", index, "name"),
                "expected what the key is called in logs, found a key itself; name it, and make "
                "another if anybody has seen this file",
            )
        if key.name == ANONYMOUS:
            yield (
                ("keys", index, "name"),
                f"expected a name other than '{ANONYMOUS}', which requests without a key have; "
                "choose another",
            )
        yield from _access(key, ("keys", index))
    if document.anonymous is not None:
        yield from _access(document.anonymous, ("anonymous",))
        if document.anonymous.admin:
            yield (
                ("anonymous", "admin"),
                "expected false, found true: anybody could then change what every key is served; "
                "give a key for it",
            )


def _repeated(document: PolicyDocument, field: str) -> Iterator[tuple[Location, str]]:
    found = Counter(getattr(key, field) for key in document.keys)
    for index, key in enumerate(document.keys):
        if found[getattr(key, field)] > 1:
            yield (
                ("keys", index, field),
                f"expected each {field} once, found it {found[getattr(key, field)]} times; "
                "remove all but one",
            )


def _access(access: Access, at: Location) -> Iterator[tuple[Location, str]]:
    bad = list(_names(access, at))
    yield from bad
    if not bad:
        yield from _default(access, at)


def _names(access: Access, at: Location) -> Iterator[tuple[Location, str]]:
    for index, name in enumerate(access.profiles if access.profiles != "*" else ()):
        try:
            check_name(name)
        except SelectionError as error:
            hint = "; write 'base: true' for the base" if name == BASE else ""
            yield (*at, "profiles", index), f"{error}{hint}"


def _default(access: Access, at: Location) -> Iterator[tuple[Location, str]]:
    try:
        caller = access.caller("")
    except SelectionError as error:
        if access.default is not None:
            yield (*at, "default"), str(error)
        else:
            yield (
                at,
                "default: expected one, since the base is not allowed and there is not just one "
                "profile, found none; add 'default: NAME' of an allowed profile",
            )
        return
    if not caller.permits(caller.default or Selection.parse(BASE)):
        yield (
            (*at, "default"),
            f"expected what this caller may use ({_permitted(access)}), found {access.default!r}; "
            "allow it, or choose another default",
        )


def _permitted(access: Access) -> str:
    profiles = ["every profile"] if access.profiles == "*" else sorted(access.profiles)
    return ", ".join([*([BASE] if access.base else []), *profiles]) or "nothing"
