"""The op equals the formula in fp64, whatever the batch looks like."""

import numpy as np
import pytest
import torch
from torch import Tensor

from lethe_projections.projector import Projector, Site
from lethe_vllm import canary, edit
from lethe_vllm.bank import FactorBank, Shard
from lethe_vllm.errors import UnavailableError
from lethe_vllm.routing import layout

CPU = torch.device("cpu")
D_IN, D_OUT = 48, 32
SITES = {hook: Site(3, hook) for hook in ("block", "mlp", "down_proj")}
TOLERANCE = {torch.float32: 1e-5, torch.bfloat16: 3e-2}


def projector(site: Site, rank: int, seed: int, biased: bool = True) -> Projector:
    generator = torch.Generator().manual_seed(seed)
    width = D_IN if site.hook == "down_proj" else D_OUT
    a = torch.randn(rank, generator=generator) if biased else None
    return Projector(
        site,
        torch.randn(rank, width, generator=generator) / width**0.5,
        torch.randn(rank, D_OUT, generator=generator),
        a,
    )


def by_formula(
    edits: list[Projector | None], y: Tensor, x: Tensor, slots: list[int], counts: list[int]
) -> Tensor:
    """Row by row, in fp64."""
    owner = [slot for slot, count in zip(slots, counts, strict=True) for _ in range(count)]
    rows = []
    for row, read, slot in zip(y.double(), x.double(), owner, strict=True):
        found = edits[slot] if slot >= 0 else None
        if found is None:
            rows.append(row)
            continue
        z = found.A.double() @ read + (0 if found.a is None else found.a.double())
        rows.append(row + z @ found.B.double())
    return torch.stack(rows)


BATCHES = {
    "one token": ([0], [1]),
    "decode of many": ([0, 1, -1, 2, 0, 1, 2, 2], [1] * 8),
    "a prefill among decodes": ([1, 0, -1, 2], [40, 1, 7, 2]),
    "one variant alone": ([2, 2], [5, 6]),
    "one variant, not contiguous": ([0, -1, 0], [3, 2, 3]),
    "all base": ([-1, -1], [4, 4]),
}


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("hook", SITES)
@pytest.mark.parametrize("batch", BATCHES)
def test_every_batch_equals_the_formula(batch: str, hook: str, dtype: torch.dtype) -> None:
    slots, counts = BATCHES[batch]
    site = SITES[hook]
    edits: list[Projector | None] = [
        projector(site, 1, 1),
        projector(site, 16, 2, biased=False),
        None,
    ]
    bank = FactorBank(dtype, CPU, Shard())
    for digest, found in zip("abc", edits, strict=True):
        bank.add(digest, [found] if found else [])
    total = sum(counts)
    generator = torch.Generator().manual_seed(7)
    y = torch.randn(total, D_OUT, generator=generator).to(dtype)
    before = y.clone()
    x = torch.randn(total, D_IN, generator=generator).to(dtype) if hook == "down_proj" else None
    residual = torch.randn(total, D_OUT, generator=generator).to(dtype) if hook == "block" else None
    read = x if x is not None else y if residual is None else y + residual
    wanted = by_formula(edits, y, read, slots, counts)

    edit.live.bank = bank
    edit.live.groups = layout(np.array(slots), np.array(counts, dtype=np.int32), list("abc"))
    try:
        torch.ops.lethe.edit(y, x, residual, edit.site_index(site))
    finally:
        edit.live.bank, edit.live.groups = None, ()

    error = (y.double() - wanted).norm() / wanted.norm()
    assert error < TOLERANCE[dtype]
    untouched = [n for n, slot in enumerate(np.repeat(slots, counts)) if slot in (-1, 2)]
    assert torch.equal(y[untouched], before[untouched]), "base tokens must not move by a bit"
    if any(slot in (0, 1) for slot in slots):
        assert not torch.equal(y, before)


def test_the_op_traces_without_a_graph_break() -> None:
    def function(y: Tensor) -> Tensor:
        z = y * 2
        torch.ops.lethe.edit(z, None, None, 0)
        return z + 1

    compiled = torch.compile(function, fullgraph=True, backend="aot_eager")
    y = torch.ones(3, 4)
    assert torch.equal(compiled(y), function(y))


def test_site_indices_are_distinct_and_invertible() -> None:
    sites = [Site(layer, hook) for layer in range(80) for hook in edit.HOOKS]
    indices = [edit.site_index(site) for site in sites]
    assert len(set(indices)) == len(sites)
    assert [edit.site_at(index) for index in indices] == sites


def test_shards_of_a_down_proj_edit_add_up() -> None:
    found = projector(SITES["down_proj"], 4, 3)
    x = torch.randn(5, D_IN)
    whole = torch.zeros(5, D_OUT)
    for rank in range(3):
        bank = FactorBank(torch.float32, CPU, Shard(rank, 3))
        bank.add("a", [found])
        factors = bank.stacked(found.site, ("a",))
        assert factors is not None
        [group] = layout(np.array([0]), np.array([5], dtype=np.int32), ["a"])
        edit.apply_(whole, x.chunk(3, dim=1)[rank], None, group, factors)
    torch.testing.assert_close(whole, (x @ found.A.T + found.a) @ found.B)


def test_a_profile_that_is_not_resident_stops_the_step() -> None:
    bank = FactorBank(torch.float32, CPU, Shard())
    with pytest.raises(KeyError):
        bank.stacked(SITES["mlp"], ("missing",))


def test_an_unloaded_profile_leaves_no_stack_behind() -> None:
    bank = FactorBank(torch.float32, CPU, Shard())
    bank.add("a", [projector(SITES["mlp"], 2, 1)])
    bank.stacked(SITES["mlp"], ("a",))
    bank.remove("a")
    bank.add("a", [projector(SITES["mlp"], 2, 2)])
    factors = bank.stacked(SITES["mlp"], ("a",))
    assert factors is not None
    assert torch.equal(factors.A[0], projector(SITES["mlp"], 2, 2).A)


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_the_canary_passes_a_right_edit_and_stops_a_wrong_one(
    dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    edits = [projector(site, 4, 1) for site in SITES.values()]
    bank = FactorBank(dtype, CPU, Shard())
    bank.add("a" * 64, edits)
    assert 0 < canary.check_profile("a" * 64, edits, bank, dtype, CPU, Shard()) < 0.1
    for broken in (lambda *_: None, lambda y, *_: y.add_(1)):
        monkeypatch.setattr(edit, "apply_", broken)
        with pytest.raises(UnavailableError, match="canary"):
            canary.check_profile("a" * 64, edits, bank, dtype, CPU, Shard())


def test_the_canary_names_a_site_that_did_not_run() -> None:
    installed = frozenset(SITES.values())
    canary.check_reached(installed, set(installed))
    with pytest.raises(UnavailableError, match=r"layers\.3\.mlp"):
        canary.check_reached(installed, set(installed) - {SITES["mlp"]})
