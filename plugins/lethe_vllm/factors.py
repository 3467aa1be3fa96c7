"""Low-rank factors as the op multiplies with them: stacks of edits at one site.

Knows nothing of profiles and requests.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lethe_projections.projector import Gate, Projector
from lethe_vllm.placement import Placement


@dataclass(frozen=True)
class Gates:
    """One gate for each row of a stack.

    In float32 whatever the model's dtype: the sign of a sum decides a hard threshold, and half
    precision would round it away.

    Attributes:
        w: [G, k, d_in].
        b: [G, k].
        hard: [G, k] bool; a row without a gate is hard with w = 0 and b = 1, always open.
    """

    w: Tensor
    b: Tensor
    hard: Tensor


@dataclass(frozen=True)
class Factors:
    """A stack of edits at one site, ranks padded with zeros to the largest.

    Attributes:
        A: [G, k, d_in].
        B: [G, k, d_out].
        a: [G, k], or None if no edit has a bias.
        gates: or None if no edit has one.
    """

    A: Tensor
    B: Tensor
    a: Tensor | None
    gates: Gates | None

    @property
    def parts(self) -> tuple[Tensor | None, ...]:
        """Every tensor that there may be, always in the same order."""
        gates = self.gates
        of_gates = (None, None, None) if gates is None else (gates.w, gates.b, gates.hard)
        return self.A, self.B, self.a, *of_gates

    def map(self, change: Callable[[Tensor], Tensor]) -> "Factors":
        """Every tensor changed alike."""
        gates = self.gates
        if gates is not None:
            gates = Gates(change(gates.w), change(gates.b), change(gates.hard))
        a = None if self.a is None else change(self.a)
        return Factors(change(self.A), change(self.B), a, gates)

    def in_blocks(self, size: int) -> "Factors":
        """A view [G / size, size * k, ...]: the rows of `size` edits at a time are one edit's."""
        if size == 1:
            return self
        return self.map(lambda part: part.view(-1, size * part.shape[1], *part.shape[2:]))


def factors(edit: Projector, place: Placement) -> Factors:
    """A stack of one, cast to the model's dtype, once."""

    def cast(factor: Tensor) -> Tensor:
        return factor.to(place.device, place.dtype).contiguous()[None]

    a = None if edit.a is None else cast(edit.a)
    gates = None if edit.gate is None else _gates(edit.gate, edit.rank, place)
    return Factors(cast(edit.A), cast(edit.B), a, gates)


def _gates(gate: Gate, rank: int, place: Placement) -> Gates:
    w = gate.w.to(place.device).expand(1, rank, -1).contiguous()
    b = w.new_full((1, rank), gate.b)
    return Gates(w, b, torch.full_like(b, gate.hard, dtype=torch.bool))


def joined(edits: Sequence[Factors]) -> Factors:
    """Several edits of one site as one: their rows together. Each is a stack of one."""
    if len(edits) == 1:
        return edits[0]
    gates = None
    if any(edit.gates is not None for edit in edits):
        gates = _cat([opened(edit) for edit in edits])
    biases = [edit.A.new_zeros(edit.A.shape[:2]) if edit.a is None else edit.a for edit in edits]
    return Factors(
        torch.cat([edit.A for edit in edits], dim=1),
        torch.cat([edit.B for edit in edits], dim=1),
        torch.cat(biases, dim=1) if any(edit.a is not None for edit in edits) else None,
        gates,
    )


def opened(edit: Factors) -> Gates:
    """An edit's gates; for one without any, gates that are always open."""
    if edit.gates is not None:
        return edit.gates
    w = torch.zeros_like(edit.A, dtype=torch.float32)
    b = w.new_ones(w.shape[:2])
    return Gates(w, b, torch.ones_like(b, dtype=torch.bool))


def _cat(gates: Sequence[Gates]) -> Gates:
    return Gates(
        torch.cat([gate.w for gate in gates], dim=1),
        torch.cat([gate.b for gate in gates], dim=1),
        torch.cat([gate.hard for gate in gates], dim=1),
    )
