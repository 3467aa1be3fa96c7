"""Many variants in one batch give the tokens that each gives alone."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from lethe_projections import artifact
from lethe_projections.base_model import BaseModel
from lethe_projections.profile import Profile

from .conftest import LETHE, put, running, sampling, tokens
from .prompts import PROMPTS, long_prompt
from .variants import assorted, conditional

CHUNK = 128
"""Tokens per step: a prompt longer than this is prefilled over several steps."""


@pytest.fixture(scope="module")
def engine(
    checkpoint: str, base: BaseModel, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Any]:
    cache = tmp_path_factory.mktemp("vllm")
    options = {"max_num_batched_tokens": CHUNK, "max_num_seqs": 32, "enable_prefix_caching": False}
    with running(checkpoint, cache, additional_config=LETHE, **options) as llm:
        put(llm, variants(base))
        yield llm


def variants(base: BaseModel) -> dict[str, Profile]:
    return assorted(base) | conditional(base)


def requests(base: BaseModel) -> list[tuple[str, Any]]:
    """32 requests over the base and twelve variants; every fourth prompt exceeds a chunk."""
    names = ["base", *variants(base)]
    prompts = [
        long_prompt(CHUNK + 20 * n) if n % 4 == 3 else PROMPTS[n % len(PROMPTS)] for n in range(32)
    ]
    return [(prompt, names[n % len(names)]) for n, prompt in enumerate(prompts)]


@pytest.mark.path("chunked prefill")
@pytest.mark.path("many variants in one batch")
def test_32_mixed_requests_equal_each_alone(engine: Any, base: BaseModel) -> None:
    mixed = requests(base)
    parameters = [sampling(name, max_tokens=24, ignore_eos=True) for _, name in mixed]
    together = tokens(engine.generate([prompt for prompt, _ in mixed], parameters, use_tqdm=False))
    for (prompt, name), options, served in zip(mixed, parameters, together, strict=True):
        alone = tokens(engine.generate([prompt], options, use_tqdm=False))
        assert alone == [served], f"{name} in the batch differs from {name} alone"


def test_every_variant_answers_differently_from_the_base(engine: Any, base: BaseModel) -> None:
    """The effect-size guard of the test above."""
    answers = {
        name: tokens(engine.generate(list(PROMPTS), sampling(name), use_tqdm=False))
        for name in ["base", *variants(base)]
    }
    for name in variants(base):
        moved = sum(a != b for a, b in zip(answers[name], answers["base"], strict=True))
        assert moved > len(PROMPTS) / 2, f"{name} moved only {moved} answers"


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
