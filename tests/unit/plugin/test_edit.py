"""The op equals the formula in fp64, whatever the batch looks like."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from lethe_projections.projector import HOOKS, Gate, Projector, Site
from lethe_vllm import canary, edit, torch_backend
from lethe_vllm.bank import SLOTS, FactorBank
from lethe_vllm.errors import UnavailableError
from lethe_vllm.placement import Placement, Shard
from lethe_vllm.sites import site_at, site_index
from lethe_vllm.torch_backend import TorchBackend

CPU = torch.device("cpu")
D_IN, D_OUT = 48, 32
SITES = {hook: Site(3, hook) for hook in ("block", "mlp", "down_proj")}
TOLERANCE = {torch.float32: 1e-5, torch.bfloat16: 3e-2}


def made(dtype: torch.dtype = torch.float32, rank: int = 0, ranks: int = 1) -> FactorBank:
    place = Placement(dtype, CPU, Shard(rank, ranks))
    return FactorBank(place, TorchBackend(place, 1 << 30))


def run(
    bank: FactorBank, per_token: list[int], y: Tensor, x: Tensor | None, residual: Tensor | None,
    site: Site,
) -> None:  # fmt: skip
    """One step of the op."""
    edit.live.bank = bank
    bank.begin(np.array(per_token))
    try:
        torch.ops.lethe.edit(y, x, residual, site_index(site))
    finally:
        bank.begin(None)
        edit.live.bank = None


def resident(bank: FactorBank, digest: str, edits: list[Projector]) -> None:
    bank.register(digest, edits)
    bank.hold(digest)


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
    bank = made(dtype)
    elsewhere = projector(Site(5, "mlp"), 1, 4)
    for digest, found in zip("abc", edits, strict=True):
        resident(bank, digest, [found or elsewhere])
    places = [bank.slots(digest)[0] for digest in "abc"]
    total = sum(counts)
    generator = torch.Generator().manual_seed(7)
    y = torch.randn(total, D_OUT, generator=generator).to(dtype)
    before = y.clone()
    x = torch.randn(total, D_IN, generator=generator).to(dtype) if hook == "down_proj" else None
    residual = torch.randn(total, D_OUT, generator=generator).to(dtype) if hook == "block" else None
    read = x if x is not None else y if residual is None else y + residual
    wanted = by_formula(edits, y, read, slots, counts)

    owner = np.repeat(slots, counts).tolist()
    run(bank, [places[slot] if slot >= 0 else -1 for slot in owner], y, x, residual, site)

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
    sites = [Site(layer, hook) for layer in range(80) for hook in HOOKS]
    indices = [site_index(site) for site in sites]
    assert len(set(indices)) == len(sites)
    assert [site_at(index) for index in indices] == sites


def test_shards_of_a_down_proj_edit_add_up() -> None:
    found = projector(SITES["down_proj"], 4, 3)
    x = torch.randn(5, D_IN)
    whole = torch.zeros(5, D_OUT)
    for rank in range(3):
        bank = made(rank=rank, ranks=3)
        resident(bank, "a", [found])
        run(bank, [bank.slots("a")[0]] * 5, whole, x.chunk(3, dim=1)[rank].contiguous(), None,
            found.site)  # fmt: skip
    torch.testing.assert_close(whole, (x @ found.A.T + found.a) @ found.B)


def test_a_profile_that_is_not_held_stops_the_step() -> None:
    bank = made()
    with pytest.raises(KeyError):
        bank.slots("missing")
    with pytest.raises(KeyError):
        bank.hold("missing")


def edited(bank: FactorBank, digest: str, site: Site, x: Tensor) -> Tensor:
    """What a held profile adds at a site, to tokens of its prompt."""
    y = torch.zeros(len(x), D_OUT).to(x)
    run(bank, [bank.slots(digest)[0]] * len(x), y, x, None, site)
    return y


def test_a_slot_that_another_profile_takes_over_edits_as_that_one() -> None:
    bank, x = made(), torch.randn(3, D_OUT)
    edits = [projector(SITES["mlp"], 2, seed) for seed in (1, 2)]
    resident(bank, "a", [edits[0]])
    first, slot = edited(bank, "a", SITES["mlp"], x), bank.slots("a")
    bank.unregister("a")
    resident(bank, "b", [edits[1]])
    assert bank.slots("b") == slot
    for found, one in ((first, edits[0]), (edited(bank, "b", SITES["mlp"], x), edits[1])):
        torch.testing.assert_close(found, by_formula([one], 0 * x, x, [0], [3]).float())


def test_a_dropped_profile_stays_registered_and_comes_back_the_same() -> None:
    bank, x = made(torch.bfloat16), torch.randn(3, D_OUT).bfloat16()
    resident(bank, "a", [projector(SITES["mlp"], 2, 1)])
    first = edited(bank, "a", SITES["mlp"], x)
    bank.drop("a")
    assert "a" in bank
    assert bank.held == ()
    with pytest.raises(KeyError):
        bank.slots("a")
    bank.hold("a")
    assert torch.equal(first, edited(bank, "a", SITES["mlp"], x))
    # A row of A and of B each, and of a, in two bytes.
    assert bank.needs("a") == {"slots": 1, "bytes": 2 * 2 * (2 * D_OUT + 1)}


def test_tokens_are_counted_by_profile_and_site_also_after_a_drop() -> None:
    bank, site = made(), SITES["mlp"]
    for digest in "ab":
        resident(bank, digest, [projector(site, 2, 1), projector(SITES["block"], 1, 1)])
    [a, *_], [b, *_] = bank.slots("a"), bank.slots("b")
    bank.begin(np.array([a, -1, b, a]))
    bank.begin(None)
    bank.begin(np.array([a]))
    bank.drop("a")
    assert bank.edited == {
        ("a", site): 3, ("a", SITES["block"]): 3, ("b", site): 1, ("b", SITES["block"]): 1
    }  # fmt: skip
    bank.hold("a")
    assert bank.edited["a", site] == 3


def test_more_profiles_than_slots_are_refused_and_take_none() -> None:
    bank = made()
    for n in range(SLOTS):
        resident(bank, str(n), [projector(SITES["mlp"], 1, 1)])
    with pytest.raises(UnavailableError, match="slots"):
        resident(bank, "one more", [projector(SITES["mlp"], 1, 1)])
    bank.drop("0")
    bank.hold("one more")


def test_edits_of_one_site_are_joined_with_and_without_gates() -> None:
    site = SITES["mlp"]
    edits = [projector(site, 2, 1, False), with_gate(projector(site, 3, 2), 5, True),
             with_gate(projector(site, 1, 3), 6, False)]  # fmt: skip
    bank = made()
    resident(bank, "a", edits)
    x = torch.randn(20, D_OUT, generator=torch.Generator().manual_seed(3))
    wanted = sum((by_formula([e], 0 * x, x, [0], [20]) for e in edits), torch.zeros(()))
    assert (edited(bank, "a", site, x) - wanted).norm() < 1e-5 * wanted.norm()
    assert {openness(edits[1], row.double()) for row in x} == {0.0, 1.0}


def test_a_scope_has_a_slot_of_its_own_and_the_whole_has_one() -> None:
    whole, last = projector(SITES["mlp"], 2, 1), projector(SITES["block"], 2, 2)
    last = replace(last, scope="last_prompt_token")
    bank = made()
    resident(bank, "whole", [whole])
    resident(bank, "last", [last])
    resident(bank, "both", [whole, last])
    resident(bank, "elsewhere", [])
    assert len(set(bank.slots("whole"))) == 1
    assert bank.slots("last")[0] == bank.slots("last")[2] == -1
    prompt, end, generated = bank.slots("both")
    assert prompt == generated != end
    assert [set(edits) for edits in bank.edits("both").values()] == [
        {SITES["mlp"]}, {SITES["mlp"], SITES["block"]}
    ]  # fmt: skip
    assert set(bank.slots("elsewhere")) == {-1}
    assert [bank.positional(digest) for digest in bank.held] == [False, True, True, False]
    bank.unregister("both")
    assert "both" not in bank
    assert bank.registered == bank.held == ("whole", "last", "elsewhere")


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_the_canary_passes_a_right_edit_and_stops_a_wrong_one(
    dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = [projector(site, 4, 1) for site in SITES.values()]
    edits = [*plain, with_gate(plain[0], 4, True), replace(plain[1], scope="prompt")]
    bank = made(dtype)
    resident(bank, "a" * 64, edits)
    assert 0 < canary.check_profile("a" * 64, bank) < 0.1
    real = torch_backend.apply_
    ungated: Any = lambda *given: real(*given[:4], replace(given[4], gates=None))  # noqa: E731
    for broken in (lambda *_: None, lambda y, *_: y.add_(1), ungated):
        monkeypatch.setattr(torch_backend, "apply_", broken)
        with pytest.raises(UnavailableError, match="canary"):
            canary.check_profile("a" * 64, bank)


def test_the_canary_names_a_site_that_did_not_run() -> None:
    installed = frozenset(SITES.values())
    canary.check_reached(installed, set(installed))
    with pytest.raises(UnavailableError, match=r"layers\.3\.mlp"):
        canary.check_reached(installed, set(installed) - {SITES["mlp"]})
