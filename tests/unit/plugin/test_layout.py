"""Tokens of a batch are grouped by variant: every edited token once, no token of the base."""

import numpy as np
import pytest
import torch

from lethe_vllm.layout import Group, layout


def tokens_by_slot(groups: tuple[Group, ...], total: int) -> dict[int, list[int]]:
    """What each variant's tokens are, padding taken out."""
    found: dict[int, list[int]] = {}
    for group in groups:
        rows = torch.arange(total)[group.rows] if isinstance(group.rows, slice) else group.rows
        positions = range(len(rows)) if group.valid is None else group.valid.tolist()
        for position in positions:
            slot = group.slots[position // group.width]
            found.setdefault(slot, []).append(int(rows[position]))
    return found


@pytest.mark.parametrize("seed", range(30))
def test_random_batches_are_covered_exactly(seed: int) -> None:
    random = np.random.default_rng(seed)
    size = int(random.integers(1, 40))
    counts = random.integers(1, 60, size=size) if seed % 2 else np.ones(size, dtype=np.int64)
    per_token = np.repeat(random.integers(-1, 6, size=size), counts)
    wanted = {slot: np.flatnonzero(per_token == slot).tolist() for slot in {*per_token} - {-1}}
    found = tokens_by_slot(layout(per_token), len(per_token))
    assert {slot: sorted(rows) for slot, rows in found.items()} == wanted


def test_variants_of_one_token_each_share_a_group() -> None:
    [group] = layout(np.arange(64))
    assert (len(group.slots), group.width, group.valid) == (64, 1, None)


def test_a_long_prefill_does_not_pad_the_others() -> None:
    long, short = layout(np.repeat(np.arange(4), [1000, 1, 1, 1]))
    assert long.rows == slice(0, 1000)
    assert (short.slots, short.width) == ((1, 2, 3), 1)


def test_one_contiguous_variant_is_a_slice() -> None:
    [group] = layout(np.repeat([-1, 0, 0, -1], [3, 2, 4, 1]))
    assert group.rows == slice(3, 9)
