"""More profiles than the device has room for: each request still gets its own."""

from collections.abc import Iterator
from typing import Any

import pytest

from lethe_projections import artifact
from lethe_projections.base_model import BaseModel
from lethe_projections.profile import Profile
from lethe_vllm.errors import UnavailableError

from .conftest import Start, put, sampling, tokens
from .oracle import EFFECT, Request, check_alone, check_variant, differ
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


def options(when_full: str) -> dict[str, Any]:
    lethe = {"sites": "block:10,down_proj:3-5", "bank_mb": 1, "when_full": when_full}
    return {"additional_config": {"lethe": lethe}, "max_num_seqs": 64}


@pytest.fixture(scope="module")
def engine(start: Start, base: BaseModel) -> Iterator[Any]:
    with start(large(base), **options("wait")) as llm:
        yield llm


def held(engine: Any) -> list[str]:
    [status] = engine.llm_engine.collective_rpc("lethe_status")
    return list(status["held"])


def test_requests_over_more_profiles_than_fit_equal_each_alone(
    engine: Any, base: BaseModel
) -> None:
    names = ["base", *large(base)]
    check_alone(
        engine,
        [
            Request(prompt, names[n % len(names)], 3 + n % 5)
            for n, prompt in enumerate(PROMPTS[: len(names) + 2])
        ],
    )
    assert 1 <= len(held(engine)) <= ROOM


def test_a_profile_that_was_dropped_serves_exactly_again(
    engine: Any, base: BaseModel, transformers_model: Any
) -> None:
    dropped = large(base)["large-0"]
    digest = artifact.digest(artifact.to_bytes(dropped))
    for name, there in (("large-0", True), ("large-5", True), ("large-9", False)):
        engine.generate([PROMPTS[0]], sampling(name, max_tokens=1), use_tqdm=False)
        assert (digest in held(engine)) == there
    check_variant(engine, "large-0", dropped, transformers_model)


def test_a_thousand_profiles_are_served_through_a_bank_of_a_megabyte(
    engine: Any, base: BaseModel, transformers_model: Any
) -> None:
    profiles = small(base)
    put(engine, profiles)
    names = list(profiles)[::32]
    together = check_alone(
        engine,
        [Request(PROMPTS[n % len(PROMPTS)], name) for n, name in enumerate(names)],
    )
    assert differ(together[0], together[len(PROMPTS)], EFFECT), "this test would prove nothing"
    check_variant(engine, "small-999", profiles["small-999"], transformers_model)


def test_where_requests_do_not_wait_the_one_without_room_is_refused(
    start: Start, base: BaseModel
) -> None:
    with start(large(base), apart=True, **options("refuse")) as llm:
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
