"""The edit by the Triton kernel: one launch a site, at fixed addresses, so that graphs stay valid.

Importing this module needs Triton.
"""

from collections import Counter
from collections.abc import Iterable, Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lethe_projections.projector import Site
from lethe_vllm import launch, plan
from lethe_vllm.backend import Amounts, Edits
from lethe_vllm.errors import UnavailableError
from lethe_vllm.placement import Placement
from lethe_vllm.pool import Pool
from lethe_vllm.pool_tensors import Capacity
from lethe_vllm.sites import site_index
from lethe_vllm.tiles import Table

RANK = 512
"""Most rows of a profile at one site: as many as `lethe compose` allows."""
SLOT_GATES = 128
"""Most gates of a profile at one site: gated steering has one for each name."""
GATE_SHARE = 8
"""One part in so many of the memory is for gates."""

Widths = tuple[int, int]
"""(d_in, d_out) of a site, as this rank sees it."""


class TritonBackend:
    """One pool for all sites of the same widths, one work table and one workspace for all."""

    def __init__(
        self, placement: Placement, capacity: int, widths: Mapping[Site, Widths], slots: int,
        tokens: int,
    ) -> None:  # fmt: skip
        """Takes all memory at once.

        Args:
            placement: where.
            capacity: bytes for the factors, shared evenly by the pools.
            widths: of every site that is installed.
            slots: as the bank has.
            tokens: most tokens of a step.
        """
        dtype, device = placement.dtype, placement.device
        chosen = plan.choose(dtype, RANK, device)
        classes = sorted(set(widths.values()))
        self._pools: dict[Widths, Pool] = {}
        self._places: dict[int, tuple[Pool, int]] = {}
        for width in classes:
            sites = sorted(site for site, found in widths.items() if found == width)
            limits = _capacity(capacity // len(classes), width, dtype, slots, len(sites))
            pool = self._pools[width] = Pool(limits, *width, dtype, device)
            self._places |= {site_index(site): (pool, n) for n, site in enumerate(sites)}
        self._table = Table(chosen, tokens, slots, device)
        # Whatever a pool holds, rank and gates of one slot are what the workspace is cut for.
        any_pool = Capacity(slots, 1, RANK, slot_gates=SLOT_GATES)
        self._space = launch.Workspace(chosen, any_pool, tokens, dtype, device)
        self._always = device.type == "cuda"

    def limits(self) -> Amounts:
        rows = {_name("rows", width): pool.capacity.rows for width, pool in self._pools.items()}
        gates = {_name("gates", width): pool.capacity.gates for width, pool in self._pools.items()}
        return {**rows, **gates}

    def needs(self, slots: Iterable[Edits]) -> Amounts:
        found: Counter[str] = Counter()
        for edits in slots:
            for site, listed in edits.items():
                width = (listed[0].d_in, listed[0].d_out)
                rows = sum(edit.rank for edit in listed)
                gates = sum(edit.gate is not None for edit in listed)
                if rows > RANK or gates > SLOT_GATES:
                    raise UnavailableError(
                        f"{site}: expected a rank of at most {RANK} and {SLOT_GATES} gates, found "
                        f"{rows} and {gates}; fit or compose less in one profile"
                    )
                found[_name("rows", width)] += rows
                found[_name("gates", width)] += gates
        return dict(found)

    def put(self, slot: int, edits: Edits) -> None:
        for site, listed in edits.items():
            pool, place = self._places[site_index(site)]
            pool.put(slot, listed, place)

    def drop(self, slot: int) -> None:
        for pool in self._pools.values():
            pool.drop(slot)

    def begin(self, per_token: NDArray[np.int64] | None) -> None:
        self._table.write(np.zeros(0, dtype=np.int64) if per_token is None else per_token)

    def edit(self, y: Tensor, x: Tensor | None, residual: Tensor | None, site: int) -> None:
        # On a GPU always, since a CUDA graph that is captured in a step of the base serves others.
        if self._always or self._table.reach:
            pool, place = self._places[site]
            launch.edit_(y, x, residual, pool.at(place), self._table, self._space)


def _capacity(size: int, width: Widths, dtype: torch.dtype, slots: int, sites: int) -> Capacity:
    """What fits into `size` bytes."""
    gate = 4 * width[0] + 5
    row = sum(width) * dtype.itemsize + 8
    gates = max(SLOT_GATES, size // GATE_SHARE // gate)
    rows = max(RANK, (size - gates * gate) // row)
    return Capacity(slots, rows, RANK, gates, SLOT_GATES, sites)


def _name(what: str, width: Widths) -> str:
    return f"{what} {width[0]}x{width[1]}"
