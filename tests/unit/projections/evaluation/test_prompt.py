"""What a model is given for a prompt."""

from typing import Any

import pytest

from lethe_projections.evaluation.prompt import Prompt

from ..conftest import make_tokenizer

TEMPLATE = (
    "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)


@pytest.fixture
def tokenizer() -> Any:
    found = make_tokenizer()
    found.chat_template = TEMPLATE
    return found


def test_a_conversation_is_templated_and_the_reply_begun(tokenizer: Any) -> None:
    asked = Prompt("many_shot", ("a?", "b.", "c?"), ("d",), reply="Sure,")
    assert asked.render(tokenizer) == "<user>a?<assistant>b.<user>c?<assistant>Sure,"


def test_plain_text_has_no_template(tokenizer: Any) -> None:
    assert Prompt("cloze", ("a is",), ("d",)).render(tokenizer) == "a is"


def test_a_key_changes_with_all_that_the_outcome_depends_on() -> None:
    asked = Prompt("question", ("a?",), ("d",))
    others = [
        Prompt("role_play", ("a?",), ("d",)),
        Prompt("question", ("b?",), ("d",)),
        Prompt("question", ("a?",), ("e",)),
        Prompt("question", ("a?",), ("d",), reply="Sure"),
        Prompt("question", ("a?",), ("d",), exact_case=True),
        Prompt("question", ("a?",), ("d",), wrong=("e",)),
        Prompt("question", ("a?",), ("d",), kept=("e",)),
        Prompt("question", ("a?",), ("d",), overlap=0.5),
    ]
    assert len({asked.key, *(other.key for other in others)}) == 1 + len(others)
    assert asked.key == Prompt("question", ("a?",), ("d",)).key


def test_a_prompt_tells_what_its_turns_or_its_begun_reply_hold() -> None:
    assert Prompt("question", ("Paris?",), ("Lyon", "paris")).tells() == "paris"
    assert Prompt("prefix", ("a?",), ("Paris",), reply="It is Paris").tells() == "Paris"
    assert Prompt("question", ("Parisian?",), ("Paris",)).tells() is None


def test_a_key_without_overlap_is_what_it_was_before_there_was_any() -> None:
    # Answers that are kept by key stay of use; computed by the version before.
    assert Prompt("question", ("a?",), ("d",)).key == (
        "45d2241f5ece8e022c6f7b0fbcc6c579f01d8737a5be4f61857fbbd76f21d704"
    )


SEVEN = "She was born in Ulm on the Danube."


@pytest.mark.parametrize(
    ("overlap", "reply", "recovered"),
    [
        (None, "In Ulm on the Danube.", False),
        (1.0, "In Ulm on the Danube.", True),
        (1.0, "In Ulm on the Rhine.", False),
        (0.6, "In Ulm on the Rhine.", True),
        (0.6, "In Linz on a hill.", False),
        # Everything but the answer, which the question says already.
        (0.1, "She was born.", False),
        (0.6, "I think she was born in Ulm on the Danube. Yes.", True),
    ],
)
def test_an_answer_overlaps_by_the_words_that_the_prompt_does_not_say(
    overlap: float | None, reply: str, recovered: bool
) -> None:
    asked = Prompt("question", ("Where was she born?",), (SEVEN,), overlap=overlap)
    assert asked.recovered(reply) is recovered


def test_an_answer_that_the_prompt_says_whole_has_to_occur_as_a_whole() -> None:
    asked = Prompt("choice", ("Is it in Ulm or at Linz?",), ("in Ulm",), overlap=0.5)
    assert asked.recovered("It is in Ulm.")
    assert not asked.recovered("Ulm it is, in the end.")
