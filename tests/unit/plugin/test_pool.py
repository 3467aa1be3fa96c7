"""A pool holds what was put, where the page tables say, at addresses that never change."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from lethe_projections.projector import Gate, Projector, Site
from lethe_vllm.errors import UnavailableError
from lethe_vllm.pool import Pool
from lethe_vllm.pool_tensors import ALWAYS_OPEN, Capacity

CPU = torch.device("cpu")
D_IN, D_OUT = 12, 8
CAPACITY = Capacity(slots=4, rows=40, rank=32, gates=3, slot_gates=2)


def edit(rank: int, seed: int = 0, gate: bool | None = None) -> Projector:
    generator = torch.Generator().manual_seed(seed)
    return Projector(
        Site(1, "down_proj"),
        torch.randn(rank, D_IN, generator=generator),
        torch.randn(rank, D_OUT, generator=generator),
        torch.randn(rank, generator=generator) if seed else None,
        None if gate is None else Gate(torch.randn(D_IN, generator=generator), 0.5, gate),
    )


def pool(capacity: Capacity = CAPACITY, dtype: torch.dtype = torch.float32) -> Pool:
    return Pool(capacity, D_IN, D_OUT, dtype, CPU)


def held(found: Pool, slot: int) -> tuple[Tensor, Tensor, Tensor]:
    """A, B and a of a slot, as a kernel would find them."""
    t = found.tensors
    rows = t.rows[slot, : int(t.ranks[slot])].long()
    return t.A[rows], t.B[rows], t.a[rows]


def test_a_slot_leads_to_what_was_put_there() -> None:
    found = pool()
    edits = {0: edit(1, 1), 2: edit(20), 3: edit(7, 3)}
    for slot, one in edits.items():
        found.put(slot, [one])
    for slot, one in edits.items():
        A, B, a = held(found, slot)
        assert torch.equal(A, one.A)
        assert torch.equal(B, one.B)
        assert torch.equal(a, torch.zeros(one.rank) if one.a is None else one.a)
    assert found.tensors.ranks[:4].tolist() == [1, 0, 20, 7]


def test_rows_of_one_slot_find_their_own_gates() -> None:
    found = pool()
    found.put(0, [edit(1, 9, True)])
    edits = [edit(2, 1, False), edit(1, 2), edit(3, 3, True)]
    found.put(1, edits)
    t = found.tensors
    rows = t.rows[1, :6].long()
    assert t.gate[rows].tolist() == [0, 0, ALWAYS_OPEN, 1, 1, 1]
    gates = t.gates[1, : int(t.gate_counts[1])].long()
    for gate, one in zip(gates, (edits[0], edits[2]), strict=True):
        assert one.gate is not None
        assert torch.equal(t.w[gate], one.gate.w)
        assert float(t.b[gate]) == one.gate.b
        assert bool(t.hard[gate]) == one.gate.hard


def test_factors_are_in_the_models_dtype_and_gates_and_biases_in_float32() -> None:
    found = pool(dtype=torch.bfloat16)
    one = edit(3, 1, True)
    found.put(0, [one])
    A, B, a = held(found, 0)
    assert torch.equal(A, one.A.bfloat16())
    assert torch.equal(B, one.B.bfloat16())
    assert one.a is not None
    assert torch.equal(a, one.a)
    assert found.tensors.w.dtype == torch.float32


def test_what_is_dropped_makes_room_and_moves_nothing() -> None:
    found = pool()
    addresses = [part.data_ptr() for part in found.tensors if isinstance(part, Tensor)]
    found.put(0, [edit(10, 1, True)])
    kept = edit(15, 2, True)
    found.put(1, [kept])
    found.drop(0)
    found.drop(0)  # of a slot that holds nothing here
    assert found.tensors.ranks[0] == found.tensors.gate_counts[0] == 0
    found.put(2, [edit(20, 3, True), edit(5, 4, False)])
    A, *_ = held(found, 2)
    assert torch.equal(A, torch.cat([edit(20, 3, True).A, edit(5, 4, False).A]))
    assert torch.equal(held(found, 1)[0], kept.A)
    assert [p.data_ptr() for p in found.tensors if isinstance(p, Tensor)] == addresses
    assert not set(found.tensors.rows[1, :15].tolist()) & set(found.tensors.rows[2, :25].tolist())


def test_sites_share_rows_and_know_their_own_slots() -> None:
    found = pool(replace(CAPACITY, sites=3))
    edits = {(0, 1): edit(10, 1), (2, 1): edit(12, 2), (2, 3): edit(15, 3, True)}
    for (site, slot), one in edits.items():
        found.put(slot, [one], site)
    for site in range(3):
        for slot in range(4):
            t = found.at(site)
            rows = t.rows[slot, : int(t.ranks[slot])].long()
            one = edits.get((site, slot))
            assert torch.equal(t.A[rows], torch.zeros(0, D_IN) if one is None else one.A)
    with pytest.raises(UnavailableError, match="expected 4 free of 40, found 3"):
        found.put(0, [edit(4)], 1)
    found.drop(1)
    found.put(0, [edit(25)], 1)
    assert found.at(0).ranks.any() == 0
    assert found.at(2).ranks[:4].tolist() == [0, 0, 0, 15]
    assert all(found.at(site).ranks.data_ptr() % 16 == 0 for site in range(3))
    with pytest.raises(UnavailableError, match="site 3, out of range"):
        found.put(0, [edit(1)], 3)


def test_bytes_are_counted() -> None:
    found = pool(dtype=torch.bfloat16)
    assert found.used_nbytes == 0
    found.put(0, [edit(10, 1, True)])
    assert found.used_nbytes == 10 * (2 * (D_IN + D_OUT) + 4 + 4) + (4 * D_IN + 4 + 1)
    assert found.nbytes == sum(p.nbytes for p in found.tensors if isinstance(p, Tensor))
    found.drop(0)
    assert found.used_nbytes == 0


@pytest.mark.parametrize(
    ("slot", "edits", "message"),
    [
        (0, [edit(1)], "free slot"),
        (4, [edit(1)], "free slot"),
        (-1, [edit(1)], "out of range"),
        (1, [edit(33)], "rank of 1 to 32"),
        (1, [], "rank of 1 to 32"),
        (1, [edit(1, 1, True)] * 3, "at most 2 gates"),
        (1, [edit(31)], "rows: expected 31 free of 40, found 30"),
        (1, [edit(1, 1, True)] * 2, "gates: expected 2 free of 3, found 1"),
    ],
)
def test_what_does_not_fit_is_refused_and_changes_nothing(
    slot: int, edits: list[Projector], message: str
) -> None:
    found = pool()
    found.put(0, [edit(5, 1, True), edit(5, 2, True)])
    before = [part.clone() for part in found.tensors if isinstance(part, Tensor)]
    with pytest.raises(UnavailableError, match=message):
        found.put(slot, edits)
    after = [part for part in found.tensors if isinstance(part, Tensor)]
    assert all(torch.equal(*both) for both in zip(before, after, strict=True))
    found.put(3, [edit(30)])
    found.drop(0)
    found.put(0, [edit(5, 1, True), edit(5, 2, True)])


def test_edits_of_another_width_are_refused() -> None:
    other = Projector(Site(1, "mlp"), torch.ones(1, D_IN), torch.ones(1, D_IN))
    with pytest.raises(UnavailableError, match=r"layers\.1\.mlp from 12 to 12"):
        pool().put(0, [other])


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"rank": 20}, "multiple of 16"),
        ({"gates": 0}, "1 or more"),
        ({"rows": 2**28}, "32 bits"),
    ],
)
def test_a_capacity_that_cannot_work_is_refused(wrong: dict[str, int], message: str) -> None:
    with pytest.raises(UnavailableError, match=message):
        pool(replace(CAPACITY, **wrong))
