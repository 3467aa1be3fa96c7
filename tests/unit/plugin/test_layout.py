"""Tokens of a batch are grouped by variant: every edited token once, no token of the base."""

from collections import defaultdict

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from lethe_vllm.layout import PADDING_LIMIT, Apart, Group, Together, layout

HIGH = 1000
"""A rank at which variants are kept apart."""


def layout_at(per_token: NDArray[np.int64], rank: int) -> tuple[Group, ...]:
    """The layout where all variants have this rank."""
    return layout(per_token, defaultdict(lambda: rank))


def tokens_by_slot(groups: tuple[Group, ...], total: int) -> dict[int, list[int]]:
    """What each variant's tokens are, padding taken out."""
    found: dict[int, list[int]] = {}
    for group in groups:
        rows = torch.arange(total)[group.rows] if isinstance(group.rows, slice) else group.rows
        if isinstance(group, Together):
            pairs = list(zip(group.owners.tolist(), rows.tolist(), strict=True))
        else:
            assert isinstance(group, Apart)
            positions = range(len(rows)) if group.valid is None else group.valid.tolist()
            pairs = [(position // group.width, int(rows[position])) for position in positions]
        for place, row in pairs:
            found.setdefault(group.slots[place], []).append(row)
    return found


@pytest.mark.parametrize("rank", [1, 8, 64, HIGH])
@pytest.mark.parametrize("seed", range(30))
def test_random_batches_are_covered_exactly(seed: int, rank: int) -> None:
    random = np.random.default_rng(seed)
    size = int(random.integers(1, 40))
    counts = random.integers(1, 60, size=size) if seed % 2 else np.ones(size, dtype=np.int64)
    per_token = np.repeat(random.integers(-1, 6, size=size), counts)
    wanted = {slot: np.flatnonzero(per_token == slot).tolist() for slot in {*per_token} - {-1}}
    found = tokens_by_slot(layout_at(per_token, rank), len(per_token))
    assert {slot: sorted(rows) for slot, rows in found.items()} == wanted


@pytest.mark.parametrize("seed", range(20))
def test_ranks_that_differ_much_are_not_padded_to_the_largest(seed: int) -> None:
    random = np.random.default_rng(seed)
    ranks = dict(enumerate(random.choice([1, 2, 16, 64, 128], size=40).tolist()))
    per_token = random.integers(-1, 40, size=200)
    groups = layout(per_token, ranks)
    assert sum(len(group.slots) for group in groups) == len({*per_token} - {-1})
    rows = sum(ranks[slot] for slot in {*per_token} - {-1})
    padded = sum(len(group.slots) * max(ranks[slot] for slot in group.slots) for group in groups)
    assert padded <= PADDING_LIMIT * rows
    found = tokens_by_slot(groups, len(per_token))
    assert all(
        np.array_equal(sorted(found[slot]), np.flatnonzero(per_token == slot)) for slot in found
    )


@pytest.mark.parametrize(("variants", "tokens", "rank", "kind"), [
    (8, 64, 16, Together), (16, 64, 16, Apart), (64, 64, 1, Together), (2, 4096, 32, Together),
    (2, 4096, 33, Apart), (1, 4096, 128, Together),
])  # fmt: skip
def test_few_rows_are_multiplied_together(
    variants: int, tokens: int, rank: int, kind: type[Group]
) -> None:
    [group] = layout_at(np.arange(tokens) % variants, rank)
    assert type(group) is kind
    assert group.slots == tuple(range(variants))


def test_a_mask_leaves_each_token_its_own_rows() -> None:
    [group] = layout_at(np.array([-1, 7, 3, 7]), 2)
    assert isinstance(group, Together)
    assert (group.slots, group.rows) == ((3, 7), slice(1, 4))
    own = [[False, False, True, True], [True, True, False, False], [False, False, True, True]]
    assert torch.equal(~group.others(2), torch.tensor(own))


def test_variants_of_one_token_each_share_a_group() -> None:
    [group] = layout_at(np.arange(64), 16)
    assert isinstance(group, Apart)
    assert (len(group.slots), group.width, group.valid) == (64, 1, None)


def test_one_token_each_in_any_order_is_a_slice_of_the_batch() -> None:
    [group] = layout_at(np.array([-1, 5, 3, 9, 1, -1]), HIGH)
    assert isinstance(group, Apart)
    assert (group.rows, group.slots, group.block) == (slice(1, 5), (5, 3, 9, 1), 4)


def test_a_long_prefill_does_not_pad_the_others() -> None:
    long, short = layout_at(np.repeat(np.arange(4), [1000, 1, 1, 1]), HIGH)
    assert long.rows == slice(0, 1000)
    assert isinstance(short, Apart)
    assert (short.slots, short.width) == ((1, 2, 3), 1)


def test_one_contiguous_variant_is_a_slice() -> None:
    [group] = layout_at(np.repeat([-1, 0, 0, -1], [3, 2, 4, 1]), HIGH)
    assert group.rows == slice(3, 9)
