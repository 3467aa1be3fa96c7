"""What was answered: on the disk at once, whatever a crash leaves; the same bytes at the end."""

from pathlib import Path

import pytest

from lethe_projections.errors import LetheError
from lethe_server.evaluating.records import Records


def test_each_row_is_there_once_it_is_added(tmp_path: Path) -> None:
    records = Records(tmp_path / "a.jsonl")
    records.add({"key": "b", "text": "é"})
    assert "b" in Records(tmp_path / "a.jsonl")
    assert Records(tmp_path / "a.jsonl")["b"] == {"key": "b", "text": "é"}
    assert "c" not in records


@pytest.mark.parametrize("torn", [b"{", b'{"key": "torn"', b'{"key":"whole"}', "é".encode()[:1]])
def test_a_torn_line_is_dropped_and_what_follows_it_is_not(torn: bytes, tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    Records(file).add({"key": "a"})
    file.write_bytes(file.read_bytes() + torn)
    records = Records(file)
    assert "whole" not in records
    records.add({"key": "b"})
    assert file.read_bytes() == b'{"key":"a"}\n{"key":"b"}\n'
    assert "b" in Records(file)


def test_at_the_end_rows_are_sorted_and_labelled(tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    records = Records(file)
    for key in ("c", "a", "b"):
        records.add({"key": key})
    records.finish(lambda row: {**row, "set": "forget"} if row["key"] == "a" else row)
    assert file.read_text() == '{"key":"a","set":"forget"}\n{"key":"b"}\n{"key":"c"}\n'
    assert records["a"]["set"] == "forget"


@pytest.mark.parametrize("line", [b"{\n", b"[]\n", b'{"text":"no key"}\n', b"\n"])
def test_a_whole_line_that_is_no_record_is_named(line: bytes, tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    file.write_bytes(b'{"key":"a"}\n' + line)
    with pytest.raises(LetheError, match=r"a\.jsonl, line 2: expected a record.*remove the line"):
        Records(file)
