"""The interval of a figure that is made of several ratios.

    interval = 2.5 % and 97.5 % quantiles of figure(drawn ratios), subjects drawn as in `bootstrap`

Ratios of the same subjects are drawn together, those of different groups of subjects apart.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lethe_projections.evaluation.metrics import bootstrap

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Part:
    """One ratio.

    Attributes:
        group: whose subjects they are; a number of the caller's.
        clusters: (numerator, denominator) a subject, in an order that the group shares; (0, 0) of
            one that has none.
    """

    group: int
    clusters: Sequence[tuple[float, int]]


def interval(
    parts: Sequence[Part], figure: Callable[[Sequence[Array]], Array]
) -> bootstrap.Interval | None:
    """95 %, or None where a part has fewer than `bootstrap.MIN_SUBJECTS` subjects.

    Args:
        parts: each with a denominator above 0.
        figure: of the parts' ratios, elementwise.
    """
    if any(_counted(part) < bootstrap.MIN_SUBJECTS for part in parts):
        return None
    return bootstrap.quantiles(figure([_drawn(part) for part in parts]))


def _counted(part: Part) -> int:
    return sum(denominator > 0 for _, denominator in part.clusters)


def _drawn(part: Part) -> Array:
    """[DRAWS]; a draw without a denominator counts as 0."""
    rows = bootstrap.draws(len(part.clusters), bootstrap.SEED + part.group)
    sums = np.asarray(part.clusters, dtype=np.float64)[rows].sum(axis=1)
    found = np.zeros(len(sums))
    np.divide(sums[:, 0], sums[:, 1], out=found, where=sums[:, 1] > 0)
    return found
