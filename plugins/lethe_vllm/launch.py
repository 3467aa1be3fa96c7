"""Runs the edit's kernel on one site's tensors. Importing this module needs Triton.

What it is given lies at fixed addresses, and the grid depends on the device alone, so a launch
captured into a CUDA graph is right for every later step: what to do is in the table and the pool.
Launch it once before a capture; the first launch compiles.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from lethe_vllm import kernel
from lethe_vllm.plan import Plan
from lethe_vllm.pool_tensors import Capacity, PoolTensors
from lethe_vllm.tiles import Table

_INT32 = 2**31


class Activations(NamedTuple):
    """What the kernel reads and writes.

    Attributes:
        y: [T, d_out], written in place.
        x: [T, d_in], may be y.
        residual: [T, d_in], added to x; x again where there is none.
        y_stride: elements from row to row; so for the others.
        x_stride: of x.
        residual_stride: of residual.
        d_in: width of what is read.
        d_out: width of what is written.
    """

    y: Tensor
    x: Tensor
    residual: Tensor
    y_stride: int
    x_stride: int
    residual_stride: int
    d_in: int
    d_out: int


class Workspace:
    """Scratch memory that all sites share, since one runs after the other, on one stream.

    Attributes:
        partial: float32, sums that splits leave for each other.
        ready: of the model's dtype, z with its gate.
        meeting: int32 [programs, 2], zero between launches.
    """

    def __init__(
        self, plan: Plan, capacity: Capacity, tokens: int, dtype: torch.dtype, device: torch.device
    ) -> None:
        # A tile is split only while there are fewer tiles than programs, so N * splits, with N the
        # tokens of the table, is bounded either by N or by a full tile for each program.
        rows = max(tokens, plan.programs * plan.wide.tokens)
        columns = capacity.rank + capacity.slot_gates
        self.partial = torch.zeros(rows * columns, dtype=torch.float32, device=device)
        self.ready = torch.zeros(rows * capacity.rank, dtype=dtype, device=device)
        self.meeting = torch.zeros(plan.programs, 2, dtype=torch.int32, device=device)

    @property
    def nbytes(self) -> int:
        """Device memory taken."""
        return self.partial.nbytes + self.ready.nbytes + self.meeting.nbytes


def edit_(
    y: Tensor,
    x: Tensor | None,
    residual: Tensor | None,
    pool: PoolTensors,
    table: Table,
    space: Workspace,
) -> None:
    """Adds g(x) B^T (A x + a) to the tokens of `table`; every other row keeps its bits.

    Args:
        y: [T, d_out] of the pool's dtype.
        x: [T, d_in], or None where the site reads what it writes.
        residual: [T, d_in] added to what is read, or None.
        pool: the site's factors, `Pool.at`.
        table: the step's work, of up to T tokens.
        space: made for the same plan and capacity.

    Raises:
        ValueError: shapes, dtypes, devices or layouts break the above.
    """
    read = y if x is None else x
    _check_reach(y, table)
    _check(y, read, residual, pool)
    more = read if residual is None else residual
    strides = (y.stride(0), read.stride(0), more.stride(0))
    io = Activations(y, read, more, *strides, read.shape[1], y.shape[1])
    plan = table.plan
    for reads, writes in ((True, True),) if plan.fused else ((True, False), (False, True)):
        kernel.edit[(plan.programs,)](
            io, pool, table.tensors, space.partial, space.ready, space.meeting,
            HAS_RESIDUAL=residual is not None, READS=reads, WRITES=writes, SPLITS=plan.splits,
            NARROW=plan.narrow, WIDE=plan.wide, num_warps=plan.warps, num_stages=plan.stages,
        )  # fmt: skip


def _check_reach(y: Tensor, table: Table) -> None:
    if table.reach > y.shape[0]:
        raise ValueError(
            f"edit: expected a table of up to {y.shape[0]} tokens, as y, found {table.reach}; "
            "write the step's own before it runs, an empty one before a dummy run"
        )


def _check(y: Tensor, x: Tensor, residual: Tensor | None, pool: PoolTensors) -> None:
    A, B = pool.A, pool.B
    wanted = {"y": (y, B.shape[1]), "x": (x, A.shape[1])}
    if residual is not None:
        wanted["residual"] = (residual, A.shape[1])
    for name, (tensor, width) in wanted.items():
        shape = (y.shape[0], width)
        if tensor.shape != shape or tensor.dtype != A.dtype or tensor.device != A.device:
            raise ValueError(
                f"edit: expected {name} {list(shape)} {A.dtype} on {A.device}, as its pool, found "
                f"{list(tensor.shape)} {tensor.dtype} on {tensor.device}; edit at the pool's site"
            )
        if tensor.stride(1) != 1 or tensor.shape[0] * tensor.stride(0) >= _INT32:
            raise ValueError(
                f"edit: expected {name} with contiguous rows and fewer than 2^31 elements, found "
                f"strides {tensor.stride()} over {list(tensor.shape)}; make it contiguous, or "
                "lower max_num_batched_tokens"
            )
