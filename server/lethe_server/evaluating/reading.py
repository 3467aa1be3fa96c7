"""What a server tells of given tokens, as numbers. Knows no connection."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lethe_projections.evaluation.metrics.extraction_strength import extraction_strength
from lethe_server.compare.divergence import kl_lower_bound
from lethe_server.evaluating.answering import LEAST, MOST, Diverged


@dataclass(frozen=True)
class Reading:
    """Some given tokens, each with what was told at its place.

    Attributes:
        ids: the tokens.
        told: log-probabilities by token id, of the likeliest and of its own.
    """

    ids: tuple[int, ...]
    told: tuple[dict[int, float], ...]

    @classmethod
    def parse(cls, ids: Sequence[int], begin: int, entries: Sequence[Any]) -> "Reading":
        """Of vLLM's `prompt_logprobs`.

        Args:
            ids: of the whole prompt.
            begin: of the part that is read.
            entries: one a token, by token id.

        Raises:
            ValueError: they are not of these tokens.
        """
        if len(entries) != len(ids) or begin >= len(ids):
            raise ValueError(
                f"log-probabilities of {len(entries)} tokens, for {len(ids)}, from {begin} on"
            )
        told = tuple(_by_id(one) for one in entries[begin:])
        read = tuple(ids[begin:])
        missing = [token for token, one in zip(read, told, strict=True) if token not in one]
        if missing:
            raise ValueError(f"no log-probability of the token {missing[0]}")
        return cls(read, told)

    @property
    def log_probabilities(self) -> list[float]:
        """Of each token."""
        return [one[token] for token, one in zip(self.ids, self.told, strict=True)]

    @property
    def mean(self) -> float:
        """Mean log-likelihood a token."""
        return math.fsum(self.log_probabilities) / len(self.ids)

    @property
    def strength(self) -> float:
        """Extraction strength."""
        likeliest = [max(one, key=lambda token: (one[token], -token)) for one in self.told]
        return extraction_strength(likeliest, self.ids)


def diverged(base: Reading, variant: Reading) -> Diverged:
    """The two on the same tokens; the divergence is a lower bound."""
    return Diverged(
        kl=math.fsum(min(MOST, kl) for kl in map(kl_lower_bound, base.told, variant.told)),
        base=-math.fsum(base.log_probabilities),
        variant=-math.fsum(variant.log_probabilities),
        tokens=len(base.ids),
    )


def _by_id(entries: Mapping[str, Any] | None) -> dict[int, float]:
    if entries is None:
        raise ValueError("no log-probabilities at a token")
    return {int(token): _number(one["logprob"]) for token, one in entries.items()}


def _number(logprob: float | None) -> float:
    """`LEAST` for what is none: NaN, which some servers write as null."""
    found = LEAST if logprob is None else float(logprob)
    return max(found, LEAST) if math.isfinite(found) else LEAST
