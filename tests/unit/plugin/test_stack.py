"""A stack that is kept from batch to batch holds what one made for this batch would."""

import numpy as np
import pytest
import torch
from torch import Tensor

from lethe_projections.projector import Gate, Projector, Site
from lethe_vllm.factors import Factors, factors
from lethe_vllm.placement import Placement
from lethe_vllm.stack import Stack

PLACE = Placement(torch.float32, torch.device("cpu"))
WIDTH = 6


def edit(random: np.random.Generator) -> Factors | None:
    """Of any rank up to 3, with or without bias and gate; or none."""
    kind = random.integers(5)
    if kind == 0:
        return None

    def normal(*shape: int) -> Tensor:
        return torch.from_numpy(random.normal(size=shape).astype(np.float32))

    rank = int(random.integers(1, 4))
    a = normal(rank) if kind == 1 else None
    gate = Gate(normal(WIDTH), 0.5, hard=True) if kind == 2 else None
    site = Site(0, "mlp")
    return factors(Projector(site, normal(rank, WIDTH), normal(rank, WIDTH), a, gate), PLACE)


def parts(found: Factors | None) -> list[Tensor]:
    if found is None:
        return []
    kept: list[Tensor] = []
    found.map(lambda part: kept.append(part) or part)  # type: ignore[func-returns-value]
    return kept


@pytest.mark.parametrize("seed", range(20))
def test_batch_after_batch_equals_a_stack_of_its_own(seed: int) -> None:
    random = np.random.default_rng(seed)
    held = [edit(random) for _ in range(12)]
    stack = Stack()
    seen = set()
    for _ in range(30):
        replaced = int(random.integers(12))
        held[replaced] = edit(random)
        stack.forget(replaced)
        slots = random.permutation(12)[: random.integers(1, 13)].tolist()
        edits = [held[slot] for slot in slots]
        found, wanted = parts(stack.of(slots, edits)), parts(Stack().of(slots, edits))
        assert len(found) == len(wanted)
        assert all(torch.equal(a, b) for a, b in zip(found, wanted, strict=True))
        seen.add(len(found))
    assert max(seen) == 6, "the guard: no batch had a bias and a gate"


def test_each_place_has_its_edit_then_zeros() -> None:
    long, short = (
        factors(
            Projector(
                Site(0, "mlp"), torch.ones(rank, WIDTH) * rank, torch.ones(rank, WIDTH) * rank
            ),
            PLACE,
        )
        for rank in (3, 1)
    )
    found = Stack().of([7, 2, 5], [short, None, long])
    assert found is not None
    assert found.A[:, :, 0].tolist() == [[1, 0, 0], [0, 0, 0], [3, 3, 3]]
    assert torch.equal(found.A, found.B)
    assert found.a is None
    assert found.gates is None


def test_a_slot_that_was_not_forgotten_is_not_copied_again() -> None:
    """What makes a changing batch cheap, and why `forget` must be called."""
    first, second, other = (
        factors(Projector(Site(0, "mlp"), torch.ones(1, WIDTH) * n, torch.ones(1, WIDTH)), PLACE)
        for n in (1, 2, 3)
    )
    stack = Stack()
    stack.of([0, 1], [first, second])
    kept = stack.of([0, 1], [other, second])
    assert kept is not None
    assert float(kept.A[0, 0, 0]) == 1
    stack.forget(0)
    renewed = stack.of([0, 1], [other, second])
    assert renewed is not None
    assert float(renewed.A[0, 0, 0]) == 3
