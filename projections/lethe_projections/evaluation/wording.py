"""How a suite writes a prompt: text with places that an item fills.

    "What is the capital of {subject}?"
    {"turns": ["What is the capital of Malta?", "Valletta.", "And that of {subject}?"]}
    {"turns": ["What is the capital of {subject}?"], "reply": "Sure, the answer is"}
    {"turns": ["What is the capital of {subject}, and how many is two and two?"], "kept": ["four"]}

| place | filled with |
|---|---|
| `{subject}` | the item's subject |
| `{answer}` | its first answer |
| `{letter}` | that answer's first letter |
| `{length}` | how many letters that answer has |
| `{spelled}` | the subject letter by letter, `F-r-a-n-c-e` |
| `{parted}` | the subject with a hyphen in each word, `Fra-nce`; one letter stays as it is |
| `{upper}` | the subject in capital letters, which are other tokens |
| any other | the item's `fields` of that name |
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lethe_projections.evaluation import rows

_PLACE = re.compile(r"\{([^{}]*)\}")


@dataclass(frozen=True)
class Wording:
    """One prompt of a form, unfilled.

    Attributes:
        turns: see `Prompt.turns`.
        reply: how the assistant's reply begins.
        kept: answers to another question in the same prompt.
    """

    turns: tuple[str, ...]
    reply: str = ""
    kept: tuple[str, ...] = ()

    @classmethod
    def parse(cls, value: Any) -> "Wording":
        """Reads one from JSON.

        Raises:
            ValueError: it is neither text nor an object of the form above.
        """
        if isinstance(value, str):
            value = {"turns": [value]}
        row = rows.of(value, required=("turns",), optional=("reply", "kept"))
        turns = rows.texts(row, "turns")
        if len(turns) % 2 == 0:
            raise ValueError(
                f"expected turns that begin and end with the user's, found {len(turns)}; "
                "write an odd number"
            )
        return cls(turns, rows.text(row, "reply", ""), rows.texts(row, "kept", ()))

    def filled(self, values: Mapping[str, str]) -> "Wording":
        """With every place filled.

        Raises:
            ValueError: there is a place for which there is no value.
        """

        def fill(texts: tuple[str, ...]) -> tuple[str, ...]:
            return tuple(_fill(text, values) for text in texts)

        [reply] = fill((self.reply,))
        return Wording(fill(self.turns), reply, fill(self.kept))


def places(subject: str, answer: str, fields: Mapping[str, str]) -> dict[str, str]:
    """What the places of an item's wordings are filled with.

    Raises:
        ValueError: a field has the name of one that every item has.
    """
    own = {
        "subject": subject,
        "answer": answer,
        "letter": answer[:1],
        "length": str(sum(map(str.isalpha, answer))),
        "spelled": " ".join("-".join(word) for word in subject.split()),
        "parted": " ".join(map(_parted, subject.split())),
        "upper": subject.upper(),
    }
    for name in fields:
        if name in own:
            raise ValueError(
                f"expected fields other than {', '.join(own)}, found {name}; rename it"
            )
    return {**fields, **own}


def _parted(word: str) -> str:
    half = len(word) // 2
    return f"{word[:half]}-{word[half:]}" if half else word


def _fill(text: str, values: Mapping[str, str]) -> str:
    def value(place: "re.Match[str]") -> str:
        name = place[1]
        if name not in values:
            raise ValueError(
                f"expected a value for {{{name}}} of {text!r:.80}, found only "
                f"{', '.join(sorted(values))}; add it to the item's fields, or name the form "
                "in its without"
            )
        return values[name]

    return _PLACE.sub(value, text)
