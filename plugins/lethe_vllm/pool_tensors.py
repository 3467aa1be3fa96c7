"""The tensors of a pool: what they hold, how they are made and written. Decides nothing.

Each is written in place, on the current stream; none ever moves.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from lethe_projections.projector import Projector

ALWAYS_OPEN = -1


@dataclass(frozen=True)
class Capacity:
    """How much a pool holds.

    Attributes:
        slots: S, as the bank has (`bank.SLOTS`).
        rows: R, rows of all of them together.
        rank: K, most rows of a slot at a site; a multiple of 16, so that scratch rows align.
        gates: G, gates of all of them together; 1 or more.
        slot_gates: most gates of one slot at one site; 1 or more.
        sites: that share the rows and gates; a slot has a page table entry at each.
    """

    slots: int
    rows: int
    rank: int
    gates: int = 1
    slot_gates: int = 1
    sites: int = 1

    @property
    def pages(self) -> int:
        """Page table entries of a site: one for each slot, and some more that align the next's."""
        return -(-self.slots // 16) * 16


class PoolTensors(NamedTuple):
    """What the kernel reads of a pool.

    Attributes:
        A: [R, d_in] of the model's dtype.
        B: [R, d_out] of the model's dtype.
        a: [R] float32.
        gate: [R] int32, which of its slot's gates a row has, or ALWAYS_OPEN.
        w: [G, d_in] float32, whatever the model's dtype: a sum's sign decides a hard gate.
        b: [G] float32.
        hard: [G] int8, a truth value.
        rows: [S or more, K] int32.
        ranks: [S or more] int32, 0 where a slot has no edit here.
        gates: [S or more, slot_gates] int32.
        gate_counts: [S or more] int32.
        rank_limit: K.
        gate_limit: slot_gates.
    """

    A: Tensor
    B: Tensor
    a: Tensor
    gate: Tensor
    w: Tensor
    b: Tensor
    hard: Tensor
    rows: Tensor
    ranks: Tensor
    gates: Tensor
    gate_counts: Tensor
    rank_limit: int
    gate_limit: int


def empty(
    capacity: Capacity, d_in: int, d_out: int, dtype: torch.dtype, device: torch.device
) -> PoolTensors:
    """A pool in which no slot has an edit."""

    def zeros(*shape: int, of: torch.dtype) -> Tensor:
        return torch.zeros(shape, dtype=of, device=device)

    rows, gates, pages = capacity.rows, capacity.gates, capacity.pages * capacity.sites
    return PoolTensors(
        A=zeros(rows, d_in, of=dtype),
        B=zeros(rows, d_out, of=dtype),
        a=zeros(rows, of=torch.float32),
        gate=zeros(rows, of=torch.int32),
        w=zeros(gates, d_in, of=torch.float32),
        b=zeros(gates, of=torch.float32),
        hard=zeros(gates, of=torch.int8),
        rows=zeros(pages, capacity.rank, of=torch.int32),
        ranks=zeros(pages, of=torch.int32),
        gates=zeros(pages, capacity.slot_gates, of=torch.int32),
        gate_counts=zeros(pages, of=torch.int32),
        rank_limit=capacity.rank,
        gate_limit=capacity.slot_gates,
    )


def view(t: PoolTensors, capacity: Capacity, site: int) -> PoolTensors:
    """The same factors, with the page tables of one site alone."""
    own = slice(site * capacity.pages, (site + 1) * capacity.pages)
    return t._replace(
        rows=t.rows[own], ranks=t.ranks[own], gates=t.gates[own], gate_counts=t.gate_counts[own]
    )


def write_rows(t: PoolTensors, rows: list[int], projectors: Sequence[Projector]) -> None:
    """Puts the factors of some edits at these rows, cast from float32, once."""
    index = torch.tensor(rows, device=t.A.device)
    gate_of, gates = [], 0
    for edit in projectors:
        gate_of += [ALWAYS_OPEN if edit.gate is None else gates] * edit.rank
        gates += edit.gate is not None
    biases = [torch.zeros(edit.rank) if edit.a is None else edit.a for edit in projectors]
    t.A[index] = torch.cat([edit.A for edit in projectors]).to(t.A)
    t.B[index] = torch.cat([edit.B for edit in projectors]).to(t.B)
    t.a[index] = torch.cat(biases).to(t.a)
    t.gate[index] = torch.tensor(gate_of).to(t.gate)


def write_gates(t: PoolTensors, gates: list[int], gated: Sequence[Projector]) -> None:
    """Puts the gates of some edits at these places."""
    for place, edit in zip(gates, gated, strict=True):
        if edit.gate is not None:
            t.w[place] = edit.gate.w.to(t.w)
            t.b[place] = edit.gate.b
            t.hard[place] = int(edit.gate.hard)


def write_pages(t: PoolTensors, slot: int, rows: list[int], gates: list[int]) -> None:
    """Says what a slot uses; its rank last, by which the kernel knows that it has an edit."""
    t.rows[slot, : len(rows)] = torch.tensor(rows, dtype=torch.int32).to(t.rows)
    t.gates[slot, : len(gates)] = torch.tensor(gates, dtype=torch.int32).to(t.gates)
    t.gate_counts[slot] = len(gates)
    t.ranks[slot] = len(rows)
