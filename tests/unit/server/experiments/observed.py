"""Plans, exposures and outcomes to put into a database."""

from lethe_server.experiments.experiment import Arm, Experiment, Exposure, Outcome, Plan

BASE = "f" * 64
"""Fingerprint of the base model."""


def plan(name: str = "trial", *, profile: str = "france", control: str = "plain") -> Plan:
    arms = Arm("plain", "base", 1.0), Arm("treated", profile, 1.0)
    return Plan(name, arms, control)


def exposure(
    experiment: Experiment, request_id: str, unit: str, arm: str = "plain", status: int = 200
) -> Exposure:
    digest = "" if arm == "plain" else "ab" * 32
    return Exposure(experiment.id, request_id, unit * 64, arm, digest, 1000.5, status)


def outcome(
    experiment: Experiment, identity: str, unit: str, metric: str, value: float | bool
) -> Outcome:
    is_bool = isinstance(value, bool)
    return Outcome(experiment.id, identity, unit * 64, metric, float(value), is_bool, 1001.5)
