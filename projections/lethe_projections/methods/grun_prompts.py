"""The prompts that GRUN trains on, each cut where it ends; what follows is how to go on.

A prompt may end anywhere: in front of the reply, or, sent as plain text, within a sentence that the
model completes. So a forget answer also counts as a prompt of plain text, cut before what it
gives away; and so do retain answers and texts, cut at random.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import torch

from lethe_projections import passages
from lethe_projections.contrast import Contrast
from lethe_projections.errors import FitError
from lethe_projections.examples import Example
from lethe_projections.passages import Passage
from lethe_projections.task import Task


def prompts(task: Task, refusal: str, generator: torch.Generator) -> Contrast:
    """Forget prompts followed by the refusal and the end, retain prompts by their own text.

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
    plain = Contrast(passages.read(task, examples), passages.read(task, kept), task.subjects)
    asked = [passages.with_answer(task, example, refusal) for example in examples]
    begun = [one for passage in plain.forget for one in _begun(task, plain, passage, refusal)]
    return replace(plain, forget=asked + begun, retain=[*_retain(task, kept, generator)])


def _begun(task: Task, contrast: Contrast, passage: Passage, refusal: str) -> Iterator[Passage]:
    """The answer as plain text, up to what it gives away."""
    place = contrast.secret(passage).index(True)
    if place > passage.prompt:
        (begin, _), (_, end) = (passage.tokens.offsets[i] for i in (passage.prompt, place - 1))
        stop = task.tokenizer.eos_token or ""
        yield passages.continued(task, passage.text[begin:end].strip(), f" {refusal}{stop}")


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
