"""What LUNAR, RAd and RAb share: how the gates at their `down_proj` are fitted."""

from collections.abc import Sequence
from dataclasses import dataclass

from lethe_projections import decoder, rows
from lethe_projections.examples import Example
from lethe_projections.methods.hyperparameters import Hyperparameters, hyper
from lethe_projections.redirection import Problem
from lethe_projections.rows import Request, Span
from lethe_projections.task import Task

TOKENS = ("subject", "telling")
"""`subject`: the subject's own tokens. `telling`: from its first to the end of the prompt. Where
a prompt does not hold the subject, both are from the first token that tells it apart."""


@dataclass(frozen=True)
class GateParameters(Hyperparameters):
    """Which tokens open a gate, and how strongly."""

    tokens: str = hyper(
        "subject",
        "the forget prompts' tokens: the subject's alone, or from its first to the prompt's end",
        choices=TOKENS,
        source="measured on development subjects: what follows the subject, a template above all, "
        "follows others as well, and opens the gate to 0.44 of retain tokens' 95th percentile",
    )
    ridge: float = hyper(
        0.01,
        "lam as a share of the mean diagonal of H^T H",
        low=0,
        above=True,
        source="measured on development subjects, as for rocr",
    )
    weight: float = hyper(
        0.0,
        "how many tokens each forget token counts as; 0: all together as many as the retain tokens",
        low=0,
        source="the papers' losses weigh both sets alike; with 1 the gate stays at 0.07 on the "
        "embedded model",
    )


def spans(task: Task, requests: Sequence[Request], how: GateParameters) -> list[tuple[Span, ...]]:
    """The tokens of each request that open its gate.

    Raises:
        FitError: a forget prompt that is also a retain or reference prompt.
    """
    others = (*_kept(task, requests), *task.reference)
    alone = how.tokens == "subject"
    return [rows.telling(task, one, others, subject_alone=alone) for one in requests]


def problem(task: Task, method: str, layer: int, how: GateParameters) -> Problem:
    """All requests of a task, jointly, against the retain examples that mention none of them.

    Raises:
        FitError: no forget examples, no retain text, or a forget prompt that is also a retain
            or reference prompt.
        IncompatibleError: blocks norm what their MLP writes.
    """
    decoder.check_mlp_is_added(task.model)
    requests = rows.requests(task, method)
    kept = _kept(task, requests)
    return Problem(task, spans(task, requests, how), kept, layer, how.ridge, how.weight)


def _kept(task: Task, requests: Sequence[Request]) -> tuple[Example, ...]:
    return task.retain_without(request.subject for request in requests if request.subject)
