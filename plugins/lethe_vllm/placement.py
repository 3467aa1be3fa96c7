"""Where and how a worker runs its part of the model."""

from dataclasses import dataclass, replace

import torch

from lethe_projections.projector import Projector


@dataclass(frozen=True)
class Shard:
    """The slice of a `down_proj` input that this tensor-parallel rank sees."""

    rank: int = 0
    size: int = 1


@dataclass(frozen=True)
class Placement:
    """Where and how a worker runs its part of the model."""

    dtype: torch.dtype
    device: torch.device
    shard: Shard = Shard()


def cut(edit: Projector, shard: Shard) -> Projector:
    """What this rank reads and adds of an edit.

    Under tensor parallelism a `down_proj` reads a shard of columns, and partial products add up in
    vLLM's all-reduce; so the bias before it is rank 0's alone to add.
    """
    if not edit.reads_input or shard.size == 1:
        return edit
    A = edit.A.chunk(shard.size, dim=1)[shard.rank].contiguous()
    return replace(edit, A=A, a=edit.a if shard.rank == 0 else None, orthonormal=False)
