"""The backend that runs the kernel edits as the one that runs PyTorch's products."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from lethe_projections.projector import Gate, Projector, Site
from lethe_vllm import canary
from lethe_vllm.backend import Backend
from lethe_vllm.bank import SLOTS, FactorBank
from lethe_vllm.errors import UnavailableError
from lethe_vllm.placement import Placement
from lethe_vllm.sites import site_index
from lethe_vllm.torch_backend import TorchBackend
from lethe_vllm.triton_backend import RANK, TritonBackend

PLACE = Placement(torch.float32, torch.device("cpu"))
D_IN, D_OUT = 48, 32
WIDTHS = {
    Site(2, hook): (D_IN if hook == "down_proj" else D_OUT, D_OUT)
    for hook in ("block", "mlp", "down_proj")
}
ROOM = 1 << 20


def kernel() -> TritonBackend:
    return TritonBackend(PLACE, ROOM, WIDTHS, SLOTS, tokens=64)


def profile(seed: int, rank: int) -> list[Projector]:
    """An edit at every site, every second with a gate, the last at the last prompt token alone."""
    generator = torch.Generator().manual_seed(seed)
    edits = []
    for n, (site, (d_in, d_out)) in enumerate(WIDTHS.items()):
        gate = Gate(torch.randn(d_in, generator=generator), 0.1, n % 4 == 1) if n % 2 else None
        A, B = (torch.randn(rank, d, generator=generator) / d**0.5 for d in (d_in, d_out))
        edits.append(Projector(site, A, B, torch.randn(rank, generator=generator), gate=gate))
    return [*edits[:-1], replace(edits[-1], scope="last_prompt_token")]


def stepped(backend: Backend, profiles: list[list[Projector]]) -> dict[Site, Tensor]:
    """What one step with tokens of the base and of every profile adds at each site."""
    bank = FactorBank(PLACE, backend)
    for n, edits in enumerate(profiles):
        bank.register(str(n), edits)
        bank.hold(str(n))
        assert canary.check_profile(str(n), bank) < 1e-5
    slots = [-1, *(slot for n in range(len(profiles)) for slot in bank.slots(str(n))), -1] * 2
    generator, found = torch.Generator().manual_seed(9), {}
    for site, (d_in, d_out) in WIDTHS.items():
        y = torch.randn(len(slots), d_out, generator=generator)
        x = torch.randn(len(slots), d_in, generator=generator) if d_in != d_out else None
        residual = torch.randn(len(slots), d_out, generator=generator) if x is None else None
        before = y.clone()
        bank.begin(np.array(slots))
        backend.edit(y, x, residual, site_index(site))
        bank.begin(None)
        backend.edit(y, x, residual, site_index(site))
        found[site] = y - before
    return found


def test_a_step_of_many_profiles_is_the_same_by_both() -> None:
    profiles = [profile(seed, rank) for seed, rank in ((1, 1), (2, 20))]
    by_kernel, by_torch = stepped(kernel(), profiles), stepped(TorchBackend(PLACE, ROOM), profiles)
    for site in WIDTHS:
        assert (by_torch[site].norm(dim=1) > 0.01).sum() >= 2
        assert not by_kernel[site][[0, 7]].any()
        torch.testing.assert_close(by_kernel[site], by_torch[site], atol=1e-5, rtol=1e-4)


def test_a_profile_beyond_a_slot_is_refused_and_what_is_dropped_makes_room() -> None:
    bank = FactorBank(PLACE, kernel())
    site = Site(2, "mlp")
    huge = Projector(site, torch.zeros(RANK + 1, D_OUT), torch.zeros(RANK + 1, D_OUT))
    bank.register("huge", [huge])
    with pytest.raises(UnavailableError, match="rank"):
        bank.needs("huge")
    row = Projector(site, torch.ones(400, D_OUT), torch.ones(400, D_OUT))
    limit, name = bank.limits["rows 32x32"], "rows 32x32"
    count = limit // 400
    for n in range(count + 1):
        bank.register(str(n), [row])
    assert bank.needs("0")[name] == 400
    for n in range(count):
        bank.hold(str(n))
    with pytest.raises(UnavailableError, match="rows"):
        bank.hold(str(count))
    assert str(count) not in bank.held
    bank.drop("0")
    bank.hold(str(count))
