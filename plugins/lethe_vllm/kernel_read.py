"""The first phase of the edit's kernel: sums over one split's share of d_in. Device code.

Offsets are in 32 bits: `pool` and `launch` refuse tensors of 2^31 elements or more.
"""

import triton
import triton.language as tl


@triton.jit
def project(
    io, pool, sums, position, real, slot, rank, split, splits,
    HAS_RESIDUAL: tl.constexpr,
    BLOCK_T: tl.constexpr, BLOCK_K: tl.constexpr, BLOCK_D: tl.constexpr,
):  # fmt: skip
    """Leaves A x, [BLOCK_T, rank] float32, in `sums`; a rank beyond BLOCK_K reads x again."""
    share = tl.cdiv(tl.cdiv(io.d_in, BLOCK_D), splits) * BLOCK_D
    stop = tl.minimum(split * share + share, io.d_in)
    for first in range(0, rank, BLOCK_K):
        k = first + tl.arange(0, BLOCK_K)
        used = k < rank
        row = tl.load(pool.rows + slot * pool.rank_limit + k, mask=used, other=0)
        z = tl.zeros((BLOCK_T, BLOCK_K), dtype=tl.float32)
        for start in range(split * share, stop, BLOCK_D):
            d = start + tl.arange(0, BLOCK_D)
            x = _input(io, position, real, d, HAS_RESIDUAL)
            A = tl.load(
                pool.A + row[:, None] * io.d_in + d[None, :],
                mask=used[:, None] & (d < io.d_in)[None, :], other=0.0,
            )  # fmt: skip
            z = tl.dot(x, tl.trans(A), z, input_precision="ieee")
        tl.store(sums[:, None] + k[None, :], z, mask=real[:, None] & used[None, :])


@triton.jit
def gate(
    io, pool, sums, position, real, slot, split, splits,
    HAS_RESIDUAL: tl.constexpr, BLOCK_T: tl.constexpr, BLOCK_D: tl.constexpr,
):  # fmt: skip
    """Leaves w.x of each of the slot's gates behind the columns of A x.

    Multiplied and added in float32, never on tensor cores, which would round w: the sign of the sum
    decides a hard gate. A slot without gates reads nothing.
    """
    share = tl.cdiv(tl.cdiv(io.d_in, BLOCK_D), splits) * BLOCK_D
    stop = tl.minimum(split * share + share, io.d_in)
    for place in range(0, tl.load(pool.gate_counts + slot)):
        w = pool.w + tl.load(pool.gates + slot * pool.gate_limit + place) * io.d_in
        logit = tl.zeros((BLOCK_T,), dtype=tl.float32)
        for start in range(split * share, stop, BLOCK_D):
            d = start + tl.arange(0, BLOCK_D)
            x = _input(io, position, real, d, HAS_RESIDUAL)
            weight = tl.load(w + d, mask=d < io.d_in, other=0.0)
            logit += tl.sum(x.to(tl.float32) * weight[None, :], axis=1)
        tl.store(sums + pool.rank_limit + place, logit, mask=real)


@triton.jit
def _input(io, position, real, d, HAS_RESIDUAL: tl.constexpr):
    """What the site reads, [BLOCK_T, BLOCK_D]; x + residual is rounded to the model's dtype."""
    mask = real[:, None] & (d < io.d_in)[None, :]
    x = tl.load(io.x + position[:, None] * io.x_stride + d[None, :], mask=mask, other=0.0)
    if HAS_RESIDUAL:
        at = io.residual + position[:, None] * io.residual_stride + d[None, :]
        residual = tl.load(at, mask=mask, other=0.0)
        x = (x.to(tl.float32) + residual.to(tl.float32)).to(x.dtype)
    return x
