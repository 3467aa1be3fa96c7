"""What is left of a model's use, from shares that all have to be good.

    utility = n / sum_i 1 / x_i        harmonic mean; 0 if one of them is 0

Its parts are part of the figure: without their names and values nobody can compute it again.
Source: TOFU (arXiv 2401.06121), section 2.2: probability, ROUGE-L recall and truth ratio, each on
retain set, real authors and world facts.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from scipy import stats  # type: ignore[import-untyped] # its stubs are another distribution


@dataclass(frozen=True)
class Utility:
    """A harmonic mean.

    Attributes:
        value: itself.
        parts: what went into it, by name.
    """

    value: float
    parts: Mapping[str, float]


def model_utility(parts: Mapping[str, float]) -> Utility:
    """The harmonic mean of all parts.

    Raises:
        ValueError: there are none, or one is not from 0 to 1.
    """
    if not parts:
        raise ValueError("expected one part or more, found none; measure something that is kept")
    for name, value in parts.items():
        if not 0 <= value <= 1:
            raise ValueError(
                f"{name}: expected a share from 0 to 1, found {value}; rescale it, or leave it out"
            )
    # At 0 the mean is its limit, which scipy finds by a division that numpy may warn of.
    value = 0.0 if 0 in parts.values() else float(stats.hmean(list(parts.values())))
    return Utility(value, dict(parts))
