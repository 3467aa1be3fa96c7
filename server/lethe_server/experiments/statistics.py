"""Intervals and tests for rates, means and their differences. Knows nothing of experiments.

Every interval is two-sided, at 95 %:

    a rate                          Wilson's score interval
    a mean                          Student's t
    a difference between rates      Newcombe's hybrid score (1998, method 10); its test, pooled z
    a difference between means      Welch's t
    numbers of units                Pearson's chi-square

What the numbers do not allow (a spread from one value, a test where nothing varies) is None.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from scipy import stats  # type: ignore[import-untyped] # its stubs are another distribution

CONFIDENCE = 0.95

MISMATCH = 0.001
"""Below this p-value, arms have other numbers of units than their weights can explain."""

Interval = tuple[float, float]


@dataclass(frozen=True)
class Estimate:
    """What a sample says of one arm.

    Attributes:
        count: of units.
        value: the rate or the mean.
        sd: the standard deviation between units.
        interval: of the value.
    """

    count: int
    value: float
    sd: float | None
    interval: Interval | None


@dataclass(frozen=True)
class Difference:
    """What two samples say of each other.

    Attributes:
        value: the arm's less the control's.
        interval: of the value.
        p_value: how often chance alone would show a difference as large.
    """

    value: float
    interval: Interval | None
    p_value: float | None


def rate(values: Sequence[float]) -> Estimate:
    """Of zeros and ones; at least one of them."""
    interval = _wilson(sum(values), len(values))
    return Estimate(len(values), sum(values) / len(values), _sd(values), interval)


def mean(values: Sequence[float]) -> Estimate:
    """Of numbers; at least one of them."""
    n, middle, sd = len(values), math.fsum(values) / len(values), _sd(values)
    if sd is None:
        return Estimate(n, middle, None, None)
    half = float(stats.t.ppf(0.5 + CONFIDENCE / 2, n - 1)) * sd / math.sqrt(n)
    return Estimate(n, middle, sd, (middle - half, middle + half))


def rate_difference(values: Sequence[float], control: Sequence[float]) -> Difference:
    """Between two samples of zeros and ones; at least one in each."""
    n, m = len(values), len(control)
    p, q = sum(values) / n, sum(control) / m
    (low_p, high_p), (low_q, high_q) = _wilson(sum(values), n), _wilson(sum(control), m)
    interval = (
        p - q - math.hypot(p - low_p, high_q - q),
        p - q + math.hypot(high_p - p, q - low_q),
    )
    pooled = (sum(values) + sum(control)) / (n + m)
    error = math.sqrt(pooled * (1 - pooled) * (1 / n + 1 / m))
    p_value = 2 * float(stats.norm.sf(abs(p - q) / error)) if error else None
    return Difference(p - q, interval, p_value)


def mean_difference(values: Sequence[float], control: Sequence[float]) -> Difference:
    """Between two samples of numbers; at least one in each."""
    one, other = mean(values), mean(control)
    difference = one.value - other.value
    if one.sd is None or other.sd is None or one.sd == other.sd == 0:
        return Difference(difference, None, None)
    of_one, of_other = one.sd**2 / one.count, other.sd**2 / other.count
    error = math.sqrt(of_one + of_other)
    freedom = (of_one + of_other) ** 2 / (
        of_one**2 / (one.count - 1) + of_other**2 / (other.count - 1)
    )
    half = float(stats.t.ppf(0.5 + CONFIDENCE / 2, freedom)) * error
    p_value = 2 * float(stats.t.sf(abs(difference) / error, freedom))
    return Difference(difference, (difference - half, difference + half), p_value)


def sample_ratio(counts: Sequence[int], shares: Sequence[float]) -> float | None:
    """How often chance alone would part units at least this unevenly; None without units."""
    total = sum(counts)
    if not total:
        return None
    return float(stats.chisquare(counts, [share * total for share in shares]).pvalue)


def _wilson(successes: float, count: int) -> Interval:
    found = stats.binomtest(round(successes), count).proportion_ci(CONFIDENCE, method="wilson")
    return float(found.low), float(found.high)


def _sd(values: Sequence[float]) -> float | None:
    if len(values) < 2:
        return None
    middle = math.fsum(values) / len(values)
    return math.sqrt(math.fsum((value - middle) ** 2 for value in values) / (len(values) - 1))
