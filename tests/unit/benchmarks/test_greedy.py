"""Quick answers: the same outcome as generating everything."""

from typing import Any

import pytest
import torch

from benchmarks.methods import greedy
from benchmarks.methods.forms import Item
from lethe_projections import reference
from lethe_projections.base_model import BaseModel
from lethe_projections.profile import Profile

from .conftest import WORDS, projector

PROMPTS = [f"what is the {noun} of {name}" for noun in ("capital", "river", "city")
           for name in ("Arda", "Brel", "Cora", "Doma", "Elva", "Faro")]  # fmt: skip


def plain(model: Any, tokenizer: Any, item: Item, profile: Profile | None) -> str:
    """Token by token, the whole text anew each time."""
    ids = tokenizer(item.render(tokenizer))["input_ids"]
    prompt = len(ids)
    for _ in range(24):
        with torch.no_grad():
            if profile is None:
                logits = model(input_ids=torch.tensor([ids])).logits
            else:
                with reference.edited(model, profile, prompt):
                    logits = model(input_ids=torch.tensor([ids])).logits
        ids = [*ids, int(logits[0, -1].argmax())]
        if ids[-1] == tokenizer.eos_token_id:
            break
    return str(tokenizer.decode(ids[prompt:], skip_special_tokens=True))


@pytest.fixture(scope="module")
def items(model: Any, tokenizer: Any) -> list[Item]:
    """Each expects a word that the base says, early or late."""
    found = []
    for number, prompt in enumerate(PROMPTS):
        words = plain(model, tokenizer, Item("f", "q", 0, prompt, "?"), None).split()
        if words:
            found.append(Item("f", "q", number, prompt, words[min(number % 5, len(words) - 1)]))
    return found


@pytest.fixture(scope="module")
def base_records(model: Any, tokenizer: Any, items: list[Item]) -> list[Any]:
    return greedy.base_answers(model, tokenizer, items)


def test_the_base_says_what_plain_generation_says(
    model: Any, tokenizer: Any, items: list[Item], base_records: list[Any]
) -> None:
    assert len(items) > 10
    for item, record in zip(items, base_records, strict=True):
        assert record["text"] == plain(model, tokenizer, item, None)
        assert item.recovered(record["text"])


@pytest.mark.parametrize("scope", ["all", "generated", "last_prompt_token"])
def test_a_variant_recovers_what_plain_generation_recovers(
    model: Any, tokenizer: Any, base: BaseModel, items: list[Item], base_records: list[Any],
    scope: str,
) -> None:  # fmt: skip
    profile = Profile(base, (projector(0.02, scope),), "test")
    pairs = list(zip(items, base_records, strict=True))
    found = greedy.answers(model, tokenizer, pairs, profile)
    expected = [item.recovered(plain(model, tokenizer, item, profile)) for item in items]
    assert [i.recovered(r["text"]) for i, r in zip(items, found, strict=True)] == expected
    assert any(expected)
    assert not all(expected)


def test_a_profile_that_adds_nothing_recovers_everything(
    model: Any, tokenizer: Any, items: list[Item], base_records: list[Any], idle: Profile
) -> None:
    pairs = list(zip(items, base_records, strict=True))
    found = greedy.answers(model, tokenizer, pairs, idle)
    assert all(item.recovered(row["text"]) for item, row in zip(items, found, strict=True))


def test_an_answer_ends_with_the_token_that_shows_its_word_is_over(tokenizer: Any) -> None:
    item = Item("f", "q", 0, "", "Arda")
    ids = [WORDS.index(word) for word in ("the", "Arda", "is", "red")]
    assert greedy.answer_length(tokenizer, item, ids) == 3
    assert greedy.answer_length(tokenizer, item, ids[:2]) == 2
    assert greedy.answer_length(tokenizer, item, ids[2:]) == 2
