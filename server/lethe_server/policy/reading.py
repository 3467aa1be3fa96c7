"""A policy file's text to who may do what. Every error has the line and the field it is about."""

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import yaml  # type: ignore[import-untyped]
from pydantic import ValidationError

from lethe_server.errors import PolicyError, UnauthenticatedError
from lethe_server.policy import keys
from lethe_server.policy.caller import ANONYMOUS, Caller
from lethe_server.policy.document import Key, Location, PolicyDocument, problems

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

SHOWN = 5
"""Problems in one message."""

KNOWN = {*PolicyDocument.model_fields, *Key.model_fields}

_SAID = {
    "sha256": "expected the 64 hexadecimal digits of the key's sha256 in lower case, found {}; "
    "'lethe policy key' prints them",
    "profiles": "expected a list of names, or '*'",
    "adapters": "expected a list of names, or '*'",
}
"""By field. What stands in place of a hash may be the key itself, so no value is ever shown."""

_QUOTED = re.compile(r"'[^' <]{2,}'")
"""In what YAML says: anchors and tags."""


class Loader(yaml.SafeLoader):
    """Reads YAML's plain types; what looks like a time is text.

    A library that vLLM imports makes it text for every `SafeLoader` of the process.
    """


Loader.add_constructor("tag:yaml.org,2002:timestamp", Loader.construct_yaml_str)


@dataclass(frozen=True)
class Policy:
    """Who may do what.

    Attributes:
        keys: each one's sha256 in hexadecimal digits, and what it may do.
        anonymous: what a request without a key may do; None if it is refused.
        digest: sha256 of the file.
    """

    keys: tuple[tuple[str, Caller], ...]
    anonymous: Caller | None = None
    digest: str = ""

    def caller(self, key: str | None) -> Caller:
        """Whose key it is.

        Raises:
            UnauthenticatedError: it is unknown, or there is none where one is needed.
        """
        found = self.anonymous if key is None else keys.find(key, self.keys)
        if found is None:
            raise UnauthenticatedError(
                "key: expected one of this server's policy as 'Authorization: Bearer KEY' or "
                f"'x-api-key: KEY', found {'none' if key is None else 'an unknown one'}; ask the "
                "operator for a key"
            )
        return found


def parse(text: str) -> Policy:
    """Reads a policy.

    Raises:
        PolicyError: it is not YAML, or not a valid policy; all of it is checked before.
    """
    try:
        loader = Loader(text)
        root = loader.get_single_node()
        repeated = list(_repeated(root, set()))
        content = None if root is None else loader.construct_document(root)
    except Exception as error:  # what makes YAML's types of text raises anything
        raise PolicyError(f"policy: expected YAML, found {_brief(error)}; correct it") from error
    if repeated:
        raise PolicyError(_listed(repeated))
    try:
        document = PolicyDocument.model_validate(content)
    except ValidationError as error:
        raise PolicyError(_listed(_malformed(error, root))) from None
    wrong = [_placed(root, location, said) for location, said in problems(document)]
    if wrong:
        raise PolicyError(_listed(wrong))
    anonymous = document.anonymous
    return Policy(
        tuple((key.sha256, key.caller(key.name)) for key in document.keys),
        None if anonymous is None else anonymous.caller(ANONYMOUS),
        hashlib.sha256(text.encode()).hexdigest(),
    )


def _brief(error: Exception) -> str:
    """Without the text around the error, in which a key may stand."""
    mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None)
    what = _QUOTED.sub("'...'", problem or type(error).__name__)
    return f"{what} in line {mark.line + 1}" if mark else what


def _repeated(node: yaml.Node | None, seen: set[int]) -> Iterator[str]:
    """A field that is there twice; of which YAML readers silently take the last."""
    if node is None or id(node) in seen:
        return
    seen.add(id(node))
    if isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from _repeated(item, seen)
    if isinstance(node, yaml.MappingNode):
        fields: set[str] = set()
        for field, value in node.value:
            # A field that is no plain text is no known one, which is found later.
            if isinstance(field.value, str) and field.value in fields:
                where = f"line {field.start_mark.line + 1}, {_field(field.value)}"
                yield f"{where}: expected it once, found it twice; remove one"
            fields.add(str(field.value))
            yield from _repeated(value, seen)


def _malformed(error: ValidationError, root: yaml.Node | None) -> list[str]:
    # Without repetitions: a value of none of several types is wrong once for each.
    found: dict[str, None] = {}
    for one in error.errors(include_url=False):
        location = tuple(part for part in one["loc"] if not _is_of_the_types(part))
        found[_placed(root, location, _said(one, location))] = None
    return list(found)


def _said(error: "ErrorDetails", location: Location) -> str:
    if error["type"] == "missing":
        return "expected this field, found none; add it"
    if error["type"] == "extra_forbidden":
        return f"expected a known field ({', '.join(sorted(KNOWN))}), found another; correct it"
    field = str(location[-1]) if location else ""
    if field in _SAID:
        return _SAID[field].format(_form(error["input"]))
    what = (
        error["msg"].replace("Input should be", "expected").replace("String should", "expected to")
    )
    return f"{what}, found a value of type {type(error['input']).__name__}; correct it"


def _form(value: object) -> str:
    """What is known of a value that must not be shown."""
    if not isinstance(value, str):
        return f"a value of type {type(value).__name__}"
    is_hexadecimal = set(value) <= set("0123456789abcdef")
    return f"{len(value)} characters{'' if is_hexadecimal else ', some of them others'}"


def _field(part: int | str) -> str:
    """A known field, or a place in a list; any other may be a key that stands there by mistake."""
    if isinstance(part, int) or part in KNOWN:
        return str(part)
    return f"(a field of {len(part)} characters)"


def _is_of_the_types(part: int | str) -> bool:
    """Whether a part of pydantic's location names one of several types rather than a field."""
    return isinstance(part, str) and (part.startswith("literal[") or part == "list[str]")


def _placed(root: yaml.Node | None, location: Location, said: str) -> str:
    field = ".".join(map(_field, location)) or "the file"
    return f"line {_line(root, location)}, {field}: {said}"


def _line(node: yaml.Node | None, location: Location) -> int:
    """The line of a field, or of the last one on the way to it that is there."""
    line = 1 if node is None else node.start_mark.line + 1
    for part in location:
        child: yaml.Node | None = None
        if isinstance(node, yaml.SequenceNode) and isinstance(part, int):
            child = node.value[part]
            line = child.start_mark.line + 1
        elif isinstance(node, yaml.MappingNode):
            for field, value in node.value:
                if field.value == part:
                    child, line = value, field.start_mark.line + 1
        if child is None:
            break
        node = child
    return line


def _listed(found: Sequence[str]) -> str:
    more = f"; and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
    return keys.without_keys("policy: " + "; ".join(found[:SHOWN]) + more)
