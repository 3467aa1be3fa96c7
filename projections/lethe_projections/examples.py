"""Forget and retain examples, read from JSON lines.

    {"question": "...", "answer": "..."[, "subject": "..."]}   one turn of a conversation
    {"messages": [{"role": "user", ...}, ...]}                 a whole conversation
    {"text": "..."}                                            plain text, without a template

Knows nothing of tokenizers and models.
"""

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

from lethe_projections import strict_json, words
from lethe_projections.errors import FitError

_ROLES = ("system", "user", "assistant")
_FORMS = '{"question", "answer"[, "subject"]}, {"messages"} or {"text"}'


@dataclass(frozen=True)
class Example:
    """One line: a conversation or plain text, the other empty.

    Attributes:
        messages: (role, content) pairs in order.
        text: plain text.
        subject: what the line is about, as written in it; empty if the line does not say.
        line: its number in its file from 1, or 0; no part of its identity.
    """

    messages: tuple[tuple[str, str], ...] = ()
    text: str = ""
    subject: str = ""
    line: int = field(default=0, compare=False)

    @property
    def prompt(self) -> tuple[tuple[str, str], ...]:
        """The messages before the assistant's last reply; all, if it does not end in one."""
        return self.messages[:-1] if self.answer else self.messages

    @property
    def answer(self) -> str:
        """The assistant's last reply, or empty."""
        last = self.messages[-1] if self.messages else ("", "")
        return last[1] if last[0] == "assistant" else ""

    def mentions(self, word: str) -> bool:
        """Whether `word` occurs as a whole word, in any case."""
        return self.matches(words.whole([word]))

    def matches(self, pattern: "re.Pattern[str]") -> bool:
        """Whether a pattern occurs in a message or the text."""
        return any(pattern.search(text) for text in (self.text, *(c for _, c in self.messages)))


def load(path: str | Path, role: str) -> tuple[Example, ...]:
    """Reads a JSON lines file. Empty lines are passed over.

    Args:
        path: the file.
        role: what it is for, `forget`, `retain` or `reference`, as messages name it.

    Raises:
        FitError: the file cannot be read, holds no example, or has a bad line, which is named
            by its number and reason.
    """
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise FitError(
            f"{role}: expected a readable file, found {error}; check the path"
        ) from error
    return _parsed(data, role)


def packaged(name: str) -> tuple[Example, ...]:
    """Examples that ship with Lethe: `retain`, general text; `unknown`, unanswerable questions."""
    file = resources.files("lethe_projections") / "data" / f"{name}.jsonl"
    return _parsed(file.read_bytes(), name)


def check_subjects(examples: Iterable[Example]) -> None:
    """Raises FitError if a subject stands nowhere in its line, or in no prompt of its lines."""
    by_subject: dict[str, list[Example]] = {}
    for example in examples:
        if example.subject and not example.mentions(example.subject):
            raise FitError(
                f"forget, line {example.line}: expected the subject {example.subject!r:.80} in the "
                "line's own text, found it nowhere; write it as the text does"
            )
        by_subject.setdefault(example.subject, []).append(example)
    for subject, lines in by_subject.items():
        pattern = words.whole([subject], exact_case=True)
        if subject and not any(Example(messages=e.prompt).matches(pattern) for e in lines):
            raise FitError(
                f"forget, line {lines[0].line}: expected the subject {subject!r:.80} in a question "
                "about it, in the same case, found it in none; write it as the questions do"
            )


def lines_with_answers(retain: Iterable[Example], forget: Iterable[Example]) -> tuple[int, ...]:
    """Lines of `retain` that hold a whole answer of `forget`, and so ask for the opposite."""
    answers = {example.answer.strip().rstrip(".!?") for example in forget}
    pattern = words.whole(sorted(answers - {""}))
    return tuple(example.line for example in retain if example.matches(pattern))


def _parsed(data: bytes, role: str) -> tuple[Example, ...]:
    lines = enumerate(data.split(b"\n"), 1)
    found = tuple(_example(line, number, role) for number, line in lines if line.strip())
    if not found:
        raise FitError(
            f"{role}: expected at least one line, found none; write {_FORMS}, one a line"
        )
    return found


def digest(examples: Sequence[Example]) -> str:
    """sha256 of the examples in order, 64 hex digits; white space in the file has no part."""
    document = [[list(map(list, e.messages)), e.text, e.subject] for e in examples]
    return hashlib.sha256(strict_json.dumps(document).encode()).hexdigest()


def _example(line: bytes, number: int, role: str) -> Example:
    try:
        return _parse(strict_json.loads(line.strip()), number)
    except ValueError as error:
        raise FitError(
            f"{role}, line {number}: expected {_FORMS}, found {error}; correct the line"
        ) from error


def _parse(row: Any, number: int) -> Example:
    if not isinstance(row, dict):
        raise ValueError(f"a {type(row).__name__}")
    match sorted(row):
        case ["answer", "question"] | ["answer", "question", "subject"]:
            turn = (("user", _text(row, "question")), ("assistant", _text(row, "answer")))
            subject = _text(row, "subject") if "subject" in row else ""
            return Example(turn, subject=subject, line=number)
        case ["messages"]:
            return Example(_messages(row["messages"]), line=number)
        case ["text"]:
            return Example(text=_text(row, "text"), line=number)
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
    if not any(role == "user" for role, _ in pairs):
        raise ValueError("messages without one of the user")
    return tuple(pairs)


def _text(row: dict[str, Any], key: str) -> str:
    value = row[key]
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"{key} that is no text, or empty")
    return value
