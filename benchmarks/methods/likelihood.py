"""What needs whole distributions, by transformers: ranking of options, and KL on held-out text.

    score(option) = 1/n sum_i log p(option_i | prompt, option_<i)
    KL            = 1/T sum_t sum_v p_base(v|t) (log p_base(v|t) - log p_variant(v|t))

in float32 over the full vocabulary. The tokens t are those a model would have generated: a reply,
with the token that ends it, or the second half of plain text.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from benchmarks.methods.forms import Item
from benchmarks.methods.states import Row, final_states, log_probabilities
from benchmarks.methods.store import Record
from lethe_projections import examples
from lethe_projections.evaluation.metrics import divergence
from lethe_projections.examples import Example
from lethe_projections.profile import Profile
from lethe_projections.task import Task


def rankings(
    model: Any, tokenizer: Any, items: Sequence[Item], profile: Profile | None
) -> list[Record]:
    """Scores of the answer and its distractors: `key`, `item`, `scores` (the answer's first)."""
    rows = [
        _option_row(tokenizer, item, option)
        for item in items
        for option in (item.expected, *item.options)
    ]
    states = iter(final_states(model, rows, profile))
    scores = iter(
        [mean_log_likelihood(log_probabilities(model, next(states)), row.following) for row in rows]
    )
    return [
        {
            "key": item.key,
            "item": item.id,
            "scores": [next(scores) for _ in (item.expected, *item.options)],
        }
        for item in items
    ]


def mean_log_likelihood(log_probabilities: Tensor, ids: Sequence[int]) -> float:
    """Mean of log p at the given ids, of [t, vocabulary]."""
    return float(log_probabilities[torch.arange(len(ids)), torch.tensor(ids)].double().mean())


@dataclass(frozen=True, eq=False)
class Passage:
    """A held-out text.

    Attributes:
        text: itself.
        row: by `text_row`.
        base: the base's `final_states` of that row.
    """

    text: Example
    row: Row
    base: Tensor


def divergences(model: Any, passages: Sequence[Passage], profile: Profile) -> list[Record]:
    """Of each passage: `key`, `kl` (nats, summed over its tokens) and `tokens`."""
    found = []
    states = final_states(model, [passage.row for passage in passages], profile)
    for passage, now in zip(passages, states, strict=True):
        base, variant = (log_probabilities(model, h) for h in (passage.base, now))
        kl = divergence.per_token(base, variant)
        key = text_key(passage.text)
        found.append({"key": key, "kl": float(kl.sum()), "tokens": len(kl)})
    return found


def text_key(text: Example) -> str:
    """sha256 of a held-out text, 64 hex digits."""
    return examples.digest([text])


def text_row(task: Task, text: Example) -> Row:
    """A held-out text as prompt and what follows."""
    if text.text:
        ids = _ids(task.tokenizer, text.text)
        return Row(tuple(ids), max(1, len(ids) // 2))
    prompt = _ids(task.tokenizer, task.render_prompt(text))
    reply = _ids(task.tokenizer, text.answer + task.tokenizer.eos_token)
    return Row((*prompt, *reply), len(prompt))


def _option_row(tokenizer: Any, item: Item, option: str) -> Row:
    prompt = _ids(tokenizer, item.render(tokenizer))
    return Row((*prompt, *_ids(tokenizer, option)), len(prompt))


def _ids(tokenizer: Any, text: str) -> list[int]:
    ids: list[int] = tokenizer(text, add_special_tokens=False)["input_ids"]
    return ids
