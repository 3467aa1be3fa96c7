"""Forget and retain prompts as labelled tokens, for methods that tell the two apart."""

from collections.abc import Sequence
from dataclasses import dataclass

from lethe_projections import concepts, entities, rows
from lethe_projections.concepts import Concept
from lethe_projections.errors import FitError
from lethe_projections.projector import Site
from lethe_projections.retained import TEMPLATE_WEIGHT
from lethe_projections.rows import Request, Span
from lethe_projections.task import Task
from lethe_projections.word_keys import Reader

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


def labelled(task: Task, method: str, tokens: str) -> Labelled:
    """Finds them.

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
        places = tuple(reader.spans(word) for word in reader.words_of(names, kept))
        rows.check_rank(len(places), task)
        return Labelled(task, places, retain)
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
