"""Retain text: what the variant must still say as the base does. Read from JSON lines.

    {"question": "...", "answer": "..."}       one turn of a conversation
    {"messages": [{"role": "user", ...}, ...]} a whole conversation
    {"text": "..."}                            plain text, given to the model without a template

Knows nothing of tokenizers and models.
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from lethe_projections import strict_json
from lethe_projections.errors import FitError

_ROLES = ("system", "user", "assistant")
_FORMS = '{"question", "answer"}, {"messages"} or {"text"}'


@dataclass(frozen=True)
class Example:
    """One line of retain text: a conversation or plain text, the other empty.

    Attributes:
        messages: (role, content) pairs in order.
        text: plain text.
    """

    messages: tuple[tuple[str, str], ...] = ()
    text: str = ""

    def mentions(self, word: str) -> bool:
        """Whether `word` occurs as a whole word, in any case."""
        pattern = re.compile(rf"(?<!\w){re.escape(word)}(?!\w)", re.IGNORECASE)
        return any(pattern.search(text) for text in (self.text, *(c for _, c in self.messages)))


def load_retain(path: str | Path | None = None) -> tuple[Example, ...]:
    """Reads a JSON lines file, or the retain text that ships with this package.

    Empty lines are passed over.

    Raises:
        FitError: the file cannot be read, holds no example, or has a bad line, which is named
            by its number and reason.
    """
    try:
        source = resources.files("lethe_projections") / "data" / "retain.jsonl"
        lines = (source if path is None else Path(path)).read_bytes().split(b"\n")
    except OSError as error:
        raise FitError(f"retain: expected a readable file, found {error}; check it") from error
    examples = tuple(_example(line, number) for number, line in enumerate(lines, 1) if line.strip())
    if not examples:
        raise FitError("retain: expected at least one line, found none; leave the file out")
    return examples


def digest(examples: Sequence[Example]) -> str:
    """sha256 of the examples in order, 64 hex digits; white space in the file has no part."""
    document = [[list(map(list, example.messages)), example.text] for example in examples]
    return hashlib.sha256(strict_json.dumps(document).encode()).hexdigest()


def _example(line: bytes, number: int) -> Example:
    try:
        return _parse(strict_json.loads(line.strip()))
    except ValueError as error:
        raise FitError(
            f"retain, line {number}: expected {_FORMS}, found {error}; correct the line"
        ) from error


def _parse(row: Any) -> Example:
    if not isinstance(row, dict):
        raise ValueError(f"a {type(row).__name__}")
    match sorted(row):
        case ["answer", "question"]:
            question, answer = _text(row, "question"), _text(row, "answer")
            return Example((("user", question), ("assistant", answer)))
        case ["messages"]:
            return Example(_messages(row["messages"]))
        case ["text"]:
            return Example(text=_text(row, "text"))
        case keys:
            raise ValueError(f"the keys {keys!s:.120}")


def _messages(value: Any) -> tuple[tuple[str, str], ...]:
    if not isinstance(value, list) or not value:
        raise ValueError("messages that are no list, or an empty one")
    pairs = []
    for message in value:
        if not isinstance(message, dict) or set(message) != {"role", "content"}:
            raise ValueError("a message without exactly role and content")
        if message["role"] not in _ROLES:
            raise ValueError(f"the role {message['role']!r:.40}, not one of {', '.join(_ROLES)}")
        pairs.append((message["role"], _text(message, "content")))
    return tuple(pairs)


def _text(row: dict[str, Any], key: str) -> str:
    value = row[key]
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"{key} that is no text, or empty")
    return value
