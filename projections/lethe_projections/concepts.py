"""Classes of tokens as sums at one site: their means, and the direction that tells them apart.

Only counts, sums and second moments are kept, whatever the amount of text. Knows no method.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lethe_projections import rows
from lethe_projections.errors import FitError
from lethe_projections.projector import Gate, Site
from lethe_projections.ridge import Ridge
from lethe_projections.rows import Span
from lethe_projections.task import Task


@dataclass(frozen=True, eq=False)
class Concept:
    """What is known of one class of rows x.

    Attributes:
        count: how many rows.
        total: [d] float64, the sum of x.
        second: [d, d] float64, the sum of x x^T.
    """

    count: int
    total: Tensor
    second: Tensor

    @property
    def mean(self) -> Tensor:
        """[d] float64."""
        return self.total / self.count

    @property
    def norm(self) -> float:
        """The root mean square of |x|."""
        return float((self.second.trace() / self.count).sqrt())

    @property
    def scatter(self) -> Tensor:
        """[d, d] float64, the sum of (x - mean) (x - mean)^T."""
        return self.second - self.count * self.mean.outer(self.mean)


def read(task: Task, spans: Sequence[Span], sites: Sequence[Site]) -> dict[Site, Concept]:
    """The class of the spans' tokens at each site, all in one pass over the texts.

    Raises:
        FitError: there is no token.
    """
    found: dict[Site, Concept] = {}
    for batch in rows.read(task, spans, sites):
        for site, x in batch.items():
            part = Concept(len(x), x.sum(dim=0), x.T @ x)
            found[site] = joined([found[site], part]) if site in found else part
    if not found:
        raise FitError("expected at least one token to tell apart, found none; give more text")
    return found


def joined(concepts: Iterable[Concept]) -> Concept:
    """All classes as one."""
    listed = list(concepts)
    return Concept(
        sum(concept.count for concept in listed),
        torch.stack([concept.total for concept in listed]).sum(dim=0),
        torch.stack([concept.second for concept in listed]).sum(dim=0),
    )


def differences(forget: Sequence[Concept], retain: Concept) -> Tensor:
    """mean_i - mean of retain, [n, d] float64.

    Raises:
        FitError: a difference is zero, so that nothing tells the class apart.
    """
    D = torch.stack([concept.mean for concept in forget]) - retain.mean
    if not bool((D.norm(dim=1) > 0).all()):
        raise FitError(
            "forget: expected activations that differ from the retain text's on average, found "
            "the same; give other examples"
        )
    return D


def discriminant(forget: Concept, retain: Concept, ridge: float, hard: bool) -> Gate:
    """The linear discriminant of two classes as a gate, open on `forget`.

        w = S^-1 (m_f - m_r),    b = log(n_f / n_r) - w . (m_f + m_r) / 2

    with S the covariance within the classes: w . x + b is the log-odds of `forget` if both are
    Gaussian with covariance S and as frequent as here, so no temperature is left to choose.

    Args:
        forget: where the gate opens.
        retain: where it stays shut.
        ridge: added to S's diagonal, as a share of its mean.
        hard: a threshold instead of a sigmoid.
    """
    within = (forget.scatter + retain.scatter) / (forget.count + retain.count)
    difference = forget.mean - retain.mean
    w = Ridge.of(within, ridge).solve(difference[None])[0]
    prior = math.log(forget.count / retain.count)
    b = prior - float(w @ (forget.mean + retain.mean)) / 2
    return Gate(w.to(torch.float32), b, hard)
