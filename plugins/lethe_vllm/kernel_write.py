"""The second phase of the edit's kernel: z from the sums, and B^T z into y. Device code.

Offsets are in 32 bits: `pool` and `launch` refuse tensors of 2^31 elements or more.
"""

import triton
import triton.language as tl


@triton.jit
def finish(
    pool, sums, ready, token, real, slot, rank, splits,
    BLOCK_T: tl.constexpr, BLOCK_K: tl.constexpr, BLOCK_S: tl.constexpr,
):  # fmt: skip
    """Leaves g (A x + a), [BLOCK_T, rank], in `ready`, of its dtype; then 0 to the block's end."""
    gated = tl.load(pool.gate_counts + slot) > 0
    for first in range(0, rank, BLOCK_K):
        k = first + tl.arange(0, BLOCK_K)
        used = k < rank
        row = tl.load(pool.rows + slot * pool.rank_limit + k, mask=used, other=0)
        mask = real[:, None] & used[None, :]
        z = _total(pool, sums, token, k, mask, splits, BLOCK_T, BLOCK_K, BLOCK_S)
        z += tl.load(pool.a + row, mask=used, other=0.0)[None, :]
        if gated:
            place = tl.load(pool.gate + row, mask=used, other=-1)
            gate = tl.load(pool.gates + slot * pool.gate_limit + place, mask=place >= 0, other=0)
            mask &= (place >= 0)[None, :]
            column = pool.rank_limit + place
            logit = _total(pool, sums, token, column, mask, splits, BLOCK_T, BLOCK_K, BLOCK_S)
            logit += tl.load(pool.b + gate)[None, :]
            hard = tl.load(pool.hard + gate) != 0
            opened = tl.where(hard[None, :], (logit > 0).to(tl.float32), tl.sigmoid(logit))
            z = tl.where(mask, z * opened, z)
        mask = real[:, None] & (k < pool.rank_limit)[None, :]
        tl.store(ready[:, None] + k[None, :], z.to(ready.dtype.element_ty), mask=mask)
    tl.debug_barrier()


@triton.jit
def _total(
    pool, sums, token, column, mask, splits,
    BLOCK_T: tl.constexpr, BLOCK_K: tl.constexpr, BLOCK_S: tl.constexpr,
):  # fmt: skip
    """[BLOCK_T, BLOCK_K]: columns of `sums`, added over the splits, always in one order."""
    width = pool.rank_limit + pool.gate_limit
    total = tl.zeros((BLOCK_T, BLOCK_K), dtype=tl.float32)
    for first in range(0, splits, BLOCK_S):
        split = first + tl.arange(0, BLOCK_S)
        at = (token[:, None, None] * splits + split[None, None, :]) * width + column[None, :, None]
        # .cg: past the first-level cache, which does not see what other multiprocessors store.
        parts = tl.load(
            sums + at, mask=mask[:, :, None] & (split < splits)[None, None, :], other=0.0,
            cache_modifier=".cg",
        )  # fmt: skip
        total += tl.sum(parts, axis=2)
    return total


@triton.jit
def write(
    io, pool, ready, position, real, slot, rank, split, splits,
    BLOCK_T: tl.constexpr, BLOCK_K: tl.constexpr, BLOCK_D: tl.constexpr,
):  # fmt: skip
    """Adds B^T z to this split's share of d_out, in float32, rounded once.

    Columns and ranks are one loop, since Triton prefetches in innermost loops only.
    """
    share = tl.cdiv(tl.cdiv(io.d_out, BLOCK_D), splits) * BLOCK_D
    start = split * share
    stop = tl.minimum(start + share, io.d_out)
    blocks = tl.cdiv(rank, BLOCK_K)
    k = tl.arange(0, BLOCK_K)
    row = tl.load(pool.rows + slot * pool.rank_limit + k, mask=k < rank, other=0)
    column = tl.arange(0, BLOCK_D)
    y = io.y + position[:, None] * io.y_stride + column[None, :]
    old = tl.load(y + start, mask=real[:, None] & (start + column < stop)[None, :], other=0.0)
    total = tl.zeros((BLOCK_T, BLOCK_D), dtype=tl.float32)
    for step in range(0, tl.cdiv(tl.maximum(stop - start, 0), BLOCK_D) * blocks):
        first = start + step // blocks * BLOCK_D
        k = step % blocks * BLOCK_K + tl.arange(0, BLOCK_K)
        if blocks > 1:
            row = tl.load(pool.rows + slot * pool.rank_limit + k, mask=k < rank, other=0)
        # Not k < rank: the limit is a multiple of 16, so that whole vectors are loaded.
        mask = real[:, None] & (k < pool.rank_limit)[None, :]
        z = tl.load(ready[:, None] + k[None, :], mask=mask, other=0.0)
        B = tl.load(
            pool.B + row[:, None] * io.d_out + (first + column)[None, :],
            mask=(k < rank)[:, None] & (first + column < stop)[None, :], other=0.0,
        )  # fmt: skip
        last = step % blocks == blocks - 1
        # Asked for a step ahead, since Triton prefetches by itself only what is multiplied.
        mask = real[:, None] & (first + BLOCK_D + column < stop)[None, :] & last
        coming = tl.load(y + (first + BLOCK_D), mask=mask, other=0.0)
        total = tl.where(step % blocks == 0, old.to(tl.float32), total)
        total = tl.dot(z, B, total, input_precision="ieee")
        if last:
            mask = real[:, None] & (first + column < stop)[None, :]
            tl.store(y + first, total.to(old.dtype), mask=mask)
            old = coming
