"""The op equals the formula in fp64, whatever the batch looks like."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from lethe_projections.projector import Gate, Projector, Site
from lethe_vllm import canary, edit
from lethe_vllm.bank import FactorBank, Placement, Shard
from lethe_vllm.errors import UnavailableError
from lethe_vllm.routing import Group, layout

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


def with_gate(found: Projector | None, seed: int, hard: bool) -> Projector:
    assert found is not None
    w = torch.randn(found.d_in, generator=torch.Generator().manual_seed(seed))
    return replace(found, gate=Gate(w, 0.25, hard))


def openness(found: Projector, read: Tensor) -> float:
    if found.gate is None:
        return 1.0
    logit = float(read @ found.gate.w.double()) + found.gate.b
    return float(logit > 0) if found.gate.hard else 1 / (1 + math.exp(-logit))


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
        rows.append(row + openness(found, read) * (z @ found.B.double()))
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
@pytest.mark.parametrize("gated", [False, True])
def test_every_batch_equals_the_formula(
    gated: bool, batch: str, hook: str, dtype: torch.dtype
) -> None:
    slots, counts = BATCHES[batch]
    site = SITES[hook]
    edits: list[Projector | None] = [projector(site, 1, 1), projector(site, 16, 2, False), None]
    if gated:
        edits[0] = with_gate(edits[0], 5, hard=True)
        edits[1] = with_gate(edits[1], 6, hard=False)
    bank = FactorBank(Placement(dtype, CPU))
    elsewhere = projector(Site(5, "mlp"), 1, 4)
    for digest, found in zip("abc", edits, strict=True):
        bank.add(digest, [found or elsewhere])
    keys = [str(bank.keys(digest)[0]) for digest in "abc"]
    total = sum(counts)
    generator = torch.Generator().manual_seed(7)
    y = torch.randn(total, D_OUT, generator=generator).to(dtype)
    before = y.clone()
    x = torch.randn(total, D_IN, generator=generator).to(dtype) if hook == "down_proj" else None
    residual = torch.randn(total, D_OUT, generator=generator).to(dtype) if hook == "block" else None
    read = x if x is not None else y if residual is None else y + residual
    wanted = by_formula(edits, y, read, slots, counts)

    edit.live.bank = bank
    edit.live.groups = layout(np.repeat(slots, counts), keys)
    try:
        torch.ops.lethe.edit(y, x, residual, edit.site_index(site))
    finally:
        edit.live.bank, edit.live.groups = None, ()

    error = (y.double() - wanted).norm() / wanted.norm()
    assert error < TOLERANCE[dtype]
    untouched = [n for n, slot in enumerate(np.repeat(slots, counts)) if slot in (-1, 2)]
    assert torch.equal(y[untouched], before[untouched]), "base tokens must not move by a bit"
    if any(slot == 1 or (slot == 0 and not gated) for slot in slots):
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
        bank = FactorBank(Placement(torch.float32, CPU, Shard(rank, 3)))
        bank.add("a", [found])
        keys = (str(bank.keys("a")[0]),)
        factors = bank.stacked(found.site, keys)
        assert factors is not None
        [group] = layout(np.zeros(5, dtype=np.int64), keys)
        edit.apply_(whole, x.chunk(3, dim=1)[rank], None, group, factors)
    torch.testing.assert_close(whole, (x @ found.A.T + found.a) @ found.B)


def test_a_profile_that_is_not_resident_stops_the_step() -> None:
    bank = FactorBank(Placement(torch.float32, CPU))
    with pytest.raises(KeyError):
        bank.keys("missing")


def test_an_unloaded_profile_leaves_no_stack_behind() -> None:
    bank = FactorBank(Placement(torch.float32, CPU))
    for seed in (1, 2):
        bank.add("a", [projector(SITES["mlp"], 2, seed)])
        factors = bank.stacked(SITES["mlp"], (str(bank.keys("a")[0]),))
        assert factors is not None
        assert torch.equal(factors.A[0], projector(SITES["mlp"], 2, seed).A)
        bank.remove("a")


def test_edits_of_one_site_are_joined_with_and_without_gates() -> None:
    site = SITES["mlp"]
    edits = [projector(site, 2, 1, False), with_gate(projector(site, 3, 2), 5, True),
             with_gate(projector(site, 1, 3), 6, False)]  # fmt: skip
    bank = FactorBank(Placement(torch.float32, CPU))
    bank.add("a", edits)
    factors = bank.stacked(site, (str(bank.keys("a")[0]),))
    assert factors is not None
    x = torch.randn(20, D_OUT, generator=torch.Generator().manual_seed(3))
    y = torch.zeros(20, D_OUT)
    edit.apply_(y, x, None, Group(("a",), slice(0, 20), 20), factors)
    wanted = sum((by_formula([e], 0 * x, x, [0], [20]) for e in edits), torch.zeros(()))
    assert (y - wanted).norm() < 1e-5 * wanted.norm()
    assert {openness(edits[1], row.double()) for row in x} == {0.0, 1.0}


def test_a_scope_has_a_key_of_its_own_and_the_whole_has_one() -> None:
    whole, last = projector(SITES["mlp"], 2, 1), projector(SITES["block"], 2, 2)
    last = replace(last, scope="last_prompt_token")
    bank = FactorBank(Placement(torch.float32, CPU))
    bank.add("whole", [whole])
    bank.add("last", [last])
    bank.add("both", [whole, last])
    bank.add("elsewhere", [])
    assert len(set(bank.keys("whole"))) == 1
    assert bank.keys("last")[0] is bank.keys("last")[2] is None
    prompt, end, generated = bank.keys("both")
    assert prompt == generated != end
    assert bank.stacked(SITES["block"], (str(prompt),)) is None
    assert bank.stacked(SITES["block"], (str(end),)) is not None
    assert set(bank.keys("elsewhere")) == {None}
    bank.remove("both")
    assert "both" not in bank
    assert bank.digests == ("whole", "last", "elsewhere")


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_the_canary_passes_a_right_edit_and_stops_a_wrong_one(
    dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = [projector(site, 4, 1) for site in SITES.values()]
    edits = [*plain, with_gate(plain[0], 4, True), replace(plain[1], scope="prompt")]
    bank = FactorBank(Placement(dtype, CPU))
    bank.add("a" * 64, edits)
    assert 0 < canary.check_profile("a" * 64, edits, bank) < 0.1
    real = edit.apply_
    ungated: Any = lambda *given: real(*given[:4], replace(given[4], gates=None))  # noqa: E731
    for broken in (lambda *_: None, lambda y, *_: y.add_(1), ungated):
        monkeypatch.setattr(edit, "apply_", broken)
        with pytest.raises(UnavailableError, match="canary"):
            canary.check_profile("a" * 64, edits, bank)


def test_the_canary_names_a_site_that_did_not_run() -> None:
    installed = frozenset(SITES.values())
    canary.check_reached(installed, set(installed))
    with pytest.raises(UnavailableError, match=r"layers\.3\.mlp"):
        canary.check_reached(installed, set(installed) - {SITES["mlp"]})
