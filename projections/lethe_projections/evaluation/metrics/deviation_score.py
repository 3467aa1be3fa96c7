"""How far a variant is from forgetting all and keeping all, in one number.

    DS = 100 sqrt(F^2 + (1 - K)^2)        0 is best; F = 0, K = 1

with F the ROUGE-1 recall on what should be forgotten and K that on what should be kept. It says
nothing alone: on a topic that the base hardly knows, doing nothing scores well. So it comes with
two anchors: the base's own, and that of a model that keeps as the base does and never knew.
Source: LUNAR (arXiv 2502.07218).
"""

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Recall:
    """Two shares from 0 to 1.

    Attributes:
        forget: on what should be forgotten.
        retain: on what should be kept.

    Raises:
        ValueError: one is outside of that, such as a percentage.
    """

    forget: float
    retain: float

    def __post_init__(self) -> None:
        for share in (self.forget, self.retain):
            if not 0 <= share <= 1:
                raise ValueError(
                    f"expected a share from 0 to 1, found {share}; divide percentages by 100"
                )


@dataclass(frozen=True)
class Anchored:
    """A score between its anchors.

    Attributes:
        value: the variant's.
        base: the score of doing nothing.
        never_knew: that of keeping as the base does, and recalling of what should be forgotten
            what the base recalls of facts that do not exist.
    """

    value: float
    base: float
    never_knew: float


def deviation_score(recall: Recall) -> float:
    """Between 0 and 100 sqrt(2)."""
    return 100 * math.hypot(recall.forget, 1 - recall.retain)


def anchored(variant: Recall, base: Recall, unknown: float) -> Anchored:
    """The variant's score and both anchors.

    Args:
        variant: its recall.
        base: the base's.
        unknown: the base's recall on facts that do not exist.
    """
    never_knew = Recall(unknown, base.retain)
    return Anchored(*map(deviation_score, (variant, base, never_knew)))
