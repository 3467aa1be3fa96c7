"""LUNAR's choice of a layer: steer at each, and see where true answers give way to refusals.

The score of a layer is, with the request's direction added there on the request's tokens,

    mean over examples of  log p(refusal | prompt) - log p(answer | prompt)    nats a token

Source: LUNAR (arXiv 2502.07218), section 4, which generates at each layer and compares by the
similarity of sentence embeddings; the model's own log-probabilities need neither another model nor
generation.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lethe_projections import chat, reference
from lethe_projections.errors import FitError
from lethe_projections.examples import Example
from lethe_projections.projector import Site
from lethe_projections.rows import Request, Span
from lethe_projections.task import Task

_EXAMPLES = 8
"""Forget examples used, evenly spaced."""


@dataclass(frozen=True)
class Probe:
    """A forget prompt continued by what is to be weighed.

    Attributes:
        tokens: prompt and continuation.
        prompt: how many of them are prompt.
        request: whose direction is added.
        first, past: the prompt's tokens to steer.
        sign: 1 for the refusal, -1 for the answer.
    """

    tokens: chat.Tokens
    prompt: int
    request: int
    first: int
    past: int
    sign: int


def candidates(depth: int) -> tuple[int, ...]:
    """Blocks from an eighth to four fifths of the depth: 4..23 of 30.

    Earlier ones have not yet gathered what is asked, and from later ones no answer follows.
    """
    first = max(1, round(depth / 8))
    return tuple(range(first, max(first + 1, round(depth * 4 / 5))))


def probes(
    task: Task, requests: Sequence[Request], spans: Sequence[Sequence[Span]], refusal: str
) -> tuple[Probe, ...]:
    """Each prompt twice, continued by the refusal and by its answer.

    Raises:
        FitError: no forget example has an answer.
    """
    pairs = [
        (index, example, span)
        for index, (request, listed) in enumerate(zip(requests, spans, strict=True))
        for example, span in zip(request.examples, listed, strict=True)
        if example.answer
    ]
    if not pairs:
        raise FitError(
            "forget: expected an example with an answer, by which a layer can be chosen, found "
            "none; give answers, or the layer"
        )
    chosen = pairs[:: -(-len(pairs) // _EXAMPLES)]
    return tuple(
        _probe(task, example, (index, span), text, sign)
        for index, example, span in chosen
        for text, sign in ((refusal, 1), (example.answer, -1))
    )


@torch.no_grad()
def score(task: Task, probes: Sequence[Probe], layer: int, R: Tensor) -> float:
    """The score of one layer; R [n, hidden] holds what is added for each request."""
    batch = chat.pad([probe.tokens for probe in probes])
    added = torch.zeros(*batch.input_ids.shape, R.shape[1], dtype=R.dtype)
    for row, probe in enumerate(probes):
        added[row, probe.first : probe.past] = R[probe.request]
    with reference.hooked(task.model, {Site(layer, "mlp"): lambda _, y: y + added.to(y)}):
        device = next(task.model.parameters()).device
        logits = task.model(
            input_ids=batch.input_ids.to(device), attention_mask=batch.attention_mask.to(device)
        ).logits
    weighed = [
        probe.sign * _log_probability(logits[row].cpu(), probe) for row, probe in enumerate(probes)
    ]
    return 2 * sum(weighed) / len(weighed)


def _probe(task: Task, example: Example, asked: tuple[int, Span], text: str, sign: int) -> Probe:
    """Of the whole prompt, of which the span may be but the beginning."""
    request, span = asked
    prompt, reply = (
        chat.encode(task.tokenizer, [part], task.limits.max_tokens)[0]
        for part in (task.render_prompt(example), text)
    )
    joined = chat.Tokens(prompt.ids + reply.ids, prompt.offsets + reply.offsets)
    return Probe(joined, len(prompt.ids), request, span.first, len(span.tokens.ids), sign)


def _log_probability(logits: Tensor, probe: Probe) -> float:
    """Mean over the continuation's tokens."""
    wanted = torch.tensor(probe.tokens.ids[probe.prompt :])
    logits = logits[probe.prompt - 1 : len(probe.tokens.ids) - 1].to(torch.float64)
    return float(logits.log_softmax(dim=-1).gather(1, wanted[:, None]).mean())
