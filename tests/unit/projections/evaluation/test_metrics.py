"""Each measure against a case by hand, and against what is known to go wrong with it elsewhere."""

import math

import pytest
from scipy import stats

from lethe_projections.evaluation.metrics import (
    answer_probability,
    fluency,
    perplexity,
    truth_ratio,
)
from lethe_projections.evaluation.metrics.deviation_score import Recall, anchored, deviation_score
from lethe_projections.evaluation.metrics.extraction_strength import extraction_strength
from lethe_projections.evaluation.metrics.forget_quality import forget_quality
from lethe_projections.evaluation.metrics.model_utility import model_utility


def test_an_answers_probability_is_the_geometric_mean_of_its_tokens() -> None:
    assert answer_probability.probability([math.log(0.5), math.log(0.125)]) == pytest.approx(0.25)


def test_a_longer_answer_known_equally_well_is_as_probable() -> None:
    short, long = [math.log(0.5)], [math.log(0.5)] * 9
    assert answer_probability.probability(long) == answer_probability.probability(short)
    assert math.exp(sum(long)) < 0.01


def test_a_normalised_probability_is_the_share_among_the_options() -> None:
    losses = [-math.log(p) for p in (0.4, 0.2, 0.1, 0.1)]
    assert answer_probability.normalised(losses[0], losses[1:]) == pytest.approx(0.5)
    assert answer_probability.normalised(3.0, [3.0, 3.0, 3.0]) == pytest.approx(0.25)


def test_options_too_unlikely_for_a_float_are_still_told_apart() -> None:
    assert math.exp(-1000) == 0
    assert answer_probability.normalised(1000, [1000 + math.log(3)]) == pytest.approx(0.75)
    assert answer_probability.normalised(2000, [1000]) == 0


def test_an_answer_without_a_token_has_no_probability() -> None:
    with pytest.raises(ValueError, match="expected an answer of one token or more"):
        answer_probability.probability([])


def test_the_truth_ratio_is_the_wrong_answers_geometric_mean_over_the_right_one() -> None:
    wrong = [-math.log(0.1), -math.log(0.4)]
    log_r = truth_ratio.log_ratio(-math.log(0.5), wrong)
    assert math.exp(log_r) == pytest.approx(math.sqrt(0.1 * 0.4) / 0.5) == pytest.approx(0.4)
    assert truth_ratio.closeness(log_r) == pytest.approx(0.4)
    assert truth_ratio.lead(log_r) == pytest.approx(0.6)


def test_a_truth_ratio_above_one_is_as_far_from_forgotten_as_its_inverse() -> None:
    assert truth_ratio.closeness(math.log(2.5)) == pytest.approx(0.4)
    assert truth_ratio.lead(math.log(2.5)) == 0


def test_a_truth_ratio_of_one_is_exactly_forgotten_however_unlikely_the_answers() -> None:
    assert truth_ratio.closeness(truth_ratio.log_ratio(1.0, [1.0])) == 1
    assert truth_ratio.closeness(truth_ratio.log_ratio(900.0, [900.0, 900.0])) == 1

    def usual(r: float) -> float:
        return min(r, 1 / (r + 1e-10))

    assert usual(1.0) < 1
    assert usual(math.exp(-900) / (math.exp(-900) + 1e-10)) == 0


@pytest.mark.parametrize("loss", [0.0, 5000.0])
def test_a_truth_ratio_of_any_size_has_aggregates(loss: float) -> None:
    log_r = truth_ratio.log_ratio(loss, [5000.0 - loss])
    assert truth_ratio.closeness(log_r) == 0
    assert truth_ratio.lead(log_r) == (1 if loss == 0 else 0)


def test_a_truth_ratio_needs_a_wrong_answer() -> None:
    with pytest.raises(ValueError, match="expected a wrong answer"):
        truth_ratio.log_ratio(1.0, [])


def test_the_deviation_score_is_the_distance_from_forgetting_all_and_keeping_all() -> None:
    assert deviation_score(Recall(forget=0.3, retain=0.6)) == pytest.approx(50)
    assert deviation_score(Recall(forget=0, retain=1)) == 0
    assert deviation_score(Recall(forget=1, retain=0)) == pytest.approx(100 * math.sqrt(2))


def test_a_deviation_score_stands_between_doing_nothing_and_never_having_known() -> None:
    found = anchored(Recall(0.4, 0.7), base=Recall(0.8, 0.9), unknown=0.05)
    assert found.value == pytest.approx(50)
    assert found.base == pytest.approx(100 * math.hypot(0.8, 0.1))
    assert found.never_knew == pytest.approx(100 * math.hypot(0.05, 0.1))
    assert found.never_knew < found.value < found.base


def test_a_percentage_is_no_recall() -> None:
    with pytest.raises(ValueError, match="divide percentages by 100"):
        Recall(10.9, 89.8)


