"""What an evaluation asks: prompts of suites, and text that should not change."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from lethe_projections import examples, words
from lethe_projections.errors import FitError, LetheError
from lethe_projections.evaluation import suite_file
from lethe_projections.evaluation.forms import FORMS
from lethe_projections.evaluation.loaders import named
from lethe_projections.evaluation.prompt import Prompt
from lethe_projections.evaluation.suite import Item, Suite
from lethe_projections.examples import Example
from lethe_server.evaluating.answering import Answerer
from lethe_server.evaluating.split import Split

LETTERS = 2
"""An answer of no more is not looked for in texts."""


@dataclass(frozen=True)
class Question:
    """One prompt, and the fact that it asks for."""

    suite: Suite
    item: Item
    prompt: Prompt


@dataclass(frozen=True)
class Work:
    """All that is asked.

    Attributes:
        suites: with what should be forgotten marked.
        split: which of their subjects.
        subjects: what the profile was to forget, where that is not as the suites have it.
        texts: that should not change.
        ranks: whether given texts may be read back.
        forms: the only ones that are asked; none for all.
        left_out: what else is not asked, and why.
    """

    suites: tuple[Suite, ...]
    split: Split = Split.ALL
    subjects: tuple[str, ...] = ()
    texts: tuple[Example, ...] = ()
    ranks: bool = True
    forms: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()

    @cached_property
    def _named(self) -> "re.Pattern[str]":
        items = [item for suite in self.suites for item in suite.of("forget")]
        names = {name for item in items for name in (item.subject, *item.answers)}
        return words.whole(sorted(name for name in names if len(name) > LETTERS))

    def names(self, text: Example) -> bool:
        """Whether a text names a subject that should be forgotten, or an answer about it.

        Answers of one or two letters, as of an element's symbol, are in too many words.
        """
        return text.matches(self._named)

    def questions(self, suite: Suite) -> tuple[Question, ...]:
        """Of one suite, in its order."""
        return tuple(
            Question(suite, item, prompt)
            for item in suite.items
            for prompt in item.prompts
            if (self.ranks or not prompt.wrong) and prompt.form in (self.forms or FORMS)
        )

    def every(self) -> Iterator[Question]:
        """Of all suites."""
        for suite in self.suites:
            yield from self.questions(suite)


def suite(name: str) -> Suite:
    """A suite by the path of a file, the name of one that ships, or as `loaders.named` has it.

    Raises:
        SuiteError: there is none, or it is malformed.
    """
    if named.matches(name):
        return named.load(name)
    return suite_file.read(name) if Path(name).exists() else suite_file.packaged(name)


def chosen(found: Suite, split: Split, subjects: Sequence[str] = ()) -> Suite:
    """The part of a suite that is asked.

    Args:
        found: the whole.
        split: which subjects.
        subjects: what the profile was to forget; none for what the suite says.

    Raises:
        SuiteError: a subject is none of the suite's.
        LetheError: nothing is left that should be forgotten.
    """
    if subjects:
        found = found.forgetting(subjects)
    if split is not Split.ALL:
        found = found.half(split)
    if not found.of("forget"):
        raise LetheError(
            f"{found.name}: expected facts that should be forgotten in the split '{split}', found "
            "none; take another split, or --split all"
        )
    return found


def texts(file: Path | None, count: int) -> tuple[Example, ...]:
    """Texts that should not change, those with a reply and plain ones, by rising sha256.

    Args:
        file: JSON lines; None for the general text that ships.
        count: how many at most.

    Raises:
        FitError: the file cannot be read, has a bad line, or none with text or a reply.
    """
    lines = examples.packaged("retain") if file is None else examples.load(file, "retain")
    given = {line for line in lines if line.text or line.answer}
    if count and not given:
        raise FitError(
            f"{file}: expected a line with text or an assistant's reply, which is read, found none "
            f"of {len(lines)}; write some, or read no text with --texts 0"
        )
    return tuple(sorted(given, key=digest)[:count])


def readable(asked: Work, answerer: Answerer) -> Work:
    """Without the texts in which there is nothing to predict, such as one of a single token.

    Raises:
        LetheError: none is left.
    """
    count, texts = len(asked.texts), answerer.readable(asked.texts)
    if len(texts) == count:
        return asked
    if not texts:
        raise LetheError(
            f"retain: expected a text of two tokens or more, found none of {count}; give longer "
            "ones, or read no text with --texts 0"
        )
    left_out = f"retain text: {count - len(texts)} of {count}, with nothing to predict"
    return replace(asked, texts=texts, left_out=(*asked.left_out, left_out))


def digest(text: Example) -> str:
    """sha256 of a text, 64 hex digits."""
    return examples.digest([text])
