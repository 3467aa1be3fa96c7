"""The report's numbers, by published examples, other code, and how often the intervals hold."""

import math

import numpy as np
import pytest
from scipy import stats

from lethe_server.experiments import statistics


def ones(successes: int, count: int) -> list[float]:
    return [1.0] * successes + [0.0] * (count - successes)


@pytest.mark.parametrize(
    ("successes", "count", "low", "high"),
    # Newcombe 1998, Statistics in Medicine 17:857, table I, method 3.
    [
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0000, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_the_interval_of_a_rate_is_wilsons(
    successes: int, count: int, low: float, high: float
) -> None:
    found = statistics.rate(ones(successes, count))
    assert found.interval == pytest.approx((low, high), abs=5e-5)
    assert found.value == successes / count


@pytest.mark.parametrize(
    ("one", "other", "low", "high"),
    # Newcombe 1998, Statistics in Medicine 17:873, table II, method 10.
    [
        ((56, 70), (48, 80), 0.0524, 0.3339),
        ((9, 10), (3, 10), 0.1705, 0.8090),
        ((5, 56), (0, 29), -0.0381, 0.1926),
        ((10, 10), (0, 10), 0.6075, 1.0000),
    ],
)
def test_the_interval_of_a_difference_of_rates_is_newcombes(
    one: tuple[int, int], other: tuple[int, int], low: float, high: float
) -> None:
    found = statistics.rate_difference(ones(*one), ones(*other))
    assert found.interval == pytest.approx((low, high), abs=5e-5)


def test_the_test_of_two_rates_is_the_chi_square_without_correction() -> None:
    found = statistics.rate_difference(ones(56, 70), ones(48, 80))
    judge = stats.chi2_contingency([[56, 14], [48, 32]], correction=False)
    assert found.p_value == pytest.approx(judge.pvalue, rel=1e-9)
    assert found.p_value is not None and 1e-4 < found.p_value < 0.05


def test_means_are_as_scipys() -> None:
    generator = np.random.default_rng(1)
    one = generator.normal(3.0, 1.0, 40).tolist()
    other = generator.normal(2.0, 4.0, 23).tolist()
    mean = statistics.mean(one)
    judge = stats.ttest_1samp(one, 0.0).confidence_interval(0.95)
    assert mean.interval == pytest.approx((judge.low, judge.high), rel=1e-9)
    assert mean.sd == pytest.approx(np.std(one, ddof=1))
    found = statistics.mean_difference(one, other)
    welch = stats.ttest_ind(one, other, equal_var=False)
    ends = welch.confidence_interval(0.95)
    assert found.interval == pytest.approx((ends.low, ends.high), rel=1e-9)
    assert found.p_value == pytest.approx(welch.pvalue, rel=1e-9)
    pooled = stats.ttest_ind(one, other)
    assert abs(pooled.pvalue / welch.pvalue - 1) > 0.01, "this sample cannot tell them apart"


@pytest.mark.parametrize("kind", ["rate", "mean"])
def test_an_interval_of_a_difference_holds_the_truth_as_often_as_it_says(kind: str) -> None:
    generator = np.random.default_rng(7)
    held = 0
    for _ in range(1000):
        if kind == "rate":
            one, other = generator.random(60) < 0.2, generator.random(40) < 0.35
            found = statistics.rate_difference(one.astype(float), other.astype(float))
            truth = 0.2 - 0.35
        else:
            one, other = generator.normal(1, 1, 12), generator.normal(3, 5, 8)
            found, truth = statistics.mean_difference(one, other), -2.0
        assert found.interval is not None
        held += found.interval[0] <= truth <= found.interval[1]
    # Three standard errors of 1000 draws, about the nominal 950.
    assert 925 <= held <= 975


def test_what_the_numbers_do_not_allow_is_left_out() -> None:
    single = statistics.mean([2.0])
    assert (single.value, single.sd, single.interval) == (2.0, None, None)
    alike = statistics.mean_difference([2.0, 2.0], [1.0, 1.0])
    assert (alike.value, alike.interval, alike.p_value) == (1.0, None, None)
    assert statistics.rate_difference(ones(3, 3), ones(2, 2)).p_value is None
    assert statistics.mean_difference([1.0, 2.0], [5.0]).interval is None


def test_units_that_are_not_parted_by_the_weights_are_noticed() -> None:
    fair = statistics.sample_ratio([5000, 5100], [0.5, 0.5])
    assert fair == pytest.approx(stats.chi2.sf(100**2 / 10100, 1))
    assert fair is not None and fair > statistics.MISMATCH
    skewed = statistics.sample_ratio([5000, 5400], [0.5, 0.5])
    assert skewed is not None and skewed < statistics.MISMATCH
    assert statistics.sample_ratio([0, 0], [0.5, 0.5]) is None


def test_a_huge_number_does_not_overflow() -> None:
    found = statistics.mean_difference([1e15, -1e15], [1e15, 0.0])
    assert found.interval is not None and all(map(math.isfinite, found.interval))
