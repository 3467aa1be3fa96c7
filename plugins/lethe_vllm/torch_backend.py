"""The edit by PyTorch's products: on a CPU, one batched product for many variants' tokens.

z = A x + a;  y += g(x) B^T z
"""

from collections import OrderedDict
from collections.abc import Iterable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lethe_projections.projector import Projector
from lethe_vllm.backend import Amounts, Edits
from lethe_vllm.factors import Factors, Gates, factors, joined, stacked
from lethe_vllm.layout import Group, layout
from lethe_vllm.placement import Placement
from lethe_vllm.sites import site_index

STACKS_PER_SITE = 4
"""Stacked factors kept per site: a batch's set of variants changes only when requests come or
go, so the last few sets serve nearly every step."""


class TorchBackend:
    """Factors by slot and site, and stacks of them by site and set of slots.

    Attributes:
        placement: where the factors are.
        capacity: bytes that they may take.
        groups: the current step's layout; empty outside a step and when all tokens are base.
    """

    def __init__(self, placement: Placement, capacity: int) -> None:
        self.placement = placement
        self.capacity = capacity
        self.groups: tuple[Group, ...] = ()
        self._held: dict[int, dict[int, Factors]] = {}
        self._stacks: dict[int, OrderedDict[tuple[int, ...], Factors | None]] = {}
        self._last: tuple[bytes, tuple[Group, ...]] = (b"", ())

    def limits(self) -> Amounts:
        return {"bytes": self.capacity}

    def needs(self, slots: Iterable[Edits]) -> Amounts:
        width = self.placement.dtype.itemsize
        listed = [edit for edits in slots for site in edits.values() for edit in site]
        return {"bytes": sum(_bytes(edit, width) for edit in listed)}

    def put(self, slot: int, edits: Edits) -> None:
        self._held[slot] = {
            site_index(site): joined([factors(edit, self.placement) for edit in found])
            for site, found in edits.items()
        }

    def drop(self, slot: int) -> None:
        self._held.pop(slot, None)
        self._last = (b"", ())
        for stacks in self._stacks.values():
            for slots in [slots for slots in stacks if slot in slots]:
                del stacks[slots]

    def begin(self, per_token: NDArray[np.int64] | None) -> None:
        self.groups = () if per_token is None else self._laid_out(per_token)

    def edit(self, y: Tensor, x: Tensor | None, residual: Tensor | None, site: int) -> None:
        for group in self.groups:
            if site not in group.stacks:
                group.stacks[site] = self._stacked(site, group.slots)
            found = group.stacks[site]
            if found is not None:
                apply_(y, y if x is None else x, residual, group, found)

    def _laid_out(self, per_token: NDArray[np.int64]) -> tuple[Group, ...]:
        # While requests decode, step follows step with the same layout.
        key = per_token.tobytes()
        if key != self._last[0]:
            self._last = (key, layout(per_token))
        return self._last[1]

    def _stacked(self, site: int, slots: tuple[int, ...]) -> Factors | None:
        """The factors in these slots at this site; None if none of them edits it.

        A slot without an edit here gets zero factors, which add exactly nothing.
        """
        stacks = self._stacks.setdefault(site, OrderedDict())
        if slots not in stacks:
            stacks[slots] = stacked([self._held[slot].get(site) for slot in slots])
            if len(stacks) > STACKS_PER_SITE:
                stacks.popitem(last=False)
        stacks.move_to_end(slots)
        return stacks[slots]


def _bytes(edit: Projector, width: int) -> int:
    """A, B, a, and in float32 the gate of each row."""
    row = edit.d_in + edit.d_out + (edit.a is not None)
    gate = 0 if edit.gate is None else 4 * edit.d_in + 5
    return edit.rank * (row * width + gate)


def apply_(y: Tensor, x: Tensor, residual: Tensor | None, group: Group, factors: Factors) -> None:
    """Edits one group's tokens of `y` in place; shapes as in `run`."""
    read = x[group.rows] if residual is None else x[group.rows] + residual[group.rows]
    if isinstance(group.rows, slice):
        z = read @ factors.A[0].T
        if factors.a is not None:
            z += factors.a[0]
        if factors.gates is not None:
            z *= _openness(read[None], factors.gates)[0]
        y[group.rows].addmm_(z, factors.B[0])
        return
    read = read.view(len(group.slots), group.width, -1)
    z = torch.bmm(read, factors.A.transpose(1, 2))
    if factors.a is not None:
        z += factors.a[:, None]
    if factors.gates is not None:
        z *= _openness(read, factors.gates)
    change = torch.bmm(z, factors.B).flatten(0, 1)
    if group.valid is None:
        y.index_add_(0, group.rows, change)
    else:
        y.index_add_(0, group.rows[group.valid], change[group.valid])


def _openness(read: Tensor, gates: Gates) -> Tensor:
    """The gate of each row, [G, T, k] of the dtype read; read [G, T, d_in]."""
    logits = torch.baddbmm(gates.b[:, None], read.float(), gates.w.transpose(1, 2))
    return torch.where(gates.hard[:, None], (logits > 0).float(), logits.sigmoid()).to(read.dtype)
