"""Gates at one `down_proj`: rows v_i with v_i . x near 1 on request i's tokens, near 0 elsewhere.

Closed form, from sums alone (`ridge`), all requests jointly. Knows nothing of what is added where a
gate is open.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from lethe_projections import retained, rows
from lethe_projections.examples import Example
from lethe_projections.projector import Site
from lethe_projections.ridge import Ridge
from lethe_projections.rows import Span
from lethe_projections.task import Task

_SAMPLE = 96
"""Retain texts on which a gate's distribution is reported, evenly spaced."""

_QUANTILES = (0.05, 0.5, 0.95)

Amount = Callable[[int, Tensor], Tensor]
"""From a request's number and the residual after the block, [n, hidden], to the gate wanted, [n]"""


@dataclass(frozen=True, eq=False)
class Problem:
    """What the gates are fitted to.

    Attributes:
        task: the model.
        requests: the forget tokens of each.
        retain: examples whose tokens shall read 0.
        layer: which `down_proj`.
        ridge: as a share of the mean diagonal, see `Ridge`.
        weight: how many rows each forget row counts as; 0: all of them together as many as the
            retain rows.
    """

    task: Task
    requests: Sequence[Sequence[Span]]
    retain: Sequence[Example]
    layer: int
    ridge: float
    weight: float

    @property
    def site(self) -> Site:
        """Where the gates read."""
        return Site(self.layer, "down_proj")

    @property
    def end(self) -> Site:
        """Where what they let through arrives."""
        return Site(self.layer, "block")

    @property
    def tokens(self) -> int:
        """How many forget rows there are."""
        spans = [span for spans in self.requests for span in spans]
        return sum(len(span.tokens.ids) - span.first for span in spans)


@dataclass(frozen=True, eq=False)
class Gates:
    """The solution.

    Attributes:
        V: [n, d_ff] float64, one row a request.
        norms: mean norm of the residual after the block on each request's tokens, [n] float64.
        measured: how open the gates are on forget and retain tokens.
    """

    V: Tensor
    norms: Tensor
    measured: dict[str, Any]


def gates(problem: Problem, amount: Amount | None = None) -> Gates:
    """Solves for all gates at once:  V = S G^-1,  S_i = sum over request i of weight t x.

    G is the second moment of the retain tokens and the weighted forget tokens, plus the ridge; t is
    1, or `amount` where the wanted gate differs from token to token.

    Raises:
        FitError: there is no retain token, or G is singular.
    """
    task = problem.task
    kept = retained.moments(task, problem.retain, [problem.site])[problem.site]
    total, weight = kept.total, problem.weight or kept.count / problem.tokens
    sums, norms = [], []
    for index, spans in enumerate(problem.requests):
        second, wanted, norm = _sums(problem, spans, index, amount)
        total = total + weight * second
        sums.append(weight * wanted)
        norms.append(norm)
    V = Ridge.of(total, problem.ridge).solve(torch.stack(sums))
    return Gates(V, torch.stack(norms), _measured(problem, V, amount))


def _sums(
    problem: Problem, spans: Sequence[Span], index: int, amount: Amount | None
) -> tuple[Tensor, Tensor, Tensor]:
    """Of one request: sum of x x^T, sum of t x, mean |h|."""
    second, wanted, norms = torch.zeros(()), torch.zeros(()), []
    for found in rows.read(problem.task, spans, [problem.site, problem.end]):
        x, h = found[problem.site], found[problem.end]
        t = torch.ones(len(x), dtype=x.dtype) if amount is None else amount(index, h)
        second, wanted = second + x.T @ x, wanted + t @ x
        norms.append(h.norm(dim=1))
    return second, wanted, torch.cat(norms).mean()


def _measured(problem: Problem, V: Tensor, amount: Amount | None) -> dict[str, Any]:
    """Each request's gate on its own tokens; the widest open gate on retain tokens."""
    own, residue, square = [], 0.0, 0.0
    for index, spans in enumerate(problem.requests):
        for found in rows.read(problem.task, spans, [problem.site, problem.end]):
            gate = found[problem.site] @ V[index]
            t = torch.ones_like(gate) if amount is None else amount(index, found[problem.end])
            residue, square = residue + float((gate - t).square().sum()), square + float(t @ t)
            own.append(gate)
    step = max(1, len(problem.retain) // _SAMPLE)
    sample = rows.fresh(problem.task, problem.retain[::step])
    kept = [
        (found[problem.site] @ V.T).abs().amax(dim=1)
        for found in rows.read(problem.task, sample, [problem.site])
    ]
    return {
        "gate_on_forget_tokens": _distribution(own),
        "gate_on_retain_tokens": _distribution(kept),
        "gate_unexplained": residue / square,
    }


def _distribution(values: Sequence[Tensor]) -> dict[str, float]:
    joined = torch.cat(list(values))
    found = torch.quantile(joined, torch.tensor(_QUANTILES, dtype=joined.dtype)).tolist()
    named = {f"q{100 * q:02.0f}": value for q, value in zip(_QUANTILES, found, strict=True)}
    return {"mean": float(joined.mean()), **named, "tokens": len(joined)}
