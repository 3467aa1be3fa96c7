"""Tokens of a batch are grouped by variant: every edited token once, no token of the base."""

import numpy as np
import pytest
import torch

from lethe_projections.scope import KINDS
from lethe_vllm.routing import Batch, Group, Router, layout


def tokens_by_digest(groups: tuple[Group, ...], total: int) -> dict[str, list[int]]:
    """What each variant's tokens are, padding taken out."""
    found: dict[str, list[int]] = {}
    for group in groups:
        rows = torch.arange(total)[group.rows] if isinstance(group.rows, slice) else group.rows
        positions = range(len(rows)) if group.valid is None else group.valid.tolist()
        for position in positions:
            digest = group.keys[position // group.width]
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
    groups = layout(np.repeat(slots, counts), digests)
    wanted = expected(slots.tolist(), counts.tolist(), digests)
    found = tokens_by_digest(groups, int(counts.sum()))
    assert {digest: sorted(rows) for digest, rows in found.items()} == wanted


def test_variants_of_one_token_each_share_a_group() -> None:
    [group] = layout(np.arange(64), [f"{n}" for n in range(64)])
    assert (len(group.keys), group.width, group.valid) == (64, 1, None)


def test_a_long_prefill_does_not_pad_the_others() -> None:
    long, short = layout(np.repeat(np.arange(4), [1000, 1, 1, 1]), list("abcd"))
    assert long.rows == slice(0, 1000)
    assert (short.keys, short.width) == (("b", "c", "d"), 1)


def test_one_contiguous_variant_is_a_slice() -> None:
    [group] = layout(np.repeat([-1, 0, 0, -1], [3, 2, 4, 1]), ["a"])
    assert group.rows == slice(3, 9)


def batch(ids: list[str], counts: list[int], starts: list[int], prompts: list[int]) -> Batch:
    return Batch(ids, *(np.array(v, dtype=np.int32) for v in (counts, starts, prompts)))


def test_a_batch_of_the_base_has_no_groups() -> None:
    router = Router()
    router.start("one")
    assert router.route(batch(["one"], [5], [0], [5])) == ()


def test_a_reused_request_id_forgets_its_old_variant() -> None:
    router = Router()
    router.start("one", ("a",) * KINDS)
    router.start("two", ("a",) * KINDS)
    router.finish("one")
    router.start("one")
    router.start("two", ("b",) * KINDS)
    [group] = router.route(batch(["one", "two"], [1, 1], [4, 4], [4, 4]))
    assert group.keys == ("b",)


SCOPED = {"p": ("p1", "p1", None), "l": (None, "l1", None), "g": (None, None, "g1"),
          "m": ("m1", "m2", "m3"), "w": ("w1",) * 3}  # fmt: skip
"""Keys of a variant for prompt, last prompt token, generated; a mixture; and the whole."""


@pytest.mark.parametrize("seed", range(20))
def test_scopes_follow_positions_however_a_request_is_cut_into_steps(seed: int) -> None:
    random = np.random.default_rng(seed)
    names = [str(random.choice(list(SCOPED))) for _ in range(8)]
    prompts, totals = random.integers(1, 30, 8), random.integers(1, 12, 8)
    totals += prompts
    router = Router()
    for n, name in enumerate(names):
        router.start(str(n), SCOPED[name])
    seen: dict[tuple[int, int], str] = {}
    done = np.zeros(8, dtype=np.int64)
    while (done < totals).any():
        order = [int(n) for n in random.permutation(8) if done[n] < totals[n]]
        counts = [int(min(random.integers(1, 9), totals[n] - done[n])) for n in order]
        step = batch([str(n) for n in order], counts, [int(done[n]) for n in order],
                     [int(prompts[n]) for n in order])  # fmt: skip
        places = [
            (n, int(done[n]) + i) for n, c in zip(order, counts, strict=True) for i in range(c)
        ]
        for key, rows in tokens_by_digest(router.route(step), sum(counts)).items():
            seen |= {places[row]: key for row in rows}
        for n, count in zip(order, counts, strict=True):
            done[n] += count
    wanted = {
        (n, place): key
        for n, name in enumerate(names)
        for place in range(totals[n])
        if (key := SCOPED[name][int(place >= prompts[n] - 1) + int(place >= prompts[n])])
    }
    assert seen == wanted
