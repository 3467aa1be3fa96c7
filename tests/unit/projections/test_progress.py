"""What a pass says of itself where there is no terminal, and the estimate."""

import sys
from collections.abc import Iterator

import pytest

from lethe_projections.progress import Progress


class Clock:
    """Seconds, as told."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def read_hundred(clock: Clock, texts: object, shown: bool = True) -> None:
    """One text of ten tokens a second."""
    with Progress(texts, "reading", shown, clock) as progress:
        progress.expect(100, 1000)
        for _ in range(100):
            clock.now += 1
            progress.advance(1, 10)


def test_without_a_terminal_there_is_a_line_every_ten_seconds(
    capsys: pytest.CaptureFixture[str],
) -> None:
    read_hundred(Clock(), [""] * 100)
    out, err = capsys.readouterr()
    lines = err.splitlines()
    assert out == ""
    assert len(lines) == 10
    assert lines[0] == "lethe: reading: 10 of 100 texts, about 90 s left"
    assert lines[8] == "lethe: reading: 90 of 100 texts, about 10 s left"


def test_a_stream_of_unknown_length_has_no_estimate(capsys: pytest.CaptureFixture[str]) -> None:
    read_hundred(Clock(), iter([""]))
    assert capsys.readouterr().err.splitlines()[1] == "lethe: reading: 20 texts"


def test_nothing_is_said_unasked_or_of_a_short_pass(capsys: pytest.CaptureFixture[str]) -> None:
    read_hundred(Clock(), [""] * 100, shown=False)
    with Progress([""], "reading", True, Clock()) as progress:
        progress.expect(1, 1)
        progress.advance(1, 1)
    assert capsys.readouterr().err == ""


def test_the_estimate_goes_by_tokens_and_leaves_out_what_was_skipped() -> None:
    clock = Clock()
    with Progress([""] * 8, "reading", False, clock) as progress:
        assert progress.seconds_left is None
        progress.expect(4, 100)
        progress.skip(1, 40)
        assert progress.seconds_left is None
        clock.now += 6
        progress.advance(1, 30)
        # 30 of this window's 100 are left, and another window like it, at 5 a second.
        assert progress.seconds_left == pytest.approx(26)
        assert str(progress) == "reading: 2 of 8 texts, about 26 s left"


def test_on_a_terminal_there_is_a_bar(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    read_hundred(Clock(), [""] * 100)
    err = capsys.readouterr().err
    assert "reading: 100 of 100 texts" in err
    assert "lethe:" not in err


@pytest.fixture(autouse=True)
def _wide(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("COLUMNS", "120")
    yield
