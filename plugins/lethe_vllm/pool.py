"""The factors of resident profiles at one site, at fixed addresses. Knows nothing of requests.

Its unit is the row, one direction of one edit: a profile of rank 1 and one of rank 128 share a pool
without either paying for the other. What a slot uses is said by page tables:

    A[rows[s, :ranks[s]]], B[...], a[...]      and, for its gates, w[gates[s, :gate_counts[s]]], ...

Putting and dropping write into the tensors and move none of them, so a captured CUDA graph stays
valid. Both are enqueued on the current stream: what was launched before reads what was there then.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from lethe_projections.projector import Projector
from lethe_vllm.errors import UnavailableError
from lethe_vllm.free_list import FreeList
from lethe_vllm.pool_tensors import Capacity, empty, write_gates, write_pages, write_rows

_INT32 = 2**31


class Pool:
    """One site's factors.

    Attributes:
        capacity: as built.
        tensors: at addresses that never change.
    """

    def __init__(
        self, capacity: Capacity, d_in: int, d_out: int, dtype: torch.dtype, device: torch.device
    ) -> None:
        """Takes all memory at once; `nbytes` says how much.

        Raises:
            UnavailableError: the capacity makes no sense, or is beyond the kernel's 32-bit offsets.
        """
        _check(capacity, max(d_in, d_out))
        self.capacity = capacity
        self.tensors = empty(capacity, d_in, d_out, dtype, device)
        self._rows = FreeList("rows", capacity.rows)
        self._gates = FreeList("gates", capacity.gates)
        self._held: dict[int, tuple[list[int], list[int]]] = {}

    @property
    def nbytes(self) -> int:
        """Device memory of the whole pool."""
        return sum(part.nbytes for part in self.tensors if isinstance(part, Tensor))

    @property
    def used_nbytes(self) -> int:
        """Device memory of the rows and gates in use."""
        t = self.tensors
        row, gate = (t.A, t.B, t.a, t.gate), (t.w, t.b, t.hard)
        return self._rows.taken * sum(part[0].nbytes for part in row) + self._gates.taken * sum(
            part[0].nbytes for part in gate
        )

    def put(self, slot: int, projectors: Sequence[Projector]) -> None:
        """Makes the edits of one slot at this site resident; all of them, or none on an error.

        Args:
            slot: one that holds nothing.
            projectors: at least one, as this rank applies them (cut to its shard).

        Raises:
            UnavailableError: the slot is taken or out of range, the edits are of other widths than
                the site's, or they do not fit.
        """
        self._check_slot(slot)
        self._check_edits(projectors)
        gated = [edit for edit in projectors if edit.gate is not None]
        rank = sum(edit.rank for edit in projectors)
        self._rows.check(rank)
        self._gates.check(len(gated))
        rows, gates = self._rows.take(rank), self._gates.take(len(gated))
        self._held[slot] = (rows, gates)
        write_rows(self.tensors, rows, projectors)
        write_gates(self.tensors, gates, gated)
        write_pages(self.tensors, slot, rows, gates)

    def drop(self, slot: int) -> None:
        """Frees what a slot holds here, which may be nothing. Its tokens are edited no more."""
        rows, gates = self._held.pop(slot, ([], []))
        if rows:
            write_pages(self.tensors, slot, [], [])
            self._rows.give_back(rows)
            self._gates.give_back(gates)

    def _check_slot(self, slot: int) -> None:
        if not 0 <= slot < self.capacity.slots or slot in self._held:
            raise UnavailableError(
                f"pool: expected a free slot below {self.capacity.slots}, found {slot}, "
                f"{'in use' if slot in self._held else 'out of range'}; drop it first, or start "
                "the engine with more slots"
            )

    def _check_edits(self, projectors: Sequence[Projector]) -> None:
        widths = (self.tensors.A.shape[1], self.tensors.B.shape[1])
        for edit in projectors:
            if (edit.d_in, edit.d_out) != widths:
                raise UnavailableError(
                    f"pool: expected edits from width {widths[0]} to {widths[1]}, found "
                    f"{edit.site} from {edit.d_in} to {edit.d_out}; put it into its site's pool"
                )
        rank = sum(edit.rank for edit in projectors)
        gates = sum(edit.gate is not None for edit in projectors)
        if not 0 < rank <= self.capacity.rank or gates > self.capacity.slot_gates:
            raise UnavailableError(
                f"pool: expected a rank of 1 to {self.capacity.rank} and at most "
                f"{self.capacity.slot_gates} gates at one site, found {rank} and {gates}; fit a "
                "smaller profile, or start the engine with a larger limit"
            )


def _check(capacity: Capacity, width: int) -> None:
    least = min(capacity.slots, capacity.rows, capacity.gates, capacity.slot_gates)
    if least < 1 or capacity.rank < 16 or capacity.rank % 16:
        raise UnavailableError(
            "pool: expected a rank limit that is a multiple of 16 and 1 or more of all else, found "
            f"{capacity}; correct it"
        )
    if max(capacity.rows, capacity.gates) * width >= _INT32:
        raise UnavailableError(
            f"pool: expected fewer than {_INT32 // width} rows and gates of width {width}, since "
            f"the kernel counts elements in 32 bits, found {capacity.rows} and {capacity.gates}; "
            "hold fewer profiles"
        )
