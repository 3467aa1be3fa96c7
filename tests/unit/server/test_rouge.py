"""ROUGE-L against the definition, worked by hand and by brute force."""

import random
from itertools import combinations

import pytest

from lethe_server.compare.rouge import common_length, rouge_l, words


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
    assert words("Don't: stop_it, 2nd!") == ["don", "t", "stop_it", "2nd"]
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
