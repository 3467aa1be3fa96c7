"""Shares and intervals, on cases computed by hand."""

import random
import statistics
from dataclasses import replace

import pytest
from scipy import stats

from lethe_projections.evaluation.metrics import recovery
from lethe_projections.evaluation.metrics.ratio import ratio, share
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
    tail = (0.025 ** (1 / 5) - 0.25) / 0.75
    none = (1 - 0.025 ** (1 / 5) - 0.25) / 0.75
    bounds = {4: (tail, 1), 2: (above, above), 0: (0, none)}
    assert found.interval == pytest.approx(bounds[right])


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
    variant[1:2] = [replace(variant[1], chance=0.5)]
    control = [
        replace(one, chance=0.25)
        for n in range(4)
        for one in outcomes(f"none{n}", "ranking", n == 0)
    ]  # right by chance, once in four
    found = scores(variant, base, control)
    assert [(one.form, one.recovered.value) for one in found] == [("ranking", 1), ("question", 0)]
    assert found[0].control is not None
    assert (found[0].control.value, found[0].control.count) == (0, 4)
    assert found[1].control is None


@pytest.mark.parametrize("clusters", [5, 6, 57])
def test_a_share_of_none_or_all_has_the_exact_interval(clusters: int) -> None:
    none, every = (
        share((f"f{n}", value) for n in range(clusters) for _ in range(3)) for value in (0.0, 1.0)
    )
    assert none is not None
    assert every is not None
    for found, hits in ((none, 0), (every, clusters)):
        exact = stats.binomtest(hits, clusters).proportion_ci(0.95, "exact")
        assert found.interval == pytest.approx((exact.low, exact.high))
    assert (none.count, none.clusters) == (3 * clusters, clusters)


def test_none_of_five_is_written_out() -> None:
    found = share((f"f{n}", 0.0) for n in range(5))
    assert found is not None
    assert found.interval == pytest.approx((0, 0.52182), abs=1e-5)


def test_a_mean_of_nothing_has_no_width_but_a_share_with_few_subjects_has_no_interval() -> None:
    zero = ratio([(0.0, 7)] * 6)
    few = share((f"f{n}", 0.0) for n in range(4))
    assert zero is not None
    assert few is not None
    assert zero.interval == (0, 0)
    assert few.interval is None


def test_a_share_between_has_the_bootstraps_interval() -> None:
    values = [(f"f{n}", float(n == 0)) for n in range(6)]
    assert share(values) == ratio([(value, 1) for _, value in values])


def test_chance_is_that_of_the_prompts_that_count() -> None:
    found = [
        replace(one, chance=chance)
        for one, chance in zip(outcomes("a", "ranking", True, False), (1 / 3, 1 / 2), strict=True)
    ]
    found += outcomes("a", "cloze", True)
    assert recovery.chance(found) == {"ranking": pytest.approx(5 / 12), "cloze": 0}
    assert recovery.chance(found[:1]) == {"ranking": pytest.approx(1 / 3)}


def test_forms_with_options_are_pooled_only_by_themselves() -> None:
    ranked = [replace(one, chance=0.5) for one in outcomes("a", "ranking", True, True, True, False)]
    found = [*ranked, *outcomes("a", "choice", True), *outcomes("b", "cloze", True, False, False)]
    assert not recovery.only_options(found)
    without = recovery.pooled(found, options=False)
    assert without is not None
    assert (without.value, without.count) == (pytest.approx(1 / 3), 3)
    assert recovery.only_options(ranked)
    alone = recovery.pooled(ranked, options=True)
    assert alone is not None
    assert (alone.value, alone.count) == (0.5, 4)
    assert recovery.pooled(ranked, options=False) is None
