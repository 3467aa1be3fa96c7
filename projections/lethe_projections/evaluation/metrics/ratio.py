"""A ratio of sums over subjects, which shares and means are, with its interval.

ratio = sum of numerators / sum of denominators
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from lethe_projections.evaluation.metrics import bootstrap


@dataclass(frozen=True)
class Ratio:
    """A ratio of sums over clusters.

    Attributes:
        value: sum of numerators over sum of denominators.
        interval: bootstrap 95 %, or None with fewer than `bootstrap.MIN_SUBJECTS` clusters.
        count: sum of denominators: prompts, or tokens.
        clusters: subjects, or texts.
    """

    value: float
    interval: bootstrap.Interval | None
    count: int
    clusters: int


def ratio(clusters: Sequence[tuple[float, int]]) -> Ratio | None:
    """Of (numerator, denominator) pairs; None if the denominators sum to 0."""
    counted = [pair for pair in clusters if pair[1]]
    count = sum(denominator for _, denominator in counted)
    if count == 0:
        return None
    value = sum(numerator for numerator, _ in counted) / count
    return Ratio(value, _interval(counted), count, len(counted))


def mean(values: Iterable[tuple[str, float]]) -> Ratio | None:
    """Of (subject, value) pairs, each value with the same weight; None if there are none."""
    clusters: dict[str, tuple[float, int]] = {}
    for subject, value in values:
        total, count = clusters.get(subject, (0.0, 0))
        clusters[subject] = (total + value, count + 1)
    return ratio(list(clusters.values()))


def _interval(clusters: Sequence[tuple[float, int]]) -> bootstrap.Interval | None:
    if len(clusters) < bootstrap.MIN_SUBJECTS:
        return None
    drawn = bootstrap.draws(len(clusters))
    sums = np.asarray(clusters, dtype=np.float64)[drawn].sum(axis=1)
    return bootstrap.quantiles(sums[:, 0] / sums[:, 1])
