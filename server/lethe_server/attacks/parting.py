"""Parts subjects into those that are trained on and those that are held out."""

from collections.abc import Iterable

from lethe_projections.errors import LetheError
from lethe_projections.evaluation import split

LEAST = 2
"""Subjects in each part."""


def trained(subjects: Iterable[str], share: float, what: str) -> frozenset[str]:
    """The first by rising sha256, which no order and no other subject's name decides.

    Args:
        subjects: which; some may be named several times.
        share: of them, rounded to a whole number.
        what: they are, for the error.

    Raises:
        LetheError: there are too few for two parts.
    """
    ordered = sorted(set(subjects), key=split.digest)
    count = round(share * len(ordered))
    if not LEAST <= count <= len(ordered) - LEAST:
        raise LetheError(
            f"relearning: expected {LEAST} subjects {what} at least to train on, and {LEAST} to "
            f"hold out, found {len(ordered)}, of which a share of {share} is {count}; take a "
            "profile and suites of more subjects, or another --share"
        )
    return frozenset(ordered[:count])
