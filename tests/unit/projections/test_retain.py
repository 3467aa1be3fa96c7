"""Retain files: three forms of line, and a bad line named by its number and reason."""

import json
from pathlib import Path

import pytest

from lethe_projections.errors import FitError
from lethe_projections.retain import Example, digest, load_retain


def write(folder: Path, *lines: str) -> Path:
    path = folder / "retain.jsonl"
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def test_the_three_forms_are_read(tmp_path: Path) -> None:
    chat = {"messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "u"}]}
    path = write(
        tmp_path, '{"question": "q", "answer": "a"}', "", json.dumps(chat), '{"text": "é"}\r', ""
    )
    assert load_retain(path) == (
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
        load_retain(path)


def test_text_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "retain.jsonl"
    path.write_bytes(b'{"text": "\xff"}')
    with pytest.raises(FitError, match="line 1"):
        load_retain(path)


def test_an_empty_or_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FitError, match="at least one line"):
        load_retain(write(tmp_path, "", " "))
    with pytest.raises(FitError, match="readable file"):
        load_retain(tmp_path / "none.jsonl")


def test_the_text_that_ships_is_large_varied_and_has_no_line_twice() -> None:
    examples = load_retain()
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
