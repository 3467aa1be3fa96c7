"""Many variants in one batch: products of several at a time edit each token by its own alone."""

import numpy as np
import pytest
import torch
from torch import Tensor

from lethe_projections import reference
from lethe_projections.projector import Gate, Projector, Site
from lethe_vllm.placement import Placement
from lethe_vllm.sites import site_index
from lethe_vllm.torch_backend import TorchBackend

SITE = Site(2, "down_proj")
D_IN, D_OUT = 40, 24
TOLERANCE = {torch.float32: 1e-5, torch.bfloat16: 2e-2, torch.float16: 3e-3}


def projector(rank: int, random: np.random.Generator) -> Projector:
    """With or without a bias and a gate."""

    def normal(*shape: int) -> Tensor:
        return torch.from_numpy(random.normal(size=shape).astype(np.float32))

    biased, gated, hard = random.random(3) < (0.5, 0.3, 0.5)
    return Projector(
        SITE, normal(rank, D_IN) / D_IN**0.5, normal(rank, D_OUT) / rank**0.5,
        normal(rank) if biased else None,
        Gate(normal(D_IN) / D_IN**0.5, 0.5, bool(hard)) if gated else None,
    )  # fmt: skip


def edited(held: list[Projector], slots: list[int], x: Tensor) -> Tensor:
    """[T, d_out] what the op adds to zeros."""
    backend = TorchBackend(Placement(x.dtype, torch.device("cpu")), 1 << 30)
    for slot, one in enumerate(held):
        backend.put(slot, {SITE: [one]})
    y = torch.zeros(len(x), D_OUT, dtype=x.dtype)
    backend.begin(np.array(slots))
    backend.edit(y, x, None, site_index(SITE))
    return y


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("order", ["one each", "shuffled", "with base between", "some twice"])
@pytest.mark.parametrize(("variants", "rank"), [
    (1, 128), (2, 16), (3, 1), (4, 128), (6, 64), (8, 3), (64, 16), (256, 1), (256, 8),
])  # fmt: skip
def test_every_variant_edits_its_own_tokens_alone(
    variants: int, rank: int, order: str, dtype: torch.dtype
) -> None:
    random = np.random.default_rng(variants + rank)
    held = [projector(int(random.integers(1, rank + 1)), random) for _ in range(variants)]
    slots = list(range(variants))
    if order == "shuffled":
        random.shuffle(slots)
    elif order == "with base between":
        slots = [slot for found in slots for slot in (found, -1)]
    elif order == "some twice":
        slots += slots[::2]
    x = torch.from_numpy(random.normal(size=(len(slots), D_IN))).to(dtype)
    found = edited(held, slots, x).double()
    for row, slot in enumerate(slots):
        if slot < 0:
            assert not found[row].any()
            continue
        # The same rounded factors, so that the tolerance is the arithmetic's alone.
        expected = reference.change(rounded(held[slot], dtype), x[row].double())
        assert float((found[row] - expected).norm()) < TOLERANCE[dtype] * float(1 + expected.norm())


def rounded(one: Projector, dtype: torch.dtype) -> Projector:
    def cast(part: Tensor) -> Tensor:
        return part.to(dtype).float()

    a = None if one.a is None else cast(one.a)
    return Projector(SITE, cast(one.A), cast(one.B), a, one.gate)


def test_what_overflows_in_one_variant_stays_there() -> None:
    """In float16, 100 * 1000 is infinite, and a product of four variants has it for all four."""
    plain, large = (
        Projector(SITE, torch.full((1, D_IN), float(size)), torch.ones(1, D_OUT))
        for size in (0.01, 1000)
    )
    x = torch.full((4, D_IN), 100, dtype=torch.float16)
    alone = edited([plain], [0], x[:1])
    together = edited([plain, plain, large, plain], [0, 1, 2, 3], x)
    assert torch.isinf(together[2]).all(), "the guard: nothing overflowed"
    assert torch.equal(together[[0, 1, 3]], alone.expand(3, -1))
    assert bool(alone.any())
