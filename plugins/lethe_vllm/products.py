"""The edit of one group's tokens by products, as fast as they come on a CPU.

    z = A x + a;  y += g(x) B^T z

A product has a fixed cost, which is most of what one token's takes. So variants are multiplied
together, all of them or `Apart.block` at a time: every token by every variant's rows, and a mask
leaves each its own.
"""

import functools

import torch
from torch import Tensor
from torch.nn import functional

from lethe_vllm.factors import Factors, Gates
from lethe_vllm.layout import Apart, Group, Together


def arranged(stack: Factors, group: Group) -> Factors:
    """A stack in the order of `group.slots` as `apply_` wants it, a view.

    [G * k, ...] of variants that are multiplied together, else [G / block, block * k, ...].
    """
    if isinstance(group, Apart):
        return stack.in_blocks(group.block)
    return stack.map(lambda part: part.flatten(0, 1))


def apply_(y: Tensor, x: Tensor, residual: Tensor | None, group: Group, factors: Factors) -> None:
    """Edits one group's tokens of `y` in place.

    Args:
        y: [T, d_out] written.
        x: [T, d_in] read.
        residual: [T, d_in] added to what is read, or None.
        group: which tokens.
        factors: `arranged` for it.
    """
    read = _rows(x, group) if residual is None else _rows(x, group) + _rows(residual, group)
    if isinstance(group, Together):
        _together_(y, read, group, factors)
    elif isinstance(group, Apart):
        _apart_(y, read.view(len(factors.A), -1, read.shape[1]), group, factors)


def _rows(activations: Tensor, group: Group) -> Tensor:
    if isinstance(group.rows, slice):
        return activations[group.rows]
    # A quarter of the time of indexing by a tensor.
    return activations.index_select(0, group.rows)


def _together_(y: Tensor, read: Tensor, group: Together, factors: Factors) -> None:
    """`read` [t, d_in], factors [k, ...] for the k rows of all variants."""
    z = functional.linear(read, factors.A, factors.a)
    if factors.gates is not None:
        gates = factors.gates
        z *= _opened(torch.addmm(gates.b, read.float(), gates.w.T), gates).to(z.dtype)
    if len(group.slots) > 1:
        _leave_own_(z, group.others(len(factors.A) // len(group.slots)))
    if isinstance(group.rows, slice):
        y[group.rows].addmm_(z, factors.B)
    else:
        y.index_add_(0, group.rows, z @ factors.B)


def _apart_(y: Tensor, read: Tensor, group: Apart, factors: Factors) -> None:
    """`read` [n, t, d_in], factors [n, k, ...]."""
    z = torch.bmm(read, factors.A.transpose(1, 2))
    if factors.a is not None:
        z += factors.a[:, None]
    if factors.gates is not None:
        gates = factors.gates
        logits = torch.baddbmm(gates.b[:, None], read.float(), gates.w.transpose(1, 2))
        z *= _opened(logits, gates).to(z.dtype)
    if group.block > 1:
        _leave_own_(z, _others(group.block, z.shape[-1] // group.block))
    if isinstance(group.rows, slice):
        y[group.rows].view(len(z), -1, y.shape[1]).baddbmm_(z, factors.B)
        return
    change = torch.bmm(z, factors.B).flatten(0, 1)
    if group.valid is None:
        y.index_add_(0, group.rows, change)
    else:
        y.index_add_(0, group.rows[group.valid], change[group.valid])


def _opened(logits: Tensor, gates: Gates) -> Tensor:
    """How far each row's gate opens to each token; logits [..., t, k] in float32."""
    hard = gates.hard.unsqueeze(-2)
    return torch.where(hard, (logits > 0).float(), logits.sigmoid())


def _leave_own_(z: Tensor, others: Tensor) -> None:
    # Filled, not multiplied: whatever another variant's rows make of this token, even inf.
    z.masked_fill_(others, 0)


@functools.lru_cache(maxsize=64)
def _others(block: int, rank: int) -> Tensor:
    """[block, block * rank] bool: which rows are not those of the token's own variant."""
    return ~torch.eye(block, dtype=torch.bool).repeat_interleave(rank, 1)
