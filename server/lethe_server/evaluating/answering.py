"""Who answers an evaluation: the base and one variant of it. Knows nothing of how."""

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias, TypeVar

from lethe_projections.evaluation.prompt import Prompt
from lethe_projections.examples import Example

T = TypeVar("T")
R = TypeVar("R")

Told: TypeAlias = Generator[tuple[T, R], None, None]
"""What was asked, each with what came back."""

LEAST = -9999.0
"""The log-probability of an impossible token, for which JSON has no number; vLLM's too.

Also of one that is no number, as a profile that overflows gives.
"""

MOST = -LEAST
"""A token's divergence at most: in place of one that is infinite, or no number."""


@dataclass(frozen=True)
class Subject:
    """What is evaluated, and by what.

    Attributes:
        profile: what the variant is called.
        digest: sha256 of its artifact.
        method: how it was fitted, as its artifact says.
        model: fingerprint of the base model.
        by: `http` or `offline`.
        engine: the program that computes, with its version.
        dtype: of its weights, with how they are quantised; None where it does not say.
        template: `conversing.fingerprint` of the sample conversation; None where it takes none.
        unread: why no given text is read back to it; empty if it is.
        divergence: the formula of what `Diverged.kl` is.
    """

    profile: str
    digest: str
    method: str
    model: str
    by: Literal["http", "offline"]
    engine: str
    dtype: str | None
    template: str | None
    unread: str
    divergence: str


@dataclass(frozen=True)
class Answered:
    """What came back to a prompt.

    Attributes:
        text: the continuation; None for a ranking.
        likelihoods: for a ranking, the mean log-likelihood a token of the right answer and of each
            wrong one, in that order.
        strength: for a ranking, the right answer's extraction strength.
    """

    text: str | None = None
    likelihoods: tuple[float, ...] = ()
    strength: float | None = None


@dataclass(frozen=True)
class Diverged:
    """Base and variant on one given text, summed over its tokens, in nats.

    Attributes:
        kl: KL(base || variant), or a lower bound of it.
        base: the base's negative log-likelihood.
        variant: the variant's.
        tokens: how many.
    """

    kl: float
    base: float
    variant: float
    tokens: int


class Answerer(Protocol):
    """Answers greedily, in any order, each as soon as it is there.

    Closing an iterator early leaves out what was not begun. Every method raises LetheError where
    something cannot be answered.
    """

    @property
    def subject(self) -> Subject: ...

    def answers(self, prompts: Sequence[Prompt], edited: bool) -> Told[Prompt, Answered]:
        """Of the variant, or of the base."""
        ...

    def readable(self, texts: Sequence[Example]) -> tuple[Example, ...]:
        """Those of which a token is read, one that others stand before."""
        ...

    def divergences(self, texts: Sequence[Example]) -> Told[Example, Diverged]:
        """On readable texts."""
        ...


def options(prompt: Prompt) -> tuple[str, ...]:
    """What a ranking compares, as the texts that follow the prompt; the right one first."""
    gap = " " if prompt.reply and not prompt.reply.endswith(" ") else ""
    return tuple(gap + one for one in (prompt.expected[0], *prompt.wrong))
