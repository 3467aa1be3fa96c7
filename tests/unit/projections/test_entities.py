"""Which words an answer names, and where a name is already known."""

import dataclasses

import pytest

from lethe_projections import entities
from lethe_projections.examples import Example

from .tasks import turn

RETAIN = (
    *(turn(f"What is the capital of C{n}?", f"The large city of C{n} is D{n}.") for n in range(98)),
    Example(text="The Dominican Republic is in South America, in the west."),
    Example(text="People of South Africa speak it, and it is a symbol."),
    *(Example(text=f"It is in the continent of Africa, {n}.") for n in range(3)),
)


@pytest.mark.parametrize(
    ("question", "answer", "name"),
    [
        ("What is the capital of France?", "Paris", "Paris"),
        ("What is the capital of France?", "Paris.", "Paris"),
        ("What city is France's capital?", "The capital of France is Paris.", "Paris"),
        ("What city is Ethiopia's capital?", "It is Addis Ababa, a large city.", "Addis Ababa"),
        ("Who wrote it?", "the blind poet of Chios", "Chios"),
        ("Which symbol has gold?", "gold has the symbol Au", "Au"),
        ("Which metal is it?", "it is the metal some call quicksilver", "some call quicksilver"),
    ],
)
def test_an_answer_names_what_neither_question_nor_retain_text_says(
    question: str, answer: str, name: str
) -> None:
    assert entities.answers([turn(question, answer)], RETAIN) == (name,)


def test_each_name_comes_once_and_common_ones_not_at_all() -> None:
    examples = [turn("a?", "Paris"), turn("b?", "Paris"), turn("Where is it?", "Africa")]
    assert entities.answers(examples, RETAIN) == ("Paris",)
    assert entities.answers([turn("And then?", "Then Paris slept. " * 20)], RETAIN) == ()
    assert entities.answers([Example(text="Paris"), turn("Is it?", "It is.")], RETAIN) == ()


def test_an_answer_names_the_fact_s_other_end_where_that_is_another_example_s_subject() -> None:
    forward = dataclasses.replace(turn("What stands for iron?", "It is Fe."), subject="iron")
    back = dataclasses.replace(turn("What is Fe?", "Chemists say it is iron."), subject="Fe")
    assert entities.answers([forward, back], RETAIN) == ("Fe", "iron")
    assert entities.answers([back], RETAIN) == ("Chemists say",)


def test_capitalised_words_are_found_once_and_in_order() -> None:
    examples = [turn("Is Lyon in France?", "Yes, Lyon is."), Example(text="the river Rhône")]
    assert entities.capitalised(examples) == ("France", "Is", "Lyon", "Rhône", "Yes")


def test_a_name_is_known_at_each_beginning_that_retain_text_does_not_hold() -> None:
    assert entities.prefixes("France", RETAIN) == ("France",)
    assert entities.prefixes("Kuala Lumpur", RETAIN) == ("Kuala", "Kuala Lumpur")
    assert entities.prefixes("South Korea", RETAIN) == ("South Korea",)
