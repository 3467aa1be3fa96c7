"""Proof that the edit is really applied, on every rank, before a profile is served.

Two parts: once at start-up, a dummy step through the model as it will run (compiled or not) must
reach every installed site; and at each load, every edit of the profile, run through the same op
on random activations of the model's dtype, must equal the formula in fp64.
"""

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from lethe_projections import reference
from lethe_projections.projector import Projector, Site
from lethe_vllm.bank import FactorBank
from lethe_vllm.errors import UnavailableError
from lethe_vllm.routing import NO_SLOT
from lethe_vllm.sites import site_index

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


def check_profile(digest: str, bank: FactorBank) -> float:
    """Runs a held profile's edits, each into zeros, and compares them with the formula.

    Once for each kind of token that its scopes tell apart.

    Returns:
        The largest relative error seen, 0 if this rank holds none of the profile's layers.

    Raises:
        UnavailableError: an edit came out wrong, or touched a token of the base.
    """
    worst = 0.0
    # By slot, since kinds of token that are edited alike share one.
    for slot, edits in bank.edits(digest).items():
        for site, projectors in edits.items():
            error = _error(slot, site, projectors, bank)
            if not error < tolerance(bank.placement.dtype):
                raise UnavailableError(
                    f"canary: expected the edit at {site} of {digest[:12]} to equal its formula "
                    f"and leave the base's token alone, found relative error {error:.2e}; do not "
                    "serve this profile, and report it with the artifact"
                )
            worst = max(worst, error)
    return worst


def _error(slot: int, site: Site, projectors: Sequence[Projector], bank: FactorBank) -> float:
    """The relative error of what several projectors do at their one site; inf at the base's."""
    place = bank.placement
    x = _probe(projectors).to(place.device, place.dtype)
    y = x.new_zeros(TOKENS, projectors[0].d_out)
    bank.backend.begin(np.array([NO_SLOT] + [slot] * (TOKENS - 1)))
    try:
        bank.backend.edit(y, x, None, site_index(site))
    finally:
        bank.backend.begin(None)
    if y[0].any():
        return math.inf
    read = x[1:].double().cpu()
    expected = sum((reference.change(projector, read) for projector in projectors), torch.zeros(()))
    return float((y[1:].double().cpu() - expected).norm()) / (float(expected.norm()) or 1.0)


def _probe(projectors: Sequence[Projector]) -> Tensor:
    """[TOKENS, d_in] at random; the second row opens all gates, the third closes them."""
    x = torch.randn(TOKENS, projectors[0].d_in, generator=torch.Generator().manual_seed(0))
    gates = [projector.gate for projector in projectors if projector.gate is not None]
    if gates:
        w = torch.stack([gate.w for gate in gates])
        logits = x @ w.T + torch.tensor([gate.b for gate in gates])
        for row, wanted in ((1, OPEN), (2, -OPEN)):
            x[row] += torch.linalg.pinv(w) @ (wanted - logits[row])
    return x
