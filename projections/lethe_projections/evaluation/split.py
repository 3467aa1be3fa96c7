"""Which subjects are for choosing hyper-parameters, and which for the figures that are told.

By a subject's digest, so that it is the same in every file, order and release.
"""

import hashlib

DEVELOPMENT = "development"
HELD_OUT = "held out"

RULE = "development: subjects whose sha256 begins with a hexadecimal digit from 0 to 7"


def digest(subject: str) -> str:
    """sha256 of a subject as UTF-8, 64 hex digits."""
    return hashlib.sha256(subject.encode()).hexdigest()


def of(subject: str) -> str:
    """`RULE`, applied: `DEVELOPMENT` or `HELD_OUT`."""
    return DEVELOPMENT if digest(subject)[0] in "01234567" else HELD_OUT
