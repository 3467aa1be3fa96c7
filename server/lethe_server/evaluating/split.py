"""Which subjects of a suite are asked about."""

from enum import StrEnum

from lethe_projections.evaluation import split


class Split(StrEnum):
    """See `lethe_projections.evaluation.split`."""

    DEVELOPMENT = split.DEVELOPMENT
    HELD_OUT = split.HELD_OUT
    ALL = "all"
