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
    ]
    assert len({asked.key, *(other.key for other in others)}) == 1 + len(others)
    assert asked.key == Prompt("question", ("a?",), ("d",)).key


def test_a_prompt_tells_what_its_turns_or_its_begun_reply_hold() -> None:
    assert Prompt("question", ("Paris?",), ("Lyon", "paris")).tells() == "paris"
    assert Prompt("prefix", ("a?",), ("Paris",), reply="It is Paris").tells() == "Paris"
    assert Prompt("question", ("Parisian?",), ("Paris",)).tells() is None
