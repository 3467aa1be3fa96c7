"""The edit itself, as one custom op per site that torch.compile traces and never looks into.

    z = A x + a;  y += g(x) B^T z     for the tokens of each variant; the base's are not touched

What to do is read from `live` when the op runs, so one compiled graph serves every batch.
"""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from lethe_projections.projector import HOOKS, Site
from lethe_vllm.bank import FactorBank, Factors, Gates
from lethe_vllm.routing import Group, Router


@dataclass
class Live:
    """The state of this process's engine that the op reads.

    Attributes:
        bank: resident factors; None until sites are installed.
        router: requests in the worker.
        groups: the current step's layout; empty outside a step and when all tokens are base.
        reached: while not None, every site that runs adds itself (the start-up check).
    """

    bank: FactorBank | None = None
    router: Router = field(default_factory=Router)
    groups: tuple[Group, ...] = ()
    reached: set[Site] | None = None


live = Live()


def site_index(site: Site) -> int:
    """The integer by which a compiled graph names a site: the same in every process."""
    return site.layer * len(HOOKS) + HOOKS.index(site.hook)


def site_at(index: int) -> Site:
    """Inverse of `site_index`."""
    layer, hook = divmod(index, len(HOOKS))
    return Site(layer, HOOKS[hook])


def run(y: Tensor, x: Tensor | None, residual: Tensor | None, site: int) -> None:
    """The op `lethe::edit`. Changes `y` in place.

    Args:
        y: [T, d_out] written.
        x: [T, d_in] read, or None where the site reads what it writes.
        residual: [T, d] added to what is read, or None: vLLM's blocks return the residual stream
            as two tensors whose sum is deferred to the next norm.
        site: `site_index`.
    """
    if not live.groups:
        if live.reached is not None:
            live.reached.add(site_at(site))
        return
    if live.bank is None:
        raise RuntimeError("a step has variants, but no site was installed in this process")
    for group in live.groups:
        if site not in group.stacks:
            group.stacks[site] = live.bank.stacked(site_at(site), group.keys)
        factors = group.stacks[site]
        if factors is not None:
            apply_(y, y if x is None else x, residual, group, factors)


def apply_(y: Tensor, x: Tensor, residual: Tensor | None, group: Group, factors: Factors) -> None:
    """Edits one group's tokens of `y` in place; shapes as in `run`."""
    read = x[group.rows] if residual is None else x[group.rows] + residual[group.rows]
    if isinstance(group.rows, slice):
        z = read @ factors.A[0].T
        if factors.a is not None:
            z += factors.a[0]
        if factors.gates is not None:
            z *= _openness(read[None], factors.gates)[0]
        y[group.rows].addmm_(z, factors.B[0])
        return
    read = read.view(len(group.keys), group.width, -1)
    z = torch.bmm(read, factors.A.transpose(1, 2))
    if factors.a is not None:
        z += factors.a[:, None]
    if factors.gates is not None:
        z *= _openness(read, factors.gates)
    change = torch.bmm(z, factors.B).flatten(0, 1)
    if group.valid is None:
        y.index_add_(0, group.rows, change)
    else:
        y.index_add_(0, group.rows[group.valid], change[group.valid])


def _openness(read: Tensor, gates: Gates) -> Tensor:
    """The gate of each row, [G, T, k] of the dtype read; read [G, T, d_in]."""
    logits = torch.baddbmm(gates.b[:, None], read.float(), gates.w.transpose(1, 2))
    return torch.where(gates.hard[:, None], (logits > 0).float(), logits.sigmoid()).to(read.dtype)


def _fake(y: Tensor, x: Tensor | None, residual: Tensor | None, site: int) -> None:
    """Nothing: the op returns nothing, and a trace has no values."""


torch.library.define("lethe::edit", "(Tensor(a!) y, Tensor? x, Tensor? residual, int site) -> ()")
torch.library.impl("lethe::edit", ("cpu", "cuda"), run)
torch.library.register_fake("lethe::edit", _fake)