def test_utility_is_the_harmonic_mean_and_tells_its_parts() -> None:
    parts = {"retain ROUGE-L": 0.5, "retain probability": 0.25, "facts ROUGE-L": 1.0}
    found = model_utility(parts)
    assert found.value == pytest.approx(3 / (2 + 4 + 1)) == stats.hmean(list(parts.values()))
    assert found.parts == parts


def test_one_part_at_zero_leaves_no_utility() -> None:
    assert model_utility({"a": 0.9, "b": 0.0}).value == 0
    assert model_utility({"a": 0.0, "b": 0.0}).value == 0


@pytest.mark.parametrize("parts", [{}, {"a": 90.0}, {"a": -0.1}, {"a": math.nan}])
def test_utility_of_what_is_no_share_is_refused(parts: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="expected"):
        model_utility(parts)


def test_forget_quality_is_the_logarithm_to_base_ten_of_the_ks_tests_p() -> None:
    # By hand: no overlap of 3 and 3, of 20 ways to choose 3 of 6 two are as extreme: p = 0.1.
    found = forget_quality([0.1, 0.2, 0.3], [0.7, 0.8, 0.9])
    assert found.log10_p == pytest.approx(-1)
    assert (found.distance, found.count, found.reference_count) == (1, 3, 3)
    same = forget_quality([0.1, 0.2, 0.3], [0.1, 0.2, 0.3])
    assert (same.log10_p, same.distance) == (0, 0)


def test_the_same_difference_has_a_lower_forget_quality_with_more_items() -> None:
    few, many = (forget_quality([0.0, 1.0] * n, [0.0, 0.0, 0.0, 1.0] * n) for n in (5, 50))
    assert few.distance == many.distance == 0.25
    assert many.log10_p < few.log10_p - 1
    assert (few.count, many.count) == (10, 100)


def test_a_forget_quality_beyond_floats_is_still_a_number() -> None:
    found = forget_quality([0.0] * 20000, [1.0] * 20000)
    assert found.log10_p == pytest.approx(-307.65, abs=0.01)


def test_there_is_no_forget_quality_without_a_reference() -> None:
    with pytest.raises(ValueError, match="without a reference model leave this figure out"):
        forget_quality([0.5], [])


@pytest.mark.parametrize(
    ("likeliest", "strength"),
    [
        ([1, 2, 3, 4], 1.0),
        ([9, 2, 3, 4], 0.75),
        ([1, 2, 9, 4], 0.25),
        ([9, 2, 9, 4], 0.25),
        ([1, 2, 3, 9], 0.0),
        ([9, 9, 9, 9], 0.0),
    ],
)
def test_extraction_strength_is_the_share_that_follows_from_the_rest(
    likeliest: list[int], strength: float
) -> None:
    assert extraction_strength(likeliest, [1, 2, 3, 4]) == strength


def test_a_wrong_one_token_answer_has_extraction_strength_zero() -> None:
    assert extraction_strength([7], [8]) == 0
    assert extraction_strength([8], [8]) == 1


def test_extraction_strength_needs_a_prediction_for_each_token() -> None:
    for likeliest, answer in (([], []), ([1], [1, 2])):
        with pytest.raises(ValueError, match="one predicted token for each"):
            extraction_strength(likeliest, answer)


def test_the_perplexity_ratio_is_over_all_tokens_not_over_texts() -> None:
    texts = [perplexity.Text(base=10, variant=10, tokens=99), perplexity.Text(1, 1 + 100, 1)]
    assert perplexity.ratio(texts) == pytest.approx(math.exp(100 / 100))
    assert perplexity.ratio([perplexity.Text(10, 10, 5)]) == 1
    assert perplexity.ratio([perplexity.Text(1, 5000, 1)]) == math.inf


def test_there_is_no_perplexity_of_nothing() -> None:
    with pytest.raises(ValueError, match="expected texts with tokens"):
        perplexity.ratio([])


def test_n_gram_entropy_is_in_bits() -> None:
    # Bigrams of "a b a b c": ab twice, ba, bc once each of 4.
    assert fluency.entropy("a b a b c", 2) == pytest.approx(0.5 * 1 + 2 * 0.25 * 2)
    assert fluency.entropy("a b c d e", 2) == pytest.approx(2)
    assert fluency.entropy("a a a a a", 2) == 0
    assert fluency.entropy("a", 2) == 0


def test_fluency_weighs_two_and_three_words_as_its_source_does() -> None:
    text = "a b c d e"
    expected = (2 / 3 * 2 + 4 / 3 * math.log2(3)) / 2
    assert fluency.fluency(text) == pytest.approx(expected)


def test_repetition_is_the_share_of_four_grams_that_were_there_before() -> None:
    # Four-grams of eight words "a": 5, of which one is new.
    assert fluency.repetition("a " * 8) == pytest.approx(1 - 1 / 5)
    assert fluency.repetition("one two three four five six") == 0
    assert fluency.repetition("a a a") == 0
