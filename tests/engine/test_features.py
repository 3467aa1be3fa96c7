"""What else vLLM does with a request: each of its ways through the engine serves the variant."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch

from lethe_projections import reference
from lethe_projections.base_model import BaseModel
from lethe_projections.profile import Profile

from .conftest import LETHE, on_path, put, running, sampling, tokens
from .oracle import EFFECT, TOLERANCE, check_variant, expected
from .prompts import PROMPTS
from .variants import assorted, conditional

BLOCK = 32
"""Tokens per KV block."""
BLOCKS = 24
"""So few that twelve requests cannot all stay: some are preempted and computed again."""

pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="module", params=[on_path("async scheduling"), on_path("sync scheduling")])
def engine(
    request: pytest.FixtureRequest,
    checkpoint: str,
    base: BaseModel,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Any]:
    options = {
        "async_scheduling": request.param == "async scheduling",
        "block_size": BLOCK,
        "num_gpu_blocks_override": BLOCKS,
        "max_model_len": 256,
        "enable_prefix_caching": True,
        "disable_log_stats": False,
        "max_logprobs": 20,
    }
    cache = tmp_path_factory.mktemp("vllm")
    with running(checkpoint, cache, additional_config=LETHE, **options) as llm:
        put(llm, variants(base))
        yield llm


def variants(base: BaseModel) -> dict[str, Profile]:
    return assorted(base) | conditional(base)


def edited(model: Any, profile: Profile, outputs: list[Any]) -> list[torch.Tensor]:
    prompts = torch.tensor([len(output.prompt_token_ids) for output in outputs])
    with reference.edited(model, profile, prompts) as changed:
        return expected(changed, outputs)


@pytest.mark.parametrize("name", ["block", "mlp", "mixed"])
def test_a_variant_equals_the_edit_in_transformers(
    name: str, engine: Any, base: BaseModel, transformers_model: Any
) -> None:
    check_variant(engine, name, variants(base)[name], transformers_model)


@pytest.mark.path("preemption and recomputation")
def test_requests_that_were_preempted_answer_as_if_they_were_not(
    engine: Any, base: BaseModel
) -> None:
    names = ["base", *variants(base)]
    asked = [
        (PROMPTS[n], sampling(names[n % len(names)], max_tokens=80, ignore_eos=True))
        for n in range(12)
    ]
    before = preemptions(engine)
    prompts, wanted = zip(*asked, strict=True)
    together = tokens(engine.generate(list(prompts), list(wanted), use_tqdm=False))
    assert preemptions(engine) > before, "nothing was preempted: this test would prove nothing"
    for (prompt, one), served in zip(asked, together, strict=True):
        assert tokens(engine.generate([prompt], one, use_tqdm=False)) == [served]


def preemptions(engine: Any) -> int:
    counted = {metric.name: metric for metric in engine.get_metrics()}
    return int(counted["vllm:num_preemptions"].value)


@pytest.mark.path("prompt log-probabilities")
@pytest.mark.parametrize("name", ["block", "down", "prompt", "mixed"])
def test_log_probabilities_of_the_prompt_are_the_variants(
    name: str, engine: Any, base: BaseModel, transformers_model: Any
) -> None:
    wanted = sampling(name, max_tokens=1, prompt_logprobs=5, ignore_eos=True)
    outputs = engine.generate(list(PROMPTS), wanted, use_tqdm=False)
    moved = []
    for output in outputs:
        ids = output.prompt_token_ids
        with reference.edited(transformers_model, variants(base)[name], len(ids)) as changed:
            found = worst(changed, output)
        moved.append(worst(transformers_model, output))
        assert found < TOLERANCE
    assert max(moved) > EFFECT, "the edit hardly moves the model: this test would prove nothing"


def worst(model: Any, output: Any) -> float:
    """Largest difference over the prompt's own tokens and the likeliest at each place.

    Relative, where a prompt's own token is very unlikely.
    """
    ids = output.prompt_token_ids
    with torch.no_grad():
        logprobs = model(torch.tensor([ids])).logits[0].float().log_softmax(-1)
    return max(
        abs(entry.logprob - (wanted := float(logprobs[place - 1, token]))) / max(1, -wanted)
        for place, listed in enumerate(output.prompt_logprobs)
        if listed
        for token, entry in listed.items()
    )


@pytest.mark.path("structured output")
def test_a_constrained_answer_is_the_variants_choice(
    engine: Any, base: BaseModel, transformers_model: Any, tokenizer: Any
) -> None:
    from vllm.sampling_params import StructuredOutputsParams

    choices = ["the", "not", "it", "one", "first", "and"]
    # An answer may begin with any token that one of the choices begins with.
    texts = enumerate(tokenizer.batch_decode([[token] for token in range(len(tokenizer))]))
    begins = [n for n, text in texts if text and any(c.startswith(text) for c in choices)]
    wanted = sampling(
        "block", max_tokens=1, structured_outputs=StructuredOutputsParams(choice=choices)
    )
    outputs = engine.generate(list(PROMPTS), wanted, use_tqdm=False)
    chosen = torch.tensor([output.outputs[0].token_ids[0] for output in outputs])
    listed = torch.tensor(begins)

    def best(logprobs: list[torch.Tensor]) -> torch.Tensor:
        return listed[torch.stack([one[0] for one in logprobs])[:, listed].argmax(-1)]

    plain = best(expected(transformers_model, outputs))
    assert torch.equal(chosen, best(edited(transformers_model, variants(base)["block"], outputs)))
    assert not torch.equal(chosen, plain), "the base chooses the same: this would prove nothing"


@pytest.mark.path("weight reload")
def test_weights_that_are_loaded_again_are_edited_again(
    engine: Any, base: BaseModel, transformers_model: Any
) -> None:
    engine.collective_rpc("reload_weights")
    check_variant(engine, "down", variants(base)["down"], transformers_model)
