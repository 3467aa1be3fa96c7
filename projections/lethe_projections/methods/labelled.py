"""Forget and retain prompts as labelled tokens, for methods that tell the two apart."""

from dataclasses import dataclass

from lethe_projections import concepts, rows
from lethe_projections.concepts import Concept
from lethe_projections.projector import Site
from lethe_projections.rows import Span
from lethe_projections.task import Task

TOKENS = ("last", "telling")
"""`last`: the last prompt token on both sides. `telling`: forget prompts from the first token that
tells them apart, and every retain token, a context that several texts share once."""


@dataclass(frozen=True, eq=False)
class Labelled:
    """Which tokens are which.

    Attributes:
        task: model and tokenizer.
        forget: the tokens of each request.
        retain: the others.
    """

    task: Task
    forget: tuple[tuple[Span, ...], ...]
    retain: tuple[Span, ...]

    def read(self, site: Site) -> tuple[list[Concept], Concept]:
        """The requests and the retain tokens as a site reads them."""
        forget = [concepts.read(self.task, spans, site) for spans in self.forget]
        return forget, concepts.read(self.task, self.retain, site)


def labelled(task: Task, method: str, tokens: str) -> Labelled:
    """Finds them.

    Raises:
        FitError: no forget examples, no retain text, or a forget prompt that is also a retain
            prompt.
    """
    requests = rows.requests(task, method)
    kept = task.retain_without(request.subject for request in requests if request.subject)
    if tokens == "last":
        forget = tuple(rows.last(task, request.examples) for request in requests)
        # Where a plain text ends, no reply begins: another kind of token altogether.
        asked = [example for example in kept if example.messages] or kept
        return Labelled(task, forget, rows.last(task, asked))
    forget = tuple(rows.telling(task, request, kept) for request in requests)
    return Labelled(task, forget, rows.fresh(task, kept))
