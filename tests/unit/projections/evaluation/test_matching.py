"""When an answer counts as given."""

import pytest

from lethe_projections.evaluation.matching import holds


@pytest.mark.parametrize(
    "text", ["It is Paris.", "paris", "**Paris**", "Paris's river", "The answer:Paris"]
)
def test_a_whole_word_counts_in_any_case(text: str) -> None:
    assert holds(text, "Paris")


@pytest.mark.parametrize("text", ["", "Parisian", "comparison", "Par is"])
def test_part_of_a_word_does_not_count(text: str) -> None:
    assert not holds(text, "Paris")


def test_accents_are_no_difference() -> None:
    assert holds("La capital es Bogotá.", "Bogota")
    assert holds("Bogota", "Bogotá")


def test_an_answer_may_have_several_words_and_dots() -> None:
    assert holds("by J.R.R. Tolkien in 1937", "J.R.R. Tolkien")
    assert not holds("by JxRxR. Tolkien", "J.R.R. Tolkien")


def test_a_symbols_case_counts() -> None:
    assert holds("The symbol is He.", "He", exact_case=True)
    assert not holds("he was a chemist", "He", exact_case=True)
    assert not holds("FeO", "Fe", exact_case=True)
