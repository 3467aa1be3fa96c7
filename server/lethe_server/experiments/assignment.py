"""Which arm a unit is in: a function of the experiment's salt and the unit, and of nothing else.

So it is the same in every process and after every restart, and nothing is stored for it:

    u = first 64 bits of sha256("assign" 0 salt 0 unit) / 2^64

A unit is in the first arm whose share, added to those before it, exceeds u. Salts of two
experiments differ, so where a unit is in one says nothing of where it is in the other.
"""

import hashlib
from itertools import accumulate

from lethe_server.experiments.experiment import Arm, Experiment
from lethe_vllm.errors import SelectionError

MAX_UNIT = 512
"""Characters of a unit."""


def arm_of(experiment: Experiment, unit: str) -> Arm:
    """The arm that a unit is in.

    Raises:
        SelectionError: the unit is empty, too long, or no text.
    """
    plan = experiment.plan
    u = fraction(experiment.salt, unit)
    bounds = accumulate(plan.shares.values())
    # The sum of the shares may be just below 1.
    return next(
        (arm for arm, bound in zip(plan.arms, bounds, strict=True) if u < bound), plan.arms[-1]
    )


def fraction(salt: str, unit: str) -> float:
    """A number in [0, 1), uniform over units."""
    return int.from_bytes(_digest("assign", salt, unit)[:8], "big") / 2**64


def pseudonym(salt: str, unit: str) -> str:
    """What is recorded of a unit: 64 hexadecimal digits that tell nothing without the salt."""
    return _digest("unit", salt, unit).hex()


def _digest(purpose: str, salt: str, unit: str) -> bytes:
    # Zero bytes cannot be in a purpose or a salt, so no two triples are the same bytes.
    return hashlib.sha256(b"\0".join([purpose.encode(), salt.encode(), _bytes(unit)])).digest()


def _bytes(unit: str) -> bytes:
    try:
        encoded = unit.encode()
    except UnicodeEncodeError:
        encoded = b""
    if not 0 < len(unit) <= MAX_UNIT or not encoded:
        raise SelectionError(
            f"experiment: expected a unit of 1 to {MAX_UNIT} characters, found {len(unit)}, "
            f"{unit[:40]!r}; send another id of the user"
        )
    return encoded
