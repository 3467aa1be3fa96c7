"""Intervals of figures made of several ratios."""

import pytest

from lethe_projections.evaluation.metrics import bootstrap, combined, ratio
from lethe_projections.evaluation.metrics.combined import Part

CLUSTERS = [(1.0, 2), (0.0, 1), (3.0, 3), (1.0, 4), (2.0, 2), (0.0, 3)]


def test_of_one_ratio_it_is_that_ratios() -> None:
    alone = ratio.ratio(CLUSTERS)
    assert alone is not None
    assert combined.interval([Part(0, CLUSTERS)], lambda drawn: drawn[0]) == alone.interval


def test_ratios_of_one_group_are_drawn_together_and_others_apart() -> None:
    same, other = Part(0, CLUSTERS), Part(1, CLUSTERS)
    assert combined.interval([same, same], lambda drawn: drawn[0] - drawn[1]) == (0.0, 0.0)
    apart = combined.interval([same, other], lambda drawn: drawn[0] - drawn[1])
    assert apart is not None
    assert apart[0] < 0 < apart[1]


def test_too_few_subjects_have_none() -> None:
    few = Part(1, CLUSTERS[: bootstrap.MIN_SUBJECTS - 1])
    assert combined.interval([Part(0, CLUSTERS), few], lambda drawn: drawn[0]) is None


def test_a_draw_without_a_denominator_counts_as_nothing() -> None:
    found = combined.interval([Part(0, [(1.0, 1), *[(0.0, 0)] * 9])], lambda drawn: drawn[0])
    assert found == pytest.approx((0.0, 1.0))
