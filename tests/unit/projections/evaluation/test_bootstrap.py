"""Intervals: the same for a seed, over subjects, and as scipy's."""

import numpy as np
import pytest
from scipy import stats

from lethe_projections.evaluation.metrics import bootstrap
from lethe_projections.evaluation.metrics.ratio import mean

VALUES = [0.0, 0.1, 0.1, 0.2, 0.4, 0.5, 0.5, 0.7, 0.9, 1.0]


def average(values: list[float]) -> float:
    return float(np.mean(values))


def test_it_agrees_with_scipys_percentile_bootstrap() -> None:
    found = bootstrap.interval(VALUES, average)
    expected = stats.bootstrap(
        (VALUES,), np.mean, n_resamples=20000, method="percentile", rng=np.random.default_rng(1)
    ).confidence_interval
    assert found == pytest.approx((expected.low, expected.high), abs=0.02)


def test_it_is_the_same_for_a_seed_and_another_for_another() -> None:
    first, second = bootstrap.interval(VALUES, average), bootstrap.interval(VALUES, average)
    assert first == second != bootstrap.interval(VALUES, average, seed=1)


def test_a_means_interval_is_the_bootstraps() -> None:
    found = mean((str(number), value) for number, value in enumerate(VALUES))
    assert found is not None
    assert found.interval == pytest.approx(bootstrap.interval(VALUES, average))


def test_an_interval_needs_five_subjects() -> None:
    assert bootstrap.interval(VALUES[:4], average) is None
    assert bootstrap.interval(VALUES[:5], average) is not None


def test_more_forms_of_the_same_subjects_do_not_make_it_narrower() -> None:
    once = mean((str(number), value) for number, value in enumerate(VALUES))
    often = mean((str(number), value) for number, value in enumerate(VALUES) for _ in range(9))
    apart = mean((f"{number} {form}", v) for number, v in enumerate(VALUES) for form in range(9))
    assert once is not None
    assert often is not None
    assert apart is not None
    assert apart.interval is not None
    assert often.interval == pytest.approx(once.interval)
    assert often.interval is not None
    assert apart.interval[1] - apart.interval[0] < (often.interval[1] - often.interval[0]) / 2


def test_the_mean_of_nothing_is_none() -> None:
    assert mean([]) is None
