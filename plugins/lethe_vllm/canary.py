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

TOLERANCE = 32
"""Allowed error, in units of the model dtype's epsilon times the size of what was summed."""


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
    """Runs a resident profile's edits and compares them with the formula.

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
        x, y = _probe(factors.A.shape[2], dtype, device), _probe(projector.d_out, dtype, device)
        if projector.site.hook != "down_proj":
            x = y
        before = y.clone()
        expected, scale = _formula(projector, x, y, shard)
        group = Group((digest,), slice(1, TOKENS), TOKENS - 1)
        edit.apply_(y, x, None, group, factors)
        error = float(((y.double() - expected)[1:].norm()) / scale)
        if not torch.equal(y[0], before[0]) or error > TOLERANCE * torch.finfo(dtype).eps:
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


def _formula(projector: Projector, x: Tensor, y: Tensor, shard: Shard) -> tuple[Tensor, float]:
    """The edited y in fp64, and the size of the terms that rounding acts on."""
    A, x64 = projector.A.double().to(x.device), x.double()
    add_bias = True
    if projector.site.hook == "down_proj":
        A = A.chunk(shard.size, dim=1)[shard.rank]
        add_bias = shard.rank == 0
    z = x64 @ A.T
    if projector.a is not None and add_bias:
        z = z + projector.a.double().to(z.device)
    B = projector.B.double().to(z.device)
    magnitude = (x64.abs() @ A.abs().T) @ B.abs() + y.double().abs()
    return y.double() + z @ B, float(magnitude[1:].norm())
