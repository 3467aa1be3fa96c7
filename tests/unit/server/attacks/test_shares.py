"""Curves: chance is that of the prompts of a point, and what is kept is not told by options."""

import pytest

from lethe_projections.evaluation.metrics.recovery import Outcome
from lethe_server.attacks import shares
from lethe_server.attacks.document import Curve
from lethe_server.evaluating.work import Work


def outcomes(form: str, right: int, of: int, chance: float = 0.0) -> list[Outcome]:
    return [Outcome(f"f{n}", form, n < right, chance=chance) for n in range(of)]


def values(found: Curve | None) -> list[float]:
    assert found is not None
    return [one.value for one in found.points]


def test_chance_is_that_of_each_points_prompts() -> None:
    measured = [(at, outcomes("ranking", 3, 6, chance)) for at, chance in ((0, 0.5), (1, 0.25))]
    for curve in (shares.worst, shares.form):
        assert values(curve("w", "s", measured, {"ranking": 1 / 3})) == [
            0,
            pytest.approx(1 / 3, abs=1e-6),
        ]


def test_the_formula_has_the_chance_of_all_that_is_asked(asked: Work) -> None:
    by_chance = shares.chance(asked)
    assert by_chance == {"ranking": pytest.approx(1 / 3)}
    found = shares.worst("w", "s", [(0, outcomes("ranking", 3, 6, 1 / 3))], by_chance)
    assert found is not None
    assert "0.333 over all that is asked" in found.formula


def test_options_have_no_part_in_what_is_over_several_forms() -> None:
    ranked = [*outcomes("ranking", 6, 6, 0.5), *outcomes("choice", 6, 6)]
    found = shares.together("n", "s", [(0, [*ranked, *outcomes("cloze", 0, 6)]), (1, ranked)])
    assert values(found) == [0]
    assert found is not None
    assert (found.points[0].n, found.points[0].interval) == (6, (0, round(1 - 0.025 ** (1 / 6), 6)))
    assert found.formula == f"share = s; {shares.WITHOUT}"


def test_where_nothing_else_is_asked_they_are_over_chance() -> None:
    found = shares.together("n", "s", [(0, outcomes("ranking", 3, 6, 0.25))])
    assert values(found) == [pytest.approx(1 / 3, abs=1e-6)]
    assert found is not None
    assert "c = 0.250 by chance" in found.formula
    assert shares.TOGETHER in found.formula


def test_nothing_has_no_curve() -> None:
    assert shares.together("n", "s", [(0, [])]) is None
