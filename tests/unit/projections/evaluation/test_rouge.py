"""ROUGE-L against the definition, worked by hand and by brute force."""

import random
from itertools import combinations

import pytest

from lethe_projections.evaluation.metrics.rouge import (
    common_length,
    rouge_1_recall,
    rouge_l,
    rouge_l_recall,
    words,
)


@pytest.mark.parametrize(
    ("candidate", "reference", "expected"),
    [
        # Lin (2004), section 3.1: with beta = 1 the scores are 3/4 and 2/4.
        ("police kill the gunman", "police killed the gunman", 3 / 4),
        ("the gunman kill police", "police killed the gunman", 2 / 4),
        ("Paris.", "It is PARIS!", 2 * 1 / (1 + 3)),
        ("größe 北京", "GRÖSSE", 2 * 1 / (2 + 1)),
        ("no word of it", "another sentence", 0.0),
        ("", "something", 0.0),
        ("?!", "", 1.0),
    ],
)
def test_it_is_the_f1_of_the_longest_common_subsequence(
    candidate: str, reference: str, expected: float
) -> None:
    assert rouge_l(candidate, reference) == pytest.approx(expected)
    assert rouge_l(reference, candidate) == pytest.approx(expected)


def test_order_counts_and_case_and_punctuation_do_not() -> None:
    assert words("Don't: stop_it, 2nd!") == ["don", "t", "stop", "it", "2nd"]
    assert rouge_l("a b c", "A, b... C!") == 1
    assert rouge_l("c b a", "a b c") < 1


def test_the_common_length_is_that_of_trying_every_subsequence() -> None:
    draw = random.Random(1)
    for _ in range(60):
        one, other = (draw.choices("abc", k=draw.randrange(8)) for _ in range(2))
        shared = (
            size
            for size in range(len(one), -1, -1)
            for kept in combinations(one, size)
            if kept in set(combinations(other, size))
        )
        assert common_length(one, other) == next(shared)


# RougeScorer(["rouge1", "rougeL"], use_stemmer=False).score(reference, candidate) of rouge-score
# 0.1.2: recall, recall, F1. It is published as source alone, so it is no dependency of the tests.
OF_THE_PACKAGE = [
    ("police kill the gunman", "police killed the gunman", 0.75, 0.75, 0.75),
    ("the gunman kill police", "police killed the gunman", 0.75, 0.5, 0.5),
    ("The capital of France is Paris.", "Paris", 1.0, 1.0, 0.285714286),
    ("It was written by J.R.R. Tolkien in 1937", "J.R.R. Tolkien", 1.0, 1.0, 0.571428571),
    ("the the the", "the cat and the dog", 0.4, 0.4, 0.5),
    ("stop_it now", "Stop it, now!", 1.0, 1.0, 1.0),
    (
        "He was born in Kuwait City on the 8th of September",
        "Basil was born in Kuwait City, Kuwait.",
        0.714285714,
        0.714285714,
        0.555555556,
    ),
    ("", "Paris", 0.0, 0, 0),
]


@pytest.mark.parametrize(("candidate", "reference", "one", "longest", "f1"), OF_THE_PACKAGE)
def test_it_agrees_with_rouge_score(
    candidate: str, reference: str, one: float, longest: float, f1: float
) -> None:
    assert rouge_1_recall(candidate, reference) == pytest.approx(one)
    assert rouge_l_recall(candidate, reference) == pytest.approx(longest)
    assert rouge_l(candidate, reference) == pytest.approx(f1)


def test_recall_is_of_the_reference_and_counts_each_of_its_words_once() -> None:
    assert rouge_1_recall("the cat the cat", "the cat sat on the mat") == pytest.approx(3 / 6)
    assert rouge_1_recall("the cat sat on the mat", "the cat") == 1
    assert rouge_l_recall("c b a", "a b c") == pytest.approx(1 / 3)
    assert rouge_1_recall("c b a", "a b c") == 1


def test_an_answer_in_another_script_counts_as_one_in_this() -> None:
    assert rouge_l_recall("La capital es Bogotá.", "Bogotá") == 1
    assert rouge_1_recall("答案是 北京", "北京") == 1


def test_a_reference_without_a_word_has_no_recall() -> None:
    with pytest.raises(ValueError, match="expected a reference with a word"):
        rouge_1_recall("Paris", "?!")
