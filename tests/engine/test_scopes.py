"""A scope follows a token's place in its request, whatever was cached or cut into chunks."""

from collections.abc import Iterator
from typing import Any

import pytest

from lethe_projections import reference
from lethe_projections.base_model import BaseModel

from .conftest import Start, sampling
from .oracle import EFFECT, TOLERANCE, expected, largest_moves
from .prompts import long_prompt
from .variants import conditional

CHUNK = 64
"""Tokens per step: the prompts below are prefilled over several steps."""
BLOCK = 32
"""Tokens per KV block."""
FIRST, ANSWER = 170, 40
"""Tokens of the first turn's prompt and of its answer; neither ends with a block."""
SCOPED = ("prompt", "last", "generated", "mixed")


@pytest.fixture(scope="module")
def engine(start: Start, base: BaseModel) -> Iterator[Any]:
    options = {"max_num_batched_tokens": CHUNK, "max_num_seqs": 16, "block_size": BLOCK}
    with start(conditional(base), enable_prefix_caching=True, **options) as llm:
        yield llm


def ask(llm: Any, ids: list[int], name: str, tokens: int = 3) -> Any:
    """Greedy, with the top 20 log-probabilities of each step."""
    parameters = sampling(name, max_tokens=tokens, logprobs=20, ignore_eos=True)
    [output] = llm.generate({"prompt_token_ids": ids}, parameters, use_tqdm=False)
    return output


def error(output: Any, model: Any, profile: Any, prompt_tokens: int) -> float:
    """Largest difference from the edit in transformers whose prompt ends at `prompt_tokens`."""
    with reference.edited(model, profile, prompt_tokens) as edited:
        [found] = largest_moves([output], expected(edited, [output]))
    return found


@pytest.mark.path("prefix caching, profiles with scopes")
@pytest.mark.parametrize("name", SCOPED)
def test_a_second_turn_reads_no_kv_of_the_first_that_its_own_scope_would_not_write(
    name: str, engine: Any, base: BaseModel, transformers_model: Any, tokenizer: Any
) -> None:
    profile = conditional(base)[name]
    prompt = tokenizer(long_prompt(2 * FIRST))["input_ids"][:FIRST]
    first = ask(engine, prompt, name, ANSWER)
    assert error(first, transformers_model, profile, FIRST) < TOLERANCE
    turn = [*prompt, *first.outputs[0].token_ids, *tokenizer(" And then?")["input_ids"]]
    second, again = ask(engine, turn, name), ask(engine, turn, name)
    for output in (second, again):
        assert error(output, transformers_model, profile, len(turn)) < TOLERANCE
        stale = error(output, transformers_model, profile, FIRST)
        assert stale > EFFECT, "the prompt's end hardly matters: this test would prove nothing"
    # What both turns have as prompt before its last token is shared; the rest only when repeated.
    assert second.num_cached_tokens == (FIRST - 1) // BLOCK * BLOCK
    assert again.num_cached_tokens == (len(turn) - 1) // BLOCK * BLOCK


def test_a_variant_without_scopes_shares_the_answers_blocks_too(
    engine: Any, base: BaseModel, transformers_model: Any, tokenizer: Any
) -> None:
    prompt = tokenizer(long_prompt(2 * FIRST))["input_ids"][:FIRST]
    first = ask(engine, prompt, "sigmoid", ANSWER)
    turn = [*prompt, *first.outputs[0].token_ids, *tokenizer(" And then?")["input_ids"]]
    second = ask(engine, turn, "sigmoid")
    assert second.num_cached_tokens > FIRST
    assert error(second, transformers_model, conditional(base)["sigmoid"], FIRST) < TOLERANCE


def test_scopes_of_many_chunked_requests_in_one_batch_do_not_mix(
    engine: Any, base: BaseModel, transformers_model: Any, tokenizer: Any
) -> None:
    names = [*SCOPED, "base"] * 2
    ids = tokenizer(long_prompt(200))["input_ids"]
    prompts = [ids[n : n + 40 + 16 * n] for n in range(len(names))]
    parameters = [sampling(name, max_tokens=6, logprobs=20, ignore_eos=True) for name in names]
    outputs = engine.generate(
        [{"prompt_token_ids": prompt} for prompt in prompts], parameters, use_tqdm=False
    )
    for name, output in zip(names, outputs, strict=True):
        [plain] = largest_moves([output], expected(transformers_model, [output]))
        if name == "base":
            assert plain < TOLERANCE
        else:
            length = len(output.prompt_token_ids)
            assert error(output, transformers_model, conditional(base)[name], length) < TOLERANCE
            assert plain > EFFECT
