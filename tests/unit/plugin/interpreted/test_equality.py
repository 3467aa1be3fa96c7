"""The kernel equals the formula in fp64, whatever the batch, the factors and the blocks."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from lethe_vllm import plan
from lethe_vllm.plan import Block, Plan
from tests.unit.plugin.interpreted.scene import CPU, SMALL, TOLERANCE, Scene, check, edits

GATED = (True, None, False)
HELD = {0: edits(1, 1), 1: edits(16, 2), 2: edits(5, 3, gates=GATED), 4: edits(40, 5)}

BATCHES = {
    "one token": [0],
    "decode of many": [0, 1, -1, 2, 4, 1, 2, 2],
    "a prefill among decodes": [1] * 40 + [0] + [-1] * 7 + [2] * 2 + [4],
    "one variant, not contiguous": [2, 2, -1, -1, 2, -1, 2],
    "several wide tiles": [1] * 50 + [2] * 70 + [-1] * 3 + [4] * 50,
    "all base": [-1] * 8,
    "a slot without an edit here": [3, 3, 0, 3],
}


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("batch", BATCHES)
def test_every_batch_equals_the_formula(batch: str, dtype: torch.dtype) -> None:
    check(Scene(dtype, SMALL, HELD), BATCHES[batch])


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("hook", ["block", "down_proj"])
def test_every_hook_equals_the_formula(hook: str, dtype: torch.dtype) -> None:
    d_in = 176 if hook == "down_proj" else 96
    held = {slot: edits(3 + slot, slot, d_in, gates=GATED) for slot in range(3)}
    check(Scene(dtype, SMALL, held, d_in), [0, 1, 1, -1, *[2] * 37], hook)


@pytest.mark.parametrize("rank", [1, 2, 15, 16, 17, 31, 33, 64, 65, 128])
@pytest.mark.parametrize("tokens", [3, 33])
def test_every_rank_equals_the_formula(rank: int, tokens: int) -> None:
    check(Scene(torch.float32, SMALL, {0: edits(rank, rank)}), [0] * tokens + [-1])


@pytest.mark.parametrize("profiles", [1, 7, 64, 256])
def test_any_number_of_profiles_equals_the_formula(profiles: int) -> None:
    held = {slot: edits(1 + slot % 3, slot, 32, 32) for slot in range(profiles)}
    shuffled = np.random.default_rng(0).permutation(profiles)
    check(Scene(torch.float32, SMALL, held, 32, 32), shuffled.tolist())


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_real_widths_with_the_plan_of_the_engine(dtype: torch.dtype) -> None:
    held = {0: edits(2, 1, 1536, 576), 1: edits(70, 2, 1536, 576, gates=(None, True))}
    chosen = plan.choose(dtype, 144, CPU)
    check(Scene(dtype, chosen, held, 1536, 576), [0, 1, -1, 1, *[0] * 140], "down_proj")


@pytest.mark.parametrize("splits", [1, 2, 16])
def test_any_number_of_splits_equals_the_formula(splits: int) -> None:
    cut = replace(SMALL, programs=16, splits=splits)
    check(Scene(torch.float32, cut, HELD), [0], "block")
    check(Scene(torch.float32, cut, HELD), [1, 2, 2, -1], "block")


def test_one_launch_and_two_give_the_same_bits() -> None:
    apart = replace(SMALL, splits=1)
    together = replace(apart, fused=True)
    slots = BATCHES["several wide tiles"]
    first, second = (check(Scene(torch.float32, cut, HELD), slots) for cut in (apart, together))
    assert torch.equal(first, second)


def test_a_narrow_plan_for_small_ranks_equals_the_formula() -> None:
    cut = Plan(Block(16, 16, 256, 16), Block(64, 16, 64, 1), programs=2, fused=False)
    check(Scene(torch.float32, cut, {0: edits(1, 1), 1: edits(16, 2)}), [0, 1] * 70)
