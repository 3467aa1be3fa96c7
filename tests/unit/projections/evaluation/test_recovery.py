"""Shares and intervals, on cases computed by hand."""

import random
import statistics

import pytest

from lethe_projections.evaluation.metrics import recovery
from lethe_projections.evaluation.metrics.ratio import ratio
from lethe_projections.evaluation.metrics.recovery import Outcome, known, scores


def outcomes(fact: str, form: str, *recovered: bool) -> list[Outcome]:
    return [Outcome(fact, form, one) for one in recovered]


def test_the_worst_form_is_the_one_with_the_largest_share_not_the_mean() -> None:
    found = recovery.by_form(
        [
            *outcomes("a", "question", False, False, False, False),
            *outcomes("a", "cloze", True, False),
            *outcomes("b", "cloze", False, False),
            *outcomes("a", "reverse", True, True, False),
        ]
    )
    assert {form: one.value for form, one in found.items()} == {
        "question": 0.0, "cloze": 0.25, "reverse": pytest.approx(2 / 3),
    }  # fmt: skip
    assert recovery.worst_form(found) == "reverse"


def test_of_equal_forms_the_one_with_more_items_is_the_worst() -> None:
    found = recovery.by_form([*outcomes("a", "few", True), *outcomes("a", "many", True, True)])
    assert recovery.worst_form(found) == "many"


def test_a_form_of_which_nothing_is_known_has_no_share() -> None:
    assert recovery.by_form([]) == {}
    assert recovery.worst_form({}) is None
    assert recovery.share([]) is None


def test_a_ratio_weighs_clusters_by_their_size() -> None:
    found = ratio([(1.0, 1), (0.0, 3)])
    assert found is not None
    assert (found.value, found.count, found.clusters) == (0.25, 4, 2)


def test_an_interval_needs_five_clusters() -> None:
    four, five = (ratio([(1.0, 2)] * n) for n in (4, 5))
    assert four is not None
    assert five is not None
    assert four.interval is None
    assert five.interval == (0.5, 0.5)


def test_an_interval_is_the_same_in_every_run() -> None:
    clusters = [(float(n % 3), 4) for n in range(20)]
    first, second = ratio(clusters), ratio(list(clusters))
    assert first == second
    assert first is not None
    assert first.interval is not None
    assert first.interval[0] < first.value < first.interval[1]


def test_an_interval_agrees_with_a_bootstrap_written_out() -> None:
    clusters = [(float(n % 4), 3 + n % 2) for n in range(15)]
    found = ratio(clusters)
    assert found is not None
    assert found.interval is not None
    draw = random.Random(1)
    ratios = []
    for _ in range(4000):
        drawn = draw.choices(clusters, k=len(clusters))
        ratios.append(sum(a for a, _ in drawn) / sum(b for _, b in drawn))
    cuts = statistics.quantiles(ratios, n=40)
    assert found.interval == pytest.approx((cuts[0], cuts[-1]), abs=0.02)
    assert cuts[-1] - cuts[0] > 0.1


def test_what_is_right_by_chance_is_taken_off() -> None:
    shares = recovery.by_form([*outcomes("a", "ranking", True, False, False, False),
                              *outcomes("a", "cloze", True, False)])  # fmt: skip
    found = recovery.above_chance(shares, {"ranking": 0.25})
    assert {form: one.value for form, one in found.items()} == {"ranking": 0.0, "cloze": 0.5}


@pytest.mark.parametrize(("right", "above"), [(4, 1.0), (2, 1 / 3), (0, 0.0)])
def test_above_chance_runs_from_none_to_all(right: int, above: float) -> None:
    shares = recovery.by_form(
        [
            one
            for n in range(5)
            for one in outcomes(f"f{n}", "ranking", *[m < right for m in range(4)])
        ]
    )
    [found] = recovery.above_chance(shares, {"ranking": 0.25}).values()
    assert found.value == pytest.approx(above)
    assert found.interval == pytest.approx((above, above))


def test_a_prompt_that_the_base_does_not_recover_is_not_scored() -> None:
    base = [Outcome("a", "cloze", True, 0), Outcome("a", "cloze", False, 1)]
    variant = [Outcome("a", "cloze", False, 0), Outcome("a", "cloze", False, 1)]
    assert known(variant, base) == variant[:1]
    assert scores(base, base)[0].recovered.value == 1


def test_a_variant_asked_what_the_base_was_not_is_refused() -> None:
    with pytest.raises(ValueError, match="ask the base the same prompts"):
        known([Outcome("a", "cloze", True, 1)], [Outcome("a", "cloze", True, 0)])


def test_scores_come_worst_form_first_each_with_the_control_beside_it() -> None:
    base = [*outcomes("a", "question", True), *outcomes("a", "ranking", True)]
    base += [*outcomes("a", "cloze", False)]
    variant = [*outcomes("a", "question", False), *outcomes("a", "ranking", True)]
    variant += [*outcomes("a", "cloze", True)]
    control = [
        one for n in range(4) for one in outcomes(f"none{n}", "ranking", n == 0)
    ]  # right by chance, once in four
    found = scores(variant, base, control, {"ranking": 0.25})
    assert [(one.form, one.recovered.value) for one in found] == [("ranking", 1), ("question", 0)]
    assert found[0].control is not None
    assert (found[0].control.value, found[0].control.count) == (0, 4)
    assert found[1].control is None
