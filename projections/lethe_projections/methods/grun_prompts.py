"""The prompts that GRUN trains on, each cut where it ends; what follows is how to go on.

A prompt may end anywhere: in front of the reply, or, sent as plain text, within a sentence that the
model completes. So a forget answer also counts as a prompt of plain text, cut before what it gives
away; and so do retain answers and texts, cut at random. And a gate that has seen a question about
one subject alone opens to the question, whatever it is about (measured: of 80 neighbours of France
15 were answered). So each forget prompt is also a retain prompt, with other names in it.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch

from lethe_projections import passages
from lethe_projections.contrast import Contrast
from lethe_projections.errors import FitError
from lethe_projections.examples import Example
from lethe_projections.passages import Passage
from lethe_projections.task import Task

_NAME = re.compile(r"(?<=[a-z,] )[A-Z][a-z]+(?: [A-Z][a-z]+)*")
"""Capitalised words within a sentence."""


@dataclass(frozen=True)
class Prompts:
    """What is trained on, in three pools.

    Attributes:
        forget: prompts followed by the refusal and the end.
        renamed: forget prompts that name others, to be answered as before.
        retain: prompts followed by their own text.
    """

    forget: Sequence[Passage]
    renamed: Sequence[Passage]
    retain: Sequence[Passage]


def prompts(task: Task, refusal: str, names: int, generator: torch.Generator) -> Prompts:
    """The prompts of a task.

    Args:
        task: with forget examples that are questions with answers.
        refusal: what follows a forget prompt.
        names: how many others each forget prompt is asked about, taken from retain text.
        generator: of cuts and names.

    Raises:
        FitError: a forget example is not a question with an answer, or there is no retain text.
    """
    examples = task.needs_forget()
    for example in examples:
        if not example.answer:
            raise FitError(
                f"forget, line {example.line}: expected a question with its answer, since the edit "
                "acts where a prompt ends, found none; write the line as one"
            )
    kept = task.retain_without(task.subjects)
    contrast = Contrast(passages.read(task, examples), passages.read(task, kept), task.subjects)
    asked = [passages.with_answer(task, example, refusal) for example in examples]
    begun = [_begun(contrast, passage) for passage in contrast.forget]
    end = task.tokenizer.eos_token or ""
    cut = [passages.continued(task, head, f" {refusal}{end}") for head in begun if head]
    other = _Renamed(task, _names(kept), names, generator)
    renamed = [one for example in examples for one in other.questions(example)]
    renamed += [one for head in begun if head for one in other.texts(head)]
    return Prompts(asked + cut, renamed, [*_retain(task, kept, generator)])


def _begun(contrast: Contrast, passage: Passage) -> str:
    """A forget answer up to what it gives away; empty if it begins with that."""
    place = contrast.secret(passage).index(True)
    if place == passage.prompt:
        return ""
    (begin, _), (_, end) = (passage.tokens.offsets[i] for i in (passage.prompt, place - 1))
    return passage.text[begin:end].strip()


def _names(examples: Sequence[Example]) -> list[str]:
    texts = [text for e in examples for text in (e.text, *(c for _, c in e.messages))]
    return list(dict.fromkeys(name for text in texts for name in _NAME.findall(text)))


@dataclass(frozen=True)
class _Renamed:
    """Puts other names in a subject's place."""

    task: Task
    names: Sequence[str]
    count: int
    generator: torch.Generator

    def questions(self, example: Example) -> Iterator[Passage]:
        """The example's question about others."""
        *before, (role, content) = example.prompt
        for other in self._others(content):
            yield from passages.read(self.task, [Example((*before, (role, other)))])

    def texts(self, head: str) -> Iterator[Passage]:
        """Plain text about others."""
        for other in self._others(head):
            [text] = passages.read(self.task, [Example(text=other)])
            yield replace(text, prompt=len(text.tokens.ids))

    def _others(self, text: str) -> Iterator[str]:
        either = "|".join(map(re.escape, self.task.subjects)) or "(?!)"
        pattern = re.compile(rf"(?<!\w)(?:{either})(?!\w)", re.IGNORECASE)
        if not self.names or not pattern.search(text):
            return
        chosen = torch.randint(len(self.names), (self.count,), generator=self.generator)
        for name in (self.names[i] for i in chosen.tolist()):
            yield pattern.sub(name, text)


def _retain(
    task: Task, examples: Sequence[Example], generator: torch.Generator
) -> Iterator[Passage]:
    for example, passage in zip(examples, passages.read(task, examples), strict=True):
        if example.messages:
            yield passage
        if example.text or example.answer:
            [text] = passages.read(task, [Example(text=example.text or example.answer)])
            length = len(text.tokens.ids)
            cut = int(torch.randint(1, length + 1, (), generator=generator))
            yield replace(text, prompt=cut)
