"""Each token of a batch is sent to its request's variant, by its kind."""

import numpy as np
import pytest

from lethe_projections.scope import KINDS
from lethe_vllm.routing import Batch, Router


def batch(ids: list[str], counts: list[int], starts: list[int], prompts: list[int]) -> Batch:
    return Batch(ids, *(np.array(v, dtype=np.int32) for v in (counts, starts, prompts)))


def test_a_batch_of_the_base_has_no_slots() -> None:
    router = Router()
    router.start("one")
    router.start("elsewhere", (3,) * KINDS)
    assert router.route(batch(["one"], [5], [0], [5])) is None


def test_a_reused_request_id_forgets_its_old_variant() -> None:
    router = Router()
    router.start("one", (1,) * KINDS)
    router.start("two", (1,) * KINDS)
    router.finish("one")
    router.start("one")
    router.start("two", (2,) * KINDS)
    found = router.route(batch(["one", "two"], [1, 2], [4, 4], [4, 4]))
    assert found is not None
    assert found.tolist() == [-1, 2, 2]


SCOPED = {"p": (0, 0, -1), "l": (-1, 1, -1), "g": (-1, -1, 2), "m": (3, 4, 5), "w": (6, 6, 6)}
"""Slots of a variant for prompt, last prompt token, generated; a mixture; and the whole."""


@pytest.mark.parametrize("seed", range(20))
def test_scopes_follow_positions_however_a_request_is_cut_into_steps(seed: int) -> None:
    random = np.random.default_rng(seed)
    names = [str(random.choice(list(SCOPED))) for _ in range(8)]
    prompts, totals = random.integers(1, 30, 8), random.integers(1, 12, 8)
    totals += prompts
    router = Router()
    for n, name in enumerate(names):
        router.start(str(n), SCOPED[name])
    seen: dict[tuple[int, int], int] = {}
    done = np.zeros(8, dtype=np.int64)
    while (done < totals).any():
        order = [int(n) for n in random.permutation(8) if done[n] < totals[n]]
        counts = [int(min(random.integers(1, 9), totals[n] - done[n])) for n in order]
        step = batch([str(n) for n in order], counts, [int(done[n]) for n in order],
                     [int(prompts[n]) for n in order])  # fmt: skip
        places = [
            (n, int(done[n]) + i) for n, c in zip(order, counts, strict=True) for i in range(c)
        ]
        found = router.route(step)
        seen |= dict(
            zip(places, [-1] * len(places) if found is None else found.tolist(), strict=True)
        )
        for n, count in zip(order, counts, strict=True):
            done[n] += count
    wanted = {
        (n, place): SCOPED[name][int(place >= prompts[n] - 1) + int(place >= prompts[n])]
        for n, name in enumerate(names)
        for place in range(totals[n])
    }
    assert seen == wanted
