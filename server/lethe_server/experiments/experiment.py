"""What an experiment is. Knows nothing of HTTP, of the database, or of the engine."""

import math
import re
from dataclasses import dataclass
from typing import Literal

from lethe_projections.errors import LetheError
from lethe_vllm.errors import SelectionError
from lethe_vllm.selection import Selection

Status = Literal["running", "stopped"]

MAX_ARMS = 32
MAX_WEIGHT = 1e6

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")


class UnknownExperimentError(LetheError):
    """No experiment has that name, or it has no such exposure."""

    http_status = 404


def check_name(what: str, name: str) -> str:
    """Returns `name` if an experiment, an arm or a metric may be called so.

    Raises:
        SelectionError: it has another form.
    """
    if _NAME.fullmatch(name) is None:
        raise SelectionError(
            f"{what}: expected 1 to 64 of a-z, 0-9, '.', '_', '-', starting with a letter or "
            f"digit, found {name[:80]!r}; choose another name"
        )
    return name


@dataclass(frozen=True)
class Arm:
    """One of the variants that an experiment compares.

    Attributes:
        name: what the experiment calls it.
        profile: what serves it, as in the `X-Unlearning-Profile` header; in its normal form.
        weight: its share of the units, relative to the other arms' weights.
    """

    name: str
    profile: str
    weight: float

    def __post_init__(self) -> None:
        check_name("arm", self.name)
        object.__setattr__(self, "profile", str(Selection.parse(self.profile)))
        if not (math.isfinite(self.weight) and 0 < self.weight <= MAX_WEIGHT):
            raise SelectionError(
                f"arm {self.name}: expected a weight above 0 and at most {MAX_WEIGHT:g}, found "
                f"{self.weight}; leave an arm out that shall get nothing"
            )

    @property
    def selection(self) -> Selection:
        return Selection.parse(self.profile)


@dataclass(frozen=True)
class Plan:
    """What an experiment is created with, and keeps.

    Attributes:
        name: what requests call it.
        arms: two or more, in the order given.
        control: the name of the arm that the others are compared with.
    """

    name: str
    arms: tuple[Arm, ...]
    control: str

    def __post_init__(self) -> None:
        check_name("experiment", self.name)
        names = [arm.name for arm in self.arms]
        if not 2 <= len(names) <= MAX_ARMS or len(set(names)) < len(names):
            raise SelectionError(
                f"experiment {self.name}: expected 2 to {MAX_ARMS} arms of different names, found "
                f"{', '.join(names)[:200] or 'none'}; name each arm once"
            )
        if self.control not in names:
            raise SelectionError(
                f"experiment {self.name}: expected 'control' to be an arm ({', '.join(names)}), "
                f"found {self.control[:80]!r}; name one of them"
            )

    @property
    def shares(self) -> dict[str, float]:
        """The part of all units that each arm gets, by its name."""
        total = math.fsum(arm.weight for arm in self.arms)
        return {arm.name: arm.weight / total for arm in self.arms}


@dataclass(frozen=True)
class Experiment:
    """A plan that was put into effect.

    Attributes:
        id: told apart from earlier experiments of the same name by it.
        plan: what it was created with.
        salt: random; the assignment depends on it and on the unit alone.
        created: Unix time in seconds.
        stopped: Unix time in seconds; None while it is running.
        lost: exposures that could not be recorded.
    """

    id: str
    plan: Plan
    salt: str
    created: float
    stopped: float | None
    lost: int

    @property
    def name(self) -> str:
        return self.plan.name

    @property
    def status(self) -> Status:
        return "running" if self.stopped is None else "stopped"


@dataclass(frozen=True)
class Exposure:
    """One request that took part.

    Attributes:
        experiment: its `id`.
        request_id: of the request; a second one with the same id does not count.
        unit: the unit's pseudonym.
        arm: the name of the arm.
        digest: of the profile that served; empty for the base, and if it was refused before.
        time: Unix time in seconds at which the answer began.
        status: HTTP's; 499 if the client left before.
    """

    experiment: str
    request_id: str
    unit: str
    arm: str
    digest: str
    time: float
    status: int


@dataclass(frozen=True)
class Outcome:
    """One thing measured of a unit.

    Attributes:
        experiment: its `id`.
        id: a second outcome with the same one does not count.
        unit: the unit's pseudonym.
        metric: what was measured.
        value: the number; 0 or 1 for false or true.
        is_bool: whether it was false or true.
        time: Unix time in seconds at which it was told.
    """

    experiment: str
    id: str
    unit: str
    metric: str
    value: float
    is_bool: bool
    time: float
