"""How the kernel cuts its work: block sizes by a table, never by timing inside a graph capture.

What it is keyed by, and where each key is looked at:

* tokens: a tile's own number decides, in the kernel, between a narrow and a wide block; so a long
  prefill and the decodes beside it each get theirs, and a graph captured for a padded batch holds
  both.
* rank: a loop over blocks of ranks; factors of a pool that holds none beyond 16 take half a block.
* width: a loop over blocks of columns, the last one masked.

The sizes were chosen so that Triton 3.7's code for sm_90 in bfloat16 spills no register, with four
stages of loads in flight; they were not timed yet. `benchmarks.gpu --sweep` times others.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch

from lethe_vllm.errors import UnsupportedError

INTERPRETED_PROGRAMS = 8
"""Programs of a launch on the CPU, where Triton's interpreter runs one after the other."""


class Block(NamedTuple):
    """Sizes of the pieces that a program holds at once; powers of two.

    Attributes:
        tokens: of one tile; 16 is what a tensor core multiplies at the least.
        rank: rows of the factors.
        columns: of d_in or d_out.
        partials: sums over shares of d_in that are loaded together.
    """

    tokens: int
    rank: int
    columns: int
    partials: int


@dataclass(frozen=True)
class Plan:
    """How a launch is cut.

    Attributes:
        narrow: for tiles of up to `narrow.tokens`.
        wide: for the others.
        programs: size of the grid. If fused, all must be able to run at the same time.
        splits: most programs that share a tile; they share it while there are more programs than
            tiles. 1 never splits.
        fused: both phases in one launch, whose programs wait for each other where a tile is split.
            Otherwise a launch for each.
        warps: of a program.
        stages: of loads in flight.
    """

    narrow: Block
    wide: Block
    programs: int
    splits: int = 16
    fused: bool = True
    warps: int = 8
    stages: int = 4

    def tile(self, tokens: int) -> int:
        """Tokens to a tile in a step that edits `tokens`: narrow, until that keeps all busy."""
        return (self.narrow if tokens <= self.narrow.tokens * self.programs else self.wide).tokens


BLOCKS = {
    2: (Block(16, 32, 256, 16), Block(64, 64, 64, 1)),
    4: (Block(16, 32, 128, 8), Block(32, 32, 64, 1)),
}
"""By the size of an element in bytes."""


def choose(dtype: torch.dtype, rank: int, device: torch.device) -> Plan:
    """The plan of an engine.

    Args:
        dtype: the model's.
        rank: largest rank that a slot may have (`pool.Capacity.rank`).
        device: where it runs; "cpu" means Triton's interpreter.

    Raises:
        UnsupportedError: no blocks are known for the dtype.
    """
    if not dtype.is_floating_point or dtype.itemsize not in BLOCKS:
        raise UnsupportedError(
            f"edit kernel: expected float32, float16 or bfloat16, found {dtype}; start the engine "
            "with one of them"
        )
    narrow, wide = BLOCKS[dtype.itemsize]
    if rank <= 16:
        narrow, wide = narrow._replace(rank=16), wide._replace(rank=16)
    if device.type == "cpu":
        # One program runs to its end before the next begins, so none may wait for another.
        return Plan(narrow, wide, INTERPRETED_PROGRAMS, splits=4, fused=False)
    # One program to a multiprocessor: then all run at once, whatever each needs of it.
    return Plan(narrow, wide, torch.cuda.get_device_properties(device).multi_processor_count)
