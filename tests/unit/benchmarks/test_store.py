"""The work folder survives being stopped."""

from pathlib import Path

from benchmarks.methods.store import Records, key, write_json


def test_what_was_measured_is_there_in_the_next_run(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b.jsonl"
    Records(path).add([{"key": "one", "text": "é\u2028x"}])
    Records(path).add([{"key": "two", "text": ""}])
    again = Records(path)
    assert again["one"]["text"] == "é\u2028x"
    assert "two" in again
    assert "three" not in again


def test_half_a_line_of_a_killed_run_is_dropped_and_the_next_line_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "b.jsonl"
    Records(path).add([{"key": "one"}])
    with path.open("a") as file:
        file.write('{"key": "tw')
    Records(path).add([{"key": "three"}])
    again = Records(path)
    assert "one" in again
    assert "two" not in again
    assert "three" in again


def test_a_key_is_a_function_of_the_content_alone() -> None:
    assert key({"a": 1, "b": [2]}) == key({"b": [2], "a": 1})
    assert key({"a": 1}) != key({"a": 2})


def test_a_document_is_written_whole(tmp_path: Path) -> None:
    write_json(tmp_path / "x" / "y.json", {"a": 1})
    assert [path.name for path in (tmp_path / "x").iterdir()] == ["y.json"]
