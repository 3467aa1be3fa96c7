"""Greedy answers by transformers, quickly: one pass shows where a variant departs from the base.

A variant whose likeliest tokens are the base's up to the end of the base's answer has recovered it.
Only where it departs before is its own continuation generated. Nothing is approximated.
"""

from collections.abc import Sequence
from typing import Any

from benchmarks.methods.forms import MAX_TOKENS, Item
from benchmarks.methods.store import Record
from lethe_projections import generation
from lethe_projections.profile import Profile
from lethe_projections.states import Row, final_states, logits

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


def _generated(
    model: Any, tokenizer: Any, items: Sequence[Item], profile: Profile | None
) -> list[Record]:
    ordered = sorted(items, key=lambda item: len(_ids(tokenizer, item)))
    found: dict[str, Record] = {}
    for start in range(0, len(ordered), _BATCH):
        batch = ordered[start : start + _BATCH]
        prompts = [_ids(tokenizer, item) for item in batch]
        ends = [tokenizer.eos_token_id]
        answers = generation.greedy(model, prompts, profile, MAX_TOKENS, ends)
        for item, ids in zip(batch, answers, strict=True):
            found[item.id] = _record(tokenizer, item, ids)
    return [found[item.id] for item in items]


def _ids(tokenizer: Any, item: Item) -> list[int]:
    ids: list[int] = tokenizer(item.render(tokenizer), add_special_tokens=False)["input_ids"]
    return ids


def _text(tokenizer: Any, ids: Sequence[int]) -> str:
    return str(tokenizer.decode(list(ids), skip_special_tokens=True))


def _record(tokenizer: Any, item: Item, ids: Sequence[int]) -> Record:
    text = _text(tokenizer, ids)
    return {"key": item.key, "item": item.id, "text": text, "ids": list(ids)}
