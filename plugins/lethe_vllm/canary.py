"""Proof that the edit is really applied, on every rank, before a profile is served.

Two parts: once at start-up, a dummy step through the model as it will run (compiled or not) must
reach every installed site; and at each load, every edit of the profile, run through the same op
on random activations of the model's dtype, must equal the formula in fp64.
"""

from collections.abc import Iterable
from dataclasses import replace
from itertools import groupby

import torch
from torch import Tensor

from lethe_projections import reference
from lethe_projections.projector import Projector, Site
from lethe_vllm import edit
from lethe_vllm.bank import FactorBank, Shard, active_by_kind
from lethe_vllm.errors import UnavailableError
from lethe_vllm.routing import Group

TOKENS = 4
"""Rows of the probe: the first is left to the base, the rest are edited."""

OPEN = 3.0
"""What the probe makes gates read, w . x + b, to open them; its negative closes them."""


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


def check_profile(digest: str, projectors: Iterable[Projector], bank: FactorBank) -> float:
    """Runs a resident profile's edits, each into zeros, and compares them with the formula.

    Once for each kind of token that its scopes tell apart.

    Returns:
        The largest relative error seen, 0 if this rank holds none of the profile's layers.

    Raises:
        UnavailableError: an edit came out wrong, or touched a token of the base.
    """
    worst = 0.0
    # By key, since kinds of token that are edited alike share one.
    for key, active in dict(
        zip(bank.keys(digest), active_by_kind(projectors), strict=True)
    ).items():
        by_site = sorted(active, key=lambda projector: projector.site)
        for _, group in groupby(by_site, key=lambda projector: projector.site):
            worst = max(worst, _check_site(str(key), tuple(group), bank))
    return worst


def _check_site(key: str, projectors: tuple[Projector, ...], bank: FactorBank) -> float:
    """The relative error of what several projectors do at their one site."""
    site, place = projectors[0].site, bank.placement
    factors = bank.stacked(site, (key,))
    if factors is None:
        raise UnavailableError(f"canary: {site} of {key[:12]} is not resident")
    x = _probe(projectors, place.shard).to(place.device, place.dtype)
    y = x.new_zeros(TOKENS, projectors[0].d_out)
    edit.apply_(y, x, None, Group((key,), slice(1, TOKENS), TOKENS - 1), factors)
    expected = torch.zeros_like(y[1:], dtype=torch.float64)
    for projector in projectors:
        expected += _change(projector, x[1:].double(), place.shard)
    error = float((y[1:].double() - expected).norm()) / (float(expected.norm()) or 1.0)
    if y[0].any() or not error < tolerance(place.dtype):
        raise UnavailableError(
            f"canary: expected the edit at {site} of {key[:12]} to equal its formula and leave the "
            f"base's token alone, found relative error {error:.2e}; do not serve this profile, and "
            "report it with the artifact"
        )
    return error


def _probe(projectors: tuple[Projector, ...], shard: Shard) -> Tensor:
    """[TOKENS, d_in] at random; the second row opens all gates, the third closes them."""
    generator = torch.Generator().manual_seed(0)
    first = projectors[0]
    x = torch.randn(TOKENS, _shard(first, shard).shape[1], generator=generator)
    gates = [projector.gate for projector in projectors if projector.gate is not None]
    if gates:
        w = torch.stack([gate.w for gate in gates])
        logits = x @ w.T + torch.tensor([gate.b for gate in gates])
        for row, wanted in ((1, OPEN), (2, -OPEN)):
            x[row] += torch.linalg.pinv(w) @ (wanted - logits[row])
    return x


def _shard(projector: Projector, shard: Shard) -> Tensor:
    """The columns of A that this rank reads."""
    reads = projector.reads_input
    return projector.A.chunk(shard.size, dim=1)[shard.rank] if reads else projector.A


def _change(projector: Projector, x: Tensor, shard: Shard) -> Tensor:
    """What is added to y on this rank, in fp64, [tokens, d_out]."""
    a = projector.a if shard.rank == 0 or not projector.reads_input else None
    whole = replace(projector, A=_shard(projector, shard), a=a, orthonormal=False)
    return reference.change(whole, x)
