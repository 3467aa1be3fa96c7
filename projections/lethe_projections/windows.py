"""Text of any length, tokenised in windows of bounded size; each text with what is new in it.

A token is new unless its whole context, the tokens up to it, occurs in another text of its window.
So a template's system message counts once a window, not once a text, and what is remembered does
not grow with the text. Knows nothing of models.
"""

import hashlib
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, pairwise
from typing import Any

from lethe_projections import chat

TEXTS, TOKENS = 2048, 1 << 20
"""A window ends with the slice in which it reaches one of these; about 50 MB at most."""

_SLICE = 256
"""Texts tokenised at once, whose offsets are held for that long."""


@dataclass(frozen=True)
class Row:
    """One text.

    Attributes:
        ids: its token ids.
        seen: how many leading ones are not new, fewer than all.
    """

    ids: tuple[int, ...]
    seen: int


@dataclass(frozen=True)
class Window:
    """Texts that stand together in the stream.

    Attributes:
        rows: those with something new, longest first: neighbours need little padding, the most
            memory is needed at the start, and an estimate of the time left errs on the high side.
        texts: how many there are, those with nothing new included.
        digest: sha256 of all their token ids in the order of the stream.
    """

    rows: tuple[Row, ...]
    texts: int
    digest: bytes

    @classmethod
    def of(cls, ids: Sequence[tuple[int, ...]]) -> "Window":
        """Marks what is new in the texts."""
        seen = _seen_before(ids)
        rows = [Row(one, n) for one, n in zip(ids, seen, strict=True) if n < len(one)]
        rows.sort(key=lambda row: -len(row.ids))
        return cls(tuple(rows), len(ids), _digest(ids))

    @property
    def tokens(self) -> int:
        """Tokens of its rows, those seen before included."""
        return sum(len(row.ids) for row in self.rows)


def windows(tokenizer: Any, texts: Iterable[str], max_tokens: int) -> Iterator[Window]:
    """Reads texts as they are needed.

    Args:
        tokenizer: a fast one.
        texts: rendered by `chat.render`; may have no end known in advance.
        max_tokens: a longer text is cut here.

    Raises:
        FitError: a text has no token.
    """
    left = iter(texts)
    held: list[tuple[int, ...]] = []
    while some := list(islice(left, _SLICE)):
        held += (one.ids for one in chat.encode(tokenizer, some, max_tokens))
        if len(held) >= TEXTS or sum(map(len, held)) >= TOKENS:
            yield Window.of(held)
            held = []
    if held:
        yield Window.of(held)


def _seen_before(ids: Sequence[tuple[int, ...]]) -> list[int]:
    """For each text, how many leading tokens another text before it in sorted order shares."""
    seen = [0] * len(ids)
    order = sorted(range(len(ids)), key=ids.__getitem__)
    for earlier, later in pairwise(order):
        seen[later] = chat.shared_prefix(ids[earlier], ids[later])
    return seen


def _digest(ids: Sequence[tuple[int, ...]]) -> bytes:
    total = hashlib.sha256()
    for one in ids:
        total.update(array("q", (len(one), *one)).tobytes())
    return total.digest()
