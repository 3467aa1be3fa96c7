"""More profiles than the device has room for: each request still gets its own."""

from collections.abc import Iterator
from typing import Any

import pytest

from lethe_projections.base_model import BaseModel
from lethe_projections.profile import Profile
from lethe_vllm.errors import UnavailableError

from .conftest import put, running, sampling, tokens
from .oracle import check_variant
from .prompts import PROMPTS
from .variants import low_rank

ROOM = 2
"""Of the large profiles, so many fit."""

pytestmark = [pytest.mark.timeout(900), pytest.mark.path("more profiles than the device holds")]


def large(base: BaseModel) -> dict[str, Profile]:
    """Ten of 0.4 MB in float32, of different ranks, one of them beside scopes of its own."""
    return {
        f"large-{n}": low_rank(base, "down_proj", (3, 4, 5), rank=14 + n % 3, scale=0.12, seed=n)
        for n in range(10)
    }


def small(base: BaseModel) -> dict[str, Profile]:
    return {
        f"small-{n}": low_rank(base, "block", (10,), rank=1, scale=0.3, seed=100 + n)
        for n in range(1000)
    }


def engine_with(when_full: str, checkpoint: str, folder: Any) -> Any:
    lethe = {"sites": "block:10,down_proj:3-5", "bank_mb": 1, "when_full": when_full}
    return running(checkpoint, folder, additional_config={"lethe": lethe}, max_num_seqs=64)


@pytest.fixture(scope="module")
def engine(
    checkpoint: str, base: BaseModel, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Any]:
    with engine_with("wait", checkpoint, tmp_path_factory.mktemp("vllm")) as llm:
        put(llm, large(base))
        yield llm


def held(engine: Any) -> list[str]:
    [status] = engine.llm_engine.collective_rpc("lethe_status")
    return list(status["held"])


def test_requests_over_more_profiles_than_fit_equal_each_alone(
    engine: Any, base: BaseModel
) -> None:
    names = ["base", *large(base)]
    asked = [sampling(names[n % len(names)], max_tokens=8 + n % 5) for n in range(len(PROMPTS))]
    together = tokens(engine.generate(list(PROMPTS), asked, use_tqdm=False))
    assert 1 <= len(held(engine)) <= ROOM
    for prompt, one, served in zip(PROMPTS, asked, together, strict=True):
        assert tokens(engine.generate([prompt], one, use_tqdm=False)) == [served]


def test_a_profile_that_was_dropped_serves_exactly_again(
    engine: Any, base: BaseModel, transformers_model: Any
) -> None:
    for name in ("large-0", "large-5", "large-9", "large-0"):
        check_variant(engine, name, large(base)[name], transformers_model)


def test_a_thousand_profiles_are_served_through_a_bank_of_a_megabyte(
    engine: Any, base: BaseModel, transformers_model: Any
) -> None:
    profiles = small(base)
    put(engine, profiles)
    names = list(profiles)[::16]
    asked = [sampling(name, max_tokens=4) for name in names]
    prompts = [PROMPTS[n % len(PROMPTS)] for n in range(len(names))]
    together = tokens(engine.generate(prompts, asked, use_tqdm=False))
    alone = [
        tokens(engine.generate([p], one, use_tqdm=False))[0]
        for p, one in zip(prompts, asked, strict=True)
    ]
    assert together == alone
    assert len({tuple(answer) for answer in together[:: len(PROMPTS)]}) > 1
    check_variant(engine, "small-999", profiles["small-999"], transformers_model)


def test_where_requests_do_not_wait_the_one_without_room_is_refused(
    checkpoint: str, base: BaseModel, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with engine_with("refuse", checkpoint, tmp_path_factory.mktemp("vllm")) as llm:
        put(llm, large(base))
        names = list(large(base))[: ROOM + 1]
        with pytest.raises(UnavailableError, match="room for it on the device"):
            llm.generate(list(PROMPTS[: ROOM + 1]), [sampling(n) for n in names], use_tqdm=False)
        for name in names:
            [answer] = tokens(llm.generate([PROMPTS[0]], sampling(name), use_tqdm=False))
            assert len(answer) > 1


def test_a_profile_larger_than_the_bank_is_refused_and_nothing_of_it_stays(
    engine: Any, base: BaseModel
) -> None:
    with pytest.raises(UnavailableError, match="--lethe-bank-mb"):
        put(engine, {"huge": low_rank(base, "down_proj", (3, 4, 5), rank=64, scale=0.1, seed=1)})
    with pytest.raises(Exception, match="huge"):
        engine.generate([PROMPTS[0]], sampling("huge"), use_tqdm=False)
