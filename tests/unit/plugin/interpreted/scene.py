"""A site with resident profiles, a batch, and what the formula in fp64 makes of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lethe_projections import reference
from lethe_projections.projector import Gate, Projector, Site
from lethe_vllm import launch
from lethe_vllm.plan import Block, Plan
from lethe_vllm.pool import Pool
from lethe_vllm.pool_tensors import Capacity
from lethe_vllm.tiles import Table
from tests.unit.plugin.interpreted import bfloat16  # noqa: F401  (patches the interpreter)

CPU = torch.device("cpu")
TOKENS = 320
TOLERANCE = {torch.float32: 2e-6, torch.float16: 1e-3, torch.bfloat16: 6e-3}
"""Relative errors: of float32's sums; else of z and y, each rounded to the dtype once."""

SMALL = Plan(Block(16, 16, 32, 4), Block(32, 32, 32, 1), programs=8, splits=4, fused=False)
"""Blocks so small that little tensors have several of each kind."""


def edits(
    rank: int, seed: int, d_in: int = 96, d_out: int = 96, gates: Sequence[bool | None] = (None,)
) -> list[Projector]:
    """One edit for each of `gates`: hard, soft, or none."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    return [
        Projector(
            Site(3, "mlp" if d_in == d_out else "down_proj"),
            normal(rank, d_in) / d_in**0.5, normal(rank, d_out),
            normal(rank) if seed % 2 else None,
            None if hard is None else Gate(normal(d_in) / d_in**0.5, 0.1, hard),
        )
        for hard in gates
    ]  # fmt: skip


@dataclass
class Scene:
    """One site. `held` is what each slot holds there."""

    dtype: torch.dtype
    plan: Plan
    held: Mapping[int, list[Projector]]
    d_in: int = 96
    d_out: int = 96

    def __post_init__(self) -> None:
        ranks = [sum(edit.rank for edit in slot) for slot in self.held.values()]
        capacity = Capacity(
            max(self.held) + 1, sum(ranks), -(-max(ranks) // 16) * 16,
            gates=2 * len(ranks), slot_gates=2,
        )  # fmt: skip
        self.pool = Pool(capacity, self.d_in, self.d_out, self.dtype, CPU)
        for slot, found in self.held.items():
            self.pool.put(slot, found)
        self.table = Table(self.plan, TOKENS, capacity.slots, CPU)
        self.space = launch.Workspace(self.plan, capacity, TOKENS, self.dtype, CPU)
        # What a launch does not write itself, it may not read.
        self.space.partial.fill_(float("nan"))
        self.space.ready.fill_(float("nan"))

    def run(
        self, slots: NDArray[np.int64], y: Tensor, x: Tensor | None, residual: Tensor | None
    ) -> Tensor:
        """The edited copy of `y`."""
        edited = y.clone()
        self.table.write(slots)
        launch.edit_(edited, x, residual, self.pool.at(0), self.table, self.space)
        assert not self.space.meeting.any()
        return edited

    def change(self, slots: NDArray[np.int64], read: Tensor) -> Tensor:
        """What the formula adds to each token, fp64, with factors as the dtype holds them."""
        wanted = torch.zeros(len(slots), self.d_out, dtype=torch.float64)
        for slot, found in self.held.items():
            tokens = np.flatnonzero(slots == slot)
            for edit in found:
                cast = replace(
                    edit, A=edit.A.to(self.dtype).float(), B=edit.B.to(self.dtype).float()
                )
                wanted[tokens] += reference.change(cast, read[tokens].double())
        return wanted


def check(scene: Scene, slots: Sequence[int], hook: str = "mlp") -> Tensor:
    """Runs a batch, compares it with the formula, and returns the outcome."""
    owners = np.asarray(slots, dtype=np.int64)
    generator = torch.Generator().manual_seed(len(slots))

    def normal(width: int) -> Tensor:
        return torch.randn(len(owners), width, generator=generator).to(scene.dtype)

    y = normal(scene.d_out)
    x = normal(scene.d_in) if hook == "down_proj" else None
    residual = normal(scene.d_in) if hook == "block" else None
    read = y if x is None else x
    if residual is not None:
        read = read + residual
    edited = scene.run(owners, y, x, residual)
    wanted = scene.change(owners, read)
    error = (edited.double() - y.double() - wanted).norm() / (wanted.norm() + y.double().norm())
    assert error < TOLERANCE[scene.dtype], f"relative error {error:.2e}"
    unheld = ~np.isin(owners, list(scene.held))
    assert torch.equal(edited[unheld], y[unheld]), "a token of the base moved"
    moved = (edited != y).any(dim=1)
    assert torch.equal(moved, wanted.abs().sum(dim=1) > 0), "a token was not edited"
    return edited
