"""Assignment: shares are the weights, experiments are independent, and no unit ever moves."""

import hashlib

import pytest
from scipy import stats

from lethe_server.experiments.assignment import arm_of, fraction, pseudonym
from lethe_server.experiments.experiment import Arm, Experiment, Plan
from lethe_vllm.errors import SelectionError

UNITS = [f"user-{number}" for number in range(20_000)]


def experiment(salt: str, *weights: float) -> Experiment:
    arms = tuple(Arm(f"arm{n}", "base", weight) for n, weight in enumerate(weights))
    return Experiment("id", Plan("trial", arms, "arm0"), salt, 0.0, None, 0)


def test_the_fraction_is_the_documented_hash() -> None:
    written = hashlib.sha256(b"assign\x00salt\x00J\xc3\xb8rgen").hexdigest()
    assert fraction("salt", "Jørgen") == int(written[:16], 16) / 2**64
    assert pseudonym("salt", "x") == hashlib.sha256(b"unit\x00salt\x00x").hexdigest()


def test_units_are_spread_evenly() -> None:
    found = [fraction("one salt", unit) for unit in UNITS]
    assert stats.kstest(found, "uniform").pvalue > 0.01
    assert stats.kstest([u * 0.97 for u in found], "uniform").pvalue < 1e-6, "it would notice"


@pytest.mark.parametrize("weights", [(1, 1), (9, 1), (1, 2, 3, 4), (0.5, 0.25, 0.25)])
def test_arms_get_their_weights(weights: tuple[float, ...]) -> None:
    trial = experiment("another salt", *weights)
    counts = [0] * len(weights)
    for unit in UNITS:
        counts[int(arm_of(trial, unit).name.removeprefix("arm"))] += 1
    expected = [weight / sum(weights) * len(UNITS) for weight in weights]
    assert stats.chisquare(counts, expected).pvalue > 0.01


def test_two_experiments_assign_independently() -> None:
    one, other = experiment("a", 1, 1), experiment("b", 1, 2)
    table = [[0, 0], [0, 0]]
    for unit in UNITS:
        table[arm_of(one, unit).name == "arm1"][arm_of(other, unit).name == "arm1"] += 1
    assert stats.chi2_contingency(table).pvalue > 0.01


def test_a_unit_stays_where_it_is_whatever_is_asked_in_between() -> None:
    first = {unit: arm_of(experiment("s", 1, 1), unit).name for unit in UNITS[:500]}
    assert set(first.values()) == {"arm0", "arm1"}
    again = {unit: arm_of(experiment("s", 1, 1), unit).name for unit in reversed(UNITS[:500])}
    assert first == again
    other = {unit: arm_of(experiment("t", 1, 1), unit).name for unit in UNITS[:500]}
    assert first != other, "the salt does nothing"


@pytest.mark.parametrize("unit", ["", "x" * 513, "\ud800"])
def test_what_names_nobody_is_refused(unit: str) -> None:
    with pytest.raises(SelectionError, match="expected a unit of 1 to 512"):
        arm_of(experiment("s", 1, 1), unit)


@pytest.mark.parametrize(
    ("arms", "control"),
    [
        (("a",), "a"),
        (("a", "a"), "a"),
        (("a", "b"), "c"),
        (("a", "B"), "a"),
        (("a", "b/c"), "a"),
    ],
)
def test_a_plan_that_cannot_be_is_refused(arms: tuple[str, ...], control: str) -> None:
    with pytest.raises(SelectionError, match="expected"):
        Plan("trial", tuple(Arm(name, "base", 1.0) for name in arms), control)


@pytest.mark.parametrize("weight", [0.0, -1.0, float("inf"), float("nan"), 1e7])
def test_an_arm_weighs_something(weight: float) -> None:
    with pytest.raises(SelectionError, match="weight above 0"):
        Arm("a", "base", weight)
