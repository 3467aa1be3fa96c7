"""Intervals of figures made of several ratios."""

from collections.abc import Sequence

from lethe_projections.evaluation.metrics import bootstrap, combined, ratio
from lethe_projections.evaluation.metrics.combined import Array, Part

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
    rare = [(1.0, 1)] * 5 + [(0.0, 0)] * 95
    seen: list[float] = []

    def figure(drawn: Sequence[Array]) -> Array:
        seen.extend(drawn[0])
        return drawn[0]

    assert combined.interval([Part(0, rare)], figure) == (1.0, 1.0)
    assert set(seen) == {0.0, 1.0}


def test_subjects_without_a_denominator_are_none_of_the_fewest_that_it_takes() -> None:
    few = Part(0, [*CLUSTERS[: bootstrap.MIN_SUBJECTS - 1], *[(0.0, 0)] * 9])
    assert combined.interval([few], lambda drawn: drawn[0]) is None


def test_a_part_that_some_subjects_lack_is_drawn_with_the_others() -> None:
    some = [(1.0, 1), (0.0, 1), (0.0, 0), (0.0, 0), (1.0, 1), (0.0, 1), (0.0, 1)]
    whole = [(value, 1) for value, _ in some]
    found = combined.interval([Part(0, some), Part(0, whole)], lambda drawn: drawn[0] - drawn[1])
    assert found is not None
    assert found[0] == 0
