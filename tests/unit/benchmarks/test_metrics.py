"""Shares and intervals, on cases computed by hand."""

import random
import statistics

import pytest

from benchmarks.methods import metrics
from benchmarks.methods.metrics import Outcome


def outcomes(fact: str, form: str, *recovered: bool) -> list[Outcome]:
    return [Outcome(fact, form, one) for one in recovered]


def test_the_worst_form_is_the_one_with_the_largest_share_not_the_mean() -> None:
    found = metrics.by_form(
        [
            *outcomes("a", "question", False, False, False, False),
            *outcomes("a", "cloze", True, False),
            *outcomes("b", "cloze", False, False),
            *outcomes("a", "reverse", True, True, False),
        ]
    )
    assert {form: ratio.value for form, ratio in found.items()} == {
        "question": 0.0, "cloze": 0.25, "reverse": pytest.approx(2 / 3),
    }  # fmt: skip
    assert metrics.worst_form(found) == "reverse"


def test_of_equal_forms_the_one_with_more_items_is_the_worst() -> None:
    found = metrics.by_form([*outcomes("a", "few", True), *outcomes("a", "many", True, True)])
    assert metrics.worst_form(found) == "many"


def test_a_form_of_which_nothing_is_known_has_no_share() -> None:
    assert metrics.by_form([]) == {}
    assert metrics.worst_form({}) is None
    assert metrics.share([]) is None


def test_a_ratio_weighs_clusters_by_their_size() -> None:
    found = metrics.ratio([(1.0, 1), (0.0, 3)])
    assert found is not None
    assert (found.value, found.count, found.clusters) == (0.25, 4, 2)


def test_an_interval_needs_five_clusters() -> None:
    four, five = (metrics.ratio([(1.0, 2)] * n) for n in (4, 5))
    assert four is not None
    assert five is not None
    assert four.interval is None
    assert five.interval == (0.5, 0.5)


def test_an_interval_is_the_same_in_every_run() -> None:
    clusters = [(float(n % 3), 4) for n in range(20)]
    first, second = metrics.ratio(clusters), metrics.ratio(list(clusters))
    assert first == second
    assert first is not None
    assert first.interval is not None
    assert first.interval[0] < first.value < first.interval[1]


def test_an_interval_agrees_with_a_bootstrap_written_out() -> None:
    clusters = [(float(n % 4), 3 + n % 2) for n in range(15)]
    found = metrics.ratio(clusters)
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
    shares = metrics.by_form([*outcomes("a", "ranking", True, False, False, False),
                              *outcomes("a", "cloze", True, False)])  # fmt: skip
    found = metrics.above_chance(shares, {"ranking": 0.25})
    assert {form: one.value for form, one in found.items()} == {"ranking": 0.0, "cloze": 0.5}


@pytest.mark.parametrize(("right", "above"), [(4, 1.0), (2, 1 / 3), (0, 0.0)])
def test_above_chance_runs_from_none_to_all(right: int, above: float) -> None:
    shares = metrics.by_form(
        [
            one
            for n in range(5)
            for one in outcomes(f"f{n}", "ranking", *[m < right for m in range(4)])
        ]
    )
    [found] = metrics.above_chance(shares, {"ranking": 0.25}).values()
    assert found.value == pytest.approx(above)
    assert found.interval == pytest.approx((above, above))
