"""Many variants in one batch give the tokens that each gives alone."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from lethe_projections import artifact
from lethe_projections.base_model import BaseModel
from lethe_projections.profile import Profile

from .conftest import Start, sampling
from .oracle import EFFECT, Request, ask, check_alone, differ
from .prompts import PROMPTS, long_prompt
from .variants import assorted, conditional

CHUNK = 64
"""Tokens per step: a prompt longer than this is prefilled over several steps."""


@pytest.fixture(scope="module")
def engine(start: Start, base: BaseModel) -> Iterator[Any]:
    options = {"max_num_batched_tokens": CHUNK, "max_num_seqs": 32, "enable_prefix_caching": False}
    with start(variants(base), **options) as llm:
        yield llm


def variants(base: BaseModel) -> dict[str, Profile]:
    return assorted(base) | conditional(base)


def requests(base: BaseModel) -> list[Request]:
    """32 over the base and twelve variants; every fourth prompt exceeds a chunk."""
    names = ["base", *variants(base)]
    prompts = [
        long_prompt(CHUNK + 4 * n) if n % 4 == 3 else PROMPTS[n % len(PROMPTS)] for n in range(32)
    ]
    return [Request(prompt, names[n % len(names)], 8) for n, prompt in enumerate(prompts)]


@pytest.mark.path("chunked prefill")
@pytest.mark.path("many variants in one batch")
def test_32_mixed_requests_equal_each_alone(engine: Any, base: BaseModel) -> None:
    mixed = requests(base)
    together = check_alone(engine, mixed)
    plain = ask(engine, [request._replace(name="base") for request in mixed])
    for request, served, unedited in zip(mixed, together, plain, strict=True):
        moved = differ(served, unedited, EFFECT)
        assert moved == (request.name != "base"), f"{request.name}: this would prove nothing"


@pytest.mark.path("several samples of one request (n > 1)")
def test_samples_of_one_request_share_its_variant(engine: Any, base: BaseModel) -> None:
    one = sampling("mlp", n=3, temperature=0.8, seed=7)
    base_too = sampling("base", n=3, temperature=0.8, seed=7)
    first, again = (engine.generate([PROMPTS[0]], one, use_tqdm=False)[0] for _ in range(2))
    plain = engine.generate([PROMPTS[0]], base_too, use_tqdm=False)[0]
    texts = [[list(sample.token_ids) for sample in out.outputs] for out in (first, again, plain)]
    assert texts[0] == texts[1]
    assert all(a != b for a, b in zip(texts[0], texts[2], strict=True))


def test_edited_tokens_are_counted_by_profile_and_site(engine: Any, base: BaseModel) -> None:
    prompts, answer = (long_prompt(CHUNK + 20), PROMPTS[0], PROMPTS[1]), 7
    before = {name: counted(engine, variants(base)[name]) for name in ("block", "generated")}
    lengths = []
    for name in ("block", "generated", "base"):
        wanted = sampling(name, max_tokens=answer, ignore_eos=True)
        outputs = engine.generate(list(prompts), wanted, use_tqdm=False)
        lengths = [len(output.prompt_token_ids) for output in outputs]
    # The last token of an answer is not read again.
    edited = {"block": sum(lengths) + 3 * (answer - 1), "generated": 3 * (answer - 1)}
    for name, wanted in edited.items():
        added = counted(engine, variants(base)[name]) - before[name]
        assert added == dict.fromkeys(["layers.10.block", "layers.20.block"], wanted)


def counted(engine: Any, profile: Profile) -> Counter[str]:
    """Tokens that the engine has edited so far, by site."""
    [edited] = engine.llm_engine.collective_rpc("lethe_edited")
    return Counter(edited.get(artifact.digest(artifact.to_bytes(profile)), {}))
