"""Proof that the edit is really applied, on every rank, before a profile is served.

Two parts: once at start-up, a dummy step through the model as it will run (compiled or not) must
reach every installed site; and at each load, every edit of the profile, run through the same op
on random activations of the model's dtype, must equal the formula in fp64.
"""

from collections.abc import Iterable

import torch
from torch import Tensor

from lethe_projections.projector import Projector, Site
from lethe_vllm import edit
from lethe_vllm.bank import FactorBank, Shard
from lethe_vllm.errors import UnavailableError
from lethe_vllm.routing import Group

TOKENS = 4
"""Rows of the probe: the first is left to the base, the rest are edited."""


def tolerance(dtype: torch.dtype) -> float:
    """Allowed error of a change, relative to its size.

    16 roundings of the dtype; in float32 rather the error of summing a few thousand products.
    An edit that is not applied has error 1.
    """
    return max(16 * torch.finfo(dtype).eps, 1e-5)


def check_reached(installed: frozenset[Site], reached: set[Site]) -> None:
    """Compares the sites that ran in a step with those installed.

    Raises:
        UnavailableError: some site did not run.
    """
    missing = sorted(installed - reached)
    if missing:
        raise UnavailableError(
            f"canary: expected every installed site to run in a step, but {len(missing)} of "
            f"{len(installed)} did not ({', '.join(map(str, missing[:3]))}, ...); a compiled graph "
            "from elsewhere may be in use: clear VLLM_CACHE_ROOT and restart"
        )


def check_profile(
    digest: str,
    projectors: Iterable[Projector],
    bank: FactorBank,
    dtype: torch.dtype,
    device: torch.device,
    shard: Shard,
) -> float:
    """Runs a resident profile's edits, each into zeros, and compares them with the formula.

    Returns:
        The largest relative error seen, 0 if this rank holds none of the profile's layers.

    Raises:
        UnavailableError: an edit came out wrong, or touched a token of the base.
    """
    worst = 0.0
    for projector in projectors:
        factors = bank.stacked(projector.site, (digest,))
        if factors is None:
            raise UnavailableError(f"canary: {projector.site} of {digest[:12]} is not resident")
        x = _probe(factors.A.shape[2], dtype, device)
        y = torch.zeros(TOKENS, projector.d_out, dtype=dtype, device=device)
        group = Group((digest,), slice(1, TOKENS), TOKENS - 1)
        edit.apply_(y, x, None, group, factors)
        expected = _change(projector, x[1:], shard)
        size = float(expected.norm()) or 1.0
        error = float((y[1:].double() - expected).norm()) / size
        if y[0].any() or not error < tolerance(dtype):
            raise UnavailableError(
                f"canary: expected the edit at {projector.site} of {digest[:12]} to equal its "
                f"formula and leave the base's token alone, found relative error {error:.2e}; do "
                "not serve this profile, and report it with the artifact"
            )
        worst = max(worst, error)
    return worst


def _probe(width: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(TOKENS, width, generator=generator).to(device, dtype)


def _change(projector: Projector, x: Tensor, shard: Shard) -> Tensor:
    """B^T (A x + a) in fp64, [tokens, d_out]: what is added to y on this rank."""
    A, bias = projector.A, projector.a
    if projector.site.hook == "down_proj":
        A = A.chunk(shard.size, dim=1)[shard.rank]
        bias = bias if shard.rank == 0 else None
    z = x.double() @ A.to(x.device).double().T
    if bias is not None:
        z = z + bias.to(x.device).double()
    return z @ projector.B.to(x.device).double()
