"""Greedy answers by transformers, quickly: one pass shows where a variant departs from the base.

A variant whose likeliest tokens are the base's up to the end of the base's answer has recovered it.
Only where it departs before is its own continuation generated. Nothing is approximated.
"""

from collections.abc import Sequence
from typing import Any

import torch

from benchmarks.methods.forms import MAX_TOKENS, Item
from benchmarks.methods.states import Row, editing, final_states, logits
from benchmarks.methods.store import Record
from lethe_projections.profile import Profile

_BATCH = 32


def base_answers(model: Any, tokenizer: Any, items: Sequence[Item]) -> list[Record]:
    """The base's continuations: `key`, `item`, `text` and token `ids`."""
    return _generated(model, tokenizer, items, None)


def answers(
    model: Any, tokenizer: Any, base: Sequence[tuple[Item, Record]], profile: Profile
) -> list[Record]:
    """A variant's continuations of items that the base recovers.

    Args:
        model: transformers decoder in float32.
        tokenizer: its own.
        base: items with the base's records.
        profile: the variant.

    Returns:
        Records as the base's, in the same order; where the variant agrees with the base, they end
        with the answer.
    """
    rows = [_row(tokenizer, item, record) for item, record in base]
    states = final_states(model, rows, profile)
    found = {}
    departed = []
    for (item, _), row, state in zip(base, rows, states, strict=True):
        if logits(model, state).argmax(-1).tolist() == list(row.following):
            found[item.id] = _record(tokenizer, item, row.following)
        else:
            departed.append(item)
    for record in _generated(model, tokenizer, departed, profile):
        found[record["item"]] = record
    return [found[item.id] for item, _ in base]


def answer_length(tokenizer: Any, item: Item, ids: Sequence[int]) -> int:
    """How many leading tokens hold the answer for good: its word, and the token that ends it."""
    for length in range(1, len(ids)):
        if all(item.recovered(_text(tokenizer, ids[:end])) for end in (length, length + 1)):
            return length + 1
    return len(ids)


def _row(tokenizer: Any, item: Item, record: Record) -> Row:
    prompt = _ids(tokenizer, item)
    length = answer_length(tokenizer, item, record["ids"])
    return Row((*prompt, *record["ids"][:length]), len(prompt))


@torch.no_grad()
def _generated(
    model: Any, tokenizer: Any, items: Sequence[Item], profile: Profile | None
) -> list[Record]:
    ordered = sorted(items, key=lambda item: len(_ids(tokenizer, item)))
    found: dict[str, Record] = {}
    for start in range(0, len(ordered), _BATCH):
        batch = ordered[start : start + _BATCH]
        for item, ids in zip(batch, _batch(model, tokenizer, batch, profile), strict=True):
            found[item.id] = _record(tokenizer, item, ids)
    return [found[item.id] for item in items]


def _batch(
    model: Any, tokenizer: Any, items: Sequence[Item], profile: Profile | None
) -> list[list[int]]:
    """Generates with padding on the left, so that every prompt ends at the same column."""
    prompts = [_ids(tokenizer, item) for item in items]
    width = max(map(len, prompts))
    ids = torch.tensor([[0] * (width - len(p)) + p for p in prompts])
    mask = torch.tensor([[0] * (width - len(p)) + [1] * len(p) for p in prompts])
    end = tokenizer.eos_token_id
    with editing(model, profile, width):
        out = model.generate(
            ids, attention_mask=mask, max_new_tokens=MAX_TOKENS, do_sample=False,
            eos_token_id=end, pad_token_id=end,
        )  # fmt: skip
    return [_until(end, row) for row in out[:, width:].tolist()]


def _until(end: int, ids: list[int]) -> list[int]:
    """Up to and with the token that ends a reply."""
    return ids[: ids.index(end) + 1] if end in ids else ids


def _ids(tokenizer: Any, item: Item) -> list[int]:
    ids: list[int] = tokenizer(item.render(tokenizer), add_special_tokens=False)["input_ids"]
    return ids


def _text(tokenizer: Any, ids: Sequence[int]) -> str:
    return str(tokenizer.decode(list(ids), skip_special_tokens=True))


def _record(tokenizer: Any, item: Item, ids: Sequence[int]) -> Record:
    text = _text(tokenizer, ids)
    return {"key": item.key, "item": item.id, "text": text, "ids": list(ids)}
