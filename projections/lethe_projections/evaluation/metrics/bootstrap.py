"""How sure a figure is: the percentile bootstrap over subjects.

    interval = 2.5 % and 97.5 % quantiles of statistic(drawn), over `DRAWS` times as many subjects
               drawn with replacement as there are

Subjects are drawn, not prompts: the forms of one fact are recovered together, so prompts drawn one
by one would make the interval too narrow. The same for a seed, on every run. A share that is 0 or 1
has another interval: see `ratio`.
Source: Efron and Tibshirani, "An Introduction to the Bootstrap" (1993), section 13.3.
"""

from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

MIN_SUBJECTS = 5
"""With fewer, no interval is given."""

DRAWS = 2000
SEED = 0

Interval = tuple[float, float]
Subject = TypeVar("Subject")


def interval(
    subjects: Sequence[Subject], statistic: Callable[[Sequence[Subject]], float], seed: int = SEED
) -> Interval | None:
    """95 %, or None with fewer than `MIN_SUBJECTS`.

    Args:
        subjects: whatever was measured of each, in an order that does not change between runs.
        statistic: of any number of them, each as often as it was drawn.
        seed: of the draws.
    """
    if len(subjects) < MIN_SUBJECTS:
        return None
    rows = draws(len(subjects), seed)
    return quantiles(np.array([statistic([subjects[place] for place in row]) for row in rows]))


def draws(count: int, seed: int = SEED) -> NDArray[np.int64]:
    """[DRAWS, count] places from 0 to count - 1."""
    return np.random.default_rng(seed).integers(count, size=(DRAWS, count))


def quantiles(statistics: NDArray[np.float64]) -> Interval:
    """The bounds of 95 % of the drawn statistics, of [DRAWS]."""
    low, high = np.quantile(statistics, (0.025, 0.975))
    return float(low), float(high)
