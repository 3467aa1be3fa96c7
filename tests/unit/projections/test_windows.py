"""Windows of text: bounded, in order, and each context new once."""

from collections.abc import Iterator
from typing import Any

import pytest

from lethe_projections import windows as module
from lethe_projections.errors import FitError
from lethe_projections.windows import Window, windows

SHARED = ((1, 2, 3, 4), (1, 2, 5), (1, 2), (7,), (1, 2, 3, 4), (1, 2, 3, 9, 9))


def new_contexts(window: Window) -> list[tuple[int, ...]]:
    return [
        row.ids[: end + 1] for row in window.rows for end in range(row.seen, len(row.ids))
    ]  # fmt: skip


def test_each_context_of_a_window_is_new_exactly_once() -> None:
    found = new_contexts(Window.of(SHARED))
    contexts = {one[: end + 1] for one in SHARED for end in range(len(one))}
    assert sorted(found) == sorted(contexts)
    assert len(contexts) < sum(map(len, SHARED))


def test_the_longest_text_comes_first_and_one_with_nothing_new_not_at_all() -> None:
    window = Window.of(SHARED)
    lengths = [len(row.ids) for row in window.rows]
    assert lengths == sorted(lengths, reverse=True)
    assert window.texts == 6
    assert len(window.rows) == 5
    assert window.tokens == sum(lengths)


def test_the_digest_is_of_the_texts_in_order() -> None:
    digests = {
        Window.of(ids).digest
        for ids in [((1, 2), (3,)), ((3,), (1, 2)), ((1,), (2, 3)), ((1, 2, 3),), ((1, 2), (4,))]
    }
    assert len(digests) == 5
    assert Window.of(SHARED).digest == Window.of(list(SHARED)).digest


def test_no_more_text_is_taken_than_a_window_holds(
    tokenizer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "TEXTS", 8)
    monkeypatch.setattr(module, "_SLICE", 4)
    taken = 0

    def endless() -> Iterator[str]:
        nonlocal taken
        while True:
            taken += 1
            yield "the moon"

    stream = windows(tokenizer, endless(), 512)
    for number in (1, 2, 3):
        assert next(stream).texts == 8
        assert taken == 8 * number


def test_long_texts_close_a_window_early(tokenizer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TOKENS", 12)
    monkeypatch.setattr(module, "_SLICE", 2)
    texts = ["the moon the sun"] * 7
    assert [window.texts for window in windows(tokenizer, texts, 512)] == [4, 3]
    assert [window.texts for window in windows(tokenizer, texts, 1)] == [7]


def test_a_text_without_tokens_is_refused_where_it_stands(tokenizer: Any) -> None:
    with pytest.raises(FitError, match="drop it"):
        list(windows(tokenizer, ["moon", " "], 512))
