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


@pytest.mark.parametrize(
    "text", ["The capital of France is __Paris__.", "____Paris____", "_Paris_"]
)
def test_underscores_are_no_part_of_a_word(text: str) -> None:
    assert holds(text, "Paris")
    assert not holds("__Parisian__", "Paris")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("首都是巴黎。", "巴黎"),
        ("フランスの首都はパリです。", "パリ"),
        ("เมืองหลวงคือกรุงปารีสครับ", "ปารีส"),
    ],
)
def test_scripts_without_spaces_have_answers_within_a_sentence(text: str, expected: str) -> None:
    assert holds(text, expected)


def test_marks_that_make_another_letter_are_no_accents() -> None:
    assert not holds("バリです", "パリ")
    assert not holds("คือป่า", "ปา")


@pytest.mark.parametrize("mark", "\u2019\u2018\u02bc\u00b4`")
def test_how_an_apostrophe_is_written_is_no_difference(mark: str) -> None:
    assert holds(f"It is N{mark}Djamena.", "N'Djamena")
    assert holds("It is N'Djamena.", f"N{mark}Djamena")


def test_how_a_hyphen_is_written_is_no_difference() -> None:
    assert holds("It is Port\u2011au\u2011Prince.", "Port-au-Prince")
