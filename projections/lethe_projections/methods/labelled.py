"""Forget and retain prompts as labelled tokens, for methods that tell the two apart."""

from collections.abc import Sequence
from dataclasses import dataclass

from lethe_projections import concepts, rows
from lethe_projections.concepts import Concept
from lethe_projections.projector import Site
from lethe_projections.retained import TEMPLATE_WEIGHT
from lethe_projections.rows import Span
from lethe_projections.task import Task

TOKENS = ("subject", "telling", "last")
"""`subject`: the subject's own tokens. `telling`: from its first to the end of the prompt. Where a
prompt does not hold the subject, both are from the first token that tells it apart. Against both,
every retain token, a context that several texts share once and the template's as `retained` counts
it. `last`: the last prompt token on both sides."""


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
    kept = task.retain_without(request.subject for request in requests if request.subject)
    if tokens == "last":
        forget = tuple(rows.last(task, request.examples) for request in requests)
        # Where a plain text ends, no reply begins: another kind of token altogether.
        asked = [example for example in kept if example.messages] or kept
        return Labelled(task, forget, rows.last(task, asked))
    alone = tokens == "subject"
    forget = tuple(rows.telling(task, r, kept, subject_alone=alone) for r in requests)
    retain = (*rows.fresh(task, kept), *rows.template(task) * TEMPLATE_WEIGHT)
    return Labelled(task, forget, retain)
