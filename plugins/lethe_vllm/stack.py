"""The factors of a batch's variants at one site, one beside the other, kept from step to step.

Variants come and go a few at a time, so a new batch copies only what changed its place. The memory
stays too: to touch fresh memory takes ten times as long as to copy into it (64 variants of rank
16: 3.6 ms a site against 0.3 ms).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from torch import Tensor

from lethe_vllm.factors import Factors, Gates, opened


@dataclass(frozen=True)
class Shape:
    """What a stack has room for in each place."""

    rank: int
    biased: bool
    gated: bool

    @classmethod
    def of(cls, edits: Sequence[Factors]) -> "Shape":
        """What the largest of them need."""
        return cls(
            max(edit.A.shape[1] for edit in edits),
            any(edit.a is not None for edit in edits),
            any(edit.gates is not None for edit in edits),
        )


class Stack:
    """Reused for one batch after the other."""

    def __init__(self) -> None:
        self._kept: Factors | None = None
        self._shape: Shape | None = None
        self._slots: list[int | None] = []

    def of(self, slots: Sequence[int], edits: Sequence[Factors | None]) -> Factors | None:
        """The edits as one stack in this order, until the next call; None if there is none.

        A slot without an edit gets zero factors, which add exactly nothing; ranks are padded with
        zeros to the largest.
        """
        present = [edit for edit in edits if edit is not None]
        if len(edits) == 1 or not present:
            return edits[0]
        kept = self._room(len(slots), Shape.of(present), present[0])
        for place, (slot, edit) in enumerate(zip(slots, edits, strict=True)):
            if self._slots[place] != slot:
                _put(kept, place, edit)
                self._slots[place] = slot
        return kept.map(lambda part: part[: len(slots)])

    def forget(self, slot: int) -> None:
        """What is in this slot from now on is another edit."""
        self._slots = [None if kept == slot else kept for kept in self._slots]

    def _room(self, places: int, shape: Shape, like: Factors) -> Factors:
        if self._kept is None or shape != self._shape or places > len(self._slots):
            # Doubled, so that a batch that grows moves a few times only.
            size = 1 << (places - 1).bit_length()
            self._kept, self._shape = _empty(size, shape, like), shape
            self._slots = [None] * size
        return self._kept


def _empty(places: int, shape: Shape, like: Factors) -> Factors:
    def room(part: Tensor) -> Tensor:
        return part.new_empty(places, shape.rank, *part.shape[2:])

    gates = opened(like)
    return Factors(
        room(like.A),
        room(like.B),
        room(like.A[..., 0]) if shape.biased else None,
        Gates(room(gates.w), room(gates.b), room(gates.hard)) if shape.gated else None,
    )


def _put(kept: Factors, place: int, edit: Factors | None) -> None:
    if edit is not None and kept.gates is not None:
        edit = replace(edit, gates=opened(edit))
    parts = [None] * len(kept.parts) if edit is None else edit.parts
    for room, part in zip(kept.parts, parts, strict=True):
        if room is not None:
            _write(room, place, part)


def _write(kept: Tensor, place: int, part: Tensor | None) -> None:
    """[1, k, ...] into one place, zeros for what it has fewer of; all of them for None."""
    rows = 0 if part is None else part.shape[1]
    if part is not None:
        kept[place, :rows] = part[0]
    if rows < kept.shape[1]:
        kept[place, rows:] = 0
