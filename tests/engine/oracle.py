"""The independent judge: log-probabilities of transformers along what an engine generated."""

from typing import Any

import torch

from lethe_projections import reference
from lethe_projections.profile import Profile

from .conftest import sampling
from .prompts import PROMPTS

TOLERANCE = 1e-3
EFFECT = 100 * TOLERANCE
STEPS = 3


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


def check_variant(llm: Any, name: str, profile: Profile, model: Any) -> None:
    """Compares a served variant with the same edit hooked into transformers.

    Raises:
        AssertionError: as `check`.
    """
    outputs = served(llm, name)
    plain = expected(model, outputs)
    prompts = torch.tensor([len(output.prompt_token_ids) for output in outputs])
    with reference.edited(model, profile, prompts) as edited:
        check(outputs, expected(edited, outputs), plain)


def check_base(llm: Any, model: Any) -> None:
    """Compares requests that select nothing, and those that select the base, with transformers.

    Raises:
        AssertionError: too far from it.
    """
    for name in (None, "base"):
        outputs = served(llm, name)
        assert max(largest_moves(outputs, expected(model, outputs))) < TOLERANCE
