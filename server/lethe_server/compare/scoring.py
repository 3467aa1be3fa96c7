"""Measures variants against the base, on the base's answer.

The answer's token ids are sent back as the end of a prompt, to the base and to every variant alike,
and the engine tells what each would have given every token of it: teacher forcing. It goes through
vLLM's own route, so that it is selected and permitted as any request.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

import httpx

from lethe_projections.evaluation.metrics.rouge import rouge_l
from lethe_server.compare.asking import Answer, broken, exactly, refused
from lethe_server.compare.at_once import together
from lethe_server.compare.divergence import kl_lower_bound
from lethe_server.compare.documents import Reference, Scores, VariantScore
from lethe_server.compare.question import Question
from lethe_vllm.selection import BASE_VARIANT, Variant

MAX_EXPONENT = 700
"""exp of more is no float."""


@dataclass(frozen=True)
class Reading:
    """What a variant gives an answer.

    Attributes:
        tokens: the answer's, as text.
        logprobs: of the answer's tokens.
        likeliest: at each of them, log-probabilities by token id, of the likeliest and its own.
    """

    tokens: list[str]
    logprobs: list[float]
    likeliest: list[dict[int, float]]


async def scores(
    client: httpx.AsyncClient, question: Question, answers: Mapping[Variant, Answer]
) -> Scores:
    """Reads the base's answer back to all who answered, at once.

    Args:
        client: of this application.
        question: what they answered; with `top_logprobs`.
        answers: the base's among them.

    Raises:
        RefusedError: a variant refuses to read, or the answer's tokens are not all known.
    """
    base = answers[BASE_VARIANT]
    _check_complete(base)
    readings = await together(*(_read(client, question, base, variant) for variant in answers))
    by_variant = dict(zip(answers, readings, strict=True))
    reference = by_variant[BASE_VARIANT]
    return Scores(
        top_logprobs=question.top_logprobs or 0,
        reference=Reference(
            text=base.text,
            token_ids=base.token_ids,
            tokens=reference.tokens,
            **_likelihood(reference.logprobs),
        ),
        variants=[
            VariantScore(
                profile=variant.name,
                digest=variant.digest or None,
                rouge_l=rouge_l(answers[variant].text, base.text),
                **_likelihood(by_variant[variant].logprobs),
                **_against(by_variant[variant], reference),
            )
            for variant in question.variants
            if variant in answers
        ],
    )


def _check_complete(base: Answer) -> None:
    told = len(base.prompt_token_ids), len(base.token_ids)
    counted = base.usage.get("prompt_tokens"), base.usage.get("completion_tokens")
    if told != counted or 0 in told:
        raise broken(
            BASE_VARIANT,
            f"ids of {counted[0]} and {counted[1]} tokens of prompt and answer to score by",
            f"{told[0]} and {told[1]}",
        )


async def _read(
    client: httpx.AsyncClient, question: Question, base: Answer, variant: Variant
) -> Reading:
    body = {
        "model": question.model,
        "prompt": base.prompt_token_ids + base.token_ids,
        "prompt_logprobs": question.top_logprobs,
        # vLLM generates one at least.
        "max_tokens": 1,
        "temperature": 0,
    }
    reply = await client.post("/v1/completions", json=body, headers=exactly(variant))
    if reply.status_code != 200:
        raise refused(variant, reply)
    return _reading(reply.json()["choices"][0]["prompt_logprobs"], base)


def _reading(told: Sequence[Mapping[str, Any]], answer: Answer) -> Reading:
    of_answer = told[len(answer.prompt_token_ids) :]
    own = [entries[str(token)] for entries, token in zip(of_answer, answer.token_ids, strict=True)]
    return Reading(
        tokens=[entry["decoded_token"] for entry in own],
        logprobs=[entry["logprob"] for entry in own],
        likeliest=[
            {int(token): entry["logprob"] for token, entry in entries.items()}
            for entries in of_answer
        ],
    )


def _likelihood(logprobs: list[float]) -> dict[str, Any]:
    mean = fmean(logprobs)
    perplexity = math.exp(-mean) if -mean < MAX_EXPONENT else None
    return {"logprobs": logprobs, "mean_logprob": mean, "perplexity": perplexity}


def _against(variant: Reading, base: Reading) -> dict[str, Any]:
    bounds = list(map(kl_lower_bound, base.likeliest, variant.likeliest))
    difference = fmean(variant.logprobs) - fmean(base.logprobs)
    return {
        "mean_logprob_difference": difference,
        "kl_lower_bound": bounds,
        "mean_kl_lower_bound": fmean(bounds),
    }
