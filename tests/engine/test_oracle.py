"""A served variant equals the same edit applied in transformers, in float32."""

from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch

from lethe_projections import merge, reference
from lethe_projections.base_model import BaseModel

from .conftest import LETHE, put, running, sampling
from .prompts import PROMPTS
from .variants import assorted, conditional

TOLERANCE = 1e-3
EFFECT = 100 * TOLERANCE
STEPS = 3

pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="module", params=["eager", "compiled"])
def engine(
    request: pytest.FixtureRequest,
    checkpoint: str,
    base: BaseModel,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Any]:
    cache: Path = tmp_path_factory.mktemp(f"vllm-{request.param}")
    eager = request.param == "eager"
    with running(checkpoint, cache, enforce_eager=eager, additional_config=LETHE) as llm:
        put(llm, assorted(base) | conditional(base))
        yield llm


def served(llm: Any, name: str | None) -> list[Any]:
    """Top-20 log-probabilities of each greedy step."""
    return llm.generate(
        list(PROMPTS), sampling(name, max_tokens=STEPS, logprobs=20, ignore_eos=True),
        use_tqdm=False,
    )  # fmt: skip


def expected(model: Any, outputs: list[Any]) -> list[torch.Tensor]:
    """Per output, [steps, vocabulary] log-probabilities of a transformers model along it.

    One batch, padded on the right: under a causal mask no token sees the padding.
    """
    ids = [[*output.prompt_token_ids, *output.outputs[0].token_ids] for output in outputs]
    longest = max(map(len, ids))
    with torch.no_grad():
        logits = model(torch.tensor([row + [0] * (longest - len(row)) for row in ids])).logits
    return [
        row[len(output.prompt_token_ids) - 1 : len(own) - 1].float().log_softmax(-1)
        for row, own, output in zip(logits, ids, outputs, strict=True)
    ]


def largest_moves(outputs: list[Any], references: list[torch.Tensor]) -> list[float]:
    """Per output, the largest difference over the served top 20 of every step."""
    return [
        max(
            abs(entry.logprob - float(step[token]))
            for step, served_step in zip(logprobs, output.outputs[0].logprobs, strict=True)
            for token, entry in served_step.items()
        )
        for output, logprobs in zip(outputs, references, strict=True)
    ]


def check(outputs: list[Any], edited: Any, plain: Any) -> None:
    """Compares with the edited model, and guards with the plain one.

    Raises:
        AssertionError: too far from the edited model, or too near to the plain one.
    """
    assert max(largest_moves(outputs, edited)) < TOLERANCE
    effect = min(largest_moves(outputs, plain))
    assert effect > EFFECT, "the edit hardly moves the model: this test would prove nothing"


KINDS = ["block", "projection", "attn", "mlp", "down"]
CONDITIONAL = ["sigmoid", "hard", "prompt", "last", "generated", "mixed"]


@pytest.mark.parametrize("name", KINDS + CONDITIONAL)
def test_a_variant_equals_the_edit_hooked_into_transformers(
    name: str, engine: Any, base: BaseModel, transformers_model: Any
) -> None:
    outputs = served(engine, name)
    plain = expected(transformers_model, outputs)
    profile = (assorted(base) | conditional(base))[name]
    prompts = torch.tensor([len(output.prompt_token_ids) for output in outputs])
    with reference.edited(transformers_model, profile, prompts) as edited:
        check(outputs, expected(edited, outputs), plain)


def test_a_variant_equals_the_edit_merged_into_the_weights(
    engine: Any, base: BaseModel, transformers_model: Any
) -> None:
    outputs = served(engine, "merged")
    plain = expected(transformers_model, outputs)
    merged = merge.merge_(deepcopy(transformers_model), assorted(base)["merged"])
    check(outputs, expected(merged, outputs), plain)


def test_the_base_beside_variants_equals_transformers(engine: Any, transformers_model: Any) -> None:
    for name in (None, "base"):
        outputs = served(engine, name)
        assert max(largest_moves(outputs, expected(transformers_model, outputs))) < TOLERANCE
