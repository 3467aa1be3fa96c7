"""Several sites as a case wants them, on a device, with random factors and activations."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.gpu.cases import Case
from lethe_vllm import launch
from lethe_vllm.plan import Plan
from lethe_vllm.pool import Pool
from lethe_vllm.pool_tensors import Capacity
from lethe_vllm.tiles import Table


class Scene:
    """`sites` sites one after the other, as the layers of a model.

    Attributes:
        case: as built.
        pools: the factors of each site.
        ys: what each writes.
        xs: what each reads, or None where it reads what it writes.
        residuals: or None where there is none.
        owners: [T] slot of each token.
    """

    def __init__(
        self, case: Case, plan: Plan, dtype: torch.dtype, device: torch.device, sites: int = 1
    ) -> None:
        self.case = case
        slots = max(case.profiles, 1)
        rank = -(-case.rank // 16) * 16
        capacity = Capacity(slots, slots * case.rank, rank)
        self.owners = _owners(case)
        self.table = Table(plan, case.tokens, slots, device)
        self.table.write(self.owners)
        self.space = launch.Workspace(plan, capacity, case.tokens, dtype, device)
        self.pools = []
        for _ in range(sites):
            self.pools.append(Pool(capacity, case.d_in, case.d_out, dtype, device))
            _fill(self.pools[-1], case)

        def normal(width: int) -> Tensor:
            return torch.randn(case.tokens, width, device=device, dtype=dtype)

        self.ys = [normal(case.d_out) for _ in range(sites)]
        self.xs = [normal(case.d_in) if case.hook == "down_proj" else None for _ in range(sites)]
        self.residuals = [normal(case.d_in) if case.hook == "block" else None for _ in range(sites)]

    def run(self) -> None:
        """Every site once."""
        for y, x, residual, pool in zip(self.ys, self.xs, self.residuals, self.pools, strict=True):
            launch.edit_(y, x, residual, pool.at(0), self.table, self.space)


def _owners(case: Case) -> NDArray[np.int64]:
    if not case.profiles:
        return np.full(case.tokens, -1)
    shuffled = np.random.default_rng(0).permutation(case.profiles)
    return np.repeat(shuffled, case.tokens // case.profiles)


def _fill(pool: Pool, case: Case) -> None:
    """Puts every profile into rows that lie anywhere, as after many came and went.

    Written straight into the tensors, since `Pool.put` takes factors from the host. Edits are so
    small that y, edited over and over, stays as large as it is.
    """
    t = pool.tensors
    t.A.normal_(std=case.d_in**-0.5)
    t.B.normal_(std=1e-4)
    rows = torch.randperm(t.A.shape[0], device=t.A.device)
    slots = pool.capacity.slots
    t.rows[:slots, : case.rank] = rows.view(slots, case.rank).to(t.rows)
    t.ranks[:slots] = case.rank
