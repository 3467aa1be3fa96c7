"""Which profiles are fitted for which rows."""

import pytest

from benchmarks.methods import cases, facts
from benchmarks.methods.cases import Setup

REPORTED = facts.of_split(facts.load(), "reported")


def sequence(method: str) -> list[cases.Case]:
    return cases.cases(method, ["sequence"], REPORTED, {})


def test_one_subject_is_a_fit_for_each_of_several_facts() -> None:
    (case,) = cases.cases("rocr", ["one"], REPORTED, {})
    assert len(case.fits) == 4
    assert all(len(fit.forgotten) == 1 for fit in case.fits)
    assert {fit.facts[0].partition("/")[0] for fit in case.fits} == {"capital", "element_symbol"}


def test_a_group_is_ten_capitals_in_one_fit() -> None:
    (case,) = cases.cases("rocr", ["group"], REPORTED, {})
    (fit,) = case.fits
    assert len(set(fit.forgotten)) == 10
    assert all(name.startswith("capital/") for name in fit.forgotten)


def test_in_a_small_subset_a_group_leaves_neighbours() -> None:
    assert len(cases.group(facts.of_split(facts.load(), "reported", 6))) == 4


def test_a_sequence_is_fitted_together_where_a_method_cannot_go_on() -> None:
    steps = [case.fits[0] for case in sequence("rocr")]
    assert [len(fit.facts) for fit in steps] == [1, 2, 3, 4]
    assert all(fit.before is None for fit in steps)


def test_a_sequence_goes_on_from_the_profile_before_where_a_method_can(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(cases.SETUPS, "chained", Setup(after=True))
    steps = [case.fits[0] for case in sequence("chained")]
    assert [len(fit.facts) for fit in steps] == [1, 1, 1, 1]
    assert [fit.before for fit in steps] == [None, *steps[:3]]
    assert steps[3].forgotten == sequence("rocr")[3].fits[0].forgotten


def test_what_is_kept_is_measured_on_the_same_facts_after_each_request() -> None:
    steps = sequence("rocr")
    assert len({step.requested for step in steps}) == 1
    assert steps[0].requested == steps[3].fits[0].forgotten


def test_settings_given_by_hand_win_over_the_setup() -> None:
    (case,) = cases.cases("rocr", ["group"], REPORTED, {"target": "Ruritania", "ridge": 0.5})
    assert dict(case.fits[0].settings) == {"target": "Ruritania", "ridge": 0.5}
