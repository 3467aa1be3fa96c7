"""Tokens of a batch are grouped by variant: every edited token once, no token of the base."""

import numpy as np
import pytest
import torch

from lethe_vllm.routing import Group, Router, layout


def tokens_by_digest(groups: tuple[Group, ...], total: int) -> dict[str, list[int]]:
    """What each variant's tokens are, padding taken out."""
    found: dict[str, list[int]] = {}
    for group in groups:
        rows = torch.arange(total)[group.rows] if isinstance(group.rows, slice) else group.rows
        positions = range(len(rows)) if group.valid is None else group.valid.tolist()
        for position in positions:
            digest = group.digests[position // group.width]
            found.setdefault(digest, []).append(int(rows[position]))
    return found


def expected(slots: list[int], counts: list[int], digests: list[str]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    position = 0
    for slot, count in zip(slots, counts, strict=True):
        if slot >= 0:
            found.setdefault(digests[slot], []).extend(range(position, position + count))
        position += count
    return found


@pytest.mark.parametrize("seed", range(30))
def test_random_batches_are_covered_exactly(seed: int) -> None:
    random = np.random.default_rng(seed)
    size = int(random.integers(1, 40))
    slots = random.integers(-1, 6, size=size)
    counts = random.integers(1, 60, size=size) if seed % 2 else np.ones(size, dtype=np.int64)
    digests = [f"digest-{n}" for n in range(6)]
    groups = layout(slots, counts.astype(np.int32), digests)
    wanted = expected(slots.tolist(), counts.tolist(), digests)
    found = tokens_by_digest(groups, int(counts.sum()))
    assert {digest: sorted(rows) for digest, rows in found.items()} == wanted


def test_variants_of_one_token_each_share_a_group() -> None:
    slots, counts = np.arange(64), np.ones(64, dtype=np.int32)
    [group] = layout(slots, counts, [f"{n}" for n in range(64)])
    assert (len(group.digests), group.width, group.valid) == (64, 1, None)


def test_a_long_prefill_does_not_pad_the_others() -> None:
    counts = np.array([1000, 1, 1, 1], dtype=np.int32)
    long, short = layout(np.arange(4), counts, list("abcd"))
    assert long.rows == slice(0, 1000)
    assert (short.digests, short.width) == (("b", "c", "d"), 1)


def test_one_contiguous_variant_is_a_slice() -> None:
    [group] = layout(np.array([-1, 0, 0, -1]), np.array([3, 2, 4, 1], dtype=np.int32), ["a"])
    assert group.rows == slice(3, 9)


def test_a_batch_of_the_base_has_no_groups() -> None:
    router = Router()
    router.start("one", None)
    assert router.route(["one"], np.array([5], dtype=np.int32)) == ()


def test_a_reused_request_id_forgets_its_old_variant() -> None:
    router = Router()
    router.start("one", "a")
    router.start("two", "a")
    router.finish("one")
    router.start("one", None)
    router.start("two", "b")
    [group] = router.route(["one", "two"], np.array([1, 1], dtype=np.int32))
    assert group.digests == ("b",)
