"""The factors of resident profiles, at fixed addresses. Knows nothing of requests.

A pool serves one site, or all sites of the same widths: most profiles edit few of them, and memory
is taken for what they hold. Its unit is the row, one direction of one edit: a profile of rank 1 and
one of rank 128 share a pool without either paying for the other. What a slot has at a site is said
by the site's page tables:

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
from lethe_vllm.pool_tensors import (
    Capacity,
    PoolTensors,
    empty,
    view,
    write_gates,
    write_pages,
    write_rows,
)

_INT32 = 2**31


class Pool:
    """Factors of one or more sites.

    Attributes:
        capacity: as built.
        tensors: at addresses that never change; page tables of all sites, one after the other.
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
        self._held: dict[tuple[int, int], tuple[list[int], list[int]]] = {}
        self._sites = [view(self.tensors, capacity, site) for site in range(capacity.sites)]

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

    def at(self, site: int) -> PoolTensors:
        """What the kernel reads at one site: the factors of all, and the site's page tables."""
        return self._sites[site]

    def put(self, slot: int, projectors: Sequence[Projector], site: int = 0) -> None:
        """Makes the edits of one slot at one site resident; all of them, or none on an error.

        Args:
            slot: one that holds nothing at this site.
            projectors: at least one, as this rank applies them (cut to its shard).
            site: the how-manieth of this pool.

        Raises:
            UnavailableError: the slot is taken or out of range, the edits are of other widths than
                the site's, or they do not fit.
        """
        self._check_slot(slot, site)
        self._check_edits(projectors)
        gated = [edit for edit in projectors if edit.gate is not None]
        rank = sum(edit.rank for edit in projectors)
        self._rows.check(rank)
        self._gates.check(len(gated))
        rows, gates = self._rows.take(rank), self._gates.take(len(gated))
        self._held[site, slot] = (rows, gates)
        write_rows(self.tensors, rows, projectors)
        write_gates(self.tensors, gates, gated)
        write_pages(self.at(site), slot, rows, gates)

    def drop(self, slot: int) -> None:
        """Frees what a slot holds, at every site. Its tokens are edited no more."""
        for site, _ in [key for key in self._held if key[1] == slot]:
            rows, gates = self._held.pop((site, slot))
            write_pages(self.at(site), slot, [], [])
            self._rows.give_back(rows)
            self._gates.give_back(gates)

    def _check_slot(self, slot: int, site: int) -> None:
        limits = self.capacity
        known = 0 <= slot < limits.slots and 0 <= site < limits.sites
        if not known or (site, slot) in self._held:
            raise UnavailableError(
                f"pool: expected a free slot below {limits.slots} at a site below {limits.sites}, "
                f"found slot {slot} at site {site}, {'in use' if known else 'out of range'}; drop "
                "it first, or start the engine with more slots"
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
    least = min(capacity.slots, capacity.rows, capacity.gates, capacity.slot_gates, capacity.sites)
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
