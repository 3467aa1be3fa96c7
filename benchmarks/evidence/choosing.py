"""Chooses a method's settings by what was measured on the development subjects. Knows no models."""

from collections.abc import Iterable
from dataclasses import dataclass

from benchmarks.evidence.measuring import Measured
from lethe_server.evaluating.evidence import Evidence

LOSS = "F + (1 - N) + (1 - U) + KL"
"""F the worst form's share, N and U the shares of neighbours and unrelated facts, KL in nats."""


@dataclass(frozen=True)
class Scores:
    """What a profile is judged by.

    Attributes:
        worst: share recovered in the worst form.
        form: which that is.
        neighbours, unrelated: shares kept.
        kl: a token, in nats.
    """

    worst: float
    form: str
    neighbours: float
    unrelated: float
    kl: float

    @classmethod
    def of(cls, found: Evidence) -> "Scores":
        """Of evidence with one suite, whose base knows some of each set, and with text."""
        [suite] = found.suites
        head = suite.headline
        assert head.neighbours is not None
        assert head.unrelated is not None
        assert found.retain is not None
        [kl] = [one.value for one in found.retain.measures if one.name == "KL"]
        return cls(head.recovered, head.worst_form, head.neighbours, head.unrelated, kl)

    @property
    def loss(self) -> float:
        """See `LOSS`; less is better."""
        return self.worst + (1 - self.neighbours) + (1 - self.unrelated) + self.kl


def chosen(found: Iterable[Measured]) -> Measured:
    """The one of least loss, the first of equals."""
    return min(found, key=lambda one: Scores.of(one.evidence).loss)
