"""The edit as one custom op per site that torch.compile traces and never looks into.

    z = A x + a;  y += g(x) B^T z     for the tokens of each variant; the base's are not touched

What to do is read from `live` when the op runs, so one compiled graph serves every batch.
"""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from lethe_projections.projector import Site
from lethe_vllm.bank import FactorBank
from lethe_vllm.routing import Router
from lethe_vllm.sites import site_at


@dataclass
class Live:
    """The state of this process's engine that the op reads.

    Attributes:
        bank: the factors, and the step's layout; None until sites are installed.
        router: requests in the worker.
        reached: while not None, every site that runs adds itself (the start-up check).
    """

    bank: FactorBank | None = None
    router: Router = field(default_factory=Router)
    reached: set[Site] | None = None


live = Live()


def run(y: Tensor, x: Tensor | None, residual: Tensor | None, site: int) -> None:
    """The op `lethe::edit`. Changes `y` in place.

    Args:
        y: [T, d_out] written.
        x: [T, d_in] read, or None where the site reads what it writes.
        residual: [T, d] added to what is read, or None: vLLM's blocks return the residual stream
            as two tensors whose sum is deferred to the next norm.
        site: `sites.site_index`.
    """
    if live.reached is not None:
        live.reached.add(site_at(site))
    if live.bank is not None:
        live.bank.backend.edit(y, x, residual, site)


def at(y: Tensor, x: Tensor | None, residual: Tensor | None, site: int) -> None:
    """The op where a graph is traced; the same without PyTorch's dispatcher, 5 us, where not."""
    if torch.compiler.is_compiling():
        torch.ops.lethe.edit(y, x, residual, site)
    else:
        run(y, x, residual, site)


def _fake(y: Tensor, x: Tensor | None, residual: Tensor | None, site: int) -> None:
    """Nothing: the op returns nothing, and a trace has no values."""


torch.library.define("lethe::edit", "(Tensor(a!) y, Tensor? x, Tensor? residual, int site) -> ()")
torch.library.impl("lethe::edit", ("cpu", "cuda"), run)
torch.library.register_fake("lethe::edit", _fake)
