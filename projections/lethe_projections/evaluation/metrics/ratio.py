"""A ratio of sums over subjects, which shares and means are, with its interval.

ratio = sum of numerators / sum of denominators

Of a share that is exactly 0 or 1, every bootstrap draw is the same, and its interval would have no
width: none of five subjects would seem as sure as none of five hundred. Its interval is the exact
one instead, of none, or all, of as many subjects as there are:

    none of k: [0, 1 - 0.025^(1/k)]        all of k: [0.025^(1/k), 1]

Of a mean of values between 0 and 1 it is wide enough: a mean m takes a share m of them above 0.
Source: Clopper and Pearson, "The Use of Confidence or Fiducial Limits" (1934).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from lethe_projections.evaluation.metrics import bootstrap


@dataclass(frozen=True)
class Ratio:
    """A ratio of sums over clusters.

    Attributes:
        value: sum of numerators over sum of denominators.
        interval: 95 %, by bootstrap or, of `share`, exact at 0 and 1; None with fewer than
            `bootstrap.MIN_SUBJECTS` clusters.
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
    return ratio(_by_subject(values))


def share(values: Iterable[tuple[str, float]]) -> Ratio | None:
    """As `mean`, of values from 0 to 1: where all are 0, or all are 1, the interval is exact."""
    found = mean(values)
    if found is None or found.interval is None or 0 < found.value < 1:
        return found
    return replace(found, interval=_exact(found.value, found.clusters))


def _exact(value: float, clusters: int) -> bootstrap.Interval:
    tail = 0.025 ** (1 / clusters)
    return (tail, 1.0) if value else (0.0, 1 - tail)


def _by_subject(values: Iterable[tuple[str, float]]) -> list[tuple[float, int]]:
    clusters: dict[str, tuple[float, int]] = {}
    for subject, value in values:
        total, count = clusters.get(subject, (0.0, 0))
        clusters[subject] = (total + value, count + 1)
    return list(clusters.values())


def _interval(clusters: Sequence[tuple[float, int]]) -> bootstrap.Interval | None:
    if len(clusters) < bootstrap.MIN_SUBJECTS:
        return None
    drawn = bootstrap.draws(len(clusters))
    sums = np.asarray(clusters, dtype=np.float64)[drawn].sum(axis=1)
    return bootstrap.quantiles(sums[:, 0] / sums[:, 1])
