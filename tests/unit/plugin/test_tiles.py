"""Every edited token is in exactly one tile, of its own slot; the base's are in none."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from lethe_vllm import plan, tiles
from lethe_vllm.errors import UnsupportedError
from lethe_vllm.plan import Block, Plan
from lethe_vllm.tiles import Table, cut

CPU = torch.device("cpu")
PLAN = Plan(Block(16, 16, 32, 4), Block(64, 16, 32, 1), programs=4)
RANDOM = np.random.default_rng(3)

BATCHES = {
    "nothing": np.zeros(0, dtype=np.int64),
    "all base": np.full(9, -1),
    "one token": np.array([5]),
    "decode": RANDOM.integers(-1, 64, 64),
    "one long": np.zeros(1000, dtype=np.int64),
    "just one tile over": np.zeros(17, dtype=np.int64),
    "mixed": np.repeat(RANDOM.integers(-3, 9, 50), RANDOM.integers(1, 40, 50)),
}


@pytest.mark.parametrize("batch", BATCHES)
def test_every_edited_token_is_in_one_tile_of_its_slot(batch: str) -> None:
    per_token = BATCHES[batch]
    found = cut(per_token, PLAN)
    owner = np.full(len(per_token), -1)
    for slot, first, count in zip(found.slots, found.firsts, found.counts, strict=True):
        part = found.order[first : first + count]
        assert 0 < count <= PLAN.tile(len(found.order))
        assert (owner[part] == -1).all()
        owner[part] = slot
    assert np.array_equal(owner, np.maximum(per_token, -1))
    assert found.counts.sum() == len(found.order) == (per_token >= 0).sum()


def test_tiles_are_small_until_they_keep_every_program_busy() -> None:
    assert PLAN.tile(64) == 16
    assert PLAN.tile(65) == 64


def test_no_step_needs_more_tiles_than_there_is_room_for() -> None:
    for batch in range(50):
        tokens, slots = int(RANDOM.integers(1, 300)), int(RANDOM.integers(1, 40))
        per_token = np.random.default_rng(batch).integers(-1, slots, tokens)
        assert len(cut(per_token, PLAN).slots) <= tiles.most_tiles(tokens, slots, 16)
    assert len(cut(np.repeat([0, 1, 2], [16, 1, 1]), PLAN).slots) == tiles.most_tiles(18, 3, 16)


def contents(table: Table) -> list[NDArray[np.int32]]:
    return [part.numpy() for part in table.tensors]


def test_a_table_holds_the_last_step_alone_at_fixed_addresses() -> None:
    table = Table(PLAN, tokens=1100, slots=64, device=CPU)
    addresses = [part.data_ptr() for part in table.tensors]
    for per_token in BATCHES.values():
        table.write(per_token)
        used, slots, firsts, counts, order = contents(table)
        wanted = cut(per_token, PLAN)
        assert used[0] == len(wanted.slots)
        assert np.array_equal(slots[: used[0]], wanted.slots)
        assert np.array_equal(firsts[: used[0]], wanted.firsts)
        assert np.array_equal(counts[: used[0]], wanted.counts)
        assert used[0] == 0 or not counts[used[0] :].any()
        assert np.array_equal(order[: len(wanted.order)], wanted.order)
    assert [part.data_ptr() for part in table.tensors] == addresses
    assert all(address % 64 == 0 for address in addresses)


def test_a_step_like_the_last_is_not_written_again() -> None:
    table = Table(PLAN, tokens=8, slots=4, device=CPU)
    step = np.array([1, -1, 2])
    table.write(step)
    table.tensors.used.fill_(77)
    table.write(step.copy())
    assert table.tensors.used[0] == 77
    step[1] = 3  # the caller's buffer, changed for the next step
    table.write(step)
    assert table.tensors.used[0] == 3
    table.write(np.full(3, -1))
    assert (table.tensors.used[0], table.reach) == (0, 0)


def test_a_step_of_the_base_between_two_alike_leaves_the_table() -> None:
    table = Table(PLAN, tokens=8, slots=4, device=CPU)
    step = np.array([1, -1, 2])
    table.write(step)
    table.tensors.order.fill_(77)
    table.write(np.zeros(0, dtype=np.int64))
    assert (table.tensors.used[0], table.reach) == (0, 0)
    table.write(step)
    assert (table.tensors.used[0], table.reach, table.tensors.order[0]) == (2, 3, 77)


@pytest.mark.parametrize("wrong", [np.zeros(9, dtype=np.int64), np.array([4])])
def test_a_step_beyond_the_table_is_refused(wrong: NDArray[np.int64]) -> None:
    with pytest.raises(ValueError, match="max_num_batched_tokens"):
        Table(PLAN, tokens=8, slots=4, device=CPU).write(wrong)


def test_plans_are_known_for_float_types_alone() -> None:
    assert plan.choose(torch.bfloat16, 16, CPU).narrow.rank == 16
    assert plan.choose(torch.bfloat16, 128, CPU).narrow.rank > 16
    assert not plan.choose(torch.float32, 128, CPU).fused, "interpreted programs cannot wait"
    with pytest.raises(UnsupportedError, match="float16"):
        plan.choose(torch.float64, 16, CPU)
