"""Which subjects of a suite are asked about."""

from enum import StrEnum

from lethe_projections.evaluation import split


class Split(StrEnum):
    """Which subjects of a suite: those to choose settings by, the others, or all."""

    DEVELOPMENT = split.DEVELOPMENT
    HELD_OUT = split.HELD_OUT
    ALL = "all"
