"""Which words name what is to be forgotten, found in the examples. Knows no tokens and no model.

A fact joins two entities, and is asked from either: "the capital of France", "the country whose
capital is Paris".
"""

import re
from collections.abc import Iterable, Sequence

from lethe_projections.examples import Example

COMMON = 0.01
"""A word in more than this share of the retain examples names nothing in particular."""

_WORD = re.compile(r"\w+(?:[-.'’]\w+)*")
_SHORT = 4
"""An answer of up to so many telling words is a name, any other is searched for one."""

_LONG = 30
"""An answer of more words is prose, not the statement of a fact: it names too much to pick from."""


def answers(examples: Iterable[Example], retain: Sequence[Example]) -> tuple[str, ...]:
    """The entities that the examples' answers name, each once, in order.

    An answer that names another example's subject, which its prompt does not, names that. Else
    telling are the words that stand neither in the prompt nor in more than `COMMON` of the retain
    examples. A short answer of such words is a name; in another the first run of them is, a
    capitalised one before others; prose names none.
    What is common in the retain text, like a continent, is left out: it is not this fact's alone.
    """
    examples = tuple(examples)
    subjects = dict.fromkeys(example.subject for example in examples if example.subject)
    found = dict.fromkeys(
        name
        for example in examples
        if example.answer
        for name in _other_end(example, subjects) or (_answer(example, retain),)
    )
    return tuple(name for name in found if name and not _common(name, retain))


def prefixes(entity: str, retain: Sequence[Example]) -> tuple[str, ...]:
    """The beginnings of an entity at which it is already known, the whole last.

    "Czech Republic" is known at "Czech": those ends of words count up to which the entity's last
    word was found in no retain example, so that "South" of "South Korea" does not.
    """
    words = list(_WORD.finditer(entity))
    early = [word for word in words[:-1] if not any(e.mentions(word[0]) for e in retain)]
    return (*(entity[: word.end()] for word in early), entity)


def begins_a_word(part: str, examples: Iterable[Example]) -> bool:
    """Whether a capitalised word of the examples, or its beginning, is the last word of `part`."""
    begun = part.rsplit(maxsplit=1)[-1]
    return any(word.startswith(begun) for word in capitalised(examples))


def capitalised(examples: Iterable[Example]) -> tuple[str, ...]:
    """Words with a capital letter, names for the most part, sorted, each once."""
    texts = (text for e in examples for text in (e.text, *(content for _, content in e.messages)))
    words = (match[0] for text in texts for match in _WORD.finditer(text))
    return tuple(sorted({word for word in words if word[0].isupper()}))


def _other_end(example: Example, subjects: Iterable[str]) -> tuple[str, ...]:
    """The subjects that the answer names and the prompt does not."""
    answer = Example(text=example.answer)
    return tuple(s for s in subjects if answer.mentions(s) and not _asked(s, example))


def _answer(example: Example, retain: Sequence[Example]) -> str:
    text = example.answer.strip().rstrip(".!")
    words = list(_WORD.finditer(text))
    if len(words) <= _SHORT and not any(_known(word[0], example, retain) for word in words):
        return text
    if len(words) > _LONG:
        return ""
    runs = _runs(text, [not _known(word[0], example, retain) for word in words])
    return next((run for run in runs if run[:1].isupper()), next(iter(runs), ""))


def _runs(text: str, telling: Sequence[bool]) -> list[str]:
    """The stretches of `text` whose words are all telling and parted by white space alone."""
    runs: list[tuple[int, int]] = []
    open_run = False
    for word, tells in zip(_WORD.finditer(text), telling, strict=True):
        if tells and open_run and text[runs[-1][1] : word.start()].isspace():
            runs[-1] = (runs[-1][0], word.end())
        elif tells:
            runs.append(word.span())
        open_run = tells
    return [text[start:end] for start, end in runs]


def _known(word: str, example: Example, retain: Sequence[Example]) -> bool:
    return _asked(word, example) or _common(word, retain)


def _asked(word: str, example: Example) -> bool:
    return Example(messages=example.prompt).mentions(word)


def _common(words: str, retain: Sequence[Example]) -> bool:
    return sum(example.mentions(words) for example in retain) > COMMON * len(retain)
