"""What the kernel does in a step: the work table. Host work only, once per step.

A tile is up to so many tokens of one slot. Tiles lie one behind the other in `order`, the positions
of the tokens that are edited, sorted by slot; the base's are not in it.

Cost: a stable sort of the tokens' slots, which come in runs (one a request), and one copy to the
device; whatever the number of layers, sites or profiles. Nothing but the number of tiles when a
step is like the last that was edited.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lethe_vllm.plan import Plan

_ALIGNED = 16
"""Elements to which each part of the packed table is padded, for aligned addresses."""


@dataclass(frozen=True)
class Tiles:
    """The tiles of one step.

    Attributes:
        order: int32 [N], positions of the edited tokens, sorted by slot.
        slots: int32 [M], of each tile.
        firsts: int32 [M], where its tokens begin in `order`.
        counts: int32 [M], how many they are.
    """

    order: NDArray[np.int32]
    slots: NDArray[np.int32]
    firsts: NDArray[np.int32]
    counts: NDArray[np.int32]


def cut(per_token: NDArray[np.int64], plan: Plan) -> Tiles:
    """The tiles of a step.

    Args:
        per_token: [T] slot of each token, negative for the base.
        plan: gives the size of a tile.
    """
    order = np.argsort(per_token, kind="stable")
    sorted_slots = per_token[order]
    base = int(np.searchsorted(sorted_slots, 0))
    order, sorted_slots = order[base:], sorted_slots[base:]
    present, starts, sizes = np.unique(sorted_slots, return_index=True, return_counts=True)
    size = plan.tile(len(order))
    tiles = -(-sizes // size)
    owner = np.repeat(np.arange(len(present)), tiles)
    done = (np.arange(len(owner)) - (np.cumsum(tiles) - tiles)[owner]) * size
    return Tiles(
        order.astype(np.int32),
        present[owner].astype(np.int32),
        (starts[owner] + done).astype(np.int32),
        np.minimum(sizes[owner] - done, size).astype(np.int32),
    )


class TableTensors(NamedTuple):
    """What the kernel reads of a table, int32: `used` [1], the number of tiles, and `Tiles`."""

    used: Tensor
    slots: Tensor
    firsts: Tensor
    counts: Tensor
    order: Tensor


class Table:
    """The work table on the device, at fixed addresses, for any step up to a number of tokens.

    Safe for CUDA graphs: a graph reads it when it is replayed, so what was written last counts. A
    batch padded beyond its tokens changes nothing, as padding is in no tile.

    Attributes:
        plan: which cuts the tiles.
        tokens: most tokens of a step.
        slots: slots are below this.
        tensors: on the device.
    """

    def __init__(self, plan: Plan, tokens: int, slots: int, device: torch.device) -> None:
        self.plan = plan
        self.tokens = tokens
        self.slots = slots
        tiles = most_tiles(tokens, slots, plan.narrow.tokens)
        sizes = [-(-size // _ALIGNED) * _ALIGNED for size in (1, tiles, tiles, tiles, tokens)]
        ends = np.cumsum(sizes).tolist()
        self._starts = [0, *ends[:-1]]
        self._packed = torch.zeros(ends[-1], dtype=torch.int32, device=device)
        self.tensors = TableTensors(
            *(self._packed[start:end] for start, end in zip(self._starts, ends, strict=True))
        )
        self._last = np.zeros(0, dtype=np.int64)
        self._tiles = 0
        self._used = 0

    @property
    def reach(self) -> int:
        """Tokens of the step last written, 0 if all are the base's: no position is beyond."""
        return len(self._last) if self._used else 0

    def write(self, per_token: NDArray[np.int64]) -> None:
        """Lays out the next step, on the current stream.

        Args:
            per_token: [T] slot of each token, negative for the base; T up to `tokens`.

        Raises:
            ValueError: more tokens, or a larger slot, than the table was made for.
        """
        largest = int(per_token.max(initial=-1))
        if len(per_token) > self.tokens or largest >= self.slots:
            raise ValueError(
                f"work table: expected up to {self.tokens} tokens of slots below {self.slots}, "
                f"found {len(per_token)} tokens, largest slot {largest}; make the table for the "
                "engine's max_num_batched_tokens and the pools' slots"
            )
        if largest < 0:
            self._use(0)
        elif np.array_equal(per_token, self._last):
            self._use(self._tiles)
        else:
            self._copy(cut(per_token, self.plan))
            self._last = per_token.copy()

    def _use(self, tiles: int) -> None:
        """Of the table as it is, so many tiles."""
        if tiles != self._used:
            self.tensors.used.fill_(tiles)
            self._used = tiles

    def _copy(self, tiles: Tiles) -> None:
        host = torch.from_numpy(self._pack(tiles))
        if self._packed.is_cuda:
            # Fresh pinned memory each time: torch keeps it until the copy has run, and hands the
            # same few blocks out again. A buffer of our own could be overwritten too early.
            host = host.pin_memory()
        self._packed.copy_(host, non_blocking=True)
        self._tiles = self._used = len(tiles.slots)

    def _pack(self, tiles: Tiles) -> NDArray[np.int32]:
        """All parts in one array; tiles beyond those used have count 0."""
        packed = np.zeros(len(self._packed), dtype=np.int32)
        used = np.array([len(tiles.slots)], dtype=np.int32)
        parts = (used, tiles.slots, tiles.firsts, tiles.counts, tiles.order)
        for start, part in zip(self._starts, parts, strict=True):
            packed[start : start + len(part)] = part
        return packed


def most_tiles(tokens: int, slots: int, size: int) -> int:
    """Tiles that a step can need at most: one a slot, and one for each `size` tokens more."""
    present = min(tokens, slots)
    return present + (tokens - present) // size
