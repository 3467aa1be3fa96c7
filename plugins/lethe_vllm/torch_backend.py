"""The edit by PyTorch's products: on a CPU, one batched product for many variants' tokens."""

from collections import defaultdict
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from lethe_projections.projector import Projector
from lethe_vllm.backend import Amounts, Edits
from lethe_vllm.factors import Factors, factors, joined
from lethe_vllm.layout import Group, layout
from lethe_vllm.placement import Placement
from lethe_vllm.products import apply_, arranged
from lethe_vllm.sites import site_index
from lethe_vllm.stack import Stack


class TorchBackend:
    """Factors by slot and site, and stacks of them by site.

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
        self._ranks: dict[int, int] = {}
        self._stacks: defaultdict[tuple[int, int], Stack] = defaultdict(Stack)
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
        self._ranks[slot] = max(sum(edit.rank for edit in found) for found in edits.values())

    def drop(self, slot: int) -> None:
        self._held.pop(slot, None)
        self._ranks.pop(slot, None)
        self._last = (b"", ())
        for stack in self._stacks.values():
            stack.forget(slot)

    def begin(self, per_token: NDArray[np.int64] | None) -> None:
        self.groups = () if per_token is None else self._laid_out(per_token)

    def edit(self, y: Tensor, x: Tensor | None, residual: Tensor | None, site: int) -> None:
        for group in self.groups:
            if site not in group.stacks:
                group.stacks[site] = self._stacked(site, group)
            found = group.stacks[site]
            if found is not None:
                apply_(y, y if x is None else x, residual, group, found)

    def _laid_out(self, per_token: NDArray[np.int64]) -> tuple[Group, ...]:
        # While requests decode, step follows step with the same layout.
        key = per_token.tobytes()
        if key != self._last[0]:
            self._last = (key, layout(per_token, self._ranks))
        return self._last[1]

    def _stacked(self, site: int, group: Group) -> Factors | None:
        """The factors of a group at this site; None if none of its variants edits it."""
        # No two groups of a step may share a stack. Counted from the last, since one token each
        # come there, whatever prefills come before them.
        stack = self._stacks[site, len(self.groups) - self.groups.index(group)]
        found = stack.of(group.slots, [self._held[slot].get(site) for slot in group.slots])
        return found and arranged(found, group)


def _bytes(edit: Projector, width: int) -> int:
    """A, B, a, and in float32 the gate of each row."""
    row = edit.d_in + edit.d_out + (edit.a is not None)
    gate = 0 if edit.gate is None else 4 * edit.d_in + 5
    return edit.rank * (row * width + gate)
