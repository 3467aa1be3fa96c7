"""What an experiment has shown so far. Pure: from records to the numbers of a report.

What is counted is units, not requests: several outcomes of one unit are averaged first, because
requests of one user are not independent of each other. A unit is in the arm that it is assigned to,
whatever came of its requests.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from lethe_server.experiments import statistics
from lethe_server.experiments.experiment import Plan
from lethe_server.experiments.records import Measured
from lethe_server.experiments.statistics import MISMATCH, Difference, Estimate

Kind = Literal["rate", "mean"]

Samples = Mapping[str, Sequence[float]]
"""One number for each unit, by arm."""


@dataclass(frozen=True)
class Ratio:
    """Whether the arms have as many units as their weights say.

    Attributes:
        p_value: how often chance alone parts units at least this unevenly; None without units.
        mismatch: it is so seldom that something else is wrong, and no comparison can be trusted.
    """

    p_value: float | None
    mismatch: bool


@dataclass(frozen=True)
class InArm:
    """A metric in one arm.

    Attributes:
        estimate: None if no unit has an outcome.
        difference: from the control; None for the control itself, and without an estimate of both.
    """

    estimate: Estimate | None
    difference: Difference | None


@dataclass(frozen=True)
class Metric:
    """A metric in every arm.

    Attributes:
        name: of the metric.
        kind: a rate if every outcome is false or true, and no unit has both.
        arms: by the arm's name, in the order of the plan.
    """

    name: str
    kind: Kind
    arms: Mapping[str, InArm]


def ratio(plan: Plan, units: Mapping[str, int]) -> Ratio:
    """Compares the numbers of units with the weights."""
    shares = plan.shares
    p_value = statistics.sample_ratio([units.get(arm, 0) for arm in shares], list(shares.values()))
    return Ratio(p_value, p_value is not None and p_value < MISMATCH)


def metrics(plan: Plan, measured: Sequence[Measured]) -> list[Metric]:
    """Every metric that was measured, by name."""
    names = sorted({one.metric for one in measured})
    return [_metric(plan, name, [one for one in measured if one.metric == name]) for name in names]


def _metric(plan: Plan, name: str, measured: Sequence[Measured]) -> Metric:
    kind = _kind(measured)
    samples = {arm.name: [one.mean for one in measured if one.arm == arm.name] for arm in plan.arms}
    return Metric(name, kind, {arm: _in_arm(kind, samples, arm, plan.control) for arm in samples})


def _kind(measured: Sequence[Measured]) -> Kind:
    is_rate = all(one.is_bool and one.mean in (0.0, 1.0) for one in measured)
    return "rate" if is_rate else "mean"


def _in_arm(kind: Kind, samples: Samples, arm: str, control: str) -> InArm:
    mine, theirs = samples[arm], samples[control]
    estimate = statistics.rate if kind == "rate" else statistics.mean
    differ = statistics.rate_difference if kind == "rate" else statistics.mean_difference
    return InArm(
        estimate=estimate(mine) if mine else None,
        difference=differ(mine, theirs) if arm != control and mine and theirs else None,
    )
