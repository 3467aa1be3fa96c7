"""What else vLLM does with a request: each of its ways through the engine serves the variant."""

from collections.abc import Iterator
from itertools import chain
from typing import Any

import pytest
import torch

from lethe_projections import reference
from lethe_projections.base_model import BaseModel
from lethe_projections.profile import Profile

from .conftest import Start, on_path, sampling
from .oracle import (
    EFFECT,
    TOLERANCE,
    Request,
    ask,
    check_variant,
    differ,
    expected,
    expected_of,
    logprobs,
)
from .prompts import PROMPTS
from .variants import assorted, conditional

BLOCK = 32
"""Tokens per KV block."""
BLOCKS = 12
"""So few that twelve requests cannot all stay: some are preempted and computed again."""
ROOM = 4
"""Requests that can all stay."""

pytestmark = pytest.mark.timeout(900)


# Asynchronous scheduling is nothing that a CPU can show: vLLM turns it off there.
@pytest.fixture(scope="module", params=[on_path("sync scheduling")])
def engine(start: Start, base: BaseModel) -> Iterator[Any]:
    options = {
        "block_size": BLOCK,
        "num_gpu_blocks_override": BLOCKS,
        "max_model_len": 256,
        "enable_prefix_caching": True,
        "disable_log_stats": False,
        "max_logprobs": 20,
    }
    with start(variants(base), **options) as llm:
        yield llm


def variants(base: BaseModel) -> dict[str, Profile]:
    return assorted(base) | conditional(base)


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
    asked = [Request(PROMPTS[n], names[n % len(names)], 40) for n in range(12)]
    before = preemptions(engine)
    together = ask(engine, asked)
    after = preemptions(engine)
    assert after > before, "nothing was preempted: this test would prove nothing"
    apart = [ask(engine, asked[n : n + ROOM]) for n in range(0, len(asked), ROOM)]
    assert preemptions(engine) == after
    for one, other in zip(together, chain(*apart), strict=True):
        assert not differ(one, other, TOLERANCE)


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
    lengths = torch.tensor([len(output.prompt_token_ids) for output in outputs])
    with reference.edited(transformers_model, variants(base)[name], lengths) as edited:
        assert max(prompt_moves(edited, outputs)) < TOLERANCE
    moved = max(prompt_moves(transformers_model, outputs))
    assert moved > EFFECT, "the edit hardly moves the model: this test would prove nothing"


def prompt_moves(model: Any, outputs: list[Any]) -> list[float]:
    """Per output, the largest difference over the prompt's own tokens and the likeliest there.

    Relative, where a prompt's own token is very unlikely.
    """
    rows = logprobs(model, [output.prompt_token_ids for output in outputs])
    return [
        max(
            abs(entry.logprob - (wanted := float(row[place - 1, token]))) / max(1, -wanted)
            for place, listed in enumerate(output.prompt_logprobs)
            if listed
            for token, entry in listed.items()
        )
        for row, output in zip(rows, outputs, strict=True)
    ]


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
    edited = expected_of(transformers_model, variants(base)["block"], outputs)
    assert torch.equal(chosen, best(edited))
    assert not torch.equal(chosen, plain), "the base chooses the same: this would prove nothing"


@pytest.mark.path("weight reload")
def test_weights_that_are_loaded_again_are_edited_again(
    engine: Any, base: BaseModel, transformers_model: Any
) -> None:
    engine.collective_rpc("reload_weights")
    check_variant(engine, "down", variants(base)["down"], transformers_model)


@pytest.mark.path("pause and resume, and sleep on a CPU, which frees nothing")
@pytest.mark.parametrize("level", [0, 2])
def test_a_variant_is_served_after_a_pause(
    level: int, engine: Any, base: BaseModel, transformers_model: Any
) -> None:
    engine.sleep(level)
    assert engine.llm_engine.is_sleeping()
    engine.wake_up()
    check_variant(engine, "down", variants(base)["down"], transformers_model)
