"""The edit of a batch, as one Triton kernel. Device code, which `launch` alone calls.

    z = A x + a;  y += g(x) B^T z     for the tokens of the work table; no other row is touched

A program takes items until none is left. An item is a tile, up to so many tokens of one slot, or
one split of it, in two phases: read its share of d_in and leave partial sums of A x; meet the
tile's other splits; add the sums up and write its share of d_out.

Why in two phases: all of x goes into each z, and at most sites x is y itself, of which nothing may
be written before all is read. Why split at all: one multiprocessor of a hundred takes in a few
hundredths of what memory can give, so a few tokens with large factors, a program each, would leave
most of it idle. Why not compute z again in each split: that reads all of A each time, gains a
factor of two at most, and races with the writes. Why not two launches: a site that nobody uses
would cost two idle launches a step instead of one.

Sums are added in the same order each time, so the same step gives the same bits.
"""

import triton
import triton.language as tl

from lethe_vllm.kernel_read import gate, project
from lethe_vllm.kernel_write import finish, write


@triton.jit
def edit(
    io, pool, table, partial, ready, meeting,
    HAS_RESIDUAL: tl.constexpr, READS: tl.constexpr, WRITES: tl.constexpr, SPLITS: tl.constexpr,
    NARROW: tl.constexpr, WIDE: tl.constexpr,
):  # fmt: skip
    """Edits `io.y` in place. If fused, all programs of the grid must be able to run at once.

    Args:
        io: `launch.Activations`.
        pool: `pool_tensors.PoolTensors`.
        table: `tiles.TableTensors`.
        partial: float32 [N * splits, K + gates of a slot]: a row for each token of the table and
            split, its sums over the split's share of d_in: A x, then w.x of the slot's gates.
        ready: [N * splits, K] of the factors' dtype, g (A x + a); each split has its own.
        meeting: int32 [programs, 2], how many splits of a tile came and went; 0 between launches.
        HAS_RESIDUAL: what is read is x + residual.
        READS: run the first phase.
        WRITES: run the second. With both, splits wait for each other in between.
        SPLITS: most splits of a tile.
        NARROW: `plan.Block` for tiles of up to NARROW[0] tokens.
        WIDE: `plan.Block` for the others.
    """
    tiles = tl.load(table.used)
    splits = tl.minimum(tl.maximum(tl.num_programs(0) // tl.maximum(tiles, 1), 1), SPLITS)
    for item in range(tl.program_id(0), tiles * splits, tl.num_programs(0)):
        tile = item // splits
        slot = tl.load(table.slots + tile)
        if tl.load(pool.ranks + slot) > 0:
            if tl.load(table.counts + tile) <= NARROW[0]:
                _edit_tile(
                    io, pool, table, partial, ready, meeting, tile, slot, item % splits, splits,
                    HAS_RESIDUAL, READS, WRITES, NARROW[0], NARROW[1], NARROW[2], NARROW[3],
                )  # fmt: skip
            else:
                _edit_tile(
                    io, pool, table, partial, ready, meeting, tile, slot, item % splits, splits,
                    HAS_RESIDUAL, READS, WRITES, WIDE[0], WIDE[1], WIDE[2], WIDE[3],
                )  # fmt: skip


@triton.jit
def _edit_tile(
    io, pool, table, partial, ready, meeting, tile, slot, split, splits,
    HAS_RESIDUAL: tl.constexpr, READS: tl.constexpr, WRITES: tl.constexpr,
    BLOCK_T: tl.constexpr, BLOCK_K: tl.constexpr, BLOCK_D: tl.constexpr, BLOCK_S: tl.constexpr,
):  # fmt: skip
    """One split of a tile, through one phase or both."""
    first = tl.load(table.firsts + tile)
    token = tl.arange(0, BLOCK_T)
    real = token < tl.load(table.counts + tile)
    position = tl.load(table.order + first + token, mask=real, other=0)
    rank = tl.load(pool.ranks + slot)
    width = pool.rank_limit + pool.gate_limit
    # The first of the tile's rows in 64 bits; what is added to it stays within 32.
    sums = partial + first.to(tl.int64) * splits * width
    if READS:
        mine = sums + split * width + token * splits * width
        project(
            io, pool, mine, position, real, slot, rank, split, splits,
            HAS_RESIDUAL, BLOCK_T, BLOCK_K, BLOCK_D,
        )  # fmt: skip
        gate(io, pool, mine, position, real, slot, split, splits, HAS_RESIDUAL, BLOCK_T, BLOCK_D)
    if READS and WRITES:
        _meet(meeting + 2 * tile, splits)
    if WRITES:
        z = ready + (first.to(tl.int64) * splits + split) * pool.rank_limit
        z += token * splits * pool.rank_limit
        finish(pool, sums, z, token, real, slot, rank, splits, BLOCK_T, BLOCK_K, BLOCK_S)
        write(io, pool, z, position, real, slot, rank, split, splits, BLOCK_T, BLOCK_K, BLOCK_D)


@triton.jit
def _meet(meeting, splits):
    """Returns once every split of the tile has come, and shows what each stored before it came.

    A barrier before and after, since one thread of a program counts for all of them.
    """
    tl.debug_barrier()
    if splits > 1:
        tl.atomic_add(meeting, 1, sem="release", scope="gpu")
        while tl.atomic_add(meeting, 0, sem="acquire", scope="gpu") < splits:
            pass
        # The last to go sets both counts back, for the next launch: none reads them any more.
        if tl.atomic_add(meeting + 1, 1, sem="acq_rel", scope="gpu") == splits - 1:
            tl.store(meeting, 0)
            tl.store(meeting + 1, 0)
        tl.debug_barrier()
