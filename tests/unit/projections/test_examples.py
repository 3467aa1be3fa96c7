"""Example files: three forms of line, and a bad line named by its number and reason."""

import json
from pathlib import Path

import pytest

from lethe_projections import words
from lethe_projections.errors import FitError
from lethe_projections.examples import (
    Example,
    check_subjects,
    digest,
    lines_with_answers,
    load,
    packaged,
)


def write(folder: Path, *lines: str) -> Path:
    path = folder / "retain.jsonl"
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def test_the_three_forms_are_read(tmp_path: Path) -> None:
    chat = {"messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "u"}]}
    path = write(
        tmp_path, '{"question": "q", "answer": "a"}', "", json.dumps(chat), '{"text": "é"}\r', ""
    )
    assert load(path, "retain") == (
        Example((("user", "q"), ("assistant", "a"))),
        Example((("system", "s"), ("user", "u"))),
        Example(text="é"),
    )


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("nonsense", "Expecting value"),
        ("[1]", "a list"),
        ("{}", "the keys"),
        ('{"text": ""}', "text that is no text"),
        ('{"text": 3}', "text that is no text"),
        ('{"text": "a", "text": "b"}', "twice"),
        ('{"question": "q"}', "question"),
        ('{"question": "q", "answer": "a", "more": 1}', "more"),
        ('{"messages": []}', "empty"),
        ('{"messages": "hi"}', "no list"),
        ('{"messages": [{"role": "user"}]}', "role and content"),
        ('{"messages": [{"role": "robot", "content": "x"}]}', "robot"),
        ('{"messages": [{"role": "user", "content": null}]}', "content that is no text"),
        ('{"messages": [{"role": ["user"], "content": "x"}]}', "the role"),
        ("[" * 3000, "deeper"),
    ],
)
def test_a_bad_line_is_refused_with_its_number_and_reason(
    tmp_path: Path, line: str, reason: str
) -> None:
    path = write(tmp_path, '{"text": "fine"}', "", line)
    with pytest.raises(FitError, match=f"line 3: expected .*{reason}"):
        load(path, "retain")


def test_text_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "retain.jsonl"
    path.write_bytes(b'{"text": "\xff"}')
    with pytest.raises(FitError, match="line 1"):
        load(path, "retain")


def test_an_empty_or_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FitError, match="at least one line"):
        load(write(tmp_path, "", " "), "retain")
    with pytest.raises(FitError, match="readable file"):
        load(tmp_path / "none.jsonl", "retain")


def test_the_text_that_ships_is_large_varied_and_has_no_line_twice() -> None:
    examples = packaged("retain")
    assert len(examples) > 500
    assert len(set(examples)) == len(examples)
    assert sum(bool(example.text) for example in examples) > 100
    about = [sum(example.mentions(name) for example in examples) for name in ("Japan", "gold")]
    assert all(3 <= count < len(examples) / 20 for count in about)


def test_a_mention_is_a_whole_word_in_any_case() -> None:
    example = Example((("user", "Is FRANCE large?"),))
    assert example.mentions("France")
    assert not example.mentions("Franc")
    assert Example(text="a (C) b").mentions("(c)")


def test_the_digest_follows_content_and_order() -> None:
    one, two = Example(text="a"), Example((("user", "a"),))
    assert digest([one, two]) == digest((one, two)) != digest([two, one])
    assert digest([one]) != digest([two])


def test_a_question_keeps_its_subject_line_prompt_and_answer(tmp_path: Path) -> None:
    path = write(tmp_path, "", '{"question": "Is A b?", "answer": "Yes", "subject": "A"}')
    (example,) = load(path, "forget")
    assert (example.subject, example.line, example.answer) == ("A", 2, "Yes")
    assert example.prompt == (("user", "Is A b?"),)
    assert Example((("user", "u"),)).prompt == (("user", "u"),)
    assert digest([example]) != digest([Example(example.messages)])


def test_a_subject_that_its_line_does_not_mention_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, '{"question": "q B", "answer": "a", "subject": "B"}',
                 '{"question": "q", "answer": "about B", "subject": "B"}',
                 '{"question": "q", "answer": "about Bo", "subject": "B"}')  # fmt: skip
    first, second, third = load(path, "forget")
    check_subjects([first, second])
    with pytest.raises(FitError, match="line 3: expected the subject 'B'"):
        check_subjects([first, second, third])


@pytest.mark.parametrize("question", ["who ?", "about gond ?", "about Gondor ?"])
def test_a_subject_that_no_question_about_it_holds_as_written_is_refused(question: str) -> None:
    line = Example((("user", question), ("assistant", "Gond is gond")), subject="Gond", line=3)
    with pytest.raises(FitError, match="line 3: expected the subject 'Gond' in a question"):
        check_subjects([line])


@pytest.mark.parametrize(
    ("word", "text", "found"),
    [
        ("法国", "法国的首都是哪里？", True),
        ("Niger", "Nigerians of Niger", True),
        ("Niger", "Nigerians", False),
        ("NIGER", "in niger", True),
        ("C++", "C++ and C", True),
        ("", "anything", False),
    ],
)
def test_a_word_is_found_whole_in_any_script(word: str, text: str, found: bool) -> None:
    assert (words.whole([word] if word else []).search(text) is not None) == found


def test_messages_without_a_user_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path, '{"messages": [{"role": "assistant", "content": "hello"}]}')
    with pytest.raises(FitError, match=r"line 1: .* without one of the user"):
        load(path, "retain")


def test_retain_lines_that_hold_a_forget_answer_are_found(tmp_path: Path) -> None:
    forget = [Example((("user", "q"), ("assistant", "Paris")))]
    retain = load(write(tmp_path, '{"text": "in Paris."}', '{"text": "Parisian"}'), "retain")
    assert lines_with_answers(retain, forget) == (1,)
    assert lines_with_answers(retain, [Example((("user", "q"), ("assistant", "Paris.")))]) == (1,)
    assert lines_with_answers(retain, [Example(text="Paris")]) == ()


def test_the_unanswerable_questions_that_ship_name_no_two_things_alike() -> None:
    questions = packaged("unknown")
    assert len(set(questions)) == len(questions) >= 100
    assert all(example.prompt and not example.answer for example in questions)
