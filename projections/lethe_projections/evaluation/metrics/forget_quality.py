"""Whether a variant can be told from a model that was never trained on what should be forgotten.

    quality = log10 p,  p of the two-sample Kolmogorov-Smirnov test on truth ratios

0 is best: no difference was found. p falls with the number of items whatever the size of the
difference, so n stands beside it, and qualities of different n are not compared. It needs a
reference model trained on the retain data alone; without one there is no such figure.
Source: TOFU (arXiv 2401.06121), section 2.2.
"""

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from scipy import stats  # type: ignore[import-untyped] # its stubs are another distribution


@dataclass(frozen=True)
class ForgetQuality:
    """The test's result.

    Attributes:
        log10_p: 0 or less; -307.65 stands for anything lower, which no float holds.
        distance: largest difference of the two distribution functions, 0 to 1.
        count: truth ratios of the variant.
        reference_count: those of the reference.
    """

    log10_p: float
    distance: float
    count: int
    reference_count: int


def forget_quality(variant: Sequence[float], reference: Sequence[float]) -> ForgetQuality:
    """Compares truth ratios, or their logarithms: the test looks at order alone.

    Args:
        variant: one for each item that should be forgotten.
        reference: the same of a model that never saw them.

    Raises:
        ValueError: one of them is empty.
    """
    if not variant or not reference:
        raise ValueError(
            f"expected truth ratios of variant and reference, found {len(variant)} and "
            f"{len(reference)}; without a reference model leave this figure out"
        )
    found = stats.ks_2samp(variant, reference)
    log10_p = math.log10(max(float(found.pvalue), sys.float_info.min))
    return ForgetQuality(min(log10_p, 0.0), float(found.statistic), len(variant), len(reference))
