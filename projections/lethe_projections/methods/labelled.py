"""Forget and retain prompts as labelled tokens, for methods that tell the two apart."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from lethe_projections import concepts, entities, rows
from lethe_projections.concepts import Concept
from lethe_projections.errors import FitError
from lethe_projections.examples import Example
from lethe_projections.projector import Site
from lethe_projections.retained import TEMPLATE_WEIGHT
from lethe_projections.rows import Request, Span
from lethe_projections.task import Task
from lethe_projections.word_keys import Reader, Word

TOKENS = ("names", "subject", "telling", "last")
"""`names`: where the subject and the entity that the answers name are known, in contexts of no
consequence, each place a class of its own; subjects must be given. `subject`: the subject's tokens
in the forget prompts. `telling`: from its first to the end of the prompt. Where a prompt does not
hold the subject, both are from the first token that tells it apart. Against these three, every
retain token, a context that several texts share once and the template's as `retained` counts it.
`last`: the last prompt token on both sides."""


@dataclass(frozen=True, eq=False)
class Labelled:
    """Which tokens are which.

    Attributes:
        task: model and tokenizer.
        forget: the tokens of each request, or of each place.
        retain: the others.
    """

    task: Task
    forget: tuple[tuple[Span, ...], ...]
    retain: tuple[Span, ...]

    def read(self, sites: Sequence[Site]) -> dict[Site, tuple[list[Concept], Concept]]:
        """The requests and the retain tokens as each site reads them."""
        forget = [concepts.read(self.task, spans, sites) for spans in self.forget]
        retain = concepts.read(self.task, self.retain, sites)
        return {site: ([one[site] for one in forget], retain[site]) for site in sites}


def labelled(task: Task, method: str, tokens: str, *, gated: bool = False) -> Labelled:
    """Finds them.

    Args:
        task: model and examples.
        method: as errors name it.
        tokens: one of `TOKENS`.
        gated: with `names`, each class has a gate of its own, so that there may be many: also the
            tokens within a name from where it is known, and a plain text that begins with a name,
            since what a model reads in its first tokens is unlike all else.

    Raises:
        FitError: no forget examples, no retain text, or a forget prompt that is also a retain
            prompt.
    """
    requests = rows.requests(task, method)
    names = _names(task, requests) if tokens == "names" else task.subjects
    kept = task.retain_without(names)
    if tokens == "last":
        forget = tuple(rows.last(task, request.examples) for request in requests)
        # Where a plain text ends, no reply begins: another kind of token altogether.
        asked = [example for example in kept if example.messages] or kept
        return Labelled(task, forget, rows.last(task, asked))
    retain = (*rows.fresh(task, kept), *rows.template(task) * TEMPLATE_WEIGHT)
    if tokens == "names":
        reader = Reader(task)
        words = reader.words_of(names, kept)
        if gated:
            words += reader.inner(names, kept)
            words += tuple(replace(word, prompts=("{}",), plain=True) for word in _each(words))
            retain += _openings(task, kept, words)
        rows.check_rank(len(words), task)
        return Labelled(task, tuple(reader.spans(word) for word in words), retain)
    alone = tokens == "subject"
    forget = tuple(rows.telling(task, r, kept, subject_alone=alone) for r in requests)
    return Labelled(task, forget, retain)


def _names(task: Task, requests: Sequence[Request]) -> tuple[str, ...]:
    if not all(request.subject for request in requests):
        raise FitError(
            'forget: expected a "subject" in each example, for tokens names, found one without; '
            "give it, or take tokens telling"
        )
    return tuple(dict.fromkeys((*task.subjects, *entities.answers(task.forget, task.retain))))


def _each(words: Sequence[Word]) -> tuple[Word, ...]:
    """One word for each place."""
    return tuple({word.part: word for word in words}.values())


def _openings(task: Task, kept: Sequence[Example], words: Sequence[Word]) -> tuple[Span, ...]:
    """Plain texts of one capitalised word each, such as no place is read in."""
    others = [Example(text=text) for text in entities.capitalised(kept)]
    names = {word.name for word in words}
    return rows.fresh(task, [one for one in others if not any(map(one.mentions, names))])
