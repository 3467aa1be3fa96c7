"""The independent judge: log-probabilities of transformers along what an engine generated."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch

from lethe_projections import reference
from lethe_projections.profile import Profile

from .conftest import sampling
from .prompts import PROMPTS

TOLERANCE = 1e-3
EFFECT = 100 * TOLERANCE
STEPS = 3


class Request(NamedTuple):
    """A prompt, the profile that it selects (None for no selection), and how long to go on."""

    prompt: str
    name: str | None
    steps: int = STEPS


def ask(llm: Any, requests: Sequence[Request]) -> list[Any]:
    """Greedy answers to all at once, with the top 20 log-probabilities of each step."""
    wanted = [
        sampling(one.name, max_tokens=one.steps, logprobs=20, ignore_eos=True) for one in requests
    ]
    return llm.generate([one.prompt for one in requests], wanted, use_tqdm=False)


def served(llm: Any, name: str | None) -> list[Any]:
    """What a variant answers to every prompt."""
    return ask(llm, [Request(prompt, name) for prompt in PROMPTS])


def logprobs(model: Any, ids: list[list[int]]) -> list[torch.Tensor]:
    """Per row, [tokens, vocabulary] log-probabilities of what follows each token.

    One batch, padded on the right: under a causal mask no token sees the padding.
    """
    longest = max(map(len, ids))
    with torch.no_grad():
        logits = model(torch.tensor([[*row, *[0] * (longest - len(row))] for row in ids])).logits
    return [row[: len(own)].float().log_softmax(-1) for row, own in zip(logits, ids, strict=True)]


def expected(model: Any, outputs: list[Any]) -> list[torch.Tensor]:
    """Per output, [steps, vocabulary] log-probabilities of a transformers model along it."""
    ids = [[*output.prompt_token_ids, *output.outputs[0].token_ids] for output in outputs]
    return [
        row[len(output.prompt_token_ids) - 1 : -1]
        for row, output in zip(logprobs(model, ids), outputs, strict=True)
    ]


def expected_of(model: Any, profile: Profile, outputs: list[Any]) -> list[torch.Tensor]:
    """As `expected`, of the model with the profile's edits hooked into it."""
    prompts = torch.tensor([len(output.prompt_token_ids) for output in outputs])
    with reference.edited(model, profile, prompts) as edited:
        return expected(edited, outputs)


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


def differ(one: Any, other: Any, by: float) -> bool:
    """Whether two answers to one prompt part, or before that a log-probability of the top 20."""
    one, other = one.outputs[0], other.outputs[0]
    steps = zip(one.logprobs, other.logprobs, one.token_ids, other.token_ids, strict=True)
    return any(
        a != b or any(abs(first[t].logprob - second[t].logprob) > by for t in first.keys() & second)
        for first, second, a, b in steps
    )


def check(outputs: list[Any], edited: Any, plain: Any) -> None:
    """Compares with the edited model, and guards with the plain one.

    Raises:
        AssertionError: too far from the edited model, or too near to the plain one.
    """
    assert max(largest_moves(outputs, edited)) < TOLERANCE
    effect = min(largest_moves(outputs, plain))
    assert effect > EFFECT, "the edit hardly moves the model: this test would prove nothing"


def check_outputs(outputs: list[Any], profile: Profile, model: Any) -> None:
    """Compares what a variant answered with the same edit hooked into transformers.

    Raises:
        AssertionError: as `check`.
    """
    check(outputs, expected_of(model, profile, outputs), expected(model, outputs))


def check_variant(llm: Any, name: str, profile: Profile, model: Any) -> None:
    """Asks a served variant, and compares it as `check_outputs`.

    Raises:
        AssertionError: as `check`.
    """
    check_outputs(served(llm, name), profile, model)


def check_all(llm: Any, profiles: Mapping[str, Profile], model: Any) -> None:
    """Compares each variant, alone in its batches, and the base.

    Raises:
        AssertionError: as `check`, or the base is too far from the model.
    """
    for name, profile in profiles.items():
        check_variant(llm, name, profile, model)
    check_base(llm, model)


def check_unedited(outputs: list[Any], model: Any) -> None:
    """Compares with a model as it is.

    Raises:
        AssertionError: too far from it.
    """
    assert max(largest_moves(outputs, expected(model, outputs))) < TOLERANCE


def check_base(llm: Any, model: Any) -> None:
    """Compares requests that select nothing, and those that select the base, with transformers.

    Raises:
        AssertionError: too far from it.
    """
    for name in (None, "base"):
        check_unedited(served(llm, name), model)


def check_alone(llm: Any, requests: Sequence[Request]) -> list[Any]:
    """Compares what requests get all at once with what each gets alone, and returns the former.

    Raises:
        AssertionError: one gets something else.
    """
    together = ask(llm, requests)
    for request, answer in zip(requests, together, strict=True):
        [alone] = ask(llm, [request])
        assert not differ(answer, alone, TOLERANCE), f"{request.name} differs from it alone"
    return together
